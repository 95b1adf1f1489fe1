//! What a device must be able to do: some thirty kernels on dense buffers.
//!
//! A backend is an object, so that the device is a run-time value and nothing above this module is
//! generic over it. What keeps the trait small and object-safe:
//!
//! - Families of operations are enums ([`Unary`], [`Binary`], [`Reduce`], ...), one method each.
//! - Geometry arrives lifted to three axes ([`ConvShape`], [`PoolShape`]), so 1-D, 2-D and 3-D are one kernel.
//! - Three convolution kernels serve six operations: a transposed convolution is an input gradient.
//! - Shapes are checked before a kernel is called; a kernel computes and allocates its output.
//!
//! Fused operations are provided methods whose default is the composition of required ones. A backend
//! overrides them for speed, and a test compares each override with its default.
//!
//! [`cpu`] computes, [`meta`] only knows sizes.

pub mod cpu;
mod fused;
pub mod meta;
mod storage;

use striate_conv::buffer::guarded;
use striate_conv::{Buffer, ConvShape, PoolShape};

pub use crate::ops::Saved;
use crate::random::Key;
use crate::{Element, Error, ErrorKind, Float, Layout, Result};
pub use storage::{Storage, View};

/// Elementwise functions of one argument. Parameters are f64 and rounded to the element type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unary {
    /// `scale x + shift`
    Affine {
        /// Factor.
        scale: f64,
        /// Summand.
        shift: f64,
    },
    /// `|x|`
    Abs,
    /// `e^x`
    Exp,
    /// Natural logarithm.
    Ln,
    /// Square root.
    Sqrt,
    /// `1 / x`
    Recip,
    /// `x^p`
    Pow(f64),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `max(x, 0)`
    Relu,
    /// `x` above zero, `slope x` below.
    LeakyRelu(f64),
    /// `x` above zero, `alpha (e^x - 1)` below (Clevert et al. 2015).
    Elu(f64),
    /// `x Phi(x)` with the normal distribution function (Hendrycks and Gimpel 2016).
    Gelu,
    /// The same with its approximation by tanh.
    GeluTanh,
    /// `ln(1 + e^x)`
    Softplus,
    /// `x sigmoid(x)`
    Silu,
    /// `x` limited to an interval.
    Clamp(f64, f64),
}

/// Elementwise functions of two arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a b`
    Mul,
    /// `a / b`
    Div,
    /// `a^b`
    Pow,
    /// The larger; NaN if either is.
    Maximum,
    /// The smaller; NaN if either is.
    Minimum,
}

/// Comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
    /// `a < b`
    Lt,
    /// `a <= b`
    Le,
    /// `a > b`
    Gt,
    /// `a >= b`
    Ge,
}

/// Reductions over axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// The sum; zero over nothing.
    Sum,
    /// The largest; NaN if any is.
    Max,
    /// The smallest; NaN if any is.
    Min,
}

/// Which extreme an index is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extreme {
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

/// A tensor seen as `[outer, axis, inner]` around the one axis that a kernel works along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisShape {
    /// Product of the sizes before the axis.
    pub outer: usize,
    /// Size of the axis.
    pub axis: usize,
    /// Product of the sizes after the axis.
    pub inner: usize,
}

impl AxisShape {
    /// `shape` seen around `axis`.
    pub fn new(shape: &[usize], axis: usize) -> Self {
        AxisShape {
            outer: shape[..axis].iter().product(),
            axis: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.outer * self.axis * self.inner
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How indices pick from a tensor along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// What is picked from.
    pub from: AxisShape,
    /// How many are picked along the axis.
    pub count: usize,
    /// Whether there is one index for every picked element (`[outer, count, inner]`, as in `gather`)
    /// or one for every position along the axis (`[count]`, as in `index_select`).
    pub elementwise: bool,
}

impl Pick {
    /// The number of elements picked.
    pub fn len(&self) -> usize {
        self.from.outer * self.count * self.from.inner
    }

    /// Whether none is picked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `batch` products `[m, k] . [k, n]`; an operand may be stored transposed or shared by the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatmulShape {
    /// Number of products.
    pub batch: usize,
    /// Rows of the left operand.
    pub m: usize,
    /// Columns of the left, rows of the right operand.
    pub k: usize,
    /// Columns of the right operand.
    pub n: usize,
    /// The left operand is stored as `[k, m]`.
    pub transpose_left: bool,
    /// The right operand is stored as `[n, k]`.
    pub transpose_right: bool,
    /// One left operand serves the whole batch.
    pub share_left: bool,
    /// One right operand serves the whole batch.
    pub share_right: bool,
}

/// What is done to the results of a matrix product.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a, T> {
    /// One number for each column, to be added to it.
    pub bias: Option<&'a Storage<T>>,
    /// Whether `max(y, 0)` follows.
    pub relu: bool,
}

/// What a normalisation does to each channel of `[outer, channel, inner]`:
/// `y = scale[c] (x - center[c]) + shift[c]`, and `max(y, 0)` if there is a ReLU behind it. The centre is subtracted first:
/// `scale x + (shift - scale center)` would cancel where a mean is large beside its deviation.
#[derive(Debug, Clone, Copy)]
pub struct ChannelAffine<'a, T> {
    /// How the elements are seen.
    pub shape: AxisShape,
    /// One number for each channel.
    pub center: &'a Storage<T>,
    /// One number for each channel.
    pub scale: &'a Storage<T>,
    /// One number for each channel.
    pub shift: &'a Storage<T>,
    /// Whether `max(y, 0)` follows.
    pub relu: bool,
}

