//! Numbers at the edge of what a type holds: long sums, large logits, infinities, sizes that overflow. Each was wrong
//! once.

use striate::nn::{
    Init, Module, Trainer, layers::Linear, load_state, optim::Adam, optim::Sgd, state,
};
use striate::tensor::autograd::Operation;
use striate::tensor::backend::Update;
use striate::tensor::gradcheck::gradcheck;
use striate::tensor::ops::{CrossEntropy, Normalization, Reduction};
use striate::tensor::{Device, Result, Tensor};

fn tensor(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap()
}

#[test]
fn long_sums_lose_nothing() -> Result<()> {
    let map = Tensor::<f32>::ones([1, 1, 4097, 4097], &Device::cpu())?;
    assert_eq!(map.adaptive_avg_pool([1, 1])?.item()?, 1.0);
    assert_eq!(map.mean(.., false)?.item()?, 1.0);
    let row = Tensor::<f32>::zeros([1, 1 << 25], &Device::cpu())?;
    let found = row.log_softmax(1)?.min(.., false)?.item()?;
    assert_eq!(found, -((1u32 << 25) as f32).ln());
    Ok(())
}

/// Planes of a channel are summed whole, or cut up where they are large.
#[test]
fn sums_over_a_channel_of_planes_of_any_size() -> Result<()> {
    for plane in [1, 1000, 65_536, 65_537, 300_001] {
        let channels = Tensor::from_slice(&[1.0, -2.0, 5.0], [1, 3, 1], &Device::cpu())?;
        let planes = (&channels * &Tensor::ones([2, 3, plane], &Device::cpu())?)?;
        let sums = planes.sum([0, 2], false)?;
        assert_eq!(sums.to_vec()?, [1.0, -2.0, 5.0].map(|of| of * 2.0 * plane as f32));
    }
    Ok(())
}

#[test]
fn normalisation_survives_a_mean_far_from_zero() -> Result<()> {
    let device = Device::cpu();
    // Deviations in pairs of opposite sign, all of which f32 holds, so that the mean is exact and only the
    // normalisation can lose anything.
    let deviation = |i: i32| f64::from(1 - 2 * (i % 2)) * f64::from(i / 2 * 37 % 61 + 1) / 32.0;
    let far: Vec<f64> = (0..4 * 3 * 24).map(|i| 30_000.0 + deviation(i)).collect();
    let wide = Tensor::from_vec(far, [4, 3, 4, 6], &device)?.tracked();
    let x = wide.detach().cast::<f32>()?.tracked();
    let weights: Vec<f64> = (0..4 * 3 * 24).map(|i| f64::from(i * 53 % 89) / 40.0 - 1.0).collect();
    let weights = Tensor::from_vec(weights, [4, 3, 4, 6], &device)?;

    let (y, _) = x.batch_norm(None, Normalization::Batch, 1e-5)?;
    let (expected, _) = wide.batch_norm(None, Normalization::Batch, 1e-5)?;
    let grad = (&y * &weights.cast()?)?.sum(.., false)?.backward()?;
    let expected_grad = (&expected * &weights)?.sum(.., false)?.backward()?;
    let pairs = [
        (y.detach(), expected.detach()),
        (grad.get(&x).unwrap().clone(), expected_grad.get(&wide).unwrap().clone()),
    ];
    for (y, expected) in pairs {
        for (y, expected) in y.to_vec()?.into_iter().zip(expected.to_vec()?) {
            assert!((f64::from(y) - expected).abs() < 1e-5, "{y} instead of {expected}");
        }
    }
    Ok(())
}

#[test]
fn division_by_a_number_is_division() -> Result<()> {
    let x = Tensor::from_vec(vec![49.0f64], [1], &Device::cpu())?;
    assert_eq!((&x / 49.0)?.item()?, 1.0);
    assert_eq!((49.0 / &x)?.item()?, 1.0);
    assert_eq!((tensor(&[0.0]) / 1e-40)?.item()?, 0.0);
    Ok(())
}

#[test]
fn binary_cross_entropy_is_exact_for_large_logits() -> Result<()> {
    let (x, t) = (tensor(&[15.0, -15.0]), tensor(&[1.0, 0.0]));
    let exact = (-15f64).exp().ln_1p() as f32;
    assert_eq!(x.bce_with_logits(&t, Reduction::None)?.to_vec()?, [exact; 2]);
    Ok(())
}

