//! Fused operations as compositions of required kernels: what every backend does until it overrides them,
//! and what an override is tested against.

use striate_conv::PoolShape;

use super::{
    AxisShape, Binary, ChannelAffine, Compare, Finish, Kernels, MatmulShape, Reduce, Storage,
    Unary, Update, View, room,
};
use crate::{Float, Layout, Result};

/// `op(a, b)` for two dense storages of one length.
fn zip<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    op: Binary,
    a: &Storage<T>,
    b: &Storage<T>,
) -> Result<Storage<T>> {
    let layout = Layout::dense(&[a.len()]);
    kernels.binary(op, View::new(a, &layout), View::new(b, &layout))
}

/// `op(x, values)` where `values` has one element for each index of the marked axes of `shape`.
fn broadcast<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    op: Binary,
    (x, shape): (&Storage<T>, AxisShape),
    values: &Storage<T>,
    marked: [bool; 3],
) -> Result<Storage<T>> {
    let sizes = [shape.outer, shape.axis, shape.inner];
    let kept: Vec<usize> = (0..3).map(|i| if marked[i] { sizes[i] } else { 1 }).collect();
    let values_layout = Layout::dense(&kept).broadcast_to(&sizes.into());
    let layout = Layout::dense(&sizes);
    kernels.binary(op, View::new(x, &layout), View::new(values, &values_layout))
}

fn scale<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    x: &Storage<T>,
    scale: f64,
) -> Result<Storage<T>> {
    kernels.unary(Unary::Affine { scale, shift: 0.0 }, x)
}

pub(super) fn matmul_then<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    shape: &MatmulShape,
    [left, right]: [&Storage<T>; 2],
    Finish { bias, relu }: Finish<T>,
) -> Result<Storage<T>> {
    let mut y = kernels.matmul(shape, left, right)?;
    if let Some(bias) = bias {
        let seen = AxisShape { outer: shape.batch * shape.m, axis: shape.n, inner: 1 };
        y = broadcast(kernels, Binary::Add, (&y, seen), bias, ALONG_AXIS)?;
    }
    if relu { kernels.unary(Unary::Relu, &y) } else { Ok(y) }
}

pub(super) fn accumulate<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    target: &mut Storage<T>,
    source: &Storage<T>,
) -> Result<()> {
    *target = zip(kernels, Binary::Add, target, source)?;
    Ok(())
}

pub(super) fn random<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    len: usize,
    fill: impl FnOnce(&mut [T]),
) -> Result<Storage<T>> {
    let mut out = room("random", len)?;
    fill(&mut out);
    kernels.upload(out)
}

/// Of `[outer, axis, inner]`, the axis itself, or the two around it.
const ALONG_AXIS: [bool; 3] = [false, true, false];
const AROUND_AXIS: [bool; 3] = [true, false, true];

pub(super) fn log_softmax<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    x: &Storage<T>,
    shape: AxisShape,
) -> Result<Storage<T>> {
    let sizes = [shape.outer, shape.axis, shape.inner];
    let max = kernels.reduce(Reduce::Max, x, &sizes, &ALONG_AXIS)?;
    let shifted = broadcast(kernels, Binary::Sub, (x, shape), &max, AROUND_AXIS)?;
    let exp = kernels.unary(Unary::Exp, &shifted)?;
    let sum = kernels.reduce(Reduce::Sum, &exp, &sizes, &ALONG_AXIS)?;
    let log = kernels.unary(Unary::Ln, &sum)?;
    broadcast(kernels, Binary::Sub, (&shifted, shape), &log, AROUND_AXIS)
}

pub(super) fn log_softmax_gradient<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    y: &Storage<T>,
    grad: &Storage<T>,
    shape: AxisShape,
) -> Result<Storage<T>> {
    let sizes = [shape.outer, shape.axis, shape.inner];
    let sum = kernels.reduce(Reduce::Sum, grad, &sizes, &ALONG_AXIS)?;
    let softmax = kernels.unary(Unary::Exp, y)?;
    let flow = broadcast(kernels, Binary::Mul, (&softmax, shape), &sum, AROUND_AXIS)?;
    zip(kernels, Binary::Sub, grad, &flow)
}

