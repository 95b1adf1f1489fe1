//! Modules: paths, modes, hooks, freezing, running moments, initial values.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use striate_nn::layers::*;
use striate_nn::{Distribution, Init, Module, ModuleExt, Pass, Summary, state};
use striate_tensor::autograd::Operation;
use striate_tensor::ops::PadMode;
use striate_tensor::random::{Key, Purpose};
use striate_tensor::{ConvSpec, Device, PoolSpec, Result, Tensor};

fn numbers<const N: usize>(shape: [usize; N]) -> Result<Tensor> {
    Tensor::uniform(shape, (-1.0, 1.0), &Key::new(7, Purpose::Other(9)), &Device::cpu())
}

/// Convolution, batch norm, ReLU, pooling, dropout, linear.
fn small(init: &Init) -> Result<Sequential> {
    Sequential::new(init)
        .then(|at| Conv2d::new(at, 2, 4, ConvSpec::new([3, 3]).padding([1, 1])))?
        .then(|at| BatchNorm2d::new(at, 4))?
        .then(|at| Ok(Activation::relu(at)))?
        .then(|at| Ok(MaxPool::new(at, PoolSpec::new([2, 2]).stride([2, 2]))))?
        .then(|at| Dropout::new(at, 0.5))?
        .then(|at| Ok(Flatten::new(at)))?
        .then(|at| Linear::new(at, 36, 3))
}

#[test]
fn paths_name_parameters_errors_and_the_tree() -> Result<()> {
    let net = small(&Init::seed(1).at("features"))?;
    let paths: Vec<String> = state(&net).into_keys().collect();
    assert_eq!(
        paths,
        [
            "features.0.bias",
            "features.0.weight",
            "features.1.bias",
            "features.1.num_batches_tracked",
            "features.1.running_mean",
            "features.1.running_var",
            "features.1.weight",
            "features.6.bias",
            "features.6.weight",
        ]
    );
    let error = net.forward(&numbers([1, 5, 6, 6])?, &Pass::evaluate()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv2d in features.0: weight expects 2 input channels, input is [1, 5, 6, 6]"
    );
    assert!(net.tree().contains("\n  (6): Linear(in_features=36, out_features=3, bias=True)\n"));
    Ok(())
}

#[test]
fn dropout_depends_on_seed_and_step_and_sleeps_in_evaluation() -> Result<()> {
    let layer = Dropout::new(&Init::seed(1).at("drop"), 0.25)?;
    let x = Tensor::ones([10_000], &Device::cpu())?;
    let run = |pass: Pass| layer.forward(&x, &pass)?.to_vec();
    let once = run(Pass::train(1, 5))?;
    assert_eq!(once, run(Pass::train(1, 5))?);
    assert_ne!(once, run(Pass::train(1, 6))?);
    assert_ne!(once, run(Pass::train(2, 5))?);
    let dropped = once.iter().filter(|x| **x == 0.0).count();
    // Five standard deviations of 10,000 draws.
    assert!((dropped as f64 - 2500.0).abs() < 217.0, "{dropped}");
    assert!(once.iter().all(|&x| x == 0.0 || x == 1.0 / 0.75));
    assert_eq!(run(Pass::evaluate())?, vec![1.0; 10_000]);
    let all = Dropout::new(&Init::seed(1), 1.0)?;
    assert_eq!(all.forward(&x, &Pass::train(1, 1))?.to_vec()?, vec![0.0; 10_000]);
    assert!(Dropout::new(&Init::seed(1), 1.5).is_err());
    Ok(())
}

#[test]
fn batch_norm_follows_batches_in_training_only() -> Result<()> {
    let layer: BatchNorm1d = BatchNorm1d::new(&Init::seed(1), 1)?.momentum(0.5);
    let x = Tensor::from_vec(vec![1.0, 3.0], [2, 1], &Device::cpu())?;
    let moments = || -> Result<Vec<f32>> {
        layer.running().iter().map(|value| value.tensor().item()).collect()
    };
    layer.forward(&x, &Pass::evaluate())?;
    assert_eq!(moments()?, [0.0, 1.0, 0.0]);
    layer.forward(&x, &Pass::train(1, 0))?;
    // Mean 2; the variance is 1, unbiased 2.
    assert_eq!(moments()?, [1.0, 1.5, 1.0]);
    let y = layer.forward(&x, &Pass::evaluate())?.to_vec()?;
    let expected = (3.0 - 1.0) / (1.5f32 + 1e-5).sqrt();
    assert!((y[1] - expected).abs() < 1e-6, "{y:?}, {expected}");
    let single = Tensor::ones([1, 1], &Device::cpu())?;
    assert!(layer.forward(&single, &Pass::train(1, 1)).is_err());
    Ok(())
}

