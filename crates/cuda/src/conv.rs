//! Convolutions as their kernels see them: a map from results and taps to the cells that they read.
//!
//! One kernel serves the forward pass and the input gradient (see `kernels/conv.ptx`). A cell of the input is reached by
//! the outputs `(i + p - t d) / s` that are whole, so the cells of one residue of the stride are reached by the same taps,
//! and the input gradient is one map, and one launch, for each residue.

use striate_conv::{ConvShape, ConvSpec};
use striate_tensor::Result;
use striate_tensor::backend::Storage;

use crate::backend::Cuda;
use crate::card::{Arg, THREADS};
use crate::matmul::Epilogue;
use crate::memory::address;

/// The most taps, summed over the axes, for which the tiled kernels have bits.
const MOST_TAPS: usize = 31;
/// Pairs of channels of a group for which a tile would be mostly empty.
const FEW_PAIRS: usize = 16;
/// What tiles of the kernels hold: rows, and positions or weights.
const TILE: [usize; 2] = [64, 128];
/// Threads of the tiled kernels.
const TILED: usize = 128;
/// Blocks that fill the largest cards, four on each of 132 multiprocessors; a sum is cut in parts until there are so many.
const BLOCKS: usize = 528;
/// The fewest positions of a part.
const SHORTEST_PART: usize = 256;
/// The bits of a number that tf32 keeps: all but thirteen of the fraction.
const TF32_BITS: u32 = 0xffff_e000;

/// What every kernel of `conv.ptx`, `conv_tf32.ptx` and `conv_weight.ptx` is told; its head describes the parts.
struct Map {
    batch: usize,
    groups: usize,
    rows: usize,
    depth: usize,
    source: [usize; 3],
    target: [usize; 3],
    taps: [usize; 3],
    scale: [usize; 3],
    step: [isize; 3],
    origin: [isize; 3],
    plane: usize,
    start: usize,
    place: [usize; 3],
    /// From group to group, row to row, channel to channel, and the first.
    weight: [usize; 4],
    weight_tap: [usize; 3],
}

