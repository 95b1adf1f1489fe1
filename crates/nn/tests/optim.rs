//! Optimizers against PyTorch's values in f64, and saving and restoring them.

use serde::Deserialize;
use striate_nn::optim::{
    Adam, Optimizer, Progress, RmsProp, Rule, Sgd, clip_grad_norm, clip_grad_value,
};
use striate_nn::schedule::Settings;
use striate_nn::{Checkpoint, Parameter};
use striate_tensor::{Device, Gradients, Result, Tensor};

/// Both sides compute in f64 and differ by the order of a few roundings.
const TOLERANCE: f64 = 1e-12;

/// What `fixtures/make_optim.py` wrote.
#[derive(Deserialize)]
struct Fixture {
    weight: Vec<f64>,
    bias: Vec<f64>,
    grads: Vec<[Option<Vec<f64>>; 2]>,
    settings: Vec<Settings>,
    single: Vec<Case>,
    grouped: Vec<Grouped>,
    scheduled: Vec<Case>,
    clip: Vec<Clip>,
}

#[derive(Deserialize)]
struct Case {
    rule: Rule,
    values: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Grouped {
    rules: [Rule; 2],
    values: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Clip {
    max_norm: f64,
    limit: f64,
    norm: f64,
    by_norm: Vec<f64>,
    by_value: Vec<f64>,
}

impl Fixture {
    fn read() -> Self {
        serde_json::from_str(include_str!("fixtures/optim.json")).unwrap()
    }

    /// The weight and the bias before the first step.
    fn parameters(&self) -> [Parameter<f64>; 2] {
        let parameter = |path: &str, values: &[f64], shape: &[usize]| {
            Parameter::new(path, &tensor(values, shape)).unwrap()
        };
        [
            parameter("layer.weight", &self.weight, &[2, 2]),
            parameter("layer.bias", &self.bias, &[2]),
        ]
    }

    /// The gradients of one step, as of `sum(parameter * gradient)`.
    fn gradients(&self, step: usize, parameters: &[Parameter<f64>; 2]) -> Gradients<f64> {
        let terms = parameters.iter().zip(&self.grads[step]).filter_map(|(parameter, grad)| {
            let grad = tensor(grad.as_ref()?, parameter.shape());
            Some((&parameter.tensor() * &grad).unwrap().sum(.., false).unwrap())
        });
        let total = terms.reduce(|a, b| (&a + &b).unwrap()).unwrap();
        total.backward().unwrap()
    }

    /// Takes every step and compares all values after each.
    fn check(
        &self,
        parameters: [Parameter<f64>; 2],
        mut optimizer: Optimizer<f64>,
        expected: &[Vec<f64>],
        settings: &[Settings],
    ) {
        for (step, expected) in expected.iter().enumerate() {
            if let Some(&settings) = settings.get(step) {
                optimizer.set(settings);
            }
            optimizer.step(&self.gradients(step, &parameters)).unwrap();
            let what = format!("{:?}, step {step}", optimizer.rules().collect::<Vec<_>>());
            assert_close(&values(&parameters), expected, &what);
        }
        assert_eq!(optimizer.steps(), expected.len() as u64);
    }
}

fn tensor(values: &[f64], shape: &[usize]) -> Tensor<f64> {
    Tensor::from_slice(values, shape, &Device::cpu()).unwrap()
}

fn values(parameters: &[Parameter<f64>]) -> Vec<f64> {
    parameters.iter().flat_map(|p| p.tensor().to_vec().unwrap()).collect()
}

fn assert_close(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= TOLERANCE, "{what}: got {got}, expected {expected}");
    }
}

#[test]
fn every_combination_of_options_is_pytorchs() {
    let fixture = Fixture::read();
    assert_eq!(fixture.single.len(), 42);
    for case in &fixture.single {
        let parameters = fixture.parameters();
        let optimizer = Optimizer::over(parameters.clone(), case.rule);
        fixture.check(parameters, optimizer, &case.values, &[]);
    }
}

#[test]
fn groups_have_their_own_rules() {
    let fixture = Fixture::read();
    for case in &fixture.grouped {
        let parameters = fixture.parameters();
        let [weight, bias] = case.rules;
        let optimizer = Optimizer::over(parameters.clone(), weight)
            .group(bias, |parameter| parameter.path().ends_with("bias"));
        assert_eq!(optimizer.rules().collect::<Vec<_>>(), case.rules);
        fixture.check(parameters, optimizer, &case.values, &[]);
    }
}

