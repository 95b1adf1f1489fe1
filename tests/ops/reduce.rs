//! Reductions, and softmax.

use crate::registry::{Entry, any, case, entry, huge, wide, zeros};

pub fn entries() -> Vec<Entry> {
    [sums(), extremes(), exponentials()].into_iter().flatten().collect()
}

fn sums() -> Vec<Entry> {
    vec![
        entry(
            "sum",
            [
                case!("sum all", [any([2, 3, 4])], |x| x[0].sum(.., false)),
                case!("sum all kept", [any([2, 3, 4])], |x| x[0].sum(.., true)),
                case!("sum first", [any([2, 3, 4])], |x| x[0].sum(0, false)),
                case!("sum last", [any([2, 3, 4])], |x| x[0].sum(-1, true)),
                case!("sum around", [any([2, 3, 4])], |x| x[0].sum([0, 2], false)),
                case!("sum middle pair", [any([2, 3, 2, 2])], |x| x[0].sum([2, 1], true)),
                case!("sum of none", [any([2, 3])], |x| x[0].sum([0usize; 0], false)),
                case!("sum of scalar", [any([])], |x| x[0].sum(.., false)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).sum(2, false),
            "sum: expected an axis of a tensor of rank 2, got 2",
        )
        .refuses(
            |d| zeros([2, 3], d).sum([1, -1], false),
            "sum: expected each axis once, got [1, -1]",
        ),
        entry(
            "mean",
            [
                case!("mean all", [any([2, 3, 4])], |x| x[0].mean(.., false)),
                case!("mean axes", [any([2, 3, 4])], |x| x[0].mean([0, -1], true)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).mean(-3, false),
            "mean: expected an axis of a tensor of rank 2, got -3",
        ),
        entry(
            "var",
            [
                case!("var all", [any([2, 3, 4])], |x| x[0].var(.., 1.0, false)),
                case!("var biased", [any([2, 3, 4])], |x| x[0].var([0, 2], 0.0, true)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).var(7, 1.0, false),
            "var: expected an axis of a tensor of rank 2, got 7",
        ),
    ]
}

fn extremes() -> Vec<Entry> {
    vec![
        entry(
            "max",
            [
                case!("max all", [any([2, 3, 4])], |x| x[0].max(.., false)),
                case!("max axis", [any([2, 3, 4])], |x| x[0].max(1, true)),
                case!("max axes", [any([2, 3, 4])], |x| x[0].max([0, 2], false)),
                case!("max of equals", [any([3, 1])], |x| x[0].expand([3, 4])?.max(-1, false)),
            ],
        )
        .refuses(
            |d| zeros([2, 0], d).max(1, false),
            "max: expected at least one element to reduce, got shape [2, 0]",
        ),
        entry(
            "min",
            [
                case!("min all", [any([2, 3, 4])], |x| x[0].min(.., false)),
                case!("min axis", [any([2, 3, 4])], |x| x[0].min(0, false)),
                case!("min axes", [any([2, 3, 4])], |x| x[0].min([1, -1], true)),
            ],
        )
        .refuses(
            |d| zeros([0], d).min(.., false),
            "min: expected at least one element to reduce, got shape [0]",
        ),
        entry(
            "argmax",
            [
                case!("argmax last", [any([2, 3, 4])], |x| x[0].argmax(-1, false)?.cast())
                    .constant(),
                case!("argmax middle", [any([2, 3, 4])], |x| x[0].argmax(1, false)?.cast())
                    .constant(),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).argmax(2, false),
            "argmax: expected an axis of a tensor of rank 2, got 2",
        )
        .refuses(
            |d| zeros([2, 0], d).argmax(1, false),
            "argmax: expected at least one element to reduce, got shape [2, 0]",
        ),
        entry(
            "argmin",
            [case!("argmin", [any([2, 3, 4])], |x| x[0].argmin(0, false)?.cast()).constant()],
        )
        .refuses(
            |d| zeros([], d).argmin(1, false),
            "argmin: expected an axis of a tensor of rank 1, got 1",
        ),
    ]
}

fn exponentials() -> Vec<Entry> {
    vec![
        entry(
            "logsumexp",
            [
                case!("logsumexp all", [wide([2, 3, 4])], |x| x[0].logsumexp(.., false)),
                case!("logsumexp axis", [wide([2, 3, 4])], |x| x[0].logsumexp(1, true)),
                case!("logsumexp huge", [huge([3, 4])], |x| x[0]
                    .affine(4.0, 0.0)?
                    .logsumexp(1, false)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).logsumexp(2, false),
            "logsumexp: expected an axis of a tensor of rank 2, got 2",
        ),
        entry(
            "log_softmax",
            [
                case!("log_softmax last", [wide([3, 4])], |x| x[0].log_softmax(-1)),
                case!("log_softmax long rows", [wide([2, 17])], |x| x[0].log_softmax(1)),
                case!("log_softmax channels", [wide([2, 3, 4])], |x| x[0].log_softmax(1)),
                case!("log_softmax huge", [huge([3, 4])], |x| x[0]
                    .affine(16.0, 0.0)?
                    .log_softmax(-1)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).log_softmax(2),
            "log_softmax: expected an axis of a tensor of rank 2, got 2",
        ),
        entry(
            "softmax",
            [
                case!("softmax last", [wide([3, 4])], |x| x[0].softmax(-1)),
                case!("softmax first", [wide([3, 2, 2])], |x| x[0].softmax(0)),
                case!("softmax huge", [huge([3, 4])], |x| x[0].affine(16.0, 0.0)?.softmax(-1)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).softmax(-3),
            "softmax: expected an axis of a tensor of rank 2, got -3",
        ),
    ]
}
