//! Convolution and pooling on plain slices: geometry, matrix products, and the memory they need.
//!
//! A convolution network spends nearly all of its time in three loops: the convolution itself and its
//! two gradients. This crate holds those loops and nothing above them. It knows no tensors and no
//! differentiation: a kernel takes a geometry, slices to read and a slice to write.
//!
//! Three ideas carry it.
//!
//! * **One geometry.** [`ConvSpec`] owns every size equation and every refusal. One, two and three
//!   spatial axes are the same problem with leading axes of size one, so there is one implementation
//!   of each kernel, over three axes.
//! * **Three kernels serve six operations.** A transposed convolution is the input gradient of a direct
//!   one. [`ConvShape`] therefore always describes the *direct* convolution, and
//!   [`conv::forward`], [`conv::input_gradient`] and [`conv::weight_gradient`] are, in another order,
//!   the forward pass and the gradients of the transposed form.
//! * **Same bits on any number of threads.** Work is split by geometry, never by thread count, and
//!   partial sums are added in a fixed order.
//!
//! ```
//! use striate_conv::{ConvShape, ConvSpec, conv};
//!
//! let spec = ConvSpec::new([3, 3]).padding([1, 1]);
//! let shape = ConvShape::conv(&spec, &[1, 1, 4, 4], &[1, 1, 3, 3])?;
//! let mut output = vec![0.0; shape.output_len()];
//! conv::forward(&shape, &[1.0; 16], &[1.0; 9], None, &mut output);
//! assert_eq!(output[..4], [4.0, 6.0, 6.0, 4.0]); // how many cells of the image each window sees
//! # Ok::<(), striate_conv::GeometryError>(())
//! ```

pub mod buffer;
pub mod conv;
mod element;
pub mod gemm;
mod geometry;
pub mod pool;
pub mod roofline;
mod routines;
pub mod simd;
pub mod unfold;

pub use buffer::Buffer;
pub use element::{DType, Element, Float};
pub use geometry::{Cells, ConvShape, ConvSpec, GeometryError, PoolShape, PoolSpec, Windows};
