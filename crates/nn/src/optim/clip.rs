//! Clipping: gradients are values, so this is a function of them, called between `backward` and `step`.

use striate_tensor::{Error, Float, Gradients, Result, Tensor};

/// Scales all gradients so that their norm, taken together, is at most `max_norm`; returns the norm before.
///
/// `g <- g min(1, max_norm / (norm + 1e-6))` with `norm^2` the sum of all squares (Pascanu et al. 2013; the small
/// term is PyTorch's). The sums are added in the order in which the parameters were made. A norm that is not
/// finite is returned like any other: look at it before the step.
///
/// ```
/// use striate_nn::optim::clip_grad_norm;
/// use striate_tensor::{Device, Tensor};
/// let x = Tensor::from_vec(vec![3.0f64, 4.0], [2], &Device::cpu())?.tracked();
/// let mut gradients = (&x * &x)?.sum(.., false)?.backward()?; // 6 and 8
/// assert_eq!(clip_grad_norm(&mut gradients, 1.0)?, 10.0);
/// assert!((gradients.get(&x).unwrap().to_vec()?[0] - 0.6).abs() < 1e-7);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn clip_grad_norm<T: Float>(gradients: &mut Gradients<T>, max_norm: f64) -> Result<f64> {
    expect_positive("clip_grad_norm", "max_norm", max_norm)?;
    if gradients.is_empty() {
        return Ok(0.0);
    }
    let squares = gradients.iter().map(|(_, gradient)| (gradient * gradient)?.sum(.., false));
    let squares = squares.collect::<Result<Vec<_>>>()?;
    // Read at once, since reading waits for the device.
    let squares = Tensor::stack(&squares.iter().collect::<Vec<_>>(), 0)?.to_vec()?;
    let norm = squares.into_iter().map(T::to_f64).sum::<f64>().sqrt();
    // Asked in this sense, a NaN is not within, and reaches the gradients.
    let within = norm + 1e-6 <= max_norm;
    if !within {
        replace(gradients, |gradient| gradient.affine(max_norm / (norm + 1e-6), 0.0))?;
    }
    Ok(norm)
}

/// Limits every element of every gradient to `[-limit, limit]`.
///
/// ```
/// use striate_nn::optim::clip_grad_value;
/// use striate_tensor::{Device, Tensor};
/// let x = Tensor::from_vec(vec![0.25f64, -4.0], [2], &Device::cpu())?.tracked();
/// let mut gradients = (&x * &x)?.sum(.., false)?.backward()?; // 0.5 and -8
/// clip_grad_value(&mut gradients, 1.0)?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec()?, [0.5, -1.0]);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn clip_grad_value<T: Float>(gradients: &mut Gradients<T>, limit: f64) -> Result<()> {
    expect_positive("clip_grad_value", "limit", limit)?;
    replace(gradients, |gradient| gradient.clamp(-limit, limit))
}

fn expect_positive(op: &str, name: &str, value: f64) -> Result<()> {
    match value > 0.0 {
        true => Ok(()),
        false => Err(Error::argument(op, format!("expected {name} above 0, got {value}"))),
    }
}

fn replace<T: Float>(
    gradients: &mut Gradients<T>,
    f: impl Fn(&Tensor<T>) -> Result<Tensor<T>>,
) -> Result<()> {
    let changed = gradients.iter().map(|(id, gradient)| Ok((id, f(gradient)?)));
    for (id, gradient) in changed.collect::<Result<Vec<_>>>()? {
        gradients.set(id, gradient);
    }
    Ok(())
}