#[test]
fn groups_may_differ_in_algorithm() {
    let fixture = Fixture::read();
    let alone = |rule: Rule| fixture.single.iter().find(|case| case.rule == rule).unwrap();
    let (sgd, adam): (Rule, Rule) = (Sgd::new(0.1).into(), Adam::new(0.1).into());
    let expected: Vec<Vec<f64>> = (alone(sgd).values.iter().zip(&alone(adam).values))
        .map(|(sgd, adam)| [&sgd[..4], &adam[4..]].concat())
        .collect();
    let parameters = fixture.parameters();
    let optimizer = Optimizer::over(parameters.clone(), sgd).group(adam, |p| p.shape().len() == 1);
    fixture.check(parameters, optimizer, &expected, &[]);
}

#[test]
fn a_schedule_moves_rate_and_momentum() {
    let fixture = Fixture::read();
    for case in &fixture.scheduled {
        let parameters = fixture.parameters();
        let optimizer = Optimizer::over(parameters.clone(), case.rule);
        fixture.check(parameters, optimizer, &case.values, &fixture.settings);
    }
}

#[test]
fn builders_start_from_pytorchs_defaults() {
    let rules = Fixture::read().single;
    let has = |rule: Rule| assert!(rules.iter().any(|case| case.rule == rule), "{rule:?}");
    has(Sgd::new(0.1).into());
    has(Sgd::new(0.1).momentum(0.9).dampening(0.3).weight_decay(0.2).into());
    has(Sgd::new(0.1).momentum(0.9).nesterov().into());
    has(Adam::new(0.1).into());
    has(Adam::new(0.1).betas(0.7, 0.9).eps(1e-3).weight_decay(0.2).decoupled().into());
    has(RmsProp::new(0.1).into());
    has(RmsProp::new(0.1).alpha(0.7).eps(1e-3).momentum(0.9).weight_decay(0.2).into());
}

#[test]
fn rates_scale_together_and_the_own_ones_stay() {
    let [weight, bias] = Fixture::read().parameters();
    let mut sgd = Optimizer::over([weight, bias], Sgd::new(0.5).momentum(0.9))
        .group(Sgd::new(0.125), |parameter| parameter.path() == "layer.bias");
    let rates = |sgd: &Optimizer<f64>| sgd.rules().map(|rule| rule.lr()).collect::<Vec<_>>();
    sgd.set_lr(0.25);
    assert_eq!((sgd.lr(), rates(&sgd)), (0.25, vec![0.25, 0.0625]));
    sgd.set(Settings { factor: 2.0, momentum: Some(0.5) });
    assert_eq!(rates(&sgd), [1.0, 0.25]);
    assert!(sgd.rules().all(|rule| rule.momentum() == 0.5));
    sgd.set(Settings::default());
    assert_eq!(rates(&sgd), [0.5, 0.125]);
    assert_eq!(sgd.rules().map(|rule| rule.momentum()).collect::<Vec<_>>(), [0.9, 0.0]);
}

#[test]
fn frozen_parameters_stay_even_where_decay_would_move_them() {
    let fixture = Fixture::read();
    let parameters = fixture.parameters();
    let rule = Adam::new(0.1).weight_decay(0.5).decoupled();
    let mut adam = Optimizer::over(parameters.clone(), rule);
    let gradients = fixture.gradients(2, &parameters);
    // Frozen after the gradients were computed, so that they are there.
    parameters[0].freeze(true);
    adam.step(&gradients).unwrap();
    let now = values(&parameters);
    assert_eq!(now[..4], fixture.weight);
    assert!(now[4..] != fixture.bias);
}

#[test]
fn tied_parameters_move_once() {
    let fixture = Fixture::read();
    let parameters = fixture.parameters();
    let twice = parameters.clone().into_iter().chain(parameters.clone());
    let mut sgd = Optimizer::over(twice, Sgd::new(1.0));
    sgd.step(&fixture.gradients(2, &parameters)).unwrap();
    let grad = fixture.grads[2][0].as_ref().unwrap();
    assert_eq!(values(&parameters)[0], fixture.weight[0] - grad[0]);
}

