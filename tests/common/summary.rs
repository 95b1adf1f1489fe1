//! Summaries of PyTorch's tensors, as fixtures hold them: shape, sum, norm, largest size, and elements at
//! positions that a hash chooses.

use serde_json::Value;
use striate::tensor::{Float, Tensor};

use crate::common::hash;

/// Elements of a longer tensor that a fixture holds.
const SAMPLES: usize = 32;

/// A number of a summary.
pub fn number(summary: &Value, field: &str) -> f64 {
    summary[field].as_f64().unwrap()
}

/// Compares a tensor with its summary. Elements may differ by `tolerance` of the largest.
pub fn compare<T: Float>(
    tensor: &Tensor<T>,
    summary: &Value,
    tolerance: f64,
) -> Result<(), String> {
    compare_by(tensor, summary, tolerance * number(summary, "max"))
}

/// Compares a tensor with its summary. Elements may differ by `allowed`.
pub fn compare_by<T: Float>(
    tensor: &Tensor<T>,
    summary: &Value,
    allowed: f64,
) -> Result<(), String> {
    let shape: Vec<usize> = serde_json::from_value(summary["shape"].clone()).unwrap();
    if tensor.shape() != shape {
        return Err(format!("shape {:?}, PyTorch {shape:?}", tensor.shape()));
    }
    let numbers = tensor.to_vec().map_err(|error| error.to_string())?;
    let numbers: Vec<f64> = numbers.into_iter().map(|x| x.to_f64()).collect();
    let close = |what: &str, got: f64, expected: f64, allowed: f64| {
        // Written so that NaN fails.
        let fits = (got - expected).abs() <= allowed;
        fits.then_some(()).ok_or(format!("{what} {got}, PyTorch {expected}, allowed {allowed:.1e}"))
    };
    let count = numbers.len();
    let samples = summary["samples"].as_array().unwrap();
    for (i, sample) in samples.iter().enumerate() {
        let at = if count <= SAMPLES { i } else { hash("samples", i) as usize % count };
        close(&format!("element {at}"), numbers[at], sample.as_f64().unwrap(), allowed)?;
    }
    let largest = numbers.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    let norm = numbers.iter().map(|x| x * x).sum::<f64>().sqrt();
    close("largest", largest, number(summary, "max"), allowed)?;
    close("norm", norm, number(summary, "norm"), allowed * (count as f64).sqrt())?;
    close("sum", numbers.iter().sum(), number(summary, "sum"), allowed * count as f64)
}
