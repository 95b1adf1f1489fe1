//! The kernels of `kernels/`, run on the interpreter and compared with plain loops in double
//! precision, and assembled for every generation of cards where NVIDIA's assembler is at hand.

mod conv;
mod gemm;
mod geometry;
mod loops;
mod museum;
mod pipeline;
mod ptxas;

use std::path::PathBuf;

use striate_ptx::{Arg, LaunchError, Memory, Module, Stats};

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../kernels").join(file)
}

fn text(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap()
}

fn module(file: &str) -> Module {
    Module::parse(file, &text(file)).unwrap_or_else(|error| panic!("{error}"))
}

/// A kernel of products.
struct Kernel {
    name: &'static str,
    module: Module,
}

impl Kernel {
    fn new(name: &'static str, module: Module) -> Self {
        Self { name, module }
    }

    /// A kernel of a file of `kernels/`.
    fn load(name: &'static str, file: &str) -> Self {
        Self::new(name, module(file))
    }

    fn launch(
        &self,
        memory: &mut Memory,
        grid: [u32; 3],
        threads: u32,
        args: &[Arg],
    ) -> Result<Stats, LaunchError> {
        self.module.launch(memory, self.name, grid, [threads, 1, 1], 0, args)
    }

    /// Whether it is one for tensor cores.
    fn rounds(&self) -> bool {
        self.name.ends_with("_tf32")
    }

    /// What it reads of a factor: the rounding is part of the kernel, and is allowed no error of its own.
    fn reads(&self, x: f32) -> f32 {
        if self.rounds() { nearest_tf32(x) } else { x }
    }
}

/// The nearest number with ten bits of fraction; of two, that farther from zero.
fn nearest_tf32(x: f32) -> f32 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let unit = (f64::from(x).abs().log2().floor() - 10.0).exp2();
    ((f64::from(x) / unit).round() * unit) as f32
}

/// Numbers in -1..1 that depend on the seed alone.
fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A sum in double precision, and the sum of its magnitudes, from which its error in single
/// precision is bounded.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    value: f64,
    magnitude: f64,
    terms: usize,
}

impl Sum {
    fn add(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
        self.terms += 1;
    }

    fn product(&mut self, a: f32, b: f32) {
        self.add(f64::from(a) * f64::from(b));
    }

    /// Any order of the terms errs by less than (terms - 1) half units of the magnitudes' sum, to first
    /// order (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2); twice that here.
    fn check(&self, relu: bool, found: f32, place: impl Fn() -> String) {
        let value = if relu { self.value.max(0.0) } else { self.value };
        let bound = self.terms as f64 * f64::from(f32::EPSILON) * self.magnitude;
        let error = (f64::from(found) - value).abs();
        assert!(error <= bound, "{}: {found} instead of {value}, bound {bound:e}", place());
    }
}

/// The epilogue's lower bound as the kernels take it: the bits of a float, compared as an integer.
fn floor(relu: bool) -> Arg {
    if relu { 0_i32 } else { i32::MIN }.into()
}

/// Uploads the bias, or nothing.
fn optional(memory: &mut Memory, bias: Option<&[f32]>) -> u64 {
    bias.map_or(0, |bias| memory.upload(bias).unwrap())
}
