//! The calls that `tests/fixtures/edges.py` makes of PyTorch, made of ours.

use serde_json::Value;
use striate::tensor::ops::{
    Corners, CrossEntropy, Interpolation, Moments, Normalization, PadMode, Reduction,
};
use striate::tensor::{Axes, ConvSpec, Float, PoolSpec, Result, Tensor};

/// The arguments of a call, by PyTorch's or our names.
pub struct Arguments<'a>(pub &'a Value);

impl Arguments<'_> {
    fn number(&self, name: &str) -> f64 {
        number(&self.0[name])
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn flag(&self, name: &str) -> bool {
        self.0[name].as_bool().unwrap_or_default()
    }

    fn axis(&self, name: &str) -> isize {
        self.0[name].as_i64().unwrap() as isize
    }

    fn size(&self, name: &str) -> usize {
        self.0[name].as_u64().unwrap() as usize
    }

    fn sizes(&self, name: &str) -> Vec<usize> {
        serde_json::from_value(self.0[name].clone()).unwrap()
    }

    /// One size for every axis, or a list of them.
    fn each<const N: usize>(&self, name: &str, default: usize) -> [usize; N] {
        match &self.0[name] {
            Value::Null => [default; N],
            Value::Number(size) => [size.as_u64().unwrap() as usize; N],
            _ => self.sizes(name).try_into().unwrap(),
        }
    }

    fn axes(&self) -> Axes {
        match &self.0["axes"] {
            Value::Null => Axes::All,
            list => Axes::List(serde_json::from_value(list.clone()).unwrap()),
        }
    }

    fn reduction(&self) -> Reduction {
        match self.text("reduction") {
            "mean" => Reduction::Mean,
            "sum" => Reduction::Sum,
            "batchmean" => Reduction::BatchMean,
            _ => Reduction::None,
        }
    }

    fn conv<const N: usize>(&self, kernel: [usize; N]) -> ConvSpec<N> {
        ConvSpec::new(kernel)
            .stride(self.each("stride", 1))
            .padding(self.each("padding", 0))
            .dilation(self.each("dilation", 1))
            .groups(self.0["groups"].as_u64().unwrap_or(1) as usize)
            .output_padding(self.each("output_padding", 0))
    }

    fn pool<const N: usize>(&self) -> PoolSpec<N> {
        PoolSpec::new(self.each("kernel", 1))
            .stride(self.each("stride", 1))
            .padding(self.each("padding", 0))
            .dilation(self.each("dilation", 1))
            .ceil_mode(self.flag("ceil"))
            .count_include_pad(self.0["count_include_pad"].as_bool().unwrap_or(true))
            .divisor_override(self.0["divisor_override"].as_u64().map(|divisor| divisor as usize))
    }

    fn cross_entropy<T: Float>(&self, like: &Tensor<T>) -> Result<CrossEntropy<T>> {
        let weights: Option<Vec<f64>> = serde_json::from_value(self.0["weights"].clone()).unwrap();
        Ok(CrossEntropy {
            label_smoothing: self.number("smoothing"),
            class_weights: weights.map(|weights| constant(like, &weights)).transpose()?,
            ignore_index: Some(-100),
            reduction: self.reduction(),
        })
    }
}

/// A number of a fixture, which may be infinite or none.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn constant<T: Float>(like: &Tensor<T>, values: &[f64]) -> Result<Tensor<T>> {
    let values = values.iter().map(|&value| T::from_f64(value)).collect();
    Tensor::from_vec(values, [like.shape()[1]], like.device())
}

/// Calls `$body` with `$n` as a constant: the number of spatial axes of `$x`.
macro_rules! by_axes {
    ($axes:expr, $n:ident => $body:expr) => {
        match $axes {
            1 => {
                const $n: usize = 1;
                $body
            }
            2 => {
                const $n: usize = 2;
                $body
            }
            _ => {
                const $n: usize = 3;
                $body
            }
        }
    };
}

/// The result of operation `op` with arguments `a` on inputs `x` and integer inputs `i`.
pub fn call<T: Float>(
    op: &str,
    a: &Arguments,
    x: &[Tensor<T>],
    i: &[Tensor<i64>],
) -> Result<Tensor<T>> {
    let families = [elementwise, reduce, rearrange, join, windows, resize, norm, loss];
    families.into_iter().find_map(|family| family(op, a, x, i)).unwrap_or_else(|| panic!("{op}?"))
}

type Call<T> = Option<Result<Tensor<T>>>;