#[test]
fn frozen_parameters_have_no_gradient_and_no_graph() -> Result<()> {
    let net = small(&Init::seed(1))?;
    net.freeze(true);
    let y = net.forward(&numbers([2, 2, 6, 6])?, &Pass::train(1, 0))?;
    assert!(!y.is_tracked());
    net.children()[6].freeze(false);
    let y = net.forward(&numbers([2, 2, 6, 6])?, &Pass::train(1, 0))?;
    assert_eq!(y.sum(.., false)?.backward()?.len(), 2);
    let summary = Summary::new(&net, &[2, 6, 6])?;
    assert_eq!((summary.parameters, summary.trainable), (76 + 8 + 111, 111));
    let evaluated = net.forward(&numbers([2, 2, 6, 6])?, &Pass::evaluate())?;
    assert!(!evaluated.is_tracked());
    Ok(())
}

#[test]
fn hooks_see_the_layer_that_they_name() -> Result<()> {
    let net = small(&Init::seed(1))?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let pass = Pass::evaluate().hook("3", move |visit| {
        let sizes = (visit.input.shape().to_vec(), visit.output.shape().to_vec());
        log.lock().unwrap().push((visit.kind.to_owned(), sizes));
        Ok(())
    });
    net.forward(&numbers([1, 2, 6, 6])?, &pass)?;
    let expected = ("MaxPool2d".to_owned(), (vec![1, 4, 6, 6], vec![1, 4, 3, 3]));
    assert_eq!(*seen.lock().unwrap(), [expected]);
    Ok(())
}

#[test]
fn initial_weights_depend_on_seed_and_path_alone() -> Result<()> {
    let weight = |init: &Init| -> Result<Vec<f32>> {
        let layer: Linear = Linear::new(init, 300, 200)?;
        layer.parameters()[0].tensor().to_vec()
    };
    let (a, b) = (Init::seed(1).at("a"), Init::seed(1).at("b"));
    assert_eq!(weight(&a)?, weight(&a)?);
    assert_ne!(weight(&a)?, weight(&b)?);
    assert_ne!(weight(&a)?, weight(&Init::seed(2).at("a"))?);
    let (fan_in, fan_out) = (300.0f64, 200.0);
    for (distribution, variance, bound) in [
        (Distribution::LeCunUniform, 1.0 / (3.0 * fan_in), (1.0 / fan_in).sqrt()),
        (Distribution::HeUniform, 2.0 / fan_in, (6.0 / fan_in).sqrt()),
        (Distribution::HeNormal, 2.0 / fan_in, f64::INFINITY),
        (Distribution::XavierUniform, 2.0 / (fan_in + fan_out), (6.0 / (fan_in + fan_out)).sqrt()),
        (Distribution::XavierNormal, 2.0 / (fan_in + fan_out), f64::INFINITY),
        (Distribution::Normal(0.0, 0.1), 0.01, f64::INFINITY),
        (Distribution::Uniform(-0.3, 0.3), 0.03, 0.3),
    ] {
        let values = weight(&a.weights(distribution))?;
        let squares: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
        let found = squares / values.len() as f64;
        // 60,000 values: the standard error of a normal's variance is 0.6 %.
        assert!((found / variance - 1.0).abs() < 0.03, "{distribution:?}: {found}, {variance}");
        assert!(values.iter().all(|&x| f64::from(x).abs() <= bound * (1.0 + 1e-6)));
    }
    Ok(())
}

#[test]
fn padding_modes_pad_before_convolving() -> Result<()> {
    let x = numbers([1, 2, 5, 5])?;
    let spec = ConvSpec::new([3, 3]).padding([1, 2]);
    for mode in [PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
        let layer: Conv2d = Conv2d::new(&Init::seed(1), 2, 3, spec)?.padding_mode(mode);
        let parameters = layer.parameters();
        let (weight, bias) = (parameters[0].tensor(), parameters[1].tensor());
        let padded = x.pad(&[[1, 1], [2, 2]], mode)?;
        let expected = padded.conv(&weight, Some(&bias), &ConvSpec::new([3, 3]))?;
        let found = layer.forward(&x, &Pass::evaluate())?;
        assert_eq!(found.to_vec()?, expected.to_vec()?);
        assert_eq!(found.shape(), [1, 3, 5, 7]);
    }
    Ok(())
}

/// One layer, used twice.
struct Twice(Linear);

