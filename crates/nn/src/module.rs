//! The trait of everything that maps a tensor to a tensor with parameters of its own.

use std::collections::HashSet;
use std::fmt::{self, Write};

use striate_tensor::{Error, ErrorContext, Float, PoolSpec, Result, Tensor};

use crate::{FieldTrace, Parameter, Pass, RunningValue, Visit};

/// A function of a tensor with named parameters.
///
/// Implement [`Module::compute`] and say what is inside; call [`Module::forward`], which also adds the path to
/// errors and tells the hooks.
///
/// ```
/// use striate_nn::{Init, Module, Pass, layers::Linear};
/// use striate_tensor::{Device, Result, Tensor};
///
/// /// Two linear layers with a ReLU between.
/// struct Perceptron {
///     hidden: Linear,
///     out: Linear,
/// }
///
/// impl Module for Perceptron {
///     fn path(&self) -> &str {
///         ""
///     }
///     fn kind(&self) -> &'static str {
///         "Perceptron"
///     }
///     fn children(&self) -> Vec<&dyn Module> {
///         vec![&self.hidden, &self.out]
///     }
///     fn compute(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
///         self.out.forward(&self.hidden.forward(x, pass)?.relu()?, pass)
///     }
/// }
///
/// let init = Init::seed(1);
/// let net = Perceptron {
///     hidden: Linear::new(&init.at("hidden"), 4, 8)?,
///     out: Linear::new(&init.at("out"), 8, 2)?,
/// };
/// let x = Tensor::ones([3, 4], &Device::cpu())?;
/// assert_eq!(net.forward(&x, &Pass::evaluate())?.shape(), [3, 2]);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub trait Module<T: Float = f32>: Send + Sync {
    /// Where it stands in its network; empty for the network itself.
    fn path(&self) -> &str;

    /// What it is, such as `Conv2d`.
    fn kind(&self) -> &'static str;

    /// Its output for `x`. Call [`Module::forward`] instead.
    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>>;

    /// `max(y, 0)` of its output `y` in the sweep that computes it, if it has a way to. A container asks, if `pass`
    /// [is fused](Pass::is_fused) and a ReLU follows.
    fn compute_relu(&self, _: &Tensor<T>, _: &Pass<T>) -> Option<Result<Tensor<T>>> {
        None
    }

    /// Whether it is `max(x, 0)` and nothing else, which a container may leave to the layer before. Its [`Module::kind`] does not
    /// tell: a layer of your own may be called so, too.
    fn is_relu(&self) -> bool {
        false
    }

    /// Whether its output for `max(x, 0)` is `max(y, 0)` of its output `y` for `x`, as a maximum's is. A container may then compute a
    /// ReLU before it together with it.
    fn commutes_with_relu(&self) -> bool {
        false
    }

    /// The windows, if it is max pooling over two axes and nothing else.
    fn max_pool2d(&self) -> Option<PoolSpec<2>> {
        None
    }

    /// The maxima over `windows` of `max(y, 0)` of its output `y` in the sweeps that compute it, if it has a way to. A container
    /// asks, if `pass` [is fused](Pass::is_fused) and a ReLU and such a pooling follow.
    fn compute_relu_max_pool2d(
        &self,
        _: &Tensor<T>,
        _windows: &PoolSpec<2>,
        _: &Pass<T>,
    ) -> Option<Result<Tensor<T>>> {
        None
    }

    /// Its settings, as the tree prints them.
    fn settings(&self) -> String {
        String::new()
    }

    /// The modules inside it, in order.
    fn children(&self) -> Vec<&dyn Module<T>> {
        Vec::new()
    }

    /// Its own parameters, without those of modules inside.
    fn own_parameters(&self) -> Vec<&Parameter<T>> {
        Vec::new()
    }

    /// Its own running values, without those of modules inside.
    fn own_running(&self) -> Vec<&RunningValue<T>> {
        Vec::new()
    }

    /// Follows what its outputs see of its network's input, for [`ReceptiveField::of`](crate::ReceptiveField::of): by
    /// default through the modules inside, one after another.
    ///
    /// Override it in a layer that has none inside, and where the modules inside do not run in a row. Do nothing in it
    /// where every cell of the output sees the same cell of the input.
    fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
        let children = self.children();
        if children.is_empty() && !fields.is_whole() {
            let message = format!("expected layers that say what they see, got {}", self.kind());
            return Err(Error::argument("receptive_field", message)).at(self.path());
        }
        children.into_iter().try_for_each(|child| child.trace(fields))
    }

    /// Its output for `x`: errors name its path, and the hooks of `pass` are called. On a processor all of it runs on a thread of
    /// rayon's pool: see [`Device::enter`](striate_tensor::Device::enter).
    fn forward(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        x.device().enter(|| {
            let output = self.compute(x, pass).at(self.path())?;
            pass.visited(&Visit {
                path: self.path(),
                kind: self.kind(),
                leaf: self.children().is_empty(),
                input: x,
                output: &output,
            })?;
            Ok(output)
        })
    }

    /// All parameters, in the order of the network; one that is in use in several places once.
    fn parameters(&self) -> Vec<Parameter<T>> {
        let own = self.own_parameters().into_iter().cloned();
        let inner = self.children().into_iter().flat_map(|child| child.parameters());
        let mut seen = HashSet::new();
        own.chain(inner).filter(|parameter| seen.insert(parameter.id())).collect()
    }

    /// All running values, in the order of the network.
    fn running(&self) -> Vec<RunningValue<T>> {
        let own = self.own_running().into_iter().cloned();
        let inner = self.children().into_iter().flat_map(|child| child.running());
        own.chain(inner).collect()
    }

    /// Excludes all parameters from training, or takes them back in.
    fn freeze(&self, frozen: bool) {
        self.parameters().iter().for_each(|parameter| parameter.freeze(frozen));
    }

    /// Moves all parameters and running values to another device.
    fn to_device(&self, device: &striate_tensor::Device) -> Result<()> {
        for parameter in self.parameters() {
            parameter.set(&parameter.tensor().detach().to_device(device)?)?;
        }
        for value in self.running() {
            value.set(&value.tensor().to_device(device)?)?;
        }
        Ok(())
    }
}

/// What needs the module as an object.
pub trait ModuleExt<T: Float> {
    /// The module as an indented tree, as PyTorch prints it.
    fn tree(&self) -> String;
    /// How many numbers training can change, frozen ones included.
    fn parameter_count(&self) -> usize;
}

impl<T: Float, M: Module<T> + ?Sized> ModuleExt<T> for M {
    fn tree(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write_tree(&mut text, self.kind(), &self.settings(), &self.children(), 0);
        text
    }

    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(Parameter::len).sum()
    }
}

fn write_tree<T: Float>(
    text: &mut String,
    kind: &str,
    settings: &str,
    children: &[&dyn Module<T>],
    depth: usize,
) -> fmt::Result {
    if children.is_empty() {
        return write!(text, "{kind}({settings})");
    }
    writeln!(text, "{kind}({settings}")?;
    for child in children {
        let name = child.path().rsplit('.').next().unwrap_or_default();
        write!(text, "{}({name}): ", "  ".repeat(depth + 1))?;
        write_tree(text, child.kind(), &child.settings(), &child.children(), depth + 1)?;
        text.push('\n');
    }
    write!(text, "{})", "  ".repeat(depth))
}