fn elementwise<T: Float>(op: &str, a: &Arguments, x: &[Tensor<T>], _: &[Tensor<i64>]) -> Call<T> {
    let zero = || Tensor::scalar(T::ZERO, x[0].device());
    let mask = |mask: Result<Tensor<bool>>| mask.and_then(|mask| mask.cast());
    let detached: Vec<_> = x.iter().map(Tensor::detach).collect();
    Some(match op {
        "abs" => x[0].abs(),
        "exp" => x[0].exp(),
        "ln" => x[0].ln(),
        "sqrt" => x[0].sqrt(),
        "recip" => x[0].recip(),
        "tanh" => x[0].tanh(),
        "sigmoid" => x[0].sigmoid(),
        "relu" => x[0].relu(),
        "gelu" => x[0].gelu(),
        "gelu_tanh" => x[0].gelu_tanh(),
        "silu" => x[0].silu(),
        "softplus" => x[0].softplus(),
        "leaky_relu" => x[0].leaky_relu(a.number("number")),
        "elu" => x[0].elu(a.number("number")),
        "powf" => x[0].powf(a.number("number")),
        "clamp" => x[0].clamp(a.number("low"), a.number("high")),
        "affine" => x[0].affine(a.number("scale"), a.number("shift")),
        "add" => x[0].add(&x[1]),
        "sub" => x[0].sub(&x[1]),
        "mul" => x[0].mul(&x[1]),
        "div" => x[0].div(&x[1]),
        "pow" => x[0].pow(&x[1]),
        "maximum" => x[0].maximum(&x[1]),
        "minimum" => x[0].minimum(&x[1]),
        "eq" => mask(detached[0].eq(&detached[1])),
        "ne" => mask(detached[0].ne(&detached[1])),
        "lt" => mask(detached[0].lt(&detached[1])),
        "le" => mask(detached[0].le(&detached[1])),
        "gt" => mask(detached[0].gt(&detached[1])),
        "ge" => mask(detached[0].ge(&detached[1])),
        "choose" => zero().and_then(|zero| x[0].gt(&zero)?.choose(&x[1], &x[2])),
        "matmul" => x[0].matmul(&x[1]),
        "linear" => x[0].linear(&x[1], x.get(2)),
        _ => return None,
    })
}

fn reduce<T: Float>(op: &str, a: &Arguments, x: &[Tensor<T>], _: &[Tensor<i64>]) -> Call<T> {
    let (x, keep) = (&x[0], a.flag("keepdim"));
    Some(match op {
        "sum" => x.sum(a.axes(), keep),
        "mean" => x.mean(a.axes(), keep),
        "max" => x.max(a.axes(), keep),
        "min" => x.min(a.axes(), keep),
        "logsumexp" => x.logsumexp(a.axes(), keep),
        "var" => x.var(a.axes(), a.number("correction"), keep),
        "argmax" => x.argmax(a.axes(), keep).and_then(|index| index.cast()),
        "argmin" => x.argmin(a.axes(), keep).and_then(|index| index.cast()),
        "softmax" => x.softmax(a.axis("axis")),
        "log_softmax" => x.log_softmax(a.axis("axis")),
        _ => return None,
    })
}

fn rearrange<T: Float>(op: &str, a: &Arguments, x: &[Tensor<T>], _: &[Tensor<i64>]) -> Call<T> {
    let x = &x[0];
    Some(match op {
        "reshape" => x.reshape(a.sizes("shape")),
        "flatten" => x.flatten(a.axis("start"), a.axis("end")),
        "permute" => x.permute(serde_json::from_value::<Vec<isize>>(a.0["order"].clone()).unwrap()),
        "transpose" => x.transpose(a.axis("a"), a.axis("b")),
        "expand" => x.expand(a.sizes("shape")),
        "unsqueeze" => x.unsqueeze(a.axis("axis")),
        "squeeze" => x.squeeze(a.axes()),
        "slice" => x.slice(a.axis("axis"), a.size("start")..a.size("end"), a.size("step")),
        "flip" => x.flip(a.axes()),
        _ => return None,
    })
}

fn join<T: Float>(op: &str, a: &Arguments, x: &[Tensor<T>], i: &[Tensor<i64>]) -> Call<T> {
    let parts: Vec<_> = x.iter().collect();
    Some(match op {
        "cat" => Tensor::cat(&parts, a.axis("axis")),
        "stack" => Tensor::stack(&parts, a.axis("axis")),
        "split" => x[0].split(&a.sizes("sizes"), a.axis("axis")).and_then(|parts| {
            let doubled = parts.iter().map(|part| part * 2.0).collect::<Result<Vec<_>>>()?;
            Tensor::cat(&doubled.iter().collect::<Vec<_>>(), a.axis("axis"))
        }),
        "index_select" => x[0].index_select(a.axis("axis"), &i[0]),
        "gather" => x[0].gather(a.axis("axis"), &i[0]),
        "pad" => {
            let padding: Vec<[usize; 2]> = serde_json::from_value(a.0["padding"].clone()).unwrap();
            let mode = match a.text("mode") {
                "reflect" => PadMode::Reflect,
                "replicate" => PadMode::Replicate,
                "circular" => PadMode::Circular,
                "constant" => PadMode::Zeros,
                value => PadMode::Constant(value.parse().unwrap()),
            };
            x[0].pad(&padding, mode)
        }
        _ => return None,
    })
}

