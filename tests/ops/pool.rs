//! Pooling.

use striate::tensor::PoolSpec;

use crate::registry::{Entry, any, case, entry, zeros};

pub fn entries() -> Vec<Entry> {
    [maxima(), rectified(), means(), adaptive()].into_iter().flatten().collect()
}

fn maxima() -> Vec<Entry> {
    vec![
        entry(
            "max_pool",
            [
                case!("max_pool1d", [any([2, 2, 7])], |x| x[0].max_pool(&PoolSpec::new([2]))),
                case!("max_pool2d", [any([2, 2, 4, 6])], |x| x[0].max_pool(&PoolSpec::new([2, 3]))),
                case!("max_pool2d overlapping", [any([1, 2, 5, 5])], |x| {
                    x[0].max_pool(&PoolSpec::new([3, 3]).stride([1, 1]))
                }),
                case!("max_pool2d padded", [any([1, 2, 5, 6])], |x| {
                    x[0].max_pool(&PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]))
                }),
                case!("max_pool2d ceil", [any([1, 2, 5, 8])], |x| {
                    x[0].max_pool(&PoolSpec::new([2, 3]).stride([2, 2]).ceil_mode(true))
                }),
                case!("max_pool2d dilated", [any([1, 2, 6, 7])], |x| {
                    x[0].max_pool(
                        &PoolSpec::new([2, 3]).stride([1, 2]).dilation([3, 2]).padding([1, 1]),
                    )
                }),
                case!("max_pool3d", [any([1, 2, 3, 4, 5])], |x| {
                    x[0].max_pool(&PoolSpec::new([2, 2, 3]).stride([1, 2, 2]).padding([1, 0, 1]))
                }),
            ],
        )
        .refuses(
            |d| zeros([1, 1, 4], d).max_pool(&PoolSpec::new([3]).padding([2])),
            "max_pool1d: padding 2 on axis 0 must be at most half of the pooling kernel 3",
        )
        .refuses(
            |d| zeros([1, 1, 2, 4], d).max_pool(&PoolSpec::new([3, 3])),
            "max_pool2d: window covers 3 cells on axis 0, input has 2 + 0 of padding",
        )
        .refuses(
            |d| zeros([1, 1, 4], d).max_pool(&PoolSpec::new([2, 2])),
            "max_pool2d: input must have 4 axes, [batch, channels, *spatial], got [1, 1, 4]",
        ),
        entry(
            "max_pool_with_indices",
            [
                case!("max_pool_with_indices", [any([2, 2, 5, 5])], |x| {
                    let spec = PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]);
                    Ok(x[0].max_pool_with_indices(&spec)?.0)
                }),
                case!("max_pool_with_indices their indices", [any([2, 2, 5, 6])], |x| {
                    let spec = PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]);
                    x[0].max_pool_with_indices(&spec)?.1.cast()
                })
                .constant(),
            ],
        )
        .refuses(
            |d| zeros([1, 1, 4], d).max_pool_with_indices(&PoolSpec::new([0])),
            "max_pool1d: kernel must be at least 1, got [0]",
        ),
    ]
}

/// The halves that fill vectors and those that do not, and windows of another kind.
fn rectified() -> Vec<Entry> {
    vec![
        entry(
            "max_pool_relu",
            [
                case!("max_pool_relu halving", [any([2, 2, 6, 8])], |x| {
                    x[0].max_pool_relu(&PoolSpec::new([2, 2]))
                }),
                case!("max_pool_relu of an odd map", [any([1, 2, 5, 7])], |x| {
                    x[0].max_pool_relu(&PoolSpec::new([2, 2]))
                }),
                case!("max_pool_relu overlapping", [any([1, 2, 5, 5])], |x| {
                    x[0].max_pool_relu(&PoolSpec::new([2, 2]).stride([1, 1]))
                }),
                case!("max_pool_relu 1d", [any([2, 2, 7])], |x| {
                    x[0].max_pool_relu(&PoolSpec::new([2]))
                }),
            ],
        )
        .refuses(
            |d| zeros([1, 1, 4], d).max_pool_relu(&PoolSpec::new([0])),
            "max_pool1d: kernel must be at least 1, got [0]",
        ),
    ]
}

