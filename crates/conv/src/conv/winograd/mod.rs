//! Convolution with 3x3 kernels at stride 1 by Winograd's F(4x4, 3x3): a quarter of the products.
//!
//! The input is cut into tiles of 6x6 cells that overlap by two, and each becomes 4x4 outputs. At each of the 36
//! points of the transform the tiles are a matrix `[in_channels, tiles]` and the weights a matrix
//! `[out_channels, in_channels]`, whose product is a matrix product like any other:
//!
//! 1. the weights are transformed and packed, once a call ([`weights`]);
//! 2. a task takes some rows of tiles and writes their points in the panels that the microkernel reads
//!    ([`transform`]);
//! 3. for some output channels at a time, the microkernel multiplies at every point ([`multiply`]), and
//! 4. the products, still in the cache, are transformed back into outputs ([`write`]).
//!
//! The tiles are the windows of a convolution with a kernel of six and a stride of four, so that staging
//! (`unfold/staged.rs`) serves them too. All transforms work on sixteen tiles at a time, one in each lane.
//!
//! The transforms cost accuracy: the error is some five times that of the plain sum, still a few units in the last
//! place of the largest results. Convolutions in f64 do not come here.

mod transform;
mod weight_gradient;

use std::ops::Range;

use rayon::prelude::*;

use self::transform::{
    LANES, POINTS, STEP, Square, TILE, input_points, outputs_of, weight_points, zeros,
};
pub(super) use self::weight_gradient::weight_gradient;
use crate::buffer::Buffer;
use crate::element::{DType, Float};
use crate::gemm::MatrixMut;
use crate::geometry::{ConvShape, ConvSpec};
use crate::simd::vectorize;
use crate::unfold::Staged;

/// Tiles of a task: their points fit the second-level cache, if there are not too many channels.
const TASK_TILES: usize = 48;
/// Where the weights at all points take more than this, they are read from memory anew for every task, and tasks are
/// made larger.
const CACHED_WEIGHTS: usize = 4 << 20;
const LARGE_TASK_TILES: usize = 192;
/// Panels of weights that meet the points of a task together.
const PANELS: usize = 4;
/// The most channels of one partial sum.
const DEPTH: usize = 96;

/// Whether this can compute a convolution of `T`.
pub(super) fn applies<T: Float>(shape: &ConvShape) -> bool {
    let ConvSpec { kernel, stride, dilation, groups, .. } = shape.spec;
    let plain = [stride, dilation] == [[1; 3]; 2] && groups == 1;
    let flat = shape.input[0] == 1 && shape.output[0] == 1;
    plain && flat && kernel == [1, 3, 3] && T::DTYPE == DType::F32 && T::kernel().columns == LANES
}

/// The outputs of a convolution among those of its tiles.
pub(super) fn tile_use(shape: &ConvShape) -> f64 {
    let share =
        |axis: usize| shape.output[axis] as f64 / shape.output[axis].next_multiple_of(STEP) as f64;
    share(1) * share(2)
}

/// See [`super::forward`].
pub(super) fn forward<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let inputs = shape.in_channels;
    let taps = |to: usize, from: usize| &weight[(to * inputs + from) * 9..][..9];
    convolve(shape, input, &weights(shape, |to, from, tap| taps(to, from)[tap]), bias, output);
}

/// See [`super::input_gradient`]: the convolution of the output's gradient with the flipped kernel. `flipped` is
/// [`ConvShape::flipped`].
pub(super) fn input_gradient<T: Float>(
    flipped: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    let outputs = flipped.out_channels;
    let taps = |to: usize, from: usize| &weight[(from * outputs + to) * 9..][..9];
    let weights = weights(flipped, |to, from, tap| taps(to, from)[8 - tap]);
    convolve(flipped, grad_output, &weights, None, grad_input);
}

