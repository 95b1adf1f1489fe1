//! The outputs: weights and tiles to points, products, and back.

use rayon::prelude::*;

use super::tiles::{Cells, Piece, Place, first_cell};
use super::transform::{LANES, TAPS, Transform, sandwich, weight_points, zeros};
use super::{Grid, panels, point_len, weights_len};
use crate::buffer::Buffer;
use crate::conv::indirect::{TURN, turn};
use crate::element::Float;
use crate::gemm::kernel::{Columns, Gathered, Offsets};
use crate::gemm::{MatrixMut, Tile, cuts};
use crate::geometry::ConvShape;
use crate::simd::vectorized;

/// Tiles of a task for each row of blocks of taps: their points fit the second-level cache, if there are not too many
/// channels.
const TASK_TILES: usize = 42;
/// Where the weights at all points take more than this, they are read from memory anew for every task, and tasks are
/// made larger.
const CACHED_WEIGHTS: usize = 4 << 20;
const LARGE_TASK_TILES: usize = 196;
/// The most steps of one partial sum.
const DEPTH: usize = 96;

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
    let grid = Grid::of(shape);
    let large = weights_len::<T>(shape) * size_of::<T>() > CACHED_WEIGHTS;
    let tiles = if large { LARGE_TASK_TILES } else { TASK_TILES * grid.blocks[0] };
    let of_image = grid.tiles();
    let [images, parts] =
        [(shape.batch * of_image).div_ceil(tiles), (of_image + tiles / 2) / tiles]
            .map(|n| n.max(1));
    let (images, rows) = match parts {
        1 => (shape.batch.div_ceil(images.min(shape.batch)), grid.rows),
        parts => (1, grid.rows.div_ceil(parts)),
    };
    let this = Convolution::<F, STEP, TILE> { by, grid, shape };

    let weights = this.weights(weight);
    let [_, height, width] = shape.output;
    let channels = shape.out_channels;
    let mut tiles: Vec<_> = output
        .chunks_exact_mut(channels * height * width)
        .enumerate()
        .flat_map(|(image, output)| {
            let output = MatrixMut::row_major(output, [channels, height * width]);
            output.tiles([channels, rows * grid.lines() * width]).map(move |tile| (image, tile))
        })
        .collect();
    tiles.par_chunks_mut(images).for_each(|tiles| this.task(input, &weights, bias, tiles));
}

/// The points of some tiles, `[blocks of channels][points][tiles][LANES]`, and where the products find them.
struct Points<T: Float> {
    values: Buffer<T>,
    /// Elements from one point to the next.
    point: usize,
    /// The distance of each block of taps and channel from a tile.
    steps: Vec<usize>,
    /// Where each tile that has outputs is, and which row of the products it is; and some more, for a row that nobody reads.
    sources: Vec<usize>,
    targets: Vec<usize>,
    /// How many have outputs.
    tiles: usize,
}

