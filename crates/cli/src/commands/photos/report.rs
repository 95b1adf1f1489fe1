//! Where a trained network errs: the confusion matrix, and the mistakes it is surest of.

use std::fmt::Write;

use striate::nn::atomic_write;
use striate::prelude::*;

use super::BATCH;
use super::task::Task;
use crate::Failure;
use crate::draw::photos::contact_sheet;
use crate::draw::tiles::{GridStyle, Scale, Tiles, grid, png};
use crate::run::RunFolder;

/// Mistakes that are shown.
const MISTAKES: usize = 25;
/// The side of a shown photo.
const SIDE: usize = 112;
/// The side of a confusion matrix, about.
const MATRIX: usize = 720;

/// What the network says of one held-out sample.
struct Answer {
    index: usize,
    label: usize,
    predicted: usize,
    probability: f32,
}

/// Writes `answers.csv`, `confusion.csv` and `.png`, `mistakes.csv` and `.png`.
///
/// In the matrix, a row is a class and a column what it was taken for; black is never, white as often as anything.
pub fn write(task: &Task, folder: &RunFolder) -> Result<(), Failure> {
    let answers = answers(task)?;
    atomic_write(&folder.path().join("answers.csv"), table(task, &answers).as_bytes())?;
    confusion(task, &answers, folder)?;
    let mut mistakes: Vec<Answer> =
        answers.into_iter().filter(|a| a.label != a.predicted).collect();
    mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    mistakes.truncate(MISTAKES);
    if mistakes.is_empty() {
        return Ok(());
    }
    atomic_write(&folder.path().join("mistakes.csv"), table(task, &mistakes).as_bytes())?;
    let photos = mistakes.iter().map(|mistake| task.photos.photo(mistake.index));
    let sheet = contact_sheet(&photos.collect::<Result<Vec<_>, _>>()?, SIDE)?;
    Ok(atomic_write(&folder.path().join("mistakes.png"), &sheet)?)
}

/// A line an answer, in the order of the pictures.
fn table(task: &Task, answers: &[Answer]) -> String {
    let line = |answer: &Answer| {
        let [class, other] = [answer.label, answer.predicted].map(|label| task.photos.class(label));
        let photo = task.photos.name(answer.index);
        format!("{photo},{class},{other},{:.4}\n", answer.probability)
    };
    let lines: String = answers.iter().map(line).collect();
    format!("photo,class,taken_for,probability\n{lines}")
}

/// One answer a held-out sample, in their order.
fn answers(task: &Task) -> Result<Vec<Answer>, Failure> {
    let classes = task.photos.classes();
    let mut answers = Vec::with_capacity(task.valid.len());
    for batch in Loader::new(&task.valid).batch(BATCH).epoch(0) {
        let (samples, labels) = batch?.to(&task.device)?;
        let outputs = task.net.forward(&samples, &Pass::evaluate())?.softmax(1)?;
        let scores = outputs.to_vec()?;
        for (row, label) in scores.chunks_exact(outputs.shape()[1]).zip(labels.to_vec()?) {
            // A network of 120 outputs may name a class that is not in use; the likeliest in use counts here.
            let best = row[..classes].iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            let (predicted, &probability) = best.ok_or("expected classes")?;
            answers.push(Answer {
                index: answers.len(),
                label: label as usize,
                predicted,
                probability,
            });
        }
    }
    Ok(answers)
}

fn confusion(task: &Task, answers: &[Answer], folder: &RunFolder) -> Result<(), Failure> {
    let classes = task.photos.classes();
    let mut counts = vec![0f32; classes * classes];
    answers.iter().for_each(|answer| counts[answer.label * classes + answer.predicted] += 1.0);
    let mut table = String::from("class");
    (0..classes).try_for_each(|class| write!(table, ",{}", task.photos.class(class)))?;
    for (class, row) in counts.chunks_exact(classes).enumerate() {
        write!(table, "\n{}", task.photos.class(class))?;
        row.iter().try_for_each(|count| write!(table, ",{count}"))?;
    }
    atomic_write(&folder.path().join("confusion.csv"), (table + "\n").as_bytes())?;
    let tiles = Tiles::new(&counts, [1, 1, classes, classes])?;
    let zoom = (MATRIX / classes).max(1);
    let style = GridStyle { per_row: 1, zoom, scale: Scale::PerTile };
    Ok(atomic_write(&folder.path().join("confusion.png"), &png(&grid(&tiles, &style)?)?)?)
}
