//! A device without data: it knows the size of every result and computes none.
//!
//! Running a module here answers what it would produce, what it would cost and what it would hold, without
//! a second copy of any shape rule. That a backend with no memory at all can implement the kernel trait
//! also proves that the trait is not shaped like a CPU.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use striate_conv::conv::{Operation, scratch};
use striate_conv::{Buffer, ConvShape, PoolShape, buffer, unfold};

use super::{
    AxisShape, Backend, Binary, ChannelAffine, Compare, Extreme, Kernels, MatmulShape, Memory,
    Pick, Reduce, Storage, Unary, Update, View,
};
use crate::random::Key;
use crate::{Element, Error, ErrorKind, Float, Layout, Result};

/// Counts what a computation would cost.
#[derive(Debug, Default)]
pub struct Ledger {
    macs: AtomicU64,
    bytes: AtomicU64,
    peak: AtomicU64,
    convolutions: Mutex<Vec<(Operation, ConvShape)>>,
}

impl Ledger {
    /// Multiply-accumulates of matrix products and convolutions so far. Saturates.
    pub fn macs(&self) -> u64 {
        self.macs.load(Relaxed)
    }

    /// Bytes that living tensors would hold, and convolutions while they run, each rounded up as the processor's pool rounds them.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The most bytes that they held at one time.
    pub fn peak(&self) -> u64 {
        self.peak.load(Relaxed)
    }

