//! `report.html`: a run on one page, for people.
//!
//! Everything that the page says is computed from the run folder, its data and its weights when it is written, and
//! stands in the file: no script, no network, no other file.

mod answers;
mod chart;
mod insides;
mod page;

use striate::models::published;
use striate::nn::{atomic_write, grouped};
use striate::prelude::*;

use self::chart::chart;
use self::page::{Page, figures, note, pairs, table};
use crate::Failure;
use crate::answers::Answer;
use crate::run::{self, Config, Epoch, Line, RunFolder};
use crate::training::Job;

/// Writes the report of a run whose network, in `job`, has its last weights and gave these `answers`.
pub fn write(folder: &RunFolder, job: &Job, answers: &[Answer]) -> Result<(), Failure> {
    let (config, history) = (folder.config()?, folder.history()?);
    let (entry, net) = folder.network()?;
    let summary = Summary::new(&*net, &config.input(entry))?;
    let heading = heading(&config, job, &summary) + &head_figures(job, &history, answers);
    let mut page = Page::new(config.name(), heading);
    page.section("curves", "Curves", curves(&config, &history));
    page.section("configuration", "Configuration", configuration(&config, folder, &history));
    page.section("layers", "Layers", layers(&summary));
    page.section("fields", "Receptive fields", insides::fields(&config.name(), &*net)?);
    page.section("confusion", "Confusion matrix", answers::confusion(job, answers)?);
    page.section("samples", "Samples", answers::samples(&config, job, answers)?);
    page.section("kernels", "Kernels", insides::kernels(&*net)?);
    page.section("activations", "Activations", insides::activations(&*net, &config, job)?);
    let receipt = if folder.receipt_path().exists() { folder.receipt()? } else { Vec::new() };
    page.section("receipt", "Receipt", receipt_table(&receipt));
    let foot = format!("Written by striate {}.", env!("CARGO_PKG_VERSION"));
    Ok(atomic_write(&folder.report_path(), page.html(&foot).as_bytes())?)
}

/// One sentence on what was trained on what.
fn heading(config: &Config, job: &Job, summary: &Summary) -> String {
    let images = job.loader.dataset().len();
    let sentence = format!(
        "{} parameters, trained on {} images from {} in {} classes; {} held out{}. Seed {}.",
        grouped(summary.parameters as u64),
        grouped(images as u64),
        config.data,
        job.classes.len(),
        grouped(job.valid.len() as u64),
        match &job.test {
            Some(test) => format!(" and {} to test on at the end", grouped(test.len() as u64)),
            None => String::new(),
        },
        config.seed
    );
    format!("<p class=\"lead\">{}</p>\n", page::escape(&sentence))
}

/// The figures that a reader looks for first.
fn head_figures(job: &Job, history: &[Epoch], answers: &[Answer]) -> String {
    let mut rows = Vec::new();
    if job.test.is_some() {
        let right = answers.iter().filter(|answer| answer.is_right()).count();
        let accuracy = right as f64 / answers.len() as f64;
        let remark = format!("{} of {}", grouped(right as u64), grouped(answers.len() as u64));
        rows.push(("test accuracy", percent(accuracy), remark));
    }
    if let Some(last) = history.last() {
        rows.push((
            "valid accuracy",
            percent(last.valid_accuracy),
            format!("epoch {}", last.epoch),
        ));
    }
    let best = history.iter().max_by(|a, b| a.valid_accuracy.total_cmp(&b.valid_accuracy));
    if let Some(best) = best.filter(|best| best.epoch as usize != history.len()) {
        rows.push((
            "best valid accuracy",
            percent(best.valid_accuracy),
            format!("epoch {}", best.epoch),
        ));
    }
    let seconds: f64 = history.iter().map(|epoch| epoch.seconds).sum();
    let epochs = history.len();
    let plural = if epochs == 1 { "" } else { "s" };
    rows.push(("time", duration(seconds), format!("{epochs} epoch{plural}")));
    figures(&rows)
}

/// Loss and accuracy, ours and, where the document has them, the published ones.
fn curves(config: &Config, history: &[Epoch]) -> String {
    if history.is_empty() {
        return String::new();
    }
    let own = run::curves(history);
    let theirs = published(&config.name());
    let mut losses = vec![("train", &own.train_loss), ("valid", &own.valid_loss)];
    let mut accuracies = vec![("train", &own.train_accuracy), ("valid", &own.valid_accuracy)];
    if let Some(theirs) = &theirs {
        losses.extend([
            ("train published", &theirs.train_loss),
            ("valid published", &theirs.valid_loss),
        ]);
        accuracies.extend([
            ("train published", &theirs.train_accuracy),
            ("valid published", &theirs.valid_accuracy),
        ]);
    }
    let (loss, accuracy) = (chart("loss", &losses), chart("accuracy", &accuracies));
    let key = |class: &str, name: &str| {
        format!("<span><span class=\"key {class}\"></span>{name}</span>\n")
    };
    let keys = [key("train", "training"), key("valid", "held out")].concat();
    let published_keys = match theirs {
        Some(_) => [
            key("train published", "published, training"),
            key("valid published", "published, held out"),
        ]
        .concat(),
        None => String::new(),
    };
    format!(
        "<p class=\"note keys\">{keys}{published_keys}</p>\n<div class=\"charts\">\n\
         <figure><figcaption>Loss</figcaption>{loss}</figure>\n\
         <figure><figcaption>Accuracy</figcaption>{accuracy}</figure>\n</div>\n{}",
        epochs(history)
    )
}

