//! Sizes, and refusals with their messages.

use striate_conv::{ConvShape, ConvSpec, GeometryError, PoolShape, PoolSpec, Windows};

const HUGE: usize = usize::MAX;

fn message<V: std::fmt::Debug>(result: Result<V, GeometryError>) -> String {
    result.expect_err("a geometry that should have been refused").to_string()
}

#[test]
fn sizes_of_the_guide_to_convolution_arithmetic() {
    // Dumoulin and Visin, figures 2.1 to 2.7 and 5.1: kernel, stride, padding, dilation, input, output.
    let table = [
        (3, 1, 0, 1, 4, 2),
        (4, 1, 2, 1, 5, 6),
        (3, 1, 1, 1, 5, 5),
        (3, 1, 2, 1, 5, 7),
        (3, 2, 0, 1, 5, 2),
        (3, 2, 1, 1, 5, 3),
        (3, 2, 1, 1, 6, 3),
        (3, 1, 0, 2, 7, 3),
    ];
    for (kernel, stride, padding, dilation, input, output) in table {
        let spec = ConvSpec::new([kernel; 2])
            .stride([stride; 2])
            .padding([padding; 2])
            .dilation([dilation; 2]);
        assert_eq!(spec.output_size([input; 2]), Ok([output; 2]));
        // The transpose returns to the input, given back what the stride dropped.
        let dropped = (input + 2 * padding - dilation * (kernel - 1) - 1) % stride;
        let back = spec.output_padding([dropped; 2]).transposed_output_size([output; 2]);
        assert_eq!(back, Ok([input; 2]));
    }
}

#[test]
fn same_padding_keeps_the_size_and_puts_an_odd_cell_after() {
    let spec = ConvSpec::new([4, 3, 1]).dilation([1, 2, 5]).same().unwrap();
    assert_eq!(spec.padding, [[1, 2], [2, 2], [0, 0]]);
    assert_eq!(spec.output_size([9, 8, 1]), Ok([9, 8, 1]));
    assert_eq!(
        message(ConvSpec::new([3, 3]).stride([1, 2]).same()),
        "padding that keeps the size needs stride 1, got [1, 2]"
    );
}

#[test]
fn lifting_adds_leading_axes() {
    let spec = ConvSpec::new([3, 5]).stride([2, 1]).padding_sides([[0, 1], [2, 3]]).groups(2);
    let lifted = spec.output_padding([1, 0]).lift();
    assert_eq!(lifted.kernel, [1, 3, 5]);
    assert_eq!(lifted.stride, [1, 2, 1]);
    assert_eq!(lifted.padding, [[0, 0], [0, 1], [2, 3]]);
    assert_eq!((lifted.output_padding, lifted.groups), ([0, 1, 0], 2));
    assert_eq!(lifted.output_size([1, 8, 9]), Ok([1, 4, 10]));
    assert_eq!(lifted.lift(), lifted);
}

#[test]
fn shapes_know_their_lengths() {
    let spec = ConvSpec::new([3]).stride([2]).groups(2);
    let shape = ConvShape::conv(&spec, &[5, 4, 9], &[6, 2, 3]).unwrap();
    assert_eq!((shape.input_len(), shape.weight_len(), shape.output_len()), (180, 36, 120));
    assert_eq!(shape.macs(), 5 * 6 * 4 * 2 * 3);
    let shape = ConvShape::transposed(&spec, &[5, 6, 4], &[6, 2, 3]).unwrap();
    assert_eq!((shape.input, shape.in_channels, shape.out_channels), ([1, 1, 9], 4, 6));
}

