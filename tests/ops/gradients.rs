//! Every differentiable case against central differences in f64.

use striate::tensor::gradcheck::gradcheck;
use striate::tensor::{Device, Result, Tensor};

use crate::registry::Case;
use crate::{check_all, devices};

type Tensors<'a> = &'a [Tensor<f64>];

/// Runs the gradient check of `f(case, inputs)`, at the inputs that `prepare` makes of the case's own.
fn check_gradients(
    prepare: impl Fn(&Tensor<f64>) -> Result<Tensor<f64>>,
    f: impl Fn(&Case, Tensors, &[Tensor<i64>]) -> Result<Tensor<f64>>,
) {
    for device in devices() {
        check_all(|case| {
            if !case.differentiable {
                return Ok(());
            }
            let inputs: Result<Vec<_>> = case.inputs(&device).iter().map(&prepare).collect();
            let inputs = inputs.map_err(|error| error.to_string())?;
            let indices = case.indices(&device);
            gradcheck(&inputs, |inputs| f(case, inputs, &indices))
                .map_err(|error| error.to_string())
        });
    }
}

#[test]
fn gradients_are_central_differences() {
    check_gradients(
        |input| Ok(input.clone()),
        |case, inputs, indices| (case.double)(inputs, indices),
    );
}

/// Every input reaches the result by three ways: through the operation twice, and past it. What a rule
/// overwrites instead of adding is lost here.
#[test]
fn gradients_of_inputs_used_twice_add_up() {
    check_gradients(
        |input| Ok(input.clone()),
        |case, inputs, indices| {
            let once = (case.double)(inputs, indices)?;
            let again = (case.double)(inputs, indices)?;
            let past = inputs.iter().map(|input| input.sum(.., false));
            let past = past.reduce(|a, b| a? + b?).unwrap()?;
            once * again + past
        },
    );
}

/// Every input is the transpose of a leaf.
#[test]
fn gradients_pass_through_permuted_inputs() {
    let reversed = |x: &Tensor<f64>| x.permute((0..x.rank() as isize).rev().collect::<Vec<_>>());
    check_gradients(reversed, |case, inputs, indices| {
        let inputs = inputs.iter().map(reversed).collect::<Result<Vec<_>>>()?;
        (case.double)(&inputs, indices)
    });
}

/// Every input repeats a leaf along its first axis longer than one.
#[test]
fn gradients_pass_through_repeated_inputs() {
    let first = |x: &Tensor<f64>| match x.shape().iter().position(|&size| size > 1) {
        Some(axis) => x.slice(axis as isize, 0..1, 1),
        None => Ok(x.clone()),
    };
    check_gradients(first, |case, inputs, indices| {
        let whole = case.inputs::<f64>(&Device::meta());
        let repeat = |(input, whole): (&Tensor<f64>, &Tensor<f64>)| input.expand(whole.shape());
        let inputs = inputs.iter().zip(&whole).map(repeat).collect::<Result<Vec<_>>>()?;
        (case.double)(&inputs, indices)
    });
}