impl Module for Twice {
    fn path(&self) -> &str {
        ""
    }
    fn kind(&self) -> &'static str {
        "Twice"
    }
    fn children(&self) -> Vec<&dyn Module> {
        vec![&self.0, &self.0]
    }
    fn compute(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.0.forward(&self.0.forward(x, pass)?, pass)
    }
}

/// They were counted as often as they stand in the network.
#[test]
fn tied_parameters_are_counted_once() -> Result<()> {
    let net = Twice(Linear::new(&Init::seed(1).at("map"), 4, 4)?);
    assert_eq!((net.parameters().len(), net.parameter_count()), (2, 20));
    let summary = Summary::new(&net, &[4])?;
    assert_eq!((summary.rows.len(), summary.parameters, summary.macs), (2, 20, 32));
    Ok(())
}

#[test]
fn residual_adds_its_shortcut() -> Result<()> {
    let x = numbers([2, 4])?;
    let body = |at: &Init| -> Result<Linear> { Linear::new(&at.at("body"), 4, 4) };
    let init = Init::seed(1).at("block");
    let plain = Residual::new(&init, body(&init)?);
    let expected = (body(&init)?.forward(&x, &Pass::evaluate())? + &x)?;
    assert_eq!(plain.forward(&x, &Pass::evaluate())?.to_vec()?, expected.to_vec()?);
    let projected = Residual::new(&init, body(&init)?)
        .shortcut(Linear::<f32>::new(&init.at("shortcut"), 4, 4)?.without_bias());
    assert_eq!(projected.parameter_count(), 20 + 16);
    assert_ne!(projected.forward(&x, &Pass::evaluate())?.to_vec()?, expected.to_vec()?);
    Ok(())
}

/// Layers that a container computes together.
fn fusible(init: &Init) -> Result<Sequential> {
    // A bias before batch norm would have no gradient but rounding's.
    let conv = |at: &Init| Conv2d::new(at, 2, 8, ConvSpec::new([3, 3]).padding([1, 1]));
    Sequential::new(init)
        .then(|at| Ok(conv(at)?.without_bias()))?
        .then(|at| BatchNorm2d::new(at, 8))?
        .then(|at| Ok(Activation::relu(at)))?
        .then(|at| Conv2d::new(at, 8, 9, ConvSpec::new([5, 5]).padding([2, 2])))?
        .then(|at| Ok(Activation::relu(at)))?
        .then(|at| Ok(MaxPool::new(at, PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]))))?
        .then(|at| BatchNorm2d::new(at, 9))?
        .then(|at| Ok(Activation::relu(at)))?
        .then(|at| Ok(MaxPool::new(at, PoolSpec::new([2, 2]).stride([2, 2]))))
}

#[test]
fn layers_together_compute_what_they_do_one_by_one() -> Result<()> {
    let x = numbers([3, 2, 20, 22])?;
    for pass in [Pass::train(1, 0), Pass::evaluate().tracked(true)] {
        let run = |pass: &Pass| {
            let net = fusible(&Init::seed(1))?;
            let y = net.forward(&x, pass)?;
            let gradients = (&y * &y)?.sum([0, 1, 2, 3], false)?.backward()?;
            let mut results = vec![y.to_vec()?];
            for parameter in net.parameters() {
                results.push(gradients.by_id(parameter.id()).unwrap().to_vec()?);
            }
            results.extend(net.running().iter().map(|value| value.tensor().to_vec().unwrap()));
            Ok::<_, striate_tensor::Error>(results)
        };
        let (together, apart) = (run(&pass)?, run(&pass.clone().fused(false))?);
        assert_eq!(together.len(), apart.len());
        for (i, (together, apart)) in together.iter().zip(&apart).enumerate() {
            let largest = apart.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
            for (a, b) in together.iter().zip(apart) {
                assert!((a - b).abs() <= 1e-5 * largest, "result {i}: {a} together, {b} apart");
            }
        }
    }
    Ok(())
}

/// The identity, which notes whether it and its gradient are computed on a thread of the pool.
#[derive(Clone, Default)]
struct Whereabouts(Arc<Mutex<Vec<bool>>>);

impl Whereabouts {
    fn note(&self) {
        self.0.lock().unwrap().push(on_the_pool());
    }
}

impl Operation<f32> for Whereabouts {
    fn name(&self) -> &'static str {
        "whereabouts"
    }
    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        self.note();
        Ok(inputs[0].clone())
    }
    fn backward(&self, _: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        self.note();
        Ok(vec![Some(grad.clone())])
    }
}

