//! The tensor itself: what it is made of, and how it is made and read. Operations stand in [`ops`](crate::ops).

mod display;
mod interchange;

use std::sync::Arc;

use crate::autograd::{Needs, Node, VariableId};
use crate::backend::{Kernels, Memory, Storage, room};
use crate::error::named;
use crate::random::Key;
use crate::{Device, Element, Error, Float, Layout, Result, Shape};
use striate_conv::{Buffer, DType};

/// A dense, row-major array on a device, possibly the result of recorded operations.
///
/// Cloning shares. A tensor never changes: operations return new ones, and an update in place (an optimizer's)
/// copies memory that somebody else still holds.
#[derive(Clone)]
pub struct Tensor<T: Element = f32>(Arc<Inner<T>>);

#[derive(Clone)]
struct Inner<T: Element> {
    shape: Shape,
    device: Device,
    storage: Storage<T>,
    node: Option<Arc<Node<T>>>,
}

impl<T: Element> Tensor<T> {
    /// Wraps what a kernel returned for `shape`.
    pub(crate) fn from_storage(
        storage: Storage<T>,
        shape: impl Into<Shape>,
        device: &Device,
    ) -> Self {
        let shape = shape.into();
        debug_assert_eq!(storage.len(), shape.iter().product::<usize>());
        Tensor(Arc::new(Inner { shape, device: device.clone(), storage, node: None }))
    }

    /// A tensor of `values` in row-major order. Fails unless there are as many as the shape has elements.
    pub fn from_vec(values: Vec<T>, shape: impl Into<Shape>, device: &Device) -> Result<Self> {
        Self::from_slice(&values, shape, device)
    }

    /// The same from a slice.
    pub fn from_slice(values: &[T], shape: impl Into<Shape>, device: &Device) -> Result<Self> {
        let mut buffer = room("from_vec", values.len())?;
        buffer.copy_from_slice(values);
        Self::from_buffer(buffer, shape, device)
    }

    /// The same from a pooled buffer, without copying.
    pub fn from_buffer(
        values: Buffer<T>,
        shape: impl Into<Shape>,
        device: &Device,
    ) -> Result<Self> {
        let shape = shape.into().checked::<T>("from_vec")?;
        if values.len() != shape.volume() {
            return Err(Error::shape(
                "from_vec",
                format!(
                    "expected {} values for shape {shape:?}, got {}",
                    shape.volume(),
                    values.len()
                ),
            ));
        }
        let storage = T::memory(device.backend()).upload(values)?;
        Ok(Self::from_storage(storage, shape, device))
    }

    /// A tensor without axes.
    pub fn scalar(value: T, device: &Device) -> Result<Self> {
        Self::full((), value, device)
    }

    /// `value` everywhere.
    pub fn full(shape: impl Into<Shape>, value: T, device: &Device) -> Result<Self> {
        let shape = shape.into().checked::<T>("full")?;
        let storage = T::memory(device.backend()).fill(shape.volume(), value)?;
        Ok(Self::from_storage(storage, shape, device))
    }

    /// Zeros (`false` for masks).
    pub fn zeros(shape: impl Into<Shape>, device: &Device) -> Result<Self> {
        Self::full(shape, T::default(), device)
    }

    /// Ones (`true` for masks).
    pub fn ones(shape: impl Into<Shape>, device: &Device) -> Result<Self> {
        Self::full(shape, T::of_f64(1.0), device)
    }

    /// The size of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.storage.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The device it lives on.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The type of its elements.
    pub fn dtype(&self) -> DType {
        T::DTYPE
    }

