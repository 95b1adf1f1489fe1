//! The bugs of others, each under the thread in which it was reported, so that none is repeated.
//!
//! Names begin with the project and the number. What concerns memory over many steps is in `memory.rs`, which
//! needs a process of its own.

mod common;

use std::sync::Arc;

use common::hash_tensor;
use striate::tensor::backend::Update;
use striate::tensor::backend::meta::Meta;
use striate::tensor::gradcheck::gradcheck;
use striate::tensor::ops::{Corners, Interpolation};
use striate::tensor::random::{Key, Purpose};
use striate::tensor::{ConvSpec, Device, ErrorContext, PoolSpec, Result, Tensor};

/// The same values in memory of its own, with no history.
fn copied(x: &Tensor<f64>) -> Tensor<f64> {
    Tensor::from_vec(x.to_vec().unwrap(), x.shape(), x.device()).unwrap()
}

/// Result and gradients of input and weight.
fn run<const N: usize>(
    x: &Tensor<f64>,
    w: &Tensor<f64>,
    spec: &ConvSpec<N>,
) -> Result<[Vec<f64>; 3]> {
    let (x, w) = (x.tracked(), w.tracked());
    let y = x.conv(&w, None, spec)?;
    let gradients = y.backward_with(&hash_tensor("gradient", y.shape()))?;
    let gradient = |leaf| gradients.get(leaf).unwrap().to_vec();
    Ok([y.to_vec()?, gradient(&x)?, gradient(&w)?])
}

/// <https://github.com/huggingface/candle/issues/3735> and 3893: a kernel or an input that was a strided view was
/// read as if it were not, on CUDA and on the CPU.
#[test]
fn candle_3735_operands_that_are_views() -> Result<()> {
    for stride in 1..3 {
        for dilation in 1..3 {
            for groups in [1, 2] {
                let spec = ConvSpec::new([3, 2])
                    .stride([stride, 1])
                    .dilation([1, dilation])
                    .groups(groups);
                // Stored channels last, sliced and flipped.
                let x = hash_tensor::<f64>("x", [2, 7, 12, 4]).permute([0, 3, 1, 2])?.slice(
                    3,
                    0..12,
                    2,
                )?;
                let w =
                    hash_tensor::<f64>("w", [4 / groups, 6, 3, 2]).transpose(0, 1)?.flip([2, 3])?;
                assert_eq!(run(&x, &w, &spec)?, run(&copied(&x), &copied(&w), &spec)?, "{spec:?}");
            }
        }
    }
    Ok(())
}

/// <https://github.com/tracel-ai/burn/issues/4799>: where the windows leave two cells or more at the end of an
/// axis, the input gradient came out too short, on all backends.
#[test]
fn burn_4799_input_gradient_when_forward_drops_tail_cells() -> Result<()> {
    fn check<const N: usize>() -> Result<()> {
        // Two windows of 4 cells take 8 of 11.
        let x = hash_tensor::<f64>("x", [&[2, 1], &[11; N][..]].concat()).tracked();
        let w = Tensor::ones([&[1, 1], &[4; N][..]].concat(), &Device::cpu())?;
        let y = x.conv(&w, None, &ConvSpec::new([4; N]).stride([4; N]))?;
        assert_eq!(y.shape()[2..], [2; N]);
        let gradients = y.sum(.., false)?.backward()?;
        let dx = gradients.get(&x).unwrap();
        assert_eq!(dx.shape(), x.shape());
        let read = Tensor::<f64>::ones([&[2, 1], &[8; N][..]].concat(), &Device::cpu())?;
        let expected = read.pad(&[[0, 3]; N], Default::default())?;
        assert_eq!(dx.to_vec()?, expected.to_vec()?);
        Ok(())
    }
    check::<1>()?;
    check::<2>()?;
    check::<3>()
}

/// <https://github.com/tracel-ai/burn/issues/4845>: the backward pass of a transposed convolution with output padding
/// panicked. <https://github.com/huggingface/candle/issues/1460>: it was missing.
#[test]
fn burn_4845_transposed_gradients_with_output_padding() {
    fn check<const N: usize>() {
        let spec = ConvSpec::new([3; N]).stride([3; N]).padding([1; N]).output_padding([2; N]);
        let x = hash_tensor("x", [&[1, 2], &[2; N][..]].concat());
        let w = hash_tensor("w", [&[2, 1], &[3; N][..]].concat());
        gradcheck(&[x, w, hash_tensor("b", [1])], |i| {
            i[0].conv_transpose(&i[1], Some(&i[2]), &spec)
        })
        .unwrap();
    }
    check::<1>();
    check::<2>();
    check::<3>();
}

