//! `gemm`, `gemm_tf32` and `reduce`.

use striate_ptx::{Arg, LaunchError, Memory, Module, Stats};

use super::{Kernel, Sum, floor, module, numbers, optional};

/// Both kernels: what one does, each does.
fn both() -> [Kernel; 2] {
    [Kernel::load("gemm", "gemm.ptx"), Kernel::load("gemm_tf32", "gemm_tf32.ptx")]
}

/// A batch of products as the kernel can be asked for it.
#[derive(Clone, Copy, Debug)]
struct Product {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    transposed: [bool; 2],
    shared: [bool; 2],
    /// The most of k that one block sums.
    chunk: usize,
    row_bias: bool,
    col_bias: bool,
    relu: bool,
    /// Elements by which the operands miss their alignment.
    shift: usize,
    /// What stands first in the left operand, if it is not a number like the others.
    first: Option<f32>,
}

const PLAIN: Product = Product {
    batch: 1,
    m: 1,
    n: 1,
    k: 1,
    transposed: [false; 2],
    shared: [false; 2],
    chunk: usize::MAX >> 1,
    row_bias: false,
    col_bias: false,
    relu: false,
    shift: 0,
    first: None,
};

fn size(m: usize, n: usize, k: usize) -> Product {
    Product { m, n, k, ..PLAIN }
}

/// A matrix operand: its elements, strides along rows and columns, and between products.
struct Operand {
    values: Vec<f32>,
    shift: usize,
    row: usize,
    col: usize,
    batch: usize,
}

impl Operand {
    fn new(p: &Product, which: usize, rows: usize, cols: usize) -> Self {
        let (row, col) = if p.transposed[which] { (1, rows) } else { (cols, 1) };
        let batch = if p.shared[which] { 0 } else { rows * cols };
        let count = if p.shared[which] { 1 } else { p.batch };
        let mut values = numbers(which as u64 + 1, p.shift + rows * cols * count);
        if let Some(first) = p.first.filter(|_| which == 0) {
            values[p.shift] = first;
        }
        Self { values, shift: p.shift, row, col, batch }
    }

    fn at(&self, z: usize, i: usize, j: usize) -> f32 {
        self.values[self.shift + z * self.batch + i * self.row + j * self.col]
    }

    fn upload(&self, memory: &mut Memory) -> u64 {
        memory.upload(&self.values).unwrap() + 4 * self.shift as u64
    }
}

/// A launch of `reduce`: the parts, where their sum goes, and the biases with their lengths.
pub struct Reduction {
    pub parts: u64,
    pub out: u64,
    pub bias: [u64; 2],
    pub len: usize,
    pub count: usize,
    pub sizes: [usize; 2],
}

impl Reduction {
    pub fn run(&self, module: &Module, memory: &mut Memory, relu: bool) {
        let mut args: Vec<Arg> =
            [self.parts, self.out, self.bias[0], self.bias[1]].map(Arg::from).to_vec();
        let words = [self.len, self.count, self.sizes[0], self.sizes[1]];
        args.extend(words.map(|word| Arg::from(u32::try_from(word).unwrap())));
        args.push(floor(relu));
        let grid = [self.len.div_ceil(256) as u32, 1, 1];
        module.launch(memory, "reduce", grid, [256, 1, 1], 0, &args).unwrap();
    }
}

impl Product {
    fn operands(&self) -> [Operand; 2] {
        [Operand::new(self, 0, self.m, self.k), Operand::new(self, 1, self.k, self.n)]
    }

    fn biases(&self) -> [Option<Vec<f32>>; 2] {
        [(self.row_bias, self.m, 3), (self.col_bias, self.n, 4)]
            .map(|(wanted, len, seed)| wanted.then(|| numbers(seed, len)))
    }

    fn run(&self, kernel: &Kernel) -> Vec<f32> {
        self.profile(kernel).unwrap_or_else(|error| panic!("{self:?}: {error}")).0
    }