fn volume(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

/// Elements from one to the next along each axis of a dense volume.
fn strides([_, height, width]: [usize; 3]) -> [usize; 3] {
    [height * width, width, 1]
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Map {
    /// The forward pass: output o reads o s + t d - p.
    fn forward(shape: &ConvShape) -> Self {
        let ConvSpec { kernel, stride, dilation, padding, groups, .. } = shape.spec;
        let [rows, depth] = [shape.out_channels, shape.in_channels].map(|n| n / groups);
        let taps = volume(kernel);
        Self {
            batch: shape.batch,
            groups,
            rows,
            depth,
            source: shape.input,
            target: shape.output,
            taps: kernel,
            scale: stride,
            step: dilation.map(usize::cast_signed),
            origin: padding.map(|sides| -sides[0].cast_signed()),
            plane: volume(shape.output),
            start: 0,
            place: strides(shape.output),
            weight: [rows * depth * taps, depth * taps, taps, 0],
            weight_tap: strides(kernel),
        }
    }

    /// The input gradient, residue by residue of the stride.
    fn gradients(shape: &ConvShape) -> impl Iterator<Item = Self> {
        let [s0, s1, s2] = shape.spec.stride;
        let residues = (0..s0 * s1 * s2).map(move |i| [i / s2 / s1, i / s2 % s1, i % s2]);
        residues.filter_map(|residue| Self::gradient(shape, residue))
    }

    /// The cells of one residue: the first tap that makes the output whole, and each s / gcd(s, d) after it.
    fn gradient(shape: &ConvShape, residue: [usize; 3]) -> Option<Self> {
        let spec = &shape.spec;
        let forward = Self::forward(shape);
        let taps = volume(spec.kernel);
        let (tap_strides, cell_strides) = (strides(spec.kernel), strides(shape.input));
        let mut map = Self {
            rows: forward.depth,
            depth: forward.rows,
            source: shape.output,
            scale: [1; 3],
            plane: volume(shape.input),
            weight: [forward.weight[0], taps, forward.depth * taps, 0],
            ..forward
        };
        for axis in 0..3 {
            let (stride, dilation) = (spec.stride[axis], spec.dilation[axis]);
            let cell = residue[axis] + spec.padding[axis][0];
            let first =
                (0..stride).find(|t| (cell + t * (stride - 1) * dilation).is_multiple_of(stride));
            let every = stride / gcd(stride, dilation);
            map.target[axis] = shape.input[axis].checked_sub(residue[axis])?.div_ceil(stride);
            let kernel = spec.kernel[axis];
            map.taps[axis] = first.map_or(0, |t| kernel.saturating_sub(t).div_ceil(every));
            let first = first.unwrap_or(0);
            map.step[axis] = -(every * dilation / stride).cast_signed();
            let reach = cell.cast_signed() - (first * dilation).cast_signed();
            map.origin[axis] = reach.div_euclid(stride.cast_signed());
            map.start += residue[axis] * cell_strides[axis];
            map.place[axis] = stride * cell_strides[axis];
            map.weight[3] += first.min(kernel - 1) * tap_strides[axis];
            map.weight_tap[axis] = every * tap_strides[axis];
        }
        (volume(map.target) != 0).then_some(map)
    }

    /// Positions of all images.
    fn positions(&self) -> usize {
        self.batch * volume(self.target)
    }

    /// Whether tiles would be mostly empty, or have more taps than bits.
    fn is_direct(&self) -> bool {
        self.rows * self.depth <= FEW_PAIRS || self.taps.iter().sum::<usize>() > MOST_TAPS
    }

    /// Elements of a group's packed weights: whole tiles of rows and of sixteen steps.
    fn packed_len(&self) -> usize {
        (self.depth * volume(self.taps)).next_multiple_of(16) * self.rows.next_multiple_of(TILE[0])
    }

    /// The words, after the addresses of the operands.
    fn args(&self, operands: &[u64]) -> Vec<Arg> {
        let signed = |value: &isize| Arg::Signed(*value as i32);
        let mut args: Vec<Arg> = operands.iter().map(|address| Arg::from(*address)).collect();
        args.extend([self.batch, self.groups, self.rows, self.depth].map(Arg::from));
        for part in [self.source, self.target, self.taps, self.scale] {
            args.extend(part.map(Arg::from));
        }
        args.extend(self.step.iter().chain(&self.origin).map(signed));
        args.extend([self.plane, self.start].map(Arg::from));
        args.extend(self.place.map(Arg::from));
        args.extend(self.weight.map(Arg::from));
        args.extend(self.weight_tap.map(Arg::from));
        args
    }
}

impl Cuda {
    /// Runs a map of a forward pass or of an input gradient: input, weight, output.
    fn gather(
        &self,
        map: &Map,
        [input, weight, output]: [u64; 3],
        epilogue: Epilogue,
    ) -> Result<()> {
        let bias = epilogue.row_bias;
        if map.is_direct() {
            let args = [map.args(&[input, weight, bias, output]), vec![epilogue.floor()]].concat();
            let grid = [map.positions().div_ceil(THREADS), map.groups * map.rows, 1];
            return self.card.launch("conv_direct", grid, THREADS, &args);
        }
        let packed = self.card.alloc(map.groups * map.packed_len(), size_of::<f32>())?;
        let grid = [map.packed_len().div_ceil(THREADS), map.groups, 1];
        let (kernel, kept) = match self.rounds("conv_tf32") {
            true => ("conv_tf32", TF32_BITS),
            false => ("conv", u32::MAX),
        };
        let args = [map.args(&[weight, packed.address]), vec![Arg::Word(kept)]].concat();
        self.card.launch("conv_pack", grid, THREADS, &args)?;
        let operands = [input, packed.address, bias, output];
        let args = [map.args(&operands), vec![epilogue.floor()]].concat();
        let tiles = map.rows.div_ceil(TILE[0]) * map.positions().div_ceil(TILE[1]);
        self.card.launch(kernel, [tiles, map.groups, 1], TILED, &args)
    }

    pub(crate) fn conv_forward(
        &self,
        shape: &ConvShape,
        [input, weight]: [&Storage<f32>; 2],
        (bias, relu): (Option<&Storage<f32>>, bool),
    ) -> Result<Storage<f32>> {
        let epilogue = Epilogue { row_bias: bias.map_or(Ok(0), address)?, col_bias: 0, relu };
        self.output(shape.output_len(), |out| {
            self.gather(&Map::forward(shape), [address(input)?, address(weight)?, out], epilogue)
        })
    }

    pub(crate) fn conv_of_input(
        &self,
        shape: &ConvShape,
        [grad, weight]: [&Storage<f32>; 2],
    ) -> Result<Storage<f32>> {
        let operands = [address(grad)?, address(weight)?];
        self.output(shape.input_len(), |out| {
            let [grad, weight] = operands;
            let mut maps = Map::gradients(shape);
            maps.try_for_each(|map| self.gather(&map, [grad, weight, out], Epilogue::default()))
        })
    }

    pub(crate) fn conv_of_weight(
        &self,
        shape: &ConvShape,
        [input, grad]: [&Storage<f32>; 2],
    ) -> Result<Storage<f32>> {
        let (map, len) = (Map::forward(shape), shape.weight_len());
        let operands = [address(input)?, address(grad)?];
        let columns = map.depth * volume(map.taps);
        self.output(len, |out| {
            let [input, grad] = operands;
            if map.is_direct() {
                let grid = [columns, map.groups * map.rows, 1];
                let args = map.args(&[input, grad, out]);
                return self.card.launch("conv_weight_direct", grid, THREADS, &args);
            }
            let tiles = map.rows.div_ceil(TILE[0]) * columns.div_ceil(TILE[1]);
            let most = BLOCKS.div_ceil(tiles * map.groups);
            let chunk = map.positions().div_ceil(most).max(SHORTEST_PART).next_multiple_of(8);
            let parts = map.positions().div_ceil(chunk).max(1);
            let sums = self.card.alloc(parts * len, size_of::<f32>())?;
            let args = [map.args(&[input, grad, sums.address]), vec![chunk.into()]].concat();
            self.card.launch("conv_weight", [tiles, parts, map.groups], TILED, &args)?;
            self.add_parts([sums.address, out], parts, [1, 1, len], Epilogue::default())
        })
    }
}
