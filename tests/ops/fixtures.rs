//! Every case against PyTorch, whose answers `tests/fixtures/make.py` wrote down.
//!
//! A fixture holds a summary of each tensor: its shape, its sum, its norm, its largest size, and elements at
//! positions that a hash chooses. The gradients are those of `sum(result * w)`, with `w` from a hash too.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use striate::tensor::{Device, Float, Result, Tensor};

use crate::card::card;
use crate::common::{hash, hash_tensor, values};
use crate::registry::{Build, Case};
use crate::summary::compare;
use crate::{cases, check_all, devices};

/// What reading decimals and adding in another order may cost: inputs are otherwise the same.
const ROUNDING: f64 = 1e-14;

/// The fixtures of all files, by the names of their cases.
static FIXTURES: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    let parse = |path| -> BTreeMap<String, Value> {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    files.flat_map(parse).collect()
});

/// Compares inputs, result and gradients of a case with its fixture.
fn compare_case<T: Float>(
    case: &Case,
    build: Build<T>,
    (devices, tolerance): (&[Device], f64),
) -> Result<(), String> {
    let fixture = FIXTURES.get(case.name).ok_or("has no fixture; run tests/fixtures/make.py")?;
    for device in devices {
        let text = |error: striate::tensor::Error| error.to_string();
        let inputs: Vec<_> = case.inputs::<T>(device).iter().map(Tensor::tracked).collect();
        for (input, summary) in inputs.iter().zip(fixture["inputs"].as_array().unwrap()) {
            compare(input, summary, ROUNDING).map_err(|error| format!("input: {error}"))?;
        }
        let y = build(&inputs, &case.indices(device)).map_err(text)?;
        compare(&y, &fixture["output"], tolerance).map_err(|error| format!("result: {error}"))?;
        let Some(expected) = fixture["gradients"].as_array() else {
            assert!(
                !case.differentiable && !y.is_tracked(),
                "{} has no gradient in PyTorch",
                case.name
            );
            continue;
        };
        let weights = values(&format!("{}/weights", case.name), y.len(), [1.0, 0.0]);
        let weights = weights.into_iter().map(T::from_f64).collect();
        let weights = Tensor::from_vec(weights, y.shape(), device).map_err(text)?;
        let gradients = y.backward_with(&weights).map_err(text)?;
        assert_eq!(expected.len(), inputs.len());
        for (i, (input, summary)) in inputs.iter().zip(expected).enumerate() {
            match (gradients.get(input), summary) {
                (None, Value::Null) => Ok(()),
                (Some(gradient), summary) if !summary.is_null() => {
                    compare(gradient, summary, tolerance)
                }
                (Some(_), _) => Err("PyTorch has none".into()),
                (None, _) => Err("there is none".into()),
            }
            .map_err(|error| format!("gradient of input {i}: {error}"))?;
        }
    }
    Ok(())
}

/// Rounding differs by the order of sums only.
#[test]
fn doubles_are_those_of_pytorch() {
    check_all(|case| compare_case(case, case.double, (&devices(), 1e-9)));
}

/// Against PyTorch's f64, so this is our own rounding error.
#[test]
fn floats_are_those_of_pytorch() {
    check_all(|case| compare_case(case, case.single, (&devices(), 1e-5)));
}

/// The same on a card, whose exponentials and logarithms are approximate.
#[test]
fn the_cards_floats_are_those_of_pytorch() {
    let Some(card) = card(striate_cuda::checked) else { return };
    check_all(|case| compare_case(case, case.single, (std::slice::from_ref(&card), 1e-5)));
}

#[test]
fn every_fixture_has_its_case() {
    let names: Vec<_> = cases().map(|case| case.name).collect();
    for name in FIXTURES.keys() {
        assert!(names.contains(&name.as_str()), "no case is called {name}");
    }
}

/// A change of the hash should not be mistaken for one of the engine.
#[test]
fn the_hash_is_the_one_of_the_fixtures() {
    assert_eq!(hash("striate", 0), 0x7b32_9ccb_6934_92d1);
    let expected =
        [-0.0375213623046875, 0.6501617431640625, 0.5877227783203125, -0.8521575927734375];
    assert_eq!(hash_tensor::<f64>("striate", [2, 2]).to_vec().unwrap(), expected);
}