/// A grouped convolution, taken apart: one convolution for each group, joined again.
fn group_by_group<const N: usize>(
    x: &Tensor<f64>,
    w: &Tensor<f64>,
    spec: &ConvSpec<N>,
) -> Result<Tensor<f64>> {
    let (inputs, outputs) = (x.shape()[1] / spec.groups, w.shape()[0] / spec.groups);
    let parts = (0..spec.groups).map(|g| {
        let x = x.slice(1, g * inputs..(g + 1) * inputs, 1)?;
        x.conv(&w.slice(0, g * outputs..(g + 1) * outputs, 1)?, None, &spec.groups(1))
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1)
}

fn check_groups<const N: usize>(groups: usize, [inputs, outputs]: [usize; 2]) -> Result<()> {
    let spec = ConvSpec::new([3; N]).stride([2; N]).padding([1; N]).groups(groups);
    let x = hash_tensor::<f64>("x", [&[2, inputs * groups], &[5; N][..]].concat()).tracked();
    let w = hash_tensor::<f64>("w", [&[outputs * groups, inputs], &[3; N][..]].concat()).tracked();
    let together = x.conv(&w, None, &spec)?;
    let apart = group_by_group(&x, &w, &spec)?;
    let g = hash_tensor::<f64>("gradient", together.shape());
    let results = [&together, &apart].map(|y| y.backward_with(&g).unwrap());
    let pairs =
        [&x, &w].map(|leaf| results.each_ref().map(|gradients| gradients.get(leaf).unwrap()));
    for [together, apart] in pairs.into_iter().chain([[&together, &apart]]) {
        let difference = (together - apart)?.abs()?.max(.., false)?.item()?;
        assert!(difference < 1e-11, "{spec:?} of {inputs} to {outputs}: {difference}");
    }
    Ok(())
}

/// <https://github.com/tracel-ai/burn/issues/1877> and pull requests 3521, 3533: the weight gradient of grouped
/// convolutions read the wrong channels, in two dimensions and, later, in three.
#[test]
fn burn_1877_weight_gradient_of_groups() -> Result<()> {
    for groups in [2, 3] {
        check_groups::<1>(groups, [2, 3])?;
        check_groups::<2>(groups, [2, 3])?;
        check_groups::<3>(groups, [2, 3])?;
    }
    Ok(())
}

/// <https://github.com/tracel-ai/burn/pull/3415>: a vectorised grouped convolution read out of bounds where channels
/// were no multiple of the vector.
#[test]
fn burn_3415_groups_of_any_width() -> Result<()> {
    for channels in 1..=17 {
        check_groups::<2>(2, [1, channels])?;
        check_groups::<2>(3, [channels, 1])?;
        check_groups::<1>(channels, [1, 1])?;
    }
    Ok(())
}

/// <https://github.com/tracel-ai/burn/issues/4445>: the weight gradient took the output's gradient for a kernel, and
/// failed where an input was wider than a kernel may be.
#[test]
fn burn_4445_weight_gradient_of_a_wide_input() -> Result<()> {
    let width = 70_000;
    let (x, w) = (hash_tensor::<f64>("x", [1, 1, width]), hash_tensor::<f64>("w", [1, 1, 3]));
    let [_, _, dw] = run(&x, &w, &ConvSpec::new([3]))?;
    let g = hash_tensor::<f64>("gradient", [1, 1, width - 2]).to_vec()?;
    for (tap, dw) in dw.into_iter().enumerate() {
        let expected: f64 = x.to_vec()?[tap..].iter().zip(&g).map(|(x, g)| x * g).sum();
        assert!((dw - expected).abs() < 1e-9, "tap {tap}: {dw}, not {expected}");
    }
    Ok(())
}

/// <https://github.com/huggingface/candle/issues/1593>: the gradient of overlapping maxima was refused.
#[test]
fn candle_1593_gradient_of_overlapping_maxima() -> Result<()> {
    let rows = vec![1.0, 2.0, 3.0, 4.0, 0.0, 9.0, 1.0, 0.0, 5.0, 4.0, 3.0, 2.0, 8.0, 1.0, 2.0, 7.0];
    let x = Tensor::from_vec(rows, [1, 1, 4, 4], &Device::cpu())?.tracked();
    let y = x.max_pool(&PoolSpec::new([3, 3]).stride([1, 1]))?;
    assert_eq!(y.to_vec()?, [9.0; 4]);
    let gradients = y.sum(.., false)?.backward()?;
    let mut expected = [0.0; 16];
    expected[5] = 4.0;
    assert_eq!(gradients.get(&x).unwrap().to_vec()?, expected);
    Ok(())
}

/// <https://github.com/huggingface/candle/pull/3507>: the gradient of upsampling replaced what was there instead of
/// adding to it.
#[test]
fn candle_3507_gradient_of_upsampling_adds_up() -> Result<()> {
    for interpolation in [Interpolation::Nearest, Interpolation::Linear(Corners::Free)] {
        let x = hash_tensor::<f64>("x", [1, 2, 3, 3]).tracked();
        let larger = x.interpolate([6, 6], interpolation)?;
        // The weights of a cell add up to four in each use, and it is used once more past them.
        let loss =
            (larger.sum(.., false)? + x.interpolate([6, 6], interpolation)?.sum(.., false)?)?;
        let gradients = (loss + x.sum(.., false)?)?.backward()?;
        let dx = gradients.get(&x).unwrap();
        assert!((dx - 9.0)?.abs()?.max(.., false)?.item()? < 1e-12, "{interpolation:?}: {dx}");
    }
    Ok(())
}

/// <https://github.com/huggingface/candle/issues/1241> and pull request 3508: gradients that nobody asked for were
/// computed and kept.
#[test]
fn candle_1241_untracked_inputs_cost_nothing() -> Result<()> {
    let macs = |tracked: [bool; 2]| -> Result<(u64, usize)> {
        let meta = Meta::new();
        let ledger = meta.ledger();
        let device = Device::from_backend(Arc::new(meta));
        let leaf = |shape: [usize; 4], tracked| -> Result<Tensor> {
            let leaf = Tensor::<f32>::zeros(shape, &device)?;
            Ok(if tracked { leaf.tracked() } else { leaf })
        };
        let (x, w) = (leaf([2, 3, 8, 8], tracked[0])?, leaf([4, 3, 3, 3], tracked[1])?);
        let y = x.conv(&w, None, &ConvSpec::new([3, 3]))?;
        let gradients = if y.is_tracked() { y.sum(.., false)?.backward()?.len() } else { 0 };
        Ok((ledger.macs(), gradients))
    };
    let forward = 2 * 4 * 6 * 6 * 27;
    assert_eq!(macs([false, false])?, (forward, 0));
    assert_eq!(macs([false, true])?, (2 * forward, 1));
    assert_eq!(macs([true, false])?, (2 * forward, 1));
    assert_eq!(macs([true, true])?, (3 * forward, 2));
    Ok(())
}

/// <https://github.com/huggingface/candle/issues/1212>: an error in the middle of a network named no layer.
#[test]
fn candle_1212_errors_name_the_layer() -> Result<()> {
    let (x, w) = (hash_tensor::<f32>("x", [64, 16, 32, 32]), hash_tensor("w", [32, 24, 3, 3]));
    let block = x.conv(&w, None, &ConvSpec::new([3, 3])).at("features.3");
    // Modules further out leave the innermost name.
    let error = block.at("features").unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv2d in features.3: weight expects 24 input channels, input is [64, 16, 32, 32]"
    );
    assert_eq!((error.op(), error.path()), ("conv2d", Some("features.3")));
    Ok(())
}

