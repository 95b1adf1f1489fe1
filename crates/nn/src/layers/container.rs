//! Modules made of modules.

use striate_tensor::{Float, Result, Tensor};

use crate::{FieldTrace, Init, Module, Pass, fuse};

/// Modules one after another, called `0`, `1`, ... below their container's path.
///
/// ```
/// use striate_nn::{Init, Module, Pass, layers::{Activation, Linear, Sequential}};
/// use striate_tensor::{Device, Tensor};
/// let net: Sequential = Sequential::new(&Init::seed(1))
///     .then(|at| Linear::new(at, 784, 500))?
///     .then(|at| Ok(Activation::relu(at)))?
///     .then(|at| Linear::new(at, 500, 10))?;
/// let images = Tensor::zeros([2, 784], &Device::cpu())?;
/// assert_eq!(net.forward(&images, &Pass::evaluate())?.shape(), [2, 10]);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub struct Sequential<T: Float = f32> {
    init: Init,
    modules: Vec<Box<dyn Module<T>>>,
}

impl<T: Float> Sequential<T> {
    /// An empty one, which returns its input.
    pub fn new(init: &Init) -> Self {
        Sequential { init: init.clone(), modules: Vec::new() }
    }

    /// Adds what `make` returns for the path of the next module.
    pub fn then<M: Module<T> + 'static>(
        mut self,
        make: impl FnOnce(&Init) -> Result<M>,
    ) -> Result<Self> {
        let module = make(&self.init.at(self.modules.len()))?;
        self.modules.push(Box::new(module));
        Ok(self)
    }
}

impl<T: Float> Module<T> for Sequential<T> {
    fn path(&self) -> &str {
        self.init.path()
    }

    fn kind(&self) -> &'static str {
        "Sequential"
    }

    fn children(&self) -> Vec<&dyn Module<T>> {
        self.modules.iter().map(|module| &**module).collect()
    }

    fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
        // An empty one returns its input.
        self.modules.iter().try_for_each(|module| module.trace(fields))
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        fuse::run(&self.modules, x, pass)
    }
}

/// `body(x) + shortcut(x)`; without a shortcut, `body(x) + x` (He et al. 2016).
pub struct Residual<T: Float = f32> {
    path: String,
    body: Box<dyn Module<T>>,
    shortcut: Option<Box<dyn Module<T>>>,
}

impl<T: Float> Residual<T> {
    /// `body(x) + x`.
    pub fn new(init: &Init, body: impl Module<T> + 'static) -> Self {
        Residual { path: init.path().into(), body: Box::new(body), shortcut: None }
    }

    /// The same with a module on the shortcut, where the sizes change.
    pub fn shortcut(self, shortcut: impl Module<T> + 'static) -> Self {
        Residual { shortcut: Some(Box::new(shortcut)), ..self }
    }
}

impl<T: Float> Module<T> for Residual<T> {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        "Residual"
    }

    fn children(&self) -> Vec<&dyn Module<T>> {
        [&self.body].into_iter().chain(&self.shortcut).map(|module| &**module).collect()
    }

    fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
        let mut shortcut = fields.branch();
        self.body.trace(fields)?;
        if let Some(module) = &self.shortcut {
            module.trace(&mut shortcut)?;
        }
        fields.join(shortcut, self)
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        let y = self.body.forward(x, pass)?;
        match &self.shortcut {
            Some(shortcut) => y + shortcut.forward(x, pass)?,
            None => y + x,
        }
    }
}
