//! What computes, in f32.

use striate_conv::{ConvShape, PoolShape};
use striate_tensor::backend::{
    AxisShape, Binary, ChannelAffine, Compare, Extreme, Finish, Kernels, MatmulShape, Pick, Reduce,
    Storage, Unary, Update, View,
};
use striate_tensor::random::{Key, Philox};
use striate_tensor::{Element, Layout, Result};

use crate::backend::Cuda;
use crate::card::Arg;
use crate::matmul::Epilogue;
use crate::memory::address;
use crate::views::walk;

type Store = Storage<f32>;

/// The code of a sum in `zip`.
const ADD: usize = 0;

/// A function of one argument as `elementwise.ptx` knows it: code, p, q.
type Function = (usize, f64, f64);

fn function(op: Unary) -> Function {
    match op {
        Unary::Affine { scale, shift } => (0, scale, shift),
        Unary::Abs => (1, 0.0, 0.0),
        Unary::Exp => (2, 0.0, 0.0),
        Unary::Ln => (3, 0.0, 0.0),
        Unary::Sqrt => (4, 0.0, 0.0),
        Unary::Recip => (5, 0.0, 0.0),
        Unary::Pow(p) => power(p, 1.0),
        Unary::Tanh => (7, 0.0, 0.0),
        Unary::Sigmoid => (8, 0.0, 0.0),
        Unary::Relu => (9, 0.0, 0.0),
        Unary::LeakyRelu(slope) => (10, slope, 0.0),
        Unary::Elu(alpha) => (11, alpha, 0.0),
        Unary::Gelu => (12, 0.0, 0.0),
        Unary::GeluTanh => (13, 0.0, 0.0),
        Unary::Softplus => (14, 0.0, 0.0),
        Unary::Silu => (15, 0.0, 0.0),
        Unary::Clamp(low, high) => (16, low, high),
    }
}

/// `factor x^p`, by itself where that is a simple one.
fn power(p: f64, factor: f64) -> Function {
    match (p, factor) {
        (0.0, _) => (19, factor, 0.0),
        (_, 0.0) => (19, 0.0, 0.0),
        (1.0, _) => (0, factor, 0.0),
        (2.0, 1.0) => (17, 0.0, 0.0),
        (-1.0, _) => (32, factor, 0.0),
        _ => (6, p, factor),
    }
}

/// The derivative of a function, of what [`Unary::saves`] keeps.
fn derivative(op: Unary) -> Function {
    match op {
        Unary::Affine { scale, .. } => (19, scale, 0.0),
        Unary::Abs => (20, 0.0, 0.0),
        Unary::Exp => (0, 1.0, 0.0),
        Unary::Ln => (32, 1.0, 0.0),
        Unary::Sqrt => (32, 0.5, 0.0),
        Unary::Recip => (31, 0.0, 0.0),
        Unary::Pow(p) => power(p - 1.0, p),
        Unary::Tanh => (21, 0.0, 0.0),
        Unary::Sigmoid => (22, 0.0, 0.0),
        Unary::Relu => (23, 0.0, 0.0),
        Unary::LeakyRelu(slope) => (24, slope, 0.0),
        Unary::Elu(alpha) => (25, alpha, 0.0),
        Unary::Gelu => (26, 0.0, 0.0),
        Unary::GeluTanh => (27, 0.0, 0.0),
        Unary::Softplus => (8, 0.0, 0.0),
        Unary::Silu => (29, 0.0, 0.0),
        Unary::Clamp(low, high) => (30, low, high),
    }
}

/// The code of a comparison.
pub(crate) fn comparison(op: Compare) -> usize {
    match op {
        Compare::Eq => 16,
        Compare::Ne => 17,
        Compare::Lt => 18,
        Compare::Le => 19,
        Compare::Gt => 20,
        Compare::Ge => 21,
    }
}

impl Cuda {
    fn apply(&self, (code, p, q): Function, x: &Store, grad: Option<&Store>) -> Result<Store> {
        let grad = grad.map_or(Ok(0), address)?;
        let len = x.len();
        self.output(len, |out| {
            let mut args: Vec<Arg> = [address(x)?, grad, out].map(Arg::from).to_vec();
            args.extend([len, code].map(Arg::from));
            args.extend([p, q].map(Arg::from));
            self.card.each("unary", len, &args)
        })
    }

