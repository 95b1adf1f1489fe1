//! Every operation where it ends, against PyTorch, whose answers `tests/fixtures/edges.py` wrote down.
//!
//! Infinities and NaN must be PyTorch's exactly, in results and in gradients; and what it refuses is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use striate::tensor::{Device, Float, Tensor};

use crate::calls::{Arguments, call, number};
use crate::card::card;
use crate::composed::Composed;

fn cases() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/edges/edges.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn shape_and_values(packed: &Value) -> (Vec<usize>, Vec<f64>) {
    let values = packed["values"].as_array().unwrap().iter().map(number).collect();
    (serde_json::from_value(packed["shape"].clone()).unwrap(), values)
}

fn tensors<T: Float>(list: &Value, device: &Device) -> Vec<Tensor<T>> {
    let unpacked = list.as_array().unwrap().iter().map(shape_and_values);
    let tensor = |(shape, values): (Vec<usize>, Vec<f64>)| {
        let values = values.into_iter().map(T::from_f64).collect();
        Tensor::from_vec(values, shape, device).unwrap()
    };
    unpacked.map(tensor).collect()
}

/// What is wrong with a tensor that should be `expected`. A finite element may be off by `tolerance` of itself or of one.
fn fault<T: Float>(tensor: &Tensor<T>, expected: &Value, tolerance: f64) -> Option<String> {
    let (shape, expected) = shape_and_values(expected);
    if tensor.shape() != shape {
        return Some(format!("shape {:?}, PyTorch {shape:?}", tensor.shape()));
    }
    let found = tensor.to_vec().unwrap();
    let mut pairs = found.iter().map(|x| x.to_f64()).zip(&expected).enumerate();
    pairs.find_map(|(i, (x, y))| {
        let alike = match y.is_finite() {
            true => (x - y).abs() <= tolerance * y.abs().max(1.0),
            false => x == *y || (x.is_nan() && y.is_nan()),
        };
        (!alike).then(|| format!("element {i} is {x}, PyTorch {y}"))
    })
}

/// What is wrong with our answer to a case.
fn case_fault<T: Float>(case: &Value, device: &Device, tolerance: f64) -> Option<String> {
    let inputs: Vec<_> =
        tensors::<T>(&case["inputs"], device).iter().map(Tensor::tracked).collect();
    let indices = case["indices"].as_array().unwrap().iter().map(shape_and_values);
    let indices: Vec<Tensor<i64>> = indices
        .map(|(shape, values)| {
            Tensor::from_vec(values.iter().map(|&i| i as i64).collect(), shape, device).unwrap()
        })
        .collect();
    let op = case["op"].as_str().unwrap();
    let run = || call(op, &Arguments(&case["args"]), &inputs, &indices);
    let y = match (catch_unwind(AssertUnwindSafe(run)), case.get("refused")) {
        (Err(_), _) => return Some("panicked".into()),
        (Ok(Err(_)), Some(_)) => return None,
        (Ok(Ok(_)), Some(reason)) => return Some(format!("accepted; PyTorch: {reason}")),
        (Ok(Err(error)), None) => return Some(format!("refused: {error}")),
        (Ok(Ok(y)), None) => y,
    };
    if let Some(fault) = fault(&y, &case["output"], tolerance) {
        return Some(fault);
    }
    let expected = case.get("gradients")?.as_array().unwrap();
    gradient_fault(&inputs, &y, expected, tolerance)
}

/// What is wrong with the gradients of `sum(y * w)`.
fn gradient_fault<T: Float>(
    inputs: &[Tensor<T>],
    y: &Tensor<T>,
    expected: &[Value],
    tolerance: f64,
) -> Option<String> {
    let weights = (0..y.len()).map(|i| T::from_f64(1.0 + 0.5 * (i % 4) as f64)).collect();
    let weights = Tensor::from_vec(weights, y.shape(), y.device()).unwrap();
    let gradients = match y.backward_with(&weights) {
        Ok(gradients) => gradients,
        Err(error) => return Some(format!("no gradient: {error}")),
    };
    inputs.iter().zip(expected).enumerate().find_map(|(i, (input, expected))| {
        let fault = match (gradients.get(input), expected) {
            (None, Value::Null) => None,
            (Some(gradient), Value::Object(_)) => fault(gradient, expected, tolerance),
            (found, _) => Some(format!("is there: {}, in PyTorch the opposite", found.is_some())),
        };
        fault.map(|fault| format!("gradient of input {i}: {fault}"))
    })
}

/// Whether a case's numbers are f32's as well.
fn fits_f32(case: &Value) -> bool {
    let tensors = case["inputs"].as_array().unwrap().iter().chain(case.get("output"));
    let mut values = tensors.flat_map(|packed| shape_and_values(packed).1);
    values.all(|x| !x.is_finite() || x == 0.0 || (1e-30..1e30).contains(&x.abs()))
}

fn check<T: Float>(device: &Device, tolerance: f64, choose: impl Fn(&Value) -> bool) {
    let mut faults = Vec::new();
    for case in cases().iter().filter(|case| choose(case)) {
        let fault = case_fault::<T>(case, device, tolerance);
        let fault = match (fault, case.get("differs")) {
            (Some(_), Some(_)) => continue,
            (None, Some(reason)) => format!("should differ from PyTorch: {reason}"),
            (Some(fault), None) => fault,
            (None, None) => continue,
        };
        let shapes =
            case["inputs"].as_array().unwrap().iter().map(|input| input["shape"].to_string());
        let shapes = shapes.collect::<Vec<_>>().join(" ");
        faults.push(format!("{} {} of {shapes}: {fault}", case["op"], case["args"]));
    }
    assert!(faults.is_empty(), "{} cases on {device:?}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn edges_are_those_of_pytorch() {
    check::<f64>(&Device::cpu(), 1e-12, |_| true);
}

#[test]
fn edges_in_single_precision_are_those_of_pytorch() {
    check::<f32>(&Device::cpu(), 1e-5, fits_f32);
}

#[test]
fn edges_of_compositions_are_those_of_pytorch() {
    check::<f64>(&Device::from_backend(Arc::new(Composed(Device::cpu()))), 1e-12, |_| true);
}

/// The slopes where functions have kinks, and at NaN, on a card.
#[test]
fn kinks_on_a_card_are_those_of_pytorch() {
    let Some(card) = card(striate_cuda::checked) else { return };
    let kinked = ["abs", "relu", "leaky_relu", "elu", "clamp", "maximum", "minimum"];
    let chosen = |case: &Value| kinked.contains(&case["op"].as_str().unwrap()) && fits_f32(case);
    check::<f32>(&card, 1e-5, chosen);
}