#[test]
fn convolutions_that_do_not_fit() {
    let spec = ConvSpec::new([3, 3]);
    let conv = |spec: ConvSpec<2>, x: &[usize], w: &[usize]| message(ConvShape::conv(&spec, x, w));
    let (x, w) = ([64, 16, 32, 32], [32, 24, 3, 3]);
    assert_eq!(conv(spec, &x, &w), "weight expects 24 input channels, input is [64, 16, 32, 32]");
    assert_eq!(
        conv(spec, &[16, 32, 32], &w),
        "input must have 4 axes, [batch, channels, *spatial], got [16, 32, 32]"
    );
    assert_eq!(
        conv(spec, &[16], &w),
        "input must have 4 axes, [batch, channels, *spatial], got [16]"
    );
    assert_eq!(
        conv(spec, &x, &[32, 16, 3]),
        "weight must have 4 axes, two of channels, then *kernel, got [32, 16, 3]"
    );
    assert_eq!(conv(spec, &x, &[32, 16, 3, 5]), "kernel is [3, 3], weight is [32, 16, 3, 5]");
    assert_eq!(
        conv(spec, &[4, 0, 32, 32], &w),
        "input must not be empty (only the batch may be 0), got [4, 0, 32, 32]"
    );
    assert_eq!(
        conv(spec, &x, &[0, 16, 3, 3]),
        "weight must not be empty (only the batch may be 0), got [0, 16, 3, 3]"
    );
    assert_eq!(
        conv(spec.groups(5), &[1, 10, 8, 8], &[12, 2, 3, 3]),
        "5 groups do not divide 12 output channels"
    );
    assert_eq!(
        conv(spec.padding_sides([[0, 0], [1, 0]]), &[1, 1, 3, 1], &[1, 1, 3, 3]),
        "window covers 3 cells on axis 1, input has 1 + 1 of padding"
    );
    assert_eq!(conv(spec.stride([1, 0]), &x, &w), "stride must be at least 1, got [1, 0]");
    assert_eq!(conv(spec.dilation([0, 1]), &x, &w), "dilation must be at least 1, got [0, 1]");
    assert_eq!(conv(spec.groups(0), &x, &w), "groups must be at least 1, got [0]");
    assert_eq!(conv(ConvSpec::new([0, 3]), &x, &w), "kernel must be at least 1, got [0, 3]");
}

#[test]
fn transposed_convolutions_that_do_not_fit() {
    let spec = ConvSpec::new([3]).stride([2]);
    let transposed =
        |spec: ConvSpec<1>, x: &[usize], w: &[usize]| message(ConvShape::transposed(&spec, x, w));
    let (x, w) = ([1, 4, 5], [4, 2, 3]);
    assert_eq!(
        transposed(spec.output_padding([2]), &x, &w),
        "output padding 2 on axis 0 must be below max(stride, dilation) = 2"
    );
    assert!(ConvShape::transposed(&spec.dilation([3]).output_padding([2]), &x, &w).is_ok());
    assert_eq!(
        transposed(spec.padding([6]), &x, &w),
        "padding crops 12 cells on axis 0, transposed output has only 11"
    );
    assert_eq!(
        transposed(spec, &[1, 3, 5], &w),
        "weight expects 4 input channels, input is [1, 3, 5]"
    );
    assert_eq!(transposed(spec.groups(3), &x, &w), "3 groups do not divide 4 input channels");
    assert_eq!(
        message(spec.transposed_output_size([0])),
        "input must not be empty (only the batch may be 0), got [0]"
    );
}

#[test]
fn poolings_that_do_not_fit() {
    let spec = PoolSpec::new([3, 2]);
    let pool = |spec: PoolSpec<2>, x: &[usize]| message(PoolShape::sliding(&spec, x));
    let x = [2, 3, 8, 8];
    assert_eq!(
        pool(spec.padding([1, 2]), &x),
        "padding 2 on axis 1 must be at most half of the pooling kernel 2"
    );
    assert_eq!(pool(spec.stride([0, 1]), &x), "stride must be at least 1, got [0, 1]");
    assert_eq!(pool(spec.dilation([1, 0]), &x), "dilation must be at least 1, got [1, 0]");
    assert_eq!(pool(PoolSpec::new([0, 1]), &x), "kernel must be at least 1, got [0, 1]");
    assert_eq!(pool(spec.divisor_override(Some(0)), &x), "divisor must be at least 1, got [0]");
    assert_eq!(
        pool(spec, &[2, 3, 2, 8]),
        "window covers 3 cells on axis 0, input has 2 + 0 of padding"
    );
    assert_eq!(
        pool(spec, &[3, 8, 8]),
        "input must have 4 axes, [batch, channels, *spatial], got [3, 8, 8]"
    );
    assert_eq!(
        pool(spec.padding([0, 1]).dilation([1, 4]).ceil_mode(true), &[1, 1, 3, 3]),
        "first window on axis 1 sees padding only: dilation 4, input 3"
    );
    assert_eq!(
        message(PoolShape::adaptive([2, 0], &x)),
        "output size must be at least 1, got [2, 0]"
    );
}

