//! `striate show`: pictures of kernels, of activations, of what a cell sees, and of windows that slide.
//!
//! Each kind of picture is a file: its arguments, and one function that draws it.

mod architecture;
mod batch;
mod dead;
mod drawings;
mod erf;
mod maps;
mod pooled;
mod sliding;

use std::path::{Path, PathBuf};

use striate::data::{Images, Subset};
use striate::models::{Corpus, Entry};
use striate::nn::atomic_write;

use super::print;
use crate::Failure;
use crate::data::{Source, recipe};
use crate::draw::tiles::{GridStyle, Tiles, labelled_grid, png};
use crate::run::RunFolder;

/// Draw kernels, activations, what a cell sees, or the windows of a convolution
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Kernels(maps::Kernels),
    Activations(maps::Activations),
    Batch(batch::Arguments),
    /// Photos from a folder, as they are or as document 2 augments them, five by five
    Photos(super::photos::Sheet),
    Erf(erf::Arguments),
    Architecture(architecture::Arguments),
    DeadLogits(dead::Arguments),
    Sliding(sliding::Arguments),
    Drawing(drawings::Arguments),
    Pooled(pooled::Arguments),
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.what {
        What::Kernels(kernels) => kernels.draw(),
        What::Activations(activations) => activations.draw(),
        What::Batch(batch) => batch.draw(),
        What::Photos(sheet) => sheet.draw(),
        What::Erf(erf) => erf.draw(),
        What::Architecture(architecture) => architecture.draw(),
        What::DeadLogits(dead) => dead.print(),
        What::Sliding(sliding) => sliding.draw(),
        What::Drawing(drawing) => drawing.draw(),
        What::Pooled(pooled) => pooled.draw(),
    }
}

/// Held-out images for a network, from the folder that is asked for, the one that its run used, or the shipped digits;
/// none if these are not what it looks at.
fn held_out(
    network: &str,
    entry: &Entry,
    data: Option<PathBuf>,
) -> Result<Option<Subset<Images>>, Failure> {
    if entry.recipe.is_none() && data.is_none() {
        return Ok(None);
    }
    let recipe = recipe(entry)?;
    let source = match data {
        None if Path::new(network).is_dir() => RunFolder::open(Path::new(network))?.config()?.data,
        data => Source::from_option(data)?,
    };
    match (recipe.corpus, &source) {
        (Corpus::Cifar10, Source::Shipped) => Ok(None),
        _ => Ok(Some(source.load(&recipe)?.valid)),
    }
}

/// Writes tiles as PNG, each with its label below, if there are labels.
fn write_grid(
    tiles: &Tiles,
    style: &GridStyle,
    labels: &[String],
    out: &Path,
) -> Result<(), Failure> {
    let picture = labelled_grid(tiles, style, labels)?;
    atomic_write(out, &png(&picture)?)?;
    let (width, height) = picture.dimensions();
    print(format_args!("{}: {} tiles, {width}x{height} pixels", out.display(), tiles.len()))
}
