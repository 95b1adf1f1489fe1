//! Kernels that the processor or a card fuses, against the compositions that they replace.
//!
//! The other operations need no such comparison: tests/ops runs all of them on both. Here are sizes that the
//! processor cuts into several pieces, and what no operation reaches.

#[path = "common/card.rs"]
mod card;
mod common;
#[path = "common/composed.rs"]
mod composed;

use card::card;
use common::hash_tensor;
use composed::Composed;
use striate::conv::{ConvShape, PoolShape};
use striate::tensor::backend::{
    AxisShape, Binary, ChannelAffine, Finish, Kernels, MatmulShape, Reduce, Saved, Storage, Unary,
    Update, View,
};
use striate::tensor::random::{Key, Purpose};
use striate::tensor::{ConvSpec, Device, Float, Layout, PoolSpec, Result};

/// The last two are cut into pieces, in one of which channels have many planes; the one before has rows too short for a fused kernel.
const SHAPES: [[usize; 3]; 7] =
    [[1, 1, 1], [2, 3, 5], [3, 17, 1], [1, 9, 20], [5, 3, 1], [70, 2, 130], [9, 40, 130]];

/// What a kernel is given: numbers by name, and a shape around the axis that it works along.
struct Inputs<'a, T: Float> {
    kernels: &'a dyn Kernels<T>,
    shape: AxisShape,
}

impl<T: Float> Inputs<'_, T> {
    fn stored(&self, name: &str, len: usize) -> Storage<T> {
        let numbers = hash_tensor::<T>(name, [len]).to_vec().unwrap();
        self.kernels.upload(striate::conv::Buffer::from_slice(&numbers)).unwrap()
    }

    /// One number for each element.
    fn whole(&self, name: &str) -> Storage<T> {
        self.stored(name, self.shape.len())
    }

    /// One number for each index of the axis.
    fn channels(&self, name: &str) -> Storage<T> {
        self.stored(name, self.shape.axis)
    }
}

/// Runs `kernel` on a device and on the processor's composition, for all shapes, and compares the results. Sums may
/// be taken in another order.
fn compare<T: Float>(device: &Device, kernel: impl Fn(&Inputs<T>) -> Result<Vec<Storage<T>>>) {
    let composed = Composed(Device::cpu());
    for [outer, axis, inner] in SHAPES {
        let shape = AxisShape { outer, axis, inner };
        let run = |kernels: &dyn Kernels<T>| -> Vec<Vec<T>> {
            let results = kernel(&Inputs { kernels, shape }).unwrap();
            results.iter().map(|storage| kernels.download(storage).unwrap().to_vec()).collect()
        };
        let (fused, expected) = (run(T::kernels(device.backend())), run(&composed));
        assert_eq!(fused.len(), expected.len());
        for (fused, expected) in fused.iter().zip(&expected) {
            assert_eq!(fused.len(), expected.len());
            let count = (shape.len() as f64).sqrt();
            let largest = expected.iter().fold(1.0, |max: f64, x| max.max(x.to_f64().abs()));
            for (fused, expected) in fused.iter().zip(expected) {
                let difference = (fused.to_f64() - expected.to_f64()).abs();
                let allowed = 4.0 * T::EPSILON.to_f64() * largest * count;
                assert!(difference <= allowed, "{shape:?}: {fused} fused, {expected} composed");
            }
        }
    }
}

/// The same in both precisions, and in single precision on a card.
macro_rules! compare {
    (|$inputs:ident| $body:expr) => {
        compare::<f32>(&Device::cpu(), |$inputs| $body);
        compare::<f64>(&Device::cpu(), |$inputs| $body);
        if let Some(card) = card(striate_cuda::checked) {
            compare::<f32>(&card, |$inputs| $body);
        }
    };
}

#[test]
fn log_softmax() {
    compare!(|i| Ok(vec![i.kernels.log_softmax(&i.whole("x"), i.shape)?]));
    compare!(|i| {
        let y = i.kernels.log_softmax(&i.whole("x"), i.shape)?;
        Ok(vec![i.kernels.log_softmax_gradient(&y, &i.whole("g"), i.shape)?])
    });
}

