//! Memory over a long training, in a process of its own: the pool's figures are the process's.

mod common;

use common::hash_tensor;
use striate::conv::buffer::{PoolStats, stats};
use striate::tensor::backend::Update;
use striate::tensor::{ConvSpec, PoolSpec, Result, Tensor};

/// One training step of a small network.
fn step(weights: &mut [Tensor; 2], images: &Tensor, labels: &Tensor<i64>) -> Result<()> {
    let hidden = images.conv(&weights[0], None, &ConvSpec::new([3, 3]).padding([1, 1]))?.relu()?;
    let pooled = hidden.max_pool(&PoolSpec::new([2, 2]))?.flatten(1, -1)?;
    let loss = pooled.linear(&weights[1], None)?.cross_entropy(labels)?;
    let gradients = loss.backward()?;
    let rule = Update::Sgd { rate: 0.01, momentum: 0.0, gain: 1.0, decay: 0.0, nesterov: false };
    for weight in weights {
        if let Some(gradient) = gradients.get(weight) {
            weight.update(&rule, gradient, &mut [])?;
        }
    }
    Ok(())
}

/// <https://github.com/tracel-ai/burn/issues/2743>, 4302 and 4792: memory grew with every step, or with every
/// forward pass whose graph was never walked.
#[test]
fn burn_2743_memory_is_constant_over_a_thousand_steps() -> Result<()> {
    let images: Tensor = hash_tensor("images", [4, 1, 8, 8]);
    let labels = Tensor::from_vec(vec![3, 1, 4, 1], [4], images.device())?;
    let weights = [("first", vec![6, 1, 3, 3]), ("second", vec![10, 6 * 4 * 4])];
    let mut weights = weights.map(|(name, shape)| hash_tensor(name, shape).tracked());
    let mut after: Vec<PoolStats> = Vec::new();
    for _ in 0..1000 {
        step(&mut weights, &images, &labels)?;
        // A graph that is dropped without having been walked.
        images.conv(&weights[0], None, &ConvSpec::new([3, 3]))?.exp()?;
        after.push(stats());
    }
    let (early, late) = (after[9], after[999]);
    assert!(early.in_use > 0);
    assert!(
        after[9..].iter().all(|stats| stats.in_use == early.in_use),
        "{early:?}, then {late:?}"
    );
    // What is in use at once depends a little on how threads meet.
    assert!(late.high_water <= early.high_water + early.high_water / 4, "{early:?}, then {late:?}");
    assert!(late.system_allocations <= early.system_allocations + 32, "{early:?}, then {late:?}");
    Ok(())
}
