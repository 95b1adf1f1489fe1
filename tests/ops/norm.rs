//! Normalisation.

use striate::tensor::ops::{Moments, Normalization};
use striate::tensor::{PoolSpec, Tensor};

use crate::registry::{Entry, any, case, constant, entry, zeros};

const EPS: f64 = 1e-3;

pub fn entries() -> Vec<Entry> {
    vec![batch_norm(), batch_norm_relu(), batch_norm_relu_max_pool(), group_norm(), layer_norm()]
}

fn batch_norm() -> Entry {
    entry(
        "batch_norm",
        [
            case!("batch_norm training", [any([3, 2, 2, 3]), any([2]), any([2])], |x| {
                let (y, _) = x[0].batch_norm(Some([&x[1], &x[2]]), Normalization::Batch, EPS)?;
                Ok(y)
            }),
            case!("batch_norm training plain", [any([5, 3])], |x| {
                Ok(x[0].batch_norm(None, Normalization::Batch, EPS)?.0)
            }),
            case!("batch_norm moments", [any([3, 2, 4])], |x| {
                let moments = x[0].batch_norm(None, Normalization::Batch, EPS)?.1;
                Tensor::stack(&[&moments.mean, &moments.variance], 0)
            })
            .constant(),
            case!("batch_norm evaluation", [any([2, 2, 3, 2]), any([2]), any([2])], |x| {
                let moments = Moments {
                    mean: constant(&x[0], [2], &[0.25, -0.5])?,
                    variance: constant(&x[0], [2], &[0.75, 2.0])?,
                };
                let fixed = Normalization::Fixed(&moments);
                Ok(x[0].batch_norm(Some([&x[1], &x[2]]), fixed, EPS)?.0)
            }),
        ],
    )
    .refuses(
        |d| zeros([5], d).batch_norm(None, Normalization::Batch, EPS),
        "batch_norm: expected [batch, channels, ..], got [5]",
    )
    .refuses(
        |d| {
            let (weight, bias) = (zeros([2], d), zeros([3], d));
            zeros([4, 2], d).batch_norm(Some([&weight, &bias]), Normalization::Batch, EPS)
        },
        "batch_norm: expected parameters of shape [2], got [3]",
    )
}

fn batch_norm_relu() -> Entry {
    entry(
        "batch_norm_relu",
        [
            case!("batch_norm_relu training", [any([3, 2, 2, 5]), any([2]), any([2])], |x| {
                let affine = Some([&x[1], &x[2]]);
                Ok(x[0].batch_norm_relu(affine, Normalization::Batch, EPS)?.0)
            }),
            case!("batch_norm_relu short rows", [any([5, 3])], |x| {
                Ok(x[0].batch_norm_relu(None, Normalization::Batch, EPS)?.0)
            }),
            case!("batch_norm_relu evaluation", [any([2, 2, 9]), any([2]), any([2])], |x| {
                let moments = Moments {
                    mean: constant(&x[0], [2], &[0.25, -0.5])?,
                    variance: constant(&x[0], [2], &[0.75, 2.0])?,
                };
                let fixed = Normalization::Fixed(&moments);
                Ok(x[0].batch_norm_relu(Some([&x[1], &x[2]]), fixed, EPS)?.0)
            }),
        ],
    )
    .refuses(
        |d| zeros([5], d).batch_norm_relu(None, Normalization::Batch, EPS),
        "batch_norm: expected [batch, channels, ..], got [5]",
    )
}

