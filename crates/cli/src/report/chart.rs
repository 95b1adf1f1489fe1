//! Curves as SVG inside a page: the colours are the page's, so that they suit a light screen and a dark one.

use std::fmt::Write;

use crate::draw::curves::Range;

/// The drawing's width and height, and what the labels take at its left and below.
const SIZE: (f64, f64) = (420.0, 270.0);
const LEFT: f64 = 44.0;
const BELOW: f64 = 40.0;
const TOP: f64 = 10.0;

/// One curve: its class in the style sheet, `train` or `valid`, perhaps with `published`; and a value an epoch from the
/// first on, where those that are not finite leave gaps.
pub type Curve<'a> = (&'static str, &'a Vec<f64>);

/// A chart of some curves over the epochs.
pub fn chart(quantity: &str, curves: &[Curve]) -> String {
    let longest = curves.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    let drawable = |value: &f64| value.abs() < 1e100;
    let x = Range::around((1..=longest).map(|epoch| epoch as f64));
    let values = curves.iter().flat_map(|(_, values)| *values).copied();
    let y = Range::around(values.filter(drawable));
    let across = |place: f64| LEFT + x.fraction(place) * (SIZE.0 - LEFT);
    let down = |place: f64| TOP + (1.0 - y.fraction(place)) * (SIZE.1 - BELOW - TOP);
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{quantity} by epoch\">\n",
        SIZE.0, SIZE.1
    );
    for (place, label) in y.ticks() {
        let at = down(*place);
        svg += &format!(
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
            SIZE.0,
            LEFT - 8.0,
            at + 4.0
        );
    }
    for (place, label) in x.ticks() {
        let (at, foot) = (across(*place), SIZE.1 - BELOW + 18.0);
        svg += &format!("<text x=\"{at:.1}\" y=\"{foot}\" text-anchor=\"middle\">{label}</text>\n");
    }
    svg += &format!(
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">epoch</text>\n",
        (LEFT + SIZE.0) / 2.0,
        SIZE.1 - 4.0
    );
    for (class, values) in curves {
        let points = values.iter().zip(1..).map(|(value, epoch)| (f64::from(epoch), *value));
        let points: Vec<(f64, f64)> = points.collect();
        for stretch in points.split(|point| !drawable(&point.1)).filter(|some| !some.is_empty()) {
            let places = stretch.iter().map(|(epoch, value)| (across(*epoch), down(*value)));
            svg += &path(class, places);
        }
    }
    svg + "</svg>\n"
}

/// A line through the places; a lone place is a dot.
fn path(class: &str, places: impl ExactSizeIterator<Item = (f64, f64)>) -> String {
    let lone = places.len() == 1;
    let mut line = String::new();
    for (x, y) in places {
        if lone {
            return format!(
                "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>\n"
            );
        }
        // Writing to a string cannot fail.
        let _ = write!(line, "{}{x:.1} {y:.1}", if line.is_empty() { "M" } else { "L" });
    }
    format!("<path class=\"line {class}\" d=\"{line}\"/>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_break_where_there_is_no_number_and_one_epoch_is_a_dot() {
        let one = |values: &[f64]| chart("loss", &[("train", &values.to_vec())]);
        let whole = one(&[3.0, 2.0, 1.5, 1.0]);
        assert_eq!((whole.matches("<path").count(), whole.matches("<circle").count()), (1, 0));
        let broken = one(&[3.0, 2.0, f64::NAN, 1.0]);
        assert_eq!((broken.matches("<path").count(), broken.matches("<circle").count()), (1, 1));
        for odd in [&[][..], &[f64::INFINITY], &[1e300, f64::MIN]] {
            let svg = one(odd);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{odd:?}: {svg}");
        }
    }

    /// A larger value stands higher, a later epoch further right.
    #[test]
    fn axes_have_their_directions() {
        let svg = chart("accuracy", &[("valid", &vec![0.2, 0.8])]);
        let line = svg.split("d=\"M").nth(1).unwrap().split('"').next().unwrap();
        let numbers: Vec<f64> = line.split([' ', 'L']).map(|n| n.parse().unwrap()).collect();
        assert!(numbers[0] < numbers[2] && numbers[1] > numbers[3], "{line}");
    }
}
