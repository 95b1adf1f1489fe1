//! Two and three axes at random: kernels that are not square, other padding before than after, groups down to
//! single channels, operands that are permuted views, and operands that are used twice.

use proptest::array;
use proptest::prelude::*;
use striate::tensor::{ConvSpec, Result, Tensor};

use crate::common::hash_tensor;
use crate::convolution::{Form, Problem, check};

/// Problems over `N` axes, most of which have a result.
fn problem<const N: usize>() -> impl Strategy<Value = Problem<N>> {
    let spec = (
        array::uniform::<_, N>(1usize..4),
        array::uniform::<_, N>(1usize..4),
        array::uniform::<_, N>([0usize..3, 0usize..3]),
        array::uniform::<_, N>(1usize..3),
        array::uniform::<_, N>(0usize..2),
        1usize..4,
    )
        .prop_map(|(kernel, stride, padding, dilation, added, groups)| {
            ConvSpec::new(kernel)
                .stride(stride)
                .padding_sides(padding)
                .dilation(dilation)
                .output_padding(added)
                .groups(groups)
        });
    let form = prop_oneof![Just(Form::Direct), Just(Form::Transposed)];
    let sizes = (1usize..3, [1usize..4, 1usize..4], array::uniform::<_, N>(1usize..7));
    (form, spec, sizes).prop_map(|(form, spec, (batch, channels, size))| Problem {
        form,
        spec,
        batch,
        channels,
        size,
    })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn reversed(x: &Tensor<f64>) -> Result<Tensor<f64>> {
    x.permute((0..x.rank() as isize).rev().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn two_axes(problem in problem::<2>()) {
        check(&problem, |operand| Ok(operand.clone()));
    }

    #[test]
    fn two_axes_of_permuted_operands(problem in problem::<2>()) {
        check(&problem, reversed);
    }

    /// The same convolution twice gives twice the gradient, to the bit.
    #[test]
    fn two_axes_used_twice(problem in problem::<2>()) {
        let leaves = problem.operands().map(|operand| operand.tracked());
        let [x, w, b] = leaves.each_ref();
        let Ok(once) = problem.run([x, w, b]) else { return Ok(()) };
        let twice = (problem.run([x, w, b]).unwrap() + problem.run([x, w, b]).unwrap()).unwrap();
        let g = hash_tensor::<f64>("gradient", once.shape());
        let (once, twice) = (once.backward_with(&g).unwrap(), twice.backward_with(&g).unwrap());
        for leaf in &leaves {
            let doubled = (once.get(leaf).unwrap() * 2.0).unwrap().to_vec().unwrap();
            prop_assert_eq!(twice.get(leaf).unwrap().to_vec().unwrap(), doubled);
        }
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn three_axes(problem in problem::<3>()) {
        check(&problem, |operand| Ok(operand.clone()));
    }

    #[test]
    fn three_axes_of_permuted_operands(problem in problem::<3>()) {
        check(&problem, reversed);
    }
}
