//! A training loop for classifiers, to take or leave: it does nothing that a caller could not do in ten lines, and
//! keeps what has to be saved in one place.
//!
//! A [`Trainer`] owns what changes while training: optimizer, schedule position and seed, beside the network. An
//! epoch is any iterator of batches, so data comes from wherever it comes from. [`Trainer::fit`] is the loop over epochs
//! for who wants nothing else between them; it returns the history.
//!
//! ```
//! use striate_nn::{Init, Pass, Trainer, evaluate, layers::Linear, optim::Sgd};
//! use striate_tensor::{Device, Error, Tensor};
//!
//! let device = Device::cpu();
//! let images = Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 1.0], [2, 2], &device)?;
//! let labels = Tensor::from_vec(vec![0, 1], [2], &device)?;
//! let batch = || Ok::<_, Error>((images.clone(), labels.clone()));
//!
//! let net = Linear::new(&Init::seed(1), 2, 2)?;
//! let mut trainer = Trainer::new(&net, Sgd::new(0.5), 1);
//! for _ in 0..20 {
//!     trainer.epoch([batch()], |_| true)?;
//! }
//! assert_eq!(evaluate(&net, Tensor::cross_entropy, [batch()])?.accuracy(), 1.0);
//! # Ok::<(), Error>(())
//! ```

use serde::{Deserialize, Serialize};
use striate_tensor::{Error, ErrorKind, Float, Result, Tensor};

use crate::checkpoint::{Checkpoint, State, expect_own_paths, load_state, state};
use crate::optim::{Optimizer, OptimizerState, Progress, Rule};
use crate::schedule::{Plateau, Schedule};
use crate::{Module, Pass, Smoothed};

/// A loss of outputs `[batch, classes]` and labels `[batch]`, as a mean over the batch.
pub type Loss<T> = fn(&Tensor<T>, &Tensor<i64>) -> Result<Tensor<T>>;

/// The same, with what it may have captured.
type BoxedLoss<'a, T> =
    Box<dyn Fn(&Tensor<T>, &Tensor<i64>) -> Result<Tensor<T>> + Send + Sync + 'a>;

/// Loss and hits over some samples.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Evaluation {
    /// The sum of the samples' losses.
    pub total_loss: f64,
    /// How many were classified rightly.
    pub hits: usize,
    /// How many there were.
    pub samples: usize,
}

impl Evaluation {
    /// The mean loss of a sample, NaN if there were none.
    pub fn loss(&self) -> f64 {
        self.total_loss / self.samples as f64
    }

    /// The share of samples that were classified rightly, NaN if there were none.
    pub fn accuracy(&self) -> f64 {
        self.hits as f64 / self.samples as f64
    }

    fn add<T: Float>(
        &mut self,
        loss: &Tensor<T>,
        outputs: &Tensor<T>,
        labels: &Tensor<i64>,
    ) -> Result<f64> {
        let loss = striate_tensor::Element::as_f64(loss.item()?);
        let predicted = outputs.detach().argmax(1, false)?.to_vec()?;
        let labels = labels.to_vec()?;
        self.total_loss += loss * labels.len() as f64;
        self.hits += predicted.iter().zip(&labels).filter(|(p, l)| p == l).count();
        self.samples += labels.len();
        Ok(loss)
    }
}

/// What is known after a training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Steps taken in the whole run.
    pub number: u64,
    /// The batch's mean loss.
    pub loss: f64,
    /// The learning rate that was used.
    pub lr: f64,
    /// The loss averaged over the last steps, across epochs.
    pub smoothed: f64,
    /// The samples of this epoch so far, as they were classified while training.
    pub so_far: Evaluation,
}

/// What is known after an epoch of [`Trainer::fit`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Epochs that have ended in the whole run.
    pub number: u64,
    /// The training samples, as they were classified while training.
    pub train: Evaluation,
    /// The validation samples after the epoch.
    pub valid: Evaluation,
    /// The learning rate of the last step.
    pub lr: f64,
}

/// A network in training.
pub struct Trainer<'a, T: Float = f32> {
    net: &'a dyn Module<T>,
    optimizer: Optimizer<T>,
    schedule: Schedule,
    loss: BoxedLoss<'a, T>,
    position: Position,
}

