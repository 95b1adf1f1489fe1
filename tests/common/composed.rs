//! A backend of somebody else's: the required kernels and nothing more.
//!
//! It hands every required kernel to the processor and overrides none of the provided ones, so that what runs on
//! it are the compositions that a new backend starts from.

use striate::conv::{Buffer, ConvShape, PoolShape};
use striate::tensor::backend::{
    AxisShape, Backend, Binary, Compare, Extreme, Kernels, MatmulShape, Memory, Pick, Reduce,
    Storage, Unary, View,
};
use striate::tensor::{Device, Element, Float, Layout, Result};

/// The processor without its fused kernels.
#[derive(Debug)]
pub struct Composed(pub Device);

impl Backend for Composed {
    fn name(&self) -> String {
        "composed".into()
    }
}

macro_rules! hand_over {
    ($kernels:expr, $(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        fn $name(&self, $($argument: $type),*) -> Result<$result> {
            $kernels(self.0.backend()).$name($($argument),*)
        }
    )*};
}

impl<T: Element> Memory<T> for Composed {
    hand_over! { T::memory,
        fn upload(data: Buffer<T>) -> Storage<T>;
        fn download(x: &Storage<T>) -> Buffer<T>;
        fn fill(len: usize, value: T) -> Storage<T>;
        fn assign(storage: &mut Storage<T>, target: &Layout, source: View<T>) -> ();
        fn copy(source: View<T>) -> Storage<T>;
        fn pick(pick: &Pick, x: &Storage<T>, index: &Storage<i64>) -> Storage<T>;
        fn widen(x: &Storage<T>) -> Storage<f64>;
        fn narrow(x: &Storage<f64>) -> Storage<T>;
    }
}

impl<T: Float> Kernels<T> for Composed {
    hand_over! { T::kernels,
        fn unary(op: Unary, x: &Storage<T>) -> Storage<T>;
        fn unary_gradient(op: Unary, saved: &Storage<T>, grad: &Storage<T>) -> Storage<T>;
        fn binary(op: Binary, a: View<T>, b: View<T>) -> Storage<T>;
        fn compare(op: Compare, a: View<T>, b: View<T>) -> Storage<bool>;
        fn choose(condition: View<bool>, a: View<T>, b: View<T>) -> Storage<T>;
        fn reduce(op: Reduce, x: &Storage<T>, shape: &[usize], reduced: &[bool]) -> Storage<T>;
        fn arg_extreme(extreme: Extreme, x: &Storage<T>, shape: AxisShape) -> Storage<i64>;
        fn matmul(shape: &MatmulShape, left: &Storage<T>, right: &Storage<T>) -> Storage<T>;
        fn pick_gradient(pick: &Pick, grad: &Storage<T>, index: &Storage<i64>) -> Storage<T>;
        fn conv(shape: &ConvShape, x: &Storage<T>, w: &Storage<T>, b: Option<&Storage<T>>) -> Storage<T>;
        fn conv_input_gradient(shape: &ConvShape, g: &Storage<T>, w: &Storage<T>) -> Storage<T>;
        fn conv_weight_gradient(shape: &ConvShape, x: &Storage<T>, g: &Storage<T>) -> Storage<T>;
        fn max_pool(shape: &PoolShape, x: &Storage<T>) -> (Storage<T>, Storage<i64>);
        fn max_pool_gradient(shape: &PoolShape, g: &Storage<T>, indices: &Storage<i64>) -> Storage<T>;
        fn average_pool(shape: &PoolShape, x: &Storage<T>) -> Storage<T>;
        fn average_pool_gradient(shape: &PoolShape, g: &Storage<T>) -> Storage<T>;
        fn unfold(shape: &ConvShape, x: &Storage<T>) -> Storage<T>;
        fn fold(shape: &ConvShape, columns: &Storage<T>) -> Storage<T>;
    }
}
