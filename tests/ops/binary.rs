//! Arithmetic, comparisons, choosing and the operators.

use striate::tensor::Tensor;

use crate::registry::{Entry, any, case, constant, entry, positive, zeros};

pub fn entries() -> Vec<Entry> {
    [arithmetic(), comparisons(), operators()].into_iter().flatten().collect()
}

fn arithmetic() -> Vec<Entry> {
    vec![
        entry(
            "add",
            [
                case!("add", [any([3, 4]), any([3, 4])], |x| x[0].add(&x[1])),
                case!("add row", [any([2, 3, 4]), any([4])], |x| x[0].add(&x[1])),
                case!("add outer", [any([3, 1]), any([1, 4])], |x| x[0].add(&x[1])),
                case!("add scalar", [any([3, 4]), any([])], |x| x[0].add(&x[1])),
                case!("add to itself", [any([3, 4])], |x| x[0].add(&x[0])),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).add(&zeros([4], d)),
            "add: expected shapes that broadcast, got [2, 3] and [4]",
        ),
        entry(
            "sub",
            [
                case!("sub", [any([3, 4]), any([3, 4])], |x| x[0].sub(&x[1])),
                case!("sub column", [any([2, 3, 1]), any([2, 3, 4])], |x| x[0].sub(&x[1])),
                case!("sub from itself", [any([3, 4])], |x| x[0].sub(&x[0])),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).sub(&zeros([3, 2], d)),
            "sub: expected shapes that broadcast, got [2, 3] and [3, 2]",
        ),
        entry(
            "mul",
            [
                case!("mul", [any([3, 4]), any([3, 4])], |x| x[0].mul(&x[1])),
                case!("mul channels", [any([2, 3, 4]), any([3, 1])], |x| x[0].mul(&x[1])),
                case!("mul outer", [any([3, 1]), any([4])], |x| x[0].mul(&x[1])),
                case!("mul by itself", [any([3, 4])], |x| x[0].mul(&x[0])),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).mul(&zeros([2], d)),
            "mul: expected shapes that broadcast, got [2, 3] and [2]",
        ),
        entry(
            "div",
            [
                case!("div", [any([3, 4]), positive([3, 4])], |x| x[0].div(&x[1])),
                case!("div row", [any([2, 3, 4]), positive([3, 1])], |x| x[0].div(&x[1])),
                case!("div into", [any([4]), positive([2, 3, 4])], |x| x[0].div(&x[1])),
            ],
        )
        .refuses(
            |d| zeros([5], d).div(&zeros([6], d)),
            "div: expected shapes that broadcast, got [5] and [6]",
        ),
        entry(
            "pow",
            [
                case!("pow", [positive([3, 4]), any([3, 4])], |x| x[0].pow(&x[1])),
                case!("pow scalar", [positive([3, 4]), any([])], |x| x[0].pow(&x[1])),
                case!("pow of scalar", [positive([]), any([3, 4])], |x| x[0].pow(&x[1])),
                // The gradients are multiplied with zero, so they have to be finite.
                case!("pow at zero", [any([4]), any([4])], |x| {
                    let base =
                        x[0].affine(0.0, 0.0)? + constant(&x[0], [4], &[0.0, 0.0, 2.0, 0.0])?;
                    let exponent = constant(&x[0], [4], &[2.0, 0.0, 0.0, 1.0])?;
                    base?.pow(&(x[1].affine(0.0, 0.0)? + exponent)?)
                }),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).pow(&zeros([4], d)),
            "pow: expected shapes that broadcast, got [2, 3] and [4]",
        ),
        entry(
            "maximum",
            [
                case!("maximum", [any([3, 4]), any([3, 4])], |x| x[0].maximum(&x[1])),
                case!("maximum row", [any([3, 4]), any([4])], |x| x[0].maximum(&x[1])),
                case!("maximum of equals", [any([3, 4])], |x| x[0].maximum(&x[0])),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).maximum(&zeros([4], d)),
            "maximum: expected shapes that broadcast, got [2, 3] and [4]",
        ),
        entry(
            "minimum",
            [
                case!("minimum", [any([3, 4]), any([3, 4])], |x| x[0].minimum(&x[1])),
                case!("minimum column", [any([3, 1]), any([3, 4])], |x| x[0].minimum(&x[1])),
            ],
        )
        .refuses(
            |d| zeros([2, 3], d).minimum(&zeros([4], d)),
            "minimum: expected shapes that broadcast, got [2, 3] and [4]",
        ),
    ]
}

fn comparisons() -> Vec<Entry> {
    macro_rules! comparison {
        ($name:ident) => {
            entry(
                stringify!($name),
                // The first half of each row equals the other operand.
                [case!(stringify!($name), [any([3, 4]), any([3, 4])], |x| {
                    let other =
                        Tensor::cat(&[&x[0].slice(1, 0..2, 1)?, &x[1].slice(1, 2..4, 1)?], 1)?;
                    x[0].$name(&other)?.cast()
                })
                .constant()],
            )
            .refuses(
                |d| zeros([2, 3], d).$name(&zeros([4], d)),
                "compare: expected shapes that broadcast, got [2, 3] and [4]",
            )
        };
    }
    vec![
        comparison!(eq),
        comparison!(ne),
        comparison!(lt),
        comparison!(le),
        comparison!(gt),
        comparison!(ge),
        entry(
            "choose",
            [
                case!("choose", [any([3, 4]), any([3, 4]), any([3, 4])], |x| {
                    let zero = constant(&x[0], [], &[0.0])?;
                    x[0].gt(&zero)?.choose(&x[1], &x[2])
                }),
                case!("choose broadcast", [any([3, 1]), any([2, 1, 4]), any([])], |x| {
                    let zero = constant(&x[0], [], &[0.0])?;
                    x[0].gt(&zero)?.choose(&x[1], &x[2])
                }),
            ],
        )
        .refuses(
            |d| zeros([2], d).eq(&zeros([2], d))?.choose(&zeros([2], d), &zeros([3], d)),
            "choose: expected shapes that broadcast, got [2] and [3]",
        ),
    ]
}

fn operators() -> Vec<Entry> {
    vec![
        entry(
            "operators",
            [
                case!("operators of tensors", [any([3, 4]), any([3, 4]), positive([4])], |x| {
                    let [a, b, c] = [&x[0], &x[1], &x[2]];
                    (a * b + c)? - (a - b)? / c
                }),
                case!("operators with numbers", [any([3, 4]), positive([3, 4])], |x| {
                    let [a, b] = [&x[0], &x[1]];
                    let sum = (2.0 * a + b)? + 1.0;
                    let difference = ((a / 4.0)? - 3.0)? + (5.0 - b)?;
                    sum? * (difference? + (0.5 / b)?)? + (-a * b.clone())?
                }),
            ],
        )
        .refuses(
            |d| &zeros([2, 3], d) + &zeros([4], d),
            "add: expected shapes that broadcast, got [2, 3] and [4]",
        ),
    ]
}
