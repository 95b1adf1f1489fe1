//! What the network says of the samples it is tested on: the confusion matrix, the first samples, and the mistakes it
//! is surest of.

use image::RgbImage;
use striate::models::find;
use striate::prelude::*;
use striate::tensor::random::{Key, Purpose};

use super::page::{data_uri, escape, figure, note};
use crate::Failure;
use crate::answers::{Answer, confusion as counts, mistakes};
use crate::data::normalization;
use crate::draw::tiles::{GridStyle, Scale, Tiles, grid, png};
use crate::run::Config;
use crate::training::Job;

/// Up to this many classes the matrix shows its numbers.
const NUMBERED: usize = 20;
/// The side of a matrix without numbers, about.
const MATRIX: usize = 720;
/// Samples that are shown of each kind.
const SAMPLES: usize = 16;
/// The side of a shown photo.
const PHOTO: usize = 160;

/// The confusion matrix, as a table or, with many classes, as a picture.
pub fn confusion(job: &Job, answers: &[Answer]) -> Result<String, Failure> {
    let classes = job.classes.len();
    let counts = counts(answers, classes);
    let explained = note("A row is what it is, a column what it was taken for.");
    if classes <= NUMBERED {
        return Ok(numbered(&job.classes, &counts) + &explained);
    }
    let shades: Vec<f32> = counts.iter().map(|&times| times as f32).collect();
    let tiles = Tiles::new(&shades, [1, 1, classes, classes])?;
    let style = GridStyle { per_row: 1, zoom: (MATRIX / classes).max(1), scale: Scale::PerTile };
    let caption = "Classes in the order of their names; black is never, white as often as anything";
    Ok(figure(&grid(&tiles, &style)?, caption)? + &explained)
}

fn numbered(classes: &[String], counts: &[usize]) -> String {
    let headings = classes.iter().map(|class| format!("<th><span>{}</span></th>", escape(class)));
    let rows = classes.iter().zip(counts.chunks_exact(classes.len())).map(|(class, row)| {
        let all = row.iter().sum::<usize>().max(1);
        let cells = row.iter().map(|&times| {
            let share = times as f64 / all as f64;
            let class = if times == 0 {
                " class=\"none\""
            } else if share > 0.5 {
                " class=\"full\""
            } else {
                ""
            };
            format!("<td{class} style=\"--share:{share:.3}\">{times}</td>")
        });
        format!("<tr><th>{}</th>{}</tr>\n", escape(class), cells.collect::<String>())
    });
    format!(
        "<div class=\"scroll\"><table class=\"matrix\">\n<thead><tr><th></th>{}</tr></thead>\n<tbody>{}</tbody>\n\
         </table></div>\n",
        headings.collect::<String>(),
        rows.collect::<String>()
    )
}

/// The first samples with their answers, and the surest mistakes.
pub fn samples(config: &Config, job: &Job, answers: &[Answer]) -> Result<String, Failure> {
    let first = &answers[..answers.len().min(SAMPLES)];
    let mut wrong = mistakes(answers);
    let count = wrong.len();
    wrong.truncate(SAMPLES);
    let kind = if job.test.is_some() { "test" } else { "held-out" };
    let mut html = format!("<h3>The first {kind} samples</h3>\n") + &pictures(config, job, first)?;
    if !wrong.is_empty() {
        html += &format!("<h3>The surest of {count} mistakes</h3>\n");
        html += &pictures(config, job, &wrong)?;
    }
    Ok(html)
}

fn pictures(config: &Config, job: &Job, answers: &[Answer]) -> Result<String, Failure> {
    let mut html = String::from("<div class=\"samples\">\n");
    for answer in answers {
        let picture = picture(config, job, answer.index)?;
        let address = data_uri(&png(&picture)?);
        let name = |class: usize| escape(&job.classes[class].replace('_', " "));
        let [label, predicted] = [answer.label, answer.predicted].map(name);
        let verdict = match answer.is_right() {
            true => label.clone(),
            false => format!("{label}, <span class=\"wrong\">taken for {predicted}</span>"),
        };
        let pixels = if picture.width() < PHOTO as u32 { " class=\"pixels\"" } else { "" };
        html += &format!(
            "<figure><img{pixels} src=\"{address}\" alt=\"{label}\"><figcaption>{verdict}\
             <span class=\"share\">{:.1} %</span></figcaption></figure>\n",
            100.0 * answer.probability
        );
    }
    Ok(html + "</div>\n")
}

/// A sample that the network is tested on, as people see it: photos framed, other images without their normalisation.
fn picture(config: &Config, job: &Job, index: usize) -> Result<RgbImage, Failure> {
    if let Some(photos) = &job.photos {
        let photo = photos.photo(index)?.pad_to_square().resize(PHOTO, PHOTO);
        let picture = RgbImage::from_raw(PHOTO as u32, PHOTO as u32, photo.pixels().to_vec());
        return picture.ok_or_else(|| "expected three bytes a pixel".into());
    }
    let samples = job.last();
    let &[channels, height, width] = samples.sample_shape() else {
        return Err("expected images".into());
    };
    let mut values = vec![0.0; channels * height * width];
    samples.read(index, Key::new(0, Purpose::Augment), &mut values)?;
    let (mean, std) = find(&config.model).map(normalization).unwrap_or(([0.0; 3], [1.0; 3]));
    let byte = |channel: usize, pixel: usize| {
        let value = values[channel % channels * height * width + pixel];
        ((value * std[channel % channels] + mean[channel % channels]) * 255.0).round() as u8
    };
    Ok(RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let pixel = y as usize * width + x as usize;
        [0, 1, 2].map(|channel| byte(channel, pixel)).into()
    }))
}
