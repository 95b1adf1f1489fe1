//! The gradient of the weight, by the same tiles.
//!
//! The forward pass is linear in the weight at each point, so its adjoint runs through the same points: tiles of the
//! output's gradient go through the transpose of the output's transform, are multiplied with the points of the
//! input's tiles, summed over all tiles, and go through the transpose of the weight's transform.
//!
//! The sum over the tiles is the depth of the products. Blocks of tiles are added to the sums one after another; within
//! one, channels are transformed in parallel and then points are multiplied in parallel.

use rayon::prelude::*;

use super::transform::{
    LANES, POINTS, STEP, Square, TILE, gradient_points, input_points, taps_of, zeros,
};
use super::{Piece, gather, grid, panels_of, windows};
use crate::buffer::Buffer;
use crate::element::Float;
use crate::geometry::ConvShape;
use crate::unfold::Staged;

/// Bytes that the points of a block of tiles may take, of both factors together.
const BLOCK_BYTES: usize = 8 << 20;
/// The fewest tiles of a block, and the most: longer sums would round worse.
const BLOCK_TILES: [usize; 2] = [64, 512];
/// Taps of a kernel.
const TAPS: usize = 9;

/// See [`crate::conv::weight_gradient`].
pub(crate) fn weight_gradient<T: Float>(
    shape: &ConvShape,
    input: &[T],
    grad_output: &[T],
    grad_weight: &mut [T],
) {
    let (kernel, [inputs, outputs]) = (T::kernel(), [shape.in_channels, shape.out_channels]);
    let columns = inputs.div_ceil(LANES);
    let row_len = columns * kernel.rows * LANES;
    let tile_bytes = POINTS * (inputs + outputs) * size_of::<T>();
    let tiles = (BLOCK_BYTES / tile_bytes).clamp(BLOCK_TILES[0], BLOCK_TILES[1]);

    // `[panels of outputs][points][panels of inputs][rows][LANES]`
    let mut sums = Buffer::filled(outputs.div_ceil(kernel.rows) * POINTS * row_len, T::ZERO);
    for pieces in blocks(shape, tiles) {
        let left = Points::of_gradient(shape, grad_output, &pieces);
        let right = Points::of_input(shape, input, &pieces);
        sums.par_chunks_exact_mut(row_len).enumerate().for_each(|(index, sums)| {
            let (panel, point) = (index / POINTS, index % POINTS);
            for (column, sums) in sums.chunks_exact_mut(kernel.rows * LANES).enumerate() {
                let panels = [left.panel(panel, point), right.panel(column, point)];
                kernel.tile(left.tiles, panels, sums, LANES, true);
            }
        });
    }
    let rows = grad_weight.par_chunks_mut(kernel.rows * inputs * TAPS);
    rows.zip(sums.par_chunks_exact(POINTS * row_len)).for_each(|(weights, sums)| {
        for (row, weights) in weights.chunks_exact_mut(inputs * TAPS).enumerate() {
            finish(sums, [row, row_len], weights);
        }
    });
}

/// Transforms the sums of one output channel into its taps, `[in_channels, taps]`.
fn finish<T: Float>(sums: &[T], [row, row_len]: [usize; 2], weights: &mut [T]) {
    let kernel = T::kernel();
    let (mut points, mut taps) = (zeros::<T, TILE>(), zeros::<T, 3>());
    for (column, weights) in weights.chunks_mut(LANES * TAPS).enumerate() {
        for (point, values) in points.as_flattened_mut().iter_mut().enumerate() {
            let place = point * row_len + (column * kernel.rows + row) * LANES;
            values.copy_from_slice(&sums[place..][..LANES]);
        }
        taps_of(&points, &mut taps);
        let count = weights.len() / TAPS;
        let lanes: [&[T]; TAPS] = std::array::from_fn(|tap| &taps[tap / 3][tap % 3][..count]);
        kernel.interleave(&lanes, weights);
    }
}

