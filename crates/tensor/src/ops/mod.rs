//! The operations: what each computes, and its gradient, in terms of the kernels of a backend.
//!
//! Every file follows one pattern. An operation checks its arguments, asks a kernel for the result, and
//! records how to turn the gradient of the result into the gradients of the inputs:
//!
//! ```text
//! let storage = self.kernels().unary(op, self.storage())?;         // forward
//! let y = self.sibling(storage, self.shape());
//! Ok(y.record("exp", &[self], move |grad, _| ...))                // backward
//! ```
//!
//! A rule only runs if some input is tracked, and computes only the gradients that are wanted. What it captures
//! is detached: a graph has no edges but its parent lists.

mod binary;
mod compare;
mod conv;
mod interpolate;
mod join;
mod loss;
mod matmul;
mod norm;
mod pad;
mod pick;
mod pool;
mod reduce;
mod softmax;
mod unary;
mod unfold;
mod view;

pub use interpolate::{Corners, Interpolation};
pub use loss::{CrossEntropy, Reduction};
pub use norm::{Moments, Normalization};
pub use pad::PadMode;

pub use unary::Saved;
