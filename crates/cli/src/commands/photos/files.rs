//! What a run on photos leaves besides: where the network errs, as tables and pictures.

use std::fmt::Write;
use std::path::Path;

use striate::nn::atomic_write;

use super::task::HeldOut;
use crate::Failure;
use crate::answers::{Answer, confusion, mistakes};
use crate::draw::photos::contact_sheet;
use crate::draw::tiles::{GridStyle, Scale, Tiles, grid, png};

/// Mistakes that are shown.
const MISTAKES: usize = 25;
/// The side of a shown photo.
const SIDE: usize = 112;
/// The side of a confusion matrix, about.
const MATRIX: usize = 720;

/// Writes `answers.csv`, `confusion.csv` and `.png`, `mistakes.csv` and `.png`.
///
/// In the matrix, a row is a class and a column what it was taken for; black is never, white as often as anything.
pub fn write(
    folder: &Path,
    photos: &HeldOut,
    classes: &[String],
    answers: &[Answer],
) -> Result<(), Failure> {
    atomic_write(&folder.join("answers.csv"), table(photos, classes, answers).as_bytes())?;
    write_confusion(folder, classes, answers)?;
    let mut mistakes = mistakes(answers);
    mistakes.truncate(MISTAKES);
    if mistakes.is_empty() {
        return Ok(());
    }
    atomic_write(&folder.join("mistakes.csv"), table(photos, classes, &mistakes).as_bytes())?;
    let shown = mistakes.iter().map(|mistake| photos.photo(mistake.index));
    let sheet = contact_sheet(&shown.collect::<Result<Vec<_>, _>>()?, SIDE)?;
    Ok(atomic_write(&folder.join("mistakes.png"), &sheet)?)
}

/// A line an answer, in the order of the pictures.
fn table(photos: &HeldOut, classes: &[String], answers: &[Answer]) -> String {
    let line = |answer: &Answer| {
        let [class, other] = [answer.label, answer.predicted].map(|label| &classes[label]);
        format!("{},{class},{other},{:.4}\n", photos.name(answer.index), answer.probability)
    };
    let lines: String = answers.iter().map(line).collect();
    format!("photo,class,taken_for,probability\n{lines}")
}

fn write_confusion(folder: &Path, classes: &[String], answers: &[Answer]) -> Result<(), Failure> {
    let count = classes.len();
    let counts = confusion(answers, count);
    let mut table = format!("class,{}", classes.join(","));
    for (class, row) in classes.iter().zip(counts.chunks_exact(count)) {
        write!(table, "\n{class}")?;
        row.iter().try_for_each(|times| write!(table, ",{times}"))?;
    }
    atomic_write(&folder.join("confusion.csv"), (table + "\n").as_bytes())?;
    let shades: Vec<f32> = counts.iter().map(|&times| times as f32).collect();
    let tiles = Tiles::new(&shades, [1, 1, count, count])?;
    let zoom = (MATRIX / count).max(1);
    let style = GridStyle { per_row: 1, zoom, scale: Scale::PerTile };
    Ok(atomic_write(&folder.join("confusion.png"), &png(&grid(&tiles, &style)?)?)?)
}
