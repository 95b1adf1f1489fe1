//! Where operations end: infinities, batches of nothing, numbers that a narrower type does not hold. What is expected
//! is what PyTorch answers.

mod calls;
#[path = "../common/card.rs"]
mod card;
#[path = "../common/composed.rs"]
mod composed;
mod pytorch;

use striate::data::{Images, Loader};
use striate::nn::layers::{BatchNorm2d, Conv2d, Linear};
use striate::nn::{Init, Module, Pass, Summary};
use striate::tensor::ops::{
    Corners, CrossEntropy, Interpolation, Normalization, PadMode, Reduction,
};
use striate::tensor::random::{Key, Purpose};
use striate::tensor::{ConvSpec, Device, ErrorKind, PoolSpec, Result, Tensor};

const INF: f64 = f64::INFINITY;

fn tensor(values: &[f64]) -> Tensor<f64> {
    Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap()
}

/// The values of `f` and its gradients, with -7 for NaN, which equals nothing.
fn values_and_slopes(
    x: &[f64],
    f: impl Fn(&Tensor<f64>, &Tensor<f64>) -> Result<Tensor<f64>>,
) -> Result<[Vec<f64>; 2]> {
    let x = tensor(x).tracked();
    let y = f(&x, &Tensor::zeros(x.shape(), x.device())?)?;
    let slopes = y.backward_with(&Tensor::ones(y.shape(), y.device())?)?;
    let plain = |x: Vec<f64>| x.into_iter().map(|x| if x.is_nan() { -7.0 } else { x }).collect();
    Ok([plain(y.to_vec()?), plain(slopes.get(&x).unwrap().to_vec()?)])
}

/// The square beyond the bound is not chosen, and yet an infinite one made the gradient NaN.
#[test]
fn losses_with_two_parts_keep_their_slope_at_infinity() -> Result<()> {
    let x = [INF, -INF, 1e200, -1e308, 0.0, 2.0, -1.0, f64::NAN];
    let huber = |bound| {
        values_and_slopes(&x, move |x, zero| x.huber(zero, bound, Reduction::None)).unwrap()
    };
    let smooth_l1 = |beta| {
        values_and_slopes(&x, move |x, zero| x.smooth_l1(zero, beta, Reduction::None)).unwrap()
    };
    assert_eq!(
        huber(1.0),
        [
            vec![INF, INF, 1e200, 1e308, 0.0, 1.5, 0.5, -7.0],
            vec![1.0, -1.0, 1.0, -1.0, 0.0, 1.0, -1.0, -7.0]
        ]
    );
    assert_eq!(huber(2.0)[0], [INF, INF, 2e200, INF, 0.0, 2.0, 0.5, -7.0]);
    assert_eq!(huber(1e300)[1], [1e300, -1e300, 1e200, -1e300, 0.0, 2.0, -1.0, -7.0]);
    assert_eq!(
        smooth_l1(2.0),
        [
            vec![INF, INF, 1e200, 1e308, 0.0, 1.0, 0.25, -7.0],
            vec![1.0, -1.0, 1.0, -1.0, 0.0, 1.0, -0.5, -7.0]
        ]
    );
    assert_eq!(smooth_l1(1e-300)[0], [INF, INF, 1e200, 1e308, 0.0, 2.0, 1.0, -7.0]);
    assert_eq!(smooth_l1(0.0)[0], [INF, INF, 1e200, 1e308, 0.0, 2.0, 1.0, -7.0]);
    Ok(())
}

/// The constant `bound^2 / 2` alone is too large for f32; the loss is not.
#[test]
fn a_large_bound_does_not_overflow() -> Result<()> {
    let x = Tensor::from_slice(&[1e26f32, 3e38], [2], &Device::cpu())?;
    let zero = Tensor::zeros([2], x.device())?;
    assert_eq!(x.huber(&zero, 1e25, Reduction::None)?.to_vec()?, [f32::INFINITY; 2]);
    let loss = x.smooth_l1(&zero, 1e25, Reduction::None)?.to_vec()?;
    assert!((loss[0] - 9.5e25).abs() < 1e19 && loss[1] == 3e38, "{loss:?}");
    Ok(())
}

type Loss = fn(&Tensor<f64>, &Tensor<f64>, Reduction) -> Result<Tensor<f64>>;

