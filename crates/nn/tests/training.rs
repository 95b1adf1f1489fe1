//! Training runs: continued to the same bits, stopped by a loss that is not finite, saved and loaded strictly.

use striate_nn::layers::*;
use striate_nn::optim::{Adam, Sgd};
use striate_nn::schedule::{Goal, OneCycle, Plateau, Threshold};
use striate_nn::{Checkpoint, Epoch, Init, Module, Pass, Trainer, evaluate, load_state, state};
use striate_tensor::ops::CrossEntropy;
use striate_tensor::random::{Key, Purpose};
use striate_tensor::{ConvSpec, Device, ErrorKind, Result, Tensor};

type Batch = Result<(Tensor, Tensor<i64>)>;

fn batches(epoch: u64) -> Vec<Batch> {
    let device = Device::cpu();
    let batch = |number: u64| {
        let key = Key::new(3, Purpose::Other(1)).step(epoch).stream(number);
        let x = Tensor::uniform([6, 1, 4, 4], (0.0, 1.0), &key, &device)?;
        let labels = (0..6).map(|i| (i + epoch as i64) % 3).collect();
        Ok((x, Tensor::from_vec(labels, [6], &device)?))
    };
    (0..4).map(batch).collect()
}

/// With everything that has a state: batch norm, dropout.
fn net(seed: u64) -> Result<Sequential> {
    Sequential::new(&Init::seed(seed))
        .then(|at| Conv2d::new(at, 1, 3, ConvSpec::new([3, 3])))?
        .then(|at| BatchNorm2d::new(at, 3))?
        .then(|at| Dropout::new(at, 0.3))?
        .then(|at| Ok(Flatten::new(at)))?
        .then(|at| Linear::new(at, 12, 3))
}

fn trainer(net: &Sequential) -> Trainer<'_> {
    Trainer::new(net, Adam::new(0.01), 5).schedule(OneCycle::fastai(16))
}

fn values(net: &Sequential) -> Result<Vec<Vec<f32>>> {
    state(net).values().map(Tensor::to_vec).collect()
}