    /// `a op b` for two views by a kernel; the results are of another type where `code` is of a comparison.
    pub(crate) fn zip<T: Element, O: Element>(
        &self,
        kernel: &str,
        code: usize,
        [a, b]: [View<T>; 2],
    ) -> Result<Storage<O>> {
        let len = a.layout.len();
        self.output(len, |out| {
            let operands = [address(a.storage)?, address(b.storage)?, out];
            let mut args: Vec<Arg> = operands.map(Arg::from).to_vec();
            args.extend([len, code].map(Arg::from));
            args.extend(walk(kernel, &[a.layout, b.layout])?);
            self.card.each(kernel, len, &args)
        })
    }

    /// `a` where the condition holds, else `b`.
    pub(crate) fn either<T: Element>(
        &self,
        condition: View<bool>,
        [a, b]: [View<T>; 2],
    ) -> Result<Storage<T>> {
        let len = a.layout.len();
        self.output(len, |out| {
            let condition_at = address(condition.storage)?;
            let operands = [condition_at, address(a.storage)?, address(b.storage)?, out];
            let mut args: Vec<Arg> = operands.map(Arg::from).to_vec();
            args.extend([len, size_of::<T>()].map(Arg::from));
            args.extend(walk("choose", &[condition.layout, a.layout, b.layout])?);
            self.card.each("choose", len, &args)
        })
    }
}

impl Kernels<f32> for Cuda {
    fn unary(&self, op: Unary, x: &Store) -> Result<Store> {
        self.apply(function(op), x, None)
    }

    fn unary_gradient(&self, op: Unary, saved: &Store, grad: &Store) -> Result<Store> {
        // What keeps nothing has a constant slope: any numbers of that shape will do.
        let saved = if saved.len() == grad.len() { saved } else { grad };
        self.apply(derivative(op), saved, Some(grad))
    }

    fn binary(&self, op: Binary, a: View<f32>, b: View<f32>) -> Result<Store> {
        let code = match op {
            Binary::Add => ADD,
            Binary::Sub => 1,
            Binary::Mul => 2,
            Binary::Div => 3,
            Binary::Pow => 4,
            Binary::Maximum => 5,
            Binary::Minimum => 6,
        };
        self.zip("zip", code, [a, b])
    }

    fn compare(&self, op: Compare, a: View<f32>, b: View<f32>) -> Result<Storage<bool>> {
        self.zip("zip", comparison(op), [a, b])
    }

    fn choose(&self, condition: View<bool>, a: View<f32>, b: View<f32>) -> Result<Store> {
        self.either(condition, [a, b])
    }

    fn reduce(&self, op: Reduce, x: &Store, shape: &[usize], reduced: &[bool]) -> Result<Store> {
        self.fold(op, x, (shape, reduced))
    }

    fn arg_extreme(&self, extreme: Extreme, x: &Store, shape: AxisShape) -> Result<Storage<i64>> {
        let code: usize = match extreme {
            Extreme::Max => 1,
            Extreme::Min => 2,
        };
        let len = shape.outer * shape.inner;
        self.output(len, |out| {
            let mut args: Vec<Arg> = [address(x)?, out].map(Arg::from).to_vec();
            args.extend([len, shape.axis, shape.inner, code].map(Arg::from));
            self.card.each("find", len, &args)
        })
    }

    fn matmul(&self, shape: &MatmulShape, left: &Store, right: &Store) -> Result<Store> {
        self.product(shape, [left, right], Epilogue::default())
    }

    fn matmul_then(
        &self,
        shape: &MatmulShape,
        operands: [&Store; 2],
        Finish { bias, relu }: Finish<f32>,
    ) -> Result<Store> {
        let col_bias = bias.map_or(Ok(0), address)?;
        self.product(shape, operands, Epilogue { row_bias: 0, col_bias, relu })
    }

    fn pick_gradient(&self, pick: &Pick, grad: &Store, index: &Storage<i64>) -> Result<Store> {
        let len = pick.from.len();
        self.output(len, |out| {
            let operands = [address(grad)?, address(index)?, out, self.card.bad()];
            let mut args: Vec<Arg> = operands.map(Arg::from).to_vec();
            let sizes = [len, pick.from.axis, pick.count, pick.from.inner];
            args.extend(sizes.map(Arg::from));
            args.push(usize::from(pick.elementwise).into());
            self.card.each("pick_gradient", len, &args)
        })
    }