#[test]
fn the_mean_loss_of_nothing_is_nan_and_the_sum_zero() -> Result<()> {
    let losses: [Loss; 7] = [
        Tensor::mse,
        Tensor::l1,
        |x, t, reduction| x.smooth_l1(t, 1.0, reduction),
        |x, t, reduction| x.huber(t, 1.0, reduction),
        Tensor::bce,
        Tensor::bce_with_logits,
        Tensor::kl_div,
    ];
    let device = Device::cpu();
    let target = Tensor::zeros([0, 3], &device)?;
    for (number, loss) in losses.into_iter().enumerate() {
        let x = Tensor::zeros([0, 3], &device)?.tracked();
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::BatchMean] {
            let y = loss(&x, &target, reduction)?;
            let nothing = reduction != Reduction::Sum;
            assert_eq!(y.item()?.is_nan(), nothing, "loss {number}, {reduction:?}");
            assert_eq!(y.backward()?.get(&x).unwrap().shape(), [0, 3]);
        }
    }
    Ok(())
}

#[test]
fn cross_entropy_of_nothing_is_as_empty() -> Result<()> {
    let device = Device::cpu();
    let weights = Some(Tensor::<f64>::ones([3], &device)?);
    let variants = [
        CrossEntropy::default(),
        CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() },
        CrossEntropy { class_weights: weights, ..CrossEntropy::default() },
        CrossEntropy { ignore_index: Some(0), ..CrossEntropy::default() },
    ];
    let shapes: [(&[usize], &[usize]); 3] =
        [(&[0, 3], &[0]), (&[0, 3, 2], &[0, 2]), (&[2, 3, 0], &[2, 0])];
    for (scores, labels) in shapes {
        let labels = Tensor::<i64>::zeros(labels, &device)?;
        for options in &variants {
            let x = Tensor::<f64>::zeros(scores, &device)?.tracked();
            let mean = x.cross_entropy_with(&labels, options)?;
            assert!(mean.item()?.is_nan());
            assert_eq!(mean.backward()?.get(&x).unwrap().shape(), scores);
            let options = CrossEntropy { reduction: Reduction::Sum, ..options.clone() };
            assert_eq!(x.cross_entropy_with(&labels, &options)?.item()?, 0.0);
        }
    }
    Ok(())
}

/// Labels were compared in f64, where neighbours beyond `2^53` are the same number.
#[test]
fn an_ignored_label_is_none_of_its_neighbours() -> Result<()> {
    let device = Device::cpu();
    let x = Tensor::<f64>::zeros([2, 3], &device)?;
    for ignored in [1 << 53, -(1 << 53), i64::MAX, i64::MIN, (1 << 53) - 1, -100] {
        let options = CrossEntropy { ignore_index: Some(ignored), ..CrossEntropy::default() };
        let loss = |label| {
            let labels = Tensor::from_slice(&[2, label], [2], &device)?;
            x.cross_entropy_with(&labels, &options)
        };
        assert!((loss(ignored)?.item()? - 3f64.ln()).abs() < 1e-15);
        for neighbour in [ignored.checked_sub(1), ignored.checked_add(1)].into_iter().flatten() {
            let error = loss(neighbour).unwrap_err();
            assert!(
                error.to_string().starts_with("cross_entropy: expected indices below 3"),
                "{error}"
            );
        }
        let (x, labels) = (x.to_device(&Device::meta())?, Tensor::zeros([2], &Device::meta())?);
        assert_eq!(x.cross_entropy_with(&labels, &options)?.shape(), [0; 0]);
    }
    Ok(())
}

#[test]
fn normalising_nothing_leaves_nothing_and_moves_nothing() -> Result<()> {
    let device = Device::cpu();
    let [weight, bias] = [1.0, 0.0].map(|value| Tensor::<f32>::full([4], value, &device));
    let (weight, bias) = (weight?.tracked(), bias?.tracked());
    let affine = Some([&weight, &bias]);
    let x = Tensor::zeros([0, 4, 3, 3], &device)?.tracked();
    let row = Tensor::zeros([2, 0, 4], &device)?.tracked();
    let normalised = [
        (&x, x.batch_norm(affine, Normalization::Batch, 1e-5)?.0),
        (&x, x.group_norm(2, affine, 1e-5)?),
        (&row, row.layer_norm(&[4], affine, 1e-5)?),
    ];
    for (x, y) in normalised {
        assert_eq!(y.shape(), x.shape());
        let gradients = y.sum(.., false)?.backward()?;
        assert_eq!(gradients.get(x).unwrap().shape(), x.shape());
        for parameter in [&weight, &bias] {
            assert_eq!(gradients.get(parameter).unwrap().to_vec()?, [0.0; 4]);
        }
    }
    let error = Tensor::<f32>::zeros([2, 4, 0], &device)?.group_norm(2, None, 1e-5).unwrap_err();
    assert!(error.to_string().contains("into more than one element"), "{error}");
    Ok(())
}

