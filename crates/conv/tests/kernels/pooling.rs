//! The pooling kernels against the definition, cell by cell.

use proptest::prelude::*;
use striate_conv::pool::{
    NOWHERE, Onto, average_backward, average_forward, extreme_forward, max_backward,
    max_backward_onto, max_forward, max_relu_forward,
};
use striate_conv::{PoolShape, PoolSpec, Windows};

use crate::common::{cells, dot, flat, integers, on_threads, reals, volume};

/// The cells of window `o` along an axis, and how many an average divides by.
fn window(shape: &PoolShape, axis: usize, o: usize) -> (Vec<usize>, usize) {
    let input = shape.input[axis];
    match &shape.windows {
        Windows::Adaptive => {
            let output = shape.output[axis];
            // Cell c, of width 1/input, overlaps the o-th of `output` equal parts.
            let overlaps = |c: &usize| c * output < (o + 1) * input && (c + 1) * output > o * input;
            let covered: Vec<_> = (0..input).filter(overlaps).collect();
            (covered.clone(), covered.len())
        }
        Windows::Sliding(spec) => {
            let padding = spec.padding[axis];
            let places = (0..spec.kernel[axis])
                .map(|t| o * spec.stride[axis] + t * spec.dilation[axis])
                .filter(|place| *place < input + 2 * padding)
                .collect::<Vec<_>>();
            let inside = places.iter().filter(|&&p| p >= padding && p < padding + input);
            let inside: Vec<_> = inside.map(|p| p - padding).collect();
            let counted = if spec.count_include_pad { places.len() } else { inside.len() };
            (inside, counted)
        }
    }
}

/// For every output: the flat cells of its window, in order, and its divisor.
fn windows(shape: &PoolShape) -> Vec<(Vec<usize>, usize)> {
    let fixed = match &shape.windows {
        Windows::Sliding(spec) => spec.divisor_override,
        Windows::Adaptive => None,
    };
    let (input, output) = (volume(shape.input), volume(shape.output));
    let planes = (0..shape.planes).flat_map(|plane| cells(shape.output).map(move |o| (plane, o)));
    let windows: Vec<_> = planes
        .map(|(plane, o)| {
            let axes = [0, 1, 2].map(|axis| window(shape, axis, o[axis]));
            let size = [0, 1, 2].map(|axis| axes[axis].0.len());
            let cell =
                |t: [usize; 3]| flat([0, 1, 2].map(|axis| axes[axis].0[t[axis]]), shape.input);
            let covered = cells(size).map(|t| plane * input + cell(t)).collect();
            (covered, fixed.unwrap_or(axes.iter().map(|axis| axis.1).product()))
        })
        .collect();
    assert_eq!(windows.len(), shape.planes * output);
    windows
}

