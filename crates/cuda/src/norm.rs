//! Normalisation and softmax: `norm.ptx`.

use striate_tensor::Result;
use striate_tensor::backend::{AxisShape, ChannelAffine, Storage};

use crate::backend::Cuda;
use crate::card::{Arg, THREADS};
use crate::matmul::Epilogue;
use crate::memory::address;
use crate::reduce::BLOCKS;

type Store = Storage<f32>;

/// Elements of a channel that are worth a block of their own.
const SHORT: usize = 2048;
/// Rows of a softmax that a block takes, a warp each.
const ROWS: usize = 8;

/// How a channel's elements are cut in parts.
struct Cut {
    count: usize,
    chunk: usize,
    parts: usize,
}

impl Cut {
    fn new(shape: AxisShape) -> Self {
        let count = shape.outer * shape.inner;
        let most = (BLOCKS / shape.axis.max(1)).min(count / SHORT).max(1);
        let chunk = count.div_ceil(most).max(1);
        Self { count, chunk, parts: count.div_ceil(chunk).max(1) }
    }
}

/// The centre, the scale and the shift of each channel.
fn channels(norm: &ChannelAffine<f32>) -> Result<[u64; 3]> {
    Ok([address(norm.center)?, address(norm.scale)?, address(norm.shift)?])
}

impl Cuda {
    pub(crate) fn moments(&self, x: &Store, shape: AxisShape) -> Result<(Store, Store)> {
        let Cut { count, chunk, parts } = Cut::new(shape);
        let [means, squares] = self.pair(parts * shape.axis)?;
        let [mean, variance] = self.pair(shape.axis)?;
        let mut args = [address(x)?, address(&means)?, address(&squares)?].map(Arg::from).to_vec();
        args.extend([count, shape.axis, shape.inner, chunk].map(Arg::from));
        self.card.launch("moments", [shape.axis, parts, 1], THREADS, &args)?;
        let arrays =
            [&means, &squares, &mean, &variance].map(|array| address(array).map(Arg::from));
        let mut args = arrays.into_iter().collect::<Result<Vec<Arg>>>()?;
        args.extend([count, shape.axis, parts, chunk].map(Arg::from));
        self.card.each("join", shape.axis, &args)?;
        Ok((mean, variance))
    }

    pub(crate) fn affine(&self, norm: &ChannelAffine<f32>, x: &Store) -> Result<Store> {
        let len = norm.shape.len();
        self.output(len, |out| {
            let [center, scale, shift] = channels(norm)?;
            let mut args = [address(x)?, center, scale, shift, out].map(Arg::from).to_vec();
            let relu = usize::from(norm.relu);
            args.extend([len, norm.shape.axis, norm.shape.inner, relu].map(Arg::from));
            self.card.each("affine", len, &args)
        })
    }

    pub(crate) fn norm_sums(
        &self,
        norm: &ChannelAffine<f32>,
        [grad, x]: [&Store; 2],
    ) -> Result<(Store, Store)> {
        let AxisShape { axis, inner, .. } = norm.shape;
        let Cut { count, chunk, parts } = Cut::new(norm.shape);
        let sums = self.pair(parts * axis)?;
        let [center, scale, shift] = channels(norm)?;
        let mut args = [address(grad)?, address(x)?, center, scale, shift].map(Arg::from).to_vec();
        args.extend([address(&sums[0])?, address(&sums[1])?].map(Arg::from));
        args.extend([count, axis, inner, chunk, usize::from(norm.relu)].map(Arg::from));
        self.card.launch("norm_sums", [axis, parts, 1], THREADS, &args)?;
        let [sum, product] = sums;
        if parts == 1 {
            return Ok((sum, product));
        }
        let total = |of: &Store| {
            self.output(axis, |out| {
                self.add_parts([address(of)?, out], parts, [1, 1, axis], Epilogue::default())
            })
        };
        Ok((total(&sum)?, total(&product)?))
    }

    pub(crate) fn combine(
        &self,
        norm: &ChannelAffine<f32>,
        [grad, x]: [&Store; 2],
        [b, d]: [&Store; 2],
    ) -> Result<Store> {
        let len = norm.shape.len();
        self.output(len, |out| {
            let [center, scale, shift] = channels(norm)?;
            let mut args =
                [address(grad)?, address(x)?, center, scale, shift].map(Arg::from).to_vec();
            args.extend([address(b)?, address(d)?, out].map(Arg::from));
            let relu = usize::from(norm.relu);
            args.extend([len, norm.shape.axis, norm.shape.inner, relu].map(Arg::from));
            self.card.each("combine", len, &args)
        })
    }

    /// The logarithm of a softmax; or its gradient from the values `y`, if there are any.
    pub(crate) fn softmax(&self, x: &Store, y: Option<&Store>, shape: AxisShape) -> Result<Store> {
        let rows = shape.outer * shape.inner;
        self.output(shape.len(), |out| {
            let y = y.map_or(Ok(0), address)?;
            let mut args = [address(x)?, y, out].map(Arg::from).to_vec();
            args.extend([rows, shape.axis, shape.inner].map(Arg::from));
            self.card.launch("log_softmax", [rows.div_ceil(ROWS), 1, 1], THREADS, &args)
        })
    }

    /// Two arrays of `len` numbers.
    fn pair(&self, len: usize) -> Result<[Store; 2]> {
        Ok([self.output(len, |_| Ok(()))?, self.output(len, |_| Ok(()))?])
    }
}
