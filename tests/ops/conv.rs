//! Convolution, and its transpose.

use striate::tensor::ConvSpec;

use crate::registry::{Entry, any, case, entry, zeros};

pub fn entries() -> Vec<Entry> {
    vec![direct(), rectified(), transposed()]
}

fn direct() -> Entry {
    entry(
        "conv",
        [
            case!("conv1d", [any([2, 2, 7]), any([3, 2, 3]), any([3])], |x| {
                x[0].conv(&x[1], Some(&x[2]), &ConvSpec::new([3]))
            }),
            case!("conv1d stride drops cells", [any([2, 1, 9]), any([2, 1, 4])], |x| {
                x[0].conv(&x[1], None, &ConvSpec::new([4]).stride([3]).padding([1]))
            }),
            case!("conv1d groups dilation", [any([1, 4, 8]), any([2, 2, 3]), any([2])], |x| {
                let spec = ConvSpec::new([3]).dilation([2]).padding_sides([[3, 1]]).groups(2);
                x[0].conv(&x[1], Some(&x[2]), &spec)
            }),
            case!("conv2d", [any([2, 3, 5, 6]), any([4, 3, 3, 3]), any([4])], |x| {
                x[0].conv(&x[1], Some(&x[2]), &ConvSpec::new([3, 3]).padding([1, 1]))
            }),
            case!("conv2d without bias", [any([1, 2, 4, 5]), any([2, 2, 2, 3])], |x| {
                x[0].conv(&x[1], None, &ConvSpec::new([2, 3]))
            }),
            case!("conv2d stride", [any([1, 2, 7, 8]), any([2, 2, 3, 2]), any([2])], |x| {
                x[0].conv(&x[1], Some(&x[2]), &ConvSpec::new([3, 2]).stride([2, 3]).padding([1, 0]))
            }),
            case!("conv2d asymmetric dilation", [any([1, 2, 5, 6]), any([2, 2, 2, 3])], |x| {
                let spec = ConvSpec::new([2, 3]).dilation([3, 2]).padding_sides([[2, 0], [1, 3]]);
                x[0].conv(&x[1], None, &spec)
            }),
            case!("conv2d same", [any([1, 2, 4, 5]), any([2, 2, 2, 4])], |x| {
                x[0].conv(&x[1], None, &ConvSpec::new([2, 4]).same()?)
            }),
            case!("conv2d groups", [any([2, 4, 4, 4]), any([6, 2, 3, 3]), any([6])], |x| {
                x[0].conv(&x[1], Some(&x[2]), &ConvSpec::new([3, 3]).padding([1, 1]).groups(2))
            }),
            case!("conv2d depthwise", [any([2, 3, 5, 5]), any([3, 1, 3, 3]), any([3])], |x| {
                let spec = ConvSpec::new([3, 3]).padding([1, 1]).stride([2, 1]).groups(3);
                x[0].conv(&x[1], Some(&x[2]), &spec)
            }),
            case!("conv2d depthwise multiplier", [any([1, 2, 4, 4]), any([4, 1, 2, 2])], |x| {
                x[0].conv(&x[1], None, &ConvSpec::new([2, 2]).groups(2).dilation([2, 1]))
            }),
            case!("conv2d pointwise", [any([2, 3, 3, 3]), any([4, 3, 1, 1]), any([4])], |x| {
                x[0].conv(&x[1], Some(&x[2]), &ConvSpec::new([1, 1]))
            }),
            case!("conv2d pointwise stride", [any([1, 3, 5, 4]), any([2, 3, 1, 1])], |x| {
                x[0].conv(&x[1], None, &ConvSpec::new([1, 1]).stride([2, 2]))
            }),
            case!("conv3d", [any([1, 2, 3, 4, 3]), any([2, 2, 2, 3, 2]), any([2])], |x| {
                x[0].conv(&x[1], Some(&x[2]), &ConvSpec::new([2, 3, 2]).padding([1, 1, 0]))
            }),
            case!("conv3d groups stride", [any([1, 2, 4, 3, 5]), any([2, 1, 2, 2, 2])], |x| {
                let spec = ConvSpec::new([2, 2, 2]).stride([2, 1, 2]).dilation([1, 2, 1]).groups(2);
                x[0].conv(&x[1], None, &spec)
            }),
        ],
    )
    .refuses(
        |d| zeros([1, 3, 5, 5], d).conv(&zeros([4, 2, 3, 3], d), None, &ConvSpec::new([3, 3])),
        "conv2d: weight expects 2 input channels, input is [1, 3, 5, 5]",
    )
    .refuses(
        |d| zeros([1, 3, 5], d).conv(&zeros([4, 3, 3, 3], d), None, &ConvSpec::new([3, 3])),
        "conv2d: input must have 4 axes, [batch, channels, *spatial], got [1, 3, 5]",
    )
    .refuses(
        |d| zeros([1, 4, 5], d).conv(&zeros([3, 2, 3], d), None, &ConvSpec::new([3]).groups(2)),
        "conv1d: 2 groups do not divide 3 output channels",
    )
    .refuses(
        |d| zeros([1, 3, 2, 5], d).conv(&zeros([4, 3, 3, 3], d), None, &ConvSpec::new([3, 3])),
        "conv2d: window covers 3 cells on axis 0, input has 2 + 0 of padding",
    )
    .refuses(
        |d| zeros([1, 3, 5, 5], d).conv(&zeros([4, 3, 3, 3], d), None, &ConvSpec::new([3, 2])),
        "conv2d: kernel is [3, 2], weight is [4, 3, 3, 3]",
    )
    .refuses(
        |d| {
            zeros([1, 1, 5], d).conv(
                &zeros([2, 1, 3], d),
                Some(&zeros([1], d)),
                &ConvSpec::new([3]),
            )
        },
        "conv1d: expected a bias of shape [2], got [1]",
    )
    .refuses(
        |d| zeros([1, 1, 5], d).conv(&zeros([1, 1, 3], d), None, &ConvSpec::new([3]).stride([0])),
        "conv1d: stride must be at least 1, got [0]",
    )
}

