//! The same elements in another shape or order.

use crate::registry::{Entry, any, case, entry, zeros};

pub fn entries() -> Vec<Entry> {
    [shapes(), orders()].into_iter().flatten().collect()
}

fn shapes() -> Vec<Entry> {
    vec![
        entry(
            "reshape",
            [
                case!("reshape", [any([2, 3, 4])], |x| x[0].reshape([4, 6])),
                case!("reshape to scalar", [any([1, 1])], |x| x[0].reshape(())),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).reshape([4, 2]),
            "reshape: expected a shape of 6 elements like [2, 3], got [4, 2]",
        )
        .refuses(
            |d| zeros([0], d).reshape([0, usize::MAX, 2]),
            "reshape: expected a shape that fits into memory",
        ),
        entry(
            "flatten",
            [
                case!("flatten all", [any([2, 3, 4])], |x| x[0].flatten(0, -1)),
                case!("flatten tail", [any([2, 3, 4])], |x| x[0].flatten(1, -1)),
                case!("flatten scalar", [any([])], |x| x[0].flatten(0, -1)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).flatten(1, 0),
            "flatten: expected the first axis before the last, got 1 and 0",
        )
        .refuses(
            |d| zeros([2, 3], d).flatten(0, 2),
            "flatten: expected an axis of a tensor of rank 2, got 2",
        ),
        entry(
            "squeeze",
            [
                case!("squeeze all", [any([1, 3, 1, 4])], |x| x[0].squeeze(..)),
                case!("squeeze one", [any([1, 3, 1, 4])], |x| x[0].squeeze(-2)),
            ],
        )
        .refuses(
            |d| zeros([2, 1], d).squeeze(0),
            "squeeze: expected axis 0 to have size 1, shape is [2, 1]",
        ),
        entry(
            "unsqueeze",
            [
                case!("unsqueeze front", [any([3, 4])], |x| x[0].unsqueeze(0)),
                case!("unsqueeze back", [any([3, 4])], |x| x[0].unsqueeze(-1)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).unsqueeze(3),
            "unsqueeze: expected an axis of a tensor of rank 3, got 3",
        ),
    ]
}

fn orders() -> Vec<Entry> {
    vec![
        entry(
            "permute",
            [
                case!("permute", [any([2, 3, 4])], |x| x[0].permute([2, 0, 1])),
                case!("permute negative", [any([2, 3, 4, 2])], |x| x[0].permute([-1, 1, 0, 2])),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).permute([0, 0]),
            "permute: expected each of 2 axes once, got [0, 0]",
        )
        .refuses(
            |d| zeros([2, 3], d).permute([1, 0, 2]),
            "permute: expected an axis of a tensor of rank 2, got 2",
        ),
        entry("transpose", [case!("transpose", [any([2, 3, 4])], |x| x[0].transpose(0, -1))])
            .refuses(
                |d| zeros([2, 3], d).transpose(0, 2),
                "transpose: expected an axis of a tensor of rank 2, got 2",
            ),
        entry(
            "expand",
            [
                case!("expand", [any([3, 1])], |x| x[0].expand([2, 3, 4])),
                case!("expand scalar", [any([])], |x| x[0].expand([2, 3])),
                case!("expand to nothing", [any([1, 3])], |x| {
                    x[0].expand([0, 3])?.sum(0, false)? + &x[0]
                }),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).expand([2, 4]),
            "expand: expected shapes that broadcast, got [2, 3] and [2, 4]",
        )
        .refuses(
            |d| zeros([2, 3], d).expand([3]),
            "expand: expected a shape that [2, 3] broadcasts to, got [3]",
        ),
        entry(
            "slice",
            [
                case!("slice", [any([2, 5, 3])], |x| x[0].slice(1, 1..4, 1)),
                case!("slice with step", [any([7, 2])], |x| x[0].slice(0, 1..7, 3)),
                case!("slice last axis", [any([2, 6])], |x| x[0].slice(-1, 0..6, 2)),
                case!("slice empty", [any([2, 4])], |x| x[0].slice(1, 2..2, 1)?.sum(1, true)?
                    + &x[0]),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).slice(1, 1..4, 1),
            "slice: expected a range within 0..3 and a step of at least 1, got 1..4 and 1",
        )
        .refuses(|d| zeros([2, 3], d).slice(1, 0..2, 0), "slice: expected a range within 0..3"),
        entry(
            "flip",
            [
                case!("flip one", [any([2, 3, 4])], |x| x[0].flip(1)),
                case!("flip two", [any([2, 3, 4])], |x| x[0].flip([0, -1])),
                case!("flip all", [any([3, 2])], |x| x[0].flip(..)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).flip(2),
            "flip: expected an axis of a tensor of rank 2, got 2",
        ),
    ]
}
