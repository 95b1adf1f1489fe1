//! `striate show kernels` and `show activations`: what a network looks for, and what it finds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use striate::data::{Images, Subset};
use striate::prelude::*;

use super::super::png_file;
use super::{held_out, write_grid};
use crate::Failure;
use crate::data::picture;
use crate::draw::tiles::{GridStyle, Scale, Tiles};
use crate::run::run_or_model;

/// Tiles in a row, where nothing asks for another number.
const PER_ROW: usize = 8;
/// The side, in pixels, that a tile is enlarged to, more or less, and a sheet's at most, where that can be met.
const TILE: usize = 56;
const SHEET: usize = 4096;

/// The kernels of a convolution as a grid, one scale for all
///
/// Kernels over one channel are grey and kernels over three in colour, eight in a row. Kernels over more channels
/// have a row each, with a tile for each channel.
#[derive(clap::Args)]
pub struct Kernels {
    /// A run folder, or a model's name for fresh weights
    network: String,
    /// The layer's path [default: the first convolution]
    #[arg(long)]
    layer: Option<String>,
    /// The picture to write
    #[arg(long, default_value = "kernels.png", value_parser = png_file())]
    out: PathBuf,
}

impl Kernels {
    pub fn draw(&self) -> Result<(), Failure> {
        let (_, net) = run_or_model(&self.network)?;
        let mut weights = net.parameters();
        weights.retain(|parameter| parameter.shape().len() == 4);
        let layer = self.layer.as_deref();
        let is_asked = |path: &str| layer.is_none_or(|layer| path == format!("{layer}.weight"));
        let Some(weight) = weights.iter().find(|weight| is_asked(weight.path())) else {
            let names = weights.iter().filter_map(|weight| weight.path().strip_suffix(".weight"));
            let names: Vec<&str> = names.collect();
            return Err(no_layer(&self.network, layer.unwrap_or_default(), &names));
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
        write_grid(&tiles, &GridStyle { per_row, zoom, scale: Scale::Shared }, &[], &self.out)
    }
}

/// What a layer makes of one image, a tile for each channel
#[derive(clap::Args)]
pub struct Activations {
    /// A run folder, or a model's name for fresh weights
    network: String,
    /// The layer's path, such as conv1
    #[arg(long)]
    layer: String,
    /// A picture file [default: a held-out image]
    #[arg(long)]
    image: Option<PathBuf>,
    /// A folder with MNIST or CIFAR-10 for the held-out image [default: what the run used, or the shipped digits]
    #[arg(long, value_name = "DIR", conflicts_with = "image")]
    data: Option<PathBuf>,
    /// Which held-out image
    #[arg(long, default_value_t = 0)]
    index: usize,
    /// The picture to write
    #[arg(long, default_value = "activations.png", value_parser = png_file())]
    out: PathBuf,
}

impl Activations {
    pub fn draw(self) -> Result<(), Failure> {
        let (entry, net) = run_or_model(&self.network)?;
        let sample = match self.image {
            Some(path) => picture(&path, entry, false)?,
            None => one_of(held_out(&self.network, entry, self.data)?, self.index)?,
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
        let Some((_, output)) = maps.iter().rfind(|(path, _)| *path == self.layer) else {
            let names: Vec<&str> = maps.iter().map(|(path, _)| path.as_str()).collect();
            return Err(no_layer(&self.network, &self.layer, &names));
        };
        let &[_, channels, height, width] = output.shape() else {
            return Err("expected maps with two axes".into());
        };
        let values = output.to_vec()?;
        let tiles = Tiles::new(&values, [channels, 1, height, width])?;
        let style =
            GridStyle { per_row: PER_ROW, zoom: TILE.div_ceil(height), scale: Scale::PerTile };
        write_grid(&tiles, &style, &[], &self.out)
    }
}

/// One of the held-out images as a batch.
fn one_of(images: Option<Subset<Images>>, index: usize) -> Result<Tensor, Failure> {
    let Some(images) = images else {
        return Err(
            "expected --image FILE or --data DIR: there are no pictures for this network here"
                .into(),
        );
    };
    if index >= images.len() {
        return Err(format!("expected an index below {}, got {index}", images.len()).into());
    }
    let mut one = Loader::new(&images.subset(index..index + 1)?).epoch(0);
    let batch = one.next().ok_or("expected an image")??;
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
