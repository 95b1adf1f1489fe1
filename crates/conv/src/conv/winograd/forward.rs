//! The outputs: weights and tiles to points, products, and back.

use std::ops::Range;

use rayon::prelude::*;

use super::tiles::{Rows, panels_of, points_of_panel};
use super::transform::{LANES, Square, TAPS, Transform, sandwich, weight_points, zeros};
use super::{Grid, Piece, weights_len};
use crate::buffer::Buffer;
use crate::element::Float;
use crate::gemm::kernel::Panels;
use crate::gemm::{MatrixMut, cuts};
use crate::geometry::ConvShape;
use crate::simd::{prefetch, vectorized};
use crate::unfold::{Staged, copy_row};

/// Tiles of a task for each row of blocks of taps: their points fit the second-level cache, if there are not too many
/// channels.
const TASK_TILES: usize = 48;
/// Where the weights at all points take more than this, they are read from memory anew for every task, and tasks are
/// made larger.
const CACHED_WEIGHTS: usize = 4 << 20;
const LARGE_TASK_TILES: usize = 192;
/// Panels of weights that meet the points of a task together.
const PANELS: usize = 16;
/// Channels that are staged together: a few, so that what is staged takes little of the cache.
const STAGED_CHANNELS: usize = 16;
/// The most channels of one partial sum.
const DEPTH: usize = 96;

/// What a task computes: some tiles, and for each block of output channels and each piece the rows of the output
/// that its tiles cover, `[channels, cells]`.
struct Task<'a, T> {
    pieces: Vec<Piece>,
    outputs: Vec<Vec<MatrixMut<'a, T>>>,
}

/// A convolution whose transform is chosen.
struct Convolution<'a, F, const STEP: usize, const TILE: usize> {
    by: F,
    grid: Grid,
    shape: &'a ConvShape,
}

/// Convolves with the weights that `weight` tells by output channel, input channel and tap.
pub(super) fn convolve<T: Float, F, const STEP: usize, const TILE: usize>(
    by: F,
    shape: &ConvShape,
    (input, weight): (&[T], impl Fn(usize, usize, usize) -> T + Sync),
    bias: Option<&[T]>,
    output: &mut [T],
) where
    F: Transform<STEP, TILE>,
{
    let this = Convolution::<F, STEP, TILE> { by, grid: Grid::of(shape), shape };
    let weights = this.weights(weight);
    let large = size_of_val(&weights[..]) > CACHED_WEIGHTS;
    let tiles = if large { LARGE_TASK_TILES } else { TASK_TILES * this.grid.blocks[0] };
    let block = PANELS * T::kernel().rows;
    this.tasks(tiles, output).into_par_iter().for_each(|Task { pieces, mut outputs }| {
        let points = this.transform(input, &pieces);
        outputs.par_iter_mut().enumerate().for_each(|(number, outputs)| {
            let products = this.multiply(&points, &weights, number * PANELS);
            let bias = bias.map(|bias| &bias[number * block..]);
            this.write((&points, &products), (bias, &pieces), outputs);
        });
    });
}

/// The points of the tiles of a task. Where there are several blocks of taps, `[points][in_channels][tiles]`, so that a
/// panel may start at any tile; else `[panels of tiles][points][in_channels][LANES]`, which is read from front to back.
struct Points<T: Float> {
    values: Buffer<T>,
    /// Elements from one channel to the next: all tiles and what the panels of the last block of taps may read
    /// behind them, or a panel.
    row_len: usize,
    /// Elements from one tile to the next that starts a panel.
    tile_stride: usize,
    /// The first tile of each piece, and the one after the last.
    pieces: Vec<usize>,
    /// The first tile of each panel of tiles that have outputs.
    panels: Vec<usize>,
}

impl<T: Float> Points<T> {
    /// The rows of the channels at a point, for the panel that starts with a tile.
    fn rows(&self, channels: usize, point: usize, tile: usize) -> &[T] {
        &self.values[point * rows_of(channels) * self.row_len + tile * self.tile_stride..]
    }
}

/// Rows from one point to the next. An odd number, so that the points of a tile do not all fall into the same few sets
/// of the cache.
fn rows_of(channels: usize) -> usize {
    channels | 1
}

