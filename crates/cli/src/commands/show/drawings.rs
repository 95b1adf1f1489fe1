//! `striate show drawing`: padding, max pooling and a convolution over three channels, with numbers to check by hand.
//!
//! The numbers that go in are made up; those that come out are computed by the engine.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use striate::nn::atomic_write;
use striate::prelude::*;
use striate::tensor::ops::PadMode;

use super::super::print;
use crate::draw::cells::{BLUE, GREEN, GREY, ORANGE, PLAIN, Piece, RED, cells_svg};
use crate::{Failure, named};

/// Padding, max pooling, or a convolution over channels, with all numbers; without a name, all three
#[derive(clap::Args)]
pub struct Arguments {
    /// Which
    what: Option<Drawing>,
    /// The folder to write to
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Drawing {
    /// A 6x6 map padded to 8x8, so that a 3x3 kernel returns 6x6
    Padding,
    /// A 4x4 map pooled to 2x2
    MaxPooling,
    /// Three input channels and two kernels
    Channels,
}

impl Arguments {
    pub fn draw(&self) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.out).map_err(named(&self.out))?;
        let all = Drawing::value_variants();
        let asked = self.what.as_ref().map_or(all, std::slice::from_ref);
        asked.iter().try_for_each(|drawing| draw(*drawing, &self.out))
    }
}

fn draw(drawing: Drawing, folder: &Path) -> Result<(), Failure> {
    let (name, title, table) = match drawing {
        Drawing::Padding => ("padding", "Padding by one", padding()?),
        Drawing::MaxPooling => ("max-pooling", "Max pooling by two", max_pooling()?),
        Drawing::Channels => ("channels", "A kernel sums over the channels", channels()?),
    };
    let out = folder.join(format!("{name}.svg"));
    atomic_write(&out, cells_svg(title, &table)?.as_bytes())?;
    print(format_args!("{}: {title}", out.display()))
}

/// `[1, channels, side, side]` of small whole numbers that do not repeat too soon.
fn numbers(channels: usize, side: usize, range: usize) -> Result<Tensor> {
    let values = (0..channels * side * side).map(|i| ((i * i * 7 + i * 3 + 1) % 31 % range) as f32);
    Tensor::from_vec(values.collect(), [1, channels, side, side], &Device::cpu())
}

/// Whether a cell belongs to the window at the upper left.
fn window(row: usize, column: usize) -> bool {
    row < 3 && column < 3
}

fn padding() -> Result<Vec<Vec<Piece>>> {
    let map = numbers(1, 6, 10)?;
    let padded = map.pad(&[[1, 1], [1, 1]], PadMode::Zeros)?;
    let cross =
        Tensor::from_vec(vec![0., 1., 0., 1., 1., 1., 0., 1., 0.], [1, 1, 3, 3], map.device())?;
    let result = padded.conv(&cross, None, &ConvSpec::new([3, 3]))?;
    let edge = |row: usize, column: usize| [0, 7].contains(&row) || [0, 7].contains(&column);
    let padded = Piece::map(&padded.to_vec()?, "8×8", |row, column| {
        (if edge(row, column) { GREY } else { BLUE }, window(row, column))
    });
    Ok(vec![vec![
        Piece::map(&map.to_vec()?, "6×6", |_, _| (BLUE, false)),
        Piece::sign("→"),
        padded,
        Piece::sign("∗"),
        Piece::map(&cross.to_vec()?, "3×3", |_, _| (ORANGE, false)),
        Piece::sign("="),
        Piece::map(&result.to_vec()?, "6×6 again", |row, column| (GREEN, row + column == 0)),
    ]])
}

fn max_pooling() -> Result<Vec<Vec<Piece>>> {
    const MAP: [f32; 16] = [3., 1., 4., 0., 5., 9., 2., 6., 8., 7., 1., 2., 0., 3., 5., 4.];
    let map = Tensor::from_slice(&MAP, [1, 1, 4, 4], &Device::cpu())?;
    let pooled = map.max_pool(&PoolSpec::new([2, 2]))?;
    let fill = |row: usize, column: usize| [[ORANGE, BLUE], [GREEN, RED]][row][column];
    let (inputs, maxima) = (map.to_vec()?, pooled.to_vec()?);
    Ok(vec![vec![
        // Each window's largest number is framed.
        Piece::map(&inputs, "4×4", |row, column| {
            let largest = maxima[row / 2 * 2 + column / 2];
            (fill(row / 2, column / 2), inputs[row * 4 + column] == largest)
        }),
        Piece::sign("→"),
        Piece::map(&maxima, "2×2", |row, column| (fill(row, column), true)),
    ]])
}

fn channels() -> Result<Vec<Vec<Piece>>> {
    const COLOURS: [(&str, &str); 3] = [("red", RED), ("green", GREEN), ("blue", BLUE)];
    let device = Device::cpu();
    let picture = numbers(3, 4, 4)?;
    // Whole numbers from -1 to 1.
    let weights: Vec<f32> = (0..54).map(|i| ((i * i / 4 + i / 5) % 3) as f32 - 1.0).collect();
    let kernels = Tensor::from_vec(weights, [2, 3, 3, 3], &device)?;
    let biases = Tensor::from_vec(vec![1.0, 2.0], [2], &device)?;
    let spec = ConvSpec::new([3, 3]);
    let plane = |of: &Tensor, axis: isize, index: usize| of.slice(axis, index..index + 1, 1);
    let first = |row: usize, column: usize| row + column == 0;
    let mut table = Vec::new();
    for (channel, (name, fill)) in COLOURS.into_iter().enumerate() {
        let input = plane(&picture, 1, channel)?;
        let mut row =
            vec![Piece::map(&input.to_vec()?, name, |row, column| (fill, window(row, column)))];
        for kernel in 0..2 {
            let weight = plane(&plane(&kernels, 0, kernel)?, 1, channel)?;
            let part = input.conv(&weight, None, &spec)?;
            row.push(Piece::sign("∗"));
            row.push(Piece::map(
                &weight.to_vec()?,
                &format!("kernel {}, {name}", kernel + 1),
                |_, _| (ORANGE, false),
            ));
            row.push(Piece::sign("="));
            row.push(Piece::map(&part.to_vec()?, name, |row, column| (PLAIN, first(row, column))));
        }
        table.push(row);
    }
    let sums = picture.conv(&kernels, Some(&biases), &spec)?;
    let bias = biases.to_vec()?;
    let mut last = vec![Piece::sign("")];
    for kernel in 0..2 {
        let sum = plane(&sums, 1, kernel)?.to_vec()?;
        last.extend(["", "", ""].map(Piece::sign));
        last[4 * kernel + 2] = Piece::Sign(format!("their sum + bias {} =", bias[kernel]));
        let caption = format!("channel {}", kernel + 1);
        last.push(Piece::map(&sum, &caption, |row, column| (GREEN, first(row, column))));
    }
    table.push(last);
    Ok(table)
}