/// Both poolings, forward and backward, on small integers: many ties, exact sums.
fn check(shape: &PoolShape) {
    let x = integers::<f64>(shape.input_len(), 1);
    let dy = integers::<f64>(shape.output_len(), 2);
    let windows = windows(shape);
    let plane = volume(shape.input);

    let (mut y, mut indices) = (vec![f64::NAN; dy.len()], vec![-1; dy.len()]);
    max_forward(shape, &x, &mut y, &mut indices);
    let mut dx = vec![f64::NAN; x.len()];
    max_backward(shape, &dy, &indices, &mut dx);
    let mut expected_dx = vec![0.0; x.len()];
    for (o, (covered, _)) in windows.iter().enumerate() {
        let largest = covered.iter().map(|&c| x[c]).fold(f64::NEG_INFINITY, f64::max);
        let first = *covered.iter().find(|&&c| x[c] == largest).unwrap();
        assert_eq!((y[o], indices[o]), (largest, (first % plane) as i64), "output {o}, {shape:?}");
        expected_dx[first] += dy[o];
    }
    assert_eq!(dx, expected_dx, "max, {shape:?}");

    max_relu_forward(shape, &x, &mut y, &mut indices);
    max_backward(shape, &dy, &indices, &mut dx);
    let mut expected_dx = vec![0.0; x.len()];
    for (o, (covered, _)) in windows.iter().enumerate() {
        let largest = covered.iter().map(|&c| x[c]).fold(f64::NEG_INFINITY, f64::max);
        let first = *covered.iter().find(|&&c| x[c] == largest).unwrap();
        let expected = match largest > 0.0 {
            true => (largest, (first % plane) as i64),
            false => (0.0, NOWHERE),
        };
        assert_eq!((y[o], indices[o]), expected, "ReLU at {o}, {shape:?}");
        expected_dx[first] += if largest > 0.0 { dy[o] } else { 0.0 };
    }
    assert_eq!(dx, expected_dx, "max and ReLU, {shape:?}");

    check_extremes(shape, [&x, &dy], &windows);

    average_forward(shape, &x, &mut y);
    average_backward(shape, &dy, &mut dx);
    let mut expected_dx = vec![0.0; x.len()];
    for (o, (covered, divisor)) in windows.iter().enumerate() {
        // The same operations in the same order as the kernel, so the same bits.
        let mean = covered.iter().map(|&c| x[c]).sum::<f64>() / *divisor as f64;
        assert_eq!(y[o], mean, "mean {o}, {shape:?}");
        covered.iter().for_each(|&c| expected_dx[c] += dy[o] / *divisor as f64);
    }
    assert_eq!(dx, expected_dx, "average, {shape:?}");
    // Adjoint up to the rounding of the divisions.
    let size = dy.len() as f64 * 16.0;
    assert!((dot(&dy, &y) - dot(&dx, &x)).abs() <= 8.0 * f64::EPSILON * size, "{shape:?}");
}

/// The largest or smallest cells by the sign of a channel's number, and their gradient added to a line of the input.
fn check_extremes(shape: &PoolShape, [x, dy]: [&[f64]; 2], windows: &[(Vec<usize>, usize)]) {
    let channels = if shape.planes.is_multiple_of(3) { 3 } else { shape.planes };
    let [center, scale, shift] = [3, 4, 5].map(|salt| integers::<f64>(channels, salt));
    let plane = volume(shape.input);
    let channel = |cell: usize| cell / plane % channels;
    let (mut y, mut indices) = (vec![f64::NAN; dy.len()], vec![-1; dy.len()]);
    extreme_forward(shape, x, &scale, &mut y, &mut indices);
    let onto = Onto { input: x, center: &center, scale: &scale, shift: &shift };
    let mut dx = vec![f64::NAN; x.len()];
    max_backward_onto(shape, dy, &indices, onto, &mut dx);
    let line = |(cell, x): (usize, &f64)| {
        let channel = channel(cell);
        scale[channel] * (x - center[channel]) + shift[channel]
    };
    let mut expected_dx: Vec<f64> = x.iter().enumerate().map(line).collect();
    for (o, (covered, _)) in windows.iter().enumerate() {
        let sign = if scale[channel(covered[0])] < 0.0 { -1.0 } else { 1.0 };
        let largest = covered.iter().map(|&c| sign * x[c]).fold(f64::NEG_INFINITY, f64::max);
        let first = *covered.iter().find(|&&c| sign * x[c] == largest).unwrap();
        let expected = (sign * largest, (first % plane) as i64);
        assert_eq!((y[o], indices[o]), expected, "extreme at {o}, {shape:?}");
        expected_dx[first] += dy[o];
    }
    assert_eq!(dx, expected_dx, "onto a line, {shape:?}");
}

/// PyTorch's rule for the output size, by trying where windows may start.
fn expected_output(spec: &PoolSpec<1>, input: usize) -> usize {
    let (kernel, stride, padding) = (spec.kernel[0], spec.stride[0], spec.padding[0]);
    let (reach, padded) = (spec.dilation[0] * (kernel - 1), input + 2 * padding);
    let starts = (0..padded + stride).filter(|start| start % stride == 0);
    let fitting = starts.clone().filter(|start| start + reach < padded).count();
    if !spec.ceil_mode {
        return fitting;
    }
    // One window more if the last that fits leaves a cell, and it starts in the input or before it.
    let extra = starts
        .skip(fitting)
        .take(1)
        .any(|start| start < input + padding && start + reach < padded + stride - 1);
    fitting + usize::from(extra)
}