#[test]
fn channel_kernels() {
    compare!(|i| {
        let (mean, variance) = i.kernels.channel_moments(&i.whole("x"), i.shape)?;
        Ok(vec![mean, variance])
    });
    compare!(|i| {
        let [center, scale, shift] = ["center", "scale", "shift"].map(|name| i.channels(name));
        let inputs = [&i.whole("g"), &i.whole("x")];
        let mut results = Vec::new();
        for relu in [false, true] {
            let (center, scale, shift) = (&center, &scale, &shift);
            let norm = ChannelAffine { shape: i.shape, center, scale, shift, relu };
            results.push(i.kernels.channel_affine(&norm, inputs[1])?);
            let (sum, product) = i.kernels.channel_gradient_sums(&norm, inputs)?;
            results.extend([sum, product]);
            let coefficients = [&i.channels("b"), &i.channels("d")];
            results.push(i.kernels.channel_combine(&norm, inputs, coefficients)?);
        }
        Ok(results)
    });
}

/// `[m, k] . [k, n]`, one of them.
fn product([m, k, n]: [usize; 3]) -> MatmulShape {
    MatmulShape {
        batch: 1,
        m,
        k,
        n,
        transpose_left: false,
        transpose_right: false,
        share_left: false,
        share_right: false,
    }
}

/// A bias or none, and a ReLU or none, of which one there is.
fn finishes<T: Float>(bias: &Storage<T>) -> [Finish<'_, T>; 3] {
    [(None, true), (Some(bias), false), (Some(bias), true)]
        .map(|(bias, relu)| Finish { bias, relu })
}

#[test]
fn products_with_a_bias_and_a_relu() {
    compare!(|i| {
        let AxisShape { outer, axis, inner } = i.shape;
        let problem = MatmulShape { transpose_right: true, ..product([outer, axis, inner]) };
        let operands = [&i.stored("left", outer * axis), &i.stored("right", axis * inner)];
        let run = |finish| i.kernels.matmul_then(&problem, operands, finish);
        finishes(&i.stored("bias", inner)).into_iter().map(run).collect()
    });
}

/// A deep sum of few results is cut in parts, and what follows the sum must wait for all of them.
#[test]
fn a_card_ends_the_whole_sum_and_not_its_parts() {
    let Some(card) = card(striate_cuda::checked) else { return };
    let kernels = <f32 as Float>::kernels(card.backend());
    let stored = |name: &str, len| {
        let numbers = hash_tensor::<f32>(name, [len]).to_vec().unwrap();
        kernels.upload(striate::conv::Buffer::from_slice(&numbers)).unwrap()
    };
    let [m, k, n] = [3, 1100, 5];
    let (problem, bias) = (product([m, k, n]), stored("bias", n));
    let operands = [&stored("left", m * k), &stored("right", k * n)];
    let sums = kernels.matmul(&problem, operands[0], operands[1]).unwrap();
    let sums = kernels.download(&sums).unwrap().to_vec();
    let bias_at = kernels.download(&bias).unwrap().to_vec();
    for finish in finishes(&bias) {
        let found = kernels.matmul_then(&problem, operands, finish).unwrap();
        let found = kernels.download(&found).unwrap().to_vec();
        for (at, (found, sum)) in found.iter().zip(&sums).enumerate() {
            let sum = if finish.bias.is_some() { sum + bias_at[at % n] } else { *sum };
            let expected = if finish.relu { sum.max(0.0) } else { sum };
            // Five parts and a bias in another order, all terms below one.
            let allowed = 6.0 * f32::EPSILON * k as f32;
            assert!((found - expected).abs() <= allowed, "at {at}: {found}, {expected}");
        }
    }
}

/// Channels of which a card makes tiles, and few of which it makes none.
#[test]
fn convolutions_with_a_relu() {
    compare!(|i| {
        let AxisShape { outer, axis, inner } = i.shape;
        let (input, weight) = ([outer, axis, inner], [6, axis, 3]);
        let spec = ConvSpec::new([3]).padding([1]);
        let shape = ConvShape::conv(&spec, &input, &weight).unwrap();
        let [x, w] = [("x", shape.input_len()), ("w", shape.weight_len())]
            .map(|(name, len)| i.stored(name, len));
        let bias = i.stored("bias", 6);
        let with = i.kernels.conv_relu(&shape, &x, &w, Some(&bias))?;
        Ok(vec![with, i.kernels.conv_relu(&shape, &x, &w, None)?])
    });
}

