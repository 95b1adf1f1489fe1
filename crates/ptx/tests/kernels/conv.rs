//! The convolutions: forward pass, input gradient and weight gradient.

use striate_ptx::{LaunchError, Memory, Module, Stats};

use super::gemm::Reduction;
use super::geometry::{Map, Shape, volume};
use super::{floor, module, numbers, optional};

/// Packs a map's weights and runs it.
pub struct Gather {
    module: Module,
    memory: Memory,
    input: u64,
    weight: u64,
    bias: u64,
    output: u64,
    relu: bool,
}

impl Gather {
    fn tiled(&mut self, map: &Map) -> Launched {
        let packed = self.memory.alloc(4 * map.packed_len()).unwrap();
        let groups = map.groups as u32;
        let blocks = (map.packed_len() / map.groups).div_ceil(256) as u32;
        let args = [vec![self.weight.into(), packed.into()], map.args()].concat();
        if blocks != 0 {
            self.launch("conv_pack", [blocks, groups, 1], 256, &args)?;
        }
        let tiles = map.rows.div_ceil(64) * map.positions().div_ceil(128);
        let operands = [self.input, packed, self.bias, self.output].map(Into::into).to_vec();
        let args = [operands, map.args(), vec![floor(self.relu)]].concat();
        self.launch("conv", [tiles as u32, groups, 1], 128, &args)
    }

    fn direct(&mut self, map: &Map) -> Launched {
        let operands = [self.input, self.weight, self.bias, self.output].map(Into::into).to_vec();
        let args = [operands, map.args(), vec![floor(self.relu)]].concat();
        let blocks = map.positions().div_ceil(256) as u32;
        let grid = [blocks, (map.groups * map.rows) as u32, 1];
        self.launch("conv_direct", grid, 256, &args)
    }

    fn launch(
        &mut self,
        kernel: &str,
        grid: [u32; 3],
        threads: u32,
        args: &[striate_ptx::Arg],
    ) -> Launched {
        self.module.launch(&mut self.memory, kernel, grid, [threads, 1, 1], 0, args)
    }
}

type Launched = Result<Stats, LaunchError>;

/// Either way of running a map.
pub type Kernel = fn(&mut Gather, &Map) -> Launched;

pub const BOTH: [Kernel; 2] = [Gather::tiled, Gather::direct];

/// The forward pass by a module of conv.ptx.
pub fn forward(
    module: Module,
    shape: Shape,
    kernel: Kernel,
    (bias, relu): (Option<&[f32]>, bool),
) -> Result<(Vec<f32>, Stats), LaunchError> {
    let mut memory = Memory::new();
    let [input, weight, _] = shape.tensors();
    let mut gather = Gather {
        input: memory.upload(&input).unwrap(),
        weight: memory.upload(&weight).unwrap(),
        bias: optional(&mut memory, bias),
        output: memory.alloc(4 * shape.output_len()).unwrap(),
        module,
        memory,
        relu,
    };
    let stats = kernel(&mut gather, &shape.forward())?;
    Ok((gather.memory.download(gather.output, shape.output_len()).unwrap(), stats))
}

fn check_forward(shape: Shape, kernel: Kernel, biased: bool, relu: bool) -> Stats {
    let bias = biased.then(|| numbers(9, shape.out_channels));
    let done = forward(module("conv.ptx"), shape, kernel, (bias.as_deref(), relu));
    let (found, stats) = done.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
    shape.check_forward(&found, bias.as_deref(), relu);
    stats
}

fn check_input_gradient(shape: Shape, kernel: Kernel) {
    let mut memory = Memory::new();
    let [_, weight, grad] = shape.tensors();
    let mut gather = Gather {
        input: memory.upload(&grad).unwrap(),
        weight: memory.upload(&weight).unwrap(),
        bias: 0,
        output: memory.alloc(4 * shape.input_len()).unwrap(),
        module: module("conv.ptx"),
        memory,
        relu: false,
    };
    for map in shape.gradients() {
        kernel(&mut gather, &map).unwrap_or_else(|error| panic!("{map:?}: {error}"));
    }
    let found: Vec<f32> = gather.memory.download(gather.output, shape.input_len()).unwrap();
    shape.check_input_gradient(&found);
}

