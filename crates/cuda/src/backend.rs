//! The backend, and what it says of f64: labels are compared and chosen in it, and nothing else is computed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use striate_conv::{ConvShape, PoolShape};
use striate_tensor::Result;
use striate_tensor::backend::{
    AxisShape, Backend, Binary, Compare, Extreme, Kernels, MatmulShape, Pick, Reduce, Storage,
    Unary, View,
};

use crate::card::{Card, Memory, error};
use crate::kernels::comparison;
use crate::pool::Table;

/// The backend of [`device`](crate::device).
#[derive(Debug)]
pub(crate) struct Cuda {
    pub(crate) card: Arc<Card>,
    /// What windows of pooling cover.
    pub(crate) tables: Mutex<HashMap<PoolShape, Arc<Table>>>,
}

impl Cuda {
    pub(crate) fn new(ordinal: usize, memory: Memory) -> Result<Self> {
        Ok(Self { card: Card::new(ordinal, memory)?, tables: Mutex::default() })
    }
}

impl Backend for Cuda {
    fn name(&self) -> String {
        format!("cuda:{}", self.card.ordinal)
    }

    fn synchronize(&self) -> Result<()> {
        self.card.synchronize()
    }
}

/// Operations that say by name that they are not there in f64.
macro_rules! refuse {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        fn $name(&self, $($argument: $type),*) -> Result<$result> {
            $(let _ = $argument;)*
            Err(error(stringify!($name), "expected f32, which is what cuda computes in; got f64"))
        }
    )*};
}

type Store = Storage<f64>;

impl Kernels<f64> for Cuda {
    fn compare(&self, op: Compare, a: View<f64>, b: View<f64>) -> Result<Storage<bool>> {
        self.zip("compare_double", comparison(op), [a, b])
    }

    fn choose(&self, condition: View<bool>, a: View<f64>, b: View<f64>) -> Result<Store> {
        self.either(condition, [a, b])
    }

    refuse! {
        fn unary(op: Unary, x: &Store) -> Store;
        fn unary_gradient(op: Unary, saved: &Store, grad: &Store) -> Store;
        fn binary(op: Binary, a: View<f64>, b: View<f64>) -> Store;
        fn reduce(op: Reduce, x: &Store, shape: &[usize], reduced: &[bool]) -> Store;
        fn arg_extreme(extreme: Extreme, x: &Store, shape: AxisShape) -> Storage<i64>;
        fn matmul(shape: &MatmulShape, left: &Store, right: &Store) -> Store;
        fn pick_gradient(pick: &Pick, grad: &Store, index: &Storage<i64>) -> Store;
        fn conv(shape: &ConvShape, x: &Store, weight: &Store, bias: Option<&Store>) -> Store;
        fn conv_input_gradient(shape: &ConvShape, grad: &Store, weight: &Store) -> Store;
        fn conv_weight_gradient(shape: &ConvShape, x: &Store, grad: &Store) -> Store;
        fn max_pool(shape: &PoolShape, x: &Store) -> (Store, Storage<i64>);
        fn max_pool_gradient(shape: &PoolShape, grad: &Store, indices: &Storage<i64>) -> Store;
        fn average_pool(shape: &PoolShape, x: &Store) -> Store;
        fn average_pool_gradient(shape: &PoolShape, grad: &Store) -> Store;
        fn unfold(shape: &ConvShape, x: &Store) -> Store;
        fn fold(shape: &ConvShape, columns: &Store) -> Store;
    }
}
