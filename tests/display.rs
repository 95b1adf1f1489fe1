//! Tensors print as numpy's arrays do; `tests/fixtures/display.py` wrote down how.

use serde_json::Value;
use striate::tensor::{Device, Element, Tensor};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn check<T: Element>(case: &Value, of: impl Fn(&Value) -> T) {
    let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
    let values = case["values"].as_array().unwrap().iter().map(of).collect();
    let tensor = Tensor::from_vec(values, shape, &Device::cpu()).unwrap();
    assert_eq!(tensor.to_string(), case["text"], "{tensor:?}");
}

#[test]
fn tensors_print_as_in_numpy() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("fixtures/display/display.json")).unwrap();
    for case in &cases {
        match case["dtype"].as_str() {
            Some("f32") => check(case, |x| number(x) as f32),
            Some("f64") => check(case, number),
            Some("i64") => check(case, |x| x.as_i64().unwrap()),
            _ => check(case, |x| x.as_bool().unwrap()),
        }
    }
}
