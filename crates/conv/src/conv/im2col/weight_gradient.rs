//! The gradient of the weight: one matrix product whose long axis is every output of every image.
//!
//! That axis is cut into chunks, each summed by one task after another tile, and the chunks' sums are
//! added in order. How many chunks there are depends on the geometry alone, so the result does not
//! depend on the number of threads.

use std::iter;

use rayon::prelude::*;

use super::{Group, TASKS, tile};
use crate::buffer::Buffer;
use crate::conv::{add_in_order, affordable_chunks, chunks};
use crate::element::Float;
use crate::gemm::{MatrixMut, Packed, Tile, Update, multiply};
use crate::geometry::ConvShape;
use crate::unfold::Taps;

/// How the sum is cut.
struct Cuts {
    /// Outputs of a tile, and tiles of an image.
    tile: usize,
    tiles: usize,
    /// Tiles of all images, and how many are summed in a chunk.
    items: usize,
    chunk: usize,
    chunks: usize,
}

impl Cuts {
    fn new<T: Float>(shape: &ConvShape) -> Self {
        let output = shape.output.iter().product::<usize>();
        let tile = tile::<T>(shape.weight_len() / shape.out_channels, output);
        let tiles = output.div_ceil(tile);
        let items = shape.batch * tiles;
        let most = affordable_chunks(shape.weight_len() * size_of::<T>());
        let [chunk, chunks] = chunks(items, most);
        Self { tile, tiles, items, chunk, chunks }
    }
}

/// Elements of the sums of all chunks but the first, which is the result.
pub(crate) fn partial_len<T: Float>(shape: &ConvShape) -> usize {
    (Cuts::new::<T>(shape).chunks - 1) * shape.weight_len()
}

/// See [`crate::conv::weight_gradient`].
pub(crate) fn weight_gradient<T: Float>(
    shape: &ConvShape,
    input: &[T],
    grad_output: &[T],
    grad_weight: &mut [T],
) {
    let group = Group::of(shape);
    let Cuts { tile, tiles, items, chunk, chunks } = Cuts::new::<T>(shape);
    let block = group.in_channels.div_ceil(TASKS.div_ceil(chunks * group.groups));

    let mut partial = Buffer::for_overwrite((chunks - 1) * grad_weight.len());
    let tasks: Vec<_> = iter::once(&mut *grad_weight)
        .chain(partial.chunks_exact_mut(shape.weight_len()))
        .enumerate()
        .flat_map(|(chunk, sum)| {
            group.weight_tiles(sum, block).map(move |(index, tile)| (chunk, index, tile))
        })
        .collect();
    tasks.into_par_iter().for_each(
        |(number, index, Tile { columns: weights, matrix: mut sum, .. })| {
            let channels = weights.start / group.taps..weights.end / group.taps;
            let mut update = Update::Overwrite;
            for item in number * chunk..items.min((number + 1) * chunk) {
                let index = item / tiles * group.groups + index;
                let start = item % tiles * tile;
                let outputs = start..group.output.min(start + tile);
                let grad_output = group.outputs(grad_output, index).columns(outputs.clone());
                let planes = group.planes(input, index, channels.clone());
                let grad_output = Packed::new(&grad_output);
                let taps = Taps { patches: &group.patches, planes, outputs };
                let [rows, columns] = sum.dims();
                multiply((&grad_output, 0..rows), (&taps, 0..columns), update, &mut sum);
                update = Update::Add;
            }
        },
    );
    add_in_order(grad_weight, &partial);
}

impl Group<'_> {
    /// The weights of every group, cut into blocks of input channels; each with the group's number.
    fn weight_tiles<'b, T>(
        &self,
        weight: &'b mut [T],
        block: usize,
    ) -> impl Iterator<Item = (usize, Tile<'b, T>)> {
        let (out_channels, depth) = (self.out_channels, self.in_channels * self.taps);
        let columns = block * self.taps;
        weight.chunks_exact_mut(out_channels * depth).enumerate().flat_map(
            move |(index, weight)| {
                let weight = MatrixMut::row_major(weight, [out_channels, depth]);
                weight.tiles([out_channels, columns]).map(move |tile| (index, tile))
            },
        )
    }
}