#[test]
fn an_empty_batch_counts_but_does_not_move_running_moments() -> Result<()> {
    let norm: BatchNorm2d = BatchNorm2d::new(&Init::seed(1), 3)?;
    let y = norm.forward(&Tensor::zeros([0, 3, 4, 4], &Device::cpu())?, &Pass::train(1, 0))?;
    assert_eq!(y.shape(), [0, 3, 4, 4]);
    let running: Vec<Vec<f32>> =
        norm.running().iter().map(|value| value.tensor().to_vec()).collect::<Result<_>>()?;
    assert_eq!(running, [vec![0.0; 3], vec![1.0; 3], vec![1.0]]);
    let single = Tensor::zeros([1, 3, 1, 1], &Device::cpu())?;
    assert!(norm.forward(&single, &Pass::train(1, 1)).is_err());
    Ok(())
}

/// Not by way of f64, which holds whole numbers up to `2^53` only and rounds before f32 rounds again.
#[test]
fn whole_numbers_are_converted_exactly() -> Result<()> {
    let numbers = [(1 << 53) + 1, -(1 << 53) - 1, i64::MAX, i64::MIN, 9_007_199_791_611_905];
    let x = Tensor::from_slice(&numbers, [5], &Device::cpu())?;
    assert_eq!(x.cast::<i64>()?.to_vec()?, numbers);
    assert_eq!(x.cast::<f32>()?.to_vec()?, numbers.map(|number| number as f32));
    assert_eq!(x.cast::<f64>()?.to_vec()?, numbers.map(|number| number as f64));
    let floats = [-1.9, 1.9, f64::NAN, INF, -INF, 1e30, -0.0];
    let x = tensor(&floats);
    assert_eq!(x.cast::<i64>()?.to_vec()?, floats.map(|x| x as i64));
    assert_eq!(x.cast::<bool>()?.to_vec()?, [true, true, true, true, true, true, false]);
    Ok(())
}

/// What a call that must be refused says.
fn refusal<T>(result: Result<T>) -> String {
    result.err().expect("accepted").to_string()
}

#[test]
fn shapes_that_broadcasting_or_joining_makes_too_large_are_refused() -> Result<()> {
    // On one device there is no data, and on the other there are no elements.
    let (meta, cpu) = (Device::meta(), Device::cpu());
    let operands: [(&[usize], &[usize], &Device); 2] =
        [(&[1 << 40, 1], &[1, 1 << 40], &meta), (&[0, 1, 1 << 40], &[0, 1 << 40, 1], &cpu)];
    for (tall, wide, device) in operands {
        let (tall, wide) = (Tensor::<f32>::zeros(tall, device)?, Tensor::zeros(wide, device)?);
        assert!(refusal(tall.add(&wide)).starts_with("add: expected a shape that fits"));
        assert!(refusal(tall.lt(&wide)).starts_with("compare: expected a shape that fits"));
        let mask = tall.lt(&tall)?;
        assert!(refusal(mask.choose(&tall, &wide)).starts_with("choose: expected a shape"));
    }
    let wide = Tensor::<f32>::zeros([0, 1 << 60], &cpu)?;
    assert!(refusal(Tensor::cat(&[&wide; 16], 1)).starts_with("cat: expected a shape that fits"));
    let long = Tensor::<f32>::zeros([1 << 40, 1], &meta)?;
    let index = Tensor::zeros([1 << 30], &meta)?;
    assert!(refusal(long.index_select(1, &index)).starts_with("index_select: expected a shape"));
    let empty = Tensor::<f32>::zeros([1 << 40, 0], &cpu)?;
    assert!(empty.group_norm(1 << 40, None, 1e-5).is_err());
    let columns = Tensor::<f32>::zeros([1, 4, 1], &cpu)?;
    assert!(columns.fold(&ConvSpec::new([usize::MAX; 2]), [2, 2]).is_err());
    Ok(())
}