#[test]
fn a_restored_run_has_the_bits_of_an_uninterrupted_one() -> Result<()> {
    let whole = net(1)?;
    let mut run = trainer(&whole);
    for epoch in 0..4 {
        run.epoch(batches(epoch), |_| true)?;
    }
    let first = net(1)?;
    let mut run = trainer(&first);
    for epoch in 0..2 {
        run.epoch(batches(epoch), |_| true)?;
    }
    let bytes = run.checkpoint()?.to_bytes()?;
    assert_ne!(values(&first)?, values(&whole)?);

    let second = net(99)?;
    let mut run = trainer(&second);
    run.restore(&Checkpoint::from_bytes(&bytes, &Device::cpu())?)?;
    assert_eq!((run.epochs(), run.steps()), (2, 8));
    for epoch in 2..4 {
        run.epoch(batches(epoch), |_| true)?;
    }
    assert_eq!(values(&second)?, values(&whole)?);
    Ok(())
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_before_the_weights() -> Result<()> {
    let net = net(1)?;
    let mut run = Trainer::new(&net, Sgd::new(f64::MAX.sqrt()), 1);
    let error = run.epoch(batches(0), |_| true).unwrap_err();
    assert!(error.to_string().starts_with("train: expected a finite loss, got "), "{error}");
    assert!(error.to_string().contains("at step 2;"), "{error}");
    assert_eq!(run.steps(), 1);
    Ok(())
}

#[test]
fn an_epoch_that_is_stopped_does_not_count() -> Result<()> {
    let net = net(1)?;
    let mut run = trainer(&net);
    let so_far = run.epoch(batches(0), |step| step.number < 2)?;
    assert_eq!((run.epochs(), run.steps(), so_far.samples), (0, 2, 12));

    // Its checkpoint knows where it stopped, and what is left of the epoch completes it to the same bits.
    let whole = self::net(1)?;
    let mut uninterrupted = trainer(&whole);
    let expected = uninterrupted.epoch(batches(0), |_| true)?;
    let other = self::net(9)?;
    let mut continued = trainer(&other);
    continued.restore(&run.checkpoint()?)?;
    assert_eq!(continued.begun(), 2);
    assert_eq!(continued.epoch(batches(0).into_iter().skip(2), |_| true)?, expected);
    assert_eq!((continued.epochs(), continued.begun(), continued.steps()), (1, 0, 4));
    assert_eq!(continued.smoothed_loss(), uninterrupted.smoothed_loss());
    assert_eq!(values(&other)?, values(&whole)?);
    Ok(())
}

#[test]
fn a_fit_is_its_epochs_and_continues_with_the_plateau_where_it_stood() -> Result<()> {
    fn fresh(net: &Sequential) -> Trainer<'_> {
        // No epoch counts as better than the first, so that the rate is halved after each other one.
        let plateau = Plateau::new(Goal::Min).factor(0.5).patience(0);
        trainer(net).plateau(plateau.threshold(Threshold::Absolute(1e3)))
    }
    fn fit(run: &mut Trainer, epochs: u64) -> Result<Vec<Epoch>> {
        run.fit(epochs, batches, || batches(9), |_| true)
    }
    let whole = net(1)?;
    let mut run = fresh(&whole);
    let history = fit(&mut run, 4)?;
    assert_eq!(history.iter().map(|epoch| epoch.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(history[3].valid, evaluate(&whole, Tensor::cross_entropy, batches(9))?);
    for (epoch, halvings) in history.iter().zip([0, 0, 1, 2]) {
        let scheduled = OneCycle::fastai(16).at(4 * epoch.number as usize - 1).factor * 0.01;
        assert_eq!(epoch.lr, scheduled * 0.5f64.powi(halvings));
    }

    // Stopped within the third epoch and restored into another run.
    let first = net(1)?;
    let mut run = fresh(&first);
    assert_eq!(fit(&mut run, 2)?, history[..2]);
    run.epoch(batches(2), |step| step.number < 10)?;
    let second = net(99)?;
    let mut continued = fresh(&second);
    continued.restore(&run.checkpoint()?)?;
    assert_eq!(fit(&mut continued, 4)?, history[2..]);
    assert_eq!(values(&second)?, values(&whole)?);
    Ok(())
}

#[test]
fn a_fit_ends_when_told() -> Result<()> {
    let net = net(1)?;
    let history = trainer(&net).fit(9, batches, || batches(9), |epoch| epoch.number < 2)?;
    assert_eq!(history.len(), 2);
    Ok(())
}

#[test]
fn a_loss_may_capture_class_weights() -> Result<()> {
    let weights = Tensor::from_vec(vec![0.0f32, 0.0, 1.0], [3], &Device::cpu())?;
    let options = CrossEntropy { class_weights: Some(weights), ..CrossEntropy::default() };
    let net = net(1)?;
    let mut run = Trainer::new(&net, Adam::new(0.05), 1)
        .loss(|logits, labels| logits.cross_entropy_with(labels, &options));
    for epoch in 0..20 {
        run.epoch(batches(epoch), |_| true)?;
    }
    // Only the last class counts, so that it is what the network says of everything.
    let (inputs, _) = batches(0).remove(0)?;
    let predicted = net.forward(&inputs, &Pass::evaluate())?.argmax(1, false)?.to_vec()?;
    assert_eq!(predicted, [2; 6]);
    Ok(())
}

#[test]
fn loading_is_strict_and_changes_nothing_on_failure() -> Result<()> {
    let net = net(1)?;
    let before = values(&net)?;
    let mut other = state(&self::net(2)?);
    let weight = other.remove("4.weight").unwrap();
    other.insert("4.wait".into(), weight);
    other.insert("0.bias".into(), Tensor::zeros([4], &Device::cpu())?);
    let error = load_state(&net, &other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(
        error.to_string(),
        "load_state: missing: 4.weight; unexpected: 4.wait; misshapen: 0.bias (expected [3], got [4])"
    );
    assert_eq!(values(&net)?, before);
    Ok(())
}

#[test]
fn every_damaged_file_is_an_error() -> Result<()> {
    let net = Linear::<f32>::new(&Init::seed(1).at("l"), 3, 2)?;
    let bytes = Checkpoint::of(&net).to_bytes()?;
    let read = |bytes: &[u8]| Checkpoint::<f32>::from_bytes(bytes, &Device::cpu());
    assert_eq!(read(&bytes)?.tensors["l.weight"].to_vec()?, net.parameters()[0].tensor().to_vec()?);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
    // A header that lies, in every single byte: an error or other numbers, never a panic.
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x55;
        let _ = read(&damaged);
    }
    Ok(())
}

#[test]
fn whole_numbers_are_stored_as_pytorch_does() -> Result<()> {
    let net = net(1)?;
    trainer(&net).epoch(batches(0), |_| true)?;
    let bytes = Checkpoint::of(&net).to_bytes()?;
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let count = file.tensor("1.num_batches_tracked").unwrap();
    assert_eq!(count.dtype(), safetensors::Dtype::I64);
    assert_eq!((count.shape(), count.data()), (&[][..], &4i64.to_le_bytes()[..]));
    Ok(())
}