#[test]
fn an_ignored_label_is_not_looked_up() -> Result<()> {
    let device = Device::cpu();
    let logits = Tensor::from_vec(vec![f32::NEG_INFINITY, 0.0, 1.0, 2.0], [2, 2], &device)?;
    let labels = Tensor::from_vec(vec![-100, 1], [2], &device)?;
    let options = CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() };
    let loss = logits.cross_entropy_with(&labels, &options)?.item()?;
    assert!((f64::from(loss) - (-1f64).exp().ln_1p()).abs() < 1e-7, "{loss}");
    Ok(())
}

#[test]
fn sizes_that_overflow_are_refused() -> Result<()> {
    let device = Device::cpu();
    let (wide, tall) = ([0, 1 << 32], [1 << 32, 0]);
    let product = Tensor::<f32>::zeros(tall, &device)?.matmul(&Tensor::zeros(wide, &device)?);
    assert!(product.unwrap_err().to_string().starts_with("matmul: expected a shape that fits"));
    assert!(Tensor::<f32>::zeros([(1 << 61) - 1], &device).is_err());
    assert!(Tensor::<f32>::arange(usize::MAX, &device).is_err());
    assert!(tensor(&[1.0]).sum(usize::MAX, false).is_err());
    assert_eq!(Tensor::<f32>::zeros([1 << 40, 0], &device)?.to_string(), "[]");
    Ok(())
}

#[test]
fn an_update_without_its_state_is_refused() -> Result<()> {
    let rule = Update::Adam {
        step: 0.1,
        root: 1.0,
        betas: [0.9, 0.999],
        eps: 1e-8,
        decay: 0.0,
        shrink: 1.0,
    };
    let error = tensor(&[1.0]).update(&rule, &tensor(&[1.0]), &mut []).unwrap_err();
    assert_eq!(error.to_string(), "update: expected 2 tensors of state, got 0");
    Ok(())
}

#[test]
fn an_infinite_gradient_fails_its_check() -> Result<()> {
    struct Broken;
    impl Operation<f64> for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        fn forward(&self, inputs: &[Tensor<f64>]) -> Result<Tensor<f64>> {
            Ok(inputs[0].clone())
        }
        fn backward(
            &self,
            inputs: &[Tensor<f64>],
            _: &Tensor<f64>,
            _: &Tensor<f64>,
        ) -> Result<Vec<Option<Tensor<f64>>>> {
            Ok(vec![Some(Tensor::full(inputs[0].shape(), f64::INFINITY, inputs[0].device())?)])
        }
    }
    let x = Tensor::from_vec(vec![1.0f64], [1], &Device::cpu())?;
    assert!(gradcheck(&[x], |inputs| Tensor::apply(Broken, &[&inputs[0]])).is_err());
    Ok(())
}

/// Two layers at one path.
struct Twins([Linear; 2]);

impl Module for Twins {
    fn path(&self) -> &str {
        ""
    }
    fn kind(&self) -> &'static str {
        "Twins"
    }
    fn children(&self) -> Vec<&dyn Module> {
        self.0.iter().map(|layer| layer as &dyn Module).collect()
    }
    fn compute(&self, x: &Tensor, pass: &striate::nn::Pass) -> Result<Tensor> {
        self.0[1].forward(&self.0[0].forward(x, pass)?, pass)
    }
}

#[test]
fn two_parameters_at_one_path_are_refused() -> Result<()> {
    let layer = || Linear::new(&Init::seed(1).at("l"), 2, 2);
    let net = Twins([layer()?, layer()?]);
    let error = load_state(&net, &state(&net)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "state: expected a path for each parameter, two are called l.weight"
    );
    assert!(Trainer::new(&net, Sgd::new(0.1), 1).checkpoint().is_err());
    Ok(())
}

#[test]
fn a_checkpoint_that_does_not_fit_changes_nothing() -> Result<()> {
    let (saved, net) = (Linear::new(&Init::seed(1), 2, 2)?, Linear::new(&Init::seed(2), 2, 2)?);
    let mut checkpoint = Trainer::new(&saved, Sgd::new(0.1).momentum(0.9), 1).checkpoint()?;
    let values = || -> Result<Vec<f32>> { net.parameters()[0].tensor().to_vec() };
    let before = values()?;
    let mut trainer = Trainer::new(&net, Adam::new(0.1), 1);
    assert!(trainer.restore(&checkpoint).is_err());
    assert_eq!(values()?, before);
    checkpoint.tensors.insert("stranger".into(), Tensor::zeros([1], &Device::cpu())?);
    let error = Trainer::new(&net, Sgd::new(0.1).momentum(0.9), 1).restore(&checkpoint);
    assert!(error.unwrap_err().to_string().contains("got stranger"));
    Ok(())
}