/// The transformed weights, `[points][panels of out_channels][in_channels][rows of a panel]`.
fn weights<T: Float>(
    shape: &ConvShape,
    tap: impl Fn(usize, usize, usize) -> T + Sync,
) -> Buffer<T> {
    let (kernel, inputs, outputs) = (T::kernel(), shape.in_channels, shape.out_channels);
    let panels = outputs.div_ceil(kernel.rows);
    let panel_len = inputs * kernel.rows;
    let mut weights = Buffer::for_overwrite(POINTS * panels * panel_len);
    // A task makes one panel of every point.
    let mut places: Vec<Vec<&mut [T]>> = (0..panels).map(|_| Vec::with_capacity(POINTS)).collect();
    for (index, panel) in weights.chunks_exact_mut(panel_len).enumerate() {
        places[index % panels].push(panel);
    }
    places.into_par_iter().enumerate().for_each(|(panel, mut points)| {
        let mut transformed = vec![zeros::<T, TILE>(); kernel.rows];
        for first in (0..inputs).step_by(LANES) {
            let count = LANES.min(inputs - first);
            for (row, transformed) in transformed.iter_mut().enumerate() {
                let to = panel * kernel.rows + row;
                let mut taps = zeros::<T, 3>();
                if to < outputs {
                    for (i, lane) in (0..9).flat_map(|i| (0..count).map(move |lane| (i, lane))) {
                        taps[i / 3][i % 3][lane] = tap(to, first + lane, i);
                    }
                }
                weight_points(&taps, transformed);
            }
            for (point, place) in points.iter_mut().enumerate() {
                let mut lanes: [&[T]; LANES] = [&[]; LANES];
                for (lane, row) in lanes.iter_mut().zip(&transformed) {
                    *lane = &row.as_flattened()[point][..count];
                }
                let place = &mut place[first * kernel.rows..][..count * kernel.rows];
                kernel.interleave(&lanes[..kernel.rows], place);
            }
        }
    });
    weights
}

/// Rows of tiles of one image.
struct Piece {
    image: usize,
    /// The tiles, counted through the image.
    tiles: Range<usize>,
}

/// What a task computes: some tiles, and for each block of output channels and each piece the rows of the output
/// that its tiles cover, `[channels, cells]`.
struct Task<'a, T> {
    pieces: Vec<Piece>,
    outputs: Vec<Vec<MatrixMut<'a, T>>>,
}

/// The sizes that all parts of a convolution share.
struct Sizes {
    /// Input channels.
    depth: usize,
    /// Panels of output channels.
    panels: usize,
    /// Tiles of a row of tiles.
    grid: usize,
    /// Outputs of a row.
    width: usize,
}

/// Rows and columns of tiles.
fn grid(shape: &ConvShape) -> [usize; 2] {
    [shape.output[1], shape.output[2]].map(|size| size.div_ceil(STEP))
}

/// The tiles as windows of 6x6 cells, four apart.
fn windows(shape: &ConvShape) -> ConvShape {
    let ([height, width], mut spec) = (grid(shape), shape.spec);
    (spec.kernel, spec.stride) = ([1, TILE, TILE], [1, STEP, STEP]);
    ConvShape { output: [1, height, width], spec, ..*shape }
}

fn convolve<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weights: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let (kernel, grid, windows) = (T::kernel(), grid(shape), windows(shape));
    let width = shape.output[2];
    let panels = shape.out_channels.div_ceil(kernel.rows);
    let sizes = Sizes { depth: shape.in_channels, panels, grid: grid[1], width };

    let large = size_of_val(weights) > CACHED_WEIGHTS;
    let tiles = if large { LARGE_TASK_TILES } else { TASK_TILES };
    let block = PANELS * kernel.rows;
    let tasks = tasks(shape, [grid[0], grid[1], tiles], block, output);
    tasks.into_par_iter().for_each(|Task { pieces, mut outputs }| {
        let points = transform(&windows, input, &pieces);
        outputs.par_iter_mut().enumerate().for_each(|(number, outputs)| {
            let first = number * block;
            let products = multiply(&sizes, [&points, weights], number * PANELS);
            let bias = bias.map(|bias| &bias[first..]);
            write(&sizes, &products, (bias, &pieces), outputs);
        });
    });
}