    /// The elements in row-major order. Waits for the device.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        Ok(self.memory().download(self.storage())?.to_vec())
    }

    /// The only element. Waits for the device.
    pub fn item(&self) -> Result<T> {
        match self.to_vec()?[..] {
            [value] => Ok(value),
            _ => Err(Error::shape(
                "item",
                format!("expected a single element, got shape {:?}", self.shape()),
            )),
        }
    }

    /// The same values on another device; itself if it is there already. Detached if it moves.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        if self.device() == device {
            return Ok(self.clone());
        }
        let memory = T::memory(device.backend());
        let storage = match device.is_meta() {
            // Only the size matters there.
            true => memory.fill(self.len(), T::default())?,
            false => memory.upload(self.memory().download(self.storage())?)?,
        };
        Ok(Self::from_storage(storage, self.0.shape.clone(), device))
    }

    /// Converted element by element, as Rust's `as` does it: floats round to nearest, towards integers truncate and
    /// saturate (NaN is zero), non-zero is `true`.
    /// No gradient passes through a conversion, so a tracked tensor must be detached first.
    pub fn cast<U: Element>(&self) -> Result<Tensor<U>> {
        if self.is_tracked() {
            return Err(Error::new(
                crate::ErrorKind::Gradient,
                "cast",
                "expected a detached tensor: no gradient passes through a conversion",
            ));
        }
        let memory = U::memory(self.device().backend());
        let storage = match (T::DTYPE, U::DTYPE) {
            // By way of f64 the first would lose bits, and the second be rounded twice.
            (DType::I64, DType::I64 | DType::F32) if !self.device().is_meta() => {
                let values = self.memory().download(self.storage())?;
                let mut cast = room("cast", self.len())?;
                let pairs = cast.iter_mut().zip(&values[..]);
                pairs.for_each(|(cast, &value)| *cast = U::of_i64(value.as_i64()));
                memory.upload(cast)?
            }
            _ => memory.narrow(&self.memory().widen(self.storage())?)?,
        };
        Ok(Tensor::from_storage(storage, self.0.shape.clone(), self.device()))
    }

    /// Whether it is a tracked leaf or depends on one.
    pub fn is_tracked(&self) -> bool {
        self.0.node.is_some()
    }

    /// The same values without their history.
    pub fn detach(&self) -> Self {
        match self.0.node {
            None => self.clone(),
            Some(_) => Tensor(Arc::new(Inner { node: None, ..(*self.0).clone() })),
        }
    }

    pub(crate) fn node(&self) -> Option<&Arc<Node<T>>> {
        self.0.node.as_ref()
    }

    pub(crate) fn storage(&self) -> &Storage<T> {
        &self.0.storage
    }

    pub(crate) fn memory(&self) -> &dyn Memory<T> {
        T::memory(self.0.device.backend())
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::dense(self.shape())
    }

    /// A result on this tensor's device.
    pub(crate) fn sibling<U: Element>(
        &self,
        storage: Storage<U>,
        shape: impl Into<Shape>,
    ) -> Tensor<U> {
        Tensor::from_storage(storage, shape, self.device())
    }
}

impl<T: Float> Tensor<T> {
    /// A new leaf with these values, whose gradient [`Tensor::backward`] returns.
    pub fn tracked(&self) -> Self {
        Tensor(Arc::new(Inner { node: Some(Node::leaf()), ..(*self.0).clone() }))
    }

    /// The identity of a tracked leaf; `None` for everything else.
    pub fn variable_id(&self) -> Option<VariableId> {
        let node = self.node()?;
        node.is_leaf().then(|| VariableId(node.id()))
    }

    /// The values of `values` under the identity of this leaf: what a parameter is after loading weights.
    pub fn with_values(&self, values: &Tensor<T>) -> Result<Self> {
        if self.shape() != values.shape() {
            return Err(Error::shape(
                "with_values",
                format!("expected shape {:?}, got {:?}", self.shape(), values.shape()),
            ));
        }
        Ok(Tensor(Arc::new(Inner { node: self.0.node.clone(), ..(*values.0).clone() })))
    }

    /// `count` numbers from `0`, one apart.
    pub fn arange(count: usize, device: &Device) -> Result<Self> {
        Shape::from(count).checked::<T>("arange")?;
        let mut values = room("arange", count)?;
        (0..).zip(&mut values[..]).for_each(|(i, value)| *value = T::of_i64(i));
        Self::from_buffer(values, count, device)
    }

