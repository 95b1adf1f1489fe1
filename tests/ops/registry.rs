//! What the table is made of.

use striate::tensor::{Device, Error, Float, Result, Tensor};

use crate::common;

/// Runs an operation on float inputs and integer inputs.
pub type Build<T> = fn(&[Tensor<T>], &[Tensor<i64>]) -> Result<Tensor<T>>;

/// A float input: its shape, and the interval `shift - scale .. shift + scale` of its values.
pub struct Input {
    pub shape: Vec<usize>,
    pub range: [f64; 2],
}

impl Input {
    /// Its values, on a device, for the case `name`.
    pub fn tensor<T: Float>(&self, name: &str, device: &Device) -> Tensor<T> {
        let numbers = common::values(name, self.shape.iter().product(), self.range);
        let numbers = numbers.into_iter().map(T::from_f64).collect();
        Tensor::from_vec(numbers, &self.shape[..], device).unwrap()
    }
}

fn input<const N: usize>(shape: [usize; N], range: [f64; 2]) -> Input {
    Input { shape: shape.to_vec(), range }
}

/// Values in `(-1, 1)`.
pub fn any<const N: usize>(shape: [usize; N]) -> Input {
    input(shape, [1.0, 0.0])
}

/// Values in `(-4, 4)`.
pub fn wide<const N: usize>(shape: [usize; N]) -> Input {
    input(shape, [4.0, 0.0])
}

/// Values in `(-64, 64)`.
pub fn huge<const N: usize>(shape: [usize; N]) -> Input {
    input(shape, [64.0, 0.0])
}

/// Values in `(0.5, 1.5)`.
pub fn positive<const N: usize>(shape: [usize; N]) -> Input {
    input(shape, [0.5, 1.0])
}

/// Values in `(0.125, 0.875)`.
pub fn probability<const N: usize>(shape: [usize; N]) -> Input {
    input(shape, [0.375, 0.5])
}

/// An integer input.
pub struct Index {
    pub shape: Vec<usize>,
    pub values: Vec<i64>,
}

impl Index {
    pub fn tensor(&self, device: &Device) -> Tensor<i64> {
        Tensor::from_slice(&self.values, &self.shape[..], device).unwrap()
    }
}

pub fn index<const N: usize>(shape: [usize; N], values: &[i64]) -> Index {
    Index { shape: shape.to_vec(), values: values.to_vec() }
}

/// One use of an operation. Its name is that of its fixture.
pub struct Case {
    pub name: &'static str,
    pub inputs: Vec<Input>,
    pub indices: Vec<Index>,
    pub single: Build<f32>,
    pub double: Build<f64>,
    pub differentiable: bool,
}

impl Case {
    /// The result does not depend smoothly on the inputs, and is not tracked.
    pub fn constant(mut self) -> Self {
        self.differentiable = false;
        self
    }

    /// The float inputs on a device.
    pub fn inputs<T: Float>(&self, device: &Device) -> Vec<Tensor<T>> {
        let named =
            |(i, input): (usize, &Input)| input.tensor(&format!("{}/{i}", self.name), device);
        self.inputs.iter().enumerate().map(named).collect()
    }

    /// The integer inputs on a device.
    pub fn indices(&self, device: &Device) -> Vec<Tensor<i64>> {
        self.indices.iter().map(|index| index.tensor(device)).collect()
    }
}

/// `case!("name", [inputs], |x| ..)`, or with integer inputs `case!("name", [inputs], [indices], |x, i| ..)`. The
/// body is compiled for f32 and for f64.
macro_rules! case {
    ($name:expr, [$($input:expr),*], |$x:ident| $body:expr) => {
        case!($name, [$($input),*], [], |$x, _i| $body)
    };
    ($name:expr, [$($input:expr),*], [$($index:expr),*], |$x:ident, $i:ident| $body:expr) => {
        $crate::registry::Case {
            name: $name,
            inputs: vec![$($input),*],
            indices: vec![$($index),*],
            single: |$x, $i| $body,
            double: |$x, $i| $body,
            differentiable: true,
        }
    };
}
pub(crate) use case;

/// Something to try on a device.
pub type Call = Box<dyn Fn(&Device) -> Result<()>>;

/// A call that must fail, and how the error must begin.
pub struct Refusal {
    pub call: Call,
    pub message: &'static str,
}

/// A public operation.
pub struct Entry {
    pub method: &'static str,
    pub cases: Vec<Case>,
    pub refusals: Vec<Refusal>,
}

pub fn entry<const N: usize>(method: &'static str, cases: [Case; N]) -> Entry {
    Entry { method, cases: cases.into(), refusals: Vec::new() }
}

impl Entry {
    /// Adds a call that must fail with an error of this operation whose text begins with `message`.
    pub fn refuses<R: 'static>(
        mut self,
        call: fn(&Device) -> Result<R>,
        message: &'static str,
    ) -> Self {
        let call = Box::new(move |device: &Device| call(device).map(drop));
        self.refusals.push(Refusal { call, message });
        self
    }
}

/// Zeros to call with where only shapes matter.
pub fn zeros<const N: usize>(shape: [usize; N], device: &Device) -> Tensor<f64> {
    Tensor::zeros(shape, device).unwrap()
}

/// Numbers as a tensor like `like`, which no gradient is asked of.
pub fn constant<T: Float, const N: usize>(
    like: &Tensor<T>,
    shape: [usize; N],
    numbers: &[f64],
) -> Result<Tensor<T>, Error> {
    Tensor::<f64>::from_slice(numbers, shape, like.device())?.cast()
}