fn windows<T: Float>(op: &str, a: &Arguments, x: &[Tensor<T>], _: &[Tensor<i64>]) -> Call<T> {
    let axes = x[0].rank().saturating_sub(2);
    Some(match op {
        "conv" | "conv_transpose" => by_axes!(axes, N => {
            let spec = a.conv::<N>(x[1].shape()[2..].try_into().unwrap());
            match op {
                "conv" => x[0].conv(&x[1], x.get(2), &spec),
                _ => x[0].conv_transpose(&x[1], x.get(2), &spec),
            }
        }),
        "max_pool" => by_axes!(axes, N => x[0].max_pool(&a.pool::<N>())),
        "avg_pool" => by_axes!(axes, N => x[0].avg_pool(&a.pool::<N>())),
        "max_pool_indices" => by_axes!(axes, N => {
            x[0].max_pool_with_indices(&a.pool::<N>()).and_then(|(_, indices)| indices.cast())
        }),
        "adaptive_max_pool" => by_axes!(axes, N => x[0].adaptive_max_pool::<N>(a.each("size", 1))),
        "adaptive_avg_pool" => by_axes!(axes, N => x[0].adaptive_avg_pool::<N>(a.each("size", 1))),
        "unfold" => x[0].unfold(&a.conv::<2>(a.each("kernel", 1))),
        "fold" => {
            let size = a.sizes("size").try_into().unwrap();
            x[0].fold(&a.conv::<2>(a.each("kernel", 1)), size)
        }
        _ => return None,
    })
}

fn resize<T: Float>(op: &str, a: &Arguments, x: &[Tensor<T>], _: &[Tensor<i64>]) -> Call<T> {
    (op == "interpolate").then(|| {
        let mode = match a.text("mode") {
            "nearest" => Interpolation::Nearest,
            "free" => Interpolation::Linear(Corners::Free),
            _ => Interpolation::Linear(Corners::Aligned),
        };
        by_axes!(x[0].rank() - 2, N => x[0].interpolate::<N>(a.each("size", 1), mode))
    })
}

fn norm<T: Float>(op: &str, a: &Arguments, x: &[Tensor<T>], _: &[Tensor<i64>]) -> Call<T> {
    let affine = x.get(1).zip(x.get(2)).map(|(weight, bias)| [weight, bias]);
    let x = &x[0];
    Some(match op {
        "batch_norm" => {
            let moments: Vec<Vec<f64>> = serde_json::from_value(a.0["moments"].clone()).unwrap();
            let eps = a.number("eps");
            let [mean, variance] = &moments[..] else {
                return Some(x.batch_norm(affine, Normalization::Batch, eps).map(|y| y.0));
            };
            constant(x, mean).and_then(|mean| {
                let moments = Moments { mean, variance: constant(x, variance)? };
                Ok(x.batch_norm(affine, Normalization::Fixed(&moments), eps)?.0)
            })
        }
        "group_norm" => x.group_norm(a.size("groups"), affine, 1e-5),
        "layer_norm" => x.layer_norm(&a.sizes("over"), affine, 1e-5),
        _ => return None,
    })
}

fn loss<T: Float>(op: &str, a: &Arguments, x: &[Tensor<T>], i: &[Tensor<i64>]) -> Call<T> {
    Some(match op {
        "mse" => x[0].mse(&x[1], a.reduction()),
        "l1" => x[0].l1(&x[1], a.reduction()),
        "smooth_l1" => x[0].smooth_l1(&x[1], a.number("number"), a.reduction()),
        "huber" => x[0].huber(&x[1], a.number("number"), a.reduction()),
        "bce" => x[0].bce(&x[1], a.reduction()),
        "bce_with_logits" => x[0].bce_with_logits(&x[1], a.reduction()),
        "kl_div" => x[0].kl_div(&x[1], a.reduction()),
        "cross_entropy" => {
            a.cross_entropy(&x[0]).and_then(|options| x[0].cross_entropy_with(&i[0], &options))
        }
        "nll" => a.cross_entropy(&x[0]).and_then(|options| x[0].nll_with(&i[0], &options)),
        _ => return None,
    })
}
