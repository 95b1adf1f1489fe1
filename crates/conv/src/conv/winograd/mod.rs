//! Convolution by Winograd's algorithm: a quarter of the products, or a third of a very large kernel's.
//!
//! For 3x3 kernels the input is cut into tiles of 6x6 cells that overlap by two, and each becomes 4x4 outputs,
//! F(4x4, 3x3). At each of the 36 points of the transform the tiles are a matrix `[in_channels, tiles]` and the weights a
//! matrix `[out_channels, in_channels]`, whose product is a matrix product like any other:
//!
//! 1. the weights are transformed and packed, once a call;
//! 2. a task takes some rows of tiles, of one image or of several, and computes their points ([`tiles`]);
//! 3. for a vector or two of output channels at a time, the kernel that gathers multiplies at every point, and
//! 4. the products, still in the cache, are transformed back into outputs and turned into rows of pixels (all in `convolve`).
//!
//! On maps of three, five, six or nine cells, tiles of 3x3 outputs, F(3x3, 3x3), leave less beyond the output. Kernels of 5x5 taps have 7x7
//! cells and 3x3 outputs a tile, F(3x3, 5x5), with seven points along an axis ([`seven`]), and those of 4x4 F(4x4, 4x4).
//!
//! A larger kernel is cut into blocks of 3x3 or 4x4 taps, padded with zeros. With as many outputs a tile as taps a block,
//! the tiles that two blocks read for one output are as far apart as the blocks, so that all blocks share the points of
//! the same tiles, and their products are summed before they are transformed back. A block is then no more than an offset
//! in the list of tiles. As the list has rows that are longer than those of the outputs, by one tile for each block
//! after the first, some of what is computed is for no output.
//!
//! A dilated kernel reads the cells of one phase: those as far apart as its taps. Each phase is a convolution without dilation, whose
//! tiles have cells that far apart. Tiles of all phases make a row: a *band* of the output has a line of tiles for each phase of lines, and
//! in a line the tiles of all phases of columns take turns. Nothing is copied apart.
//!
//! Kernels of two taps have F(5x5, 2x2) or F(4x4, 2x2) ([`two`]). A stride makes such kernels of larger ones: the phases of the input become
//! channels of a convolution at stride 1 ([`strided`]).
//!
//! The gradient of the input is the convolution of the output's gradient with the flipped kernel, or the adjoint of all this: the transposed
//! transforms, and squares of 6x6 cells that are added where they overlap. Maps that were not padded give the adjoint fewer products.
//!
//! All transforms work on sixteen channels at a time, one in each lane ([`transform`]).
//!
//! The transforms cost accuracy: the error is some three times that of the plain sum, with seven points seven times, still a few units in
//! the last place of the largest results. What would be zero is as far from it. Convolutions in f64 do not come here.

mod convolve;
mod seven;
mod strided;
mod tiles;
mod transform;
mod two;
mod weight_gradient;

use std::ops::Range;

use self::convolve::{Maps, Weights};
use self::seven::Seven;
use self::strided::Phases;
use self::transform::{Adjoint, Forward, Four, LANES, Three};
use self::two::Two;
use super::{Operation, padded};
use crate::buffer::Buffer;
use crate::element::{DType, Float};
use crate::gemm::cuts;
use crate::geometry::{ConvShape, ConvSpec};

/// Whether this can compute a sum of `T`.
pub(super) fn applies<T: Float>(operation: Operation, shape: &ConvShape) -> bool {
    if let Some(Phases { unit, .. }) = Phases::of(shape) {
        return applies::<T>(operation, &unit);
    }
    let ConvSpec { kernel, stride, dilation, groups, .. } = shape.spec;
    let plain = stride == [1; 3] && groups == 1 && kernel[0] == 1;
    let flat = shape.input[0] == 1 && shape.output[0] == 1;
    // Phases that begin beyond the output would be tiles for nothing.
    let dense = dilation[1] <= shape.output[1] && dilation[2] <= shape.output[2];
    let reaches = || {
        let flips = operation != Operation::InputGradient || shape.flipped().is_some();
        flips || Grid::of(shape).scatters()
    };
    let vectors = T::DTYPE == DType::F32 && T::kernel().columns == LANES;
    plain && flat && dense && vectors && reaches()
}