impl<F, const STEP: usize, const TILE: usize> Convolution<'_, F, STEP, TILE>
where
    F: Transform<STEP, TILE>,
{
    const POINTS: usize = TILE * TILE;

    /// The transformed weights, `[points][panels of out_channels][blocks of taps][in_channels][rows of a panel]`.
    fn weights<T: Float>(&self, weight: impl Fn(usize, usize, usize) -> T + Sync) -> Buffer<T> {
        let (kernel, shape) = (T::kernel(), self.shape);
        let [inputs, outputs] = [shape.in_channels, shape.out_channels];
        let panels = outputs.div_ceil(kernel.rows);
        let block_len = inputs * kernel.rows;
        let panel_len = self.grid.offsets().count() * block_len;
        let mut weights = Buffer::for_overwrite(weights_len::<T>(shape));
        // A task makes one panel of every point.
        let mut places: Vec<Vec<&mut [T]>> =
            (0..panels).map(|_| Vec::with_capacity(Self::POINTS)).collect();
        for (index, panel) in weights.chunks_exact_mut(panel_len).enumerate() {
            places[index % panels].push(panel);
        }
        places.into_par_iter().enumerate().for_each(|(panel, mut points)| {
            let mut transformed = vec![zeros::<T, TILE>(); kernel.rows];
            for (block, channels) in
                self.grid.offsets().enumerate().flat_map(|(block, _)| {
                    cuts(inputs, LANES).map(move |channels| (block, channels))
                })
            {
                for (row, transformed) in transformed.iter_mut().enumerate() {
                    let to = panel * kernel.rows + row;
                    let mut taps = zeros::<T, TAPS>();
                    for (y, x) in (0..TAPS).flat_map(|y| (0..TAPS).map(move |x| (y, x))) {
                        let Some(tap) = self.grid.tap(shape, block, [y, x]) else { continue };
                        if to < outputs {
                            let lanes = taps[y][x].iter_mut().zip(channels.clone());
                            lanes.for_each(|(lane, from)| *lane = weight(to, from, tap));
                        }
                    }
                    weight_points(self.by, &taps, transformed);
                }
                for (point, place) in points.iter_mut().enumerate() {
                    let mut lanes: [&[T]; LANES] = [&[]; LANES];
                    for (lane, row) in lanes.iter_mut().zip(&transformed) {
                        *lane = &row.as_flattened()[point][..channels.len()];
                    }
                    let place = &mut place[block * block_len + channels.start * kernel.rows..];
                    let place = &mut place[..channels.len() * kernel.rows];
                    kernel.interleave(&lanes[..kernel.rows], place);
                }
            }
        });
        weights
    }

    /// Cuts a convolution into tasks of about so many tiles: whole rows of tiles, of one image or of several.
    fn tasks<'a, T: Float>(&self, tiles: usize, output: &'a mut [T]) -> Vec<Task<'a, T>> {
        let [_, height, width] = self.shape.output;
        let Grid { rows: all_rows, columns, .. } = self.grid;
        let block = PANELS * T::kernel().rows;
        let rows = (tiles / columns).clamp(1, all_rows);
        let channels = self.shape.out_channels;
        let blocks = channels.div_ceil(block);
        let mut tasks: Vec<Task<'a, T>> = Vec::new();
        let mut room = 0;
        for (image, output) in output.chunks_exact_mut(channels * height * width).enumerate() {
            let output = MatrixMut::row_major(output, [channels, height * width]);
            // Tiles of the matrix come block by block; the pieces of the image are the same for each.
            let first = tasks.len().saturating_sub(1);
            let mut at = first;
            for (index, part) in output.tiles([block, rows * STEP * width]).enumerate() {
                let pieces = all_rows.div_ceil(rows);
                let (number, piece) = (index / pieces, index % pieces);
                if number == 0 {
                    let rows = piece * rows..all_rows.min((piece + 1) * rows);
                    let len = rows.len() * columns;
                    if len > room {
                        room = tiles.max(len);
                        let outputs = (0..blocks).map(|_| Vec::new()).collect();
                        tasks.push(Task { pieces: Vec::new(), outputs });
                    }
                    room -= len;
                    if let Some(task) = tasks.last_mut() {
                        task.pieces.push(Piece { image, rows });
                    }
                } else if piece == 0 {
                    at = first;
                }
                // The task that has this piece: the first whose outputs of this block do not yet have theirs.
                while tasks[at].outputs[number].len() == tasks[at].pieces.len() {
                    at += 1;
                }
                tasks[at].outputs[number].push(part.matrix);
            }
        }
        tasks
    }

    /// The points of all tiles that some pieces read.
    fn transform<T: Float>(&self, input: &[T], pieces: &[Piece]) -> Points<T> {
        let channels = self.shape.in_channels;
        let windows = self.grid.windows(self.shape, TILE);
        let image_len = windows.input_len() / windows.batch;
        let columns = self.grid.columns;
        let mut points = self.layout(pieces);
        let (rows, row_len) = (Self::POINTS * rows_of(channels), points.row_len);
        let dims = [points.values.len() / row_len, row_len];
        let mut strips: Vec<_> =
            MatrixMut::row_major(&mut points.values, dims).tiles([rows, LANES]).collect();
        for channels in cuts(channels, STAGED_CHANNELS) {
            let stage = |Piece { image, rows }: &Piece| {
                let rows = self.grid.input_rows(rows);
                let planes = &input[image * image_len..][..image_len];
                let tiles = rows.start * columns..rows.end * columns;
                Staged::copied(&windows, planes, channels.clone(), tiles, STEP)
            };
            let staged: Vec<Staged<'_, T>> = pieces.par_iter().map(stage).collect();
            strips.par_iter_mut().zip(&panels_of(&staged)).for_each(|(strip, panel)| {
                let mut cells = Rows::<T, STEP>::new();
                for channel in channels.clone() {
                    let places = (&staged[..], &panel[..], channel - channels.start);
                    let rows = [channel, rows_of(self.shape.in_channels)];
                    points_of_panel(F::input, places, &mut cells, &mut strip.matrix, rows);
                }
            });
        }
        points
    }

    /// Points that are still to be computed.
    fn layout<T: Float>(&self, pieces: &[Piece]) -> Points<T> {
        let Grid { width, columns, .. } = self.grid;
        let (mut starts, mut panels) = (vec![0], Vec::new());
        let (mut start, mut covered) = (0, 0);
        for Piece { rows, .. } in pieces {
            // From the first tile of the piece that has outputs to the last.
            let end = start + (rows.len() - 1) * columns + width;
            let mut next = covered.max(start);
            while next < end {
                panels.push(next);
                next += LANES;
            }
            covered = next.max(covered);
            start += self.grid.input_rows(rows).len() * columns;
            starts.push(start);
        }
        let reach = self.grid.offsets().last().unwrap_or(0);
        let last = panels.last().map_or(0, |panel| panel + reach + LANES);
        let rows = Self::POINTS * rows_of(self.shape.in_channels);
        let panels_of_tiles = start.max(last).div_ceil(LANES);
        let (row_len, tile_stride) = match reach {
            0 => (LANES, rows),
            // An odd number of cache lines, for the same reason.
            _ => ((panels_of_tiles | 1) * LANES, 1),
        };
        let len = if reach == 0 { panels_of_tiles * rows * LANES } else { rows * row_len };
        let values = Buffer::for_overwrite(len);
        Points { values, row_len, tile_stride, pieces: starts, panels }
    }

    /// The products at every point for a block of panels of weights, `[panels of tiles][channels][points][LANES]`.
    fn multiply<T: Float>(&self, points: &Points<T>, weights: &[T], first: usize) -> Buffer<T> {
        let (kernel, depth) = (T::kernel(), self.shape.in_channels);
        let all_panels = self.shape.out_channels.div_ceil(kernel.rows);
        let panels = PANELS.min(all_panels - first);
        let block_len = depth * kernel.rows;
        let panel_len = self.grid.offsets().count() * block_len;
        let channels = panels * kernel.rows;
        // Sums of partial sums: the rounding error of one long sum would grow with its length.
        let parts = depth.div_ceil(DEPTH);
        let cut = |part: usize| part * depth / parts..(part + 1) * depth / parts;
        let mut products =
            Buffer::for_overwrite(points.panels.len() * channels * Self::POINTS * LANES);
        let together = kernel.panels();
        let strides = [channels * Self::POINTS * LANES, Self::POINTS * LANES];
        for point in 0..Self::POINTS {
            let weights = &weights[(point * all_panels + first) * panel_len..];
            for (number, starts) in points.panels.chunks(together).enumerate() {
                let apart = (starts[starts.len() - 1] - starts[0]) * points.tile_stride;
                for (row, weights) in weights.chunks_exact(panel_len).take(panels).enumerate() {
                    let channel = number * together * channels + row * kernel.rows;
                    let products = &mut products[(channel * Self::POINTS + point) * LANES..];
                    let blocks = weights.chunks_exact(block_len).zip(self.grid.offsets());
                    let mut add = false;
                    for (weights, offset) in blocks {
                        let tiles = points.rows(depth, point, starts[0] + offset);
                        for steps in (0..parts).map(cut) {
                            let panels = Panels {
                                depth: steps.len(),
                                a: &weights[steps.start * kernel.rows..],
                                b: &tiles[steps.start * points.row_len..],
                                count: starts.len(),
                                b_strides: [apart, points.row_len],
                            };
                            kernel.tile(panels, products, strides, add);
                            add = true;
                        }
                    }
                }
            }
        }
        products
    }

    /// Transforms the products of a block of channels into outputs and writes them.
    fn write<T: Float>(
        &self,
        (points, products): (&Points<T>, &[T]),
        (bias, pieces): (Option<&[T]>, &[Piece]),
        outputs: &mut [MatrixMut<'_, T>],
    ) {
        let kernel = T::kernel();
        let channels = outputs[0].dims()[0];
        let padded = channels.next_multiple_of(kernel.rows);
        let all_products = products.chunks_exact(padded * Self::POINTS * LANES);
        for (&start, products) in points.panels.iter().zip(all_products) {
            let lanes = products.as_chunks::<LANES>().0;
            let squares: &[Square<T, TILE>] = lanes.as_chunks::<TILE>().0.as_chunks::<TILE>().0;
            let runs = self.runs(start, &points.pieces, pieces);
            write_panel(self.by, &squares[..channels], bias, (&runs, outputs));
        }
    }

    /// Where the outputs of sixteen tiles, from `start` on, belong, row by row of a tile.
    fn runs(&self, start: usize, starts: &[usize], pieces: &[Piece]) -> Vec<Run> {
        let (Grid { width: grid_width, columns, .. }, width) = (self.grid, self.shape.output[2]);
        let mut runs = Vec::with_capacity(STEP * LANES);
        for (row, (piece, Piece { rows, .. })) in
            (0..STEP).flat_map(|row| pieces.iter().enumerate().map(move |piece| (row, piece)))
        {
            let first = starts[piece];
            let last = (first + rows.len() * columns).min(start + LANES);
            let height = (STEP * rows.len()).min(self.shape.output[1] - rows.start * STEP);
            let mut tile = start.max(first);
            while tile < last {
                // The tiles up to the end of the row of tiles.
                let (y, x) = ((tile - first) / columns, (tile - first) % columns);
                let count = (columns - x).min(last - tile);
                let with_outputs = count.min(grid_width.saturating_sub(x));
                // The last row of tiles may reach beyond the output, and so may the last tile of a row.
                if with_outputs > 0 && y * STEP + row < height {
                    let cell = (y * STEP + row) * width + x * STEP;
                    let len = (with_outputs * STEP).min(width - x * STEP);
                    let first = (tile - start) * STEP;
                    runs.push(Run { row, piece, cells: cell..cell + len, first });
                }
                tile += count;
            }
        }
        runs
    }
}