/// The table of epochs.
fn epochs(history: &[Epoch]) -> String {
    let columns = [
        ("epoch", true),
        ("train loss", true),
        ("train accuracy", true),
        ("valid loss", true),
        ("valid accuracy", true),
        ("learning rate", true),
        ("seconds", true),
    ];
    let rows = history.iter().map(|epoch| {
        let Epoch { train_loss, train_accuracy, valid_loss, valid_accuracy, .. } = epoch;
        let results = [train_loss, train_accuracy, valid_loss, valid_accuracy];
        let results = results.map(|value| format!("{value:.4}"));
        let rest = [format!("{:.3e}", epoch.learning_rate), format!("{:.1}", epoch.seconds)];
        [&[epoch.epoch.to_string()][..], &results, &rest].concat()
    });
    let table = table(&columns, &rows.collect::<Vec<_>>(), 0);
    format!("<details><summary class=\"note\">All epochs</summary>{table}</details>\n")
}

fn configuration(config: &Config, folder: &RunFolder, history: &[Epoch]) -> String {
    let mut rows = vec![
        ("network", config.name()),
        ("data", config.data.to_string()),
        ("seed", config.seed.to_string()),
        ("epochs", format!("{} of {}", history.len(), config.epochs)),
        ("batch", config.batch.to_string()),
        ("optimizer", run::rule(&config.optimizer)),
    ];
    if let Some((mean, std)) = config.normalize {
        rows.push(("pixels", format!("minus {mean}, over {std}")));
    }
    if let Some(photos) = &config.photos {
        rows.push((
            "photos",
            format!(
                "{0} x {0}, {1}",
                photos.side,
                if photos.plain { "as they are" } else { "augmented" }
            ),
        ));
        rows.push(("held out by seed", photos.split.to_string()));
        if let Some(weights) = &photos.weights {
            rows.push(("weights of the body", weights.display().to_string()));
            let training = match photos.unfreeze_after {
                Some(epochs) => {
                    format!("frozen for {epochs} epochs, then trained at {}", photos.body_rate)
                }
                None => "frozen".to_owned(),
            };
            rows.push(("the body is", training));
        }
    }
    rows.push(("version", config.version.clone()));
    rows.push(("folder", folder.path().display().to_string()));
    pairs(&rows)
}

fn layers(summary: &Summary) -> String {
    let columns = [
        ("layer", false),
        ("kind", false),
        ("output", false),
        ("parameters", true),
        ("multiply-adds", true),
    ];
    let sizes =
        |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
    let mut rows: Vec<Vec<String>> = Vec::new();
    for row in &summary.rows {
        rows.push(vec![
            row.path.clone(),
            row.kind.clone(),
            sizes(&row.output),
            grouped(row.parameters as u64),
            grouped(row.macs),
        ]);
    }
    rows.push(vec![
        "all".into(),
        String::new(),
        String::new(),
        grouped(summary.parameters as u64),
        grouped(summary.macs),
    ]);
    let memory = format!(
        "For one sample of {}. Memory: input {:.2} MB, activations and their gradients {:.2} MB, parameters {:.2} MB.",
        sizes(&summary.input),
        summary.input_megabytes(),
        summary.activation_megabytes(),
        summary.parameter_megabytes()
    );
    table(&columns, &rows, 1) + &note(memory)
}

fn receipt_table(lines: &[Line]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let rows = lines.iter().map(|line| {
        format!(
            "<tr><td class=\"number\">{}</td><td>{}</td><td><code>{}</code></td></tr>\n",
            line.epoch,
            page::escape(&line.kernels),
            line.sha256
        )
    });
    note(
        "SHA-256 of the parameters after each epoch. `striate verify` repeats the run and compares.",
    ) + &format!(
        "<div class=\"scroll tall\"><table><thead><tr><th class=\"number\">epoch</th><th>kernels</th>\
             <th>SHA-256</th></tr></thead><tbody>{}</tbody></table></div>\n",
        rows.collect::<String>()
    )
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// `3 h 20 min`, `5 min 10 s`, `8.3 s`
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        3600.. => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        60.. => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{seconds:.1} s"),
    }
}