/// `ConvSpec::same()?` did not compile in a function whose errors are the engine's.
#[test]
fn a_specification_that_is_refused_is_an_error_of_the_engine() {
    let wide = || -> Result<_> { Ok(ConvSpec::new([3]).stride([2]).same()?) };
    let error = wide().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.to_string().starts_with("geometry: "), "{error}");
}

#[test]
fn steps_as_wide_as_numbers_go_take_one_window() -> Result<()> {
    let device = Device::cpu();
    let x = Tensor::<f64>::ones([1, 1, 3, 3], &device)?.tracked();
    let weight = Tensor::full([1, 1, 1, 1], 2.0, &device)?.tracked();
    let wide = ConvSpec::new([1; 2]).stride([usize::MAX; 2]).dilation([usize::MAX; 2]);
    let y = x.conv(&weight, None, &wide)?;
    assert_eq!((y.shape(), y.item()?), (&[1, 1, 1, 1][..], 2.0));
    let gradients = y.backward()?;
    assert_eq!(gradients.get(&weight).unwrap().item()?, 1.0);
    assert_eq!(gradients.get(&x).unwrap().sum(.., false)?.item()?, 2.0);
    let pool = PoolSpec::new([2; 2]).stride([usize::MAX; 2]);
    assert_eq!(x.max_pool(&pool)?.item()?, 1.0);
    assert_eq!(x.avg_pool(&pool)?.backward()?.get(&x).unwrap().max(.., false)?.item()?, 0.25);
    Ok(())
}

/// The step times the stride overflowed, though nothing lies a step further.
#[test]
fn a_slice_with_a_step_beyond_numbers_takes_one_element() -> Result<()> {
    let x = Tensor::<f64>::arange(6, &Device::cpu())?.reshape([2, 3])?.tracked();
    for step in [2, 1 << 62, usize::MAX] {
        let y = x.slice(0, 1..2, step)?;
        assert_eq!(y.to_vec()?, [3.0, 4.0, 5.0]);
        let gradients = y.sum(.., false)?.backward()?;
        assert_eq!(gradients.get(&x).unwrap().to_vec()?, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(x.slice(0, 1..1, step)?.shape(), [0, 3]);
    }
    Ok(())
}

#[test]
fn layers_summaries_and_data_of_impossible_sizes_are_refused() -> Result<()> {
    let init = Init::seed(1);
    assert!(Linear::<f32>::new(&init, usize::MAX, usize::MAX).is_err());
    assert!(Conv2d::<f32>::new(&init, 1 << 40, 1 << 40, ConvSpec::new([1 << 40; 2])).is_err());
    assert!(BatchNorm2d::<f32>::new(&init, usize::MAX).is_err());
    let layer: Linear = Linear::new(&init, 784, 10)?;
    let summary = Summary::new(&layer, &[1 << 48, 784])?;
    assert!(summary.total_megabytes() > 1e11, "{summary}");
    let meta = Device::meta();
    let held: Vec<_> = (0..4).map(|_| Tensor::<f32>::zeros([1 << 60], &meta)).collect();
    assert_eq!(held[3].as_ref().unwrap_err().kind(), ErrorKind::Memory);
    let left = Tensor::<f32>::zeros([1 << 29, 1 << 29], &Device::meta())?;
    left.matmul(&left)?;
    // What a convolution holds is asked about all the same: neither counted channel by channel or tap by tap, nor beyond numbers.
    for shape in [[1 << 38, 1 << 18, 1], [1, 1, 1 << 50], [1 << 29, 1, 1], [64, 64, 1 << 17]] {
        let [outputs, inputs, taps] = shape;
        let image = Tensor::<f32>::zeros([1, inputs, taps], &Device::meta())?.tracked();
        let weight = Tensor::zeros([outputs, inputs, taps], image.device())?.tracked();
        let y = image.conv(&weight, None, &ConvSpec::new([taps]))?;
        y.sum(.., false)?.backward()?;
    }
    for shape in [[1 << 60, 1, 1], [1 << 40, 1 << 40, 1]] {
        assert!(Images::new(shape, vec![], vec![], vec!["any".into()]).is_err());
    }
    let two = Images::new([1, 1, 1], vec![1, 2], vec![0, 0], vec!["any".into()]).unwrap();
    assert_eq!(Loader::new(&two).prefetch(usize::MAX).batch(1).epoch(0).count(), 2);
    Ok(())
}

/// The system would rather end the process than say so later; what it does refuse must come back as an error.
#[test]
fn memory_that_there_is_not_is_an_error() -> Result<()> {
    const HUGE: usize = 1 << 50;
    let device = Device::cpu();
    let error = Tensor::<f32>::zeros([HUGE], &device).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("full: expected memory for {HUGE} elements of f32, there is none")
    );
    assert_eq!(error.kind(), ErrorKind::Memory);
    let x = Tensor::<f32>::ones([1, 1, 1], &device)?;
    let key = Key::new(1, Purpose::Init);
    let linear = Interpolation::Linear(Corners::Free);
    let padded = ConvSpec::new([1]).padding([HUGE]);
    let calls = [
        ("arange", Tensor::arange(HUGE, &device)),
        ("uniform", Tensor::uniform([HUGE], (0.0, 1.0), &key, &device)),
        ("normal", Tensor::normal([HUGE], (0.0, 1.0), &key, &device)),
        ("expand", x.expand([1, 1, HUGE])),
        ("pad", x.pad(&[[0, HUGE]], PadMode::Zeros)),
        ("pad", x.pad(&[[0, HUGE]], PadMode::Replicate)),
        ("interpolate", x.interpolate([HUGE], Interpolation::Nearest)),
        ("interpolate", x.interpolate([HUGE], linear)),
        ("max_pool", x.adaptive_max_pool([HUGE])),
        ("average_pool", x.adaptive_avg_pool([HUGE])),
        ("unfold", x.unfold(&padded)),
        ("conv", x.conv(&x, None, &padded)),
    ];
    for (op, result) in calls {
        let error = result.unwrap_err();
        assert_eq!((error.op(), error.kind()), (op, ErrorKind::Memory), "{error}");
    }
    Ok(())
}