pub(super) fn channel_moments<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    x: &Storage<T>,
    shape: AxisShape,
) -> Result<(Storage<T>, Storage<T>)> {
    let sizes = [shape.outer, shape.axis, shape.inner];
    let share = 1.0 / (shape.outer * shape.inner) as f64;
    let mean_over = |x: &Storage<T>| {
        let sum = kernels.reduce(Reduce::Sum, x, &sizes, &AROUND_AXIS)?;
        scale(kernels, &sum, share)
    };
    let mean = mean_over(x)?;
    let centred = broadcast(kernels, Binary::Sub, (x, shape), &mean, ALONG_AXIS)?;
    let variance = mean_over(&zip(kernels, Binary::Mul, &centred, &centred)?)?;
    Ok((mean, variance))
}

pub(super) fn channel_affine<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    &ChannelAffine { shape, center, scale, shift, relu }: &ChannelAffine<T>,
    x: &Storage<T>,
) -> Result<Storage<T>> {
    let centred = broadcast(kernels, Binary::Sub, (x, shape), center, ALONG_AXIS)?;
    let scaled = broadcast(kernels, Binary::Mul, (&centred, shape), scale, ALONG_AXIS)?;
    let y = broadcast(kernels, Binary::Add, (&scaled, shape), shift, ALONG_AXIS)?;
    if relu { kernels.unary(Unary::Relu, &y) } else { Ok(y) }
}

/// What of `grad` passes the ReLU, if there is one.
fn passed<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    norm: &ChannelAffine<T>,
    [grad, x]: [&Storage<T>; 2],
) -> Result<Storage<T>> {
    match norm.relu {
        true => kernels.unary_gradient(Unary::Relu, &kernels.channel_affine(norm, x)?, grad),
        false => Ok(grad.clone()),
    }
}

pub(super) fn channel_gradient_sums<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    norm: &ChannelAffine<T>,
    [grad, x]: [&Storage<T>; 2],
) -> Result<(Storage<T>, Storage<T>)> {
    let (shape, grad) = (norm.shape, passed(kernels, norm, [grad, x])?);
    let sizes = [shape.outer, shape.axis, shape.inner];
    let centred = broadcast(kernels, Binary::Sub, (x, shape), norm.center, ALONG_AXIS)?;
    let product = zip(kernels, Binary::Mul, &grad, &centred)?;
    Ok((
        kernels.reduce(Reduce::Sum, &grad, &sizes, &AROUND_AXIS)?,
        kernels.reduce(Reduce::Sum, &product, &sizes, &AROUND_AXIS)?,
    ))
}

pub(super) fn channel_combine<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    norm: &ChannelAffine<T>,
    [grad, x]: [&Storage<T>; 2],
    [b, d]: [&Storage<T>; 2],
) -> Result<Storage<T>> {
    let grad = passed(kernels, norm, [grad, x])?;
    let from_grad = broadcast(kernels, Binary::Mul, (&grad, norm.shape), norm.scale, ALONG_AXIS)?;
    let of_x = ChannelAffine { scale: b, shift: d, relu: false, ..*norm };
    zip(kernels, Binary::Add, &from_grad, &channel_affine(kernels, &of_x, x)?)
}