/// The weights of a small network after three steps, and a draw, as bits.
fn trained(seed: u64) -> Result<Vec<u32>> {
    let key = |path: &str| Key::new(seed, Purpose::Init).path(path);
    let device = Device::cpu();
    let draw =
        |shape: &[usize], path: &str| Tensor::<f32>::normal(shape, (0.0, 0.1), &key(path), &device);
    let images = Tensor::<f32>::uniform([16, 3, 24, 24], (0.0, 1.0), &key("images"), &device)?;
    let labels = Tensor::from_vec((0..16).map(|i| i % 10).collect(), [16], &device)?;
    let mut weights = [
        draw(&[24, 3, 3, 3], "first")?.tracked(),
        draw(&[24, 1, 3, 3], "second")?.tracked(),
        draw(&[10, 24 * 12 * 12], "third")?.tracked(),
    ];
    let rule = Update::Sgd { rate: 0.1, momentum: 0.0, gain: 1.0, decay: 1e-4, nesterov: false };
    for _ in 0..3 {
        let spec = ConvSpec::new([3, 3]).padding([1, 1]);
        let x = images.conv(&weights[0], None, &spec)?.relu()?;
        let x = x.conv(&weights[1], None, &spec.groups(24))?.max_pool(&PoolSpec::new([2, 2]))?;
        let loss = x.flatten(1, -1)?.linear(&weights[2], None)?.cross_entropy(&labels)?;
        let gradients = loss.backward()?;
        for weight in &mut weights {
            let gradient = gradients.get(weight).unwrap();
            weight.update(&rule, gradient, &mut [])?;
        }
    }
    let numbers = weights.iter().flat_map(|weight| weight.to_vec().unwrap());
    Ok(numbers.map(f32::to_bits).collect())
}

/// <https://github.com/huggingface/candle/issues/2216>, 2651, 3297: the CPU could not be seeded.
/// <https://github.com/tracel-ai/burn/pull/703>: a seed gave the same run on one thread only.
#[test]
fn burn_703_seeds_hold_on_any_number_of_threads() -> Result<()> {
    let on = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| trained(seed))
    };
    let once = on(1, 5)?;
    for threads in [1, 2, 3, 8] {
        assert!(on(threads, 5)? == once, "{threads} threads");
    }
    assert!(on(1, 6)? != once);
    Ok(())
}

/// <https://github.com/huggingface/candle/issues/2144>: an epoch took an hour and a half in a debug build, where the
/// kernels were not optimised either.
#[test]
fn candle_2144_debug_builds_optimise_the_kernels() {
    let read = |name: &str| {
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
            .unwrap()
    };
    // Ours by name in this workspace, all dependencies in a user's own.
    for (file, packages) in [
        ("Cargo.toml", &["striate-conv", "striate-tensor", "matrixmultiply"][..]),
        ("README.md", &["\"*\""]),
    ] {
        let text = read(file);
        for package in packages {
            let profile = format!("[profile.dev.package.{package}]\nopt-level = 3");
            assert!(text.contains(&profile), "{profile} is missing in {file}");
        }
    }
}
