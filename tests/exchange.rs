//! Weights that travel: a state dict that PyTorch saved is ours, and what we save is PyTorch's.
//!
//! `tests/fixtures/exchange.py` trained VGG_4 for three steps and saved it with the `safetensors` package, along with
//! the outputs that PyTorch computes with it.

mod common;

use std::path::{Path, PathBuf};

use common::hash_tensor;
use striate::models::{vgg4, vgg4_large_filter};
use striate::nn::{Checkpoint, Init, Module, Pass, load_state, state};
use striate::tensor::{Device, ErrorKind, Float, Result};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exchange/vgg4.safetensors")
}

/// Loads PyTorch's weights and compares the outputs; they may differ by `tolerance` of the largest.
fn check<T: Float>(tolerance: f64) -> Result<()> {
    let saved = Checkpoint::<T>::load(&file(), &Device::cpu())?;
    let net = vgg4::<T>(&Init::seed(1))?;
    load_state(&net, &saved.tensors)?;
    let x = hash_tensor("exchange/vgg4", [2, 3, 32, 32]);
    let found = net.forward(&x, &Pass::evaluate())?.to_vec()?;
    let expected: Vec<f64> = serde_json::from_str(&saved.texts["outputs"]).unwrap();
    assert_eq!(found.len(), expected.len());
    let allowed = tolerance * expected.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    for (x, y) in found.into_iter().zip(expected) {
        assert!((x.to_f64() - y).abs() <= allowed, "{x}, PyTorch {y}, allowed {allowed:.1e}");
    }
    Ok(())
}

#[test]
fn weights_of_pytorch_give_its_outputs() -> Result<()> {
    check::<f64>(1e-9)?;
    check::<f32>(1e-5)
}

/// Both sides stand on one library for the container; names, types, shapes, values and texts are ours.
#[test]
fn what_we_save_is_what_pytorch_saved() -> Result<()> {
    let saved = Checkpoint::<f32>::load(&file(), &Device::cpu())?;
    let net = vgg4(&Init::seed(1))?;
    load_state(&net, &saved.tensors)?;
    let ours = Checkpoint { tensors: state(&net), texts: saved.texts };
    assert!(ours.to_bytes()? == std::fs::read(file()).unwrap());
    Ok(())
}

#[test]
fn weights_of_another_network_are_refused() -> Result<()> {
    let saved = Checkpoint::<f32>::load(&file(), &Device::cpu())?.tensors;
    let error = load_state(&vgg4_large_filter(&Init::seed(1))?, &saved).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    // Without the pooling layers of VGG_4, all names behind them are others.
    let text = error.to_string();
    assert!(
        text.starts_with("load_state: missing: model.10.bias, model.10.num_batches_tracked, "),
        "{text}"
    );
    assert!(text.contains("; unexpected: model.12.bias, model.12.weight, "), "{text}");
    assert!(text.contains("; misshapen: model.13.bias (expected [10], got [48]), "), "{text}");
    Ok(())
}