pub(super) fn extreme_pool<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    shape: &PoolShape,
    x: &Storage<T>,
    scale: &Storage<T>,
) -> Result<(Storage<T>, Storage<i64>)> {
    let channels = scale.len();
    let layout = Layout::dense(&[channels]);
    let [zeros, ones, negatives] = [T::ZERO, T::ONE, -T::ONE].map(|of| kernels.fill(channels, of));
    let zeros = zeros?;
    let view = |storage| View::new(storage, &layout);
    let negative = kernels.compare(Compare::Lt, view(scale), view(&zeros))?;
    let condition = View::new(&negative, &layout);
    let sign = kernels.choose(condition, view(&negatives?), view(&ones?))?;
    let signed = |x: &Storage<T>| {
        let (outer, inner) = (shape.planes / channels, x.len() / shape.planes);
        let seen = AxisShape { outer, axis: channels, inner };
        broadcast(kernels, Binary::Mul, (x, seen), &sign, ALONG_AXIS)
    };
    let (y, indices) = kernels.max_pool(shape, &signed(x)?)?;
    Ok((signed(&y)?, indices))
}

pub(super) fn max_pool_gradient_onto<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    shape: &PoolShape,
    (grad, indices): (&Storage<T>, &Storage<i64>),
    (norm, x): (&ChannelAffine<T>, &Storage<T>),
) -> Result<Storage<T>> {
    let base = kernels.channel_affine(norm, x)?;
    zip(kernels, Binary::Add, &base, &kernels.max_pool_gradient(shape, grad, indices)?)
}

pub(super) fn update<T: Float, K: Kernels<T> + ?Sized>(
    kernels: &K,
    rule: &Update,
    weight: &mut Storage<T>,
    grad: &Storage<T>,
    state: &mut [Storage<T>],
) -> Result<()> {
    let add = |a: &Storage<T>, b: &Storage<T>| zip(kernels, Binary::Add, a, b);
    let times = |x: &Storage<T>, factor: f64| scale(kernels, x, factor);
    let penalised = |decay: f64, w: &Storage<T>| match decay {
        0.0 => Ok(grad.clone()),
        decay => add(grad, &times(w, decay)?),
    };
    let decayed_square = |v: &Storage<T>, g: &Storage<T>, keep: f64| {
        let square = zip(kernels, Binary::Mul, g, g)?;
        add(&times(v, keep)?, &times(&square, 1.0 - keep)?)
    };
    match *rule {
        Update::Sgd { rate, momentum, gain, decay, nesterov } => {
            let mut step = penalised(decay, weight)?;
            if let [velocity] = state {
                *velocity = add(&times(velocity, momentum)?, &times(&step, gain)?)?;
                step = match nesterov {
                    true => add(&step, &times(velocity, momentum)?)?,
                    false => velocity.clone(),
                };
            }
            *weight = add(weight, &times(&step, -rate)?)?;
        }
        Update::Adam { step, root, betas: [b1, b2], eps, decay, shrink } => {
            let g = penalised(decay, weight)?;
            let [m, v] = state else { return Ok(()) };
            *m = add(&times(m, b1)?, &times(&g, 1.0 - b1)?)?;
            *v = decayed_square(v, &g, b2)?;
            let scale = 1.0 / root;
            let affine = Unary::Affine { scale, shift: eps };
            let spread = kernels.unary(affine, &kernels.unary(Unary::Sqrt, v)?)?;
            let direction = zip(kernels, Binary::Div, m, &spread)?;
            *weight = add(&times(weight, shrink)?, &times(&direction, -step)?)?;
        }
        Update::RmsProp { rate, alpha, eps, momentum, decay } => {
            let g = penalised(decay, weight)?;
            let Some((v, rest)) = state.split_first_mut() else {
                return Ok(());
            };
            *v = decayed_square(v, &g, alpha)?;
            let affine = Unary::Affine { scale: 1.0, shift: eps };
            let spread = kernels.unary(affine, &kernels.unary(Unary::Sqrt, v)?)?;
            let mut step = zip(kernels, Binary::Div, &g, &spread)?;
            if let [velocity] = rest {
                *velocity = add(&times(velocity, momentum)?, &step)?;
                step = velocity.clone();
            }
            *weight = add(weight, &times(&step, -rate)?)?;
        }
    }
    Ok(())
}
