//! What a module would compute: the table of torchsummary, found by running the module on the device that has no
//! data.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use striate_tensor::backend::meta::Meta;
use striate_tensor::{Device, Float, Result, Tensor};

use crate::optim::{Optimizer, Rule};
use crate::{Module, Parameter, Pass};

/// One layer of a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The layer's path.
    pub path: String,
    /// The layer's kind.
    pub kind: String,
    /// Its output for one sample, without the batch axis.
    pub output: Vec<usize>,
    /// How many parameters it has.
    pub parameters: usize,
    /// Its multiply-accumulates for one sample.
    pub macs: u64,
}

/// Sizes of a module for one sample of a given shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The shape of the sample.
    pub input: Vec<usize>,
    /// The layers that have no layers inside, in the order in which they ran.
    pub rows: Vec<Row>,
    /// All parameters.
    pub parameters: usize,
    /// Those that are not frozen.
    pub trainable: usize,
    /// Multiply-accumulates for one sample.
    pub macs: u64,
    /// Bytes of one parameter or activation.
    pub element_size: usize,
}

impl Summary {
    /// Runs `module` on a sample of shape `input` without computing anything.
    ///
    /// ```
    /// use striate_nn::{Init, Summary, layers::Linear};
    /// let layer: Linear = Linear::new(&Init::seed(1), 784, 10)?;
    /// let summary = Summary::new(&layer, &[784])?;
    /// assert_eq!((summary.parameters, summary.macs), (7_850, 7_840));
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn new<T: Float>(module: &dyn Module<T>, input: &[usize]) -> Result<Self> {
        let meta = Meta::new();
        let ledger = meta.ledger();
        let device = Device::from_backend(Arc::new(meta));
        let sample = Tensor::<T>::zeros([&[1], input].concat(), &device)?;
        let parameters = module.parameters();
        let seen = Arc::new(Mutex::new((Vec::new(), 0)));
        let (rows, counted) = (seen.clone(), ledger.clone());
        let pass = Pass::evaluate().hook_all(move |visit| {
            let mut seen = rows.lock().unwrap_or_else(PoisonError::into_inner);
            if visit.leaf {
                let macs = counted.macs();
                let row = Row {
                    path: visit.path.into(),
                    kind: visit.kind.into(),
                    output: visit.output.shape().get(1..).unwrap_or_default().to_vec(),
                    parameters: 0,
                    macs: macs - seen.1,
                };
                seen.0.push(row);
                seen.1 = macs;
            }
            Ok(())
        });
        module.forward(&sample, &pass)?;
        let mut rows = std::mem::take(&mut seen.lock().unwrap_or_else(PoisonError::into_inner).0);
        for row in &mut rows {
            let own = parameters.iter().filter(|p| is_own(p.path(), &row.path));
            row.parameters = own.map(Parameter::len).sum();
        }
        let count = |frozen: bool| {
            let counted = parameters.iter().filter(|p| frozen || !p.is_frozen());
            counted.map(Parameter::len).sum()
        };
        Ok(Summary {
            input: input.to_vec(),
            rows,
            parameters: count(true),
            trainable: count(false),
            macs: ledger.macs(),
            element_size: size_of::<T>(),
        })
    }

    /// The most bytes that the tensors of a training step on `batch` samples hold at once, found by taking two steps without
    /// computing anything: parameters, what the forward pass keeps, gradients, the optimizer's state, and what this processor's
    /// convolutions hold for the length of a call, each rounded up as the pool rounds it. What is made to fit the caches comes on top.
    ///
    /// `module` gives up its values: its parameters move to the device that has none. Its output is taken for logits.
    pub fn training_bytes<T: Float>(
        module: &dyn Module<T>,
        rule: impl Into<Rule>,
        (input, batch): (&[usize], usize),
    ) -> Result<u64> {
        let meta = Meta::new();
        let ledger = meta.ledger();
        let device = Device::from_backend(Arc::new(meta));
        module.to_device(&device)?;
        let samples = Tensor::<T>::zeros([&[batch], input].concat(), &device)?;
        let labels = Tensor::<i64>::zeros([batch], &device)?;
        let mut optimizer = Optimizer::new(module, rule);
        // The state comes into being in the first step, after its peak.
        for step in 1..=2 {
            let logits = module.forward(&samples, &Pass::train(0, step))?;
            optimizer.step(&logits.cross_entropy(&labels)?.backward()?)?;
        }
        Ok(ledger.peak())
    }

    /// Mebibytes of `elements`.
    fn megabytes(&self, elements: f64) -> f64 {
        elements * self.element_size as f64 / (1 << 20) as f64
    }

    /// Mebibytes of the input.
    pub fn input_megabytes(&self) -> f64 {
        self.megabytes(volume(&self.input))
    }

    /// Mebibytes of all outputs and their gradients, as torchsummary estimates them.
    pub fn activation_megabytes(&self) -> f64 {
        let outputs = self.rows.iter().map(|row| volume(&row.output));
        self.megabytes(2.0 * outputs.sum::<f64>())
    }

    /// Mebibytes of the parameters.
    pub fn parameter_megabytes(&self) -> f64 {
        self.megabytes(self.parameters as f64)
    }

    /// Mebibytes of all three.
    pub fn total_megabytes(&self) -> f64 {
        self.input_megabytes() + self.activation_megabytes() + self.parameter_megabytes()
    }
}

/// Whether `parameter` is `layer.name`.
fn is_own(parameter: &str, layer: &str) -> bool {
    match parameter.rsplit_once('.') {
        Some((owner, _)) => owner == layer,
        None => layer.is_empty(),
    }
}

/// A number as tables show it: `28,938`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (thin, thick) = ("-".repeat(64), "=".repeat(64));
        writeln!(f, "{thin}")?;
        writeln!(f, "{:>20}  {:>25} {:>15}", "Layer (type)", "Output Shape", "Param #")?;
        writeln!(f, "{thick}")?;
        for (number, row) in self.rows.iter().enumerate() {
            let sizes: Vec<String> = row.output.iter().map(|size| format!(", {size}")).collect();
            let layer = format!("{}-{}", row.kind, number + 1);
            let output = format!("[-1{}]", sizes.concat());
            writeln!(f, "{layer:>20}  {output:>25} {:>15}", grouped(row.parameters as u64))?;
        }
        writeln!(f, "{thick}")?;
        writeln!(f, "Total params: {}", grouped(self.parameters as u64))?;
        writeln!(f, "Trainable params: {}", grouped(self.trainable as u64))?;
        let frozen = self.parameters - self.trainable;
        writeln!(f, "Non-trainable params: {}", grouped(frozen as u64))?;
        writeln!(f, "{thin}")?;
        writeln!(f, "Input size (MB): {:.2}", self.input_megabytes())?;
        writeln!(f, "Forward/backward pass size (MB): {:.2}", self.activation_megabytes())?;
        writeln!(f, "Params size (MB): {:.2}", self.parameter_megabytes())?;
        writeln!(f, "Estimated Total Size (MB): {:.2}", self.total_megabytes())?;
        writeln!(f, "{thin}")?;
        write!(f, "Multiply-accumulates per sample: {}", grouped(self.macs))
    }
}

/// The number of elements of a shape, in f64: outputs that only the meta device can hold may add up to more than a
/// whole number can.
fn volume(shape: &[usize]) -> f64 {
    shape.iter().map(|&size| size as f64).product()
}
