//! Reverse-mode gradients, as values.
//!
//! A tensor that depends on a tracked leaf carries a node: how to turn the gradient of the tensor into
//! those of its parents. Tensors that depend on none carry nothing and cost nothing. Saved values are
//! detached tensors, so the only edges of the graph are the parent lists, and both walking and dropping them
//! use a work list: a chain of a million operations needs no stack.
//!
//! Nodes are numbered in order of creation. A parent is older than its child, so visiting nodes from the
//! newest to the oldest meets each one after all that depend on it.
//!
//! Walking takes a node's rule out of it: what it saved is freed as soon as it has been used, and a second
//! walk finds it gone and says so. Gradients are not tracked: derivatives are of first order only.

mod custom;
mod node;

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

pub use custom::Operation;
pub(crate) use node::{Needs, Node};

use crate::{Element, Error, ErrorKind, Float, Result, Tensor};

/// Identifies a tracked leaf, for the life of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariableId(pub(crate) u64);

/// What [`Tensor::backward`] returns: one gradient for each tracked leaf that the result depends on.
#[derive(Debug, Clone)]
pub struct Gradients<T: Element = f32>(HashMap<VariableId, Tensor<T>>);

impl<T: Float> Gradients<T> {
    /// The gradient with respect to a tracked leaf; `None` if the result does not depend on it.
    pub fn get(&self, leaf: &Tensor<T>) -> Option<&Tensor<T>> {
        self.by_id(leaf.variable_id()?)
    }

    /// The same by the leaf's identity.
    pub fn by_id(&self, id: VariableId) -> Option<&Tensor<T>> {
        self.0.get(&id)
    }

    /// Puts `gradient` in the place of the one for `id`: clipping, for instance.
    pub fn set(&mut self, id: VariableId, gradient: Tensor<T>) {
        self.0.insert(id, gradient);
    }

    /// All gradients, in the order in which their leaves were made.
    pub fn iter(&self) -> impl Iterator<Item = (VariableId, &Tensor<T>)> {
        let mut entries: Vec<_> = self.0.iter().map(|(&id, gradient)| (id, gradient)).collect();
        entries.sort_by_key(|entry| entry.0);
        entries.into_iter()
    }

    /// How many leaves have a gradient.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no leaf has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Float> Tensor<T> {
    /// The gradients of this single value with respect to every tracked leaf that it depends on.
    ///
    /// The graph is freed on the way: a second call through the same operations is an error, as is a call on
    /// something that depends on no tracked leaf (gradients included: derivatives are of first order only).
    pub fn backward(&self) -> Result<Gradients<T>> {
        if self.len() != 1 {
            return Err(Error::shape(
                "backward",
                format!(
                    "expected a single value to differentiate, got {:?}; reduce it, or pass its gradient to backward_with",
                    self.shape()
                ),
            ));
        }
        self.backward_with(&Tensor::full(self.shape(), T::ONE, self.device())?)
    }

    /// The gradients of `sum(self * gradient)`, for results of any shape.
    pub fn backward_with(&self, gradient: &Tensor<T>) -> Result<Gradients<T>> {
        if gradient.shape() != self.shape() {
            return Err(Error::shape(
                "backward",
                format!(
                    "expected a gradient of shape {:?}, got {:?}",
                    self.shape(),
                    gradient.shape()
                ),
            ));
        }
        self.device().expect_same("backward", gradient.device())?;
        let Some(root) = self.node() else {
            return Err(no_gradient(
                "expected a tensor that depends on a tracked one; gradients themselves are not tracked, \
                 only first derivatives are computed",
            ));
        };
        self.device().enter(|| walk(root.clone(), gradient.detach()))
    }
}

fn no_gradient(message: &str) -> Error {
    Error::new(ErrorKind::Gradient, "backward", message)
}

/// Visits nodes from the newest to the oldest, carrying gradients to the leaves.
fn walk<T: Float>(root: Arc<Node<T>>, gradient: Tensor<T>) -> Result<Gradients<T>> {
    let mut leaves = HashMap::new();
    let mut pending = HashMap::from([(root.id(), gradient)]);
    let mut queue = BinaryHeap::from([root]);
    while let Some(node) = queue.pop() {
        // A node is queued once for each of its children; the first visit carries the whole sum.
        let Some(gradient) = pending.remove(&node.id()) else {
            continue;
        };
        if node.is_leaf() {
            leaves.insert(VariableId(node.id()), gradient);
            continue;
        }
        let Some(rule) = node.take_rule() else {
            return Err(no_gradient(
                "expected a graph that has not been walked; the values that this one saved were freed by an earlier backward",
            ));
        };
        for (parent, gradient) in rule.apply(node.op(), gradient)? {
            match pending.remove(&parent.id()) {
                Some(sum) => pending.insert(parent.id(), sum.accumulate(&gradient)?),
                None => pending.insert(parent.id(), gradient),
            };
            queue.push(parent);
        }
    }
    Ok(Gradients(leaves))
}
