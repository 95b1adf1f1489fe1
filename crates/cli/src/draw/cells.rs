//! Small maps with their numbers, in a table: what an operation does to them, to be checked by hand.
//!
//! A drawing is rows of pieces: grids of cells, and signs between them. Columns are as wide as their widest piece, so that
//! what belongs together stands together. The numbers are handed over, like all that is drawn here.

use super::{Result, escape, refuse};

/// Pixels: a cell's side, the space between pieces, a line of text, the edges, and a letter's width.
const CELL: usize = 28;
const GAP: usize = 16;
const LINE: usize = 20;
const MARGIN: usize = 20;
const HEADER: usize = 52;
const LETTER: usize = 8;

/// Fills; colours are of Okabe and Ito's palette, lightened.
pub const PLAIN: &str = "#FFFFFF";
pub const GREY: &str = "#E4E4E4";
pub const ORANGE: &str = "#F6D58B";
pub const BLUE: &str = "#AFDDF6";
pub const GREEN: &str = "#9ADCC8";
pub const RED: &str = "#F0B49A";

/// A number in its square.
#[derive(Clone)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// Its colour.
    pub fill: &'static str,
    /// Whether it is drawn with a heavy edge.
    pub framed: bool,
}

/// What stands in one place of the table.
pub enum Piece {
    /// Rows of cells, with a line of text below.
    Grid(Vec<Vec<Cell>>, String),
    /// A sign, or a few words.
    Sign(String),
}

impl Piece {
    /// A square map of numbers, which are whole but for rounding, row by row, each cell's fill and frame chosen by its row and column.
    pub fn map(
        values: &[f32],
        caption: &str,
        style: impl Fn(usize, usize) -> (&'static str, bool),
    ) -> Self {
        let side = (values.len() as f64).sqrt() as usize;
        let rows = values.chunks(side.max(1)).enumerate().map(|(row, values)| {
            let cells = values.iter().enumerate().map(|(column, value)| {
                let (fill, framed) = style(row, column);
                Cell { text: (value.round() + 0.0).to_string(), fill, framed }
            });
            cells.collect()
        });
        Piece::Grid(rows.collect(), caption.into())
    }

    /// A sign.
    pub fn sign(text: &str) -> Self {
        Piece::Sign(text.into())
    }

    /// Width and height in pixels.
    fn size(&self) -> [usize; 2] {
        match self {
            Piece::Grid(rows, caption) => {
                let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
                [(columns * CELL).max(caption.chars().count() * LETTER), rows.len() * CELL + LINE]
            }
            Piece::Sign(text) => [text.chars().count() * LETTER, LINE],
        }
    }

    /// The piece, its middle at a place.
    fn draw(&self, [x, y]: [usize; 2]) -> String {
        match self {
            Piece::Sign(text) => {
                let (text, baseline) = (escape(text), y + 5);
                format!("<text x=\"{x}\" y=\"{baseline}\">{text}</text>\n")
            }
            Piece::Grid(rows, caption) => {
                let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
                let (left, top) = (x - columns * CELL / 2, y - (rows.len() * CELL + LINE) / 2);
                let mut drawn = String::new();
                // Heavy edges last, so that no neighbour covers them.
                for framed in [false, true] {
                    for (row, cells) in rows.iter().enumerate() {
                        for (column, cell) in
                            cells.iter().enumerate().filter(|cell| cell.1.framed == framed)
                        {
                            drawn += &cell.draw([left + column * CELL, top + row * CELL]);
                        }
                    }
                }
                let (caption, baseline) = (escape(caption), top + rows.len() * CELL + 16);
                drawn
                    + &format!(
                        "<text x=\"{x}\" y=\"{baseline}\" font-size=\"12\">{caption}</text>\n"
                    )
            }
        }
    }
}

impl Cell {
    fn draw(&self, [x, y]: [usize; 2]) -> String {
        let (edge, width) = if self.framed { ("#8A5A00", 2.5) } else { ("#999999", 1.0) };
        let (fill, text) = (self.fill, escape(&self.text));
        let (middle, baseline) = (x + CELL / 2, y + CELL / 2 + 5);
        format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{fill}\" stroke=\"{edge}\" stroke-width=\"{width}\"/>\n\
             <text x=\"{middle}\" y=\"{baseline}\">{text}</text>\n"
        )
    }
}

/// The drawing of a table of pieces. Fails without any.
pub fn cells_svg(title: &str, table: &[Vec<Piece>]) -> Result<String> {
    let columns = table.iter().map(Vec::len).max().unwrap_or_default();
    if columns == 0 {
        return refuse(format!("drawing `{title}` expects something to draw"));
    }
    let widest = |column: usize| {
        table.iter().filter_map(|row| Some(row.get(column)?.size()[0])).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let mut y = HEADER;
    let mut parts = String::new();
    for row in table {
        let height = row.iter().map(|piece| piece.size()[1]).max().unwrap_or_default();
        let mut x = MARGIN;
        for (piece, width) in row.iter().zip(&widths) {
            parts += &piece.draw([x + width / 2, y + height / 2]);
            x += width + GAP;
        }
        y += height + GAP;
    }
    let across = widths.iter().sum::<usize>() + (columns - 1) * GAP + 2 * MARGIN;
    let width = across.max(title.chars().count() * 10 + 2 * MARGIN);
    let (title, middle) = (escape(title), width / 2);
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}" role="img"
 font-family="sans-serif" font-size="14" fill="#333333" text-anchor="middle">
<title>{title}</title>
<rect width="{width}" height="{y}" fill="white"/>
<text x="{middle}" y="32" font-size="18">{title}</text>
{parts}</svg>
"##
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_stand_side_by_side() {
        let map = |side: usize| Piece::map(&vec![7.0; side * side], "", |row, _| (PLAIN, row == 0));
        let table =
            [vec![map(2), Piece::sign("→"), map(1)], vec![map(1), Piece::sign("="), map(2)]];
        let svg = cells_svg("a < b", &table).unwrap();
        let corners: Vec<&str> = svg.split("<rect x=").skip(1).collect();
        let x = |rect: &str| rect.split('"').nth(1).unwrap().parse::<usize>().unwrap();
        // Frames come after the cells without: the second row of the first map, then its first row.
        let columns: Vec<usize> = corners.iter().map(|rect| x(rect)).collect();
        let second = MARGIN + 2 * CELL + GAP + LETTER + GAP;
        let [left, wide] = [MARGIN + CELL / 2, second + CELL / 2];
        let [a, b, c, d] = [MARGIN, MARGIN + CELL, second, second + CELL];
        assert_eq!(columns, [a, b, a, b, wide, left, c, d, c, d]);
        assert!(svg.contains(">7</text>") && svg.contains("a &lt; b"), "{svg}");
        assert!(cells_svg("t", &[]).is_err());
    }
}
