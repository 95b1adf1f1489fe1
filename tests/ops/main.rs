//! Every public operation, held to one standard.
//!
//! [`table`] lists them. Each has cases, and calls that it must refuse. What an operation is held to is written
//! once, over the table, so that a new one gets all of it by being listed, and cannot be forgotten:
//!
//! - its gradients are those of central differences, also where an input is used twice, or is itself a
//!   permuted or a repeated view;
//! - values and gradients, in f64 and in f32, are PyTorch's;
//! - it fails as it should, with a message that says why, and on operands of different devices;
//! - its shapes are known without data;
//! - it gives the same bits on any number of threads.
//!
//! PyTorch's answers are in `tests/fixtures`, made by `make.py` there, which lists the same cases.

mod binary;
#[path = "../common/card.rs"]
mod card;
#[path = "../common/mod.rs"]
mod common;
mod completeness;
#[path = "../common/composed.rs"]
mod composed;
mod conv;
mod fixtures;
mod gradients;
mod join;
mod loss;
mod matmul;
mod norm;
mod pool;
mod reduce;
mod registry;
mod resize;
#[path = "../common/summary.rs"]
mod summary;
mod unary;
mod view;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use composed::Composed;
use registry::{Case, Entry, Refusal};
use striate::tensor::{Device, ErrorKind, Result, Tensor};

/// Every public operation.
fn table() -> Vec<Entry> {
    let families = [
        unary::entries(),
        binary::entries(),
        reduce::entries(),
        view::entries(),
        join::entries(),
        matmul::entries(),
        conv::entries(),
        pool::entries(),
        resize::entries(),
        norm::entries(),
        loss::entries(),
    ];
    families.into_iter().flatten().collect()
}

fn cases() -> impl Iterator<Item = Case> {
    table().into_iter().flat_map(|entry| entry.cases)
}

/// The devices that compute. A backend that fuses nothing is one of them, so that both forms of each fused kernel
/// are held to the same.
fn devices() -> Vec<Device> {
    vec![Device::cpu(), Device::from_backend(Arc::new(Composed(Device::cpu())))]
}

/// Runs `check` on every case and fails with the names of all that failed.
fn check_all(check: impl Fn(&Case) -> Result<(), String>) {
    let failures: Vec<String> = cases()
        .filter_map(|case| check(&case).err().map(|error| format!("{}: {error}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

/// What is wrong with the answer to a call that must be refused.
fn refusal_fault(refusal: &Refusal, device: &Device) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| (refusal.call)(device))) {
        Err(_) => Some("panicked".into()),
        Ok(Ok(())) => Some("accepted".into()),
        Ok(Err(error)) => {
            let said = error.to_string();
            (!said.starts_with(refusal.message)).then(|| format!("said {said:?}"))
        }
    }
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    let mut faults = Vec::new();
    for device in devices().into_iter().chain([Device::meta()]) {
        for entry in table() {
            for refusal in &entry.refusals {
                let fault = refusal_fault(refusal, &device);
                let (op, message) = (entry.method, refusal.message);
                faults.extend(
                    fault.map(|fault| format!("{op} on {device:?}: {fault}, not {message:?}")),
                );
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Where an operation has several operands, each in turn is put on another device.
#[test]
fn operands_on_different_devices_are_refused() {
    check_all(|case| {
        let (here, there) = (Device::cpu(), Device::meta());
        let (inputs, indices) = (case.inputs::<f64>(&here), case.indices(&here));
        let refused = |inputs: &[Tensor<f64>], indices: &[Tensor<i64>]| match (case.double)(
            inputs, indices,
        ) {
            Err(error) if error.kind() == ErrorKind::Device => Ok(()),
            Err(error) => Err(format!("expected a device error, got {error}")),
            Ok(_) => Err("accepted operands on two devices".into()),
        };
        for moved in 1..inputs.len() {
            let mut inputs = inputs.clone();
            inputs[moved] = inputs[moved].to_device(&there).unwrap();
            refused(&inputs, &indices)?;
        }
        for moved in 0..indices.len() {
            let mut indices = indices.clone();
            indices[moved] = indices[moved].to_device(&there).unwrap();
            refused(&inputs, &indices)?;
        }
        Ok(())
    });
}

/// The shapes of a result and of the gradients of the inputs.
fn shapes(case: &Case, device: &Device) -> Result<Vec<Vec<usize>>> {
    let inputs: Vec<_> = case.inputs::<f64>(device).iter().map(Tensor::tracked).collect();
    let y = (case.double)(&inputs, &case.indices(device))?;
    let mut shapes = vec![y.shape().to_vec()];
    if y.is_tracked() {
        let gradients = y.backward_with(&Tensor::ones(y.shape(), device)?)?;
        let gradients = inputs.iter().filter_map(|input| gradients.get(input));
        shapes.extend(gradients.map(|gradient| gradient.shape().to_vec()));
    }
    Ok(shapes)
}

#[test]
fn shapes_are_known_without_data() {
    check_all(|case| {
        for device in devices() {
            let computed = shapes(case, &device).map_err(|error| error.to_string())?;
            let known = shapes(case, &Device::meta()).map_err(|error| error.to_string())?;
            if computed != known {
                return Err(format!("{device:?} {computed:?}, meta {known:?}"));
            }
        }
        Ok(())
    });
}

/// The bits of a result and of the gradients of the inputs.
fn bits(case: &Case, device: &Device) -> Result<Vec<u32>> {
    let inputs: Vec<_> = case.inputs::<f32>(device).iter().map(Tensor::tracked).collect();
    let y = (case.single)(&inputs, &case.indices(device))?;
    let mut numbers = y.to_vec()?;
    if y.is_tracked() {
        let gradients = y.backward_with(&Tensor::ones(y.shape(), device)?)?;
        for (_, gradient) in gradients.iter() {
            numbers.extend(gradient.to_vec()?);
        }
    }
    Ok(numbers.into_iter().map(f32::to_bits).collect())
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let pools =
        [1, 3].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    check_all(|case| {
        let [one, three] = pools.each_ref().map(|pool| pool.install(|| bits(case, &Device::cpu())));
        let [one, three] = [one, three].map(|bits| bits.map_err(|error| error.to_string()));
        if one? == three? { Ok(()) } else { Err("one thread and three disagree".into()) }
    });
}
