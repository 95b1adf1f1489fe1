//! The learning rate range test: its suggestions against fastai's own functions, and that it is a test and no training.

use std::iter::repeat_with;

use serde_json::Value;
use striate::models::{Recipe, mnist_cnn};
use striate::nn::{LrCurve, LrFinder};
use striate::prelude::*;

/// Made by `tests/fixtures/lr_finder.py` from fastai's functions.
#[test]
fn suggestions_are_fastais() {
    let cases: Value =
        serde_json::from_str(include_str!("fixtures/lr_finder/curves.json")).unwrap();
    for (number, case) in cases.as_array().unwrap().iter().enumerate() {
        let losses: Vec<f64> =
            case["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
        let rate = |step: usize| 1e-7 * 1e8f64.powf(step as f64 / 100.0);
        let rates = (0..losses.len()).map(rate).collect();
        let curve = LrCurve { steps: 100, rates, losses, diverged: false };
        let step = |name: &str| Some(rate(case[name].as_u64().unwrap() as usize));
        assert_eq!(curve.steepest(), step("steepest"), "steepest of case {number}");
        assert_eq!(curve.valley(), step("valley"), "valley of case {number}");
    }
}

#[test]
fn a_short_curve_suggests_what_it_can() {
    let curve = |count: usize| LrCurve {
        steps: 100,
        rates: (1..=count).map(|rate| rate as f64).collect(),
        losses: vec![1.0; count],
        diverged: true,
    };
    assert_eq!((curve(15).steepest(), curve(15).valley()), (None, None));
    assert_eq!((curve(16).steepest(), curve(16).valley()), (None, Some(11.0)));
    assert_eq!((curve(17).steepest(), curve(0).drawn().count()), (Some(11.0), 0));
}

/// Digits as the recipe of document 3 has them.
fn batches(digits: &Mnist) -> impl Iterator<Item = Result<(Tensor, Tensor<i64>)>> {
    let loader = Loader::new(&digits.train).batch(100).shuffle(1);
    (0..).flat_map(move |epoch| loader.epoch(epoch)).map(read)
}

fn read(batch: striate::data::Result<striate::data::Batch>) -> Result<(Tensor, Tensor<i64>)> {
    Ok(batch?.to(&Device::cpu())?)
}

/// Everything that training would have changed, after some steps of it.
#[test]
fn the_run_goes_on_as_if_there_had_been_no_test() {
    let digits = Mnist::shipped().unwrap();
    let end = |tested: bool| {
        let net: Sequential = Sequential::new(&Init::seed(1))
            .then(|at| Conv2d::new(at, 1, 4, ConvSpec::new([5, 5]).stride([3, 3])))?
            .then(|at| BatchNorm2d::new(at, 4))?
            .then(|at| Dropout::new(at, 0.5))?
            .then(|at| Ok(Flatten::new(at)))?
            .then(|at| Linear::new(at, 4 * 64, 10))?;
        let mut trainer = Trainer::new(&net, Adam::new(1e-2), 1).schedule(OneCycle::fastai(8));
        trainer.epoch(batches(&digits).take(4), |_| true)?;
        if tested {
            let curve = LrFinder::fastai().run(&mut trainer, batches(&digits))?;
            assert!(curve.losses.len() > 50 && curve.losses[40] != curve.losses[0]);
        }
        trainer.epoch(batches(&digits).take(4), |_| true)?;
        let checkpoint = trainer.checkpoint()?;
        let bits = |tensor: &Tensor| -> Result<Vec<u32>> {
            Ok(tensor.to_vec()?.into_iter().map(f32::to_bits).collect())
        };
        let tensors = checkpoint.tensors.iter().map(|(name, t)| Ok((name.clone(), bits(t)?)));
        Ok::<_, Error>((tensors.collect::<Result<Vec<_>>>()?, checkpoint.texts))
    };
    assert_eq!(end(true).unwrap(), end(false).unwrap());
}

#[test]
fn the_curve_of_a_real_network_falls_and_rises() {
    let digits = Mnist::shipped().unwrap();
    let net: models::MnistCnn = mnist_cnn(&Init::seed(1)).unwrap();
    let mut trainer = Recipe::mnist_cnn().trainer(&net, 1, 80);
    let curve = LrFinder::fastai().run(&mut trainer, batches(&digits)).unwrap();
    assert_eq!((curve.rates[0], curve.steps), (1e-7, 100));
    assert!((curve.rates[50] / 1e-3 - 1.0).abs() < 1e-9);
    // ln 10 while nothing is learnt; document 3 trains with 1e-2 or 1e-3.
    assert!((curve.losses[5] - 10f64.ln()).abs() < 0.05, "{curve:?}");
    // How far it rises where nothing is learnt any more is a matter of rounding: of the last loss, smoothed over fifty steps, the twenty since the
    // least make a third, and only spikes among them lift it all the way. Halfway back to guessing, they have been no better than that.
    let least = curve.losses.iter().copied().fold(f64::INFINITY, f64::min);
    let halfway = f64::midpoint(least, 10f64.ln());
    assert!(least < 2.0 && *curve.losses.last().unwrap() > halfway, "{curve:?}");
    // The steepest slope may stand behind a spike, where nothing is learnt any more.
    let valley = curve.valley().unwrap();
    assert!((1e-4..=1e-1).contains(&valley), "{valley}: {curve:?}");
}

/// A loss that is no number ends the test, as a divergence, and harms nothing.
#[test]
fn a_loss_that_is_not_finite_ends_the_test() {
    let net: Linear = Linear::new(&Init::seed(1), 2, 2).unwrap();
    let labels = Tensor::from_vec(vec![0, 1], [2], &Device::cpu()).unwrap();
    for (broken, count) in [(f32::NAN, 100), (f32::INFINITY, 100), (1e30, 31)] {
        let mut step = 0;
        let batch = || {
            step += 1;
            let value = if step > 30 { broken } else { 1.0 };
            let inputs = Tensor::from_vec(vec![value, 0.0, value, 0.0], [2, 2], &Device::cpu());
            Ok::<_, Error>((inputs?, labels.clone()))
        };
        let mut trainer = Trainer::new(&net, Sgd::new(0.1), 1);
        let before = net.parameters()[0].tensor().to_vec().unwrap();
        let curve = LrFinder::fastai().run(&mut trainer, repeat_with(batch)).unwrap();
        assert!(curve.diverged, "{broken}");
        assert_eq!(curve.losses.len(), count, "{broken}: {:?}", curve.losses);
        assert!(curve.drawn().all(|(_, loss)| loss < 1.0), "{broken}");
        assert_eq!(net.parameters()[0].tensor().to_vec().unwrap(), before);
    }
}

#[test]
fn settings_that_make_no_test_are_errors_and_errors_restore_too() {
    let net: Linear = Linear::new(&Init::seed(1), 2, 2).unwrap();
    let mut trainer = Trainer::new(&net, Sgd::new(0.1), 1);
    let finder = LrFinder::fastai();
    let labels = Tensor::from_vec(vec![0, 1], [2], &Device::cpu()).unwrap();
    let inputs = Tensor::ones([2, 2], &Device::cpu()).unwrap();
    let none = std::iter::empty::<Result<(Tensor, Tensor<i64>)>>;
    for wrong in [
        LrFinder { start: 0.0, ..finder },
        LrFinder { end: f64::NAN, ..finder },
        LrFinder { steps: 0, ..finder },
    ] {
        let error = wrong.run(&mut trainer, none()).unwrap_err().to_string();
        assert!(error.contains("expected rates above zero and at least one step"), "{error}");
    }
    let before = net.parameters()[0].tensor().to_vec().unwrap();
    let batches = [Ok((inputs, labels)), Err(Error::argument("load", "no more"))];
    let error = LrFinder { start: 1.0, ..finder }.run(&mut trainer, batches).unwrap_err();
    assert_eq!((error.to_string().as_str(), trainer.steps()), ("load: no more", 0));
    assert_eq!(net.parameters()[0].tensor().to_vec().unwrap(), before);
    // Data that ends early is a shorter curve.
    assert_eq!(finder.run(&mut trainer, none()).unwrap().losses.len(), 0);
}
