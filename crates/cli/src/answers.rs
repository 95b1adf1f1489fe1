//! What a trained network says of the samples it is tested on, and where it errs.

use striate::prelude::*;

use crate::Failure;
use crate::training::Job;

/// What the network says of one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The sample's place among those it is tested on.
    pub index: usize,
    /// What it is.
    pub label: usize,
    /// What it is taken for.
    pub predicted: usize,
    /// The probability that the network gives to that.
    pub probability: f32,
}

impl Answer {
    /// Whether the network is right.
    pub fn is_right(&self) -> bool {
        self.label == self.predicted
    }
}

/// One answer a sample of [`Job::last`], in their order.
pub fn answers(job: &Job) -> Result<Vec<Answer>, Failure> {
    let classes = job.classes.len();
    let mut answers = Vec::with_capacity(job.last().len());
    for batch in job.batches(job.last()) {
        let (samples, labels) = batch?;
        // Log-probabilities are their own log-softmax, so this serves networks that return either.
        let outputs = job.net.forward(&samples, &Pass::evaluate())?.softmax(1)?;
        let scores = outputs.to_vec()?;
        for (row, label) in scores.chunks_exact(outputs.shape()[1]).zip(labels.to_vec()?) {
            // A network of 120 outputs may name a class that is not in use; the likeliest in use counts here.
            let best = row[..classes].iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            let (predicted, &probability) = best.ok_or("expected classes")?;
            let (index, label) = (answers.len(), label as usize);
            answers.push(Answer { index, label, predicted, probability });
        }
    }
    Ok(answers)
}

/// How often each class (a row) was taken for each (a column).
pub fn confusion(answers: &[Answer], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes * classes];
    answers.iter().for_each(|answer| counts[answer.label * classes + answer.predicted] += 1);
    counts
}

/// The mistakes, the surest first.
pub fn mistakes(answers: &[Answer]) -> Vec<Answer> {
    let mut mistakes: Vec<Answer> = answers.iter().filter(|a| !a.is_right()).copied().collect();
    mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    mistakes
}
