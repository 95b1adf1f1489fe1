//! Matrix products. A transposed operand is read transposed, never copied.

use super::conv::{check_bias, gradients, passed};
use crate::backend::{Finish, MatmulShape};
use crate::{Error, Float, Result, Shape, Tensor, shape};

/// A product of dense operands whose shapes are known to fit; untracked.
fn product<T: Float>(
    left: &Tensor<T>,
    right: &Tensor<T>,
    problem: MatmulShape,
    shape: impl Into<Shape>,
) -> Result<Tensor<T>> {
    let shape = shape.into().checked::<T>("matmul")?;
    let storage = left.kernels().matmul(&problem, left.storage(), right.storage())?;
    Ok(left.sibling(storage, shape))
}

fn mismatch(left: &[usize], right: &[usize], expected: &str) -> Error {
    Error::shape("matmul", format!("{expected}, left is {left:?}, right is {right:?}"))
}

impl<T: Float> Tensor<T> {
    /// `[.., m, k] . [.., k, n] = [.., m, n]`; the leading axes broadcast. A vector is given its second axis by the caller.
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        self.expect_device("matmul", other)?;
        let (a, b) = (self.shape(), other.shape());
        let (Some((a_batch, &[m, k])), Some((b_batch, &[k2, n]))) =
            (a.split_last_chunk::<2>(), b.split_last_chunk::<2>())
        else {
            return Err(mismatch(a, b, "expected operands with two axes or more"));
        };
        if k != k2 {
            return Err(mismatch(a, b, "inner sizes must agree"));
        }
        if b_batch.is_empty() && !a_batch.is_empty() {
            // One right operand for all: the rows of the batch are the rows of one tall matrix.
            let rows = a_batch.iter().product::<usize>() * m;
            let tall = self.reshape([rows, k])?.matmul(other)?;
            return tall.reshape([a_batch, &[m, n]].concat());
        }
        let batch = shape::broadcast("matmul", a_batch, b_batch)?.checked::<T>("matmul")?;
        let left = self.expand([&batch[..], &[m, k]].concat())?;
        let right = other.expand([&batch[..], &[k, n]].concat())?;
        left.batched(&right, batch, [m, k, n])
    }

    /// The product of operands with equal leading axes.
    fn batched(&self, right: &Self, batch: Shape, [m, k, n]: [usize; 3]) -> Result<Self> {
        let problem = MatmulShape {
            batch: batch.volume(),
            m,
            k,
            n,
            transpose_left: false,
            transpose_right: false,
            share_left: false,
            share_right: false,
        };
        let y = product(self, right, problem, [&batch[..], &[m, n]].concat())?;
        let (a, b) = (self.detach(), right.detach());
        Ok(y.record("matmul", &[self, right], move |grad, needs| {
            let to_left = MatmulShape { k: n, n: k, transpose_right: true, ..problem };
            let to_right = MatmulShape { m: k, k: m, transpose_left: true, ..problem };
            let left = || product(grad, &b, to_left, a.shape());
            let right = || product(&a, grad, to_right, b.shape());
            Ok(vec![needs[0].then(left).transpose()?, needs[1].then(right).transpose()?])
        }))
    }

    /// `x W^T + b`: `[.., in]` with `weight` `[out, in]` and `bias` `[out]` gives `[.., out]`.
    pub fn linear(&self, weight: &Self, bias: Option<&Self>) -> Result<Self> {
        self.linear_then(false, weight, bias)
    }

    /// [`Tensor::linear`], then `max(y, 0)`, in one kernel where the device has it.
    pub fn linear_relu(&self, weight: &Self, bias: Option<&Self>) -> Result<Self> {
        self.linear_then(true, weight, bias)
    }

    fn linear_then(&self, relu: bool, weight: &Self, bias: Option<&Self>) -> Result<Self> {
        let fits = match (self.shape(), weight.shape()) {
            ([.., width], [_, inputs]) => width == inputs,
            _ => false,
        };
        if !fits {
            return Err(Error::shape(
                "linear",
                format!(
                    "weight {:?} expects inputs of {} features, input is {:?}",
                    weight.shape(),
                    weight.shape().last().copied().unwrap_or(0),
                    self.shape()
                ),
            ));
        }
        self.expect_device("linear", weight)?;
        let [outputs, inputs] = [weight.shape()[0], weight.shape()[1]];
        check_bias("linear", self, bias, outputs)?;
        let leading = &self.shape()[..self.rank() - 1];
        let rows: usize = leading.iter().product();
        let problem = MatmulShape {
            batch: 1,
            m: rows,
            k: inputs,
            n: outputs,
            transpose_left: false,
            transpose_right: true,
            share_left: false,
            share_right: false,
        };
        let shape = Shape::from([leading, &[outputs]].concat()).checked::<T>("linear")?;
        let finish = Finish { bias: bias.map(|bias| bias.storage()), relu };
        let operands = [self.storage(), weight.storage()];
        let y = self.sibling(self.kernels().matmul_then(&problem, operands, finish)?, shape);
        let (x, w, rectified) = (self.detach(), weight.detach(), relu.then(|| y.clone()));
        let backward = move |grad: &Tensor<T>, needs: &[bool]| {
            let grad = &passed(grad, rectified.as_ref())?;
            let to_input = MatmulShape { k: outputs, n: inputs, transpose_right: false, ..problem };
            let to_weight = MatmulShape {
                m: outputs,
                k: rows,
                n: inputs,
                transpose_left: true,
                transpose_right: false,
                ..problem
            };
            let input = || product(grad, &w, to_input, x.shape());
            let weight = || product(grad, &x, to_weight, w.shape());
            let bias = || grad.sum((0..grad.rank() as isize - 1).collect::<Vec<_>>(), false);
            gradients(needs, input, weight, bias)
        };
        Ok(match bias {
            Some(bias) => y.record("linear", &[self, weight, bias], backward),
            None => y.record("linear", &[self, weight], backward),
        })
    }
}