/// Some are refused and some have one window; none may overflow, in a debug build either.
#[test]
fn windows_of_absurd_sizes_are_answered() -> Result<()> {
    let x = Tensor::<f32>::ones([1, 2, 2], &Device::cpu())?.tracked();
    let weight = Tensor::ones([2, 2, 2], &Device::cpu())?.tracked();
    let depthwise = Tensor::ones([2, 1, 2], &Device::cpu())?.tracked();
    let sizes = [1, 2, 1 << 40, 1 << 55, (1 << 62) - 1, usize::MAX];
    let (mut answered, mut refused) = (0, 0);
    for stride in sizes {
        for padding in [0].into_iter().chain(sizes) {
            for dilation in sizes {
                let spec =
                    ConvSpec::new([2]).stride([stride]).padding([padding]).dilation([dilation]);
                let pool =
                    PoolSpec::new([2]).stride([stride]).padding([padding]).dilation([dilation]);
                let results = [
                    x.conv(&weight, None, &spec),
                    x.conv(&depthwise, None, &spec.groups(2)),
                    x.conv_transpose(&weight, None, &spec),
                    x.unfold(&spec),
                    x.max_pool(&pool),
                    x.avg_pool(&pool.ceil_mode(true)),
                ];
                for result in results {
                    match result
                        .and_then(|y| y.backward_with(&Tensor::ones(y.shape(), y.device())?))
                    {
                        Ok(_) => answered += 1,
                        Err(_) => refused += 1,
                    }
                }
            }
        }
    }
    assert!(answered > 50 && refused > 50, "{answered} answered, {refused} refused");
    Ok(())
}

/// The result is three numbers; the copy of the padded input that the kernel makes is what there is no memory for.
#[test]
fn memory_that_a_kernel_finds_missing_is_an_error() -> Result<()> {
    const HUGE: usize = 1 << 50;
    let x = Tensor::<f32>::ones([1, 1, 2], &Device::cpu())?;
    let spec = ConvSpec::new([1]).stride([HUGE]).padding([HUGE]);
    let error = x.conv(&Tensor::ones([1, 1, 1], x.device())?, None, &spec).unwrap_err();
    assert_eq!((error.op(), error.kind()), ("conv", ErrorKind::Memory), "{error}");
    Ok(())
}
