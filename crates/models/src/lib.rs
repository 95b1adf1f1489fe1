//! Every network of the four documents: its architecture, its parameters, and what was published about it.
//!
//! [`CATALOGUE`] lists them; each is also a function or a type of its own, whose layers have the names that the
//! documents' PyTorch code gives them, so that state dicts are exchanged without renaming.
//!
//! ```
//! use striate_models::{MnistCnn, find, mnist_cnn};
//! use striate_nn::{Init, Module, ModuleExt, Pass};
//! use striate_tensor::{Device, Tensor};
//!
//! let net: MnistCnn = mnist_cnn(&Init::seed(1))?;
//! assert_eq!(net.parameter_count(), 28_938);
//! assert_eq!(find("mnist-cnn").unwrap().parameters, 28_938);
//! let images = Tensor::zeros([2, 1, 28, 28], &Device::cpu())?;
//! let (logits, features) = net.forward_with_features(&images, &Pass::evaluate())?;
//! assert_eq!((logits.shape(), features.shape()), (&[2, 10][..], &[2, 1568][..]));
//! # Ok::<(), striate_tensor::Error>(())
//! ```

pub mod arithmetic;
mod blocks;
mod catalogue;
mod cifar;
mod mnist;
pub mod pooling;
mod published;
mod recipe;
mod resnet;
mod vgg;

pub use catalogue::{CATALOGUE, Entry, find};
pub use cifar::{vgg4, vgg4_dilation, vgg4_dilation_same, vgg4_large_filter};
pub use mnist::{MnistCnn, MnistNet, mnist_cnn, mnist_mlp, mnist_net};
pub use published::{Published, published};
pub use recipe::{Corpus, Recipe};
pub use resnet::{resnet18, resnet18_dilation, resnet18_imagenet, resnet18_large_kernel};
pub use vgg::{Vgg16, dogs_vgg, dogs_vgg_he, dogs_vgg_norm, vgg16, vgg16_imagenet};
