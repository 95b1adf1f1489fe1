//! Matrix products and convolutions of factors rounded to tf32: for who asks for them, on cards that have them.

#[path = "common/card.rs"]
mod card;
mod common;

use card::card;
use common::hash_tensor;

use striate::tensor::{ConvSpec, Device, Float, Result, Tensor};

/// A product so deep that it is cut in parts.
const PRODUCT: [usize; 3] = [40, 700, 24];
/// Images, channels and outputs' channels of a convolution 3x3 of 9x7 cells with padding.
const IMAGES: [usize; 3] = [2, 8, 20];

/// For each of [`results`], how many terms its numbers are sums of, at most, and whether it may be of rounded factors.
const SUMS: [(usize, bool); 6] = [
    (PRODUCT[1], true),
    (PRODUCT[2], true),
    (PRODUCT[0], true),
    (9 * IMAGES[1], true),
    (9 * IMAGES[2], true),
    (9 * 7 * IMAGES[0], false),
];

/// `x w^T` and the gradients of `x` and `w`, three of the four transposes; the same of a convolution; of numbers in -1..1 or of
/// their magnitudes.
fn results<T: Float>(device: &Device, magnitudes: bool) -> Result<[Vec<T>; 6]> {
    let numbers = |name, shape: &[usize]| -> Result<Tensor<T>> {
        let numbers = hash_tensor::<T>(name, shape);
        let numbers = if magnitudes { numbers.abs()? } else { numbers };
        Ok(numbers.to_device(device)?.tracked())
    };
    let [m, k, n] = PRODUCT;
    let [batch, channels, outputs] = IMAGES;
    let (x, w) = (numbers("x", &[m, k])?, numbers("w", &[n, k])?);
    let (images, kernels) =
        (numbers("i", &[batch, channels, 9, 7])?, numbers("k", &[outputs, channels, 3, 3])?);
    let product = x.linear(&w, None)?;
    let convolved = images.conv(&kernels, None, &ConvSpec::new([3, 3]).padding([1, 1]))?;
    let of_product = product.backward_with(&numbers("g", &[m, n])?)?;
    let of_convolved = convolved.backward_with(&numbers("h", &[batch, outputs, 9, 7])?)?;
    Ok([
        product.to_vec()?,
        of_product.get(&x).unwrap().to_vec()?,
        of_product.get(&w).unwrap().to_vec()?,
        convolved.to_vec()?,
        of_convolved.get(&images).unwrap().to_vec()?,
        of_convolved.get(&kernels).unwrap().to_vec()?,
    ])
}

/// The largest error of each result, as a share of the sum of its terms' magnitudes.
fn errors(found: &[Vec<f32>; 6]) -> Result<[f64; 6]> {
    let [exact, magnitudes] = [false, true].map(|of| results::<f64>(&Device::cpu(), of));
    let (exact, magnitudes) = (exact?, magnitudes?);
    Ok(std::array::from_fn(|i| {
        assert_eq!(found[i].len(), exact[i].len());
        let shares = found[i].iter().zip(exact[i].iter().zip(&magnitudes[i]));
        let shares = shares.map(|(found, (exact, sum))| (f64::from(*found) - exact).abs() / sum);
        shares.fold(0.0, f64::max)
    }))
}

/// A convolution's sums of eight products of one number each with another, and those of its input's gradient.
fn eights(device: &Device, cell: f32, weight: f32) -> Result<Vec<f32>> {
    let x = Tensor::full([1, 8, 2, 2], cell, device)?.tracked();
    let w = Tensor::full([8, 8, 1, 1], weight, device)?;
    let y = x.conv(&w, None, &ConvSpec::new([1, 1]))?;
    let gradients = y.backward_with(&Tensor::full([1, 8, 2, 2], cell, device)?)?;
    Ok([y.to_vec()?, gradients.get(&x).unwrap().to_vec()?].concat())
}

/// Whether it is allowed is one for all of the process, so all of it is one test.
#[test]
fn factors_are_rounded_where_it_is_allowed_and_nowhere_else() -> Result<()> {
    let Some(card) = card(striate_cuda::checked) else { return Ok(()) };
    // Half a unit for each term bounds any order of a sum.
    let allowed = SUMS.map(|(terms, _)| terms as f64 * f64::from(f32::EPSILON) / 2.0);
    let full = results(&card, false)?;
    for (i, error) in errors(&full)?.into_iter().enumerate() {
        assert!(error <= allowed[i], "{i}: {error:e}");
    }

    striate_cuda::allow_tf32(true);
    let rounded = results(&card, false)?;
    // Halfway between two numbers of ten bits, which to cut off would make the lower one.
    let middle = 1.0 + f32::exp2(-11.0);
    let halves = [eights(&card, middle, 1.0)?, eights(&card, 1.0, middle)?].concat();
    striate_cuda::allow_tf32(false);
    assert_eq!(results::<f32>(&card, false)?, full);

    let old = striate_cuda::list()?[0].capability < [8, 0];
    // Two factors that are each wrong by half a unit of ten bits, and the sum as above.
    let half = f64::exp2(-11.0);
    let eight = if old { 8.0 * middle } else { 8.0 + f32::exp2(-7.0) };
    assert!(halves.iter().all(|y| *y == eight), "{eight}: {halves:?}");
    for (i, error) in errors(&rounded)?.into_iter().enumerate() {
        if old || !SUMS[i].1 {
            assert_eq!(rounded[i], full[i], "{i}");
            continue;
        }
        assert!(error <= 2.0 * half + half * half + 2.0 * allowed[i], "{i}: {error:e}");
        assert!(error > allowed[i], "{i}: {error:e}: nothing was rounded");
    }
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