#[test]
fn every_small_geometry() {
    let mut checked = 0;
    for i in 0..7 * 4 * 3 * 3 * 3 * 2 * 2 {
        let (input, i) = (i % 7 + 1, i / 7);
        let (kernel, i) = (i % 4 + 1, i / 4);
        let (stride, i) = (i % 3 + 1, i / 3);
        let (dilation, i) = (i % 3 + 1, i / 3);
        let (padding, i) = (i % 3, i / 3);
        let spec = PoolSpec::new([kernel])
            .stride([stride])
            .dilation([dilation])
            .padding([padding])
            .ceil_mode(i % 2 == 1)
            .count_include_pad(i / 2 == 1);
        let Ok(shape) = PoolShape::sliding(&spec, &[2, 3, input]) else {
            let blind = padding > 0 && padding.div_ceil(dilation) * dilation - padding >= input;
            let refused = padding > kernel / 2 || expected_output(&spec, input) == 0 || blind;
            assert!(refused, "{spec:?}, input {input}");
            continue;
        };
        assert_eq!(shape.output[2], expected_output(&spec, input), "{spec:?}, input {input}");
        check(&shape);
        checked += 1;
    }
    assert!(checked > 1300, "only {checked} geometries were checked");
}

#[test]
fn every_small_adaptive_geometry() {
    for (input, output) in (1..=9).flat_map(|input| (1..=9).map(move |output| (input, output))) {
        check(&PoolShape::adaptive([output], &[2, 2, input]).unwrap());
    }
    check(&PoolShape::adaptive([3, 1, 4], &[2, 2, 5, 6, 7]).unwrap());
}

/// Planes are halved some together: the last may be fewer, and a plane may be too large for company.
#[test]
fn halving_of_many_planes() {
    for sizes in [[5, 3, 20, 22], [11, 7, 9, 11], [2, 3, 65, 70], [3, 5, 2, 2], [86, 3, 4, 4]] {
        check(&PoolShape::sliding(&PoolSpec::new([2, 2]), &sizes).unwrap());
    }
}

/// The first of few planes told all others which extreme they have.
#[test]
fn channels_of_both_signs_in_one_block() {
    let shape = PoolShape::sliding(&PoolSpec::new([2, 2]), &[1, 4, 3, 5]).unwrap();
    let x = reals::<f64>(shape.input_len(), 1);
    let (mut y, mut indices) = (vec![0.0; 8], vec![0; 8]);
    extreme_forward(&shape, &x, &[1.0, -1.0, 1.0, -1.0], &mut y, &mut indices);
    for (plane, y) in y.chunks(2).enumerate() {
        let cell = |row: usize, column: usize| x[15 * plane + 5 * row + column];
        for (window, y) in y.iter().enumerate() {
            let left = 2 * window;
            let cells = [cell(0, left), cell(0, left + 1), cell(1, left), cell(1, left + 1)];
            let extreme = if plane % 2 == 0 { f64::max } else { f64::min };
            assert_eq!(*y, cells.into_iter().reduce(extreme).unwrap(), "plane {plane}");
        }
    }
}

#[test]
fn halving_of_even_and_odd_sizes() {
    // Rows of windows of every length that vectors are filled from, and ends of blocks within rows.
    let narrow = [(2, 2), (3, 3), (8, 6), (7, 10), (6, 9)];
    let wide = [(4, 8), (6, 16), (5, 32), (8, 33), (2, 64), (10, 40), (12, 14), (6, 96)];
    for (height, width) in narrow.into_iter().chain(wide) {
        for ceil_mode in [false, true] {
            let spec = PoolSpec::new([2, 2]).ceil_mode(ceil_mode);
            check(&PoolShape::sliding(&spec, &[2, 3, height, width]).unwrap());
            for spec in
                [spec.divisor_override(Some(3)), spec.dilation([1, 2]), spec.padding([0, 1])]
            {
                if let Ok(shape) = PoolShape::sliding(&spec, &[2, 3, height, width]) {
                    check(&shape);
                }
            }
            let spec = PoolSpec::new([1, 2, 2]).ceil_mode(ceil_mode);
            check(&PoolShape::sliding(&spec, &[1, 2, 3, height, width]).unwrap());
        }
    }
}

