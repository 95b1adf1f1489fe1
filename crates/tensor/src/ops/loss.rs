//! Losses, composed of the other operations; their gradients follow. A target has the shape of the input: nothing is
//! broadcast, as a mistaken shape would be.

use crate::{Error, Float, Result, Tensor};

/// What becomes of the losses of single elements or samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean (weighted, where there are weights).
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Their sum over the size of the first axis.
    BatchMean,
    /// Left as they are.
    None,
}

/// How [`Tensor::cross_entropy_with`] and [`Tensor::nll_with`] treat labels.
#[derive(Debug, Clone)]
pub struct CrossEntropy<T: Float = f32> {
    /// The share of the target that is spread over all classes (Szegedy et al. 2015).
    pub label_smoothing: f64,
    /// A weight for each class, `[classes]`.
    pub class_weights: Option<Tensor<T>>,
    /// A label whose samples count for nothing; by default there is none (PyTorch's is -100).
    pub ignore_index: Option<i64>,
    /// What becomes of the losses of single samples.
    pub reduction: Reduction,
}

impl<T: Float> Default for CrossEntropy<T> {
    fn default() -> Self {
        CrossEntropy {
            label_smoothing: 0.0,
            class_weights: None,
            ignore_index: None,
            reduction: Reduction::Mean,
        }
    }
}

impl<T: Float> Tensor<T> {
    /// The mean over samples of `-ln softmax(logits)[label]`: logits `[batch, classes, ..]`, labels `[batch, ..]`.
    pub fn cross_entropy(&self, labels: &Tensor<i64>) -> Result<Self> {
        self.cross_entropy_with(labels, &CrossEntropy::default())
    }

    /// [`Tensor::cross_entropy`] with smoothing, class weights, an ignored label or another reduction.
    ///
    /// A mean is the sum divided by the total weight of the labels. Where all are ignored, or of classes without weight,
    /// that is 0 / 0: NaN, as in PyTorch, whatever smoothing adds.
    pub fn cross_entropy_with(
        &self,
        labels: &Tensor<i64>,
        options: &CrossEntropy<T>,
    ) -> Result<Self> {
        check_labels("cross_entropy", self, labels)?;
        log_likelihood("cross_entropy", &self.log_softmax(1)?, labels, options)
    }

    /// The mean over samples of `-self[label]`, for log-probabilities `[batch, classes, ..]`.
    pub fn nll(&self, labels: &Tensor<i64>) -> Result<Self> {
        self.nll_with(labels, &CrossEntropy::default())
    }

    /// [`Tensor::nll`] with smoothing, class weights, an ignored label or another reduction.
    pub fn nll_with(&self, labels: &Tensor<i64>, options: &CrossEntropy<T>) -> Result<Self> {
        check_labels("nll", self, labels)?;
        log_likelihood("nll", self, labels, options)
    }

    /// Squared error.
    pub fn mse(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        reduce(&self.difference("mse", target)?.powf(2.0)?, reduction)
    }

    /// Absolute error.
    pub fn l1(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        reduce(&self.difference("l1", target)?.abs()?, reduction)
    }

    /// Squared error over `2 beta` below `beta`, absolute error less `beta / 2` above; [`Tensor::l1`] where `beta` is
    /// zero.
    pub fn smooth_l1(&self, target: &Self, beta: f64, reduction: Reduction) -> Result<Self> {
        if beta == 0.0 {
            return reduce(&self.difference("smooth_l1", target)?.abs()?, reduction);
        }
        positive("smooth_l1", "beta", beta)?;
        reduce(
            &self.difference("smooth_l1", target)?.two_sided("smooth_l1", [beta, beta])?,
            reduction,
        )
    }

    /// Half the squared error up to `delta`, then linear with slope `delta` (Huber 1964).
    pub fn huber(&self, target: &Self, delta: f64, reduction: Reduction) -> Result<Self> {
        positive("huber", "delta", delta)?;
        reduce(&self.difference("huber", target)?.two_sided("huber", [delta, 1.0])?, reduction)
    }

    /// `-(t ln p + (1 - t) ln (1 - p))` for probabilities; as in PyTorch, each logarithm is at least -100, and the
    /// gradient `(p - t) / (p (1 - p))` has a denominator of at least 1e-12; that
    /// of the target is not limited. Fails on a number outside `[0, 1]`, for which it
    /// waits for the device.
    pub fn bce(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        self.expect_shape("bce", target)?;
        self.expect_probabilities("bce")?;
        let (p, t) = (self.detach(), target.detach());
        let log = |p: &Tensor<T>| p.ln()?.clamp(-100.0, f64::MAX);
        let (hit, miss) = (log(&p)?, log(&(1.0 - &p)?)?);
        let loss = (-(&t * &hit + ((1.0 - &t)? * &miss)?)?)?;
        let loss = loss.record("bce", &[self, target], move |grad, needs| {
            let spread = || (&p * (1.0 - &p)?)?.clamp(f64::from(1e-12f32), f64::MAX);
            let input = || grad * ((&p - &t)? / spread()?)?;
            let target = || grad * ((1.0 - &p)?.ln()? - p.ln()?)?;
            Ok(vec![needs[0].then(input).transpose()?, needs[1].then(target).transpose()?])
        });
        reduce(&loss, reduction)
    }

