//! Arithmetic of two tensors, whose shapes broadcast, and the operators.
//!
//! The gradients, before they are summed over broadcast axes, are the table in [`gradients`].

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::backend::{Binary, Compare, Reduce, View};
use crate::{Element, Error, Float, Result, Shape, Tensor, shape};

/// The gradients of `y = op(a, b)` for the operands that need one.
fn gradients<T: Float>(
    op: Binary,
    [a, b]: [&Tensor<T>; 2],
    g: &Tensor<T>,
    needs: &[bool],
) -> Result<[Option<Tensor<T>>; 2]> {
    let left = |f: &dyn Fn() -> Result<Tensor<T>>| needs[0].then(f).transpose();
    let right = |f: &dyn Fn() -> Result<Tensor<T>>| needs[1].then(f).transpose();
    Ok(match op {
        Binary::Add => [left(&|| Ok(g.clone()))?, right(&|| Ok(g.clone()))?],
        Binary::Sub => [left(&|| Ok(g.clone()))?, right(&|| -g)?],
        Binary::Mul => [left(&|| g * b)?, right(&|| g * a)?],
        Binary::Div => [left(&|| g / b)?, right(&|| g.mul(&a.div(b)?.div(b)?)?.neg())?],
        Binary::Pow => {
            [left(&|| g * slope_of_power(a, b)?)?, right(&|| g * (a.pow(b)? * logarithm(a, b)?)?)?]
        }
        Binary::Maximum => {
            [left(&|| g * share(Compare::Lt, a, b)?)?, right(&|| g * share(Compare::Lt, b, a)?)?]
        }
        Binary::Minimum => {
            [left(&|| g * share(Compare::Gt, a, b)?)?, right(&|| g * share(Compare::Gt, b, a)?)?]
        }
    })
}

/// `b a^(b - 1)`, but zero where `b` is: there `a^b` is one, even at `a = 0`.
fn slope_of_power<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
    let zero = Tensor::scalar(T::ZERO, a.device())?;
    b.eq(&zero)?.choose(&zero, &(b * a.pow(&(b - 1.0)?)?)?)
}

/// `ln a`, but zero where `a = 0` and `b >= 0`: there `a^b` is flat along `b`.
fn logarithm<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
    let zero = Tensor::scalar(T::ZERO, a.device())?;
    let flat = (a.eq(&zero)?, b.ge(&zero)?);
    let log = flat.0.choose(&zero, &a.ln()?)?;
    let log = flat.1.choose(&log, &a.ln()?)?;
    Ok(log)
}

/// The share of the gradient that `a` gets of an extreme of `a` and `b`: zero if it loses, half where they are equal,
/// else one; where one is NaN neither loses.
fn share<T: Float>(loses: Compare, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
    let constant = |value: f64| Tensor::scalar(T::from_f64(value), a.device());
    let rest = a.eq(b)?.choose(&constant(0.5)?, &constant(1.0)?)?;
    a.compare(loses, b)?.choose(&constant(0.0)?, &rest)
}

impl Binary {
    /// The name of the tensor method.
    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Pow => "pow",
            Binary::Maximum => "maximum",
            Binary::Minimum => "minimum",
        }
    }
}

impl<T: Float> Tensor<T> {
    fn binary(&self, op: Binary, other: &Self) -> Result<Self> {
        self.device().expect_same(op.name(), other.device())?;
        let shape = shape::broadcast(op.name(), self.shape(), other.shape())?;
        let shape = shape.checked::<T>(op.name())?;
        let layouts = [self, other].map(|x| x.layout().broadcast_to(&shape));
        let storage = self.kernels().binary(
            op,
            View::new(self.storage(), &layouts[0]),
            View::new(other.storage(), &layouts[1]),
        )?;
        let y = self.sibling(storage, shape);
        let (a, b) = (self.detach(), other.detach());
        Ok(y.record(op.name(), &[self, other], move |grad, needs| {
            let gradients = gradients(op, [&a, &b], grad, needs)?;
            let pairs = gradients.into_iter().zip([&a, &b]);
            pairs
                .map(|(gradient, input)| {
                    gradient.map(|gradient| gradient.sum_to(input.shape())).transpose()
                })
                .collect()
        }))
    }

    /// `a + b`; shapes broadcast.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Add, other)
    }

    /// `a - b`; shapes broadcast.
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Sub, other)
    }

    /// `a b`, element by element; shapes broadcast.
    pub fn mul(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Mul, other)
    }

    /// `a / b`; shapes broadcast.
    pub fn div(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Div, other)
    }

    /// `a^b`; shapes broadcast.
    pub fn pow(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Pow, other)
    }

    /// The larger of each pair, NaN if either is; equal ones share the gradient. Shapes broadcast.
    pub fn maximum(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Maximum, other)
    }

    /// The smaller of each pair, NaN if either is; equal ones share the gradient. Shapes broadcast.
    pub fn minimum(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Minimum, other)
    }

    /// The adjoint of broadcasting `shape` to this tensor's: sums what was repeated. Untracked.
    pub(crate) fn sum_to(self, shape: &[usize]) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self);
        }
        let missing = self.rank() - shape.len();
        let reduced: Vec<bool> = (0..self.rank())
            .map(|axis| axis < missing || shape[axis - missing] != self.shape()[axis])
            .collect();
        let storage = self.kernels().reduce(Reduce::Sum, self.storage(), self.shape(), &reduced)?;
        Ok(self.sibling(storage, Shape::from(shape)))
    }
}

