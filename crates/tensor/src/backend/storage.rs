//! Opaque memory of a backend, shared until it is written.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use super::room_for;
use crate::{Element, Error, ErrorKind, Layout, Result};

/// `len` elements in some backend's memory. Clones share; a backend that writes to shared memory copies
/// it first.
#[derive(Clone)]
pub struct Storage<T> {
    len: usize,
    data: Arc<dyn Any + Send + Sync>,
    element: PhantomData<T>,
}

impl<T: Element> Storage<T> {
    /// Wraps a backend's memory for `len` elements.
    pub fn new<D: Any + Send + Sync>(len: usize, data: D) -> Self {
        Storage { len, data: Arc::new(data), element: PhantomData }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The backend's memory, if it is a `D`.
    pub fn data<D: Any>(&self) -> Result<&D> {
        self.data.downcast_ref().ok_or_else(foreign)
    }

    /// The backend's memory for writing: the only reference to it, made by cloning where it is shared.
    pub fn data_mut<D: Any + Clone + Send + Sync>(&mut self) -> Result<&mut D> {
        if Arc::get_mut(&mut self.data).is_none() {
            let data = self.data::<D>()?;
            let copy = room_for("update", || data.clone())?;
            self.data = Arc::new(copy);
        }
        Arc::get_mut(&mut self.data).and_then(|data| data.downcast_mut()).ok_or_else(foreign)
    }
}

fn foreign() -> Error {
    Error::new(ErrorKind::Device, "storage", "expected memory of this device, got another device's")
}

impl<T> std::fmt::Debug for Storage<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Storage({} elements)", self.len)
    }
}

/// A storage read through a layout.
#[derive(Clone, Copy)]
pub struct View<'a, T> {
    /// The memory.
    pub storage: &'a Storage<T>,
    /// How it is visited.
    pub layout: &'a Layout,
}

impl<'a, T> View<'a, T> {
    /// `storage` visited as `layout` says.
    pub fn new(storage: &'a Storage<T>, layout: &'a Layout) -> Self {
        View { storage, layout }
    }
}