/// What moves data, for every element type.
pub trait Memory<T: Element>: Send + Sync {
    /// Takes over a host buffer.
    fn upload(&self, data: Buffer<T>) -> Result<Storage<T>>;
    /// Copies to the host. Waits for pending work.
    fn download(&self, x: &Storage<T>) -> Result<Buffer<T>>;
    /// `len` times `value`.
    fn fill(&self, len: usize, value: T) -> Result<Storage<T>>;
    /// Writes what `source` visits to where `target` points; both have the same shape.
    fn assign(&self, storage: &mut Storage<T>, target: &Layout, source: View<T>) -> Result<()>;
    /// What `source` visits, densely.
    fn copy(&self, source: View<T>) -> Result<Storage<T>>;
    /// Picks elements by index. Fails on an index outside the axis.
    fn pick(&self, pick: &Pick, x: &Storage<T>, index: &Storage<i64>) -> Result<Storage<T>>;
    /// Converts to f64; `false` is 0 and `true` 1.
    fn widen(&self, x: &Storage<T>) -> Result<Storage<f64>>;
    /// Converts from f64: rounds to nearest for floats, towards zero for integers, non-zero is `true`.
    fn narrow(&self, x: &Storage<f64>) -> Result<Storage<T>>;
}

/// What computes, for f32 and f64.
pub trait Kernels<T: Float>: Memory<T> {
    /// Applies `op` to every element.
    fn unary(&self, op: Unary, x: &Storage<T>) -> Result<Storage<T>>;
    /// `grad * op'`, from what [`Unary::saves`] says was kept of the forward pass.
    fn unary_gradient(
        &self,
        op: Unary,
        saved: &Storage<T>,
        grad: &Storage<T>,
    ) -> Result<Storage<T>>;
    /// Applies `op` to the elements of two views of one shape.
    fn binary(&self, op: Binary, a: View<T>, b: View<T>) -> Result<Storage<T>>;
    /// Compares the elements of two views of one shape.
    fn compare(&self, op: Compare, a: View<T>, b: View<T>) -> Result<Storage<bool>>;
    /// `a` where the condition holds, else `b`.
    fn choose(&self, condition: View<bool>, a: View<T>, b: View<T>) -> Result<Storage<T>>;
    /// Reduces the marked axes of a dense tensor.
    fn reduce(
        &self,
        op: Reduce,
        x: &Storage<T>,
        shape: &[usize],
        reduced: &[bool],
    ) -> Result<Storage<T>>;
    /// The index of the first extreme along an axis; NaN counts as the extreme.
    fn arg_extreme(
        &self,
        extreme: Extreme,
        x: &Storage<T>,
        shape: AxisShape,
    ) -> Result<Storage<i64>>;
    /// A batch of matrix products.
    fn matmul(
        &self,
        shape: &MatmulShape,
        left: &Storage<T>,
        right: &Storage<T>,
    ) -> Result<Storage<T>>;
    /// The adjoint of [`Memory::pick`]: adds each element to where it was picked from.
    fn pick_gradient(
        &self,
        pick: &Pick,
        grad: &Storage<T>,
        index: &Storage<i64>,
    ) -> Result<Storage<T>>;
    /// A convolution, with an optional bias per output channel.
    fn conv(
        &self,
        shape: &ConvShape,
        input: &Storage<T>,
        weight: &Storage<T>,
        bias: Option<&Storage<T>>,
    ) -> Result<Storage<T>>;
    /// Its gradient with respect to the input; also the transposed convolution.
    fn conv_input_gradient(
        &self,
        shape: &ConvShape,
        grad: &Storage<T>,
        weight: &Storage<T>,
    ) -> Result<Storage<T>>;
    /// Its gradient with respect to the weight.
    fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        input: &Storage<T>,
        grad: &Storage<T>,
    ) -> Result<Storage<T>>;
    /// The maximum of every window, and its index within its plane.
    fn max_pool(&self, shape: &PoolShape, x: &Storage<T>) -> Result<(Storage<T>, Storage<i64>)>;
    /// Sends each gradient to the element that was the maximum.
    fn max_pool_gradient(
        &self,
        shape: &PoolShape,
        grad: &Storage<T>,
        indices: &Storage<i64>,
    ) -> Result<Storage<T>>;
    /// The mean of every window.
    fn average_pool(&self, shape: &PoolShape, x: &Storage<T>) -> Result<Storage<T>>;
    /// Spreads each gradient over its window.
    fn average_pool_gradient(&self, shape: &PoolShape, grad: &Storage<T>) -> Result<Storage<T>>;
    /// The patches that a convolution would read, as columns (im2col).
    fn unfold(&self, shape: &ConvShape, x: &Storage<T>) -> Result<Storage<T>>;
    /// The adjoint of [`Kernels::unfold`] (col2im).
    fn fold(&self, shape: &ConvShape, columns: &Storage<T>) -> Result<Storage<T>>;

    /// [`Kernels::conv`], then `max(y, 0)`.
    fn conv_relu(
        &self,
        shape: &ConvShape,
        input: &Storage<T>,
        weight: &Storage<T>,
        bias: Option<&Storage<T>>,
    ) -> Result<Storage<T>> {
        self.unary(Unary::Relu, &self.conv(shape, input, weight, bias)?)
    }
    /// [`Kernels::max_pool`], then `max(y, 0)`. The indices are for [`Kernels::max_pool_relu_gradient`] alone.
    fn max_pool_relu(
        &self,
        shape: &PoolShape,
        x: &Storage<T>,
    ) -> Result<(Storage<T>, Storage<i64>)> {
        let (y, indices) = self.max_pool(shape, x)?;
        Ok((self.unary(Unary::Relu, &y)?, indices))
    }
    /// Sends each gradient to the element that was the maximum, if that was positive.
    fn max_pool_relu_gradient(
        &self,
        shape: &PoolShape,
        grad: &Storage<T>,
        (y, indices): (&Storage<T>, &Storage<i64>),
    ) -> Result<Storage<T>> {
        let passed = self.unary_gradient(Unary::Relu, y, grad)?;
        self.max_pool_gradient(shape, &passed, indices)
    }
    /// [`Kernels::max_pool`], but the minimum in the channels whose number in `scale` is negative: what normalisation makes the
    /// maximum of.
    fn extreme_pool(
        &self,
        shape: &PoolShape,
        x: &Storage<T>,
        scale: &Storage<T>,
    ) -> Result<(Storage<T>, Storage<i64>)> {
        fused::extreme_pool(self, shape, x, scale)
    }
    /// [`Kernels::max_pool_gradient`] of a gradient and its indices, plus what `norm` makes of `x`, the pooling's input.
    fn max_pool_gradient_onto(
        &self,
        shape: &PoolShape,
        (grad, indices): (&Storage<T>, &Storage<i64>),
        (norm, x): (&ChannelAffine<T>, &Storage<T>),
    ) -> Result<Storage<T>> {
        fused::max_pool_gradient_onto(self, shape, (grad, indices), (norm, x))
    }
    /// [`Kernels::matmul`], then what `finish` says.
    fn matmul_then(
        &self,
        shape: &MatmulShape,
        [left, right]: [&Storage<T>; 2],
        finish: Finish<T>,
    ) -> Result<Storage<T>> {
        fused::matmul_then(self, shape, [left, right], finish)
    }
    /// `target += source`, in place where nobody else holds the target.
    fn accumulate(&self, target: &mut Storage<T>, source: &Storage<T>) -> Result<()> {
        fused::accumulate(self, target, source)
    }
    /// Numbers drawn with `key`: uniform in `[low, high)`.
    fn uniform(&self, key: &Key, len: usize, low: f64, high: f64) -> Result<Storage<T>> {
        fused::random(self, len, |out| {
            key.fill_uniform(out, low, high);
        })
    }
    /// Numbers drawn with `key`: normal.
    fn normal(&self, key: &Key, len: usize, mean: f64, std: f64) -> Result<Storage<T>> {
        fused::random(self, len, |out| {
            key.fill_normal(out, mean, std);
        })
    }
    /// `x - ln sum e^x` along an axis.
    fn log_softmax(&self, x: &Storage<T>, shape: AxisShape) -> Result<Storage<T>> {
        fused::log_softmax(self, x, shape)
    }
    /// Its gradient from its output: `grad - e^y sum grad`.
    fn log_softmax_gradient(
        &self,
        y: &Storage<T>,
        grad: &Storage<T>,
        shape: AxisShape,
    ) -> Result<Storage<T>> {
        fused::log_softmax_gradient(self, y, grad, shape)
    }
    /// The mean and the (biased) variance of each channel of `[outer, channel, inner]`.
    fn channel_moments(
        &self,
        x: &Storage<T>,
        shape: AxisShape,
    ) -> Result<(Storage<T>, Storage<T>)> {
        fused::channel_moments(self, x, shape)
    }
    /// What `norm` makes of `x`.
    fn channel_affine(&self, norm: &ChannelAffine<T>, x: &Storage<T>) -> Result<Storage<T>> {
        fused::channel_affine(self, norm, x)
    }
    /// For each channel the sums of `g` and of `g (x - center[c])`, where `g` is what of `grad` passes the ReLU that
    /// `norm` may have.
    fn channel_gradient_sums(
        &self,
        norm: &ChannelAffine<T>,
        [grad, x]: [&Storage<T>; 2],
    ) -> Result<(Storage<T>, Storage<T>)> {
        fused::channel_gradient_sums(self, norm, [grad, x])
    }
    /// `scale[c] g + b[c] (x - center[c]) + d[c]`, with `g` as above: the input gradient of a normalisation.
    fn channel_combine(
        &self,
        norm: &ChannelAffine<T>,
        [grad, x]: [&Storage<T>; 2],
        [b, d]: [&Storage<T>; 2],
    ) -> Result<Storage<T>> {
        fused::channel_combine(self, norm, [grad, x], [b, d])
    }
    /// One optimizer step on one parameter, in place.
    fn update(
        &self,
        rule: &Update,
        weight: &mut Storage<T>,
        grad: &Storage<T>,
        state: &mut [Storage<T>],
    ) -> Result<()> {
        fused::update(self, rule, weight, grad, state)
    }
}