fn batch_norm_relu_max_pool() -> Entry {
    entry(
        "batch_norm_relu_max_pool",
        [
            case!(
                "batch_norm_relu_max_pool training",
                [any([3, 3, 4, 6]), any([3]), any([3])],
                |x| {
                    let (affine, spec) = (Some([&x[1], &x[2]]), PoolSpec::new([2, 2]));
                    Ok(x[0].batch_norm_relu_max_pool(affine, Normalization::Batch, EPS, &spec)?.0)
                }
            ),
            case!("batch_norm_relu_max_pool of an odd map", [any([2, 2, 5, 7])], |x| {
                let spec = PoolSpec::new([2, 2]);
                Ok(x[0].batch_norm_relu_max_pool(None, Normalization::Batch, EPS, &spec)?.0)
            }),
            case!(
                "batch_norm_relu_max_pool overlapping",
                [any([2, 3, 9]), any([3]), any([3])],
                |x| {
                    let spec = PoolSpec::new([3]).stride([2]).padding([1]);
                    let affine = Some([&x[1], &x[2]]);
                    Ok(x[0].batch_norm_relu_max_pool(affine, Normalization::Batch, EPS, &spec)?.0)
                }
            ),
            case!(
                "batch_norm_relu_max_pool evaluation",
                [any([2, 2, 4, 8]), any([2]), any([2])],
                |x| {
                    let moments = Moments {
                        mean: constant(&x[0], [2], &[0.25, -0.5])?,
                        variance: constant(&x[0], [2], &[0.75, 2.0])?,
                    };
                    let (fixed, spec) = (Normalization::Fixed(&moments), PoolSpec::new([2, 2]));
                    let affine = Some([&x[1], &x[2]]);
                    Ok(x[0].batch_norm_relu_max_pool(affine, fixed, EPS, &spec)?.0)
                }
            ),
        ],
    )
    .refuses(
        |d| {
            let spec = PoolSpec::new([2]);
            zeros([5], d).batch_norm_relu_max_pool(None, Normalization::Batch, EPS, &spec)
        },
        "batch_norm: expected [batch, channels, ..], got [5]",
    )
    .refuses(
        |d| {
            let spec = PoolSpec::new([4, 4]);
            zeros([2, 3, 3, 3], d).batch_norm_relu_max_pool(None, Normalization::Batch, EPS, &spec)
        },
        "max_pool2d: ",
    )
}

fn group_norm() -> Entry {
    entry(
        "group_norm",
        [
            case!("group_norm", [any([2, 4, 2, 3]), any([4]), any([4])], |x| {
                x[0].group_norm(2, Some([&x[1], &x[2]]), EPS)
            }),
            case!("group_norm of instances", [any([2, 3, 5])], |x| x[0].group_norm(3, None, EPS)),
        ],
    )
    .refuses(
        |d| zeros([2, 4, 3], d).group_norm(3, None, EPS),
        "group_norm: expected channels that 3 groups divide into more than one element, got [2, 4, 3]",
    )
    .refuses(
        |d| {
            let (weight, bias) = (zeros([4], d), zeros([2], d));
            zeros([2, 4, 3], d).group_norm(2, Some([&weight, &bias]), EPS)
        },
        "group_norm: expected a weight and a bias of shape [4], got [2]",
    )
    .refuses(
        |d| {
            let weight = zeros([4, 1], d);
            zeros([2, 4, 3], d).group_norm(2, Some([&weight, &weight]), EPS)
        },
        "group_norm: expected a weight and a bias of shape [4], got [4, 1]",
    )
}

fn layer_norm() -> Entry {
    entry(
        "layer_norm",
        [
            case!("layer_norm", [any([2, 3, 4]), any([4]), any([4])], |x| {
                x[0].layer_norm(&[4], Some([&x[1], &x[2]]), EPS)
            }),
            case!("layer_norm two axes", [any([2, 3, 4]), any([3, 4]), any([3, 4])], |x| {
                x[0].layer_norm(&[3, 4], Some([&x[1], &x[2]]), EPS)
            }),
            case!("layer_norm plain", [any([3, 5])], |x| x[0].layer_norm(&[5], None, EPS)),
        ],
    )
    .refuses(
        |d| zeros([2, 3], d).layer_norm(&[2], None, EPS),
        "layer_norm: expected a shape that ends with [2], got [2, 3]",
    )
    // As many elements were enough.
    .refuses(
        |d| {
            let weight = zeros([3, 2], d);
            zeros([4, 2, 3], d).layer_norm(&[2, 3], Some([&weight, &weight]), EPS)
        },
        "layer_norm: expected a weight and a bias of shape [2, 3], got [3, 2]",
    )
}
