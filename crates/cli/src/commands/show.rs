//! `striate show`: pictures of kernels, of activations, and of windows that slide.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use striate::models::arithmetic::{CASES, Case, Kind};
use striate::models::{Corpus, Recipe};
use striate::nn::atomic_write;
use striate::prelude::*;

use super::dead::dead_logits;
use super::print;
use crate::Failure;
use crate::data::{Source, picture};
use crate::draw::sliding::{Sliding, sliding_svg};
use crate::draw::tiles::{GridStyle, Scale, Tiles, grid, png};
use crate::named;
use crate::run::run_or_model;

/// Tiles in a row, where nothing asks for another number.
const PER_ROW: usize = 8;
/// The side, in pixels, to which a tile is enlarged at most, and a sheet's, where that can be met.
const TILE: usize = 56;
const SHEET: usize = 4096;

/// Draw kernels, activations, or the windows of a convolution
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The kernels of a convolution as a grid, one scale for all
    ///
    /// Kernels over one channel are grey and kernels over three in colour, eight in a row. Kernels over more channels
    /// have a row each, with a tile for each channel.
    Kernels {
        /// A run folder, or a model's name for fresh weights
        network: String,
        /// The layer's path [default: the first convolution]
        #[arg(long)]
        layer: Option<String>,
        /// The picture to write
        #[arg(long, default_value = "kernels.png")]
        out: PathBuf,
    },
    /// What a layer makes of one image, a tile for each channel
    Activations {
        /// A run folder, or a model's name for fresh weights
        network: String,
        /// The layer's path, such as conv1
        #[arg(long)]
        layer: String,
        /// A picture file [default: a held-out digit]
        #[arg(long)]
        image: Option<PathBuf>,
        /// Which held-out digit
        #[arg(long, default_value_t = 0)]
        index: usize,
        /// The picture to write
        #[arg(long, default_value = "activations.png")]
        out: PathBuf,
    },
    /// Some training digits, and their labels in the same order
    Batch {
        /// How many
        #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
        /// The seed of the choice
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The picture to write
        #[arg(long, default_value = "batch.png")]
        out: PathBuf,
    },
    /// Photos from a folder, as they are or as document 2 augments them, five by five
    Photos(super::photos::Sheet),
    /// Which classes of document 4's network are dead from the start, seed by seed
    DeadLogits {
        /// Seeds 1 to this
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// How many digits a class must be dead on
        #[arg(long, default_value_t = 300)]
        images: usize,
    },
    /// A window sliding over its input, as an animation; without a case, all of document 3's
    Sliding {
        /// The number of a case, as `striate arithmetic` lists them, from 1
        #[arg(value_parser = clap::value_parser!(u64).range(1..=CASES.len() as u64))]
        case: Option<u64>,
        /// Draw one position only, counted from 0, instead of an animation
        #[arg(long, value_name = "POSITION")]
        still: Option<usize>,
        /// The folder to write to
        #[arg(long, default_value = ".")]
        out: PathBuf,
    },
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.what {
        What::Kernels { network, layer, out } => kernels(&network, layer.as_deref(), &out),
        What::Activations { network, layer, image, index, out } => {
            activations(&network, &layer, (image, index), &out)
        }
        What::Batch { count, seed, out } => batch(count as usize, seed, &out),
        What::Photos(sheet) => sheet.draw(),
        What::DeadLogits { seeds, images } => dead_logits(seeds, images),
        What::Sliding { case, still, out } => {
            let cases = match case {
                Some(number) => number as usize - 1..number as usize,
                None => 0..CASES.len(),
            };
            std::fs::create_dir_all(&out).map_err(named(&out))?;
            cases.into_iter().try_for_each(|case| sliding(case, still, &out))
        }
    }
}

fn kernels(network: &str, layer: Option<&str>, out: &Path) -> Result<(), Failure> {
    let (_, net) = run_or_model(network)?;
    let mut weights = net.parameters();
    weights.retain(|parameter| parameter.shape().len() == 4);
    let is_asked = |path: &str| layer.is_none_or(|layer| path == format!("{layer}.weight"));
    let Some(weight) = weights.iter().find(|weight| is_asked(weight.path())) else {
        let names = weights.iter().filter_map(|weight| weight.path().strip_suffix(".weight"));
        return Err(no_layer(network, layer.unwrap_or_default(), &names.collect::<Vec<_>>()));
    };
    let &[outputs, inputs, height, width] = weight.shape() else {
        return Err("expected a convolution over two axes".into());
    };
    let ([count, channels], per_row) = match inputs {
        1 | 3 => ([outputs, inputs], PER_ROW),
        _ => ([outputs * inputs, 1], inputs),
    };
    let values = weight.tensor().to_vec()?;
    let tiles = Tiles::new(&values, [count, channels, height, width])?;
    let zoom = (TILE / height).min(SHEET / per_row / (width + 1)).max(1);
    write_grid(&tiles, &GridStyle { per_row, zoom, scale: Scale::Shared }, out)
}