/// Where a run stands, besides its tensors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Position {
    seed: u64,
    epoch: u64,
    step: u64,
    /// Steps of the epoch that has begun, and what they saw.
    begun: u64,
    so_far: Evaluation,
    smoothed: Smoothed,
    plateau: Option<Plateau>,
}

impl<'a, T: Float> Trainer<'a, T> {
    /// Trains all parameters of `net` with `rule` on the cross-entropy, random layers drawing with `seed`.
    pub fn new(net: &'a dyn Module<T>, rule: impl Into<Rule>, seed: u64) -> Self {
        Self::with(net, Optimizer::new(net, rule), seed)
    }

    /// The same with an optimizer of the caller's making.
    pub fn with(net: &'a dyn Module<T>, optimizer: Optimizer<T>, seed: u64) -> Self {
        Trainer {
            net,
            optimizer,
            schedule: Schedule::Constant,
            loss: Box::new(Tensor::cross_entropy),
            position: Position { seed, ..Position::default() },
        }
    }

    /// The same with rates that change from step to step.
    pub fn schedule(self, schedule: impl Into<Schedule>) -> Self {
        Trainer { schedule: schedule.into(), ..self }
    }

    /// The same with rates that fall, on top of the schedule, when the values that [`Trainer::observe`] is told do not
    /// become better.
    pub fn plateau(mut self, plateau: Plateau) -> Self {
        self.position.plateau = Some(plateau);
        self
    }

    /// The same with another loss, of outputs `[batch, classes]` and labels `[batch]` as a mean over the batch, which may
    /// capture what it needs:
    ///
    /// ```
    /// use striate_nn::{Init, Trainer, layers::Linear, optim::Sgd};
    /// use striate_tensor::{Device, Tensor, ops::CrossEntropy};
    ///
    /// let rare = Tensor::from_vec(vec![1.0f32, 10.0], [2], &Device::cpu())?;
    /// let options = CrossEntropy { class_weights: Some(rare), ..CrossEntropy::default() };
    /// let net = Linear::new(&Init::seed(1), 2, 2)?;
    /// let trainer = Trainer::new(&net, Sgd::new(0.1), 1)
    ///     .loss(|logits, labels| logits.cross_entropy_with(labels, &options));
    /// # let _ = trainer;
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn loss(
        self,
        loss: impl Fn(&Tensor<T>, &Tensor<i64>) -> Result<Tensor<T>> + Send + Sync + 'a,
    ) -> Self {
        Trainer { loss: Box::new(loss), ..self }
    }

    /// How many epochs have ended.
    pub fn epochs(&self) -> u64 {
        self.position.epoch
    }

    /// How many steps have been taken.
    pub fn steps(&self) -> u64 {
        self.position.step
    }

    /// How many steps of the next epoch have been taken already, in a run that was stopped within it: as many of its
    /// batches are to be left out of [`Trainer::epoch`].
    pub fn begun(&self) -> u64 {
        self.position.begun
    }

    /// The loss averaged over the last steps, across epochs: see [`Smoothed`].
    pub fn smoothed_loss(&self) -> f64 {
        self.position.smoothed.value()
    }

    /// The learning rate of the last step.
    pub fn lr(&self) -> f64 {
        self.optimizer.lr()
    }

    /// One step: forward, loss, backward, update. Fails if the loss is not a finite number, before any parameter is
    /// updated; running moments have then seen the batch.
    pub fn step(
        &mut self,
        (inputs, labels): (&Tensor<T>, &Tensor<i64>),
        so_far: &mut Evaluation,
    ) -> Result<Step> {
        let mut settings = self.schedule.at(self.position.step as usize);
        settings.factor *= self.position.plateau.as_ref().map_or(1.0, |p| p.settings().factor);
        self.optimizer.set(settings);
        let step = inputs.device().enter(|| self.attempt((inputs, labels), so_far))?;
        if !step.loss.is_finite() {
            return Err(Error::new(
                ErrorKind::Data,
                "train",
                format!(
                    "expected a finite loss, got {} at step {}; a lower learning rate may help",
                    step.loss,
                    step.number + 1
                ),
            ));
        }
        Ok(step)
    }

