//! What a module holds: parameters, which an optimizer moves, and running values, which the forward pass does.
//!
//! Both are shared handles: the optimizer, the checkpoint and the layer hold the same tensor.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use striate_tensor::backend::Update;
use striate_tensor::{Error, Float, Result, Tensor, VariableId};

use crate::Pass;

/// A named, trainable tensor, shared by the layer that uses it and the optimizer that moves it.
#[derive(Clone)]
pub struct Parameter<T: Float = f32>(Arc<Inner<T>>);

struct Inner<T: Float> {
    path: String,
    shape: Vec<usize>,
    id: VariableId,
    frozen: AtomicBool,
    /// A tracked leaf; updates replace its values and keep its identity.
    tensor: RwLock<Tensor<T>>,
}

impl<T: Float> Parameter<T> {
    /// A parameter at `path` that starts with `values`.
    pub fn new(path: impl Into<String>, values: &Tensor<T>) -> Result<Self> {
        let tensor = values.tracked();
        let id =
            tensor.variable_id().ok_or_else(|| Error::argument("parameter", "expected a leaf"))?;
        Ok(Parameter(Arc::new(Inner {
            path: path.into(),
            shape: values.shape().to_vec(),
            id,
            frozen: AtomicBool::new(false),
            tensor: RwLock::new(tensor),
        })))
    }

    /// Where it stands in its network, such as `features.3.weight`.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Its shape, which never changes.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of its gradient.
    pub fn id(&self) -> VariableId {
        self.0.id
    }

    /// The current values: a tracked leaf, or, while frozen, untracked.
    pub fn tensor(&self) -> Tensor<T> {
        let tensor = self.0.tensor.read().unwrap_or_else(PoisonError::into_inner);
        match self.is_frozen() {
            true => tensor.detach(),
            false => tensor.clone(),
        }
    }

    /// What a layer computes with in `pass`, next to `input`: tracked only if the pass is, and without data
    /// where the input has none, unless the parameter itself is already there.
    pub fn value(&self, pass: &Pass<T>, input: &Tensor<T>) -> Result<Tensor<T>> {
        if input.device().is_meta() && self.tensor().device() != input.device() {
            let value = Tensor::zeros(self.shape(), input.device())?;
            return Ok(if pass.is_tracked() { value.tracked() } else { value });
        }
        let tensor = self.tensor();
        Ok(if pass.is_tracked() { tensor } else { tensor.detach() })
    }

    /// Whether it is excluded from training.
    pub fn is_frozen(&self) -> bool {
        self.0.frozen.load(Relaxed)
    }

    /// Excludes it from training, or takes it back in.
    pub fn freeze(&self, frozen: bool) {
        self.0.frozen.store(frozen, Relaxed);
    }

    /// Other values of the same shape, possibly on another device.
    pub fn set(&self, values: &Tensor<T>) -> Result<()> {
        self.change(|tensor| {
            *tensor = tensor.with_values(&values.detach())?;
            Ok(())
        })
    }

    /// One optimizer step, in place.
    pub fn update(&self, rule: &Update, grad: &Tensor<T>, state: &mut [Tensor<T>]) -> Result<()> {
        self.change(|tensor| tensor.update(rule, grad, state))
    }

    fn change(&self, f: impl FnOnce(&mut Tensor<T>) -> Result<()>) -> Result<()> {
        f(&mut self.0.tensor.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Float> std::fmt::Debug for Parameter<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parameter({} {:?})", self.path(), self.shape())
    }
}

/// A named tensor that the forward pass maintains, such as a running mean. PyTorch calls it a buffer.
#[derive(Clone)]
pub struct RunningValue<T: Float = f32> {
    path: String,
    tensor: Arc<RwLock<Tensor<T>>>,
}

impl<T: Float> RunningValue<T> {
    /// A value at `path` that starts with `values`.
    pub fn new(path: impl Into<String>, values: &Tensor<T>) -> Self {
        RunningValue { path: path.into(), tensor: Arc::new(RwLock::new(values.detach())) }
    }

    /// Where it stands in its network, such as `features.1.running_mean`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The current values.
    pub fn tensor(&self) -> Tensor<T> {
        self.tensor.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Other values of the same shape.
    pub fn set(&self, values: &Tensor<T>) -> Result<()> {
        let mut tensor = self.tensor.write().unwrap_or_else(PoisonError::into_inner);
        if tensor.shape() != values.shape() {
            return Err(Error::shape(
                "running value",
                format!("expected shape {:?}, got {:?}", tensor.shape(), values.shape()),
            ));
        }
        *tensor = values.detach();
        Ok(())
    }
}

impl<T: Float> std::fmt::Debug for RunningValue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunningValue({})", self.path)
    }
}
