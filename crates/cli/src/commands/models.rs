//! `striate models`: what can be built.

use serde_json::json;
use striate::models::CATALOGUE;

use super::print;
use crate::Failure;

/// List every network: document, parameters, whether `train` takes it, published figure
#[derive(clap::Args)]
pub struct Arguments {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
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
                "description": entry.description,
                "train": entry.recipe.is_some(),
            })
        });
        return print(serde_json::to_string_pretty(&rows.collect::<Vec<_>>())?);
    }
    print(format_args!(
        "{:<22} {:>8} {:>12} {:>12} {:>6}  {}",
        "name", "document", "input", "parameters", "train", "published"
    ))?;
    for entry in CATALOGUE {
        let input: Vec<String> = entry.input.iter().map(usize::to_string).collect();
        print(format_args!(
            "{:<22} {:>8} {:>12} {:>12} {:>6}  {}",
            entry.name,
            entry.document,
            input.join("x"),
            entry.parameters,
            if entry.recipe.is_some() { "yes" } else { "no" },
            entry.published
        ))?;
    }
    Ok(())
}