    /// One step at the rate `lr`, whatever the schedule says. Nothing is updated if the loss is not finite.
    pub(crate) fn attempt_at(
        &mut self,
        lr: f64,
        batch: (&Tensor<T>, &Tensor<i64>),
        so_far: &mut Evaluation,
    ) -> Result<Step> {
        self.optimizer.set_lr(lr);
        batch.0.device().enter(|| self.attempt(batch, so_far))
    }

    /// One step as the optimizer is set. Nothing is updated if the loss is not finite.
    fn attempt(
        &mut self,
        (inputs, labels): (&Tensor<T>, &Tensor<i64>),
        so_far: &mut Evaluation,
    ) -> Result<Step> {
        let Position { seed, step, .. } = self.position;
        let outputs = self.net.forward(inputs, &Pass::train(seed, step))?;
        let loss = (self.loss)(&outputs, labels)?;
        let value = so_far.add(&loss, &outputs, labels)?;
        if value.is_finite() {
            self.optimizer.step(&loss.backward()?)?;
            self.position.step += 1;
            self.position.smoothed.add(value);
        }
        Ok(Step {
            number: self.position.step,
            loss: value,
            lr: self.optimizer.lr(),
            smoothed: self.smoothed_loss(),
            so_far: *so_far,
        })
    }

    /// One epoch over `batches`. After each step `on_step` is called; `false` stops the epoch there, which then does
    /// not count as ended: the next call goes on with it, over the batches that are left.
    pub fn epoch<E: Into<Error>>(
        &mut self,
        batches: impl IntoIterator<Item = Result<(Tensor<T>, Tensor<i64>), E>>,
        mut on_step: impl FnMut(&Step) -> bool,
    ) -> Result<Evaluation> {
        let mut so_far = self.position.so_far;
        for batch in batches {
            let (inputs, labels) = batch.map_err(Into::into)?;
            let step = self.step((&inputs, &labels), &mut so_far)?;
            self.position.begun += 1;
            self.position.so_far = so_far;
            if !on_step(&step) {
                return Ok(so_far);
            }
        }
        self.position.epoch += 1;
        (self.position.begun, self.position.so_far) = (0, Evaluation::default());
        Ok(so_far)
    }

    /// Tells the run's [`Plateau`], if it has one, what it watches: once an epoch, such as the validation loss.
    pub fn observe(&mut self, value: f64) {
        if let Some(plateau) = &mut self.position.plateau {
            plateau.observe(value);
        }
    }