    /// The results, and what the kernel did.
    fn profile(&self, kernel: &Kernel) -> Result<(Vec<f32>, Stats), LaunchError> {
        let mut memory = Memory::new();
        let [a, b] = self.operands();
        let [row, col] = self.biases();
        let splits = self.k.div_ceil(self.chunk).max(1);
        let len = self.batch * self.m * self.n;
        let (at_a, at_b) = (a.upload(&mut memory), b.upload(&mut memory));
        let out = memory.alloc(4 * len * splits).unwrap();
        let bias = [row, col].map(|bias| optional(&mut memory, bias.as_deref()));
        let none = [0; 2];
        let word = |value: usize| u32::try_from(value).unwrap();
        let [row, col] = if splits == 1 { bias } else { none };
        let args = [
            at_a.into(),
            at_b.into(),
            out.into(),
            row.into(),
            col.into(),
            word(self.m).into(),
            word(self.n).into(),
            word(self.k).into(),
            word(a.row).into(),
            word(a.col).into(),
            word(b.row).into(),
            word(b.col).into(),
            (a.batch as u64).into(),
            (b.batch as u64).into(),
            word(self.batch).into(),
            word(self.chunk.min(self.k)).into(),
            floor(self.relu && splits == 1),
        ];
        let tiles = self.m.div_ceil(128) * self.n.div_ceil(128) * self.batch;
        let grid = [word(tiles), word(splits), 1];
        let stats = kernel.launch(&mut memory, grid, 256, &args)?;
        if splits == 1 {
            return Ok((memory.download(out, len).unwrap(), stats));
        }
        let total = memory.alloc(4 * len).unwrap();
        let sizes = [self.m, self.n];
        let sum = Reduction { parts: out, out: total, bias, len, count: splits, sizes };
        sum.run(&module("gemm.ptx"), &mut memory, self.relu);
        Ok((memory.download(total, len).unwrap(), stats))
    }

    /// Holds each result to the sum of the products of what is read.
    fn check(&self, kernel: &Kernel) {
        let (found, [a, b]) = (self.run(kernel), self.operands());
        let read = |operand: &Operand, z, i, j| kernel.reads(operand.at(z, i, j));
        let biases = self.biases();
        for z in 0..self.batch {
            for i in 0..self.m {
                for j in 0..self.n {
                    let mut sum = Sum::default();
                    for (bias, at) in biases.iter().zip([i, j]) {
                        if let Some(bias) = bias {
                            sum.add(bias[at].into());
                        }
                    }
                    (0..self.k).for_each(|p| sum.product(read(&a, z, i, p), read(&b, z, p, j)));
                    let found = found[(z * self.m + i) * self.n + j];
                    let name = kernel.name;
                    sum.check(self.relu, found, || format!("{name}: {self:?} at {z}, {i}, {j}"));
                }
            }
        }
    }
}

/// A product whose right factor is stored transposed.
pub fn transposed(kernel: &Kernel) -> Result<Vec<f32>, LaunchError> {
    let product = Product { transposed: [false, true], ..size(20, 12, 17) };
    product.profile(kernel).map(|(found, _)| found)
}

/// A product of several tiles, the last of which is not whole.
pub fn deep(kernel: &Kernel) -> Result<Vec<f32>, LaunchError> {
    size(20, 12, 76).profile(kernel).map(|(found, _)| found)
}

/// What a block does that multiplies whole tiles, of each transpose.
pub fn interior(kernel: &Kernel) -> Vec<Stats> {
    let profile = |transposed| Product { transposed, ..size(128, 128, 256) }.profile(kernel);
    TRANSPOSES.map(|transposed| profile(transposed).unwrap().1).to_vec()
}

pub const TRANSPOSES: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

#[test]
fn every_transpose_of_sizes_around_the_tile() {
    let sizes = [
        (1, 1, 1),
        (3, 5, 2),
        (128, 128, 8),
        (127, 129, 9),
        (132, 64, 16),
        (40, 260, 23),
        (64, 256, 40),
        (130, 256, 9),
        (33, 20, 85),
    ];
    for kernel in both() {
        for (m, n, k) in sizes {
            for transposed in TRANSPOSES {
                Product { transposed, ..size(m, n, k) }.check(&kernel);
            }
        }
    }
}

