//! What backward promises: which tensors get gradients, how they add up, what is refused, what is freed.

mod common;

use std::sync::Arc;

use common::hash_tensor;
use striate::conv::buffer::rounded;
use striate::tensor::autograd::Operation;
use striate::tensor::backend::Update;
use striate::tensor::backend::meta::Meta;
use striate::tensor::gradcheck::{Failure, gradcheck};
use striate::tensor::{Device, Error, ErrorKind, Gradients, Result, Tensor};

fn vector(values: &[f64]) -> Tensor<f64> {
    Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap()
}

fn gradient(gradients: &Gradients<f64>, leaf: &Tensor<f64>) -> Vec<f64> {
    gradients.get(leaf).unwrap().to_vec().unwrap()
}

fn assert_refused<T>(result: Result<T>, kind: ErrorKind, message: &str) {
    let error: Error = result.err().expect("should be refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().starts_with(message), "{error}");
}

#[test]
fn ways_to_a_leaf_add_up() -> Result<()> {
    let x = vector(&[2.0, -3.0]).tracked();
    // x^2 + x, and x once more past it.
    let y = (&x * &x + &x)?;
    let loss = (y.sum(.., false)? + (&x * 10.0)?.sum(.., false)?)?;
    assert_eq!(gradient(&loss.backward()?, &x), [2.0 * 2.0 + 11.0, 2.0 * -3.0 + 11.0]);
    Ok(())
}

/// Sixty doublings are 2^60 ways from the leaf to the result; each operation is visited once.
#[test]
fn shared_results_are_visited_once() -> Result<()> {
    let x = vector(&[1.0]).tracked();
    let mut y = x.clone();
    for _ in 0..60 {
        y = (&y + &y)?;
    }
    assert_eq!(gradient(&y.backward()?, &x), [2f64.powi(60)]);
    Ok(())
}

/// One gradient is handed to both operands of a sum; adding to it for one must not change the other's.
#[test]
fn gradients_that_share_memory_are_not_overwritten() -> Result<()> {
    let (x, y) = (vector(&[1.0, 2.0]).tracked(), vector(&[3.0, 4.0]).tracked());
    let sum = (&x + &y)?;
    let loss = ((&sum + &x)? + &(&y * 5.0)?)?.sum(.., false)?;
    let gradients = loss.backward()?;
    assert_eq!(gradient(&gradients, &x), [2.0, 2.0]);
    assert_eq!(gradient(&gradients, &y), [6.0, 6.0]);
    Ok(())
}

#[test]
fn detached_tensors_are_constants() -> Result<()> {
    let x = vector(&[2.0, 5.0]).tracked();
    let loss = (&x * &x.detach())?.sum(.., false)?;
    assert_eq!(gradient(&loss.backward()?, &x), [2.0, 5.0]);
    assert!(!x.detach().is_tracked() && x.detach().variable_id().is_none());
    assert_refused(
        x.detach().sum(.., false)?.backward(),
        ErrorKind::Gradient,
        "backward: expected",
    );
    Ok(())
}

#[test]
fn only_leaves_that_were_used_get_gradients() -> Result<()> {
    let (x, unused, constant) =
        (vector(&[1.0]).tracked(), vector(&[1.0]).tracked(), vector(&[7.0]));
    let between = (&x * &constant)?;
    let gradients = (&between * 2.0)?.backward()?;
    assert_eq!(gradient(&gradients, &x), [14.0]);
    assert!(gradients.get(&unused).is_none() && gradients.get(&constant).is_none());
    assert!(between.is_tracked() && between.variable_id().is_none());
    assert!(gradients.get(&between).is_none());
    assert_eq!((gradients.len(), gradients.is_empty()), (1, false));
    Ok(())
}

#[test]
fn gradients_are_listed_in_the_order_of_their_leaves() -> Result<()> {
    let leaves = [1.0, 2.0, 3.0].map(|value| vector(&[value]).tracked());
    let product = (&leaves[2] * &leaves[0])? * &leaves[1];
    let mut gradients = product?.backward()?;
    let listed: Vec<_> =
        gradients.iter().map(|(id, gradient)| (id, gradient.item().unwrap())).collect();
    let ids = leaves.each_ref().map(|leaf| leaf.variable_id().unwrap());
    assert_eq!(listed, [(ids[0], 6.0), (ids[1], 3.0), (ids[2], 2.0)]);
    gradients.set(ids[1], vector(&[0.5]));
    assert_eq!(gradients.by_id(ids[1]).unwrap().item()?, 0.5);
    Ok(())
}

#[test]
fn a_leaf_is_its_own_result() -> Result<()> {
    let x = vector(&[3.0]).tracked();
    assert_eq!(gradient(&x.backward()?, &x), [1.0]);
    let matrix = hash_tensor::<f64>("matrix", [2, 3]).tracked();
    let g = hash_tensor::<f64>("gradient", [2, 3]);
    assert_eq!(gradient(&matrix.backward_with(&g)?, &matrix), g.to_vec()?);
    Ok(())
}

#[test]
fn copies_of_a_leaf_are_the_leaf_and_tracking_makes_a_new_one() -> Result<()> {
    let x = vector(&[3.0]).tracked();
    let again = x.tracked();
    assert_eq!(x.variable_id(), x.clone().variable_id());
    assert_ne!(x.variable_id(), again.variable_id());
    let gradients = (&x.clone() * &again)?.backward()?;
    assert_eq!((gradient(&gradients, &x), gradient(&gradients, &again)), (vec![3.0], vec![3.0]));
    let loaded = x.with_values(&vector(&[8.0]))?;
    assert_eq!((loaded.item()?, loaded.variable_id()), (8.0, x.variable_id()));
    assert_refused(
        x.with_values(&vector(&[1.0, 2.0])),
        ErrorKind::Shape,
        "with_values: expected shape [1]",
    );
    Ok(())
}

#[test]
fn results_that_are_no_single_value_are_refused() -> Result<()> {
    let x = vector(&[1.0, 2.0]).tracked();
    assert_refused(
        x.backward(),
        ErrorKind::Shape,
        "backward: expected a single value to differentiate, got [2]",
    );
    assert_refused(
        x.backward_with(&vector(&[1.0])),
        ErrorKind::Shape,
        "backward: expected a gradient of shape [2], got [1]",
    );
    let elsewhere = Tensor::zeros([2], &Device::meta())?;
    assert_refused(
        (&x * 2.0)?.backward_with(&elsewhere),
        ErrorKind::Device,
        "backward: expected tensors on one device",
    );
    Ok(())
}

#[test]
fn a_graph_is_walked_once() -> Result<()> {
    let x = vector(&[1.0, 2.0]).tracked();
    let shared = x.exp()?;
    let (first, second) = (shared.sum(.., false)?, (&shared * &shared)?.sum(.., false)?);
    first.backward()?;
    let message = "backward: expected a graph that has not been walked";
    assert_refused(first.backward(), ErrorKind::Gradient, message);
    // The other result shares an operation whose values are gone.
    assert_refused(second.backward(), ErrorKind::Gradient, message);
    // The leaf itself is as good as new.
    assert_eq!(gradient(&(&x * 3.0)?.sum(.., false)?.backward()?, &x), [3.0, 3.0]);
    Ok(())
}

#[test]
fn derivatives_are_of_first_order() -> Result<()> {
    let x = vector(&[2.0]).tracked();
    let gradients = x.powf(3.0)?.backward()?;
    let first = gradients.get(&x).unwrap();
    assert!(!first.is_tracked());
    assert_refused(
        first.backward(),
        ErrorKind::Gradient,
        "backward: expected a tensor that depends on a tracked one; gradients themselves are not tracked",
    );
    Ok(())
}

#[test]
fn no_gradient_passes_through_a_conversion() -> Result<()> {
    let x = vector(&[1.5]).tracked();
    assert_refused(x.cast::<f32>(), ErrorKind::Gradient, "cast: expected a detached tensor");
    assert_eq!(x.detach().cast::<f32>()?.item()?, 1.5);
    assert!(!x.to_device(&Device::meta())?.is_tracked());
    Ok(())
}

/// An optimizer may step before a graph that saved the weight has been walked.
#[test]
fn an_update_leaves_saved_values_alone() -> Result<()> {
    let x = vector(&[1.0, 2.0]).tracked();
    let mut weight = vector(&[3.0, 4.0]).tracked();
    let before = weight.clone();
    let loss = (&x * &weight)?.sum(.., false)?;
    let rule = Update::Sgd { rate: 1.0, momentum: 0.0, gain: 1.0, decay: 0.0, nesterov: false };
    weight.update(&rule, &vector(&[1.0, 1.0]), &mut [])?;
    assert_eq!(weight.to_vec()?, [2.0, 3.0]);
    assert_eq!(weight.variable_id(), before.variable_id());
    assert_eq!(gradient(&loss.backward()?, &x), [3.0, 4.0]);
    Ok(())
}

/// Walking frees what an operation saved although the result still lives.
#[test]
fn walking_frees_what_was_saved() -> Result<()> {
    let meta = Meta::new();
    let ledger = meta.ledger();
    let device = Device::from_backend(Arc::new(meta));
    let x = Tensor::<f32>::zeros([1000], &device)?.tracked();
    let held = ledger.bytes();
    let mut y = x.clone();
    for _ in 0..10 {
        y = y.tanh()?;
    }
    let loss = y.sum(.., false)?;
    drop(y);
    let bytes = |len: usize| rounded(len * size_of::<f32>()) as u64;
    assert_eq!(ledger.bytes() - held, 10 * bytes(1000) + bytes(1));
    drop(loss.backward()?);
    assert_eq!(ledger.bytes() - held, bytes(1));
    assert!(loss.is_tracked());
    Ok(())
}

/// The rule of an operation under test: from inputs and gradient to gradients.
type Gradient = fn(&[Tensor<f64>], &Tensor<f64>) -> Result<Vec<Option<Tensor<f64>>>>;

/// `a b^2`, with choices of what to hand back.
struct Weighted {
    gradients: Gradient,
}

impl Operation<f64> for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }

    fn forward(&self, inputs: &[Tensor<f64>]) -> Result<Tensor<f64>> {
        assert!(inputs.iter().all(|input| !input.is_tracked()));
        &inputs[0] * &inputs[1].powf(2.0)?
    }

    fn backward(
        &self,
        inputs: &[Tensor<f64>],
        _: &Tensor<f64>,
        grad: &Tensor<f64>,
    ) -> Result<Vec<Option<Tensor<f64>>>> {
        (self.gradients)(inputs, grad)
    }
}