    fn conv(
        &self,
        shape: &ConvShape,
        input: &Store,
        weight: &Store,
        bias: Option<&Store>,
    ) -> Result<Store> {
        self.conv_forward(shape, [input, weight], (bias, false))
    }

    fn conv_relu(
        &self,
        shape: &ConvShape,
        input: &Store,
        weight: &Store,
        bias: Option<&Store>,
    ) -> Result<Store> {
        self.conv_forward(shape, [input, weight], (bias, true))
    }

    fn conv_input_gradient(
        &self,
        shape: &ConvShape,
        grad: &Store,
        weight: &Store,
    ) -> Result<Store> {
        self.conv_of_input(shape, [grad, weight])
    }

    fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        input: &Store,
        grad: &Store,
    ) -> Result<Store> {
        self.conv_of_weight(shape, [input, grad])
    }

    fn max_pool(&self, shape: &PoolShape, x: &Store) -> Result<(Store, Storage<i64>)> {
        self.largest(shape, x)
    }

    fn max_pool_gradient(
        &self,
        shape: &PoolShape,
        grad: &Store,
        indices: &Storage<i64>,
    ) -> Result<Store> {
        self.pool_gradient(shape, grad, Some(indices))
    }

    fn average_pool(&self, shape: &PoolShape, x: &Store) -> Result<Store> {
        self.average(shape, x)
    }

    fn average_pool_gradient(&self, shape: &PoolShape, grad: &Store) -> Result<Store> {
        self.pool_gradient(shape, grad, None)
    }

    fn unfold(&self, shape: &ConvShape, x: &Store) -> Result<Store> {
        self.columns(shape, x)
    }

    fn fold(&self, shape: &ConvShape, columns: &Store) -> Result<Store> {
        self.planes(shape, columns)
    }

    fn uniform(&self, key: &Key, len: usize, low: f64, high: f64) -> Result<Store> {
        self.output(len, |out| {
            let Philox { key, high: words } = key.philox();
            let mut args = vec![out.into(), len.into()];
            args.extend(key.into_iter().chain(words).map(Arg::Word));
            args.extend([low, high - low].map(|number| Arg::from(number.to_bits())));
            self.card.each("uniform", len.div_ceil(4), &args)
        })
    }

    fn log_softmax(&self, x: &Store, shape: AxisShape) -> Result<Store> {
        self.softmax(x, None, shape)
    }

    fn log_softmax_gradient(&self, y: &Store, grad: &Store, shape: AxisShape) -> Result<Store> {
        self.softmax(grad, Some(y), shape)
    }

    fn channel_moments(&self, x: &Store, shape: AxisShape) -> Result<(Store, Store)> {
        self.moments(x, shape)
    }

    fn channel_affine(&self, norm: &ChannelAffine<f32>, x: &Store) -> Result<Store> {
        self.affine(norm, x)
    }

    fn channel_gradient_sums(
        &self,
        norm: &ChannelAffine<f32>,
        inputs: [&Store; 2],
    ) -> Result<(Store, Store)> {
        self.norm_sums(norm, inputs)
    }

    fn channel_combine(
        &self,
        norm: &ChannelAffine<f32>,
        inputs: [&Store; 2],
        coefficients: [&Store; 2],
    ) -> Result<Store> {
        self.combine(norm, inputs, coefficients)
    }

    fn accumulate(&self, target: &mut Store, source: &Store) -> Result<()> {
        let len = target.len();
        let layout = Layout::dense(&[len]);
        let mut args = [address(target)?, address(source)?].map(Arg::from).to_vec();
        args.push(self.replaced(target)?.into());
        args.extend([len, ADD].map(Arg::from));
        args.extend(walk("add", &[&layout, &layout])?);
        self.card.each("zip", len, &args)
    }

    fn update(
        &self,
        rule: &Update,
        weight: &mut Store,
        grad: &Store,
        state: &mut [Store],
    ) -> Result<()> {
        self.step(rule, weight, grad, state)
    }
}
