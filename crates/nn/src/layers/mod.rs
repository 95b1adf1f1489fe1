//! Layers: tensor operations with their parameters.
//!
//! Each takes an [`Init`](crate::Init), which carries its path, and its sizes; what else can be set is a builder
//! method. Names and defaults are PyTorch's.

mod activation;
mod container;
mod conv;
mod dropout;
mod linear;
mod norm;
mod pool;
mod python;

pub use activation::{Activation, Function};
pub use container::{Residual, Sequential};
pub use conv::{
    Conv, Conv1d, Conv2d, Conv3d, ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d,
};
pub use dropout::Dropout;
pub use linear::{Flatten, Linear};
pub use norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm};
pub use pool::{AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, MaxPool};