/// The most tiles of an image that one task adds up.
const ADJOINT_TILES: usize = 196;

/// What transforming costs for each point and channel, in products: forward, and for the weight gradient.
const TRANSFORM: [f64; 2] = [17.0, 12.0];

/// What transforming the weights of a pair of channels and a block of taps, or their gradient, costs once a call, in products.
const WEIGHTS: [f64; 2] = [1250.0, 1550.0];

/// What copying a cell of a phase costs, in products. Fitted to kernels of 3 to 7 at stride 2 on a Zen 3.
const COPY: f64 = 75.0;

/// What this costs, as a share of the plain algorithm: the products that are left, counting lanes that no channel fills; the transforms
/// of the tiles, which spread over the channels on the other side and over the taps; and that of the weights, which spreads over all
/// outputs. Tiles reach beyond the output, and blocks of taps read more of them. The numbers were fitted to the times of 40 layers, of 3 to
/// 1024 channels, 3 to 112 cells, kernels of 3 to 9 and 1 to 128 images, on a Zen 4, in the unit in which the other estimates come out.
pub(super) fn cost<T: Float>(operation: Operation, shape: &ConvShape) -> f64 {
    if let Some(phases) = Phases::of(shape) {
        let [products, copied] = phases.cost();
        return products * cost::<T>(operation, &phases.unit) + T::kernel().moving * COPY * copied;
    }
    if operation != Operation::InputGradient {
        return cost_of::<T>(operation, shape);
    }
    match flipped::<T>(shape) {
        Some(flipped) => flipped_cost::<T>(shape, &flipped),
        None => adjoint_cost::<T>(shape),
    }
}

/// The convolution with the flipped kernel, if the input gradient had better be that.
///
/// It is a convolution of the padded gradient, and where there was no padding, many of its products are with zeros. The
/// adjoint runs through the points of the forward pass instead, as many, and adds up its squares where they overlap. So
/// one task takes all tiles of an image, and they should not be too many.
fn flipped<T: Float>(shape: &ConvShape) -> Option<ConvShape> {
    let scatters = Grid::of(shape).scatters();
    let dearer = |flipped: &_| flipped_cost::<T>(shape, flipped) > adjoint_cost::<T>(shape);
    shape.flipped().filter(|flipped| !(scatters && dearer(flipped)))
}

fn flipped_cost<T: Float>(shape: &ConvShape, flipped: &ConvShape) -> f64 {
    padded(shape) * cost_of::<T>(Operation::Forward, flipped)
}

fn adjoint_cost<T: Float>(shape: &ConvShape) -> f64 {
    let (in_channels, out_channels) = (shape.out_channels, shape.in_channels);
    cost_of::<T>(Operation::Forward, &ConvShape { in_channels, out_channels, ..*shape })
}

fn cost_of<T: Float>(operation: Operation, shape: &ConvShape) -> f64 {
    let grid = Grid::of(shape);
    let backward = operation == Operation::WeightGradient;
    let taps = shape.spec.kernel.iter().product::<usize>() as f64;
    let outputs = shape.output.iter().product::<usize>() as f64;
    let [inputs, out_channels] = [shape.in_channels, shape.out_channels].map(|n| n as f64);
    let tiles = grid.tiles() as f64;
    let read = ((grid.rows + grid.blocks[0] - 1) * grid.band()) as f64;
    let points = grid.points() as f64 / outputs;
    // The weight gradient's panels have lanes of input channels, and its sums run through all columns of the list.
    let multiplied = match backward {
        false => tiles * lanes::<T>(shape.out_channels) as f64 / out_channels,
        true => {
            let lanes = shape.in_channels.next_multiple_of(LANES) as f64;
            (grid.rows * grid.band()) as f64 * lanes / inputs
        }
    };
    let products = multiplied * grid.weight_points() as f64 / (outputs * taps);
    let transforms = points * (read / out_channels + tiles / inputs) / taps;
    let blocks = grid.offsets().count() as f64;
    let [transform, weights] = [TRANSFORM, WEIGHTS].map(|numbers| numbers[usize::from(backward)]);
    let weights = weights * blocks / (shape.batch as f64 * outputs * taps);
    products + T::kernel().moving * transform * transforms + weights
}

