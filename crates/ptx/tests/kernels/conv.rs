//! The convolutions: forward pass, input gradient and weight gradient.

use striate_ptx::{Arg, LaunchError, Memory, Stats};

use super::gemm::Reduction;
use super::geometry::{Map, Shape, volume};
use super::{Kernel, floor, module, nearest_tf32, numbers, optional};

/// Every way of running a map.
fn all() -> [Kernel; 3] {
    [
        Kernel::load("conv", "conv.ptx"),
        Kernel::load("conv_tf32", "conv_tf32.ptx"),
        Kernel::load("conv_direct", "conv.ptx"),
    ]
}

/// Every way of a weight gradient in tiles.
fn tiled_weights() -> [Kernel; 1] {
    [Kernel::load("conv_weight", "conv_weight.ptx")]
}

/// The tensors of maps to be run.
struct Gather<'a> {
    kernel: &'a Kernel,
    memory: Memory,
    input: u64,
    weight: u64,
    bias: u64,
    output: u64,
    relu: bool,
}

type Launched = Result<Stats, LaunchError>;

impl Gather<'_> {
    fn run(&mut self, map: &Map) -> Launched {
        if self.kernel.name == "conv_direct" { self.direct(map) } else { self.tiled(map) }
    }

    fn tiled(&mut self, map: &Map) -> Launched {
        let packed = pack(&mut self.memory, self.weight, map, self.kernel.rounds())?;
        let groups = map.groups as u32;
        let tiles = map.rows.div_ceil(64) * map.positions().div_ceil(128);
        let args = self.args(map, packed);
        self.kernel.launch(&mut self.memory, [tiles as u32, groups, 1], 128, &args)
    }

    fn direct(&mut self, map: &Map) -> Launched {
        let args = self.args(map, self.weight);
        let blocks = map.positions().div_ceil(256) as u32;
        let grid = [blocks, (map.groups * map.rows) as u32, 1];
        self.kernel.launch(&mut self.memory, grid, 256, &args)
    }

    fn args(&self, map: &Map, weight: u64) -> Vec<Arg> {
        let operands = [self.input, weight, self.bias, self.output].map(Arg::from).to_vec();
        [operands, map.args(), vec![floor(self.relu)]].concat()
    }
}

/// Packs a map's weights, for a kernel that rounds or for one that does not.
fn pack(memory: &mut Memory, weight: u64, map: &Map, rounds: bool) -> Result<u64, LaunchError> {
    let packed = memory.alloc(4 * map.packed_len()).unwrap();
    let blocks = (map.packed_len() / map.groups).div_ceil(256) as u32;
    let kept = if rounds { 0xffff_e000_u32 } else { u32::MAX };
    let args = [vec![weight.into(), packed.into()], map.args(), vec![kept.into()]].concat();
    if blocks != 0 {
        let kernel = Kernel::load("conv_pack", "conv.ptx");
        kernel.launch(memory, [blocks, map.groups as u32, 1], 256, &args)?;
    }
    Ok(packed)
}

/// The forward pass.
pub fn forward(
    kernel: &Kernel,
    shape: Shape,
    (bias, relu): (Option<&[f32]>, bool),
) -> Result<(Vec<f32>, Stats), LaunchError> {
    let mut memory = Memory::new();
    let [input, weight, _] = shape.tensors();
    let mut gather = Gather {
        kernel,
        input: memory.upload(&input).unwrap(),
        weight: memory.upload(&weight).unwrap(),
        bias: optional(&mut memory, bias),
        output: memory.alloc(4 * shape.output_len()).unwrap(),
        memory,
        relu,
    };
    let stats = gather.run(&shape.forward())?;
    Ok((gather.memory.download(gather.output, shape.output_len()).unwrap(), stats))
}

fn check_forward(kernel: &Kernel, shape: Shape, biased: bool, relu: bool) -> Stats {
    let bias = biased.then(|| numbers(9, shape.out_channels));
    let done = forward(kernel, shape, (bias.as_deref(), relu));
    let (found, stats) = done.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
    shape.check_forward(kernel, &found, bias.as_deref(), relu);
    stats
}

fn check_input_gradient(kernel: &Kernel, shape: Shape) {
    let mut memory = Memory::new();
    let [_, weight, grad] = shape.tensors();
    let mut gather = Gather {
        kernel,
        input: memory.upload(&grad).unwrap(),
        weight: memory.upload(&weight).unwrap(),
        bias: 0,
        output: memory.alloc(4 * shape.input_len()).unwrap(),
        memory,
        relu: false,
    };
    for map in shape.gradients() {
        gather.run(&map).unwrap_or_else(|error| panic!("{map:?}: {error}"));
    }
    let found: Vec<f32> = gather.memory.download(gather.output, shape.input_len()).unwrap();
    shape.check_input_gradient(kernel, &found);
}