#[test]
fn sizes_too_large_to_address_are_refused() {
    let overflows = |message: String| {
        assert!(message.contains("is too large to address"), "{message}");
    };
    let does_not_fit = |message: String| {
        assert!(message.starts_with("window covers"), "{message}");
    };
    let unit = ConvSpec::new([1]);
    overflows(message(ConvShape::conv(&unit, &[HUGE, HUGE, HUGE], &[1, HUGE, 1])));
    overflows(message(ConvShape::conv(&unit, &[0, HUGE, 2], &[1, HUGE, 1])));
    overflows(message(ConvShape::conv(&unit, &[1 << 31, 1, 1 << 31], &[1, 1, 1])));
    overflows(message(ConvShape::conv(&unit, &[1, 1, 1 << 31], &[1 << 31, 1, 1])));
    overflows(message(ConvShape::conv(&unit.groups(HUGE), &[1, 2, 3], &[1, 2, 1])));
    overflows(message(unit.padding([HUGE]).output_size([1])));
    overflows(message(unit.padding([HUGE / 2]).output_size([HUGE])));
    does_not_fit(message(ConvSpec::new([HUGE]).dilation([HUGE]).output_size([7])));
    does_not_fit(message(ConvSpec::new([HUGE]).output_size([HUGE / 2])));
    overflows(message(unit.stride([HUGE]).transposed_output_size([HUGE])));
    overflows(message(ConvSpec::new([HUGE]).dilation([HUGE]).transposed_output_size([1])));
    overflows(message(unit.padding([HUGE]).transposed_output_size([1])));
    overflows(message(unit.stride([HUGE]).output_padding([HUGE - 1]).transposed_output_size([1])));
    let dilated = ConvSpec::new([2]).dilation([HUGE]);
    assert!(dilated.same().is_ok_and(|same| same.output_size([1]).is_err()));
    overflows(message(ConvShape::windows(
        &ConvSpec::new([1 << 20, 1 << 20]).padding([1 << 20, 1 << 20]),
        &[1, 1, 1, 1],
    )));

    let pool = PoolSpec::new([HUGE]);
    does_not_fit(message(pool.output_size([HUGE / 2])));
    overflows(message(pool.padding([HUGE / 2]).output_size([1])));
    overflows(message(pool.ceil_mode(true).output_size([HUGE])));
    overflows(message(PoolShape::adaptive([HUGE], &[1, 2, 3])));
    overflows(message(PoolShape::sliding(&PoolSpec::new([1]), &[HUGE, 2, 3])));
}

#[test]
fn pooling_shapes() {
    let spec = PoolSpec::new([2]).padding([1]);
    let shape = PoolShape::sliding(&spec, &[4, 3, 9]).unwrap();
    assert_eq!((shape.planes, shape.input, shape.output), (12, [1, 1, 9], [1, 1, 5]));
    assert_eq!(shape.windows, Windows::Sliding(spec.lift()));
    assert_eq!(spec.lift().padding, [0, 0, 1]);
    assert_eq!((shape.input_len(), shape.output_len()), (108, 60));
    let shape = PoolShape::adaptive([7, 1], &[0, 3, 5, 5]).unwrap();
    assert_eq!((shape.planes, shape.output, shape.output_len()), (0, [1, 7, 1], 0));
}