    /// The convolutions so far, in their order. A transposed one is an input gradient.
    pub fn convolutions(&self) -> Vec<(Operation, ConvShape)> {
        self.convolutions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The bytes of one storage, given back to the ledger when it is dropped.
#[derive(Debug)]
struct Share {
    bytes: u64,
    ledger: Arc<Ledger>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.ledger.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// The backend that knows sizes only.
#[derive(Debug, Default)]
pub struct Meta {
    ledger: Arc<Ledger>,
}

impl Meta {
    /// A backend with counters of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its counters.
    pub fn ledger(&self) -> Arc<Ledger> {
        self.ledger.clone()
    }

    fn sized<T: Element>(&self, len: usize) -> Result<Storage<T>> {
        let bytes = buffer::rounded(len.saturating_mul(size_of::<T>())) as u64;
        let add = |held: u64| held.checked_add(bytes);
        let held = self.ledger.bytes.fetch_update(Relaxed, Relaxed, add).map_err(|held| {
            let message =
                format!("expected tensors that can be counted, got {bytes} bytes beside {held}");
            Error::new(ErrorKind::Memory, "meta", message)
        })?;
        self.ledger.peak.fetch_max(held + bytes, Relaxed);
        let ledger = self.ledger.clone();
        Ok(Storage::new(len, Share { bytes, ledger }))
    }

    /// A convolution's result of `len` elements, and what the processor's kernels hold beside it.
    fn convolved<T: Float>(
        &self,
        operation: Operation,
        shape: &ConvShape,
        len: usize,
    ) -> Result<Storage<T>> {
        self.count(shape.macs());
        let result = self.sized(len)?;
        drop(self.sized::<T>(scratch::<T>(operation, shape))?);
        let convolutions = self.ledger.convolutions.lock();
        convolutions.unwrap_or_else(PoisonError::into_inner).push((operation, *shape));
        Ok(result)
    }

    fn count(&self, macs: u64) {
        let add = |counted: u64| Some(counted.saturating_add(macs));
        // Never fails, since `add` always has an answer.
        let _ = self.ledger.macs.fetch_update(Relaxed, Relaxed, add);
    }
}

impl Backend for Meta {
    fn name(&self) -> String {
        "meta".into()
    }

    fn is_meta(&self) -> bool {
        true
    }
}

impl<T: Element> Memory<T> for Meta {
    fn upload(&self, data: Buffer<T>) -> Result<Storage<T>> {
        self.sized(data.len())
    }

    fn download(&self, _: &Storage<T>) -> Result<Buffer<T>> {
        Err(Error::new(
            ErrorKind::Device,
            "download",
            "expected a tensor with data, the device meta holds shapes only",
        ))
    }

    fn fill(&self, len: usize, _: T) -> Result<Storage<T>> {
        self.sized(len)
    }

    fn assign(&self, _: &mut Storage<T>, _: &Layout, _: View<T>) -> Result<()> {
        Ok(())
    }

    fn copy(&self, source: View<T>) -> Result<Storage<T>> {
        self.sized(source.layout.len())
    }

    fn pick(&self, pick: &Pick, _: &Storage<T>, _: &Storage<i64>) -> Result<Storage<T>> {
        self.sized(pick.len())
    }

    fn widen(&self, x: &Storage<T>) -> Result<Storage<f64>> {
        self.sized(x.len())
    }

    fn narrow(&self, x: &Storage<f64>) -> Result<Storage<T>> {
        self.sized(x.len())
    }
}

impl<T: Float> Kernels<T> for Meta {
    fn unary(&self, _: Unary, x: &Storage<T>) -> Result<Storage<T>> {
        self.sized(x.len())
    }

    fn unary_gradient(&self, _: Unary, _: &Storage<T>, grad: &Storage<T>) -> Result<Storage<T>> {
        self.sized(grad.len())
    }

    fn binary(&self, _: Binary, a: View<T>, _: View<T>) -> Result<Storage<T>> {
        self.sized(a.layout.len())
    }

    fn compare(&self, _: Compare, a: View<T>, _: View<T>) -> Result<Storage<bool>> {
        self.sized(a.layout.len())
    }

    fn choose(&self, _: View<bool>, a: View<T>, _: View<T>) -> Result<Storage<T>> {
        self.sized(a.layout.len())
    }

    fn reduce(
        &self,
        _: Reduce,
        _: &Storage<T>,
        shape: &[usize],
        reduced: &[bool],
    ) -> Result<Storage<T>> {
        let kept = shape.iter().zip(reduced).filter(|(_, reduced)| !**reduced);
        self.sized(kept.map(|(size, _)| size).product())
    }

    fn arg_extreme(&self, _: Extreme, _: &Storage<T>, shape: AxisShape) -> Result<Storage<i64>> {
        self.sized(shape.outer * shape.inner)
    }

    fn matmul(&self, shape: &MatmulShape, _: &Storage<T>, _: &Storage<T>) -> Result<Storage<T>> {
        let sizes = [shape.batch, shape.m, shape.k, shape.n].map(|size| size as u64);
        self.count(sizes.into_iter().fold(1, u64::saturating_mul));
        self.sized(shape.batch * shape.m * shape.n)
    }

    fn pick_gradient(&self, pick: &Pick, _: &Storage<T>, _: &Storage<i64>) -> Result<Storage<T>> {
        self.sized(pick.from.len())
    }

    fn conv(
        &self,
        shape: &ConvShape,
        _: &Storage<T>,
        _: &Storage<T>,
        _: Option<&Storage<T>>,
    ) -> Result<Storage<T>> {
        self.convolved(Operation::Forward, shape, shape.output_len())
    }

    fn conv_input_gradient(
        &self,
        shape: &ConvShape,
        _: &Storage<T>,
        _: &Storage<T>,
    ) -> Result<Storage<T>> {
        self.convolved(Operation::InputGradient, shape, shape.input_len())
    }

    fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        _: &Storage<T>,
        _: &Storage<T>,
    ) -> Result<Storage<T>> {
        self.convolved(Operation::WeightGradient, shape, shape.weight_len())
    }

    fn max_pool(&self, shape: &PoolShape, _: &Storage<T>) -> Result<(Storage<T>, Storage<i64>)> {
        Ok((self.sized(shape.output_len())?, self.sized(shape.output_len())?))
    }

    fn max_pool_gradient(
        &self,
        shape: &PoolShape,
        _: &Storage<T>,
        _: &Storage<i64>,
    ) -> Result<Storage<T>> {
        self.sized(shape.input_len())
    }

    fn average_pool(&self, shape: &PoolShape, _: &Storage<T>) -> Result<Storage<T>> {
        self.sized(shape.output_len())
    }

    fn average_pool_gradient(&self, shape: &PoolShape, _: &Storage<T>) -> Result<Storage<T>> {
        self.sized(shape.input_len())
    }

    fn unfold(&self, shape: &ConvShape, _: &Storage<T>) -> Result<Storage<T>> {
        self.sized(unfold::columns_len(shape))
    }

    fn fold(&self, shape: &ConvShape, _: &Storage<T>) -> Result<Storage<T>> {
        self.sized(shape.input_len())
    }

    // The defaults would draw numbers that nobody can read, and hold more than one sweep or an update in place does.

    fn max_pool_relu(
        &self,
        shape: &PoolShape,
        x: &Storage<T>,
    ) -> Result<(Storage<T>, Storage<i64>)> {
        self.max_pool(shape, x)
    }

    fn max_pool_relu_gradient(
        &self,
        shape: &PoolShape,
        _: &Storage<T>,
        _: (&Storage<T>, &Storage<i64>),
    ) -> Result<Storage<T>> {
        self.sized(shape.input_len())
    }

    fn extreme_pool(
        &self,
        shape: &PoolShape,
        x: &Storage<T>,
        _: &Storage<T>,
    ) -> Result<(Storage<T>, Storage<i64>)> {
        self.max_pool(shape, x)
    }

    fn max_pool_gradient_onto(
        &self,
        shape: &PoolShape,
        _: (&Storage<T>, &Storage<i64>),
        _: (&ChannelAffine<T>, &Storage<T>),
    ) -> Result<Storage<T>> {
        self.sized(shape.input_len())
    }

    fn log_softmax(&self, x: &Storage<T>, _: AxisShape) -> Result<Storage<T>> {
        self.sized(x.len())
    }

    fn log_softmax_gradient(
        &self,
        y: &Storage<T>,
        _: &Storage<T>,
        _: AxisShape,
    ) -> Result<Storage<T>> {
        self.sized(y.len())
    }

    fn channel_moments(
        &self,
        _: &Storage<T>,
        shape: AxisShape,
    ) -> Result<(Storage<T>, Storage<T>)> {
        Ok((self.sized(shape.axis)?, self.sized(shape.axis)?))
    }

    fn channel_affine(&self, _: &ChannelAffine<T>, x: &Storage<T>) -> Result<Storage<T>> {
        self.sized(x.len())
    }

    fn channel_gradient_sums(
        &self,
        norm: &ChannelAffine<T>,
        _: [&Storage<T>; 2],
    ) -> Result<(Storage<T>, Storage<T>)> {
        Ok((self.sized(norm.shape.axis)?, self.sized(norm.shape.axis)?))
    }

    fn channel_combine(
        &self,
        norm: &ChannelAffine<T>,
        _: [&Storage<T>; 2],
        _: [&Storage<T>; 2],
    ) -> Result<Storage<T>> {
        self.sized(norm.shape.len())
    }

    fn accumulate(&self, _: &mut Storage<T>, _: &Storage<T>) -> Result<()> {
        Ok(())
    }

    fn uniform(&self, _: &Key, len: usize, _: f64, _: f64) -> Result<Storage<T>> {
        self.sized(len)
    }

    fn normal(&self, _: &Key, len: usize, _: f64, _: f64) -> Result<Storage<T>> {
        self.sized(len)
    }

    fn update(
        &self,
        _: &Update,
        _: &mut Storage<T>,
        _: &Storage<T>,
        _: &mut [Storage<T>],
    ) -> Result<()> {
        Ok(())
    }
}
