//! The processor: plain loops over pooled buffers, in parallel pieces of fixed size.
//!
//! Convolution, pooling and matrix products are [`striate_conv`]'s; what is here hands them slices. Nothing
//! in this module depends on the number of threads: work is cut by size alone, and partial results are
//! combined in order.

mod channels;
mod elementwise;
mod fused;
mod index;
mod reduce;
mod strided;

use rayon::prelude::*;
use striate_conv::gemm::{Matrix, Update as Write, gemm};
use striate_conv::{Buffer, ConvShape, PoolShape, conv, pool, unfold};

use self::strided::Walk;
use super::{
    AxisShape, Backend, Binary, ChannelAffine, Compare, Extreme, Kernels, MatmulShape, Memory,
    Pick, Reduce, Storage, Unary, Update, View, room, room_for,
};
use crate::{Element, Float, Layout, Result};

/// The backend of [`Device::cpu`](crate::Device::cpu). Its memory is a [`Buffer`].
#[derive(Debug)]
pub struct Cpu;

fn host<T: Element>(storage: &Storage<T>) -> Result<&Buffer<T>> {
    storage.data()
}

fn stored<T: Element>(buffer: Buffer<T>) -> Result<Storage<T>> {
    Ok(Storage::new(buffer.len(), buffer))
}

/// A new buffer that `write` fills, for what `op` returns.
fn output<T: Element>(op: &str, len: usize, write: impl FnOnce(&mut [T])) -> Result<Storage<T>> {
    computed(op, || {
        let mut out = Buffer::for_overwrite(len);
        write(&mut out);
        out
    })
}

/// What `compute` makes for `op`.
fn computed<T: Element>(op: &str, compute: impl FnOnce() -> Buffer<T>) -> Result<Storage<T>> {
    stored(room_for(op, compute)?)
}

/// The same for two results.
fn computed_pair<T: Element, U: Element>(
    op: &str,
    compute: impl FnOnce() -> (Buffer<T>, Buffer<U>),
) -> Result<(Storage<T>, Storage<U>)> {
    let (first, second) = room_for(op, compute)?;
    Ok((stored(first)?, stored(second)?))
}

/// What `find` writes of the windows of `x`: maxima and their indices.
fn max_pool<T: Float>(
    shape: &PoolShape,
    x: &[T],
    find: impl FnOnce(&PoolShape, &[T], &mut [T], &mut [i64]),
) -> Result<(Storage<T>, Storage<i64>)> {
    computed_pair("max_pool", || {
        let mut out = Buffer::for_overwrite(shape.output_len());
        let mut indices = Buffer::for_overwrite(shape.output_len());
        find(shape, x, &mut out, &mut indices);
        (out, indices)
    })
}

/// A normalisation with its numbers at hand.
fn affine<'a, T: Float>(norm: &ChannelAffine<'a, T>) -> Result<channels::Affine<'a, T>> {
    let &ChannelAffine { shape, center, scale, shift, relu } = norm;
    Ok(channels::Affine {
        shape,
        center: host(center)?,
        scale: host(scale)?,
        shift: host(shift)?,
        relu,
    })
}

/// Short rows or columns make the lanes of sums useless; the composition is as good then.
const SHORT: usize = 8;
/// Still shorter ones make vectors useless.
const TINY: usize = 4;

impl Backend for Cpu {
    fn name(&self) -> String {
        "cpu".into()
    }

    fn is_threaded(&self) -> bool {
        true
    }
}

impl<T: Element> Memory<T> for Cpu {
    fn upload(&self, data: Buffer<T>) -> Result<Storage<T>> {
        stored(data)
    }

    fn download(&self, x: &Storage<T>) -> Result<Buffer<T>> {
        let x = host(x)?;
        let mut copy = room("download", x.len())?;
        copy.copy_from_slice(x);
        Ok(copy)
    }

    fn fill(&self, len: usize, value: T) -> Result<Storage<T>> {
        output("full", len, |out| out.fill(value))
    }

    fn assign(&self, storage: &mut Storage<T>, target: &Layout, source: View<T>) -> Result<()> {
        let x = host(source.storage)?;
        let out: &mut [T] = storage.data_mut::<Buffer<T>>()?;
        let walk = Walk::new([target, source.layout]);
        let [s, t] = walk.inner();
        walk.rows(0, target.len(), |_, count, [i, j]| {
            if (s, t) == (1, 1) {
                out[i..][..count].copy_from_slice(&x[j..][..count]);
            } else {
                for n in 0..count {
                    out[strided::along(i, n, s)] = x[strided::along(j, n, t)];
                }
            }
        });
        Ok(())
    }