/// Windows side by side that are squares and that are not, on maps that blocks of windows fill and on others.
#[test]
fn max_pooling_with_a_relu() {
    for spec in [PoolSpec::new([2, 2]), PoolSpec::new([1, 2]).ceil_mode(true)] {
        compare!(|i| {
            let AxisShape { outer, axis, inner } = i.shape;
            let shape = PoolShape::sliding(&spec, &[outer, 1, axis + 1, inner + 1]).unwrap();
            let [x, grad] = [("x", shape.input_len()), ("g", shape.output_len())]
                .map(|(name, len)| i.stored(name, len));
            let (y, indices) = i.kernels.max_pool_relu(&shape, &x)?;
            let dx = i.kernels.max_pool_relu_gradient(&shape, &grad, (&y, &indices))?;
            Ok(vec![y, dx])
        });
    }
}

/// Channels of both signs and of none, behind which windows are pooled that are halves and that are not.
#[test]
fn max_pooling_of_what_is_normalised() {
    for spec in [PoolSpec::new([2, 2]), PoolSpec::new([1, 2]).ceil_mode(true)] {
        compare!(|i| {
            let AxisShape { outer, axis, inner } = i.shape;
            let sizes = [outer, axis, 3, inner + 1];
            let shape = PoolShape::sliding(&spec, &sizes).unwrap();
            let [x, grad] = [("x", shape.input_len()), ("g", shape.output_len())]
                .map(|(name, len)| i.stored(name, len));
            let [center, scale, shift] =
                ["center", "scale", "shift"].map(|name| i.stored(name, axis));
            let seen = AxisShape::new(&sizes, 1);
            let norm = ChannelAffine {
                shape: seen,
                center: &center,
                scale: &scale,
                shift: &shift,
                relu: false,
            };
            let (y, indices) = i.kernels.extreme_pool(&shape, &x, &scale)?;
            let onto = i.kernels.max_pool_gradient_onto(&shape, (&grad, &indices), (&norm, &x))?;
            Ok(vec![y, onto])
        });
    }
}

#[test]
fn accumulate() {
    compare!(|i| {
        let mut sum = i.whole("sum");
        i.kernels.accumulate(&mut sum, &i.whole("x"))?;
        Ok(vec![sum])
    });
}

#[test]
fn draws() {
    let key = Key::new(7, Purpose::Init).path("weight");
    compare!(|i| Ok(vec![i.kernels.uniform(&key, i.shape.len(), -2.0, 3.0)?]));
    compare!(|i| Ok(vec![i.kernels.normal(&key, i.shape.len(), 1.0, 0.5)?]));
}

/// A card cuts reductions by their sizes: few and many results, short and deep ones, groups of axes between each other.
#[test]
fn a_card_reduces_sizes_of_every_kind() {
    let Some(card) = card(striate_cuda::checked) else { return };
    let cases: [(&[usize], &[bool]); 7] = [
        (&[70_001], &[true]),
        (&[3, 5_000], &[false, true]),
        (&[5_000, 3], &[true, false]),
        (&[40, 9_000], &[true, false]),
        (&[6, 7, 900], &[true, false, true]),
        (&[3, 2, 5, 3, 70], &[true, false, true, false, true]),
        (&[4, 33, 5], &[false, true, false]),
    ];
    for (shape, reduced) in cases {
        let numbers = hash_tensor::<f32>("reduced", [shape.iter().product()]).to_vec().unwrap();
        for op in [Reduce::Sum, Reduce::Max, Reduce::Min] {
            let run = |device: &Device| {
                let kernels = <f32 as Float>::kernels(device.backend());
                let x = kernels.upload(striate::conv::Buffer::from_slice(&numbers)).unwrap();
                let folded = kernels.reduce(op, &x, shape, reduced).unwrap();
                kernels.download(&folded).unwrap().to_vec()
            };
            let (found, expected) = (run(&card), run(&Device::cpu()));
            assert_eq!(found.len(), expected.len());
            // Of n numbers below one, a sum in a tree errs by a few units in the last place of sqrt(n).
            let terms = (numbers.len() / found.len()) as f32;
            let allowed = if op == Reduce::Sum { 4.0 * f32::EPSILON * terms.sqrt() } else { 0.0 };
            for (found, expected) in found.iter().zip(&expected) {
                let difference = (found - expected).abs();
                assert!(difference <= allowed, "{op:?} {shape:?}: {found}, {expected}");
            }
        }
    }
}

