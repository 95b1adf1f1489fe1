//! Windows as columns, and resizing.

use striate::tensor::ConvSpec;
use striate::tensor::ops::{Corners, Interpolation};

use crate::registry::{Entry, any, case, entry, zeros};

pub fn entries() -> Vec<Entry> {
    vec![unfold(), fold(), interpolate()]
}

fn unfold() -> Entry {
    entry(
        "unfold",
        [
            case!("unfold1d", [any([2, 2, 6])], |x| {
                x[0].unfold(&ConvSpec::new([3]).padding([1]).stride([2]))
            }),
            case!("unfold2d", [any([2, 2, 4, 5])], |x| x[0].unfold(&ConvSpec::new([2, 3]))),
            case!("unfold2d dilated", [any([1, 2, 5, 5])], |x| {
                let spec = ConvSpec::new([2, 2]).dilation([3, 2]).stride([1, 2]).padding([1, 1]);
                x[0].unfold(&spec)
            }),
            case!("unfold3d", [any([1, 2, 3, 4, 3])], |x| {
                x[0].unfold(&ConvSpec::new([2, 2, 3]).stride([1, 2, 1]))
            }),
        ],
    )
    .refuses(
        |d| zeros([1, 1, 2, 2], d).unfold(&ConvSpec::new([3, 3])),
        "unfold2d: window covers 3 cells on axis 0, input has 2 + 0 of padding",
    )
}

fn fold() -> Entry {
    entry(
        "fold",
        [
            case!("fold1d", [any([2, 6, 3])], |x| {
                x[0].fold(&ConvSpec::new([3]).padding([1]).stride([2]), [6])
            }),
            case!("fold2d", [any([1, 12, 9])], |x| x[0].fold(&ConvSpec::new([2, 3]), [4, 5])),
            case!("fold2d dilated", [any([1, 8, 12])], |x| {
                let spec = ConvSpec::new([2, 2]).dilation([3, 2]).stride([1, 2]).padding([1, 1]);
                x[0].fold(&spec, [5, 5])
            }),
            case!("fold3d", [any([1, 24, 4])], |x| {
                x[0].fold(&ConvSpec::new([2, 2, 3]).stride([1, 2, 1]), [3, 4, 3])
            }),
        ],
    )
    .refuses(
        |d| zeros([1, 6, 4], d).fold(&ConvSpec::new([3]), [5]),
        "fold1d: expected columns of shape [1, 6, 3], got [1, 6, 4]",
    )
    .refuses(
        |d| zeros([1, 7, 3], d).fold(&ConvSpec::new([3]), [5]),
        "fold1d: expected columns of shape [1, 6, 3], got [1, 7, 3]",
    )
    .refuses(
        |d| zeros([6, 3], d).fold(&ConvSpec::new([3]), [5]),
        "fold1d: expected columns of shape [batch, channels * kernel, positions], got [6, 3]",
    )
}

fn interpolate() -> Entry {
    const FREE: Interpolation = Interpolation::Linear(Corners::Free);
    const ALIGNED: Interpolation = Interpolation::Linear(Corners::Aligned);
    entry(
        "interpolate",
        [
            case!("interpolate1d nearest", [any([2, 2, 4])], |x| {
                x[0].interpolate([7], Interpolation::Nearest)
            }),
            case!("interpolate2d nearest", [any([1, 2, 3, 4])], |x| {
                x[0].interpolate([6, 3], Interpolation::Nearest)
            }),
            case!("interpolate3d nearest", [any([1, 1, 2, 3, 2])], |x| {
                x[0].interpolate([4, 6, 3], Interpolation::Nearest)
            }),
            case!("interpolate1d linear", [any([2, 2, 4])], |x| x[0].interpolate([7], FREE)),
            case!("interpolate2d linear", [any([1, 2, 3, 4])], |x| x[0].interpolate([6, 7], FREE)),
            case!("interpolate2d linear smaller", [any([1, 2, 5, 6])], |x| x[0]
                .interpolate([2, 4], FREE)),
            case!("interpolate2d linear aligned", [any([1, 2, 3, 4])], |x| {
                x[0].interpolate([6, 7], ALIGNED)
            }),
            case!("interpolate2d linear aligned to one", [any([1, 2, 3, 4])], |x| {
                x[0].interpolate([1, 4], ALIGNED)
            }),
            case!("interpolate3d linear", [any([1, 1, 2, 3, 2])], |x| x[0]
                .interpolate([3, 2, 4], FREE)),
        ],
    )
    .refuses(
        |d| zeros([1, 1, 3], d).interpolate([2, 2], Interpolation::Nearest),
        "interpolate: expected [batch, channels] and 2 sizes above zero, got [1, 1, 3] to [2, 2]",
    )
    .refuses(
        |d| zeros([1, 1, 3], d).interpolate([0], FREE),
        "interpolate: expected [batch, channels] and 1 sizes above zero, got [1, 1, 3] to [0]",
    )
}