fn means() -> Vec<Entry> {
    vec![
        entry(
            "avg_pool",
            [
                case!("avg_pool1d", [any([2, 2, 7])], |x| x[0].avg_pool(&PoolSpec::new([2]))),
                case!("avg_pool2d", [any([1, 2, 4, 6])], |x| x[0].avg_pool(&PoolSpec::new([2, 3]))),
                case!("avg_pool2d padded", [any([1, 2, 5, 6])], |x| {
                    x[0].avg_pool(&PoolSpec::new([3, 2]).stride([1, 2]).padding([1, 1]))
                }),
                case!("avg_pool2d padding not counted", [any([1, 2, 5, 6])], |x| {
                    let spec = PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]);
                    x[0].avg_pool(&spec.count_include_pad(false))
                }),
                case!("avg_pool2d ceil", [any([1, 2, 6, 7])], |x| {
                    let spec = PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]);
                    x[0].avg_pool(&spec.ceil_mode(true))
                }),
                case!("avg_pool2d ceil padding not counted", [any([1, 2, 6, 7])], |x| {
                    let spec = PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]);
                    x[0].avg_pool(&spec.ceil_mode(true).count_include_pad(false))
                }),
                case!("avg_pool2d divisor", [any([1, 2, 5, 5])], |x| {
                    let spec = PoolSpec::new([2, 2]).stride([2, 2]).padding([1, 1]);
                    x[0].avg_pool(&spec.divisor_override(Some(3)))
                }),
                case!("avg_pool2d dilated", [any([1, 2, 6, 5])], |x| {
                    x[0].avg_pool(
                        &PoolSpec::new([2, 3]).stride([2, 1]).dilation([3, 2]).padding([1, 1]),
                    )
                }),
                case!("avg_pool3d", [any([1, 2, 3, 4, 5])], |x| {
                    let spec = PoolSpec::new([2, 2, 3]).stride([1, 2, 2]).padding([1, 0, 1]);
                    x[0].avg_pool(&spec.count_include_pad(false))
                }),
            ],
        )
        .refuses(
            |d| zeros([1, 1, 4], d).avg_pool(&PoolSpec::new([3]).padding([2])),
            "avg_pool1d: padding 2 on axis 0 must be at most half of the pooling kernel 3",
        )
        .refuses(
            |d| zeros([1, 1, 4], d).avg_pool(&PoolSpec::new([2]).divisor_override(Some(0))),
            "avg_pool1d: divisor must be at least 1, got [0]",
        )
        .refuses(
            |d| zeros([1, 1, 2, 3, 3], d).avg_pool(&PoolSpec::new([3; 3]).padding([1; 3])),
            "avg_pool3d: window [3, 3, 3] must fit the input without its padding over three axes, input is [2, 3, 3]",
        ),
    ]
}

fn adaptive() -> Vec<Entry> {
    vec![
        entry(
            "adaptive_max_pool",
            [
                case!("adaptive_max_pool1d", [any([2, 2, 7])], |x| x[0].adaptive_max_pool([3])),
                case!("adaptive_max_pool2d", [any([1, 2, 5, 7])], |x| x[0]
                    .adaptive_max_pool([3, 2])),
                case!("adaptive_max_pool2d larger", [any([1, 1, 2, 3])], |x| {
                    x[0].adaptive_max_pool([3, 5])
                }),
                case!("adaptive_max_pool3d", [any([1, 2, 3, 4, 5])], |x| {
                    x[0].adaptive_max_pool([2, 3, 1])
                }),
            ],
        )
        .refuses(
            |d| zeros([1, 1, 4, 4], d).adaptive_max_pool([2, 0]),
            "adaptive_max_pool2d: output size must be at least 1, got [2, 0]",
        ),
        entry(
            "adaptive_avg_pool",
            [
                case!("adaptive_avg_pool1d", [any([2, 2, 7])], |x| x[0].adaptive_avg_pool([3])),
                case!("adaptive_avg_pool2d", [any([1, 2, 5, 7])], |x| x[0]
                    .adaptive_avg_pool([3, 2])),
                case!("adaptive_avg_pool2d global", [any([2, 3, 4, 5])], |x| {
                    x[0].adaptive_avg_pool([1, 1])
                }),
                case!("adaptive_avg_pool2d larger", [any([1, 1, 2, 3])], |x| {
                    x[0].adaptive_avg_pool([3, 5])
                }),
                case!("adaptive_avg_pool3d", [any([1, 2, 3, 4, 5])], |x| {
                    x[0].adaptive_avg_pool([2, 3, 2])
                }),
            ],
        )
        .refuses(
            |d| zeros([1, 1, 0], d).adaptive_avg_pool([2]),
            "adaptive_avg_pool1d: input must not be empty (only the batch may be 0), got [1, 1, 0]",
        ),
    ]
}
