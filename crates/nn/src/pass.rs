//! How a network is run, as a value.

use std::sync::Arc;

use striate_tensor::random::{Key, Purpose};
use striate_tensor::{Float, Result, Tensor};

/// Whether layers behave as in training (dropout drops, batch norm uses the batch) or in evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Training.
    Train,
    /// Evaluation.
    Evaluate,
}

/// What a hook is told when a module has computed its output.
#[derive(Debug)]
pub struct Visit<'a, T: Float = f32> {
    /// The module's path.
    pub path: &'a str,
    /// The module's kind, such as `Conv2d`.
    pub kind: &'a str,
    /// Whether it has no modules inside.
    pub leaf: bool,
    /// What it was given.
    pub input: &'a Tensor<T>,
    /// What it returned.
    pub output: &'a Tensor<T>,
}

type Hook<T> = Arc<dyn Fn(&Visit<T>) -> Result<()> + Send + Sync>;

/// One run through a network: mode, seed and step, tracking, fusing, hooks.
///
/// Random layers draw with a key made of seed, step and their own path, so a run is repeated by repeating
/// its pass.
#[derive(Clone)]
pub struct Pass<T: Float = f32> {
    mode: Mode,
    tracked: bool,
    fused: bool,
    seed: u64,
    step: u64,
    hooks: Vec<(Option<String>, Hook<T>)>,
}

impl<T: Float> Pass<T> {
    /// A training pass: gradients are tracked.
    pub fn train(seed: u64, step: u64) -> Self {
        Pass { mode: Mode::Train, tracked: true, fused: true, seed, step, hooks: Vec::new() }
    }

    /// An evaluation pass: no gradients, nothing random.
    pub fn evaluate() -> Self {
        Pass { mode: Mode::Evaluate, tracked: false, ..Self::train(0, 0) }
    }

    /// The same pass with parameters tracked or not.
    pub fn tracked(self, tracked: bool) -> Self {
        Pass { tracked, ..self }
    }

    /// The same pass for a part that is in use, not in training: nothing random, running moments at rest, no
    /// gradients. Hooks stay.
    pub fn in_use(self) -> Self {
        Pass { mode: Mode::Evaluate, tracked: false, ..self }
    }

    /// The same pass with layers computed together or one by one. Together is faster and the same to rounding, and how
    /// a pass starts.
    pub fn fused(self, fused: bool) -> Self {
        Pass { fused, ..self }
    }

    /// The same pass calling `hook` after the module at `path`; never, if nothing that runs stands there.
    pub fn hook(
        mut self,
        path: impl Into<String>,
        hook: impl Fn(&Visit<T>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.push((Some(path.into()), Arc::new(hook)));
        self
    }

    /// The same pass calling `hook` after every module.
    pub fn hook_all(
        mut self,
        hook: impl Fn(&Visit<T>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.push((None, Arc::new(hook)));
        self
    }

    /// Training or evaluation.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether parameters are tracked.
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }

    /// Whether layers may be computed together: not where a hook wants to see each.
    pub fn is_fused(&self) -> bool {
        self.fused && self.hooks.is_empty()
    }

    /// The key with which the layer at `path` draws in this pass.
    pub fn key(&self, purpose: Purpose, path: &str) -> Key {
        Key::new(self.seed, purpose).step(self.step).path(path)
    }

    /// Tells the hooks of a module what it computed.
    pub(crate) fn visited(&self, visit: &Visit<T>) -> Result<()> {
        let wanted = |path: &Option<String>| path.as_deref().is_none_or(|path| path == visit.path);
        let mut hooks = self.hooks.iter().filter(|(path, _)| wanted(path));
        hooks.try_for_each(|(_, hook)| hook(visit))
    }
}

impl<T: Float> std::fmt::Debug for Pass<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Pass({:?}, seed {}, step {}, {} hooks)",
            self.mode,
            self.seed,
            self.step,
            self.hooks.len()
        )
    }
}