#[test]
fn products_drawn_at_random() {
    let kernels = both();
    for drawn in numbers(5, 24 * 14).chunks(14) {
        let draw = |i: usize, most: usize| ((drawn[i] + 1.0) / 2.0 * (most + 1) as f32) as usize;
        let coin = |i| draw(i, 1) == 1;
        let product = Product {
            batch: 1 + draw(0, 2),
            m: 1 + draw(1, 139),
            n: 1 + draw(2, 139),
            k: draw(3, 90),
            transposed: [coin(4), coin(5)],
            shared: [coin(6), coin(7)],
            chunk: if coin(8) { 1 + draw(9, 50) } else { PLAIN.chunk },
            row_bias: coin(10),
            col_bias: coin(11),
            relu: coin(12),
            shift: draw(13, 4),
            first: None,
        };
        kernels.iter().for_each(|kernel| product.check(kernel));
    }
}

#[test]
fn operands_that_are_not_aligned() {
    for kernel in both() {
        for transposed in TRANSPOSES {
            Product { transposed, shift: 1, ..size(128, 128, 24) }.check(&kernel);
            Product { transposed, shift: 4, ..size(72, 136, 20) }.check(&kernel);
        }
    }
}

#[test]
fn batches_with_their_own_and_with_shared_operands() {
    for kernel in both() {
        Product { batch: 2, ..size(128, 128, 8) }.check(&kernel);
        for shared in TRANSPOSES {
            let product = Product { batch: 3, shared, ..size(20, 12, 17) };
            product.check(&kernel);
            Product { chunk: 8, transposed: [true, false], ..product }.check(&kernel);
        }
    }
}

#[test]
fn a_split_product_is_summed_in_order() {
    for kernel in both() {
        for (chunk, k) in [(16, 64), (24, 61), (7, 30), (6, 16)] {
            for transposed in TRANSPOSES {
                let bias = Product { row_bias: true, col_bias: true, relu: true, ..size(12, 9, k) };
                Product { chunk, transposed, ..bias }.check(&kernel);
            }
        }
        let product = Product { chunk: 16, ..size(30, 30, 200) };
        assert_eq!(product.run(&kernel), product.run(&kernel));
    }
}

#[test]
fn biases_and_relu() {
    let choices =
        [(true, false, false), (false, true, false), (true, true, true), (false, false, true)];
    for kernel in both() {
        for (row_bias, col_bias, relu) in choices {
            Product { row_bias, col_bias, relu, ..size(130, 67, 12) }.check(&kernel);
        }
    }
}

#[test]
fn an_empty_sum_is_the_bias() {
    for kernel in both() {
        Product { row_bias: true, ..size(5, 6, 0) }.check(&kernel);
        Product { batch: 2, ..size(5, 6, 0) }.check(&kernel);
    }
}

#[test]
fn a_nan_comes_through_relu() {
    let module = module("gemm.ptx");
    let mut memory = Memory::new();
    let parts = memory.upload(&[f32::NAN, -1.0, -0.0, f32::INFINITY]).unwrap();
    let out = memory.alloc(16).unwrap();
    let sum = Reduction { parts, out, bias: [0; 2], len: 4, count: 1, sizes: [2, 2] };
    sum.run(&module, &mut memory, true);
    let found: Vec<f32> = memory.download(out, 4).unwrap();
    assert!(found[0].is_nan());
    assert_eq!(found[1..], [0.0, 0.0, f32::INFINITY]);
}

/// The bits that cards write for a NaN are all ones, to which no rounding may add.
#[test]
fn what_is_not_finite_stays_so() {
    for kernel in both() {
        for bits in [0x7fff_ffff, 0xffff_ffff, 0x7fc0_0000, 0x7f80_0001] {
            let product = Product { first: Some(f32::from_bits(bits)), ..size(3, 4, 5) };
            let found = product.run(&kernel);
            assert!(found[..4].iter().all(|x| x.is_nan()), "{}: {bits:x}, {found:?}", kernel.name);
            assert!(found[4..].iter().all(|x| x.is_finite()));
        }
        let product = Product { first: Some(f32::NEG_INFINITY), ..size(3, 4, 5) };
        assert!(product.run(&kernel)[..4].iter().all(|x| x.is_infinite()));
    }
}