#[test]
fn options_out_of_range_are_errors_and_nothing_moves() {
    let fixture = Fixture::read();
    let parameters = fixture.parameters();
    let before = values(&parameters);
    let nesterov =
        "SGD: expected momentum and no dampening with nesterov, got momentum 0, dampening 0";
    let wrong: [(Rule, &str); 6] = [
        (Sgd::new(f64::NAN).into(), "SGD: expected lr in [0, inf), got NaN"),
        (Sgd::new(0.1).weight_decay(-1.0).into(), "SGD: expected weight_decay in [0, inf), got -1"),
        (Sgd::new(0.1).nesterov().into(), nesterov),
        (Adam::new(0.1).betas(0.9, 1.0).into(), "Adam: expected beta2 in [0, 1), got 1"),
        (Adam::new(0.1).decoupled().eps(-1.0).into(), "AdamW: expected eps in [0, inf), got -1"),
        (RmsProp::new(f64::INFINITY).into(), "RMSProp: expected lr in [0, inf), got inf"),
    ];
    for (rule, message) in wrong {
        // The first group is in order: it must not move, either.
        let mut optimizer = Optimizer::over(parameters.clone(), Sgd::new(0.1))
            .group(rule, |parameter| parameter.path() == "layer.bias");
        let error = optimizer.step(&fixture.gradients(2, &parameters)).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!((values(&parameters), optimizer.steps()), (before.clone(), 0));
    }
}

/// Two steps, through a checkpoint's bytes into a new optimizer of new parameters, two more.
fn interrupted(
    fixture: &Fixture,
    make: impl Fn([Parameter<f64>; 2]) -> Optimizer<f64>,
) -> Vec<f64> {
    let parameters = fixture.parameters();
    let mut optimizer = make(parameters.clone());
    // A factor whose decimal digits a careless JSON reader gets wrong in the last bit.
    optimizer.set(Settings { factor: 0.982_099_081_735_620_4, momentum: Some(0.8999999999999999) });
    (0..2).for_each(|step| optimizer.step(&fixture.gradients(step, &parameters)).unwrap());

    let state = optimizer.state();
    let progress = serde_json::to_string(&state.progress).unwrap();
    let texts = [("progress".to_owned(), progress)].into();
    let bytes = Checkpoint { tensors: state.tensors, texts }.to_bytes().unwrap();
    let saved = values(&parameters);
    // What happens after the snapshot is none of its business.
    optimizer.step(&fixture.gradients(2, &parameters)).unwrap();

    let restored = fixture.parameters();
    restored[0].set(&tensor(&saved[..4], &[2, 2])).unwrap();
    restored[1].set(&tensor(&saved[4..], &[2])).unwrap();
    let mut optimizer = make(restored.clone());
    let mut checkpoint = Checkpoint::from_bytes(&bytes, &Device::cpu()).unwrap();
    let progress: Progress = serde_json::from_str(&checkpoint.texts["progress"]).unwrap();
    let tensors = std::mem::take(&mut checkpoint.tensors);
    optimizer.load_state(&striate_nn::optim::OptimizerState { tensors, progress }).unwrap();
    assert_eq!(optimizer.steps(), 2);
    (2..4).for_each(|step| optimizer.step(&fixture.gradients(step, &restored)).unwrap());
    values(&restored)
}

#[test]
fn restored_optimizers_continue_to_the_same_bits() {
    let fixture = Fixture::read();
    for case in &fixture.single {
        let make = |parameters: [Parameter<f64>; 2]| {
            Optimizer::over(parameters, case.rule)
                .group(case.rule.with_lr(0.01), |parameter| parameter.path() == "layer.bias")
        };
        let parameters = fixture.parameters();
        let mut optimizer = make(parameters.clone());
        optimizer
            .set(Settings { factor: 0.982_099_081_735_620_4, momentum: Some(0.8999999999999999) });
        (0..4).for_each(|step| optimizer.step(&fixture.gradients(step, &parameters)).unwrap());
        assert_eq!(interrupted(&fixture, make), values(&parameters), "{:?}", case.rule);
    }
}

