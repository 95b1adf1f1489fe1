//! `striate show dead-logits`: why document 4's network often learns nothing.
//!
//! Its last convolution is followed by a ReLU. A class whose logit is negative on every image is cut to zero
//! everywhere, gets no gradient, and can never recover: with `k` such classes the others can at best share what the
//! softmax leaves them. So it is decided before the first step, by the seed.

use std::sync::{Arc, Mutex, PoisonError};

use striate::models::{Recipe, mnist_net};
use striate::prelude::*;

use super::super::print;
use crate::Failure;
use crate::data::Source;

/// Which classes of document 4's network are dead from the start, seed by seed
#[derive(clap::Args)]
pub struct Arguments {
    /// Seeds 1 to this
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How many digits a class must be dead on
    #[arg(long, default_value_t = 300)]
    images: usize,
}

impl Arguments {
    pub fn print(&self) -> Result<(), Failure> {
        dead_logits(self.seeds, self.images)
    }
}

/// Prints, for each seed, which classes of a fresh network are dead on all of `images` digits.
fn dead_logits(seeds: u64, images: usize) -> Result<(), Failure> {
    let digits = Source::Shipped.load(&Recipe::mnist_net())?.train;
    if images == 0 || images > digits.len() {
        return Err(format!("expected images in 1..={}, got {images}", digits.len()).into());
    }
    let few = digits.subset(0..images)?;
    print(format_args!("{:>4} {:>5}  dead classes, on {images} digits", "seed", "count"))?;
    for seed in 1..=seeds {
        let net = mnist_net(&Init::seed(seed), true)?;
        let highest = highest_logits(&net, &few)?;
        let dead = highest.iter().enumerate().filter(|(_, logit)| **logit <= 0.0);
        let dead: Vec<String> = dead.map(|(class, _)| class.to_string()).collect();
        print(format_args!("{seed:>4} {:>5}  {}", dead.len(), dead.join(" ")))?;
    }
    print(
        "a dead class gets no gradient and stays dead; mnist-net-free, without the last ReLU, has none",
    )
}

/// The largest logit of each class over all images, before the last ReLU.
fn highest_logits(
    net: &models::MnistNet,
    images: &(impl Dataset + Clone + 'static),
) -> Result<Vec<f32>, Failure> {
    let highest: Arc<Mutex<Vec<f32>>> = Arc::new(Mutex::new(vec![f32::NEG_INFINITY; 10]));
    let found = highest.clone();
    let pass = Pass::evaluate().hook("conv7", move |visit| {
        let batch = visit.output.max([0, 2, 3], false)?.to_vec()?;
        let mut highest = found.lock().unwrap_or_else(PoisonError::into_inner);
        highest.iter_mut().zip(batch).for_each(|(best, logit)| *best = best.max(logit));
        Ok(())
    });
    for batch in Loader::new(images).batch(100).epoch(0) {
        net.forward(&batch?.to(&Device::cpu())?.0, &pass)?;
    }
    let highest = highest.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(highest.clone())
}