fn weighted(gradients: Gradient, inputs: &[Tensor<f64>]) -> Result<Tensor<f64>> {
    Tensor::apply(Weighted { gradients }, &[&inputs[0], &inputs[1]])
}

#[test]
fn own_operations_are_differentiated_by_their_own_rule() -> Result<()> {
    let inputs = ["a", "b"].map(|name| hash_tensor::<f64>(name, [2, 3]));
    let right = |inputs: &[Tensor<f64>]| {
        let rule = |x: &[Tensor<f64>], g: &Tensor<f64>| {
            Ok(vec![Some((g * &x[1].powf(2.0)?)?), Some((g * &(&x[0] * &(&x[1] * 2.0)?)?)?)])
        };
        // Once more past it, so that its gradients are added to others.
        weighted(rule, inputs)? + &inputs[0]
    };
    gradcheck(&inputs, right).unwrap();

    let wrong =
        |inputs: &[Tensor<f64>]| weighted(|x, g| Ok(vec![Some((g * &x[1])?), None]), inputs);
    let failure = gradcheck(&inputs, wrong).unwrap_err();
    assert!(matches!(failure, Failure::Mismatch { input: 0, index: 0, .. }), "{failure}");

    let leaves = inputs.each_ref().map(Tensor::tracked);
    let half = weighted(|x, g| Ok(vec![None, Some((g * &x[0])?)]), &leaves)?;
    let gradients = half.sum(.., false)?.backward()?;
    assert!(gradients.get(&leaves[0]).is_none());
    assert_eq!(gradient(&gradients, &leaves[1]), inputs[0].to_vec()?);
    Ok(())
}