/// Cuts a convolution into tasks of about so many tiles: whole rows of tiles, of one image or of several.
fn tasks<'a, T: Float>(
    shape: &ConvShape,
    [grid_height, grid_width, tiles]: [usize; 3],
    block: usize,
    output: &'a mut [T],
) -> Vec<Task<'a, T>> {
    let [_, height, width] = shape.output;
    let rows = (tiles / grid_width).clamp(1, grid_height);
    let blocks = shape.out_channels.div_ceil(block);
    let mut tasks: Vec<Task<'a, T>> = Vec::new();
    let mut room = 0;
    for (image, output) in output.chunks_exact_mut(shape.out_channels * height * width).enumerate()
    {
        let output = MatrixMut::row_major(output, [shape.out_channels, height * width]);
        // Tiles of the matrix come block by block; the pieces of the image are the same for each.
        let first = tasks.len().saturating_sub(1);
        let mut at = first;
        for (index, part) in output.tiles([block, rows * STEP * width]).enumerate() {
            let pieces = grid_height.div_ceil(rows);
            let (number, piece) = (index / pieces, index % pieces);
            if number == 0 {
                let place = piece * rows * grid_width;
                let end = (place + rows * grid_width).min(grid_height * grid_width);
                if end - place > room {
                    room = tiles.max(end - place);
                    let outputs = (0..blocks).map(|_| Vec::new()).collect();
                    tasks.push(Task { pieces: Vec::new(), outputs });
                }
                room -= end - place;
                if let Some(task) = tasks.last_mut() {
                    task.pieces.push(Piece { image, tiles: place..end });
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

/// Elements from one point of a panel of tiles to the next. An odd number of cache lines, so that the points of a tile do
/// not all fall into the same few sets of the cache.
fn point_len(depth: usize) -> usize {
    (depth | 1) * LANES
}

/// The points of all tiles, `[panels of tiles][points][in_channels][LANES]`.
fn transform<T: Float>(windows: &ConvShape, input: &[T], pieces: &[Piece]) -> Buffer<T> {
    let channels = windows.in_channels;
    let image_len = windows.input_len() / windows.batch;
    let staged: Vec<Staged<T>> = pieces
        .par_iter()
        .map(|Piece { image, tiles }| {
            let planes = &input[image * image_len..][..image_len];
            Staged::new(windows, planes, 0..channels, tiles.clone(), LANES)
        })
        .collect();
    let panels = panels_of(&staged);
    let point_len = point_len(channels);
    let mut transformed = Buffer::for_overwrite(panels.len() * POINTS * point_len);
    let places = transformed.par_chunks_exact_mut(POINTS * point_len);
    places.zip(&panels).for_each(|(place, panel)| {
        // The cells of a panel and what a copy of fixed length writes too much.
        let mut cells = vec![zeros::<T, TILE>(); 2];
        let mut points = zeros();
        for channel in 0..channels {
            gather(&staged, panel, channel, &mut cells);
            input_points(&cells[0], &mut points);
            for (point, values) in points.as_flattened().iter().enumerate() {
                place[point * point_len + channel * LANES..][..LANES].copy_from_slice(values);
            }
        }
    });
    transformed
}

/// Collects the cells of a panel of tiles in the first of two squares; the second takes what copies of fixed length write
/// too much.
#[inline(always)]
fn gather<T: Float, const N: usize>(
    staged: &[Staged<T>],
    panel: &[(usize, usize, usize)],
    channel: usize,
    cells: &mut [Square<T, N>],
) {
    let cells = cells.as_flattened_mut().as_flattened_mut().as_flattened_mut();
    // What a copy writes too much is overwritten by the next.
    for tap in 0..N * N {
        for &(piece, offset, lane) in panel {
            let read = staged[piece].read::<LANES>(channel, tap, offset);
            cells[tap * LANES + lane..][..LANES].copy_from_slice(read);
        }
    }
}

/// For each panel of tiles, where its lanes are: the piece, the offset in what is staged of it, and the lane, in order.
fn panels_of<T: Float>(staged: &[Staged<T>]) -> Vec<Vec<(usize, usize, usize)>> {
    let (mut panels, mut lane) = (Vec::new(), LANES);
    for (piece, staged) in staged.iter().enumerate() {
        for &(mut offset, mut len) in staged.runs() {
            while len > 0 {
                if lane == LANES {
                    panels.push(Vec::new());
                    lane = 0;
                }
                let count = len.min(LANES - lane);
                if let Some(panel) = panels.last_mut() {
                    panel.push((piece, offset, lane));
                }
                (offset, len, lane) = (offset + count, len - count, lane + count);
            }
        }
    }
    panels
}

/// The products at every point for a block of panels of weights, `[panels of tiles][channels][points][LANES]`.
fn multiply<T: Float>(sizes: &Sizes, [points, weights]: [&[T]; 2], first: usize) -> Buffer<T> {
    let (kernel, depth) = (T::kernel(), sizes.depth);
    let panels = PANELS.min(sizes.panels - first);
    let weight_panel = depth * kernel.rows;
    let channels = panels * kernel.rows;
    let blocks = depth.div_ceil(DEPTH);
    let tile_panels = points.len() / (POINTS * point_len(depth));
    let mut products = Buffer::for_overwrite(tile_panels * channels * POINTS * LANES);
    for point in 0..POINTS {
        let weights =
            &weights[(point * sizes.panels + first) * weight_panel..][..panels * weight_panel];
        for tile_panel in 0..tile_panels {
            let tiles =
                &points[(tile_panel * POINTS + point) * point_len(depth)..][..depth * LANES];
            for (row, weights) in weights.chunks_exact(weight_panel).enumerate() {
                let channel = tile_panel * channels + row * kernel.rows;
                let products = &mut products[(channel * POINTS + point) * LANES..];
                // Sums of partial sums: the rounding error of one long sum would grow with its length.
                for block in 0..blocks {
                    let steps = block * depth / blocks..(block + 1) * depth / blocks;
                    let weights = &weights[steps.start * kernel.rows..steps.end * kernel.rows];
                    let tiles = &tiles[steps.start * LANES..steps.end * LANES];
                    kernel.tile(steps.len(), [weights, tiles], products, POINTS * LANES, block > 0);
                }
            }
        }
    }
    products
}

/// Transforms the products of a block of channels into outputs and writes them.
fn write<T: Float>(
    sizes: &Sizes,
    products: &[T],
    (bias, pieces): (Option<&[T]>, &[Piece]),
    outputs: &mut [MatrixMut<'_, T>],
) {
    let kernel = T::kernel();
    let channels = outputs[0].dims()[0];
    let padded = channels.next_multiple_of(kernel.rows);
    let tiles: usize = pieces.iter().map(|piece| piece.tiles.len()).sum();
    let mut line = vec![T::ZERO; STEP * LANES];
    let mut tile = zeros::<T, STEP>();
    for (panel, products) in products.chunks_exact(padded * POINTS * LANES).enumerate() {
        let range = panel * LANES..tiles.min((panel + 1) * LANES);
        let squares = products.as_chunks::<LANES>().0.as_chunks::<TILE>().0.as_chunks::<TILE>().0;
        for (channel, square) in squares[..channels].iter().enumerate() {
            outputs_of(square, &mut tile);
            if let Some(bias) = bias {
                let outputs = tile.as_flattened_mut().as_flattened_mut();
                vectorize(|| outputs.iter_mut().for_each(|y| *y += bias[channel]));
            }
            for (row, lanes) in tile.iter().enumerate() {
                let lanes = lanes.each_ref().map(|lane| &lane[..]);
                kernel.interleave(&lanes, &mut line);
                write_line(sizes, (&line, row, range.clone()), (pieces, channel), outputs);
            }
        }
    }
}

/// Writes one of the four rows of outputs of some tiles, which are counted through all pieces.
fn write_line<T: Float>(
    &Sizes { grid, width, .. }: &Sizes,
    (line, row, range): (&[T], usize, Range<usize>),
    (pieces, channel): (&[Piece], usize),
    outputs: &mut [MatrixMut<'_, T>],
) {
    let mut start = 0;
    for (piece, output) in pieces.iter().zip(outputs) {
        let end = start + piece.tiles.len();
        let mut tile = range.start.max(start);
        let last = range.end.min(end);
        let cells = output.row_mut(channel);
        while tile < last {
            // The tiles up to the end of the row of tiles.
            let (y, x) = ((tile - start) / grid, (tile - start) % grid);
            let count = (grid - x).min(last - tile);
            let cell = (y * STEP + row) * width + x * STEP;
            let len = (count * STEP).min(width - x * STEP);
            // The last row of tiles may reach beyond the output.
            if cell < cells.len() {
                let from = (tile - range.start) * STEP;
                cells[cell..][..len].copy_from_slice(&line[from..][..len]);
            }
            tile += count;
        }
        start = end;
    }
}
