//! The backend, and what it says of f64: numbers are held, moved, converted, compared and chosen in it, for labels come
//! that way, and every operation that computes says that it does not.
//!
//! Half of the functions would need series of their own, since a card has no approximate instruction for them in f64, and
//! tiles of half the size, for all but the largest cards at a thirty-second or a sixty-fourth of the speed. The processor
//! computes in f64 as it is, and to have it do so behind a card's name would hide the copies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use striate_conv::{ConvShape, PoolShape};
use striate_tensor::Result;
use striate_tensor::backend::{
    AxisShape, Backend, Binary, ChannelAffine, Compare, Extreme, Finish, Kernels, MatmulShape,
    Pick, Reduce, Storage, Unary, Update, View,
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
            Err(error(
                stringify!($name),
                "expected f32, which is what cuda computes in, got f64: cast to f32, or move to the cpu",
            ))
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
        fn conv_relu(shape: &ConvShape, x: &Store, weight: &Store, bias: Option<&Store>) -> Store;
        fn matmul_then(shape: &MatmulShape, operands: [&Store; 2], finish: Finish<f64>) -> Store;
        fn accumulate(target: &mut Store, source: &Store) -> ();
        fn log_softmax(x: &Store, shape: AxisShape) -> Store;
        fn log_softmax_gradient(y: &Store, grad: &Store, shape: AxisShape) -> Store;
        fn channel_moments(x: &Store, shape: AxisShape) -> (Store, Store);
        fn channel_affine(norm: &ChannelAffine<f64>, x: &Store) -> Store;
        fn channel_gradient_sums(norm: &ChannelAffine<f64>, inputs: [&Store; 2]) -> (Store, Store);
        fn channel_combine(norm: &ChannelAffine<f64>, inputs: [&Store; 2], terms: [&Store; 2]) -> Store;
        fn update(rule: &Update, weight: &mut Store, grad: &Store, state: &mut [Store]) -> ();
    }
}