impl Module for Whereabouts {
    fn path(&self) -> &str {
        ""
    }
    fn kind(&self) -> &'static str {
        "Whereabouts"
    }
    fn compute(&self, x: &Tensor, _: &Pass) -> Result<Tensor> {
        Tensor::apply(self.clone(), &[x])
    }
}

fn on_the_pool() -> bool {
    rayon::current_thread_index().is_some()
}

/// A thread from outside would wake one of the pool for every loop of every operation, which takes longer than many a loop.
/// Other tests' work may be in already, so it is tried again.
#[test]
fn a_network_and_its_gradient_are_computed_on_the_pool() -> Result<()> {
    assert!(!on_the_pool());
    let x = Tensor::ones([1], &Device::cpu())?.tracked();
    for _ in 0..1000 {
        let net = Whereabouts::default();
        Module::forward(&net, &x, &Pass::train(1, 0))?.backward()?;
        if *net.0.lock().unwrap() == [true, true] {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never on the pool");
}

/// A thread of the pool that waits takes up work from outside. Two steps on one stack could wait for each other's locks.
#[test]
fn one_work_is_in_at_a_time() {
    let cpu = Device::cpu();
    let alone = || {
        std::thread::scope(|threads| {
            let other = threads.spawn(|| cpu.enter(on_the_pool));
            !other.join().unwrap()
        })
    };
    let found = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        cpu.enter(|| on_the_pool().then(alone))
    });
    assert_eq!(found, Some(true));
    // Nor may another's come in while work is done that began on a thread of the pool.
    assert!(rayon::scope(|_| cpu.enter(alone)));
}

/// The identity, with a mark on what it computes together with a ReLU.
struct Marked;

impl Module for Marked {
    fn path(&self) -> &str {
        "0"
    }
    fn kind(&self) -> &'static str {
        "Marked"
    }
    fn compute(&self, x: &Tensor, _: &Pass) -> Result<Tensor> {
        Ok(x.clone())
    }
    fn compute_relu(&self, x: &Tensor, _: &Pass) -> Option<Result<Tensor>> {
        Some(x.relu().and_then(|y| y + 10.0))
    }
}

#[test]
fn layers_are_computed_together_unless_switched_off_or_watched() -> Result<()> {
    let net: Sequential = Sequential::new(&Init::seed(1))
        .then(|_| Ok(Marked))?
        .then(|at| Ok(Activation::relu(at)))?;
    let x = Tensor::ones([1], &Device::cpu())?;
    let run = |pass: Pass| net.forward(&x, &pass)?.to_vec();
    assert_eq!(run(Pass::evaluate())?, [11.0]);
    assert_eq!(run(Pass::evaluate().fused(false))?, [1.0]);
    assert_eq!(run(Pass::evaluate().hook("1", |_| Ok(())))?, [1.0]);
    Ok(())
}

/// Its input less one, under the name of another layer.
struct Named(&'static str);

impl Module for Named {
    fn path(&self) -> &str {
        ""
    }
    fn kind(&self) -> &'static str {
        self.0
    }
    fn compute(&self, x: &Tensor, _: &Pass) -> Result<Tensor> {
        x - 1.0
    }
}

/// Fusing went by the name of a layer's kind, and took a user's layer for the library's.
#[test]
fn a_layer_called_like_another_is_computed_as_it_says() -> Result<()> {
    let x = Tensor::full([1], -1.0, &Device::cpu())?;
    let init = Init::seed(1);
    let relu: Sequential =
        Sequential::new(&init).then(|_| Ok(Marked))?.then(|_| Ok(Named("ReLU")))?;
    assert_eq!(relu.forward(&x, &Pass::evaluate())?.to_vec()?, [-2.0]);
    let pool: Sequential = Sequential::new(&init)
        .then(|_| Ok(Marked))?
        .then(|at| Ok(Activation::relu(at)))?
        .then(|_| Ok(Named("MaxPool2d")))?;
    assert_eq!(pool.forward(&x, &Pass::evaluate())?.to_vec()?, [9.0]);
    Ok(())
}