    /// [`Tensor::bce`] of `sigmoid(self)`, exact for large logits: `t ln(1 + e^-x) + (1 - t) ln(1 + e^x)`; of an infinite
    /// logit that is wrong it is infinite, where PyTorch's is NaN.
    pub fn bce_with_logits(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        self.expect_shape("bce_with_logits", target)?;
        let hit = (target * (-self)?.softplus()?)?;
        let miss = ((1.0 - target)? * self.softplus()?)?;
        reduce(&(hit + miss)?, reduction)
    }

    /// `t (ln t - x)` for log-probabilities `x` and probabilities `t`; `-t x` where `t` is zero, and there the slope along `t`
    /// is that of `-t x`, too, where PyTorch's is NaN.
    pub fn kl_div(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        self.expect_shape("kl_div", target)?;
        let zero = Tensor::scalar(T::ZERO, self.device())?;
        let one = Tensor::scalar(T::ONE, self.device())?;
        let entropy = target.eq(&zero)?.choose(&one, target)?.ln()?;
        reduce(&(target * (entropy - self)?)?, reduction)
    }

    fn difference(&self, op: &str, target: &Self) -> Result<Self> {
        self.expect_shape(op, target)?;
        self - target
    }

    fn expect_shape(&self, op: &str, target: &Self) -> Result<()> {
        if self.shape() == target.shape() {
            return Ok(());
        }
        Err(Error::shape(
            op,
            format!("expected a target of shape {:?}, got {:?}", self.shape(), target.shape()),
        ))
    }

    fn expect_probabilities(&self, op: &str) -> Result<()> {
        if self.is_empty() || self.device().is_meta() {
            return Ok(());
        }
        let p = self.detach();
        let (low, high) = (p.min(.., false)?.item()?, p.max(.., false)?.item()?);
        if low >= T::ZERO && high <= T::ONE {
            return Ok(());
        }
        let message = format!("expected probabilities, got numbers from {low} to {high}");
        Err(Error::argument(op, message))
    }

    /// `x^2 / (2 unit)` within `bound`, `bound (|x| - bound / 2) / unit` beyond: with `c = min(|x|, bound)` both are
    /// `c / unit (|x| - c / 2)`. Its slope is `x / unit` with `x` limited to `bound`; a rule of its own, since the chain
    /// rule would multiply an infinite square's slope with zero.
    fn two_sided(&self, op: &'static str, [bound, unit]: [f64; 2]) -> Result<Self> {
        let limited = move |low: f64, x: &Self| -> Result<Self> { x.clamp(low, bound)? / unit };
        let x = self.detach();
        let size = x.abs()?;
        let loss = (limited(0.0, &size)? * (&size - size.clamp(0.0, bound)?.affine(0.5, 0.0)?)?)?;
        Ok(loss.record(op, &[self], move |grad, _| Ok(vec![Some((grad * limited(-bound, &x)?)?)])))
    }
}

fn positive(op: &str, name: &str, value: f64) -> Result<()> {
    if value > 0.0 {
        return Ok(());
    }
    Err(Error::argument(op, format!("expected {name} above zero, got {value}")))
}

fn reduce<T: Float>(loss: &Tensor<T>, reduction: Reduction) -> Result<Tensor<T>> {
    match reduction {
        Reduction::Mean => loss.mean(.., false),
        Reduction::Sum => loss.sum(.., false),
        Reduction::None => Ok(loss.clone()),
        Reduction::BatchMean => {
            let batch = loss.shape().first().copied().unwrap_or(1);
            loss.sum(.., false)? * (1.0 / batch as f64)
        }
    }
}

fn check_labels<T: Float>(op: &str, x: &Tensor<T>, labels: &Tensor<i64>) -> Result<()> {
    let fits = match x.shape() {
        [batch, _, rest @ ..] => labels.shape() == [&[*batch], rest].concat(),
        _ => false,
    };
    if fits {
        return x.expect_device(op, labels);
    }
    Err(Error::shape(
        op,
        format!(
            "expected scores [batch, classes, ..] and labels [batch, ..], got {:?} and {:?}",
            x.shape(),
            labels.shape()
        ),
    ))
}

