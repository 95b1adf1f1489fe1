//! Losses.

use striate::tensor::Tensor;
use striate::tensor::ops::{CrossEntropy, Reduction};

use crate::registry::{Entry, any, case, constant, entry, index, probability, wide, zeros};

pub fn entries() -> Vec<Entry> {
    [classes(), distances(), probabilities()].into_iter().flatten().collect()
}

fn classes() -> Vec<Entry> {
    vec![cross_entropy(), cross_entropy_with(), nll(), nll_with()]
}

fn cross_entropy() -> Entry {
    entry(
        "cross_entropy",
        [
            case!("cross_entropy", [wide([4, 3])], [index([4], &[0, 2, 1, 2])], |x, i| {
                x[0].cross_entropy(&i[0])
            }),
            case!("cross_entropy of pixels", [wide([2, 3, 2])], [index([2, 2], &[0, 2, 1, 1])], |x, i| {
                x[0].cross_entropy(&i[0])
            }),
        ],
    )
    .refuses(
        |d| zeros([4, 3], d).cross_entropy(&Tensor::zeros([3], d)?),
        "cross_entropy: expected scores [batch, classes, ..] and labels [batch, ..], got [4, 3] and [3]",
    )
    .refuses(
        |d| zeros([4], d).cross_entropy(&Tensor::zeros([4], d)?),
        "cross_entropy: expected scores [batch, classes, ..] and labels [batch, ..], got [4] and [4]",
    )
}

fn cross_entropy_with() -> Entry {
    entry(
        "cross_entropy_with",
        [
            case!("cross_entropy sum", [wide([4, 3])], [index([4], &[0, 2, 1, 2])], |x, i| {
                let reduction = Reduction::Sum;
                x[0].cross_entropy_with(&i[0], &CrossEntropy { reduction, ..Default::default() })
            }),
            case!(
                "cross_entropy unreduced",
                [wide([2, 3, 2])],
                [index([2, 2], &[0, 2, 1, 1])],
                |x, i| {
                    let reduction = Reduction::None;
                    x[0].cross_entropy_with(
                        &i[0],
                        &CrossEntropy { reduction, ..Default::default() },
                    )
                }
            ),
            case!("cross_entropy smoothed", [wide([4, 3])], [index([4], &[0, 2, 1, 2])], |x, i| {
                let options = CrossEntropy { label_smoothing: 0.1, ..Default::default() };
                x[0].cross_entropy_with(&i[0], &options)
            }),
            case!("cross_entropy weighted", [wide([4, 3])], [index([4], &[0, 2, 1, 2])], |x, i| {
                let class_weights = Some(constant(&x[0], [3], &[0.5, 2.0, 1.25])?);
                x[0].cross_entropy_with(
                    &i[0],
                    &CrossEntropy { class_weights, ..Default::default() },
                )
            }),
            case!(
                "cross_entropy ignoring",
                [wide([4, 3])],
                [index([4], &[0, -100, 1, -100])],
                |x, i| {
                    let options = CrossEntropy { ignore_index: Some(-100), ..Default::default() };
                    x[0].cross_entropy_with(&i[0], &options)
                }
            ),
            case!(
                "cross_entropy everything",
                [wide([2, 3, 3])],
                [index([2, 3], &[0, 1, 2, 1, 2, 1])],
                |x, i| {
                    let options = CrossEntropy {
                        label_smoothing: 0.2,
                        class_weights: Some(constant(&x[0], [3], &[0.5, 2.0, 1.25])?),
                        ignore_index: Some(1),
                        reduction: Reduction::Mean,
                    };
                    x[0].cross_entropy_with(&i[0], &options)
                }
            ),
            case!(
                "cross_entropy everything unreduced",
                [wide([4, 3])],
                [index([4], &[0, 1, 2, 0])],
                |x, i| {
                    let options = CrossEntropy {
                        label_smoothing: 0.2,
                        class_weights: Some(constant(&x[0], [3], &[0.5, 2.0, 1.25])?),
                        ignore_index: Some(2),
                        reduction: Reduction::None,
                    };
                    x[0].cross_entropy_with(&i[0], &options)
                }
            ),
        ],
    )
    .refuses(
        |d| {
            let options = CrossEntropy { label_smoothing: 1.5, ..Default::default() };
            zeros([4, 3], d).cross_entropy_with(&Tensor::zeros([4], d)?, &options)
        },
        "cross_entropy: expected label_smoothing in 0..=1, got 1.5",
    )
    .refuses(
        |d| {
            let options = CrossEntropy { class_weights: Some(zeros([4], d)), ..Default::default() };
            zeros([4, 3], d).cross_entropy_with(&Tensor::zeros([4], d)?, &options)
        },
        "cross_entropy: expected class weights of shape [3], got [4]",
    )
}

fn nll() -> Entry {
    entry(
        "nll",
        [case!("nll", [wide([4, 3])], [index([4], &[0, 2, 1, 2])], |x, i| x[0].nll(&i[0]))],
    )
    .refuses(
        |d| zeros([4, 3], d).nll(&Tensor::zeros([4, 1], d)?),
        "nll: expected scores [batch, classes, ..] and labels [batch, ..], got [4, 3] and [4, 1]",
    )
}