    /// Numbers drawn with `key`, uniform in `[low, high)`.
    pub fn uniform(
        shape: impl Into<Shape>,
        (low, high): (f64, f64),
        key: &Key,
        device: &Device,
    ) -> Result<Self> {
        let shape = shape.into().checked::<T>("uniform")?;
        let kernels = T::kernels(device.backend());
        let storage = named("uniform", kernels.uniform(key, shape.volume(), low, high))?;
        Ok(Self::from_storage(storage, shape, device))
    }

    /// Numbers drawn with `key`, normal with the given mean and standard deviation.
    pub fn normal(
        shape: impl Into<Shape>,
        (mean, std): (f64, f64),
        key: &Key,
        device: &Device,
    ) -> Result<Self> {
        let shape = shape.into().checked::<T>("normal")?;
        let kernels = T::kernels(device.backend());
        let storage = named("normal", kernels.normal(key, shape.volume(), mean, std))?;
        Ok(Self::from_storage(storage, shape, device))
    }

    /// One optimizer step on this leaf, in place unless its memory is shared. `state` is the optimizer's, of
    /// this tensor's shape.
    pub fn update(
        &mut self,
        rule: &crate::backend::Update,
        grad: &Tensor<T>,
        state: &mut [Tensor<T>],
    ) -> Result<()> {
        let fits = |other: &Tensor<T>| other.shape() == self.shape();
        if !fits(grad) || !state.iter().all(fits) {
            return Err(Error::shape(
                "update",
                format!(
                    "expected gradient and state of shape {:?}, got {:?} and {:?}",
                    self.shape(),
                    grad.shape(),
                    state.iter().map(Tensor::shape).collect::<Vec<_>>()
                ),
            ));
        }
        if state.len() != rule.state_len() {
            let message =
                format!("expected {} tensors of state, got {}", rule.state_len(), state.len());
            return Err(Error::argument("update", message));
        }
        self.device().expect_same("update", grad.device())?;
        let device = self.device().clone();
        let mut storages: Vec<_> = state.iter_mut().map(|state| state.take_storage()).collect();
        let mut weight = self.take_storage();
        let result =
            T::kernels(device.backend()).update(rule, &mut weight, grad.storage(), &mut storages);
        self.put_storage(weight);
        for (state, storage) in state.iter_mut().zip(storages) {
            state.put_storage(storage);
        }
        result
    }

    /// `self + other`, in place where nobody else holds this memory.
    pub(crate) fn accumulate(mut self, other: &Tensor<T>) -> Result<Self> {
        let device = self.device().clone();
        let mut sum = self.take_storage();
        T::kernels(device.backend()).accumulate(&mut sum, other.storage())?;
        self.put_storage(sum);
        Ok(self)
    }

    /// Moves the memory out, leaving an empty one, so that it is not shared by this tensor itself.
    fn take_storage(&mut self) -> Storage<T> {
        let inner = Arc::make_mut(&mut self.0);
        std::mem::replace(&mut inner.storage, Storage::new(0, ()))
    }

    fn put_storage(&mut self, storage: Storage<T>) {
        Arc::make_mut(&mut self.0).storage = storage;
    }

    pub(crate) fn kernels(&self) -> &dyn Kernels<T> {
        T::kernels(self.0.device.backend())
    }

    /// This value as the result of `op` on `parents`, with the rule that turns its gradient into theirs.
    pub(crate) fn record(
        self,
        op: &'static str,
        parents: &[&Tensor<T>],
        backward: impl FnOnce(&Tensor<T>, Needs) -> Result<Vec<Option<Tensor<T>>>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        match Node::record(op, parents, backward) {
            None => self,
            node => Tensor(Arc::new(Inner { node, ..Arc::unwrap_or_clone(self.0) })),
        }
    }
}