/// Operators exist for references and for what another operator returned, so that they chain:
/// `(&a * &b + &c)?`. With a number on either side they are [`Tensor::affine`] or [`Tensor::powf`].
macro_rules! operator {
    ($trait:ident, $method:ident, |$x:ident, $c:ident| $right:expr, $left:expr) => {
        impl<T: Float> $trait<&Tensor<T>> for &Tensor<T> {
            type Output = Result<Tensor<T>>;
            fn $method(self, other: &Tensor<T>) -> Result<Tensor<T>> {
                Tensor::$method(self, other)
            }
        }

        impl<T: Float> $trait<Tensor<T>> for &Tensor<T> {
            type Output = Result<Tensor<T>>;
            fn $method(self, other: Tensor<T>) -> Result<Tensor<T>> {
                Tensor::$method(self, &other)
            }
        }

        impl<T: Float> $trait<&Tensor<T>> for Tensor<T> {
            type Output = Result<Tensor<T>>;
            fn $method(self, other: &Tensor<T>) -> Result<Tensor<T>> {
                Tensor::$method(&self, other)
            }
        }

        impl<T: Float> $trait<Tensor<T>> for Tensor<T> {
            type Output = Result<Tensor<T>>;
            fn $method(self, other: Tensor<T>) -> Result<Tensor<T>> {
                Tensor::$method(&self, &other)
            }
        }

        impl<T: Float> $trait<&Tensor<T>> for Result<Tensor<T>> {
            type Output = Result<Tensor<T>>;
            fn $method(self, other: &Tensor<T>) -> Result<Tensor<T>> {
                Tensor::$method(&self?, other)
            }
        }

        impl<T: Float> $trait<Tensor<T>> for Result<Tensor<T>> {
            type Output = Result<Tensor<T>>;
            fn $method(self, other: Tensor<T>) -> Result<Tensor<T>> {
                Tensor::$method(&self?, &other)
            }
        }

        impl<T: Float> $trait<Result<Tensor<T>>> for &Tensor<T> {
            type Output = Result<Tensor<T>>;
            fn $method(self, other: Result<Tensor<T>>) -> Result<Tensor<T>> {
                Tensor::$method(self, &other?)
            }
        }

        impl<T: Float> $trait<Result<Tensor<T>>> for Tensor<T> {
            type Output = Result<Tensor<T>>;
            fn $method(self, other: Result<Tensor<T>>) -> Result<Tensor<T>> {
                Tensor::$method(&self, &other?)
            }
        }

        impl<T: Float> $trait<f64> for &Tensor<T> {
            type Output = Result<Tensor<T>>;
            fn $method(self, $c: f64) -> Result<Tensor<T>> {
                let $x = self;
                $right
            }
        }

        impl<T: Float> $trait<f64> for Tensor<T> {
            type Output = Result<Tensor<T>>;
            fn $method(self, number: f64) -> Result<Tensor<T>> {
                $trait::$method(&self, number)
            }
        }

        impl<T: Float> $trait<&Tensor<T>> for f64 {
            type Output = Result<Tensor<T>>;
            fn $method(self, $x: &Tensor<T>) -> Result<Tensor<T>> {
                let $c = self;
                $left
            }
        }

        impl<T: Float> $trait<Tensor<T>> for f64 {
            type Output = Result<Tensor<T>>;
            fn $method(self, other: Tensor<T>) -> Result<Tensor<T>> {
                $trait::$method(self, &other)
            }
        }
    };
}
operator!(Add, add, |x, c| x.affine(1.0, c), x.affine(1.0, c));
operator!(Sub, sub, |x, c| x.affine(1.0, -c), x.affine(-1.0, c));
operator!(Mul, mul, |x, c| x.affine(c, 0.0), x.affine(c, 0.0));
operator!(
    Div,
    div,
    |x, c| x.div(&Tensor::scalar(T::from_f64(c), x.device())?),
    Tensor::scalar(T::from_f64(c), x.device())?.div(x)
);

impl<T: Float> Neg for &Tensor<T> {
    type Output = Result<Tensor<T>>;
    fn neg(self) -> Result<Tensor<T>> {
        self.affine(-1.0, 0.0)
    }
}

impl<T: Float> Neg for Tensor<T> {
    type Output = Result<Tensor<T>>;
    fn neg(self) -> Result<Tensor<T>> {
        self.affine(-1.0, 0.0)
    }
}

impl<T: Element> Tensor<T> {
    /// Fails unless `other` is on the same device.
    pub(crate) fn expect_device<U: Element>(
        &self,
        op: &str,
        other: &Tensor<U>,
    ) -> Result<(), Error> {
        self.device().expect_same(op, other.device())
    }
}
