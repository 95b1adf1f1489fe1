//! `gemm` and `reduce`.

use striate_ptx::{Arg, Memory, Module, Stats};

use super::{Sum, floor, module, numbers, optional};

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
        let values = numbers(which as u64 + 1, p.shift + rows * cols * count);
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

    fn run(&self, module: &Module) -> Vec<f32> {
        self.profile(module).0
    }

    /// The results, and what `gemm` did.
    fn profile(&self, module: &Module) -> (Vec<f32>, Stats) {
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
        let done = module.launch(&mut memory, "gemm", grid, [256, 1, 1], 0, &args);
        let stats = done.unwrap_or_else(|error| panic!("{self:?}: {error}"));
        if splits == 1 {
            return (memory.download(out, len).unwrap(), stats);
        }
        let total = memory.alloc(4 * len).unwrap();
        let sizes = [self.m, self.n];
        let sum = Reduction { parts: out, out: total, bias, len, count: splits, sizes };
        sum.run(module, &mut memory, self.relu);
        (memory.download(total, len).unwrap(), stats)
    }

    fn check(&self, module: &Module) {
        let (found, [a, b]) = (self.run(module), self.operands());
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
                    (0..self.k).for_each(|p| sum.product(a.at(z, i, p), b.at(z, p, j)));
                    let found = found[(z * self.m + i) * self.n + j];
                    sum.check(self.relu, found, || format!("{self:?} at {z}, {i}, {j}"));
                }
            }
        }
    }
}

/// A product whose right factor is stored transposed.
pub fn transposed(module: &Module) -> Vec<f32> {
    Product { transposed: [false, true], ..size(20, 12, 17) }.run(module)
}

/// What a block does that multiplies whole tiles.
pub fn interior(transposed: [bool; 2]) -> Stats {
    Product { transposed, ..size(128, 128, 256) }.profile(&module("gemm.ptx")).1
}

pub const TRANSPOSES: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

#[test]
fn every_transpose_of_sizes_around_the_tile() {
    let module = module("gemm.ptx");
    let sizes = [
        (1, 1, 1),
        (3, 5, 2),
        (128, 128, 8),
        (127, 129, 9),
        (132, 64, 16),
        (40, 260, 23),
        (64, 256, 40),
    ];
    for (m, n, k) in sizes {
        for transposed in TRANSPOSES {
            Product { transposed, ..size(m, n, k) }.check(&module);
        }
    }
}

#[test]
fn operands_that_are_not_aligned() {
    let module = module("gemm.ptx");
    for transposed in TRANSPOSES {
        Product { transposed, shift: 1, ..size(128, 128, 24) }.check(&module);
        Product { transposed, shift: 4, ..size(72, 136, 20) }.check(&module);
    }
}

#[test]
fn batches_with_their_own_and_with_shared_operands() {
    let module = module("gemm.ptx");
    for shared in TRANSPOSES {
        let product = Product { batch: 3, shared, ..size(20, 12, 17) };
        product.check(&module);
        Product { chunk: 8, transposed: [true, false], ..product }.check(&module);
    }
}

#[test]
fn a_split_product_is_summed_in_order() {
    let module = module("gemm.ptx");
    for (chunk, k) in [(16, 64), (24, 61), (7, 30)] {
        for transposed in TRANSPOSES {
            let bias = Product { row_bias: true, col_bias: true, relu: true, ..size(12, 9, k) };
            Product { chunk, transposed, ..bias }.check(&module);
        }
    }
    let product = Product { chunk: 16, ..size(30, 30, 200) };
    assert_eq!(product.run(&module), product.run(&module));
}

#[test]
fn biases_and_relu() {
    let module = module("gemm.ptx");
    for (row_bias, col_bias, relu) in
        [(true, false, false), (false, true, false), (true, true, true), (false, false, true)]
    {
        Product { row_bias, col_bias, relu, ..size(130, 67, 12) }.check(&module);
    }
}

#[test]
fn an_empty_sum_is_the_bias() {
    let module = module("gemm.ptx");
    Product { row_bias: true, ..size(5, 6, 0) }.check(&module);
    Product { batch: 2, ..size(5, 6, 0) }.check(&module);
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
