//! Dropout (Srivastava et al. 2014).

use striate_tensor::random::Purpose;
use striate_tensor::{Error, ErrorContext, Float, Result, Tensor};

use super::python::float;
use crate::{FieldTrace, Init, Mode, Module, Pass};

/// In training, zeroes each element with a probability and scales the others to keep the expectation.
///
/// The mask is a function of the pass's seed and step and of this layer's path.
#[derive(Debug)]
pub struct Dropout {
    path: String,
    probability: f64,
}

impl Dropout {
    /// A layer that zeroes with `probability`, in `0..=1`.
    pub fn new(init: &Init, probability: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&probability) {
            let message = format!("expected a probability in 0..=1, got {probability}");
            return Err(Error::argument("dropout", message)).at(init.path());
        }
        Ok(Dropout { path: init.path().into(), probability })
    }
}

impl<T: Float> Module<T> for Dropout {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        "Dropout"
    }

    fn settings(&self) -> String {
        format!("p={}, inplace=False", float(self.probability))
    }

    fn trace(&self, _: &mut FieldTrace) -> Result<()> {
        Ok(())
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        if pass.mode() == Mode::Evaluate || self.probability == 0.0 {
            return Ok(x.clone());
        }
        let device = x.device();
        let draws = Tensor::uniform(
            x.shape(),
            (0.0, 1.0),
            &pass.key(Purpose::Dropout, &self.path),
            device,
        )?;
        let threshold = Tensor::scalar(T::from_f64(self.probability), device)?;
        // At probability 1 nothing is kept, and the scale must not be infinite.
        let scale = if self.probability < 1.0 { 1.0 / (1.0 - self.probability) } else { 0.0 };
        let keep = Tensor::scalar(T::from_f64(scale), device)?;
        let drop = Tensor::scalar(T::ZERO, device)?;
        x * draws.ge(&threshold)?.choose(&keep, &drop)?
    }
}
