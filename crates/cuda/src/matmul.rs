//! Matrix products, and the sum of parts that ends a split one: `gemm.ptx`, and `gemm_tf32.ptx` for who allows it.

use std::sync::atomic::{AtomicBool, Ordering};

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

static TF32: AtomicBool = AtomicBool::new(false);

/// Whether cards may round the factors of f32 matrix products to tf32, with ten bits of fraction, for their tensor
/// cores. They may not from the start: products are those of f32, whatever the card.
///
/// It holds for all cards of the process, from the next product on, and for gradients, which are products too. Where it is
/// allowed, a product is within `2^-10` of the sum of the magnitudes of its terms, instead of about `2^-24`; sums are kept in
/// f32, and have one order as ever. Convolutions stay in f32, and so does all else on cards older than compute
/// capability 8.0, which have no such tensor cores: to allow it there is no error, and changes nothing.
///
/// ```
/// use striate_tensor::Tensor;
///
/// striate_cuda::allow_tf32(true);
/// if let Ok(card) = striate_cuda::device(0) {
///     // 1 + 2^-11 has eleven bits of fraction: on tensor cores it becomes the number with ten that is next.
///     let x = Tensor::from_vec(vec![1.0_f32 + 1.0 / 2048.0], [1, 1], &card)?;
///     let y = x.matmul(&Tensor::ones([1, 1], &card)?)?.to_vec()?[0];
///     assert!(y == 1.0 + 1.0 / 1024.0 || y == 1.0 + 1.0 / 2048.0);
/// }
/// striate_cuda::allow_tf32(false);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn allow_tf32(allowed: bool) {
    TF32.store(allowed, Ordering::Relaxed);
}

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
        let rounds = TF32.load(Ordering::Relaxed) && self.card.has("gemm_tf32");
        let kernel = if rounds { "gemm_tf32" } else { "gemm" };
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
