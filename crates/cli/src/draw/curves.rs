//! Training curves as SVG.
//!
//! A curve is read by comparison: training against validation. So a series keeps its colour across
//! the panels of a figure (the colour belongs to the name), and the colours are those of Okabe and
//! Ito, which survive every common colour blindness. What a run can produce must be drawable: one
//! epoch is a dot, a constant gets a range around it, and a value that is not finite leaves a gap in
//! its line.
//!
//! `plotters` draws; the ticks are ours, since epochs want whole numbers.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::axes::{Chart, Drawn, chart, emptiest_ninth, legend};
use super::{Error, Result, refuse};

/// Blue, vermilion, bluish green, reddish purple, orange, sky blue, black: M. Okabe and K. Ito,
/// "Color Universal Design", 2008.
pub(super) const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Width and height of one panel, in pixels.
const PANEL: (u32, u32) = (600, 420);

/// Up to this many points, each is marked by a dot.
const DOTTED: usize = 40;

/// The strokes of a dashed line, and the space between them, in pixels.
const DASH: u32 = 5;
const GAP: u32 = 4;

/// Values beyond this cannot be told from a diverged run, and their differences overflow.
const LARGEST: f64 = 1e100;

type Point = (f64, f64);

/// One named curve: the stretches between the points that cannot be drawn.
struct Series<'a> {
    name: &'a str,
    /// Dashed, and called published.
    published: bool,
    stretches: Vec<Vec<Point>>,
}

impl<'a> Series<'a> {
    fn new(name: &'a str, points: impl Iterator<Item = Point>) -> Self {
        let points: Vec<Point> = points.collect();
        let drawable = |&(x, y): &Point| x.abs() < LARGEST && y.abs() < LARGEST;
        let stretches = points.split(|point| !drawable(point)).filter(|some| !some.is_empty());
        Self { name, published: false, stretches: stretches.map(<[Point]>::to_vec).collect() }
    }

    fn points(&self) -> impl Iterator<Item = Point> + Clone {
        self.stretches.iter().flatten().copied()
    }
}

/// The curves of one quantity.
struct Panel<'a> {
    quantity: &'a str,
    along: Along,
    series: Vec<Series<'a>>,
}

/// What the horizontal axis counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Along {
    Epochs,
    /// The decimal logarithms of learning rates.
    Rates,
}

/// The figure of a run: losses on the left, accuracies on the right.
///
/// `columns` are the epoch table's, by name; `epochs` is the horizontal axis of them all. A column
/// whose name ends in `loss` or `accuracy` is drawn, `train_loss` under the name `train`; other
/// columns (seconds, learning rate) are not. A table without accuracies gives one panel.
pub fn run_svg(title: &str, epochs: &[f64], columns: &[(&str, &[f64])]) -> Result<String> {
    let panels = ["loss", "accuracy"].map(|quantity| {
        let series = columns.iter().filter_map(|(name, values)| {
            let role = name.strip_suffix(quantity)?.trim_end_matches('_');
            let points = epochs.iter().copied().zip(values.iter().copied());
            Some(Series::new(if role.is_empty() { quantity } else { role }, points))
        });
        Panel { quantity, along: Along::Epochs, series: series.collect() }
    });
    let panels: Vec<Panel> = panels.into_iter().filter(|panel| !panel.series.is_empty()).collect();
    if panels.is_empty() {
        return refuse(format!("figure `{title}` has no curves to draw"));
    }
    let mut svg = String::new();
    draw_figure(&mut svg, title, &panels).map_err(drawing)?;
    Ok(svg)
}

/// A network's values after each epoch, from the first on.
pub struct Comparison<'a> {
    /// The network.
    pub name: String,
    /// Ours.
    pub ours: &'a [f64],
    /// Those that were published, which are dashed in the colour of ours; empty if there are none.
    pub theirs: &'a [f64],
}

