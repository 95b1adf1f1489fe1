//! Where every window lies: the sizes, and the refusals, of convolution and pooling.
//!
//! A specification ([`ConvSpec`], [`PoolSpec`]) is what a layer is built from; a shape ([`ConvShape`],
//! [`PoolShape`]) is a specification that has met an input and been found to fit. Kernels take shapes,
//! so a kernel never checks geometry and nothing else in the project computes a size.
//!
//! The arithmetic is that of V. Dumoulin and F. Visin, *A guide to convolution arithmetic for deep
//! learning*, 2016 (arXiv:1603.07285), with dilation, a padding for each side, and PyTorch's rules
//! about what to refuse.

mod conv;
mod error;
mod pool;

pub use conv::{ConvShape, ConvSpec};
pub use error::GeometryError;
pub use pool::{Cells, PoolShape, PoolSpec, Windows};

/// The window of a convolution or pooling along one axis.
#[derive(Clone, Copy)]
struct Window {
    kernel: usize,
    stride: usize,
    dilation: usize,
}

impl Window {
    /// `d(k-1) + 1`, the cells from the first tap to the last. Saturating: a window as long as the
    /// address space fits no input, and is refused for that.
    fn extent(self) -> usize {
        self.dilation.saturating_mul(self.kernel.saturating_sub(1)).saturating_add(1)
    }
}

/// The number of elements of a shape, refused where memory could not hold it as `f64`.
///
/// The batch (the first size) may be zero; the other sizes are checked even then.
fn checked_len(what: &'static str, sizes: &[usize]) -> Result<usize, GeometryError> {
    let first = sizes.first().copied().unwrap_or(1);
    let rest = sizes.iter().skip(1).try_fold(1usize, |product, &size| product.checked_mul(size));
    rest.filter(|&rest| {
        let len = rest.checked_mul(first.max(1));
        len.is_some_and(|len| len <= isize::MAX as usize / size_of::<f64>())
    })
    .map(|rest| rest * first)
    .ok_or_else(|| GeometryError::Overflow { what, sizes: sizes.to_vec() })
}

/// A sum of cells along an axis, unless it is more than an address can tell apart.
fn checked_sum(cells: &[usize]) -> Option<usize> {
    let sum = cells.iter().try_fold(0usize, |sum, &cells| sum.checked_add(cells))?;
    (sum <= isize::MAX as usize).then_some(sum)
}

/// Refuses a setting that is zero on any axis.
fn require_nonzero(field: &'static str, sizes: &[usize]) -> Result<(), GeometryError> {
    if sizes.contains(&0) {
        return Err(GeometryError::Zero { field, sizes: sizes.to_vec() });
    }
    Ok(())
}

/// Splits `[batch, channels, *spatial]`, refusing another rank and empty channels or spatial axes.
fn split_input<const N: usize>(
    input: &[usize],
) -> Result<(usize, usize, [usize; N]), GeometryError> {
    let [batch, channels, spatial @ ..] = input else {
        return Err(rank_error::<N>("input", "[batch, channels, *spatial]", input));
    };
    let spatial = <[usize; N]>::try_from(spatial)
        .map_err(|_| rank_error::<N>("input", "[batch, channels, *spatial]", input))?;
    if input[1..].contains(&0) {
        return Err(GeometryError::Empty { what: "input", sizes: input.to_vec() });
    }
    Ok((*batch, *channels, spatial))
}

fn rank_error<const N: usize>(
    what: &'static str,
    axes: &'static str,
    sizes: &[usize],
) -> GeometryError {
    GeometryError::Rank { what, axes, expected: N + 2, sizes: sizes.to_vec() }
}

/// The three axes that kernels work on: `values` on the last `N`, `fill` on those before.
fn lift<V: Copy, const N: usize>(values: [V; N], fill: V) -> [V; 3] {
    const { assert!(N >= 1 && N <= 3, "there are one, two or three spatial axes") };
    std::array::from_fn(|axis| if axis + N < 3 { fill } else { values[axis + N - 3] })
}