#[test]
fn numbers_survive_json() {
    let mut factor = 1.0f64;
    for _ in 0..10_000 {
        factor = factor * 0.99 + 1e-3 / factor;
        let text = serde_json::to_string(&Settings::scaled(factor)).unwrap();
        let read: Settings = serde_json::from_str(&text).unwrap();
        assert_eq!(read.factor, factor, "{text}");
    }
}

#[test]
fn loading_lists_what_does_not_fit_and_changes_nothing() {
    let fixture = Fixture::read();
    let parameters = fixture.parameters();
    let mut adam = Optimizer::over(parameters.clone(), Adam::new(0.1));
    adam.step(&fixture.gradients(2, &parameters)).unwrap();
    let good = adam.state();
    let names: Vec<&String> = good.tensors.keys().collect();
    assert_eq!(
        names,
        [
            "layer.bias.exp_avg",
            "layer.bias.exp_avg_sq",
            "layer.weight.exp_avg",
            "layer.weight.exp_avg_sq"
        ]
    );

    let mut bad = good.clone();
    bad.tensors.remove("layer.bias.exp_avg");
    bad.tensors.insert("layer.bias.momentum".into(), tensor(&[0.0; 2], &[2]));
    bad.tensors.insert("layer.weight.exp_avg".into(), tensor(&[0.0; 4], &[4]));
    let mut fresh = Optimizer::over(parameters.clone(), Adam::new(0.1));
    assert_eq!(
        fresh.load_state(&bad).unwrap_err().to_string(),
        "load_state: missing: layer.bias.exp_avg; unexpected: layer.bias.momentum; \
         misshapen: layer.weight.exp_avg (expected [2, 2], got [4])"
    );

    let mut bad = good.clone();
    let progress = bad.progress.parameters.remove("layer.bias").unwrap();
    bad.progress.parameters.insert("head.bias".into(), progress);
    assert_eq!(
        fresh.load_state(&bad).unwrap_err().to_string(),
        r#"load_state: parameters missing: ["layer.bias"]; unexpected: ["head.bias"]"#
    );

    let mut bad = good.clone();
    bad.progress.parameters.get_mut("layer.bias").unwrap().tensors = 3;
    assert!(fresh.load_state(&bad).unwrap_err().message().contains("for layer.bias, got"));
    assert!(fresh.state().tensors.is_empty() && fresh.steps() == 0);

    let mut sgd = Optimizer::over(parameters, Sgd::new(0.1));
    let error = sgd.load_state(&good).unwrap_err();
    assert_eq!(error.to_string(), "load_state: expected groups of SGD, got Adam");
    fresh.load_state(&good).unwrap();
    assert_eq!(fresh.state().progress, good.progress);
}

#[test]
fn clipping_is_pytorchs() -> Result<()> {
    let fixture = Fixture::read();
    let parameters = fixture.parameters();
    let flat = |gradients: &Gradients<f64>| {
        let gradients = gradients.iter().map(|(_, gradient)| gradient.to_vec().unwrap());
        gradients.collect::<Vec<_>>().concat()
    };
    for clip in &fixture.clip {
        let mut gradients = fixture.gradients(2, &parameters);
        let norm = clip_grad_norm(&mut gradients, clip.max_norm)?;
        assert_close(&[norm], &[clip.norm], "norm");
        assert_close(&flat(&gradients), &clip.by_norm, "by norm");
        let mut gradients = fixture.gradients(2, &parameters);
        clip_grad_value(&mut gradients, clip.limit)?;
        assert_close(&flat(&gradients), &clip.by_value, "by value");
    }
    Ok(())
}

#[test]
fn clipping_reports_norms_that_are_not_finite_and_refuses_senseless_limits() {
    let fixture = Fixture::read();
    let parameters = fixture.parameters();
    let mut gradients = fixture.gradients(2, &parameters);
    gradients.set(parameters[1].id(), tensor(&[f64::NAN, 1.0], &[2]));
    assert!(clip_grad_norm(&mut gradients, 1.0).unwrap().is_nan());
    assert!(gradients.by_id(parameters[0].id()).unwrap().to_vec().unwrap()[0].is_nan());
    for limit in [0.0, -1.0, f64::NAN] {
        assert!(clip_grad_norm(&mut gradients, limit).is_err());
        assert!(clip_grad_value(&mut gradients, limit).is_err());
    }
}
