//! Costs against sizes, both in powers: what grows like a power of a size is a straight line.

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

use super::axes::{Chart, Drawn, chart, emptiest_ninth, legend};
use super::curves::{PALETTE, drawing};
use super::{Result, refuse};

/// Width and height of a drawing, in pixels.
const SIZE: (u32, u32) = (640, 440);

/// A named line through points that are above zero.
pub struct Curve {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// Places that are told apart by their ratios, and the ticks among them.
struct Ratios {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Ratios {
    /// Around some places. Of the candidates for ticks, those are left out that would run into the one before.
    fn around(places: impl Iterator<Item = f64>, candidates: &[f64], apart: f64) -> Self {
        let ends = places
            .fold((f64::INFINITY, 0.0f64), |(low, high), place| (low.min(place), high.max(place)));
        let (low, high) = (ends.0 / 1.15, ends.1 * 1.15);
        let mut ticks: Vec<f64> = Vec::new();
        for &tick in candidates.iter().filter(|tick| (low..=high).contains(tick)) {
            if ticks.last().is_none_or(|last| tick / last > apart) {
                ticks.push(tick);
            }
        }
        Self { low, high, ticks }
    }

    /// Where a place falls between the ends, from 0 to 1.
    fn fraction(&self, place: f64) -> f64 {
        (place / self.low).ln() / (self.high / self.low).ln()
    }
}

impl Ranged for Ratios {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (start, end): (i32, i32)) -> i32 {
        start + (self.fraction(*place) * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light points are the grid between the ticks, and there is none.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Ratios {
    fn format_ext(&self, place: &f64) -> String {
        place.to_string()
    }
}

/// The curves over one pair of axes. The second half of them are drawn thin, in the colours of the first.
pub fn scaling_svg(x: &str, y: &str, curves: &[Curve]) -> Result<String> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    if points().count() == 0 || points().any(|(x, y)| !(*x > 0.0 && *y > 0.0 && y.is_finite())) {
        return refuse(format!("expected sizes and costs above zero to draw `{y}` against `{x}`"));
    }
    let mut svg = String::new();
    draw(&mut svg, [x, y], curves).map_err(drawing)?;
    Ok(svg)
}

/// 1, 2 and 5 times powers of ten, from a millionth to a million.
fn round_numbers() -> Vec<f64> {
    let digits = [1.0, 2.0, 5.0];
    let small = (1..=6).rev().flat_map(|n| digits.map(|digit| digit / f64::powi(10.0, n)));
    let large = (0..=6).flat_map(|n| digits.map(|digit| digit * f64::powi(10.0, n)));
    small.chain(large).collect()
}

fn draw(svg: &mut String, names: [&str; 2], curves: &[Curve]) -> Drawn {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let sizes: Vec<f64> =
        curves.iter().take(1).flat_map(|curve| &curve.points).map(|p| p.0).collect();
    let across = Ratios::around(points().map(|point| point.0), &sizes, 1.2);
    let up = Ratios::around(points().map(|point| point.1), &round_numbers(), 1.5);
    let fractions = points().map(|point| [across.fraction(point.0), up.fraction(point.1)]);
    let emptiest = emptiest_ninth(fractions);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = chart(&root, [across, up], names)?;
    for (index, curve) in curves.iter().enumerate() {
        draw_curve(&mut chart, curve, index, curves.len().div_ceil(2))?;
    }
    legend(&mut chart, emptiest)?;
    root.present()
}

/// From `half` on, the curves are thin and have no dots.
fn draw_curve(chart: &mut Chart<Ratios>, curve: &Curve, index: usize, half: usize) -> Drawn {
    let (colour, thin) = (PALETTE[index % half % PALETTE.len()], index >= half);
    let style = colour.stroke_width(if thin { 1 } else { 3 });
    let line = LineSeries::new(curve.points.iter().copied(), style);
    let entry = chart.draw_series(line)?.label(curve.name);
    entry.legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
    let dots = curve.points.iter().filter(|_| !thin);
    chart.draw_series(dots.map(|&point| Circle::new(point, 3, colour.filled())))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_drawn_and_what_has_no_logarithm_refused() {
        let curve = |name, scale: f64| Curve {
            name,
            points: [1.0, 10.0, 100.0].map(|x| (x, scale * x)).to_vec(),
        };
        let svg =
            scaling_svg("size", "ms", &[curve("chosen", 0.1), curve("unfolded", 0.2)]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.matches("<polyline").count() >= 2);
        assert!(svg.contains("chosen") && svg.contains("unfolded") && svg.contains("size"));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(scaling_svg("size", "ms", &[curve("c", bad)]).is_err(), "{bad}");
        }
        assert!(scaling_svg("size", "ms", &[]).is_err());
    }
}