/// The weight gradient by tiles, `chunk` positions a part.
pub fn weight_gradient(
    kernel: &Kernel,
    shape: Shape,
    chunk: usize,
) -> Result<(Vec<f32>, Stats), LaunchError> {
    let mut memory = Memory::new();
    let map = shape.forward();
    let [input, _, grad] = shape.tensors();
    let splits = map.positions().div_ceil(chunk).max(1);
    let len = shape.weight_len();
    let [input, grad] = [input, grad].map(|values| memory.upload(&values).unwrap());
    let parts = memory.alloc(4 * len * splits).unwrap();
    let out = memory.alloc(4 * len).unwrap();
    let columns = map.depth * volume(map.taps);
    let tiles = map.rows.div_ceil(64) * columns.div_ceil(128);
    let grid = [tiles as u32, splits as u32, map.groups as u32];
    let operands = [input, grad, parts].map(Into::into).to_vec();
    let args = [operands, map.args(), vec![(chunk as u32).into()]].concat();
    let stats = kernel.launch(&mut memory, grid, 128, &args)?;
    let sum = Reduction { parts, out, bias: [0; 2], len, count: splits, sizes: [1, len] };
    sum.run(&module("gemm.ptx"), &mut memory, false);
    Ok((memory.download(out, len).unwrap(), stats))
}

fn check_weight_gradient(kernel: &Kernel, shape: Shape, chunk: usize) -> Stats {
    let done = weight_gradient(kernel, shape, chunk);
    let (found, stats) = done.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
    shape.check_weight_gradient(kernel, &found);
    stats
}

/// What one block does of a layer like those of the networks: 3x3 taps, padding, 32 channels to 64, cells by the eight.
pub fn typical_forward(kernel: &Kernel) -> Vec<Stats> {
    vec![check_forward(kernel, typical(), true, true)]
}

pub fn typical_weight_gradient(kernel: &Kernel) -> Vec<Stats> {
    vec![check_weight_gradient(kernel, typical(), usize::MAX >> 40)]
}

fn typical() -> Shape {
    Shape::new(1, [32, 64], [1, 8, 16], [1, 3, 3]).padding([0, 1, 1])
}

fn check_weight_gradient_direct(shape: Shape) {
    let mut memory = Memory::new();
    let map = shape.forward();
    let [input, _, grad] = shape.tensors();
    let [input, grad] = [input, grad].map(|values| memory.upload(&values).unwrap());
    let out = memory.alloc(4 * shape.weight_len()).unwrap();
    let columns = map.depth * volume(map.taps);
    let grid = [columns as u32, (map.groups * map.rows) as u32, 1];
    let args = [[input, grad, out].map(Into::into).to_vec(), map.args()].concat();
    let kernel = Kernel::load("conv_weight_direct", "conv_weight.ptx");
    let done = kernel.launch(&mut memory, grid, 256, &args);
    done.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
    shape.check_weight_gradient(&kernel, &memory.download(out, shape.weight_len()).unwrap());
}

/// Shapes that have every property of the geometry in turn.
pub fn shapes() -> Vec<Shape> {
    let flat = |height, width| [1, height, width];
    let plain = Shape::new(2, [3, 5], flat(7, 6), flat(3, 3));
    vec![
        plain,
        plain.padding(flat(1, 1)),
        plain.padding([0, 1, 2]).stride(flat(2, 1)),
        plain.padding([0, 2, 1]).stride(flat(2, 3)).dilation(flat(2, 1)),
        plain.padding([0, 2, 2]).stride(flat(2, 2)).dilation(flat(2, 2)),
        plain.padding([0, 3, 3]).stride(flat(4, 4)).dilation(flat(2, 3)),
        Shape::new(1, [2, 3], flat(9, 9), flat(2, 2)).stride(flat(3, 3)),
        Shape::new(3, [9, 70], flat(5, 4), [1; 3]),
        Shape::new(2, [4, 6], flat(6, 5), [1; 3]).stride(flat(2, 2)),
        Shape::new(2, [6, 4], flat(5, 8), flat(3, 3)).groups(2).padding(flat(1, 1)),
        Shape::new(1, [6, 6], flat(8, 8), flat(3, 3)).groups(6).padding(flat(1, 1)),
        Shape::new(1, [3, 6], flat(8, 8), flat(3, 3)).groups(3).stride(flat(2, 2)),
        Shape::new(1, [2, 4], [4, 5, 6], [2, 3, 2]).padding([1, 1, 0]).stride([2, 1, 1]),
        Shape::new(2, [2, 3], [1, 1, 40], [1, 1, 9]).padding([0, 0, 4]),
        Shape::new(1, [1, 2], flat(3, 3), flat(5, 5)).padding(flat(2, 2)),
        Shape::new(1, [20, 66], flat(12, 12), flat(3, 3)).padding(flat(1, 1)),
    ]
}

