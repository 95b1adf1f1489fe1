//! The effective receptive field (Luo et al. 2016): not what a cell could see, but what it looks at.
//!
//! Most paths from a cell to the input lead to the middle of its field, so the gradient is large there and fades towards
//! the edges, long before the field ends.

use std::sync::{Arc, Mutex, PoisonError};

use striate_tensor::{Error, Float, Result, Tensor};

use crate::{Module, Pass};

/// How much the middle cell of the map at `layer` depends on each pixel: for images `[batch, channels, height, width]` the
/// absolute gradient of the sum over the cell's channels, summed over the image's channels and averaged over the images,
/// `[height, width]`. The network is in use, not in training.
///
/// ```
/// use striate_nn::{Init, effective_field, layers::Conv2d};
/// use striate_tensor::{ConvSpec, Device, Tensor};
/// let layer: Conv2d = Conv2d::new(&Init::seed(1).at("conv"), 1, 1, ConvSpec::new([1, 3]))?;
/// let images = Tensor::ones([2, 1, 1, 5], &Device::cpu())?;
/// let field = effective_field(&layer, "conv", &images)?.to_vec()?;
/// assert!(field[0] == 0.0 && field[1] > 0.0 && field[3] > 0.0 && field[4] == 0.0);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
///
/// # Errors
///
/// If there is no such layer, or its output has not two axes behind the channels.
pub fn effective_field<T: Float>(
    module: &dyn Module<T>,
    layer: &str,
    images: &Tensor<T>,
) -> Result<Tensor<T>> {
    let wrong = |message: String| Err(Error::argument("effective_field", message));
    let x = images.detach().tracked();
    let map: Arc<Mutex<Option<Tensor<T>>>> = Arc::default();
    let kept = map.clone();
    let pass = Pass::evaluate().hook(layer, move |visit| {
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(visit.output.clone());
        Ok(())
    });
    module.forward(&x, &pass)?;
    let Some(map) = map.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return wrong(format!("expected a layer's path, got {layer}"));
    };
    let &[_, _, height, width] = map.shape() else {
        return wrong(format!(
            "expected a map [batch, channels, height, width], got {:?}",
            map.shape()
        ));
    };
    let (row, column) = (height / 2, width / 2);
    let cell = map.slice(2, row..row + 1, 1)?.slice(3, column..column + 1, 1)?;
    match cell.sum(.., false)?.backward()?.get(&x) {
        Some(gradient) => gradient.abs()?.sum(1, false)?.mean(0, false),
        None => wrong(format!("expected a layer that depends on the images, got {layer}")),
    }
}