/// Does something by the transform of a grid.
macro_rules! by_transform {
    ($grid:expr, $by:ident => $work:expr) => {
        match [$grid.step, $grid.taps] {
            [4, 3] => {
                let $by = Four;
                $work
            }
            [3, 3] => {
                let $by = Three;
                $work
            }
            [3, 5] => {
                let $by = Seven::<3, 5>;
                $work
            }
            [5, 2] => {
                let $by = Two(Four);
                $work
            }
            [4, 2] => {
                let $by = Two(Three);
                $work
            }
            _ => {
                let $by = Seven::<4, 4>;
                $work
            }
        }
    };
}

/// See [`super::forward`].
pub(super) fn forward<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    if let Some(phases) = Phases::of(shape) {
        let (input, weight) = (phases.split(input), phases.split_weight(weight));
        return forward(&phases.unit, &input, &weight, bias, output);
    }
    let strides = [shape.in_channels, 1];
    convolve(shape, (input, &weights_of(shape, weight, strides)), bias, output);
}

/// See [`super::input_gradient`].
pub(super) fn input_gradient<T: Float>(
    shape: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    if let Some(phases) = Phases::of(shape) {
        let weight = phases.split_weight(weight);
        let mut split = Buffer::for_overwrite(phases.unit.input_len());
        input_gradient(&phases.unit, grad_output, &weight, &mut split);
        return phases.join(&split, grad_input);
    }
    let weights = weights_of(shape, weight, [1, shape.in_channels]);
    if let Some(shape) = flipped::<T>(shape) {
        let weights = Weights { flipped: true, ..weights };
        return convolve(&shape, (grad_output, &weights), None, grad_input);
    }
    let grid = Grid::of(shape);
    let maps = Maps {
        windows: grid.gradient_windows(shape),
        channels: shape.in_channels,
        size: [shape.input[1], shape.input[2]],
        cut: [1, 2].map(|axis| shape.spec.padding[axis][0]),
    };
    let (plan, from) = ((grid, maps), (grad_output, &weights));
    by_transform!(grid, by => convolve::convolve(Adjoint(by), plan, from, None, grad_input));
}

fn convolve<T: Float>(
    shape: &ConvShape,
    from: (&[T], &Weights<'_, T>),
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let grid = Grid::of(shape);
    let maps = Maps {
        windows: grid.windows(shape, grid.cells()),
        channels: shape.out_channels,
        size: [shape.output[1], shape.output[2]],
        cut: [0; 2],
    };
    by_transform!(grid, by => convolve::convolve(Forward(by), (grid, maps), from, bias, output));
}

/// The weight, with so many kernels from one written channel to the next, and from one that is read.
fn weights_of<'a, T>(shape: &ConvShape, values: &'a [T], kernels: [usize; 2]) -> Weights<'a, T> {
    let [_, height, width] = shape.spec.kernel;
    let strides = kernels.map(|kernels| kernels * height * width);
    Weights { values, strides, kernel: [height, width], flipped: false }
}

/// See [`super::weight_gradient`].
pub(super) fn weight_gradient<T: Float>(
    shape: &ConvShape,
    input: &[T],
    grad_output: &[T],
    grad_weight: &mut [T],
) {
    if let Some(phases) = Phases::of(shape) {
        let input = phases.split(input);
        let mut split = Buffer::for_overwrite(phases.unit.weight_len());
        weight_gradient(&phases.unit, &input, grad_output, &mut split);
        return phases.join_weight(&split, grad_weight);
    }
    let from = [input, grad_output];
    by_transform!(Grid::of(shape), by => weight_gradient::weight_gradient(by, shape, from, grad_weight));
}