#[test]
fn own_operations_with_gradients_that_do_not_fit_are_refused() -> Result<()> {
    let leaves = ["a", "b"].map(|name| hash_tensor::<f64>(name, [2, 3]).tracked());
    let refused = |rule, message| {
        let loss = weighted(rule, &leaves).unwrap().sum(.., false).unwrap();
        assert_refused(loss.backward(), ErrorKind::Gradient, message);
    };
    refused(
        |_, g| Ok(vec![Some(g.clone())]),
        "weighted: expected a gradient, or none, for each of 2 inputs, got 1",
    );
    refused(
        |_, g| Ok(vec![Some(g.sum(.., false)?), None]),
        "weighted: expected a gradient of shape [2, 3] for input 0, got []",
    );
    Ok(())
}

#[test]
fn errors_of_own_operations_are_passed_on() {
    let leaves = ["a", "b"].map(|name| hash_tensor::<f64>(name, [2]).tracked());
    let failing = weighted(|_, _| Err(Error::argument("weighted", "no")), &leaves).unwrap();
    assert_refused(failing.sum(.., false).unwrap().backward(), ErrorKind::Argument, "weighted: no");
}

#[test]
fn graphs_may_be_built_and_walked_on_any_thread() -> Result<()> {
    fn crosses_threads<T: Send + Sync + 'static>(_: &T) {}
    let x = vector(&[1.0, 2.0]).tracked();
    let y = x.exp()?;
    crosses_threads(&y);
    crosses_threads(&Gradients::clone(&vector(&[1.0]).tracked().backward()?));
    crosses_threads(&Device::cpu());
    let expected = y.to_vec()?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=4)
            .map(|factor| {
                // Every thread builds on the same leaf; none walks another's graph.
                let x = &x;
                scope.spawn(move || {
                    let loss =
                        (x.exp().unwrap() * f64::from(factor)).unwrap().sum(.., false).unwrap();
                    gradient(&loss.backward().unwrap(), x)
                })
            })
            .collect();
        for (worker, factor) in workers.into_iter().zip(1..) {
            let scaled: Vec<f64> = expected.iter().map(|y| y * f64::from(factor)).collect();
            assert_eq!(worker.join().unwrap(), scaled);
        }
    });
    let walked = std::thread::spawn(move || y.sum(.., false).unwrap().backward().unwrap());
    assert_eq!(gradient(&walked.join().unwrap(), &x), expected);
    Ok(())
}

/// A million operations: recursion in walking or in dropping would need hundreds of megabytes of stack.
#[test]
fn deep_graphs_need_no_stack() {
    let chain = || {
        let x = vector(&[1.0]).tracked();
        let y = (0..1_000_000).try_fold(x.clone(), |y, _| y.affine(1.0, 1.0)).unwrap();
        (x, y)
    };
    let work = move || {
        let (x, y) = chain();
        assert_eq!(y.item().unwrap(), 1_000_001.0);
        assert_eq!(gradient(&y.backward().unwrap(), &x), [1.0]);
        drop(y);
        // And dropped without having been walked.
        drop(chain());
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}
