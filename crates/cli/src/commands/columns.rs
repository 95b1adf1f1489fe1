//! Tables that are printed row by row as the rows come, for a terminal or for a page.

use super::print;
use crate::Failure;

/// A column: its heading, how wide it is on a terminal, and whether it holds numbers, which stand right.
pub type Column = (&'static str, usize, bool);

/// The columns of a table, and how it is printed.
pub struct Columns<'a> {
    /// From left to right.
    pub columns: &'a [Column],
    /// As Markdown, to be put on a page.
    pub markdown: bool,
}

impl Columns<'_> {
    /// Prints the headings.
    pub fn heading(&self) -> Result<(), Failure> {
        self.row(self.columns.iter().map(|(heading, ..)| (*heading).to_owned()))?;
        let rule = |(_, _, number): &Column| if *number { " ---: |" } else { " --- |" };
        match self.markdown {
            true => print(format!("|{}", self.columns.iter().map(rule).collect::<String>())),
            false => Ok(()),
        }
    }

    /// Prints a row, a cell for each column.
    pub fn row(&self, cells: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        let cells = cells.into_iter().zip(self.columns);
        let line: String = match self.markdown {
            true => cells.map(|(cell, _)| format!(" {cell} |")).collect(),
            false => cells
                .map(|(cell, &(_, width, number))| match number {
                    true => format!(" {cell:>width$}"),
                    false => format!(" {cell:<width$}"),
                })
                .collect(),
        };
        print(if self.markdown { format!("|{line}") } else { line.trim().to_owned() })
    }
}