fn nll_with() -> Entry {
    entry(
        "nll_with",
        [case!("nll weighted", [wide([4, 3])], [index([4], &[0, 2, 1, 0])], |x, i| {
            let options = CrossEntropy {
                class_weights: Some(constant(&x[0], [3], &[0.5, 2.0, 1.25])?),
                ignore_index: Some(1),
                ..Default::default()
            };
            x[0].nll_with(&i[0], &options)
        })],
    )
    .refuses(
        |d| {
            let options = CrossEntropy { label_smoothing: f64::NAN, ..Default::default() };
            zeros([4, 3], d).nll_with(&Tensor::zeros([4], d)?, &options)
        },
        "nll: expected label_smoothing in 0..=1, got NaN",
    )
}

fn distances() -> Vec<Entry> {
    vec![
        entry(
            "mse",
            [
                case!("mse mean", [any([3, 4]), any([3, 4])], |x| x[0].mse(&x[1], Reduction::Mean)),
                case!("mse sum", [any([3, 4]), any([3, 4])], |x| x[0].mse(&x[1], Reduction::Sum)),
                case!("mse unreduced", [any([3, 4]), any([3, 4])], |x| x[0]
                    .mse(&x[1], Reduction::None)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).mse(&zeros([3], d), Reduction::Mean),
            "mse: expected a target of shape [2, 3], got [3]",
        ),
        entry(
            "l1",
            [
                case!("l1 mean", [any([3, 4]), any([3, 4])], |x| x[0].l1(&x[1], Reduction::Mean)),
                case!("l1 batch mean", [any([3, 4]), any([3, 4])], |x| x[0]
                    .l1(&x[1], Reduction::BatchMean)),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).l1(&zeros([2], d), Reduction::Sum),
            "l1: expected a target of shape [2, 3], got [2]",
        ),
        entry(
            "smooth_l1",
            [
                case!("smooth_l1 mean", [any([3, 4]), any([3, 4])], |x| {
                    x[0].smooth_l1(&x[1], 0.6, Reduction::Mean)
                }),
                case!("smooth_l1 unreduced", [any([3, 4]), any([3, 4])], |x| {
                    x[0].smooth_l1(&x[1], 1.0, Reduction::None)
                }),
            ],
        )
        .refuses(
            |d| zeros([2], d).smooth_l1(&zeros([2], d), -1.0, Reduction::Mean),
            "smooth_l1: expected beta above zero, got -1",
        )
        .refuses(
            |d| zeros([2], d).smooth_l1(&zeros([1], d), 1.0, Reduction::Mean),
            "smooth_l1: expected a target of shape [2], got [1]",
        ),
        entry(
            "huber",
            [
                case!("huber mean", [any([3, 4]), any([3, 4])], |x| x[0].huber(
                    &x[1],
                    0.6,
                    Reduction::Mean
                )),
                case!("huber sum", [any([3, 4]), any([3, 4])], |x| x[0].huber(
                    &x[1],
                    0.3,
                    Reduction::Sum
                )),
            ],
        )
        .refuses(
            |d| zeros([2], d).huber(&zeros([2], d), -1.0, Reduction::Mean),
            "huber: expected delta above zero, got -1",
        ),
    ]
}

fn probabilities() -> Vec<Entry> {
    vec![
        entry(
            "bce",
            [
                case!("bce mean", [probability([3, 4]), probability([3, 4])], |x| {
                    x[0].bce(&x[1], Reduction::Mean)
                }),
                case!("bce unreduced", [probability([3, 4]), probability([3, 4])], |x| {
                    x[0].bce(&x[1], Reduction::None)
                }),
                case!("bce of certainties", [any([4])], |x| {
                    let certain =
                        x[0].affine(0.0, 0.0)? + &constant(&x[0], [4], &[0.0, 1.0, 0.0, 1.0])?;
                    certain?.bce(&constant(&x[0], [4], &[0.0, 1.0, 1.0, 0.0])?, Reduction::None)
                }),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).bce(&zeros([3, 2], d), Reduction::Mean),
            "bce: expected a target of shape [2, 3], got [3, 2]",
        ),
        entry(
            "bce_with_logits",
            [
                case!("bce_with_logits mean", [wide([3, 4]), probability([3, 4])], |x| {
                    x[0].bce_with_logits(&x[1], Reduction::Mean)
                }),
                case!("bce_with_logits sum", [wide([3, 4]), probability([3, 4])], |x| {
                    x[0].bce_with_logits(&x[1], Reduction::Sum)
                }),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).bce_with_logits(&zeros([], d), Reduction::Mean),
            "bce_with_logits: expected a target of shape [2, 3], got []",
        ),
        entry(
            "kl_div",
            [
                case!("kl_div batch mean", [wide([3, 4]), probability([3, 4])], |x| {
                    x[0].log_softmax(1)?.kl_div(&x[1], Reduction::BatchMean)
                }),
                case!("kl_div unreduced", [wide([3, 4]), probability([3, 4])], |x| {
                    x[0].kl_div(&x[1], Reduction::None)
                }),
                case!("kl_div of certainties", [wide([3])], |x| {
                    x[0].kl_div(&constant(&x[0], [3], &[0.0, 1.0, 0.0])?, Reduction::Sum)
                }),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).kl_div(&zeros([2, 1], d), Reduction::Mean),
            "kl_div: expected a target of shape [2, 3], got [2, 1]",
        ),
    ]
}