fn triple(least: usize, most: usize) -> impl Strategy<Value = [usize; 3]> {
    [least..=most, least..=most, least..=most]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_volumes(
        (input, kernel, stride) in (triple(1, 7), triple(1, 3), triple(1, 3)),
        (padding, dilation) in (triple(0, 1), triple(1, 2)),
        (ceil_mode, count_include_pad) in any::<(bool, bool)>(),
        divisor in prop::option::of(1..9usize),
    ) {
        let spec = PoolSpec::new(kernel)
            .stride(stride)
            .padding(padding)
            .dilation(dilation)
            .ceil_mode(ceil_mode)
            .count_include_pad(count_include_pad)
            .divisor_override(divisor);
        let shape = PoolShape::sliding(&spec, &[2, 1, input[0], input[1], input[2]]);
        prop_assume!(shape.is_ok());
        check(&shape.unwrap());
    }
}

#[test]
fn nan_and_infinities() {
    for (spec, size) in [(PoolSpec::new([2, 2]), 4), (PoolSpec::new([2, 2]).stride([1, 1]), 9)] {
        let shape = PoolShape::sliding(&spec, &[1, 1, 4, 4]).unwrap();
        let (mut y, mut indices) = (vec![0.0; size], vec![0; size]);
        for place in [0, 1, 4, 5] {
            let mut x = [1.0f32; 16];
            x[place] = f32::NAN;
            max_forward(&shape, &x, &mut y, &mut indices);
            assert!(y[0].is_nan() && indices[0] == place as i64, "NaN wins");
            assert_eq!(y[size - 1], 1.0, "and stays in its window");
        }
        max_forward(&shape, &[f32::NEG_INFINITY; 16], &mut y, &mut indices);
        assert_eq!((y[0], indices[0]), (f32::NEG_INFINITY, 0), "the first cell, though not above");
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let spec = PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]);
    let shape = PoolShape::sliding(&spec, &[8, 16, 30, 31]).unwrap();
    let x = reals::<f32>(shape.input_len(), 1);
    let dy = reals::<f32>(shape.output_len(), 2);
    let [one, two, five] = [1, 2, 5].map(|threads| {
        on_threads(threads, || {
            let (mut y, mut indices) = (dy.clone(), vec![0; dy.len()]);
            let (mut max_dx, mut mean, mut mean_dx) = (x.clone(), dy.clone(), x.clone());
            max_forward(&shape, &x, &mut y, &mut indices);
            max_backward(&shape, &dy, &indices, &mut max_dx);
            average_forward(&shape, &x, &mut mean);
            average_backward(&shape, &dy, &mut mean_dx);
            (y, indices, max_dx, mean, mean_dx)
        })
    });
    assert!(one == two && one == five);
}

/// Windows that halve have loops of their own, which know where the index of each should be.
#[test]
fn a_gradient_may_go_to_a_cell_outside_its_window() {
    let shape = PoolShape::sliding(&PoolSpec::new([2, 2]), &[1, 2, 4, 6]).unwrap();
    let indices = [0, 2, 4, 12, 14, 16, 23, 0, NOWHERE, 23, 8, 5];
    let dy = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
    let mut dx = [f64::NAN; 48];
    max_backward(&shape, &dy, &indices, &mut dx);
    let mut expected = [0.0; 48];
    indices[..6].iter().for_each(|&index| expected[index as usize] = 1.0);
    (expected[47], expected[24], expected[32], expected[29]) = (9.0, 2.0, 16.0, 32.0);
    assert_eq!(dx, expected);
}

#[test]
#[should_panic(expected = "index out of bounds")]
fn an_index_outside_the_plane_is_noticed() {
    let shape = PoolShape::sliding(&PoolSpec::new([2]), &[1, 1, 4]).unwrap();
    max_backward(&shape, &[1.0f32, 1.0], &[0, -2], &mut [0.0; 4]);
}
