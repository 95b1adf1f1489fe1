//! Factors rounded to tf32 for tensor cores, `gemm_tf32.ptx` and `conv_tf32.ptx`: for who allows it, on cards that have them.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::Cuda;

static ALLOWED: AtomicBool = AtomicBool::new(false);

/// Whether cards may round the factors of f32 matrix products and convolutions to tf32, with ten bits of fraction, for their
/// tensor cores. They may not from the start: products are those of f32, whatever the card.
///
/// It holds for all cards of the process, from the next product on, and for gradients, which are products too. Where it is
/// allowed, a result is within `2^-10` of the sum of the magnitudes of its terms, instead of about `2^-24`; sums are kept in
/// f32, and have one order as ever. The weight gradients of convolutions stay in f32, and convolutions of very few channels
/// or very large kernels do; so does all else on cards older than compute capability 8.0, which have no such tensor cores: to
/// allow it there is no error, and changes nothing.
///
/// Both kernels have been run by the interpreter alone; there is no record of a card that has run them.
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
    ALLOWED.store(allowed, Ordering::Relaxed);
}

impl Cuda {
    /// Whether a kernel that rounds is to compute.
    pub(crate) fn rounds(&self, kernel: &str) -> bool {
        ALLOWED.load(Ordering::Relaxed) && self.card.has(kernel)
    }
}
