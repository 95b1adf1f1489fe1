//! Pooling over one axis in full.

use striate::tensor::{PoolSpec, Result, Tensor};

use crate::assert_close;
use crate::common::hash_tensor;
use crate::naive::{self, Window};

/// Results and input gradients of one plane, by definition.
struct Pooled {
    values: Vec<f64>,
    gradient: Vec<f64>,
}

/// Maxima; the first of equal ones gets the gradient.
fn maxima(x: &[f64], g: &[f64], windows: &[Window]) -> Pooled {
    let mut gradient = vec![0.0; x.len()];
    let first_largest = |best: usize, cell: usize| if x[cell] > x[best] { cell } else { best };
    let values = windows.iter().zip(g).map(|(window, g)| {
        let best = window.cells.iter().copied().reduce(first_largest).unwrap();
        gradient[best] += g;
        x[best]
    });
    Pooled { values: values.collect(), gradient }
}

/// Means, with what each window divides by.
fn means(x: &[f64], g: &[f64], windows: &[Window], divisor: impl Fn(&Window) -> usize) -> Pooled {
    let mut gradient = vec![0.0; x.len()];
    let values = windows.iter().zip(g).map(|(window, g)| {
        let share = 1.0 / divisor(window) as f64;
        window.cells.iter().for_each(|&cell| gradient[cell] += g * share);
        window.cells.iter().map(|&cell| x[cell]).sum::<f64>() * share
    });
    Pooled { values: values.collect(), gradient }
}

/// Compares a pooling of `x` with what `plane` says of each of its planes.
fn check(
    what: &str,
    x: &Tensor<f64>,
    pool: impl Fn(&Tensor<f64>) -> Result<Tensor<f64>>,
    plane: impl Fn(&[f64], &[f64]) -> Pooled,
) {
    let x = x.tracked();
    let y = pool(&x).unwrap_or_else(|error| panic!("{what}: {error}"));
    let g = hash_tensor::<f64>("gradient", y.shape());
    let dx = y.backward_with(&g).unwrap().get(&x).unwrap().to_vec().unwrap();
    let [x_values, y_values, g_values] = [&x, &y, &g].map(|tensor| tensor.to_vec().unwrap());
    let planes = x.shape()[0] * x.shape()[1];
    let (cells, windows) = (x.len() / planes, y.len() / planes);
    for p in 0..planes {
        let (cells, windows) = (p * cells..(p + 1) * cells, p * windows..(p + 1) * windows);
        let expected = plane(&x_values[cells.clone()], &g_values[windows.clone()]);
        assert_close(&y_values[windows], &expected.values, what);
        assert_close(&dx[cells], &expected.gradient, what);
    }
}

/// All poolings over one axis.
fn small() -> impl Iterator<Item = (PoolSpec<1>, usize)> {
    let axes = [7, 4, 3, 3, 3, 2, 3];
    (0..axes.iter().product()).map(move |number: usize| {
        let mut rest = number;
        let [size, kernel, stride, padding, dilation, ceil, divisor] = axes.map(|count| {
            let digit = rest % count;
            rest /= count;
            digit
        });
        let spec = PoolSpec::new([kernel + 1])
            .stride([stride + 1])
            .padding([padding])
            .dilation([dilation + 1])
            .ceil_mode(ceil == 1)
            .count_include_pad(divisor == 0)
            .divisor_override((divisor == 2).then_some(5));
        (spec, size + 1)
    })
}

#[test]
fn every_small_pooling() {
    let (mut accepted, mut refused) = (0, 0);
    for (spec, size) in small() {
        let what = format!("{spec:?} of {size}");
        let x = hash_tensor::<f64>("input", [2, 2, size]);
        let Some((output, windows)) = naive::sliding(&spec.lift(), [1, 1, size]) else {
            refused += 1;
            assert!(x.max_pool(&spec).is_err(), "max {what}: should be refused");
            assert!(x.avg_pool(&spec).is_err(), "avg {what}: should be refused");
            continue;
        };
        accepted += 1;
        assert_eq!(x.max_pool(&spec).unwrap().shape()[2..], output[2..], "{what}");
        check(&format!("max {what}"), &x, |x| x.max_pool(&spec), |x, g| maxima(x, g, &windows));
        let divisor = |window: &Window| match (spec.divisor_override, spec.count_include_pad) {
            (Some(divisor), _) => divisor,
            (None, true) => window.within_padding,
            (None, false) => window.cells.len(),
        };
        check(
            &format!("avg {what}"),
            &x,
            |x| x.avg_pool(&spec),
            |x, g| means(x, g, &windows, divisor),
        );
    }
    assert!(accepted > 1000 && refused > 300, "{accepted} accepted, {refused} refused");
}

#[test]
fn every_small_adaptive_pooling() {
    for size in 1..=7 {
        for output in 1..=9 {
            let what = format!("adaptive {size} to {output}");
            let x = hash_tensor::<f64>("input", [2, 2, size]);
            let windows = naive::adaptive([1, 1, output], [1, 1, size]);
            check(&what, &x, |x| x.adaptive_max_pool([output]), |x, g| maxima(x, g, &windows));
            let count = |window: &Window| window.cells.len();
            check(
                &what,
                &x,
                |x| x.adaptive_avg_pool([output]),
                |x, g| means(x, g, &windows, count),
            );
        }
    }
}

/// Two axes, where rows and columns could be mistaken for each other.
#[test]
fn planes_that_are_not_square() {
    let spec =
        PoolSpec::new([2, 3]).stride([1, 2]).padding([1, 0]).dilation([2, 1]).ceil_mode(true);
    let x = hash_tensor::<f64>("input", [1, 3, 4, 6]);
    let (_, windows) = naive::sliding(&spec.lift(), [1, 4, 6]).unwrap();
    check("max", &x, |x| x.max_pool(&spec), |x, g| maxima(x, g, &windows));
    check(
        "avg",
        &x,
        |x| x.avg_pool(&spec),
        |x, g| means(x, g, &windows, |window| window.within_padding),
    );
    let windows = naive::adaptive([1, 3, 4], [1, 4, 6]);
    check("adaptive", &x, |x| x.adaptive_max_pool([3, 4]), |x, g| maxima(x, g, &windows));
}