/// Elements that an operation holds for the length of a call: the transformed weights, or the sums and points of their gradient.
pub(super) fn held_len<T: Float>(operation: Operation, shape: &ConvShape) -> usize {
    if let Some(phases) = Phases::of(shape) {
        return held_len::<T>(operation, &phases.unit).saturating_add(phases.held_len());
    }
    if operation == Operation::WeightGradient {
        return weight_gradient::held_len::<T>(shape);
    }
    let channels = [shape.in_channels, shape.out_channels];
    if operation != Operation::InputGradient {
        return weights_len::<T>(&Grid::of(shape), channels);
    }
    let [from, to] = channels;
    weights_len::<T>(&Grid::of(flipped::<T>(shape).as_ref().unwrap_or(shape)), [to, from])
}

/// Elements of the transformed weights, from channels to channels.
fn weights_len<T: Float>(grid: &Grid, [from, to]: [usize; 2]) -> usize {
    grid.weight_points() * lanes::<T>(to) * from
}

/// Lanes of the panels of so many output channels.
fn lanes<T: Float>(channels: usize) -> usize {
    // Whole panels, and what is left.
    let rest = channels % T::kernel().widest_panel();
    channels - rest + panels::<T>(rest).map(|(_, width)| width).sum::<usize>()
}

/// The panels of so many output channels: those of each, and its width, whole vectors of [`LANES`].
fn panels<T: Float>(channels: usize) -> impl Iterator<Item = (Range<usize>, usize)> + Clone {
    let kernel = T::kernel();
    let widest = kernel.widest_panel();
    cuts(channels, widest).map(|channels| {
        let width = kernel.panel_width(channels.len().max(LANES));
        (channels, width)
    })
}

/// Tiles from one point to the next: an odd number, so that the points of a tile do not all fall into the same few sets of the
/// cache.
fn point_len(tiles: usize) -> usize {
    tiles | 1
}

/// Elements of the transformed gradient of the weight.
fn sums_len<T: Float>(shape: &ConvShape) -> usize {
    let outputs = shape.out_channels.next_multiple_of(T::kernel().rows);
    Grid::of(shape).weight_points() * outputs * shape.in_channels.next_multiple_of(LANES)
}

/// Outputs of a tile, and taps of a block, of each transform, along an axis. The first serves where any does.
const TRANSFORMS: [[usize; 2]; 6] = [[3, 3], [4, 3], [3, 5], [4, 4], [5, 2], [4, 2]];

/// How the tiles of an image lie.
#[derive(Clone, Copy)]
struct Grid {
    /// Outputs of a tile along an axis.
    step: usize,
    /// Taps of a block along an axis.
    taps: usize,
    /// How far its cells are apart along the axes, and so how many phases there are.
    dilation: [usize; 2],
    /// Blocks of taps along the axes.
    blocks: [usize; 2],
    /// Bands of the output: rows of tiles of all phases of lines.
    rows: usize,
    /// Tiles of a line of tiles that have outputs.
    width: usize,
    /// Tiles of a line in the list of tiles.
    columns: usize,
}