/// The figure of one quantity of several networks, ours and published.
pub fn comparison_svg(quantity: &str, networks: &[Comparison]) -> Result<String> {
    let series = |name, values: &[f64], published| {
        let points = values.iter().zip(1..).map(|(value, epoch)| (f64::from(epoch), *value));
        Series { published, ..Series::new(name, points) }
    };
    let series = networks.iter().flat_map(|Comparison { name, ours, theirs }| {
        [series(name, ours, false), series(name, theirs, true)]
    });
    let series = series.filter(|series| series.points().next().is_some()).collect();
    let mut svg = String::new();
    let panel = Panel { quantity, along: Along::Epochs, series };
    draw_figure(&mut svg, &format!("{quantity} by epoch"), &[panel]).map_err(drawing)?;
    Ok(svg)
}

/// The figure of a learning rate range test: the loss at each rate, the rates on a logarithmic axis, and single points
/// with their names.
pub fn rates_svg(title: &str, curve: &[Point], marks: &[(String, Point)]) -> Result<String> {
    let decimal = |&(rate, loss): &Point| (rate.log10(), loss);
    let marks =
        marks.iter().map(|(name, point)| Series::new(name, std::iter::once(decimal(point))));
    let curve = Series::new("smoothed loss", curve.iter().map(decimal));
    let series = [curve].into_iter().chain(marks).collect();
    let mut svg = String::new();
    let panel = Panel { quantity: "loss", along: Along::Rates, series };
    draw_figure(&mut svg, title, &[panel]).map_err(drawing)?;
    Ok(svg)
}

/// Panels side by side under one title.
fn draw_figure(svg: &mut String, title: &str, panels: &[Panel]) -> Drawn {
    let mut names: Vec<&str> = Vec::new();
    for series in panels.iter().flat_map(|panel| &panel.series) {
        if !names.contains(&series.name) {
            names.push(series.name);
        }
    }
    let size = (PANEL.0 * panels.len() as u32, PANEL.1);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let body = root.margin(6, 0, 0, 0).titled(title, ("sans-serif", 26))?;
    for (panel, area) in panels.iter().zip(body.split_evenly((1, panels.len()))) {
        draw_panel(&area, panel, &names)?;
    }
    root.present()
}

fn draw_panel(area: &DrawingArea<SVGBackend, Shift>, panel: &Panel, names: &[&str]) -> Drawn {
    let points = panel.series.iter().flat_map(Series::points);
    let x = Range::around(points.clone().map(|point| point.0));
    let (x, x_name) = match panel.along {
        Along::Epochs => (x, "epoch"),
        Along::Rates => (x.in_decades(), "learning rate"),
    };
    let y = Range::around(points.clone().map(|point| point.1));
    let emptiest = emptiest_ninth(points.map(|point| [x.fraction(point.0), y.fraction(point.1)]));
    let mut chart = chart(area, [x, y], [x_name, panel.quantity])?;
    for series in &panel.series {
        let index = names.iter().position(|name| *name == series.name);
        let colour = PALETTE[index.unwrap_or_default() % PALETTE.len()];
        draw_series(&mut chart, series, colour)?;
    }
    legend(&mut chart, emptiest)
}

fn draw_series(chart: &mut Chart<Range>, series: &Series, colour: RGBColor) -> Drawn {
    let style = colour.stroke_width(2);
    let few = series.points().count() <= DOTTED && !series.published;
    for stretch in &series.stretches {
        let points = stretch.iter().copied();
        match series.published {
            true => chart.draw_series(DashedLineSeries::new(points.clone(), DASH, GAP, style))?,
            false => chart.draw_series(LineSeries::new(points.clone(), style))?,
        };
        if few || stretch.len() == 1 {
            chart.draw_series(points.map(|point| Circle::new(point, 3, colour.filled())))?;
        }
    }
    // An empty series carries the legend's entry, so a curve without a drawable point has one too.
    let entry = chart.draw_series(std::iter::empty::<PathElement<Point>>())?;
    let line = |(x, y)| [(x, y), (x + 24, y)];
    match series.published {
        true => entry
            .label(format!("{}, published", series.name))
            .legend(move |at| DashedPathElement::new(line(at), DASH, GAP, style)),
        false => entry.label(series.name).legend(move |at| PathElement::new(line(at), style)),
    };
    Ok(())
}

