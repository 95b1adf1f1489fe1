//! The convolution, and its adjoint: weights and tiles to points, products, and back.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::tiles::{Cells, Piece, Place, first_cell};
use super::transform::{Direction, LANES, sandwich, transform, zeros};
use super::{Grid, panels, point_len};
use crate::buffer::Buffer;
use crate::conv::indirect::{TURN, turn};
use crate::conv::tiles_of;
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

/// What a sum reads and where it writes.
pub(super) struct Maps {
    /// The cells of the tiles that are read.
    pub(super) windows: ConvShape,
    /// Channels and size of what is written.
    pub(super) channels: usize,
    pub(super) size: [usize; 2],
    /// Cells of the first tile above and to the left of it.
    pub(super) cut: [usize; 2],
}

/// The weight `[out_channels, in_channels, taps]`, as a sum reads it.
pub(super) struct Weights<'a, T> {
    pub(super) values: &'a [T],
    /// From one written channel to the next, and from one that is read.
    pub(super) strides: [usize; 2],
    pub(super) kernel: [usize; 2],
    /// Whether the taps are counted backwards.
    pub(super) flipped: bool,
}

/// A sum whose transform is chosen.
struct Convolution<S, const FROM: usize, const TAPS: usize, const TILE: usize, const TO: usize> {
    by: PhantomData<S>,
    grid: Grid,
    maps: Maps,
    /// Bands of a task.
    rows: usize,
}

/// Writes the sums over what is read.
pub(super) fn convolve<
    T: Float,
    S,
    const FROM: usize,
    const TAPS: usize,
    const TILE: usize,
    const TO: usize,