fn activations(
    network: &str,
    layer: &str,
    (image, index): (Option<PathBuf>, usize),
    out: &Path,
) -> Result<(), Failure> {
    let (entry, net) = run_or_model(network)?;
    let sample = match image {
        Some(path) => picture(&path, entry, false)?,
        None => held_out_digit(entry.recipe, index)?,
    };
    let maps: Arc<Mutex<Vec<(String, Tensor)>>> = Arc::default();
    let seen = maps.clone();
    let pass = Pass::evaluate().hook_all(move |visit| {
        if visit.output.rank() == 4 && !visit.path.is_empty() {
            let map = (visit.path.to_owned(), visit.output.clone());
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(map);
        }
        Ok(())
    });
    net.forward(&sample, &pass)?;
    let maps = maps.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((_, output)) = maps.iter().rfind(|(path, _)| path == layer) else {
        let names: Vec<&str> = maps.iter().map(|(path, _)| path.as_str()).collect();
        return Err(no_layer(network, layer, &names));
    };
    let &[_, channels, height, width] = output.shape() else {
        return Err("expected maps with two axes".into());
    };
    let values = output.to_vec()?;
    let tiles = Tiles::new(&values, [channels, 1, height, width])?;
    let style = GridStyle { per_row: PER_ROW, zoom: TILE / height, scale: Scale::PerTile };
    write_grid(&tiles, &style, out)
}

fn batch(count: usize, seed: u64, out: &Path) -> Result<(), Failure> {
    let digits = Mnist::shipped()?.train;
    let mut batches = Loader::new(&digits).batch(count).shuffle(seed).epoch(0);
    let (images, labels) = batches.next().ok_or("expected a batch")??.to(&Device::cpu())?;
    let values = images.to_vec()?;
    let tiles = Tiles::new(&values, [count, 1, 28, 28])?;
    let style = GridStyle { per_row: PER_ROW, zoom: 4, scale: Scale::Fixed(0.0, 1.0) };
    write_grid(&tiles, &style, out)?;
    let labels: Vec<String> = labels.to_vec()?.iter().map(i64::to_string).collect();
    print(labels.join(" "))
}

/// A digit of the held-out part of the shipped ones as a batch of one.
fn held_out_digit(recipe: Option<fn() -> Recipe>, index: usize) -> Result<Tensor, Failure> {
    let Some(recipe) = recipe.map(|recipe| recipe()).filter(|r| r.corpus == Corpus::Digits) else {
        return Err("expected --image FILE: there are no pictures for this network here".into());
    };
    let digits = Source::Shipped.load(&recipe)?.valid;
    if index >= digits.len() {
        return Err(format!("expected an index below {}, got {index}", digits.len()).into());
    }
    let mut one = Loader::new(&digits.subset(index..index + 1)?).epoch(0);
    let batch = one.next().ok_or("expected a digit")??;
    Ok(batch.to(&Device::cpu())?.0)
}

/// That the network has no `layer` over two axes, with the names of those that it has.
fn no_layer(network: &str, layer: &str, names: &[&str]) -> Failure {
    match names {
        [] => format!("{network} has no convolution to draw"),
        _ => format!("{network} has no {layer:?} to draw; there are {}", names.join(", ")),
    }
    .into()
}

fn write_grid(tiles: &Tiles, style: &GridStyle, out: &Path) -> Result<(), Failure> {
    let picture = grid(tiles, style)?;
    atomic_write(out, &png(&picture)?)?;
    let (width, height) = picture.dimensions();
    print(format_args!("{}: {} tiles, {width}x{height} pixels", out.display(), tiles.len()))
}

/// Draws case `index`, with the output size that its geometry gives.
fn sliding(index: usize, still: Option<usize>, folder: &Path) -> Result<(), Failure> {
    let case: &Case = &CASES[index];
    let output = case.summary()?.rows[0].output[1];
    let scene = Sliding {
        title: format!("{}: output {output} = {}", case.name, case.formula),
        input: case.input,
        kernel: case.kernel,
        stride: case.stride,
        padding: case.padding,
        dilation: case.dilation,
        transposed: case.kind == Kind::Transposed,
        output,
    };
    let out = folder.join(format!("sliding-{}.svg", index + 1));
    atomic_write(&out, sliding_svg(&scene, still)?.as_bytes())?;
    print(format_args!("{}: {}", out.display(), case.name))
}
