//! What pooling changes, as document 4 counts it: how many layers reach one pixel, what they cost, and which shifts of a
//! picture it hides.
//!
//! Sizes come from [`ConvSpec`] and [`PoolSpec`], parameters from shapes; nothing here is a rule of its own.

use striate_tensor::{ConvSpec, Device, GeometryError, PoolSpec, Result, Tensor};

use crate::blocks::square;

/// The kernels of the document's layers; the last number goes on.
const KERNELS: [usize; 6] = [32, 64, 128, 256, 512, 512];
/// Channels of a picture.
const COLOURS: usize = 3;

/// One layer of a [`descent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// The side of the square that goes in.
    pub input: usize,
    /// Channels that go in.
    pub channels: usize,
    /// How many kernels of 3x3 a convolution has; none for max pooling by two.
    pub kernels: Option<usize>,
    /// The side of the square that comes out.
    pub output: usize,
}

impl Layer {
    /// Weights; the document has no biases.
    pub fn parameters(&self) -> usize {
        self.kernels.map_or(0, |kernels| 9 * self.channels * kernels)
    }
}

fn halving() -> PoolSpec<2> {
    PoolSpec::new([2, 2]).stride([2, 2])
}

/// Unpadded 3x3 convolutions that bring a colour picture of `input` x `input` pixels down until no further fits, with
/// max pooling by two after every `pool_every` of them while something is left to convolve.
///
/// ```
/// use striate_models::pooling::descent;
/// let count = |layers: &[_]| layers.iter().filter(|l: &&striate_models::pooling::Layer| l.kernels.is_some()).count();
/// assert_eq!(count(&descent(401, None)?), 200);
/// assert_eq!(count(&descent(400, Some(5))?), 27);
/// # Ok::<(), striate_tensor::GeometryError>(())
/// ```
pub fn descent(
    input: usize,
    pool_every: Option<usize>,
) -> std::result::Result<Vec<Layer>, GeometryError> {
    let convolution: ConvSpec<2> = square(3, 0);
    let (mut side, mut channels, mut count) = (input, COLOURS, 0);
    let mut layers = Vec::new();
    while side >= 3 {
        let kernels = KERNELS[count.min(KERNELS.len() - 1)];
        let [output, _] = convolution.output_size([side; 2])?;
        layers.push(Layer { input: side, channels, kernels: Some(kernels), output });
        (side, channels, count) = (output, kernels, count + 1);
        let pooled = halving().output_size([side; 2]).map(|[pooled, _]| pooled);
        match (pool_every, pooled) {
            (Some(every), Ok(output)) if count % every.max(1) == 0 && output >= 3 => {
                layers.push(Layer { input: side, channels, kernels: None, output });
                side = output;
            }
            _ => {}
        }
    }
    Ok(layers)
}

/// A 5x5 map whose column `column`, counted from 0, is 1 and all else 0; and the 2x2 map that max pooling by two makes
/// of it, row by row.
pub fn pooled_column(column: usize) -> Result<([f32; 25], Vec<f32>)> {
    let map = std::array::from_fn(|cell| f32::from(u8::from(cell % 5 == column)));
    let tensor = Tensor::from_vec(map.to_vec(), [1, 1, 5, 5], &Device::cpu())?;
    Ok((map, tensor.max_pool(&halving())?.to_vec()?))
}