/// The arithmetic of one optimizer step, with everything that is not per element already computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Update {
    /// `g += decay w; m = momentum m + (1 - dampening) g; w -= rate (nesterov ? g + momentum m : m)`.
    /// State: `m`, unless momentum is zero.
    Sgd {
        /// Learning rate.
        rate: f64,
        /// Momentum; zero keeps no state.
        momentum: f64,
        /// What the gradient is multiplied with on its way into the momentum, `1 - dampening`.
        gain: f64,
        /// L2 penalty added to the gradient.
        decay: f64,
        /// Look ahead along the momentum.
        nesterov: bool,
    },
    /// `g += decay w; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    /// w = shrink w - step m / (sqrt(v) / root + eps)`. State: `m`, `v` (Kingma and Ba 2014; Loshchilov and Hutter 2017).
    Adam {
        /// `rate / (1 - b1^t)`.
        step: f64,
        /// `sqrt(1 - b2^t)`.
        root: f64,
        /// `b1` and `b2`.
        betas: [f64; 2],
        /// Added to the root of the second moment.
        eps: f64,
        /// L2 penalty added to the gradient (Adam).
        decay: f64,
        /// Factor on the weight before the step (AdamW): `1 - rate decay`.
        shrink: f64,
    },
    /// `g += decay w; v = alpha v + (1 - alpha) g^2; m = momentum m + g / (sqrt(v) + eps); w -= rate m`.
    /// State: `v`, and `m` unless momentum is zero (Tieleman and Hinton 2012).
    RmsProp {
        /// Learning rate.
        rate: f64,
        /// Decay of the mean square.
        alpha: f64,
        /// Added to the root.
        eps: f64,
        /// Momentum; zero keeps no state for it.
        momentum: f64,
        /// L2 penalty added to the gradient.
        decay: f64,
    },
}

