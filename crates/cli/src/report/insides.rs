//! What is inside the network: how far its layers see, its first kernels, and what its layers make of a sample.

use std::sync::{Arc, Mutex, PoisonError};

use striate::nn::ReceptiveField;
use striate::prelude::*;

use super::page::{drawing, escape, figure, note, table};
use crate::Failure;
use crate::commands::receptive_field as field;
use crate::draw::tiles::{GridStyle, Scale, Tiles, grid};
use crate::run::Config;
use crate::training::Job;

/// Tiles in a row.
const PER_ROW: usize = 16;
/// The side, in pixels, to which a tile is enlarged, or shrunk.
const TILE: usize = 56;
/// Kernels and maps that are shown of a layer, at most.
const SHOWN: usize = 64;
/// Layers whose maps are shown, at most.
const LAYERS: usize = 4;

/// What a cell of each layer sees of the input, as a table and drawn; nothing, if there are no maps.
pub fn fields(name: &str, net: &dyn Module) -> Result<String, Failure> {
    let fields = ReceptiveField::of(net)?;
    if fields.layers.is_empty() {
        return Ok(String::new());
    }
    let mut columns = field::COLUMNS.map(|heading| (heading, true));
    (columns[0].1, columns[1].1) = (false, false);
    let rows: Vec<Vec<String>> =
        fields.layers.iter().map(|layer| field::cells(layer).to_vec()).collect();
    let explained = "Size: the pixels that a cell sees. Jump: from one cell's to the next one's. Centre: the offset of the \
                     first cell's, where 0 is the first pixel. Holes: pixels between the ends that are not seen.";
    let remarks: String = field::remarks(&fields).iter().map(note).collect();
    let svg = field::drawing(name, &fields)?;
    Ok(note(explained)
        + &table(&columns, &rows, 0)
        + &remarks
        + &drawing(&svg, "The fields, layer by layer"))
}

/// The kernels of the first convolution, grey over one channel and in colour over three; nothing, if there is none.
pub fn kernels(net: &dyn Module) -> Result<String, Failure> {
    let parameters = net.parameters();
    let Some(weight) = parameters.iter().find(|parameter| parameter.shape().len() == 4) else {
        return Ok(String::new());
    };
    let &[outputs, channels @ (1 | 3), height, width] = weight.shape() else {
        return Ok(String::new());
    };
    let (values, count) = (weight.tensor().to_vec()?, outputs.min(SHOWN));
    let values = &values[..count * channels * height * width];
    let tiles = Tiles::new(values, [count, channels, height, width])?;
    let style = GridStyle { per_row: PER_ROW, zoom: (TILE / height).max(1), scale: Scale::Shared };
    let name = weight.path();
    let caption =
        format!("{count} of {outputs} kernels of {name}, {height} x {width}, one scale for all");
    Ok(figure(&grid(&tiles, &style)?, &caption)?)
}

/// The maps that some layers make of the first sample the network is tested on; nothing, if none makes maps.
pub fn activations(net: &dyn Module, config: &Config, job: &Job) -> Result<String, Failure> {
    net.to_device(&Device::cpu())?;
    let mut html = String::new();
    for (path, maps) in chosen(maps(net, &sample(config, job)?)?) {
        let &[_, channels, height, width] = maps.shape() else { continue };
        let size = [height.min(TILE), width.min(TILE)];
        let maps = maps.adaptive_avg_pool(size)?;
        let count = channels.min(SHOWN);
        let values = maps.to_vec()?;
        let tiles = Tiles::new(&values[..count * size[0] * size[1]], [count, 1, size[0], size[1]])?;
        let zoom = TILE.div_ceil(size[0]);
        let style = GridStyle { per_row: PER_ROW, zoom, scale: Scale::PerTile };
        let shown = if count < channels { format!("the first {count} of ") } else { String::new() };
        let caption = format!(
            "{path}: {shown}{channels} maps of {height} x {width}, each on a scale of its own"
        );
        html += &figure(&grid(&tiles, &style)?, &caption)?;
    }
    let label = job.classes.get(first_label(job)?).map(|class| escape(class)).unwrap_or_default();
    match html.is_empty() {
        true => Ok(html),
        false => Ok(format!("<p class=\"note\">Of the first sample above, {label}.</p>\n{html}")),
    }
}

fn first_label(job: &Job) -> Result<usize, Failure> {
    let mut batches = Loader::new(job.last()).epoch(0);
    let batch = batches.next().ok_or("expected a sample")??;
    Ok(batch.labels[0] as usize)
}

/// The first sample as the whole network takes it: where features are cached, the job's own samples are not photos.
fn sample(config: &Config, job: &Job) -> Result<Tensor, Failure> {
    if let Some((photos, settings)) = job.photos.as_ref().zip(config.photos.as_ref()) {
        return settings.sample(photos.photo(0)?);
    }
    let mut batches = Loader::new(job.last()).epoch(0);
    Ok(batches.next().ok_or("expected a sample")??.to(&Device::cpu())?.0)
}

/// The outputs with two axes of all layers: what activations make of them, or, without any such layers, the convolutions'.
fn maps(net: &dyn Module, sample: &Tensor) -> Result<Vec<(String, Tensor)>, Failure> {
    let seen: Arc<Mutex<Vec<(String, String, Tensor)>>> = Arc::default();
    let noted = seen.clone();
    let pass = Pass::evaluate().hook_all(move |visit| {
        let is_map = matches!(visit.output.shape(), [_, _, height, width] if height * width > 1);
        if visit.leaf && is_map {
            let map = (visit.path.to_owned(), visit.kind.to_owned(), visit.output.clone());
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(map);
        }
        Ok(())
    });
    net.forward(sample, &pass)?;
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let kind = if seen.iter().any(|(_, kind, _)| kind == "ReLU") { "ReLU" } else { "Conv2d" };
    let wanted = seen.into_iter().filter(|(_, own, _)| own == kind);
    Ok(wanted.map(|(path, _, map)| (path, map)).collect())
}

/// All layers, or if they are many, the first, the last, and some between.
fn chosen<T>(layers: Vec<T>) -> Vec<T> {
    let last = layers.len().saturating_sub(1);
    let wanted: Vec<usize> = match last {
        0..LAYERS => (0..layers.len()).collect(),
        _ => (0..LAYERS).map(|number| number * last / (LAYERS - 1)).collect(),
    };
    let numbered = layers.into_iter().enumerate();
    numbered.filter(|(number, _)| wanted.contains(number)).map(|(_, layer)| layer).collect()
}
