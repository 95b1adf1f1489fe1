//! Dense tensors with reverse-mode gradients, over a small trait of kernels.
//!
//! ```
//! use striate_tensor::{Device, Tensor};
//!
//! let device = Device::cpu();
//! let x = Tensor::from_vec(vec![1.0f64, 2.0, 3.0], [3], &device)?.tracked();
//! let y = (&x * &x)?.sum(.., false)?;
//! let gradients = y.backward()?;
//! assert_eq!(gradients.get(&x).unwrap().to_vec()?, [2.0, 4.0, 6.0]);
//! # Ok::<(), striate_tensor::Error>(())
//! ```
//!
//! The ideas, each in its module:
//!
//! - A [`Tensor`] is a shape and dense, shared memory on a [`Device`], which is a value and not a type parameter.
//! - A device is a [`backend::Backend`]: some thirty kernels. Everything else is composed of them, so a new
//!   device is one implementation of one trait.
//! - Gradients are values: [`Tensor::backward`] returns them, keyed by the tracked leaves ([`autograd`]).
//!   They are written once, in terms of the kernels, and checked against central differences ([`gradcheck`]).
//! - Randomness is passed in as a key ([`random`]); the same key draws the same numbers on every device.
//! - No call panics on what a user passes; an [`Error`] names the operation, the shapes and what was expected.

pub mod autograd;
pub mod backend;
mod device;
mod element;
mod error;
pub mod gradcheck;
mod layout;
pub mod ops;
pub mod random;
mod shape;
mod tensor;

pub use autograd::{Gradients, VariableId};
pub use device::Device;
pub use element::{Element, Float};
pub use error::{Error, ErrorContext, ErrorKind, Result};
pub use layout::Layout;
pub use shape::{Axes, Shape};
pub use striate_conv::{Buffer, ConvSpec, DType, GeometryError, PoolSpec};
pub use tensor::Tensor;