impl Update {
    /// How many tensors of state the rule keeps for a parameter.
    pub fn state_len(&self) -> usize {
        match *self {
            Update::Sgd { momentum, .. } => usize::from(momentum != 0.0),
            Update::Adam { .. } => 2,
            Update::RmsProp { momentum, .. } => 1 + usize::from(momentum != 0.0),
        }
    }
}

/// Host memory for `len` elements of what `op` returns, to be overwritten; an error if the system has none.
pub fn room<T: Element>(op: &str, len: usize) -> Result<Buffer<T>> {
    room_for(op, || Buffer::for_overwrite(len))
}

/// What `compute` returns for `op`; an error if the system has no memory for a buffer that it makes.
pub fn room_for<R>(op: &str, compute: impl FnOnce() -> R) -> Result<R> {
    guarded(compute).map_err(|refused| Error::new(ErrorKind::Memory, op, refused.to_string()))
}

/// A device: kernels for both float types, memory for all types.
pub trait Backend:
    Kernels<f32> + Kernels<f64> + Memory<i64> + Memory<bool> + std::fmt::Debug + 'static
{
    /// What errors and listings call it, such as `cpu` or `cuda:0`.
    fn name(&self) -> String;
    /// Whether it holds shapes and no data.
    fn is_meta(&self) -> bool {
        false
    }
    /// Whether its kernels run on the threads of rayon's pool.
    fn is_threaded(&self) -> bool {
        false
    }
    /// Waits until everything asked for has been computed.
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}
