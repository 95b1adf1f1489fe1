//! Joining, splitting, padding and picking.

use striate::tensor::Tensor;
use striate::tensor::ops::PadMode;

use crate::registry::{Entry, any, case, entry, index, zeros};

pub fn entries() -> Vec<Entry> {
    [joins(), margins(), picks()].into_iter().flatten().collect()
}

fn joins() -> Vec<Entry> {
    vec![
        entry(
            "cat",
            [
                case!("cat first", [any([2, 3]), any([1, 3]), any([3, 3])], |x| {
                    Tensor::cat(&[&x[0], &x[1], &x[2]], 0)
                }),
                case!("cat last", [any([2, 2, 3]), any([2, 2, 1])], |x| {
                    Tensor::cat(&[&x[0], &x[1]], -1)
                }),
                case!("cat itself", [any([2, 3])], |x| Tensor::cat(&[&x[0], &x[0]], 1)),
            ],
        )
        .refuses(
            |d| Tensor::cat(&[&zeros([2, 3], d), &zeros([2, 4], d)], 0),
            "cat: expected shapes that agree but for axis 0, got [2, 3] and [2, 4]",
        )
        .refuses(|_| Tensor::<f64>::cat(&[], 0), "cat: expected at least one tensor"),
        entry(
            "stack",
            [
                case!("stack first", [any([2, 3]), any([2, 3])], |x| Tensor::stack(
                    &[&x[0], &x[1]],
                    0
                )),
                case!("stack last", [any([2, 3]), any([2, 3])], |x| Tensor::stack(
                    &[&x[0], &x[1]],
                    -1
                )),
            ],
        )
        .refuses(
            |d| Tensor::stack(&[&zeros([2, 3], d), &zeros([3, 2], d)], 0),
            "stack: expected tensors of one shape, got [2, 3] and [3, 2]",
        ),
        entry(
            "split",
            [case!("split", [any([2, 6])], |x| {
                let parts = x[0].split(&[1, 3, 2], 1)?;
                Tensor::cat(&[&parts[2], &parts[0], &(&parts[1] * 2.0)?], 1)
            })],
        )
        .refuses(
            |d| zeros([2, 6], d).split(&[1, 3], 1),
            "split: expected sizes that add up to 6, got [1, 3]",
        )
        .refuses(
            |d| zeros([2, 6], d).split(&[1, usize::MAX, 6], 1),
            "split: expected sizes that add up to 6",
        ),
    ]
}

fn margins() -> Vec<Entry> {
    vec![
        entry(
            "pad",
            [
                case!("pad zeros", [any([2, 3, 4])], |x| x[0]
                    .pad(&[[1, 2], [0, 3]], PadMode::Zeros)),
                case!("pad constant", [any([3, 4])], |x| {
                    x[0].pad(&[[2, 0]], PadMode::Constant(0.5))
                }),
                case!("pad reflect", [any([1, 2, 4, 5])], |x| {
                    x[0].pad(&[[3, 1], [2, 4]], PadMode::Reflect)
                }),
                case!("pad replicate", [any([1, 2, 3, 2])], |x| {
                    x[0].pad(&[[4, 0], [1, 5]], PadMode::Replicate)
                }),
                case!("pad circular", [any([1, 2, 3, 4])], |x| {
                    x[0].pad(&[[3, 1], [2, 4]], PadMode::Circular)
                }),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).pad(&[[3, 0]], PadMode::Reflect),
            "pad: expected a margin below the size of its axis (3), got [3, 0]",
        )
        .refuses(
            |d| zeros([2, 3], d).pad(&[[0, 4]], PadMode::Circular),
            "pad: expected a margin not above the size of its axis (3), got [0, 4]",
        )
        .refuses(
            |d| zeros([2, 0], d).pad(&[[0, 1]], PadMode::Replicate),
            "pad: expected a margin of an axis that is not empty (0), got [0, 1]",
        )
        .refuses(
            |d| zeros([3], d).pad(&[[0, 0], [1, 1]], PadMode::Zeros),
            "pad: expected a tensor of rank 2 or more, got [3]",
        )
        .refuses(
            |d| zeros([3], d).pad(&[[usize::MAX, 1]], PadMode::Zeros),
            "pad: expected a margin that fits into memory",
        )
        .refuses(
            |d| zeros([3], d).pad(&[[usize::MAX / 8, 1]], PadMode::Replicate),
            "pad: expected a",
        ),
    ]
}

fn picks() -> Vec<Entry> {
    vec![
        entry(
            "index_select",
            [
                case!("index_select", [any([4, 3])], [index([6], &[2, 0, 2, 3, 2, 0])], |x, i| {
                    x[0].index_select(0, &i[0])
                }),
                case!("index_select middle", [any([2, 3, 4])], [index([2], &[2, 0])], |x, i| {
                    x[0].index_select(-2, &i[0])
                }),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).index_select(0, &Tensor::zeros([1, 2], d)?),
            "index_select: expected indices with one axis, got shape [1, 2]",
        ),
        entry(
            "gather",
            [
                case!(
                    "gather",
                    [any([2, 3])],
                    [index([2, 4], &[0, 2, 2, 1, 1, 1, 0, 1])],
                    |x, i| { x[0].gather(1, &i[0]) }
                ),
                case!(
                    "gather first",
                    [any([3, 2, 2])],
                    [index([1, 2, 2], &[2, 0, 1, 2])],
                    |x, i| { x[0].gather(0, &i[0]) }
                ),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).gather(1, &Tensor::zeros([3, 1], d)?),
            "gather: expected indices of a shape within [2, 3] but for axis 1, got [3, 1]",
        ),
    ]
}
