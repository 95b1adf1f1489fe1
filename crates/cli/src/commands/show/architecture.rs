//! `striate show architecture`: a network as a row of slabs.

use std::path::PathBuf;

use striate::models::Entry;
use striate::nn::{ReceptiveField, Row, atomic_write, grouped};
use striate::prelude::*;

use super::super::receptive_field::describe;
use super::super::{entry, print, sizes, svg_file};
use crate::Failure;
use crate::draw::architecture::{Colour, Slab, architecture_svg};

/// A network as a row of slabs, as high as its maps and as thick as its channels, annotated
///
/// Shapes come from the network, which is run without computing anything.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network's name, as `striate models` lists it
    model: String,
    /// The shape of one sample, such as 3x224x224 [default: the network's own]
    #[arg(long, value_parser = sizes)]
    input: Option<std::vec::Vec<usize>>,
    /// The picture to write
    #[arg(long, default_value = "architecture.svg", value_parser = svg_file())]
    out: PathBuf,
}

impl Arguments {
    pub fn draw(&self) -> Result<(), Failure> {
        let entry: &Entry = entry(&self.model)?;
        let net = (entry.build)(&Init::seed(1).on(&Device::meta()))?;
        let summary = Summary::new(&*net, self.input.as_deref().unwrap_or(entry.input))?;
        let field = ReceptiveField::of(&*net)?;
        let mut slabs = vec![Slab::new("input", Colour::Other, &summary.input)];
        for row in &summary.rows {
            match (colour(row), slabs.last_mut()) {
                // What changes neither size nor channels is a note on what it follows.
                (Colour::Other, Some(last)) if last.shape == row.output => last.note(&row.kind),
                (colour, _) => {
                    let layer = field.layers.iter().find(|layer| layer.path == row.path);
                    let window = layer.map(|layer| format!(" {}", describe(&layer.windows)));
                    let name = format!("{}{}", row.kind, window.unwrap_or_default());
                    slabs.push(Slab {
                        parameters: row.parameters,
                        ..Slab::new(&name, colour, &row.output)
                    });
                }
            }
        }
        let title = format!(
            "{}: {} parameters, {} multiply-accumulates",
            entry.name,
            grouped(summary.parameters as u64),
            grouped(summary.macs)
        );
        atomic_write(&self.out, architecture_svg(&title, &slabs)?.as_bytes())?;
        print(format_args!("{}: {} slabs", self.out.display(), slabs.len()))
    }
}

fn colour(row: &Row) -> Colour {
    match row.kind.as_str() {
        kind if kind.starts_with("Conv") => Colour::Convolution,
        kind if kind.contains("Pool") => Colour::Pooling,
        "Linear" => Colour::Linear,
        _ => Colour::Other,
    }
}