/// Whole rows of tiles, of one image or of several, in blocks of about so many.
fn blocks(shape: &ConvShape, tiles: usize) -> Vec<Vec<Piece>> {
    let [height, width] = grid(shape);
    let rows = (tiles / width).clamp(1, height);
    let (mut blocks, mut room) = (Vec::<Vec<Piece>>::new(), 0);
    for image in 0..shape.batch {
        for first in (0..height).step_by(rows) {
            let tiles_of_piece = first * width..height.min(first + rows) * width;
            if tiles_of_piece.len() > room {
                blocks.push(Vec::new());
                room = tiles.max(tiles_of_piece.len());
            }
            room -= tiles_of_piece.len();
            if let Some(block) = blocks.last_mut() {
                block.push(Piece { image, tiles: tiles_of_piece });
            }
        }
    }
    blocks
}

/// The points of some tiles in panels whose lanes are channels, `[panels][points][tiles][width]`, with [`point_len`]
/// from point to point.
struct Points<T: Float> {
    values: Buffer<T>,
    tiles: usize,
    width: usize,
}

impl<T: Float> Points<T> {
    fn of_input(shape: &ConvShape, input: &[T], pieces: &[Piece]) -> Self {
        let windows = windows(shape);
        Self::new(&windows, input, (pieces, LANES), |cells: &Square<T, TILE>, points| {
            input_points(cells, points);
        })
    }

    fn of_gradient(shape: &ConvShape, grad_output: &[T], pieces: &[Piece]) -> Self {
        // The tiles of the gradient are windows, too: four by four, side by side.
        let mut windows = windows(shape);
        (windows.in_channels, windows.input) = (shape.out_channels, shape.output);
        windows.spec.kernel = windows.spec.stride;
        windows.spec.padding = [[0; 2]; 3];
        let width = T::kernel().rows;
        Self::new(&windows, grad_output, (pieces, width), |cells: &Square<T, STEP>, points| {
            gradient_points(cells, points);
        })
    }

    fn new<const N: usize>(
        windows: &ConvShape,
        images: &[T],
        (pieces, width): (&[Piece], usize),
        points_of: impl Fn(&Square<T, N>, &mut Square<T, TILE>) + Sync,
    ) -> Self {
        let channels = windows.in_channels;
        let tiles: usize = pieces.iter().map(|piece| piece.tiles.len()).sum();
        let point_len = point_len(tiles);
        let panel_len = POINTS * point_len * width;
        let mut values = Buffer::for_overwrite(channels.div_ceil(width) * panel_len);
        let places = values.par_chunks_exact_mut(panel_len).enumerate();
        places.for_each(|(panel, place)| {
            let group = panel * width..channels.min((panel + 1) * width);
            let staged = stage(windows, images, pieces, group.clone());
            // The cells of a panel of tiles and what a copy of fixed length writes too much.
            let mut cells = vec![zeros::<T, N>(); 2];
            // Lanes without a channel stay zero.
            let mut points = vec![zeros::<T, TILE>(); width];
            for (number, panel) in panels_of(&staged).iter().enumerate() {
                for (channel, points) in points[..group.len()].iter_mut().enumerate() {
                    gather(&staged, panel, channel, &mut cells);
                    points_of(&cells[0], points);
                }
                let first = number * LANES;
                let count = LANES.min(tiles - first);
                for point in 0..POINTS {
                    let mut lanes: [&[T]; LANES] = [&[]; LANES];
                    for (lane, points) in lanes.iter_mut().zip(&points) {
                        *lane = &points.as_flattened()[point][..count];
                    }
                    let place = &mut place[(point * point_len + first) * width..][..count * width];
                    T::kernel().interleave(&lanes[..width], place);
                }
            }
        });
        Self { values, tiles, width }
    }

    fn panel(&self, panel: usize, point: usize) -> &[T] {
        let first = (panel * POINTS + point) * point_len(self.tiles);
        &self.values[first * self.width..][..self.tiles * self.width]
    }
}

/// Tiles from one point of a panel to the next: an odd number, so that the points of a tile do not all fall into the
/// same few sets of the cache.
fn point_len(tiles: usize) -> usize {
    tiles | 1
}

/// Stages some channels of each piece.
fn stage<T: Float>(
    windows: &ConvShape,
    images: &[T],
    pieces: &[Piece],
    channels: std::ops::Range<usize>,
) -> Vec<Staged<T>> {
    let image_len = windows.in_channels * windows.input.iter().product::<usize>();
    let stage = |Piece { image, tiles }: &Piece| {
        let planes = &images[image * image_len..][..image_len];
        Staged::new(windows, planes, channels.clone(), tiles.clone(), LANES)
    };
    pieces.iter().map(stage).collect()
}
