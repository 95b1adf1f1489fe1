//! Checkpoints as files: written whole or not at all, read back to the same bits, refused with the reason.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use safetensors::tensor::{Dtype, TensorView, serialize};
use striate_nn::layers::*;
use striate_nn::optim::{Adam, Sgd};
use striate_nn::{Checkpoint, Init, Trainer, atomic_write, load_state, state};
use striate_tensor::{ConvSpec, Device, ErrorKind, Float, Result, Tensor};
use tempfile::tempdir;

fn net<T: Float>(seed: u64) -> Result<Sequential<T>> {
    Sequential::new(&Init::seed(seed))
        .then(|at| Conv2d::new(at, 1, 2, ConvSpec::new([2, 2])))?
        .then(|at| BatchNorm2d::new(at, 2))?
        .then(|at| Ok(Flatten::new(at)))?
        .then(|at| Linear::new(at, 8, 3))
}

fn numbers<T: Float>(net: &Sequential<T>) -> Result<Vec<Vec<T>>> {
    state(net).values().map(Tensor::to_vec).collect()
}

fn round_trip<T: Float>(path: &Path) -> Result<()> {
    let (net, other) = (net::<T>(1)?, self::net::<T>(2)?);
    let mut saved = Checkpoint::of(&net);
    saved.texts.insert("note".into(), "größer \"als\" {}\n".into());
    saved.save(path)?;
    let loaded = Checkpoint::load(path, &Device::cpu())?;
    assert_eq!(loaded.texts, saved.texts);
    assert_ne!(numbers(&net)?, numbers(&other)?);
    load_state(&other, &loaded.tensors)?;
    assert_eq!(numbers(&net)?, numbers(&other)?);
    Ok(())
}

#[test]
fn a_network_is_read_back_to_the_same_bits() -> Result<()> {
    let folder = tempdir().unwrap();
    round_trip::<f32>(&folder.path().join("single.safetensors"))?;
    round_trip::<f64>(&folder.path().join("double.safetensors"))
}

#[test]
fn either_precision_reads_the_other() -> Result<()> {
    let (single, double) = (net::<f32>(1)?, net::<f64>(2)?);
    let bytes = Checkpoint::of(&single).to_bytes()?;
    load_state(&double, &Checkpoint::from_bytes(&bytes, &Device::cpu())?.tensors)?;
    let widened = numbers(&single)?.concat().into_iter().map(f64::from).collect::<Vec<_>>();
    assert_eq!(numbers(&double)?.concat(), widened);
    let back = net::<f32>(3)?;
    let bytes = Checkpoint::of(&double).to_bytes()?;
    load_state(&back, &Checkpoint::from_bytes(&bytes, &Device::cpu())?.tensors)?;
    assert_eq!(numbers(&back)?, numbers(&single)?);
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let load = || Checkpoint::<f32>::load(&path, &Device::cpu()).unwrap_err();
    assert!(load().to_string().starts_with(&format!("load: {}: ", path.display())));
    fs::write(&path, b"PK\x03\x04 not a safetensors file").unwrap();
    assert!(load().to_string().starts_with(&format!("load: {}: ", path.display())));
    let error = read::<f32>(Dtype::U16, &[0; 4]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "checkpoint: expected f16, bf16, f32, f64, i64 or u8 in fc.weight, got U16"
    );
}

/// The one tensor of a file, of two numbers or more.
fn read<T: Float>(dtype: Dtype, data: &[u8]) -> Result<Vec<T>> {
    let view = TensorView::new(dtype, vec![data.len() * 8 / dtype.bitsize()], data).unwrap();
    let bytes = serialize([("fc.weight", view)], None::<HashMap<_, _>>).unwrap();
    Checkpoint::from_bytes(&bytes, &Device::cpu())?.tensors["fc.weight"].to_vec()
}

#[test]
fn half_precision_is_read_in_both_of_its_forms() -> Result<()> {
    let every: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    // Every number of 16 bits, against numpy's values of nine and sums of all.
    let halves = read::<f64>(Dtype::F16, &every)?;
    let expected = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x0001, 5.960464477539063e-8),
        (0x03ff, 6.097555160522461e-5),
        (0x0400, 6.103515625e-5),
        (0x7bff, 65504.0),
        (0x3555, 0.333251953125),
        (0x7c00, f64::INFINITY),
        (0xfc00, f64::NEG_INFINITY),
    ];
    for (bits, value) in expected {
        assert_eq!(halves[bits], value, "{bits:#x}");
    }
    assert_eq!(halves.iter().filter(|half| half.is_nan()).count(), 2046);
    let finite: Vec<f64> = halves.into_iter().filter(|half| half.is_finite()).collect();
    assert_eq!(finite.len(), 63488);
    assert_eq!(finite.iter().map(|half| half.abs()).sum::<f64>(), 201261055.875);

    // The other form is the upper half of a number of 32 bits.
    let upper = read::<f32>(Dtype::BF16, &every)?;
    for (bits, value) in upper.into_iter().enumerate() {
        let expected = f32::from_bits((bits as u32) << 16);
        assert!(value == expected || value.is_nan() && expected.is_nan(), "{bits:#x}: {value}");
    }
    Ok(())
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("weights");
    atomic_write(&path, b"old").unwrap();
    // A folder under any name cannot be replaced by a file.
    let blocked = folder.path().join("folder");
    fs::create_dir(&blocked).unwrap();
    let error = atomic_write(&blocked, b"new").unwrap_err();
    assert_eq!((error.kind(), error.op()), (ErrorKind::Data, "write"));
    assert!(error.message().starts_with(&blocked.display().to_string()), "{error}");
    assert!(atomic_write(&folder.path().join("nowhere/weights"), b"new").is_err());
    assert!(atomic_write(Path::new("/"), b"new").is_err());
    assert_eq!(fs::read(&path).unwrap(), b"old");
    // Nothing temporary is left behind.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// Two threads write, a third reads: always one whole version.
#[test]
fn readers_see_whole_files_only() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("weights");
    atomic_write(&path, &[0; 100_000]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers = [1u8, 2].map(|version| {
            let path = &path;
            let size = 100_000 * usize::from(version);
            scope.spawn(move || (0..20).try_for_each(|_| atomic_write(path, &vec![version; size])))
        });
        let reader = scope.spawn(|| {
            while !done.load(Relaxed) {
                let bytes = fs::read(&path).unwrap();
                assert_eq!(bytes.len(), 100_000 * usize::from(bytes[0].max(1)));
                assert!(bytes.iter().all(|byte| *byte == bytes[0]));
            }
        });
        let written = writers.map(|writer| writer.join().unwrap());
        done.store(true, Relaxed);
        reader.join().unwrap();
        written.into_iter().for_each(|result| result.unwrap());
    });
}

#[test]
fn a_run_is_restored_from_its_own_kind_only() -> Result<()> {
    let (net, other) = (net::<f32>(1)?, self::net::<f32>(2)?);
    let mut run = Trainer::new(&net, Sgd::new(0.1), 1);
    let error = run.restore(&Checkpoint::of(&other)).unwrap_err();
    assert!(error.to_string().starts_with("restore: expected a training checkpoint"), "{error}");
    let before = numbers(&net)?;
    let theirs = Trainer::new(&other, Adam::new(0.1), 1).checkpoint()?;
    let error = run.restore(&theirs).unwrap_err();
    assert_eq!(error.to_string(), "load_state: expected groups of SGD, got Adam");
    assert_eq!(numbers(&net)?, before, "the network was changed although restoring failed");
    Ok(())
}
