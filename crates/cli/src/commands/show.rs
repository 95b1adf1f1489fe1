//! `striate show`: pictures of kernels, of activations, and of windows that slide.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use striate::models::Recipe;
use striate::models::arithmetic::{CASES, Case, Kind};
use striate::nn::atomic_write;
use striate::prelude::*;

use super::dead::dead_logits;
use super::print;
use crate::Failure;
use crate::data::{Source, picture};
use crate::draw::sliding::{Motion, Sliding, sliding_svg};
use crate::draw::tiles::{GridStyle, Scale, Tile, grid, png};
use crate::run::run_or_model;

/// Draw kernels, activations, or the windows of a convolution
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The kernels of a convolution as a grid, eight a row, one scale for all
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
        #[arg(long, default_value_t = 6)]
        count: usize,
        /// The seed of the choice
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The picture to write
        #[arg(long, default_value = "batch.png")]
        out: PathBuf,
    },
    /// Which classes of document 4's network are dead from the start, seed by seed
    DeadLogits {
        /// Seeds 1 to this
        #[arg(long, default_value_t = 8)]
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
        What::Batch { count, seed, out } => batch(count, seed, &out),
        What::DeadLogits { seeds, images } => dead_logits(seeds, images),
        What::Sliding { case, still, out } => {
            let cases = match case {
                Some(number) => number as usize - 1..number as usize,
                None => 0..CASES.len(),
            };
            cases.into_iter().try_for_each(|case| sliding(case, still, &out))
        }
    }
}

fn kernels(network: &str, layer: Option<&str>, out: &Path) -> Result<(), Failure> {
    let (_, net) = run_or_model(network)?;
    let parameters = net.parameters();
    let mut convolutions = parameters.iter().filter(|parameter| parameter.shape().len() == 4);
    let weight = match layer {
        None => convolutions.next(),
        Some(layer) => convolutions.find(|p| p.path() == format!("{layer}.weight")),
    };
    let Some(weight) = weight else {
        let paths = parameters.iter().filter(|parameter| parameter.shape().len() == 4);
        let names: Vec<&str> = paths.filter_map(|p| p.path().strip_suffix(".weight")).collect();
        return Err(no_layer(network, layer.unwrap_or("convolution"), &names));
    };
    let &[outputs, inputs, height, width] = weight.shape() else {
        return Err("expected a convolution over two axes".into());
    };
    // Kernels over one or three channels are pictures; of others, each input channel is one.
    let (count, channels) = match inputs {
        1 | 3 => (outputs, inputs),
        _ => (outputs * inputs, 1),
    };
    let tiles = Tile::split(&weight.tensor().to_vec()?, [count, channels, height, width])?;
    let style = GridStyle { zoom: 8, ..GridStyle::default() };
    write_grid(&tiles, &style, out)
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
    let found: Arc<Mutex<Option<Tensor>>> = Arc::default();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (slot, names, wanted) = (found.clone(), seen.clone(), layer.to_owned());
    let pass = Pass::evaluate().hook_all(move |visit| {
        if visit.path == wanted {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(visit.output.clone());
        }
        let maps = visit.output.rank() == 4 && !visit.path.is_empty();
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        names.extend(maps.then(|| visit.path.to_owned()));
        Ok(())
    });
    net.forward(&sample, &pass)?;
    let names = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let output = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(output) = output.filter(|output| output.rank() == 4) else {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        return Err(no_layer(network, layer, &names));
    };
    let &[_, channels, height, width] = output.shape() else {
        return Err("expected maps with two axes".into());
    };
    let tiles = Tile::split(&output.to_vec()?, [channels, 1, height, width])?;
    let style =
        GridStyle { zoom: (56 / height).max(1), scale: Scale::PerTile, ..GridStyle::default() };
    write_grid(&tiles, &style, out)
}

fn batch(count: usize, seed: u64, out: &Path) -> Result<(), Failure> {
    let digits = Mnist::shipped()?.train;
    if count == 0 || count > digits.len() {
        return Err(format!("expected a count in 1..={}, got {count}", digits.len()).into());
    }
    let mut batches = Loader::new(&digits).batch(count).shuffle(seed).epoch(0);
    let (images, labels) = batches.next().ok_or("expected a batch")??.to(&Device::cpu())?;
    let tiles = Tile::split(&images.to_vec()?, [count, 1, 28, 28])?;
    let style = GridStyle { zoom: 4, scale: Scale::Fixed(0.0, 1.0), ..GridStyle::default() };
    write_grid(&tiles, &style, out)?;
    let labels: Vec<String> = labels.to_vec()?.iter().map(i64::to_string).collect();
    print(labels.join(" "))
}

/// A digit of the held-out part of the shipped ones as a batch of one.
fn held_out_digit(recipe: Option<fn() -> Recipe>, index: usize) -> Result<Tensor, Failure> {
    let Some(recipe) = recipe else {
        return Err("expected --image FILE: there are no pictures for this network here".into());
    };
    let digits = Source::Shipped.load(&recipe())?.test;
    if index >= digits.len() {
        return Err(format!("expected an index below {}, got {index}", digits.len()).into());
    }
    let mut one = Loader::new(&digits.subset(index..index + 1)?).epoch(0);
    let batch = one.next().ok_or("expected a digit")??;
    Ok(batch.to(&Device::cpu())?.0)
}

fn no_layer(network: &str, layer: &str, names: &[&str]) -> Failure {
    format!("{network} has no {layer} to draw; there are {}", names.join(", ")).into()
}

fn write_grid(tiles: &[Tile], style: &GridStyle, out: &Path) -> Result<(), Failure> {
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
        title: format!("{}: {} = {output}", case.name, case.formula),
        input: [case.input; 2],
        kernel: [case.kernel; 2],
        stride: [case.stride; 2],
        padding: [[case.padding; 2]; 2],
        dilation: [case.dilation; 2],
        transposed: case.kind == Kind::Transposed,
        output: [output; 2],
    };
    let out = folder.join(format!("sliding-{}.svg", index + 1));
    let motion = still.map_or(Motion::Animated, Motion::Still);
    atomic_write(&out, sliding_svg(&scene, motion)?.as_bytes())?;
    print(format_args!("{}: {}", out.display(), case.name))
}