/// Numbers where functions have their seams, and all that is not a number or not finite.
const SEAMS: [f32; 25] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.0,
    -3.0,
    -2.5,
    0.3,
    1.0e-3,
    -1.0e-3,
    1.0e-30,
    1.0e-41,
    20.0,
    -20.0,
    88.0,
    88.7,
    -100.0,
    3.0e38,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// Where a card and the processor disagree, of two arrays; exponentials and logarithms are approximate.
fn disagreements(found: &[f32], expected: &[f32]) -> Vec<usize> {
    let differ = |&at: &usize| {
        let (found, expected) = (found[at], expected[at]);
        let allowed = 1e-5 * expected.abs() + 1e-6;
        let close = found == expected || (found - expected).abs() <= allowed;
        !(close || (found.is_nan() && expected.is_nan()))
    };
    (0..expected.len()).filter(differ).collect()
}

#[test]
fn a_cards_functions_agree_at_their_seams() {
    let Some(card) = card(striate_cuda::checked) else { return };
    let functions = [
        Unary::Affine { scale: -2.0, shift: 0.25 },
        Unary::Abs,
        Unary::Exp,
        Unary::Ln,
        Unary::Sqrt,
        Unary::Recip,
        Unary::Pow(0.0),
        Unary::Pow(1.0),
        Unary::Pow(2.0),
        Unary::Pow(3.0),
        Unary::Pow(-1.0),
        Unary::Pow(-2.0),
        Unary::Pow(0.5),
        Unary::Pow(1.7),
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Relu,
        Unary::LeakyRelu(0.1),
        Unary::Elu(0.7),
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Softplus,
        Unary::Silu,
        Unary::Clamp(-0.5, 2.0),
    ];
    let run = |device: &Device, op: Unary| {
        let kernels = <f32 as Float>::kernels(device.backend());
        let upload = |x: &[f32]| kernels.upload(striate::conv::Buffer::from_slice(x)).unwrap();
        let x = upload(&SEAMS);
        let y = kernels.unary(op, &x).unwrap();
        let saved = if op.saves() == Saved::Output { &y } else { &x };
        let slope = kernels.unary_gradient(op, saved, &upload(&[1.5; SEAMS.len()])).unwrap();
        [y, slope].map(|result| kernels.download(&result).unwrap().to_vec())
    };
    let mut faults = Vec::new();
    for op in functions {
        let (found, expected) = (run(&card, op), run(&Device::cpu(), op));
        for (what, found, expected) in
            [("value", &found[0], &expected[0]), ("slope", &found[1], &expected[1])]
        {
            for at in disagreements(found, expected) {
                let (x, found, expected) = (SEAMS[at], found[at], expected[at]);
                faults.push(format!("{op:?}, {what} at {x}: {found}, expected {expected}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_cards_pairs_agree_at_their_seams() {
    let Some(card) = card(striate_cuda::checked) else { return };
    let n = SEAMS.len();
    let rows = Layout { shape: vec![n, n], strides: vec![1, 0], offset: 0 };
    let columns = Layout { shape: vec![n, n], strides: vec![0, 1], offset: 0 };
    let mut faults = Vec::new();
    let ops = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Pow,
        Binary::Maximum,
        Binary::Minimum,
    ];
    for op in ops {
        let run = |device: &Device| {
            let kernels = <f32 as Float>::kernels(device.backend());
            let x = kernels.upload(striate::conv::Buffer::from_slice(&SEAMS)).unwrap();
            let y = kernels.binary(op, View::new(&x, &rows), View::new(&x, &columns)).unwrap();
            kernels.download(&y).unwrap().to_vec()
        };
        let (found, expected) = (run(&card), run(&Device::cpu()));
        for at in disagreements(&found, &expected) {
            let (a, b) = (SEAMS[at / n], SEAMS[at % n]);
            let (found, expected) = (found[at], expected[at]);
            faults.push(format!("{op:?} of {a} and {b}: {found}, expected {expected}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A power multiplies its logarithm's error by the exponent. 8 units in the last place are what kernels/elementwise.ptx
/// states, wherever the result is normal.
#[test]
fn a_cards_powers_keep_the_digits_of_their_logarithms() {
    let Some(card) = card(striate_cuda::checked) else { return };
    let kernels = <f32 as Float>::kernels(card.backend());
    let upload = |x: &[f32]| kernels.upload(striate::conv::Buffer::from_slice(x)).unwrap();
    let bases = [1e-41, 3e-30, 1e-3, 0.5, 0.7, 0.71, 0.999, 1.000_1, 1.4, 1.42, 2.0, 37.0, 3e38];
    let powers = [-100.0, -30.3, -2.0, -0.9, 0.5, 0.99, 1.0, 1.7, 3.0, 20.0, 127.5];
    let check = |base: f32, power: f32, found: f32| {
        let expected = f64::from(base).powf(power.into());
        if (expected as f32).is_normal() {
            let error = (f64::from(found) / expected - 1.0).abs();
            let allowed = 8.0 * f64::from(f32::EPSILON);
            assert!(error <= allowed, "{base}^{power}: {found}, expected {expected}");
        }
    };
    for power in powers {
        let y = kernels.unary(Unary::Pow(power.into()), &upload(&bases)).unwrap();
        let layout = |stride| Layout { shape: vec![bases.len()], strides: vec![stride], offset: 0 };
        let (x, exponent) = (upload(&bases), upload(&[power]));
        let (row, single) = (layout(1), layout(0));
        let pair = [View::new(&x, &row), View::new(&exponent, &single)];
        let z = kernels.binary(Binary::Pow, pair[0], pair[1]).unwrap();
        for result in [y, z] {
            let found = kernels.download(&result).unwrap().to_vec();
            bases.iter().zip(found).for_each(|(base, found)| check(*base, power, found));
        }
    }
}

#[test]
fn a_card_draws_the_processors_bits() {
    let Some(card) = card(striate_cuda::checked) else { return };
    for (len, low, high) in [(1, 0.0, 1.0), (4_099, 0.0, 1.0), (1_000, -0.37, 1.9)] {
        let key = Key::new(0x1234_5678_9abc_def0, Purpose::Dropout).step(1 << 40).path("a.b");
        let draw = |device: &Device| {
            let kernels = <f32 as Float>::kernels(device.backend());
            kernels.download(&kernels.uniform(&key, len, low, high).unwrap()).unwrap().to_vec()
        };
        assert_eq!(draw(&card), draw(&Device::cpu()));
    }
}

/// Every rule with every choice that changes its arithmetic, three steps long.
#[test]
fn updates() {
    let sgd = |momentum, decay, nesterov| Update::Sgd {
        rate: 0.1,
        momentum,
        gain: 0.75,
        decay,
        nesterov,
    };
    let adam = |decay, shrink| Update::Adam {
        step: 0.01,
        root: 0.7,
        betas: [0.9, 0.99],
        eps: 1e-3,
        decay,
        shrink,
    };
    let rms =
        |momentum, decay| Update::RmsProp { rate: 0.01, alpha: 0.9, eps: 1e-3, momentum, decay };
    let rules = [
        (sgd(0.0, 0.0, false), 0),
        (sgd(0.0, 0.1, false), 0),
        (sgd(0.9, 0.0, false), 1),
        (sgd(0.9, 0.1, true), 1),
        (adam(0.0, 1.0), 2),
        (adam(0.1, 0.95), 2),
        (rms(0.0, 0.0), 1),
        (rms(0.9, 0.1), 2),
    ];
    for (rule, states) in rules {
        compare!(|i| {
            let mut weight = i.whole("weight");
            let mut state = vec![i.kernels.fill(i.shape.len(), Default::default())?; states];
            for step in 0..3 {
                let grad = i.whole(&format!("gradient {step}"));
                i.kernels.update(&rule, &mut weight, &grad, &mut state)?;
            }
            state.push(weight);
            Ok(state)
        });
    }
}