impl<F, const STEP: usize, const TILE: usize> Convolution<'_, F, STEP, TILE>
where
    F: Transform<STEP, TILE>,
{
    const POINTS: usize = TILE * TILE;

    /// The transformed weights, `[panels of out_channels][points][blocks of taps][in_channels][width]`.
    fn weights<T: Float>(&self, weight: impl Fn(usize, usize, usize) -> T + Sync) -> Buffer<T> {
        let [inputs, outputs] = [self.shape.in_channels, self.shape.out_channels];
        let steps = self.grid.offsets().count() * inputs;
        let mut weights = Buffer::for_overwrite(weights_len::<T>(self.shape));
        let panel_len = Self::POINTS * steps * T::kernel().widest_panel();
        let places: Vec<_> = weights.chunks_mut(panel_len).zip(panels::<T>(outputs)).collect();
        places.into_par_iter().for_each(|(place, (channels, width))| {
            let mut points = zeros::<T, TILE>();
            for (step, lanes) in
                (0..steps).flat_map(|step| cuts(width, LANES).map(move |lanes| (step, lanes)))
            {
                let mut taps = zeros::<T, TAPS>();
                for (y, x) in (0..TAPS).flat_map(|y| (0..TAPS).map(move |x| (y, x))) {
                    let Some(tap) = self.grid.tap(self.shape, step / inputs, [y, x]) else {
                        continue;
                    };
                    let to = (channels.start + lanes.start..channels.end).zip(&mut taps[y][x]);
                    to.for_each(|(to, lane)| *lane = weight(to, step % inputs, tap));
                }
                weight_points(self.by, &taps, &mut points);
                for (point, values) in points.as_flattened().iter().enumerate() {
                    let at = (point * steps + step) * width + lanes.start;
                    place[at..at + LANES].copy_from_slice(values);
                }
            }
        });
        weights
    }

    /// Computes the same rows of some images.
    fn task<T: Float>(
        &self,
        input: &[T],
        weights: &[T],
        bias: Option<&[T]>,
        tiles: &mut [(usize, Tile<'_, T>)],
    ) {
        let [_, height, width] = self.shape.output;
        let cells = tiles[0].1.columns.clone();
        let band = self.grid.lines();
        let first = cells.start / (band * width);
        let rows = first..first + cells.len().div_ceil(band * width);
        let pieces: Vec<_> =
            tiles.iter().map(|&(image, _)| Piece { image, rows: rows.clone() }).collect();
        let points = self.points(input, &pieces);
        let places = panels::<T>(self.shape.out_channels).collect::<Vec<_>>();
        let widest = T::kernel().widest_panel();
        let panel_len = Self::POINTS * points.steps.len() * widest;
        let lines = height.min(rows.end * band) - rows.start * band;
        let mut parts: Vec<Vec<MatrixMut<'_, T>>> = places.iter().map(|_| Vec::new()).collect();
        for (_, tile) in tiles {
            let [channels, pixels] = tile.matrix.dims();
            let all = tile.matrix.block(0..channels, 0..pixels);
            let blocks = all.tiles([widest, pixels]);
            blocks.zip(&mut parts).for_each(|(block, part)| part.push(block.matrix));
        }
        let panels = places.into_par_iter().zip(weights.par_chunks(panel_len)).zip(parts);
        panels.for_each(|(((channels, panel_width), weights), mut part)| {
            let products = self.multiply(&points, (weights, panel_width));
            let size = [rows.len() * self.grid.dilation[0], lines];
            let pixels = self.outputs((&points, &products), panel_width, (size, part.len()));
            let bias = bias.map(|bias| &bias[channels.clone()]);
            for (image, output) in part.iter_mut().enumerate() {
                turn(&pixels[image * lines * width * panel_width..], panel_width, bias, output);
            }
        });
    }

    /// The points of all tiles that the pieces read.
    fn points<T: Float>(&self, input: &[T], pieces: &[Piece]) -> Points<T> {
        let channels = self.shape.in_channels;
        let windows = self.grid.windows(self.shape, TILE);
        let Grid { columns, width, dilation, .. } = self.grid;
        let rows = self.grid.input_rows(&pieces[0].rows);
        let of_piece = rows.len() * self.grid.band();
        let point = point_len(of_piece * pieces.len());
        let block_len = Self::POINTS * point * LANES;
        let mut values = Buffer::for_overwrite(channels.div_ceil(LANES) * block_len);
        let blocks: Vec<_> =
            values.chunks_exact_mut(block_len).zip(cuts(channels, LANES)).collect();
        blocks.into_par_iter().for_each(|(values, channels)| {
            for (number, piece) in pieces.iter().enumerate() {
                let piece = Piece { rows: rows.clone(), ..*piece };
                let cells = Cells::new(&windows, input, &piece, channels.clone());
                let place = Place { first: number * of_piece, point };
                cells.points(F::input, [rows.len() * dilation[0], columns], values, place);
            }
        });

        let steps = self.grid.offsets().flat_map(|offset| {
            (0..channels)
                .map(move |channel| channel / LANES * block_len + channel % LANES + offset * LANES)
        });
        let tiles_of = |piece: usize| {
            let lines = 0..pieces[0].rows.len() * dilation[0];
            lines.flat_map(move |y| (0..width).map(move |x| piece * of_piece + y * columns + x))
        };
        let mut sources: Vec<_> =
            (0..pieces.len()).flat_map(tiles_of).map(|tile| tile * LANES).collect();
        let tiles = sources.len();
        let mut targets: Vec<_> = (0..tiles).collect();
        let whole = tiles.next_multiple_of(T::kernel().gathered_columns());
        sources.resize(whole, 0);
        targets.resize(whole, tiles);
        Points { values, point: point * LANES, steps: steps.collect(), sources, targets, tiles }
    }

    /// The products at every point with a panel of weights, `[points][tiles and one more][width]`.
    fn multiply<T: Float>(&self, points: &Points<T>, (weights, width): (&[T], usize)) -> Buffer<T> {
        let kernel = T::kernel();
        let steps = Offsets::new(&points.steps);
        let rows_len = (points.tiles + 1) * width;
        let mut products = Buffer::for_overwrite(Self::POINTS * rows_len);
        let of_points = weights.chunks_exact(steps.len() * width);
        for (point, (products, weights)) in
            products.chunks_exact_mut(rows_len).zip(of_points).enumerate()
        {
            let cells = &points.values[point * points.point..];
            // Sums of partial sums: the rounding error of one long sum would grow with its length.
            let parts = steps.len().div_ceil(DEPTH);
            let cut = |part: usize| part * steps.len() / parts;
            for range in (0..parts).map(|part| cut(part)..cut(part + 1)) {
                let panel = &weights[range.start * width..range.end * width];
                let offsets = steps.range(range.clone());
                let factors = Gathered { panel, width, offsets, cells };
                let to = Columns { sources: &points.sources, targets: &points.targets };
                kernel.gather(factors, to, products, range.start > 0);
            }
        }
        products
    }

    /// Transforms products into outputs, `[images][lines][out_width][width]`, and some more behind them.
    fn outputs<T: Float>(
        &self,
        (points, products): (&Points<T>, &[T]),
        width: usize,
        ([rows, lines], images): ([usize; 2], usize),
    ) -> Buffer<T> {
        let line = self.shape.output[2];
        let mut pixels = Buffer::for_overwrite((images * lines * line + TURN) * width);
        let vectors = width / LANES;
        for image in 0..images {
            let pixels = &mut pixels[image * lines * line * width..][..lines * line * width];
            let first = image * rows * self.grid.width;
            let to = Target { first, lines, line, vectors, dilation: self.grid.dilation };
            let size = [rows, self.grid.width, points.tiles + 1];
            outputs_of_tiles::<T, F, STEP, TILE>(
                self.by,
                (products.as_chunks().0, size),
                to,
                pixels.as_chunks_mut().0,
            );
        }
        pixels
    }
}

/// Where the outputs of an image's tiles belong: the first of its tiles, the lines, their cells, the vectors of a cell, and how far a
/// tile's cells are apart.
#[derive(Clone, Copy)]
struct Target {
    first: usize,
    lines: usize,
    line: usize,
    vectors: usize,
    dilation: [usize; 2],
}

vectorized! {
    /// Transforms the products of rows and columns of tiles, of so many that there are at each point, and leaves out what lies
    /// beyond the output.
    fn outputs_of_tiles[T: Float, F: Transform<STEP, TILE>, const STEP: usize, const TILE: usize](
        _by: F,
        products: (&[[T; LANES]], [usize; 3]),
        to: Target,
        pixels: &mut [[T; LANES]],
    ) {
        let (products, [rows, columns, all]) = products;
        let Target { first, lines, line, vectors, dilation: [down, across] } = to;
        let (mut square, mut outputs) = (zeros::<T, TILE>(), zeros::<T, STEP>());
        for tile in 0..rows * columns {
            let y = first_cell(tile / columns, STEP, down);
            let x = first_cell(tile % columns, STEP, across);
            for vector in 0..vectors {
                for (point, values) in square.as_flattened_mut().iter_mut().enumerate() {
                    *values = products[(point * all + first + tile) * vectors + vector];
                }
                sandwich(F::output, &square, &mut outputs);
                for (y, outputs) in (y..lines).step_by(down).zip(&outputs) {
                    for (x, values) in (x..line).step_by(across).zip(outputs) {
                        pixels[(y * line + x) * vectors + vector] = *values;
                    }
                }
            }
        }
    }
}
