//! What is public and takes long, compiled once for each element type, and here.
//!
//! A generic function is compiled where it is called, with the settings of whoever calls: in the debug build of a program, these
//! loops would run unoptimized, whatever its profile says of its dependencies. The public functions therefore check their
//! arguments and call what stands in a table, which is a `static`, so that its functions belong to this crate.

use crate::conv::{self, Algorithm};
use crate::element::Float;
use crate::gemm::{self, Matrix, Update};
use crate::geometry::{ConvShape, PoolShape};
use crate::{pool, unfold};

/// Of algorithm, shape, two operands, bias and result.
type Forward<T> = fn(Algorithm, &ConvShape, [&[T]; 2], Option<&[T]>, &mut [T]);

/// Of shape, input, outputs with their indices, and which cells they are.
type MaxForward<T> = fn(&PoolShape, &[T], (&mut [T], &mut [i64]), pool::max::Choice<'_, T>);

/// Of shape, gradients with their indices, what they are added to, and the input's gradient.
type MaxBackward<T> = fn(&PoolShape, (&[T], &[i64]), Option<pool::Onto<'_, T>>, &mut [T]);

/// The functions of one element type, under the names of the public ones that call them.
pub struct Routines<T: Float> {
    pub(crate) forward: Forward<T>,
    pub(crate) input_gradient: fn(Algorithm, &ConvShape, [&[T]; 2], &mut [T]),
    pub(crate) weight_gradient: fn(Algorithm, &ConvShape, [&[T]; 2], &mut [T]),
    pub(crate) unfold: fn(&ConvShape, &[T], &mut [T]),
    pub(crate) fold: fn(&ConvShape, &[T], &mut [T]),
    pub(crate) max_forward: MaxForward<T>,
    pub(crate) max_backward: MaxBackward<T>,
    pub(crate) average_forward: fn(&PoolShape, &[T], &mut [T]),
    pub(crate) average_backward: fn(&PoolShape, &[T], &mut [T]),
    pub(crate) gemm: fn(Matrix<'_, T>, Matrix<'_, T>, Update, &mut [T]),
}

pub(crate) static SINGLE: Routines<f32> = Routines::new();
pub(crate) static DOUBLE: Routines<f64> = Routines::new();

impl<T: Float> Routines<T> {
    const fn new() -> Self {
        Self {
            forward: conv::compute::forward,
            input_gradient: conv::compute::input_gradient,
            weight_gradient: conv::compute::weight_gradient,
            unfold: unfold::gather,
            fold: unfold::scatter,
            max_forward: pool::max::find,
            max_backward: pool::max::send_back,
            average_forward: pool::average::average,
            average_backward: pool::average::share,
            gemm: gemm::by_tiles,
        }
    }
}