>(
    _by: S,
    (grid, maps): (Grid, Maps),
    (input, weights): (&[T], &Weights<'_, T>),
    bias: Option<&[T]>,
    output: &mut [T],
) where
    S: Direction<FROM, TAPS, TILE, TO>,
{
    let weights_len = super::weights_len::<T>(&grid, [maps.windows.in_channels, maps.channels]);
    let large = weights_len * size_of::<T>() > CACHED_WEIGHTS;
    let tiles = if large { LARGE_TASK_TILES } else { TASK_TILES * grid.blocks[0] };
    let of_image = grid.tiles();
    let batch = maps.windows.batch;
    let [images, parts] =
        [(batch * of_image).div_ceil(tiles), (of_image + tiles / 2) / tiles].map(|n| n.max(1));
    // Squares that overlap are added by the same task.
    let whole = parts == 1 || S::ADDS;
    let (images, rows) = match whole {
        true => (batch.div_ceil(images.min(batch)), grid.rows),
        false => (1, grid.rows.div_ceil(parts)),
    };
    let [height, width] = maps.size;
    let lines = if whole { height } else { rows * grid.lines() };
    let channels = maps.channels;
    let this = Convolution::<S, FROM, TAPS, TILE, TO> { by: PhantomData, grid, maps, rows };

    let weights = this.weights(weights, weights_len);
    let mut tiles = tiles_of(output, [channels, height * width], [channels, lines * width]);
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

impl<S, const FROM: usize, const TAPS: usize, const TILE: usize, const TO: usize>
    Convolution<S, FROM, TAPS, TILE, TO>
where
    S: Direction<FROM, TAPS, TILE, TO>,
{
    const POINTS: usize = TILE * TILE;

    /// The transformed weights, `[panels of channels][points][blocks of taps][channels that are read][width]`.
    fn weights<T: Float>(&self, weights: &Weights<'_, T>, len: usize) -> Buffer<T> {
        let inputs = self.maps.windows.in_channels;
        let [height, width] = weights.kernel;
        let steps = self.grid.offsets().count() * inputs;
        let mut transformed = Buffer::for_overwrite(len);
        let panel_len = Self::POINTS * steps * T::kernel().widest_panel();
        let places: Vec<_> =
            transformed.chunks_mut(panel_len).zip(panels::<T>(self.maps.channels)).collect();
        places.into_par_iter().for_each(|(place, (channels, panel_width))| {
            let none = vec![T::ZERO; height * width];
            let mut vectors = vec![[T::ZERO; LANES]; height * width];
            let (mut taps, mut points) = (zeros::<T, TAPS>(), zeros::<T, TILE>());
            for (from, lanes) in (0..inputs)
                .flat_map(|from| cuts(panel_width, LANES).map(move |lanes| (from, lanes)))
            {
                let kernels: [&[T]; LANES] = std::array::from_fn(|lane| {
                    let to = channels.start + lanes.start + lane;
                    let first = to * weights.strides[0] + from * weights.strides[1];
                    if to < channels.end { &weights.values[first..][..none.len()] } else { &none }
                });
                T::kernel().interleave(&kernels, vectors.as_flattened_mut());
                if weights.flipped {
                    vectors.reverse();
                }
                for block in 0..steps / inputs {
                    for (y, x) in (0..TAPS).flat_map(|y| (0..TAPS).map(move |x| (y, x))) {
                        let tap = self.grid.tap(weights.kernel, block, [y, x]);
                        taps[y][x] = tap.map_or([T::ZERO; LANES], |tap| vectors[tap]);
                    }
                    transform(S::weight, &taps, &mut points);
                    let step = block * inputs + from;
                    for (point, values) in points.as_flattened().iter().enumerate() {
                        let at = (point * steps + step) * panel_width + lanes.start;
                        place[at..at + LANES].copy_from_slice(values);
                    }
                }
            }
        });
        transformed
    }

    /// Computes the same rows of some images.
    fn task<T: Float>(
        &self,
        input: &[T],
        weights: &[T],
        bias: Option<&[T]>,
        tiles: &mut [(usize, Tile<'_, T>)],
    ) {
        let width = self.maps.size[1];
        let cells = tiles[0].1.columns.clone();
        let first = cells.start / (self.grid.lines() * width);
        let rows = first..self.grid.rows.min(first + self.rows);
        let pieces: Vec<_> =
            tiles.iter().map(|&(image, _)| Piece { image, rows: rows.clone() }).collect();
        let points = self.points(input, &pieces);
        let places = panels::<T>(self.maps.channels).collect::<Vec<_>>();
        let widest = T::kernel().widest_panel();
        let panel_len = Self::POINTS * points.steps.len() * widest;
        let lines = cells.len() / width;
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
        let windows = &self.maps.windows;
        let channels = windows.in_channels;
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
                let cells = Cells::new(windows, input, &piece, channels.clone());
                let place = Place { first: number * of_piece, point };
                cells.points(S::read, [rows.len() * dilation[0], columns], values, place);
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

    /// Transforms products into what is written, `[images][lines][columns][width]`, and some more behind them.
    fn outputs<T: Float>(
        &self,
        (points, products): (&Points<T>, &[T]),
        width: usize,
        ([rows, lines], images): ([usize; 2], usize),
    ) -> Buffer<T> {
        let line = self.maps.size[1];
        let len = (images * lines * line + TURN) * width;
        let adds = S::ADDS;
        let mut pixels =
            if adds { Buffer::filled(len, T::ZERO) } else { Buffer::for_overwrite(len) };
        let Grid { step, dilation, .. } = self.grid;
        let size = [rows, self.grid.width];
        for image in 0..images {
            let pixels = &mut pixels[image * lines * line * width..][..lines * line * width];
            let products = Products {
                values: products.as_chunks().0,
                first: image * rows * self.grid.width,
                tiles: points.tiles + 1,
                vectors: width / LANES,
            };
            let to = Target { size: [lines, line], step, dilation, cut: self.maps.cut };
            write_tiles(S::write, size, &products, (to, adds), pixels.as_chunks_mut().0);
        }
        pixels
    }
}

/// Vectors of the products at every point, and the first tile of an image among all tiles.
struct Products<'a, T> {
    values: &'a [[T; LANES]],
    first: usize,
    tiles: usize,
    vectors: usize,
}

/// Where the squares of an image's tiles belong: how many lines and columns there are, how far squares and the cells of
/// a square are apart, and what is cut off before the first.
#[derive(Clone, Copy)]
struct Target {
    size: [usize; 2],
    step: usize,
    dilation: [usize; 2],
    cut: [usize; 2],
}

vectorized! {
    /// Transforms the products of rows and columns of tiles, writes or adds them, and leaves out what lies beyond the map.
    fn write_tiles[T: Float, F: Fn([T; TILE]) -> [T; TO] + Copy, const TILE: usize, const TO: usize](
        f: F,
        tiles: [usize; 2],
        products: &Products<'_, T>,
        to: (Target, bool),
        pixels: &mut [[T; LANES]],
    ) {
        let &Products { values, first, tiles: all, vectors } = products;
        let (Target { size: [lines, line], step, dilation: [down, across], cut }, adds) = to;
        let (mut square, mut cells) = (zeros::<T, TILE>(), zeros::<T, TO>());
        let [rows, columns] = tiles;
        for tile in 0..rows * columns {
            let y = first_cell(tile / columns, step, down).wrapping_sub(cut[0]);
            let x = first_cell(tile % columns, step, across).wrapping_sub(cut[1]);
            for vector in 0..vectors {
                for (point, square) in square.as_flattened_mut().iter_mut().enumerate() {
                    *square = values[(point * all + first + tile) * vectors + vector];
                }
                sandwich(f, &square, &mut cells);
                for (i, row) in cells.iter().enumerate() {
                    let y = y.wrapping_add(i * down);
                    for (j, values) in row.iter().enumerate() {
                        let x = x.wrapping_add(j * across);
                        if y < lines && x < line {
                            let to = &mut pixels[(y * line + x) * vectors + vector];
                            if adds {
                                to.iter_mut().zip(values).for_each(|(to, &value)| *to += value);
                            } else {
                                *to = *values;
                            }
                        }
                    }
                }
            }
        }
    }
}
