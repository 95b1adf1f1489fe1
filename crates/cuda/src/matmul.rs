//! Matrix products, and the sum of parts that ends a split one: `gemm.ptx`, or `gemm_tf32.ptx` (see `tf32.rs`).

use striate_tensor::Result;
use striate_tensor::backend::{MatmulShape, Storage};

use crate::backend::Cuda;
use crate::card::Arg;
use crate::memory::address;

type Store = Storage<f32>;

/// Blocks that fill the largest cards, two on each of 132 multiprocessors.
const BLOCKS: usize = 264;
/// Rows and columns of a block's tile.
const TILE: usize = 128;
const THREADS: usize = 256;
/// The fewest products that a part adds.
const SHORTEST_PART: usize = 256;

/// What ends a sum: a number for each row and each column, where there are addresses of them, and `max(y, 0)`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epilogue {
    pub(crate) row_bias: u64,
    pub(crate) col_bias: u64,
    pub(crate) relu: bool,
}

impl Epilogue {
    /// The least bits of a result as a signed integer; those of floats below zero are integers below zero.
    pub(crate) fn floor(self) -> Arg {
        Arg::Signed(if self.relu { 0 } else { i32::MIN })
    }
}

/// The words of `gemm` after its addresses, up to `chunk`.
fn words(shape: &MatmulShape, chunk: usize) -> Vec<Arg> {
    let MatmulShape { batch, m, k, n, .. } = *shape;
    let strides = |transposed: bool, rows: usize, columns: usize| {
        if transposed { [1, rows] } else { [columns, 1] }
    };
    let next = |shared: bool, len: usize| if shared { 0 } else { len as u64 };
    let mut words: Vec<Arg> = [m, n, k].map(Arg::from).to_vec();
    words.extend(strides(shape.transpose_left, m, k).map(Arg::from));
    words.extend(strides(shape.transpose_right, k, n).map(Arg::from));
    words.extend([next(shape.share_left, m * k), next(shape.share_right, k * n)].map(Arg::from));
    words.extend([batch, chunk].map(Arg::from));
    words
}

impl Cuda {
    pub(crate) fn product(
        &self,
        shape: &MatmulShape,
        [left, right]: [&Store; 2],
        epilogue: Epilogue,
    ) -> Result<Store> {
        let MatmulShape { batch, m, k, n, .. } = *shape;
        let len = batch * m * n;
        let operands = [address(left)?, address(right)?];
        let kernel = if self.rounds("gemm_tf32") { "gemm_tf32" } else { "gemm" };
        self.output(len, |out| {
            let tiles = m.div_ceil(TILE) * n.div_ceil(TILE) * batch;
            // A deep sum over few tiles is cut in parts until they fill the card.
            let most = BLOCKS.div_ceil(tiles);
            let chunk = k.div_ceil(most).max(SHORTEST_PART).next_multiple_of(8);
            let parts = k.div_ceil(chunk).max(1);
            let launch = |to: u64, end: Epilogue| {
                let addresses = [operands[0], operands[1], to, end.row_bias, end.col_bias];
                let mut args: Vec<Arg> = addresses.map(Arg::from).to_vec();
                args.extend(words(shape, chunk));
                args.push(end.floor());
                self.card.launch(kernel, [tiles, parts, 1], THREADS, &args)
            };
            if parts == 1 {
                return launch(out, epilogue);
            }
            let sums = self.card.alloc(parts * len, size_of::<f32>())?;
            launch(sums.address, Epilogue::default())?;
            self.add_parts([sums.address, out], parts, [batch, m, n], epilogue)
        })
    }

    /// Adds parts, each of `batch` matrices of `m` rows of `n` sums, in their order: from, to.
    pub(crate) fn add_parts(
        &self,
        [parts, out]: [u64; 2],
        count: usize,
        [batch, m, n]: [usize; 3],
        epilogue: Epilogue,
    ) -> Result<()> {
        let len = batch * m * n;
        let addresses = [parts, out, epilogue.row_bias, epilogue.col_bias];
        let mut args: Vec<Arg> = addresses.map(Arg::from).to_vec();
        args.extend([len, count, m, n].map(Arg::from));
        args.push(epilogue.floor());
        self.card.each("reduce", len, &args)
    }
}