vectorized! {
    /// Transforms the products of a panel of tiles into outputs, channel by channel, adds the bias and writes them.
    fn write_panel[T: Float, F: Transform<STEP, TILE>, const STEP: usize, const TILE: usize](
        _by: F,
        squares: &[Square<T, TILE>],
        bias: Option<&[T]>,
        places: (&[Run], &mut [MatrixMut<'_, T>]),
    ) {
        let (runs, outputs) = places;
        let mut tile = zeros::<T, STEP>();
        // The outputs of a row, tile by tile.
        let mut line = [[T::ZERO; STEP]; LANES];
        for (channel, square) in squares.iter().enumerate() {
            if channel + 1 < squares.len() {
                for run in runs {
                    prefetch(&outputs[run.piece].row_mut(channel + 1)[run.cells.clone()]);
                }
            }
            sandwich(F::output, square, &mut tile);
            let bias = match bias {
                Some(bias) => bias[channel],
                None => T::ZERO,
            };
            let mut row = STEP;
            for run in runs {
                if run.row != row {
                    row = run.row;
                    for (lane, outputs) in line.iter_mut().enumerate() {
                        for (output, of_tile) in outputs.iter_mut().zip(&tile[row]) {
                            *output = of_tile[lane] + bias;
                        }
                    }
                }
                let cells = &mut outputs[run.piece].row_mut(channel)[run.cells.clone()];
                copy_row(&line.as_flattened()[run.first..][..cells.len()], cells);
            }
        }
    }
}

/// Neighbouring outputs of a row of some tiles.
struct Run {
    /// The row of the tiles.
    row: usize,
    piece: usize,
    /// Their cells in each channel of the piece.
    cells: Range<usize>,
    /// The first of them in the row of all sixteen tiles.
    first: usize,
}