/// The weight gradient by a module of conv_weight.ptx, `chunk` positions a part.
pub fn weight_gradient(
    weight: &Module,
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
    let stats = weight.launch(&mut memory, "conv_weight", grid, [128, 1, 1], 0, &args)?;
    let sum = Reduction { parts, out, bias: [0; 2], len, count: splits, sizes: [1, len] };
    sum.run(&module("gemm.ptx"), &mut memory, false);
    Ok((memory.download(out, len).unwrap(), stats))
}

fn check_weight_gradient(shape: Shape, chunk: usize) -> Stats {
    let done = weight_gradient(&module("conv_weight.ptx"), shape, chunk);
    let (found, stats) = done.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
    shape.check_weight_gradient(&found);
    stats
}

/// What one block does of a layer like those of the networks: 3x3 taps, padding, 32 channels to 64, cells by the eight.
pub fn typical_forward() -> Stats {
    check_forward(typical(), Gather::tiled, true, true)
}

pub fn typical_weight_gradient() -> Stats {
    check_weight_gradient(typical(), usize::MAX >> 40)
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
    let module = module("conv_weight.ptx");
    let done = module.launch(&mut memory, "conv_weight_direct", grid, [256, 1, 1], 0, &args);
    done.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
    shape.check_weight_gradient(&memory.download(out, shape.weight_len()).unwrap());
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
    for shape in shapes() {
        for kernel in BOTH {
            check_forward(shape, kernel, false, false);
        }
    }
}

#[test]
fn bias_and_relu() {
    for (bias, relu) in [(true, false), (false, true), (true, true)] {
        for kernel in BOTH {
            check_forward(shapes()[1], kernel, bias, relu);
            check_forward(shapes()[9], kernel, bias, relu);
        }
    }
}

#[test]
fn the_input_gradient_over_all_geometries() {
    for shape in shapes() {
        BOTH.iter().for_each(|kernel| check_input_gradient(shape, *kernel));
    }
}

#[test]
fn the_weight_gradient_over_all_geometries() {
    for shape in shapes() {
        check_weight_gradient(shape, usize::MAX >> 40);
        check_weight_gradient(shape, 24);
        check_weight_gradient_direct(shape);
    }
    check_weight_gradient(Shape::new(3, [5, 7], [1, 11, 13], [1, 3, 3]), 160);
}

#[test]
fn the_direct_kernels_take_any_number_of_taps() {
    let shape = Shape::new(2, [2, 2], [1, 1, 50], [1, 1, 40]).padding([0, 0, 7]).stride([1, 1, 3]);
    check_forward(shape, Gather::direct, true, false);
    check_input_gradient(shape, Gather::direct);
    check_weight_gradient_direct(shape);
    check_weight_gradient_direct(Shape::new(3, [2, 2], [3, 12, 11], [2, 3, 3]));
}

#[test]
fn an_empty_batch_has_a_weight_gradient_of_zero() {
    check_weight_gradient(Shape { batch: 0, ..shapes()[0] }, 8);
}

#[test]
fn an_output_shorter_than_the_input_allows() {
    // A transposed convolution with output padding: its output is the input here.
    let mut shape = Shape::new(2, [3, 2], [1, 8, 8], [1, 3, 3]).stride([1, 2, 2]);
    shape.output = [1, 2, 3];
    for kernel in BOTH {
        check_forward(shape, kernel, false, false);
        check_input_gradient(shape, kernel);
    }
    check_weight_gradient(shape, 8);
}

#[test]
fn the_gradient_maps_share_the_taps_among_themselves() {
    for shape in shapes() {
        let maps = shape.gradients();
        let cells: usize = maps.iter().map(Map::positions).sum();
        assert_eq!(cells, shape.batch * volume(shape.input));
    }
}