impl Grid {
    /// With the tiles that make the fewest products. Several blocks of taps share points only if they are as far apart as tiles.
    fn of(shape: &ConvShape) -> Self {
        let [_, height, width] = shape.spec.kernel;
        let [_, down, across] = shape.spec.dilation;
        let grid = |[step, taps]: [usize; 2]| {
            let blocks = [height, width].map(|size| size.div_ceil(taps));
            let rows = shape.output[1].div_ceil(down).div_ceil(step);
            let width = shape.output[2].div_ceil(across).div_ceil(step) * across;
            let columns = width + (blocks[1] - 1) * across;
            Self { step, taps, dilation: [down, across], blocks, rows, width, columns }
        };
        let fits = |grid: &Self| grid.blocks == [1; 2] || grid.step == grid.taps;
        // With seven points transforms are dearer and less exact, so they have to save a fifth.
        let dear = |grid: &Self| grid.products() as f64 * if grid.cells() > 6 { 1.25 } else { 1.0 };
        let [first, others @ ..] = TRANSFORMS.map(grid);
        let others = others.into_iter().filter(fits);
        others.fold(first, |best, grid| if dear(&grid) <= dear(&best) { grid } else { best })
    }

    /// Products for an image and a pair of channels.
    fn products(&self) -> usize {
        self.tiles() * self.weight_points()
    }

    /// Whether one task can add up the squares of an image.
    fn scatters(&self) -> bool {
        self.blocks == [1; 2] && self.tiles() <= ADJOINT_TILES
    }

    /// Tiles of an image that have outputs.
    fn tiles(&self) -> usize {
        self.rows * self.dilation[0] * self.width
    }

    /// Tiles of a band in the list of tiles.
    fn band(&self) -> usize {
        self.dilation[0] * self.columns
    }

    /// Lines of the output in a band.
    fn lines(&self) -> usize {
        self.dilation[0] * self.step
    }

    /// Points of the weight of a pair of channels.
    fn weight_points(&self) -> usize {
        self.blocks[0] * self.blocks[1] * self.points()
    }

    /// Points of a tile.
    fn points(&self) -> usize {
        self.cells() * self.cells()
    }

    /// Cells of a tile along an axis.
    fn cells(&self) -> usize {
        self.step + self.taps - 1
    }

    /// The offsets of the blocks of taps in the list of tiles.
    fn offsets(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let Self { blocks: [down, across], dilation, .. } = *self;
        let band = self.band();
        (0..down * across).map(move |block| block / across * band + block % across * dilation[1])
    }

    /// The tap of the kernel at a place in a block, if the kernel reaches there.
    fn tap(&self, kernel: [usize; 2], block: usize, [y, x]: [usize; 2]) -> Option<usize> {
        let [height, width] = kernel;
        let (down, across) = (block / self.blocks[1], block % self.blocks[1]);
        let (y, x) = (down * self.taps + y, across * self.taps + x);
        (y < height && x < width).then_some(y * width + x)
    }

    /// Bands of the input that some bands of the output read.
    fn input_rows(&self, rows: &Range<usize>) -> Range<usize> {
        rows.start..rows.end + self.blocks[0] - 1
    }

    /// The tiles of the input as windows, `cells` wide.
    fn windows(&self, shape: &ConvShape, cells: usize) -> ConvShape {
        let mut spec = shape.spec;
        (spec.kernel, spec.stride) = ([1, cells, cells], [1, self.step, self.step]);
        ConvShape { output: [1, self.rows + self.blocks[0] - 1, self.columns], spec, ..*shape }
    }

    /// Those of the output's gradient are windows, too: side by side.
    fn gradient_windows(&self, shape: &ConvShape) -> ConvShape {
        let mut windows = self.windows(shape, self.step);
        (windows.in_channels, windows.input) = (shape.out_channels, shape.output);
        windows.spec.padding = [[0; 2]; 3];
        windows
    }
}

#[cfg(test)]
mod tests {
    use crate::conv::indirect;

    #[test]
    fn lanes_are_those_of_all_panels() {
        for channels in 0..200 {
            let all = [
                (super::lanes::<f32>(channels), super::panels::<f32>(channels).collect()),
                (indirect::lanes::<f32>(channels), indirect::panels::<f32>(channels).collect()),
            ];
            for (lanes, panels) in all as [(usize, Vec<_>); 2] {
                assert_eq!(lanes, panels.iter().map(|(_, width)| width).sum(), "{channels}");
            }
        }
    }
}
