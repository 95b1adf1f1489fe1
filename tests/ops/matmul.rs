//! Matrix products.

use crate::registry::{Entry, any, case, entry, zeros};

pub fn entries() -> Vec<Entry> {
    vec![
        entry(
            "matmul",
            [
                case!("matmul", [any([3, 4]), any([4, 2])], |x| x[0].matmul(&x[1])),
                case!("matmul of a batch", [any([2, 3, 4]), any([2, 4, 2])], |x| x[0]
                    .matmul(&x[1])),
                case!("matmul shared right", [any([2, 3, 4]), any([4, 2])], |x| x[0].matmul(&x[1])),
                case!("matmul shared left", [any([3, 4]), any([2, 4, 2])], |x| x[0].matmul(&x[1])),
                case!("matmul broadcast", [any([2, 1, 2, 3]), any([3, 3, 2])], |x| x[0]
                    .matmul(&x[1])),
                case!("matmul by itself", [any([3, 3])], |x| x[0].matmul(&x[0])),
                case!("matmul by its transpose", [any([3, 4])], |x| {
                    x[0].matmul(&x[0].transpose(0, 1)?)
                }),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).matmul(&zeros([4, 5], d)),
            "matmul: inner sizes must agree, left is [2, 3], right is [4, 5]",
        )
        .refuses(
            |d| zeros([3], d).matmul(&zeros([3, 5], d)),
            "matmul: expected operands with two axes or more, left is [3], right is [3, 5]",
        )
        .refuses(
            |d| zeros([2, 2, 3], d).matmul(&zeros([4, 3, 5], d)),
            "matmul: expected shapes that broadcast, got [2] and [4]",
        ),
        entry(
            "linear",
            [
                case!("linear", [any([5, 3]), any([2, 3]), any([2])], |x| {
                    x[0].linear(&x[1], Some(&x[2]))
                }),
                case!("linear without bias", [any([5, 3]), any([2, 3])], |x| x[0]
                    .linear(&x[1], None)),
                case!("linear of a sequence", [any([2, 4, 3]), any([2, 3]), any([2])], |x| {
                    x[0].linear(&x[1], Some(&x[2]))
                }),
                case!("linear of a vector", [any([3]), any([2, 3]), any([2])], |x| {
                    x[0].linear(&x[1], Some(&x[2]))
                }),
            ],
        )
        .refuses(
            |d| zeros([5, 3], d).linear(&zeros([2, 4], d), None),
            "linear: weight [2, 4] expects inputs of 4 features, input is [5, 3]",
        )
        .refuses(
            |d| zeros([5, 3], d).linear(&zeros([2, 3], d), Some(&zeros([3], d))),
            "linear: expected a bias of shape [2], got [3]",
        ),
        entry(
            "linear_relu",
            [
                case!("linear_relu", [any([5, 3]), any([4, 3]), any([4])], |x| {
                    x[0].linear_relu(&x[1], Some(&x[2]))
                }),
                case!("linear_relu without bias", [any([2, 4, 3]), any([2, 3])], |x| {
                    x[0].linear_relu(&x[1], None)
                }),
            ],
        )
        .refuses(
            |d| zeros([5, 3], d).linear_relu(&zeros([2, 4], d), None),
            "linear: weight [2, 4] expects inputs of 4 features, input is [5, 3]",
        ),
    ]
}
