//! `striate pooling`: document 4's account of what max pooling changes, computed.

use std::path::PathBuf;

use striate::models::pooling::{Layer, descent, pooled_column};
use striate::nn::atomic_write;

use super::{png_file, print, size};
use crate::Failure;
use crate::draw::tiles::{GridStyle, Scale, Tiles, grid, png};

/// Count layers with and without pooling, list sizes and parameters, show which shifts pooling hides
///
/// Unpadded 3x3 convolutions bring a colour picture down to a pixel, with max pooling by two after every fifth or without.
#[derive(clap::Args)]
pub struct Arguments {
    /// The side of the picture
    #[arg(long, default_value_t = 400, value_parser = size)]
    input: usize,
    /// How many convolutions stand between two poolings
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// Draw a column that moves across a 5x5 map, and below what is left of it, pooled
    #[arg(long, value_name = "FILE", value_parser = png_file())]
    draw: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let every = usize::from(arguments.every);
    let pooled = descent(arguments.input, Some(every))?;
    print_count(&descent(arguments.input, None)?, arguments.input, "without pooling")?;
    print_count(&pooled, arguments.input, &format!("pooled after every {every}"))?;
    print(format_args!(
        "\n{:<14} {:<16} {:<14} {:>10}",
        "object", "kernels", "output", "parameters"
    ))?;
    pooled.iter().try_for_each(print_layer)?;
    print("\na column of ones on a 5x5 map, and what max pooling by two leaves:")?;
    let maps = (0..5).map(pooled_column).collect::<Result<Vec<_>, _>>()?;
    for (column, (_, pooled)) in (1..).zip(&maps) {
        print(format_args!("column {column}: {pooled:?}"))?;
    }
    for (column, pair) in (1..).zip(maps.windows(2)) {
        let verdict = if pair[0].1 == pair[1].1 { "hidden" } else { "seen" };
        print(format_args!("shift from column {column} to {}: {verdict}", column + 1))?;
    }
    arguments.draw.map_or(Ok(()), |out| {
        atomic_write(&out, &drawing(&maps)?)?;
        print(format_args!("{}: five maps, and the five pooled", out.display()))
    })
}

fn print_count(layers: &[Layer], input: usize, how: &str) -> Result<(), Failure> {
    let count = layers.iter().filter(|layer| layer.kernels.is_some()).count();
    let last = layers.last().map_or(input, |layer| layer.output);
    print(format_args!("{how}: {count} convolutions from {input}x{input} to {last}x{last}"))
}

fn print_layer(layer: &Layer) -> Result<(), Failure> {
    let Layer { input, channels, output, .. } = *layer;
    let after = layer.kernels.unwrap_or(channels);
    print(format_args!(
        "{:<14} {:<16} {:<14} {:>10}",
        format!("{input}x{input}x{channels}"),
        layer.kernels.map_or("max pool 2x2".into(), |n| format!("(3x3x{channels})x{n}")),
        format!("{output}x{output}x{after}"),
        layer.parameters()
    ))
}

/// A cell of a pooled map covers four of the map above it; the fifth column and row are covered by none, and grey.
fn drawing(maps: &[([f32; 25], Vec<f32>)]) -> Result<Vec<u8>, Failure> {
    let above = maps.iter().flat_map(|(map, _)| map.to_vec());
    let below = maps.iter().flat_map(|(_, pooled)| {
        let cell = |cell: usize| match (cell % 5 / 2, cell / 5 / 2) {
            (x @ 0..2, y @ 0..2) => pooled[2 * y + x],
            _ => 0.4,
        };
        (0..25).map(cell).collect::<Vec<f32>>()
    });
    let values: Vec<f32> = above.chain(below).collect();
    let tiles = Tiles::new(&values, [2 * maps.len(), 1, 5, 5])?;
    let style = GridStyle { per_row: maps.len(), zoom: 24, scale: Scale::Fixed(0.0, 1.0) };
    Ok(png(&grid(&tiles, &style)?)?)
}