/// For each sample `-(1 - s) w[label] log_p[label] - s / classes sum_c w[c] log_p[c]`, then the reduction; a
/// mean is over the weights of the labels.
fn log_likelihood<T: Float>(
    op: &str,
    log_p: &Tensor<T>,
    labels: &Tensor<i64>,
    options: &CrossEntropy<T>,
) -> Result<Tensor<T>> {
    let smoothing = options.label_smoothing;
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(Error::argument(
            op,
            format!("expected label_smoothing in 0..=1, got {smoothing}"),
        ));
    }
    let (labels, counts) = valid_labels(labels, options.ignore_index, log_p)?;
    let classes = log_p.shape()[1];
    let pick = |x: &Tensor<T>| pick_label(op, x, &labels);
    let (scores, weights) = match &options.class_weights {
        None => (log_p.clone(), counts.clone()),
        Some(weights) => {
            let weights = per_class(op, weights, log_p)?;
            let own = pick(&weights)?;
            let own = counts.as_ref().map_or(Ok(own.clone()), |counts| &own * counts)?;
            ((log_p * &weights)?, Some(own))
        }
    };
    let reduced = |loss: Tensor<T>| {
        let loss = match &counts {
            None => loss,
            Some(counts) => {
                // Chosen, not multiplied: the score that stands in for an ignored label may be infinite.
                let zero = Tensor::scalar(T::ZERO, loss.device())?;
                counts.gt(&zero)?.choose(&loss, &zero)?
            }
        };
        match (options.reduction, &weights) {
            (Reduction::Mean, Some(weights)) => loss.sum(.., false)? / weights.sum(.., false)?,
            (reduction, _) => reduce(&loss, reduction),
        }
    };
    let loss = reduced(pick(&scores)?.affine(smoothing - 1.0, 0.0)?)?;
    if smoothing == 0.0 {
        return Ok(loss);
    }
    // Apart, so that without weight the first part's 0 / 0 is in the mean.
    loss + reduced(scores.sum(1, false)?.affine(-smoothing / classes as f64, 0.0)?)?
}

/// `x[b, labels[b, ..], ..]`.
fn pick_label<T: Float>(op: &str, x: &Tensor<T>, labels: &Tensor<i64>) -> Result<Tensor<T>> {
    let mut column = labels.shape().to_vec();
    column.insert(1, 1);
    let index = Tensor::from_storage(labels.storage().clone(), column, labels.device());
    x.gather(1, &index)
        .map_err(|error| Error::new(error.kind(), op, error.message()))?
        .reshape(labels.shape())
}

/// Class weights spread to the shape of the scores.
fn per_class<T: Float>(op: &str, weights: &Tensor<T>, scores: &Tensor<T>) -> Result<Tensor<T>> {
    let classes = scores.shape()[1];
    if weights.shape() != [classes] {
        return Err(Error::shape(
            op,
            format!("expected class weights of shape [{classes}], got {:?}", weights.shape()),
        ));
    }
    let mut shape = vec![1; scores.rank() - 1];
    shape[0] = classes;
    weights.detach().reshape(shape)?.expand(scores.shape())
}

/// Labels that can be looked up, and a one for each sample that counts if some do not.
fn valid_labels<T: Float>(
    labels: &Tensor<i64>,
    ignore: Option<i64>,
    like: &Tensor<T>,
) -> Result<(Tensor<i64>, Option<Tensor<T>>)> {
    let Some(ignore) = ignore else { return Ok((labels.clone(), None)) };
    let numbers = labels.cast::<f64>()?;
    let device = like.device();
    let ignored = equal_to(labels, &numbers, ignore)?;
    let constant = |value: f64| Tensor::scalar(T::from_f64(value), device);
    let counts = ignored.choose(&constant(0.0)?, &constant(1.0)?)?;
    let valid = ignored.choose(&Tensor::scalar(0.0, device)?, &numbers)?;
    Ok((valid.cast()?, Some(counts)))
}

/// Which labels are `label`. Devices compare floats, among which a whole number below `2^53` is like no other; a larger
/// one is compared on the host.
fn equal_to(labels: &Tensor<i64>, numbers: &Tensor<f64>, label: i64) -> Result<Tensor<bool>> {
    let device = labels.device();
    if label.unsigned_abs() < 1 << f64::MANTISSA_DIGITS || device.is_meta() {
        return numbers.eq(&Tensor::scalar(label as f64, device)?);
    }
    let equal = labels.to_vec()?.into_iter().map(|other| other == label).collect();
    Tensor::from_vec(equal, labels.shape(), device)
}
