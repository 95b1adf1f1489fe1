//! To and from `ndarray`, and numbers.

use ndarray::{ArrayD, ArrayView, Dimension, IxDyn};

use crate::{Device, Element, Error, Result, Tensor};

impl<T: Element> Tensor<T> {
    /// A copy of an `ndarray` array or view of any rank and layout.
    ///
    /// ```
    /// use striate_tensor::{Device, Tensor};
    /// let array = ndarray::array![[1.0f32, 2.0], [3.0, 4.0]];
    /// let tensor = Tensor::from_ndarray(array.t(), &Device::cpu())?;
    /// assert_eq!(tensor.to_vec()?, [1.0, 3.0, 2.0, 4.0]);
    /// assert_eq!(tensor.to_ndarray()?, array.t().into_dyn());
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn from_ndarray<D: Dimension>(array: ArrayView<'_, T, D>, device: &Device) -> Result<Self> {
        let values: Vec<T> = array.iter().copied().collect();
        Self::from_slice(&values, array.shape(), device)
    }

    /// A copy as an `ndarray` array. Waits for the device.
    pub fn to_ndarray(&self) -> Result<ArrayD<T>> {
        ArrayD::from_shape_vec(IxDyn(self.shape()), self.to_vec()?)
            .map_err(|error| Error::shape("to_ndarray", error.to_string()))
    }
}