fn rectified() -> Entry {
    entry(
        "conv_relu",
        [
            case!("conv1d_relu without bias", [any([2, 2, 7]), any([3, 2, 3])], |x| {
                x[0].conv_relu(&x[1], None, &ConvSpec::new([3]))
            }),
            case!("conv2d_relu", [any([2, 3, 5, 6]), any([8, 3, 3, 3]), any([8])], |x| {
                x[0].conv_relu(&x[1], Some(&x[2]), &ConvSpec::new([3, 3]).padding([1, 1]))
            }),
            case!("conv2d_relu depthwise", [any([2, 3, 5, 5]), any([3, 1, 3, 3]), any([3])], |x| {
                let spec = ConvSpec::new([3, 3]).padding([1, 1]).stride([2, 2]).groups(3);
                x[0].conv_relu(&x[1], Some(&x[2]), &spec)
            }),
        ],
    )
    .refuses(
        |d| zeros([1, 3, 5], d).conv_relu(&zeros([4, 2, 3], d), None, &ConvSpec::new([3])),
        "conv1d: weight expects 2 input channels, input is [1, 3, 5]",
    )
}

fn transposed() -> Entry {
    entry(
        "conv_transpose",
        [
            case!("conv_transpose1d", [any([2, 3, 4]), any([3, 2, 3]), any([2])], |x| {
                x[0].conv_transpose(&x[1], Some(&x[2]), &ConvSpec::new([3]))
            }),
            case!("conv_transpose1d output padding", [any([2, 2, 3]), any([2, 1, 3])], |x| {
                let spec = ConvSpec::new([3]).stride([3]).padding([1]).output_padding([2]);
                x[0].conv_transpose(&x[1], None, &spec)
            }),
            case!(
                "conv_transpose1d output padding by dilation",
                [any([1, 2, 3]), any([2, 2, 2])],
                |x| {
                    let spec = ConvSpec::new([2])
                        .dilation([3])
                        .padding_sides([[0, 2]])
                        .output_padding([2]);
                    x[0].conv_transpose(&x[1], None, &spec)
                }
            ),
            case!("conv_transpose2d", [any([2, 3, 3, 4]), any([3, 2, 3, 2]), any([2])], |x| {
                x[0].conv_transpose(&x[1], Some(&x[2]), &ConvSpec::new([3, 2]).padding([1, 0]))
            }),
            case!(
                "conv_transpose2d stride",
                [any([1, 2, 3, 3]), any([2, 3, 4, 3]), any([3])],
                |x| {
                    let spec =
                        ConvSpec::new([4, 3]).stride([2, 2]).padding([1, 1]).output_padding([0, 1]);
                    x[0].conv_transpose(&x[1], Some(&x[2]), &spec)
                }
            ),
            case!(
                "conv_transpose2d groups",
                [any([1, 4, 3, 2]), any([4, 3, 2, 2]), any([6])],
                |x| {
                    let spec = ConvSpec::new([2, 2]).stride([2, 1]).dilation([1, 2]).groups(2);
                    x[0].conv_transpose(&x[1], Some(&x[2]), &spec)
                }
            ),
            case!("conv_transpose2d depthwise", [any([1, 3, 3, 3]), any([3, 1, 3, 3])], |x| {
                let spec = ConvSpec::new([3, 3]).stride([2, 2]).padding([1, 1]).groups(3);
                x[0].conv_transpose(&x[1], None, &spec)
            }),
            case!("conv_transpose2d asymmetric", [any([1, 2, 4, 3]), any([2, 2, 3, 3])], |x| {
                let spec = ConvSpec::new([3, 3]).stride([1, 2]).padding_sides([[2, 0], [0, 1]]);
                x[0].conv_transpose(&x[1], None, &spec)
            }),
            case!(
                "conv_transpose3d",
                [any([1, 2, 2, 3, 2]), any([2, 2, 2, 2, 3]), any([2])],
                |x| {
                    let spec = ConvSpec::new([2, 2, 3]).stride([2, 1, 2]).padding([0, 1, 1]);
                    x[0].conv_transpose(&x[1], Some(&x[2]), &spec.output_padding([1, 0, 1]))
                }
            ),
        ],
    )
    .refuses(
        |d| {
            let spec = ConvSpec::new([3]).stride([2]).output_padding([2]);
            zeros([1, 2, 5], d).conv_transpose(&zeros([2, 1, 3], d), None, &spec)
        },
        "conv_transpose1d: output padding 2 on axis 0 must be below max(stride, dilation) = 2",
    )
    .refuses(
        |d| {
            zeros([1, 3, 5, 5], d).conv_transpose(
                &zeros([2, 3, 3, 3], d),
                None,
                &ConvSpec::new([3, 3]),
            )
        },
        "conv_transpose2d: weight expects 2 input channels, input is [1, 3, 5, 5]",
    )
    .refuses(
        |d| {
            zeros([1, 3, 5], d).conv_transpose(
                &zeros([3, 2, 3], d),
                None,
                &ConvSpec::new([3]).groups(2),
            )
        },
        "conv_transpose1d: 2 groups do not divide 3 input channels",
    )
    .refuses(
        |d| {
            zeros([1, 1, 1], d).conv_transpose(
                &zeros([1, 1, 2], d),
                None,
                &ConvSpec::new([2]).padding([1]),
            )
        },
        "conv_transpose1d: padding crops 2 cells on axis 0, transposed output has only 2",
    )
    .refuses(
        |d| {
            let (weight, bias) = (zeros([2, 1, 3], d), zeros([2], d));
            zeros([1, 2, 5], d).conv_transpose(&weight, Some(&bias), &ConvSpec::new([3]))
        },
        "conv_transpose1d: expected a bias of shape [1], got [2]",
    )
}