/// Printed by PyTorch 2.15 for the same layers; of its softplus ours lacks the threshold.
#[test]
fn layers_print_as_in_pytorch() -> Result<()> {
    let at = Init::seed(1);
    let odd = PoolSpec::new([3, 2]).stride([2, 1]).padding([1; 2]).dilation([2; 2]).ceil_mode(true);
    let dilated = ConvSpec::new([3, 5]).stride([2; 2]).padding([1, 2]).dilation([2; 2]).groups(2);
    let transposed = ConvSpec::new([2; 3]).stride([2; 3]).output_padding([1; 3]);
    let conv1d: Conv1d = Conv1d::new(&at, 2, 4, ConvSpec::new([3]).padding([1]))?.without_bias();
    let conv2d: Conv2d = Conv2d::new(&at, 4, 6, dilated)?.padding_mode(PadMode::Reflect);
    let conv3d: ConvTranspose3d = ConvTranspose3d::new(&at, 4, 2, transposed)?;
    let norm1d: BatchNorm1d = BatchNorm1d::new(&at, 4)?;
    let norm2d: BatchNorm2d = BatchNorm2d::new(&at, 4)?.eps(1e-3).momentum(0.01);
    let norm3d: BatchNorm3d = BatchNorm3d::new(&at, 2)?.eps(1.5e-7);
    let rows: LayerNorm = LayerNorm::new(&at, &[5])?;
    let maps: LayerNorm = LayerNorm::new(&at, &[3, 4])?;
    let groups: GroupNorm = GroupNorm::new(&at, 2, 4)?;
    let linear: Linear = Linear::new(&at, 4, 2)?.without_bias();
    let activation = |function| Activation::new(&at, function);
    let layers: [(&dyn Module, &str); 29] = [
        (&conv1d, "Conv1d(2, 4, kernel_size=(3,), stride=(1,), padding=(1,), bias=False)"),
        (
            &conv2d,
            "Conv2d(4, 6, kernel_size=(3, 5), stride=(2, 2), padding=(1, 2), dilation=(2, 2), groups=2, padding_mode=reflect)",
        ),
        (
            &conv3d,
            "ConvTranspose3d(4, 2, kernel_size=(2, 2, 2), stride=(2, 2, 2), output_padding=(1, 1, 1))",
        ),
        (
            &norm1d,
            "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
        ),
        (
            &norm2d,
            "BatchNorm2d(4, eps=0.001, momentum=0.01, affine=True, bias=True, track_running_stats=True)",
        ),
        (
            &norm3d,
            "BatchNorm3d(2, eps=1.5e-07, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
        ),
        (&rows, "LayerNorm((5,), eps=1e-05, elementwise_affine=True, bias=True)"),
        (&maps, "LayerNorm((3, 4), eps=1e-05, elementwise_affine=True, bias=True)"),
        (&groups, "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)"),
        (
            &MaxPool::new(&at, PoolSpec::new([2])),
            "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
        ),
        (
            &MaxPool::new(&at, odd),
            "MaxPool2d(kernel_size=(3, 2), stride=(2, 1), padding=1, dilation=2, ceil_mode=True)",
        ),
        (
            &AvgPool::new(&at, PoolSpec::new([2])),
            "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))",
        ),
        (
            &AvgPool::new(&at, PoolSpec::new([3; 2]).stride([2; 2]).padding([1; 2])),
            "AvgPool2d(kernel_size=3, stride=2, padding=1)",
        ),
        (
            &AvgPool::new(&at, PoolSpec::new([1, 2, 2])),
            "AvgPool3d(kernel_size=(1, 2, 2), stride=(1, 2, 2), padding=0)",
        ),
        (&AdaptiveAvgPool::new(&at, [3]), "AdaptiveAvgPool1d(output_size=3)"),
        (&AdaptiveMaxPool::new(&at, [1, 1]), "AdaptiveMaxPool2d(output_size=(1, 1))"),
        (&Dropout::new(&at, 0.25)?, "Dropout(p=0.25, inplace=False)"),
        (&Flatten::new(&at), "Flatten(start_dim=1, end_dim=-1)"),
        (&linear, "Linear(in_features=4, out_features=2, bias=False)"),
        (&activation(Function::Relu), "ReLU()"),
        (&activation(Function::LeakyRelu(0.1)), "LeakyReLU(negative_slope=0.1)"),
        (&activation(Function::Elu(1.0)), "ELU(alpha=1.0)"),
        (&activation(Function::Gelu), "GELU(approximate='none')"),
        (&activation(Function::GeluTanh), "GELU(approximate='tanh')"),
        (&activation(Function::Softmax(-1)), "Softmax(dim=-1)"),
        (&activation(Function::Silu), "SiLU()"),
        (&activation(Function::Sigmoid), "Sigmoid()"),
        (&activation(Function::Softplus), "Softplus(beta=1.0)"),
        (&activation(Function::LogSoftmax(1)), "LogSoftmax(dim=1)"),
    ];
    for (layer, printed) in layers {
        assert_eq!(layer.tree(), printed);
    }
    Ok(())
}
