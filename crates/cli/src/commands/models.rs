//! `striate models`: what can be built.

use serde_json::json;
use striate::models::CATALOGUE;
use striate::nn::grouped;

use super::columns::Columns;
use super::print;
use crate::Failure;

/// List every network: document, parameters, whether `train` takes it, the published figure and ours
#[derive(clap::Args)]
pub struct Arguments {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Print Markdown instead of text
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.json {
        let rows = CATALOGUE.iter().map(|entry| {
            json!({
                "name": entry.name,
                "document": entry.document,
                "input": entry.input,
                "classes": entry.classes,
                "parameters": entry.parameters,
                "published": entry.published,
                "ours": entry.ours,
                "description": entry.description,
                "train": entry.recipe.is_some(),
            })
        });
        return print(serde_json::to_string_pretty(&rows.collect::<Vec<_>>())?);
    }
    let columns = [
        ("name", 21, false),
        ("document", 8, true),
        ("input", 9, true),
        ("parameters", 11, true),
        ("train", 5, true),
        ("published", 56, false),
        ("ours", 0, false),
    ];
    let table = Columns { columns: &columns, markdown: arguments.markdown };
    table.heading()?;
    CATALOGUE.iter().try_for_each(|entry| {
        let input: Vec<String> = entry.input.iter().map(usize::to_string).collect();
        table.row([
            entry.name.to_owned(),
            entry.document.to_string(),
            input.join("x"),
            grouped(entry.parameters as u64),
            if entry.recipe.is_some() { "yes" } else { "no" }.to_owned(),
            entry.published.to_owned(),
            entry.ours.to_owned(),
        ])
    })
}
