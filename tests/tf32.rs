//! Matrix products of factors rounded to tf32: for who asks for them, on cards that have them.

#[path = "common/card.rs"]
mod card;
mod common;

use card::card;
use common::hash_tensor;
use striate::tensor::{Device, Float, Result, Tensor};

/// A product so deep that it is cut in parts, and its gradients: three of the four transposes.
const SIZES: [usize; 3] = [40, 700, 24];

/// `x w^T`, and the gradients of `x` and `w`, of numbers in -1..1 or of their magnitudes.
fn products<T: Float>(device: &Device, magnitudes: bool) -> Result<Vec<Vec<T>>> {
    let [m, k, n] = SIZES;
    let numbers = |name, shape: [usize; 2]| -> Result<Tensor<T>> {
        let numbers = hash_tensor::<T>(name, shape);
        if magnitudes { numbers.abs() } else { Ok(numbers) }
    };
    let x = numbers("x", [m, k])?.to_device(device)?.tracked();
    let w = numbers("w", [n, k])?.to_device(device)?.tracked();
    let y = x.linear(&w, None)?;
    let gradients = y.backward_with(&numbers("g", [m, n])?.to_device(device)?)?;
    let results = [&y, gradients.get(&x).unwrap(), gradients.get(&w).unwrap()];
    results.iter().map(|result| result.to_vec()).collect()
}

/// The largest error of a result, as a share of the sum of its terms' magnitudes.
fn error(found: &[Vec<f32>]) -> Result<f64> {
    let [exact, magnitudes] = [false, true].map(|of| products::<f64>(&Device::cpu(), of));
    let (exact, magnitudes) = (exact?.concat(), magnitudes?.concat());
    let found = found.concat();
    assert_eq!(found.len(), exact.len());
    let shares = found.iter().zip(exact.iter().zip(&magnitudes));
    Ok(shares
        .map(|(found, (exact, sum))| (f64::from(*found) - exact).abs() / sum)
        .fold(0.0, f64::max))
}

/// Whether it is allowed is one for all of the process, so all of it is one test.
#[test]
fn factors_are_rounded_where_it_is_allowed_and_nowhere_else() -> Result<()> {
    let Some(card) = card(striate_cuda::checked) else { return Ok(()) };
    let full = products(&card, false)?;
    // Half a unit for each of 700 terms bounds any order of the sum.
    let allowed = 700.0 * f64::from(f32::EPSILON) / 2.0;
    assert!(error(&full)? <= allowed, "{:e}", error(&full)?);

    striate_cuda::allow_tf32(true);
    let rounded = products(&card, false)?;
    striate_cuda::allow_tf32(false);
    assert_eq!(products::<f32>(&card, false)?, full);

    if striate_cuda::list()?[0].capability < [8, 0] {
        assert_eq!(rounded, full);
        return Ok(());
    }
    // Two factors that are each wrong by half a unit of ten bits, and the sum as above.
    let half = f64::exp2(-11.0);
    let error = error(&rounded)?;
    assert!(error <= 2.0 * half + half * half + 2.0 * allowed, "{error:e}");
    assert!(error > allowed, "{error:e}: nothing was rounded");
    Ok(())
}

/// The stand-in's age is one for its process, too.
#[test]
fn a_card_without_tensor_cores_for_it_computes_in_full() {
    let tests = std::env::current_exe().unwrap();
    let mut run = std::process::Command::new(tests);
    let run = run.env("STRIATE_PTX_CAPABILITY", "7.5").arg("--exact");
    let run = run.arg("factors_are_rounded_where_it_is_allowed_and_nowhere_else");
    let output = run.output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("1 passed"), "{report}");
}
