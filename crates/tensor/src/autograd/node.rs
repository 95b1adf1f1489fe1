//! One recorded operation.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Element, Error, ErrorKind, Float, Result, Tensor};

/// Which parents a gradient is wanted for, in the order in which they were given.
pub(crate) type Needs<'a> = &'a [bool];

type Backward<T> =
    Box<dyn FnOnce(&Tensor<T>, Needs) -> Result<Vec<Option<Tensor<T>>>> + Send + Sync>;

/// How to turn the gradient of a result into those of its parents.
pub(crate) struct Rule<T: Element> {
    backward: Backward<T>,
    parents: Vec<Option<Arc<Node<T>>>>,
}

/// The gradients of tracked parents.
type ParentGradients<T> = Vec<(Arc<Node<T>>, Tensor<T>)>;

impl<T: Float> Rule<T> {
    /// The gradients of the tracked parents.
    pub(super) fn apply(self, op: &str, gradient: Tensor<T>) -> Result<ParentGradients<T>> {
        let needs: Vec<bool> = self.parents.iter().map(Option::is_some).collect();
        let gradients = (self.backward)(&gradient, &needs)?;
        if gradients.len() != self.parents.len() {
            return Err(Error::new(
                ErrorKind::Gradient,
                op,
                format!(
                    "expected a gradient, or none, for each of {} inputs, got {}",
                    self.parents.len(),
                    gradients.len()
                ),
            ));
        }
        let pairs = self.parents.into_iter().zip(gradients);
        Ok(pairs.filter_map(|(parent, gradient)| parent.zip(gradient)).collect())
    }
}

/// A recorded operation, or a tracked leaf.
pub(crate) struct Node<T: Element> {
    id: u64,
    op: &'static str,
    leaf: bool,
    rule: Mutex<Option<Rule<T>>>,
}

impl<T: Element> Node<T> {
    fn new(op: &'static str, rule: Option<Rule<T>>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Node {
            id: NEXT.fetch_add(1, Relaxed),
            op,
            leaf: rule.is_none(),
            rule: Mutex::new(rule),
        })
    }

    /// A leaf whose gradient is wanted.
    pub(crate) fn leaf() -> Arc<Self> {
        Self::new("leaf", None)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn op(&self) -> &'static str {
        self.op
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.leaf
    }

    /// The rule, the first time it is asked for.
    pub(super) fn take_rule(&self) -> Option<Rule<T>> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Rule<T>>> {
        // Nothing panics while the lock is held, and a rule is taken whole.
        self.rule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Float> Node<T> {
    /// A node for the result of `op`, or `None` if no parent is tracked.
    pub(crate) fn record(
        op: &'static str,
        parents: &[&Tensor<T>],
        backward: impl FnOnce(&Tensor<T>, Needs) -> Result<Vec<Option<Tensor<T>>>>
        + Send
        + Sync
        + 'static,
    ) -> Option<Arc<Self>> {
        let parents: Vec<_> = parents.iter().map(|parent| parent.node().cloned()).collect();
        parents.iter().any(Option::is_some).then(|| {
            let backward = Box::new(backward);
            Node::new(op, Some(Rule { backward, parents }))
        })
    }
}

impl<T: Element> Drop for Node<T> {
    /// Frees ancestors that nobody else holds with a list instead of recursion, which would overflow the
    /// stack after some ten thousand operations.
    fn drop(&mut self) {
        let mut rules: Vec<Rule<T>> = self.lock().take().into_iter().collect();
        while let Some(rule) = rules.pop() {
            let orphans = rule.parents.into_iter().flatten().filter_map(Arc::into_inner);
            rules.extend(orphans.filter_map(|node| node.lock().take()));
        }
    }
}

impl<T: Element> PartialEq for Node<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T: Element> Eq for Node<T> {}

impl<T: Element> PartialOrd for Node<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Element> Ord for Node<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl<T: Element> std::fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.op, self.id)
    }
}