    /// Trains until `epochs` have ended in the whole run, over the batches that `train` gives for each, counted from 0.
    /// After each, the network is evaluated on the batches of `valid`, and their loss [observed](Trainer::observe);
    /// `on_epoch` is called then, and `false` ends the training. Returns what was known after each epoch.
    ///
    /// ```
    /// # use striate_nn::{Init, Trainer, layers::Linear, optim::Sgd};
    /// # use striate_tensor::{Device, Error, Tensor};
    /// # let device = Device::cpu();
    /// # let images = Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 1.0], [2, 2], &device)?;
    /// # let labels = Tensor::from_vec(vec![0, 1], [2], &device)?;
    /// # let batches = || [Ok::<_, Error>((images.clone(), labels.clone()))];
    /// # let net = Linear::new(&Init::seed(1), 2, 2)?;
    /// let mut trainer = Trainer::new(&net, Sgd::new(0.5), 1);
    /// let history = trainer.fit(20, |_| batches(), batches, |epoch| epoch.valid.loss() > 0.3)?;
    /// assert!(history.len() < 20 && history.last().unwrap().valid.accuracy() == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fit<E: Into<Error>, B, V>(
        &mut self,
        epochs: u64,
        mut train: impl FnMut(u64) -> B,
        mut valid: impl FnMut() -> V,
        mut on_epoch: impl FnMut(&Epoch) -> bool,
    ) -> Result<Vec<Epoch>>
    where
        B: IntoIterator<Item = Result<(Tensor<T>, Tensor<i64>), E>>,
        V: IntoIterator<Item = Result<(Tensor<T>, Tensor<i64>), E>>,
    {
        let mut history = Vec::new();
        while self.epochs() < epochs {
            let left = train(self.epochs()).into_iter().skip(self.begun() as usize);
            let train = self.epoch(left, |_| true)?;
            let valid = evaluate(self.net, &self.loss, valid())?;
            self.observe(valid.loss());
            let epoch = Epoch { number: self.epochs(), train, valid, lr: self.lr() };
            history.push(epoch);
            if !on_epoch(&epoch) {
                break;
            }
        }
        Ok(history)
    }

    /// Everything that the run needs to go on to the same bits.
    pub fn checkpoint(&self) -> Result<Checkpoint<T>> {
        expect_own_paths(&self.net.parameters())?;
        let optimizer = self.optimizer.state();
        let named = |prefix: &str, tensors: State<T>| -> State<T> {
            let renamed = tensors.into_iter().map(|(name, t)| (format!("{prefix}{name}"), t));
            renamed.collect()
        };
        let mut tensors = named(MODEL, state(self.net));
        tensors.extend(named(OPTIMIZER, optimizer.tensors));
        let texts = [
            (POSITION.to_owned(), json(&self.position)?),
            (PROGRESS.to_owned(), json(&optimizer.progress)?),
        ];
        Ok(Checkpoint { tensors, texts: texts.into() })
    }

    /// Puts the run where `checkpoint` was taken. Strict: fails, changing nothing, if anything does not fit.
    pub fn restore(&mut self, checkpoint: &Checkpoint<T>) -> Result<()> {
        let under = |prefix: &str| -> State<T> {
            let named = checkpoint.tensors.iter();
            let stripped = named.filter_map(|(name, t)| Some((name.strip_prefix(prefix)?, t)));
            stripped.map(|(name, t)| (name.to_owned(), t.clone())).collect()
        };
        let mut position: Position = parse(checkpoint, POSITION)?;
        let progress: Progress = parse(checkpoint, PROGRESS)?;
        let known = |name: &String| name.starts_with(MODEL) || name.starts_with(OPTIMIZER);
        if let Some(stranger) = checkpoint.tensors.keys().find(|name| !known(name)) {
            let message = format!("expected tensors of a model and an optimizer, got {stranger}");
            return Err(Error::new(ErrorKind::Data, "restore", message));
        }
        let before = state(self.net);
        load_state(self.net, &under(MODEL))?;
        let optimizer = OptimizerState { tensors: under(OPTIMIZER), progress };
        self.optimizer.load_state(&optimizer).or_else(|error| {
            load_state(self.net, &before)?;
            Err(error)
        })?;
        // A plateau goes on where it stood; one that the stopped run did not have begins here.
        position.plateau = position.plateau.or(self.position.plateau.take());
        self.position = position;
        Ok(())
    }
}

const MODEL: &str = "model.";
const OPTIMIZER: &str = "optimizer.";
const POSITION: &str = "position";
const PROGRESS: &str = "progress";

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Data, "checkpoint", error.to_string()))
}

fn parse<T: Float, V: serde::de::DeserializeOwned>(
    checkpoint: &Checkpoint<T>,
    name: &str,
) -> Result<V> {
    let text = checkpoint.texts.get(name).map(String::as_str).unwrap_or_default();
    serde_json::from_str(text).map_err(|error| {
        let message = format!("expected a training checkpoint, its {name} is unreadable: {error}");
        Error::new(ErrorKind::Data, "restore", message)
    })
}

/// Loss and accuracy of `net` over `batches`, as in use: no dropout, running moments, no gradients.
pub fn evaluate<T: Float, E: Into<Error>>(
    net: &dyn Module<T>,
    loss: impl Fn(&Tensor<T>, &Tensor<i64>) -> Result<Tensor<T>>,
    batches: impl IntoIterator<Item = Result<(Tensor<T>, Tensor<i64>), E>>,
) -> Result<Evaluation> {
    let mut total = Evaluation::default();
    for batch in batches {
        let (inputs, labels) = batch.map_err(Into::into)?;
        let outputs = net.forward(&inputs, &Pass::evaluate())?;
        total.add(&loss(&outputs, &labels)?, &outputs, &labels)?;
    }
    Ok(total)
}