#[test]
fn the_forward_pass_over_all_geometries() {
    for kernel in all() {
        for shape in shapes() {
            check_forward(&kernel, shape, false, false);
        }
    }
}

#[test]
fn bias_and_relu() {
    for kernel in all() {
        for (bias, relu) in [(true, false), (false, true), (true, true)] {
            check_forward(&kernel, shapes()[1], bias, relu);
            check_forward(&kernel, shapes()[9], bias, relu);
        }
    }
}

#[test]
fn the_input_gradient_over_all_geometries() {
    for kernel in all() {
        shapes().into_iter().for_each(|shape| check_input_gradient(&kernel, shape));
    }
}

#[test]
fn the_weight_gradient_over_all_geometries() {
    for kernel in tiled_weights() {
        for shape in shapes() {
            check_weight_gradient(&kernel, shape, usize::MAX >> 40);
            check_weight_gradient(&kernel, shape, 24);
        }
        check_weight_gradient(&kernel, Shape::new(3, [5, 7], [1, 11, 13], [1, 3, 3]), 160);
    }
    shapes().into_iter().for_each(check_weight_gradient_direct);
}

#[test]
fn the_direct_kernels_take_any_number_of_taps() {
    let shape = Shape::new(2, [2, 2], [1, 1, 50], [1, 1, 40]).padding([0, 0, 7]).stride([1, 1, 3]);
    let [.., direct] = all();
    check_forward(&direct, shape, true, false);
    check_input_gradient(&direct, shape);
    check_weight_gradient_direct(shape);
    check_weight_gradient_direct(Shape::new(3, [2, 2], [3, 12, 11], [2, 3, 3]));
}

#[test]
fn an_empty_batch_has_a_weight_gradient_of_zero() {
    for kernel in tiled_weights() {
        check_weight_gradient(&kernel, Shape { batch: 0, ..shapes()[0] }, 8);
    }
}

#[test]
fn packed_weights_are_rounded_and_stay_what_they_are() {
    let map = Shape::new(1, [8, 2], [1, 4, 4], [1, 1, 1]).forward();
    let unit = f32::EPSILON * 8192.0;
    let some = [1.0, 1.0 + unit / 2.0, -1.0 - unit / 2.0, 1.0 + unit * 0.49, 0.0, -0.0, f32::MAX];
    let others = [f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, f32::from_bits(0x7f80_0001)];
    let weight = [&some[..], &others, &numbers(1, 5)].concat();
    for rounds in [false, true] {
        let mut memory = Memory::new();
        let at = memory.upload(&weight).unwrap();
        let packed = pack(&mut memory, at, &map, rounds).unwrap();
        let packed: Vec<f32> = memory.download(packed, map.packed_len()).unwrap();
        for (i, weight) in weight.iter().enumerate() {
            let (row, k) = (i / map.depth, i % map.depth);
            let (found, rounded) = (packed[k * 64 + row], nearest_tf32(*weight));
            let expected = if rounds { rounded } else { *weight };
            assert!(found.is_nan() == weight.is_nan(), "{weight:e}: {found:e}");
            assert!(
                found.is_nan() || found.to_bits() == expected.to_bits(),
                "{weight:e}: {found:e}"
            );
        }
    }
}

#[test]
fn an_output_shorter_than_the_input_allows() {
    // A transposed convolution with output padding: its output is the input here.
    let mut shape = Shape::new(2, [3, 2], [1, 8, 8], [1, 3, 3]).stride([1, 2, 2]);
    shape.output = [1, 2, 3];
    for kernel in all() {
        check_forward(&kernel, shape, false, false);
        check_input_gradient(&kernel, shape);
    }
    for kernel in tiled_weights() {
        check_weight_gradient(&kernel, shape, 8);
    }
}

#[test]
fn the_gradient_maps_share_the_taps_among_themselves() {
    for shape in shapes() {
        let maps = shape.gradients();
        let cells: usize = maps.iter().map(Map::positions).sum();
        assert_eq!(cells, shape.batch * volume(shape.input));
    }
}