    fn copy(&self, source: View<T>) -> Result<Storage<T>> {
        let x = host(source.storage)?;
        output("copy", source.layout.len(), |out| {
            strided::map(out, &Walk::new([source.layout]), x, |x| x)
        })
    }

    fn pick(&self, pick: &Pick, x: &Storage<T>, index: &Storage<i64>) -> Result<Storage<T>> {
        stored(index::pick(pick, host(x)?, host(index)?)?)
    }

    fn widen(&self, x: &Storage<T>) -> Result<Storage<f64>> {
        let x = host(x)?;
        output("cast", x.len(), |out| {
            out.iter_mut().zip(&x[..]).for_each(|(out, x)| *out = x.as_f64());
        })
    }

    fn narrow(&self, x: &Storage<f64>) -> Result<Storage<T>> {
        let x = host(x)?;
        output("cast", x.len(), |out| {
            out.iter_mut().zip(&x[..]).for_each(|(out, &x)| *out = T::of_f64(x));
        })
    }
}

impl<T: Float> Kernels<T> for Cpu {
    fn unary(&self, op: Unary, x: &Storage<T>) -> Result<Storage<T>> {
        let x = host(x)?;
        output(op.name(), x.len(), |out| elementwise::unary(op, out, x))
    }

    fn unary_gradient(
        &self,
        op: Unary,
        saved: &Storage<T>,
        grad: &Storage<T>,
    ) -> Result<Storage<T>> {
        let (saved, grad) = (host(saved)?, host(grad)?);
        output(op.name(), grad.len(), |out| elementwise::unary_gradient(op, out, saved, grad))
    }

    fn binary(&self, op: Binary, a: View<T>, b: View<T>) -> Result<Storage<T>> {
        let (walk, len) = (Walk::new([a.layout, b.layout]), a.layout.len());
        let (a, b) = (host(a.storage)?, host(b.storage)?);
        output(op.name(), len, |out| elementwise::binary(op, out, &walk, a, b))
    }

    fn compare(&self, op: Compare, a: View<T>, b: View<T>) -> Result<Storage<bool>> {
        let (walk, len) = (Walk::new([a.layout, b.layout]), a.layout.len());
        let (a, b) = (host(a.storage)?, host(b.storage)?);
        output("compare", len, |out| elementwise::compare(op, out, &walk, a, b))
    }

    fn choose(&self, condition: View<bool>, a: View<T>, b: View<T>) -> Result<Storage<T>> {
        let walk = Walk::new([condition.layout, a.layout, b.layout]);
        let (len, condition) = (a.layout.len(), host(condition.storage)?);
        let sides = [host(a.storage)?.as_ref(), host(b.storage)?.as_ref()];
        output("choose", len, |out| elementwise::choose(out, &walk, condition, sides))
    }

    fn reduce(
        &self,
        op: Reduce,
        x: &Storage<T>,
        shape: &[usize],
        reduced: &[bool],
    ) -> Result<Storage<T>> {
        let x = host(x)?;
        computed("reduce", || reduce::reduce(op, x, shape, reduced))
    }

    fn arg_extreme(
        &self,
        extreme: Extreme,
        x: &Storage<T>,
        shape: AxisShape,
    ) -> Result<Storage<i64>> {
        let x = host(x)?;
        computed("arg_extreme", || reduce::arg_extreme(extreme, x, shape))
    }

    fn matmul(
        &self,
        shape: &MatmulShape,
        left: &Storage<T>,
        right: &Storage<T>,
    ) -> Result<Storage<T>> {
        let MatmulShape { batch, m, k, n, .. } = *shape;
        let (left, right) = (host(left)?, host(right)?);
        let matrix = |data, shared, [rows, columns]: [usize; 2], transposed, i: usize| {
            let len = rows * columns;
            let data: &[T] = data;
            let data = &data[if shared { 0 } else { i * len }..][..len];
            match transposed {
                true => Matrix::row_major(data, [columns, rows]).transposed(),
                false => Matrix::row_major(data, [rows, columns]),
            }
        };
        output("matmul", batch * m * n, |out| {
            if out.is_empty() {
                return;
            }
            // One large product is parallel inside; many small ones are parallel among themselves.
            out.par_chunks_mut(m * n).enumerate().for_each(|(i, out)| {
                let a = matrix(left, shape.share_left, [m, k], shape.transpose_left, i);
                let b = matrix(right, shape.share_right, [k, n], shape.transpose_right, i);
                gemm(a, b, Write::Overwrite, out);
            });
        })
    }