/// The part of an axis that is shown, and its ticks: places with their labels.
pub struct Range {
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Range {
    /// The range of the places with a margin; a lone place stands in the middle.
    pub fn around(places: impl Iterator<Item = f64> + Clone) -> Self {
        let whole = places.clone().all(|place| place.fract() == 0.0);
        let low = places.clone().fold(f64::INFINITY, f64::min);
        let high = places.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        // Where values differ by less than a billionth of themselves, or have no size at all, their
        // difference is rounding, and ticks would collide.
        let least = 1e-200;
        let size = low.abs().max(high.abs());
        let margin = if high - low > 1e-9 * size.max(least) {
            0.04 * (high - low)
        } else if size < least || (whole && size < 1e6) {
            0.5
        } else {
            0.05 * size
        };
        let (low, high) = (low - margin, high + margin);
        Self { low, high, ticks: ticks(low, high, whole) }
    }

    /// The places that are labelled, with their labels.
    pub fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    /// The same with a tick at each power of ten, of which the places are the logarithms.
    fn in_decades(self) -> Self {
        let decades = self.low.ceil() as i32..=self.high.floor() as i32;
        let ticks = decades.map(|decade| (f64::from(decade), format!("1e{decade}"))).collect();
        Self { ticks, ..self }
    }

    /// Where a place falls between the ends, from 0 to 1.
    pub fn fraction(&self, place: f64) -> f64 {
        (place - self.low) / (self.high - self.low)
    }
}

impl Ranged for Range {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (start, end): (i32, i32)) -> i32 {
        start + (self.fraction(*place) * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light points are the grid between the ticks, and there is none.
        let shown = if hint.weight().allow_light_points() { 0 } else { self.ticks.len() };
        self.ticks[..shown].iter().map(|tick| tick.0).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Range {
    fn format_ext(&self, place: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0 == *place);
        tick.map(|tick| tick.1.clone()).unwrap_or_default()
    }
}

/// Three to eight multiples of 1, 2 or 5 times a power of ten.
fn ticks(low: f64, high: f64, whole: bool) -> Vec<(f64, String)> {
    let raw = (high - low) / 7.0;
    let decade = 10_f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|multiple| multiple * decade);
    let step = steps.into_iter().find(|step| *step >= raw).unwrap_or(raw);
    let step = if whole { step.max(1.0) } else { step };
    // Adding zero turns a negative zero, which would be labelled -0, into a zero.
    let (first, last) = ((low / step).ceil() + 0.0, (high / step).floor());
    let places = (0..=(last - first) as usize).map(|index| (first + index as f64) * step);
    let size = low.abs().max(high.abs());
    places.map(|place| (place, label(place, step, size))).collect()
}

/// `place` with the digits that tell it from its neighbours a `step` away.
fn label(place: f64, step: f64, size: f64) -> String {
    let finest = step.log10().floor() as i32;
    if size < 1e6 && finest >= -5 {
        return format!("{place:.*}", (-finest).max(0) as usize);
    }
    let coarsest = if place == 0.0 { finest } else { place.abs().log10().floor() as i32 };
    format!("{place:.*e}", (coarsest - finest).max(0) as usize)
}

pub(super) fn drawing(cause: impl Display) -> Error {
    Error::Drawing { what: "curves", cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: Vec<(f64, String)>) -> Vec<String> {
        ticks.into_iter().map(|tick| tick.1).collect()
    }

    /// The figure of one column of losses, one an epoch.
    fn one(losses: &[f64]) -> String {
        let epochs: Vec<f64> = (1..=losses.len()).map(|epoch| epoch as f64).collect();
        run_svg("t", &epochs, &[("s_loss", losses)]).unwrap()
    }

    fn count(svg: &str, what: &str) -> usize {
        svg.matches(what).count()
    }

    #[test]
    fn ticks_are_round_and_epochs_whole() {
        assert_eq!(labels(ticks(0.31, 1.34, false)), ["0.4", "0.6", "0.8", "1.0", "1.2"]);
        assert_eq!(labels(ticks(0.92, 3.08, true)), ["1", "2", "3"]);
        assert_eq!(labels(ticks(-0.4, 2.2, false)), ["0.0", "0.5", "1.0", "1.5", "2.0"]);
        assert_eq!(
            labels(ticks(-1e-7, 2.1e-7, false)),
            ["-1.0e-7", "-5e-8", "0e0", "5e-8", "1.0e-7", "1.5e-7", "2.0e-7"]
        );
    }

    #[test]
    fn one_epoch_is_a_dot() {
        assert_eq!(count(&one(&[0.4]), "<circle"), 1);
    }

    #[test]
    fn values_that_are_not_finite_break_the_line() {
        let losses: Vec<f64> = (0..100).map(f64::from).collect();
        let broken = |loss: &f64| if loss % 40.0 == 39.0 { f64::NAN } else { *loss };
        let (whole, gaps) = (one(&losses), one(&losses.iter().map(broken).collect::<Vec<_>>()));
        assert_eq!(count(&gaps, r#"stroke-width="2""#), count(&whole, r#"stroke-width="2""#) + 2);
        assert!(!gaps.contains("NaN"));
    }

    #[test]
    fn degenerate_series_are_drawn() {
        let hopeless = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -f64::MAX];
        assert_eq!(count(&one(&hopeless), "<circle"), 0);
        for constant in [0.0, 0.5, -3.0, 7e8, 5e-324, 1e-199, 1e99, 1e16] {
            let svg = one(&[constant; 3]);
            assert_eq!(count(&svg, "<circle"), 3, "{constant}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{constant}");
        }
        assert!(one(&[]).contains("\ns\n</text>"), "an empty series keeps its place in the legend");
    }

    #[test]
    fn rates_have_a_tick_at_each_power_of_ten() {
        let curve: Vec<Point> =
            (0..95).map(|i| (1e-7 * 1e8f64.powf(f64::from(i) / 100.0), 2.3)).collect();
        let svg = rates_svg("t", &curve, &[("valley".into(), curve[60])]).unwrap();
        for tick in ["1e-7", "1e-4", "1e0"] {
            assert!(svg.contains(&format!("\n{tick}\n</text>")), "{tick}: {svg}");
        }
        assert!(!svg.contains("1e1\n") && svg.contains("learning rate") && svg.contains("valley"));
        assert_eq!(count(&svg, "<circle"), 1);
        assert!(rates_svg("t", &[], &[]).is_ok());
    }

    #[test]
    fn a_run_has_its_losses_left_and_accuracies_right() {
        let epochs = [1.0, 2.0];
        let columns: [(&str, &[f64]); 4] = [
            ("train_loss", &[1.3, 1.1]),
            ("valid_loss", &[1.2, 1.0]),
            ("valid_accuracy", &[0.5, 0.6]),
            ("seconds", &[56.0, 56.0]),
        ];
        let svg = run_svg("vgg4 <cifar10>", &epochs, &columns).unwrap();
        assert_eq!(count(&svg, "<circle"), 6);
        // `valid` keeps its vermilion on the right, where it is the only curve.
        assert_eq!(count(&svg, r##"r="3" opacity="1" fill="#D55E00""##), 4);
        assert!(svg.contains("vgg4 &lt;cifar10&gt;"));
        assert!(!svg.contains("seconds"));
        let message = run_svg("empty", &epochs, &columns[3..]).unwrap_err().to_string();
        assert_eq!(message, "figure `empty` has no curves to draw");
    }
}