    fn pick_gradient(
        &self,
        pick: &Pick,
        grad: &Storage<T>,
        index: &Storage<i64>,
    ) -> Result<Storage<T>> {
        stored(index::pick_gradient(pick, host(grad)?, host(index)?)?)
    }

    fn conv(
        &self,
        shape: &ConvShape,
        input: &Storage<T>,
        weight: &Storage<T>,
        bias: Option<&Storage<T>>,
    ) -> Result<Storage<T>> {
        let (input, weight) = (host(input)?, host(weight)?);
        let bias = bias.map(host).transpose()?.map(|bias| bias.as_ref());
        output("conv", shape.output_len(), |out| conv::forward(shape, input, weight, bias, out))
    }

    fn conv_input_gradient(
        &self,
        shape: &ConvShape,
        grad: &Storage<T>,
        weight: &Storage<T>,
    ) -> Result<Storage<T>> {
        let (grad, weight) = (host(grad)?, host(weight)?);
        output("conv_input_gradient", shape.input_len(), |out| {
            conv::input_gradient(shape, grad, weight, out)
        })
    }

    fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        input: &Storage<T>,
        grad: &Storage<T>,
    ) -> Result<Storage<T>> {
        let (input, grad) = (host(input)?, host(grad)?);
        output("conv_weight_gradient", shape.weight_len(), |out| {
            conv::weight_gradient(shape, input, grad, out)
        })
    }

    fn max_pool(&self, shape: &PoolShape, x: &Storage<T>) -> Result<(Storage<T>, Storage<i64>)> {
        max_pool(shape, host(x)?, pool::max_forward)
    }

    fn max_pool_gradient(
        &self,
        shape: &PoolShape,
        grad: &Storage<T>,
        indices: &Storage<i64>,
    ) -> Result<Storage<T>> {
        let (grad, indices) = (host(grad)?, host(indices)?);
        output("max_pool_gradient", shape.input_len(), |out| {
            pool::max_backward(shape, grad, indices, out)
        })
    }

    fn average_pool(&self, shape: &PoolShape, x: &Storage<T>) -> Result<Storage<T>> {
        let x = host(x)?;
        output("average_pool", shape.output_len(), |out| pool::average_forward(shape, x, out))
    }

    fn average_pool_gradient(&self, shape: &PoolShape, grad: &Storage<T>) -> Result<Storage<T>> {
        let grad = host(grad)?;
        output("average_pool_gradient", shape.input_len(), |out| {
            pool::average_backward(shape, grad, out)
        })
    }

    fn unfold(&self, shape: &ConvShape, x: &Storage<T>) -> Result<Storage<T>> {
        let x = host(x)?;
        output("unfold", unfold::columns_len(shape), |out| unfold::unfold(shape, x, out))
    }

    fn fold(&self, shape: &ConvShape, columns: &Storage<T>) -> Result<Storage<T>> {
        let columns = host(columns)?;
        output("fold", shape.input_len(), |out| unfold::fold(shape, columns, out))
    }

    fn max_pool_relu(
        &self,
        shape: &PoolShape,
        x: &Storage<T>,
    ) -> Result<(Storage<T>, Storage<i64>)> {
        max_pool(shape, host(x)?, pool::max_relu_forward)
    }

    fn max_pool_relu_gradient(
        &self,
        shape: &PoolShape,
        grad: &Storage<T>,
        (_, indices): (&Storage<T>, &Storage<i64>),
    ) -> Result<Storage<T>> {
        self.max_pool_gradient(shape, grad, indices)
    }

    fn extreme_pool(
        &self,
        shape: &PoolShape,
        x: &Storage<T>,
        scale: &Storage<T>,
    ) -> Result<(Storage<T>, Storage<i64>)> {
        let scale = host(scale)?;
        max_pool(shape, host(x)?, |shape, x, out, indices| {
            pool::extreme_forward(shape, x, scale, out, indices)
        })
    }

    fn max_pool_gradient_onto(
        &self,
        shape: &PoolShape,
        (grad, indices): (&Storage<T>, &Storage<i64>),
        (norm, x): (&ChannelAffine<T>, &Storage<T>),
    ) -> Result<Storage<T>> {
        let (grad, indices) = (host(grad)?, host(indices)?);
        let [input, center, scale, shift] = [x, norm.center, norm.scale, norm.shift].map(host);
        let onto = pool::Onto { input: input?, center: center?, scale: scale?, shift: shift? };
        output("max_pool_gradient", shape.input_len(), |out| {
            pool::max_backward_onto(shape, grad, indices, onto, out)
        })
    }

    fn accumulate(&self, target: &mut Storage<T>, source: &Storage<T>) -> Result<()> {
        fused::accumulate(target.data_mut::<Buffer<T>>()?, host(source)?);
        Ok(())
    }

    fn log_softmax(&self, x: &Storage<T>, shape: AxisShape) -> Result<Storage<T>> {
        let data = host(x)?;
        match shape.inner {
            1 => computed("log_softmax", || fused::log_softmax(data, shape.axis)),
            _ => super::fused::log_softmax(self, x, shape),
        }
    }

    fn log_softmax_gradient(
        &self,
        y: &Storage<T>,
        grad: &Storage<T>,
        shape: AxisShape,
    ) -> Result<Storage<T>> {
        let (output, flow) = (host(y)?, host(grad)?);
        match shape.inner {
            1 => computed("log_softmax", || fused::log_softmax_gradient(output, flow, shape.axis)),
            _ => super::fused::log_softmax_gradient(self, y, grad, shape),
        }
    }

    fn channel_moments(
        &self,
        x: &Storage<T>,
        shape: AxisShape,
    ) -> Result<(Storage<T>, Storage<T>)> {
        if shape.inner < SHORT {
            return super::fused::channel_moments(self, x, shape);
        }
        let x = host(x)?;
        computed_pair("channel_moments", || channels::channel_moments(x, shape))
    }

    fn channel_affine(&self, norm: &ChannelAffine<T>, x: &Storage<T>) -> Result<Storage<T>> {
        if norm.shape.inner < TINY {
            return super::fused::channel_affine(self, norm, x);
        }
        let (norm, x) = (affine(norm)?, host(x)?);
        computed("channel_affine", || channels::channel_affine(&norm, x))
    }

    fn channel_gradient_sums(
        &self,
        norm: &ChannelAffine<T>,
        [grad, x]: [&Storage<T>; 2],
    ) -> Result<(Storage<T>, Storage<T>)> {
        if norm.shape.inner < SHORT {
            return super::fused::channel_gradient_sums(self, norm, [grad, x]);
        }
        let inputs = [host(grad)?.as_ref(), host(x)?.as_ref()];
        let norm = affine(norm)?;
        computed_pair("channel_gradient_sums", || channels::channel_gradient_sums(&norm, inputs))
    }

    fn channel_combine(
        &self,
        norm: &ChannelAffine<T>,
        [grad, x]: [&Storage<T>; 2],
        [b, d]: [&Storage<T>; 2],
    ) -> Result<Storage<T>> {
        if norm.shape.inner < SHORT {
            return super::fused::channel_combine(self, norm, [grad, x], [b, d]);
        }
        let inputs = [host(grad)?.as_ref(), host(x)?.as_ref()];
        let coefficients = [host(b)?.as_ref(), host(d)?.as_ref()];
        let norm = affine(norm)?;
        computed("channel_combine", || channels::channel_combine(&norm, inputs, coefficients))
    }

    fn update(
        &self,
        rule: &Update,
        weight: &mut Storage<T>,
        grad: &Storage<T>,
        state: &mut [Storage<T>],
    ) -> Result<()> {
        let grad = host(grad)?;
        let weight: &mut [T] = weight.data_mut::<Buffer<T>>()?;
        let mut state = state
            .iter_mut()
            .map(|storage| Ok(&mut storage.data_mut::<Buffer<T>>()?[..]))
            .collect::<Result<Vec<_>>>()?;
        fused::update(rule, weight, grad, &mut state);
        Ok(())
    }
}
