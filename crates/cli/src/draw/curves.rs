//! Training curves as SVG.
//!
//! A curve is read by comparison: training against validation, ours against the published figure.
//! So a series keeps its colour across the panels of a figure (the colour belongs to the name), the
//! colours are those of Okabe and Ito, which survive every common colour blindness, and a series of
//! another origin can be dashed. What a run can produce must be drawable: one epoch is a dot, a
//! constant gets a range around it, and a value that is not finite leaves a gap in its line.
//!
//! `plotters` draws; the ticks are ours, since epochs want whole numbers and learning rates want
//! decades.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

use super::{Error, Result, refuse};

/// Blue, vermilion, bluish green, reddish purple, orange, sky blue, black: M. Okabe and K. Ito,
/// "Color Universal Design", 2008.
const PALETTE: [RGBColor; 7] = [
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

/// Values beyond this cannot be told from a diverged run, and their differences overflow.
const LARGEST: f64 = 1e100;

/// One named curve.
#[derive(Clone, Debug)]
pub struct Series {
    /// The name in the legend; the same name has the same colour in every panel of a figure.
    pub name: String,
    /// The points in drawing order. One that is not finite is skipped and breaks the line.
    pub points: Vec<(f64, f64)>,
    /// Whether the line is dashed, as for figures published elsewhere.
    pub dashed: bool,
}

impl Series {
    /// A solid curve.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, dashed: false }
    }
}

/// How an axis divides its length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Equal distances are equal differences.
    Linear,
    /// Equal distances are equal ratios, as for learning rates; what is not positive is skipped.
    Logarithmic,
}

/// An axis: the quantity, with its unit if it has one, and its scale.
#[derive(Clone, Debug)]
pub struct Axis(pub String, pub Scale);

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str) -> Self {
        Self(label.into(), Scale::Linear)
    }

    /// Where `value` stands on the axis, if it can stand there.
    fn place(&self, value: f64) -> Option<f64> {
        let place = match self.1 {
            Scale::Linear => value,
            Scale::Logarithmic => value.log10(),
        };
        (place.abs() < LARGEST).then_some(place)
    }
}

/// One set of curves on one pair of axes.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The curves, in the order of the legend.
    pub series: Vec<Series>,
}

/// The figure of a run: losses on the left, accuracies on the right.
///
/// `columns` are the epoch table's, by name; `epochs` is the horizontal axis of them all. A column
/// whose name ends in `loss` or `accuracy` is drawn, `train_loss` under the name `train`; other
/// columns (seconds, learning rate) are not. A table without accuracies gives one panel.
pub fn run_svg(title: &str, epochs: &[f64], columns: &[(&str, &[f64])]) -> Result<String> {
    let panel = |quantity: &str| Panel {
        x: Axis::linear("epoch"),
        y: Axis::linear(quantity),
        series: columns
            .iter()
            .filter_map(|(name, values)| {
                let role = name.strip_suffix(quantity)?.trim_end_matches('_');
                let points = epochs.iter().copied().zip(values.iter().copied());
                let name = if role.is_empty() { quantity } else { role };
                Some(Series::new(name, points.collect()))
            })
            .collect(),
    };
    let mut panels = vec![panel("loss"), panel("accuracy")];
    panels.retain(|panel| !panel.series.is_empty());
    figure_svg(title, &panels)
}

/// Panels side by side under one title.
pub fn figure_svg(title: &str, panels: &[Panel]) -> Result<String> {
    if panels.is_empty() {
        return refuse(format!("figure `{title}` has no curves to draw"));
    }
    let mut svg = String::new();
    draw_figure(&mut svg, title, panels)?;
    Ok(svg)
}

fn draw_figure(svg: &mut String, title: &str, panels: &[Panel]) -> Result<()> {
    let names = distinct_names(panels);
    let size = (PANEL.0 * panels.len() as u32, PANEL.1);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE).map_err(drawing)?;
    let body = root.margin(6, 0, 0, 0).titled(title, ("sans-serif", 26)).map_err(drawing)?;
    for (panel, area) in panels.iter().zip(body.split_evenly((1, panels.len()))) {
        draw_panel(&area, panel, &names)?;
    }
    root.present().map_err(drawing)
}

fn distinct_names(panels: &[Panel]) -> Vec<&str> {
    let mut names = Vec::new();
    for series in panels.iter().flat_map(|panel| &panel.series) {
        if !names.contains(&series.name.as_str()) {
            names.push(series.name.as_str());
        }
    }
    names
}

type Points = Vec<(f64, f64)>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Range, Range>>;

fn draw_panel(area: &DrawingArea<SVGBackend, Shift>, panel: &Panel, names: &[&str]) -> Result<()> {
    let curves = panel.series.iter().map(|series| runs(series, panel));
    let curves: Vec<_> = curves.collect();
    let points = || curves.iter().flatten().flatten();
    let x = Range::around(points().map(|point| point.0), panel.x.1);
    let y = Range::around(points().map(|point| point.1), panel.y.1);
    let legend = emptiest_ninth(points(), &x, &y);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(24)
        .x_label_area_size(50)
        .y_label_area_size(78)
        .build_cartesian_2d(x, y)
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(RGBColor(90, 90, 90))
        .label_style(("sans-serif", 17))
        .axis_desc_style(("sans-serif", 19))
        .x_desc(&panel.x.0)
        .y_desc(&panel.y.0)
        .draw()
        .map_err(drawing)?;
    for (series, runs) in panel.series.iter().zip(&curves) {
        let index = names.iter().position(|name| *name == series.name);
        let colour = PALETTE[index.unwrap_or_default() % PALETTE.len()];
        draw_series(&mut chart, series, runs, colour).map_err(drawing)?;
    }
    chart
        .configure_series_labels()
        .position(legend)
        .label_font(("sans-serif", 18))
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .draw()
        .map_err(drawing)
}

fn draw_series<'a>(
    chart: &mut Chart<'a>,
    series: &Series,
    runs: &[Points],
    colour: RGBColor,
) -> std::result::Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let style = colour.stroke_width(2);
    let few = runs.iter().map(Vec::len).sum::<usize>() <= DOTTED;
    for run in runs {
        let points = run.iter().copied();
        if series.dashed {
            chart.draw_series(DashedLineSeries::new(points.clone(), 6, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(points.clone(), style))?;
        }
        if few || run.len() == 1 {
            chart.draw_series(points.map(|point| Circle::new(point, 3, colour.filled())))?;
        }
    }
    // An empty series carries the legend's entry, so a curve without a drawable point has one too.
    let entry = chart.draw_series(std::iter::empty::<PathElement<(f64, f64)>>())?;
    let gap = if series.dashed { 3 } else { 0 };
    entry.label(&series.name).legend(move |(x, y)| {
        EmptyElement::at((0, 0))
            + PathElement::new([(x, y), (x + 12 - gap, y)], style)
            + PathElement::new([(x + 12 + gap, y), (x + 24, y)], style)
    });
    Ok(())
}

/// The stretches of a series between the points that cannot be drawn, in places on the axes.
fn runs(series: &Series, panel: &Panel) -> Vec<Points> {
    let place = |&(x, y): &(f64, f64)| panel.x.place(x).zip(panel.y.place(y));
    let places: Vec<_> = series.points.iter().map(place).collect();
    let runs = places.split(Option::is_none);
    let runs = runs.map(|run| run.iter().copied().flatten().collect());
    runs.filter(|run: &Points| !run.is_empty()).collect()
}

/// The part of an axis that is shown, and its ticks: places with their labels.
struct Range {
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Range {
    /// The range of the places with a margin; a lone place stands in the middle.
    fn around(places: impl Iterator<Item = f64> + Clone, scale: Scale) -> Self {
        let whole = places.clone().all(|place| place.fract() == 0.0);
        let low = places.clone().fold(f64::INFINITY, f64::min);
        let high = places.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        // Where values differ by less than a billionth (of themselves, or of a decade), or have no
        // size at all, their difference is rounding, and ticks would collide.
        let least = if scale == Scale::Logarithmic { 1.0 } else { 1e-200 };
        let size = low.abs().max(high.abs());
        let margin = if high - low > 1e-9 * size.max(least) {
            0.04 * (high - low)
        } else if size < least || (whole && size < 1e6) {
            0.5
        } else {
            0.05 * size
        };
        let (low, high) = (low - margin, high + margin);
        let ticks = match scale {
            Scale::Linear => ticks(low, high, whole),
            Scale::Logarithmic => ratio_ticks(low, high),
        };
        Self { low, high, ticks }
    }

    /// Where a place falls between the ends, from 0 to 1.
    fn fraction(&self, place: f64) -> f64 {
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

/// Decades; over fewer than three of them 1, 2 and 5 times each, over less than one plain ticks.
fn ratio_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let multiples: &[i32] = if high - low < 3.0 { &[1, 2, 5] } else { &[1] };
    let every = ((high - low) / 10.0).ceil().max(1.0) as i32;
    let mut ticks = Vec::new();
    for decade in (low.floor() as i32..=high.ceil() as i32).filter(|decade| decade % every == 0) {
        for multiple in multiples {
            let place = f64::from(*multiple).log10() + f64::from(decade);
            ticks.push((place, format!("{multiple}e{decade}")));
        }
    }
    ticks.retain(|tick| low <= tick.0 && tick.0 <= high);
    if ticks.len() >= 2 {
        return ticks;
    }
    let plain = self::ticks(10_f64.powf(low), 10_f64.powf(high), false);
    plain.into_iter().map(|(value, label)| (value.log10(), label)).collect()
}

/// The ninth of the panel with the fewest points, corners first, for the legend.
fn emptiest_ninth<'a>(
    points: impl Iterator<Item = &'a (f64, f64)>,
    x: &Range,
    y: &Range,
) -> SeriesLabelPosition {
    use SeriesLabelPosition::*;
    let third = |fraction: f64| ((fraction * 3.0) as usize).min(2);
    let mut crowds = [[0; 3]; 3];
    for point in points {
        crowds[third(y.fraction(point.1))][third(x.fraction(point.0))] += 1;
    }
    let [lower, middle, upper] = crowds;
    let corners = [
        (upper[2], UpperRight),
        (lower[2], LowerRight),
        (upper[0], UpperLeft),
        (lower[0], LowerLeft),
    ];
    let others = [
        (middle[2], MiddleRight),
        (upper[1], UpperMiddle),
        (lower[1], LowerMiddle),
        (middle[1], MiddleMiddle),
        (middle[0], MiddleLeft),
    ];
    let emptiest = corners.into_iter().chain(others).min_by_key(|ninth| ninth.0);
    emptiest.map_or(UpperRight, |ninth| ninth.1)
}

fn drawing(cause: impl Display) -> Error {
    Error::Drawing { what: "curves", cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: Vec<(f64, String)>) -> Vec<String> {
        ticks.into_iter().map(|tick| tick.1).collect()
    }

    fn one(points: Vec<(f64, f64)>) -> String {
        with_axis(Axis::linear("epoch"), points)
    }

    fn with_axis(x: Axis, points: Vec<(f64, f64)>) -> String {
        let series = vec![Series::new("s", points)];
        figure_svg("t", &[Panel { x, y: Axis::linear("loss"), series }]).unwrap()
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
        assert_eq!(labels(ratio_ticks(-5.0, -1.0)), ["1e-5", "1e-4", "1e-3", "1e-2", "1e-1"]);
        assert_eq!(labels(ratio_ticks(-2.1, -0.9)), ["1e-2", "2e-2", "5e-2", "1e-1"]);
        assert_eq!(labels(ratio_ticks(0.35, 0.42)), ["2.3", "2.4", "2.5", "2.6"]);
    }

    #[test]
    fn one_epoch_is_a_dot() {
        assert_eq!(count(&one(vec![(1.0, 0.4)]), "<circle"), 1);
    }

    #[test]
    fn values_that_are_not_finite_break_the_line() {
        let whole = one((0..100).map(|i| (f64::from(i), f64::from(i))).collect());
        let gaps = one((0..100)
            .map(|i| (f64::from(i), if i % 40 == 39 { f64::NAN } else { f64::from(i) }))
            .collect());
        assert_eq!(count(&gaps, r#"stroke-width="2""#), count(&whole, r#"stroke-width="2""#) + 2);
        assert!(!gaps.contains("NaN"));
    }

    #[test]
    fn degenerate_series_are_drawn() {
        let hopeless = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -f64::MAX];
        assert_eq!(count(&one(hopeless.map(|y| (1.0, y)).to_vec()), "<circle"), 0);
        for constant in [0.0, 0.5, -3.0, 7e8, 5e-324, 1e-199, 1e99, 1e16] {
            let svg = one(vec![(0.0, constant), (1.0, constant), (2.0, constant)]);
            assert_eq!(count(&svg, "<circle"), 3, "{constant}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{constant}");
        }
        assert!(
            one(vec![]).contains("\ns\n</text>"),
            "an empty series keeps its place in the legend"
        );
    }

    #[test]
    fn a_logarithmic_axis_skips_what_is_not_positive() {
        let rates = [0.0, 1e-4, 1e-3, -1.0, 1e-2].map(|rate| (rate, 1.0)).to_vec();
        let svg = with_axis(Axis("rate".into(), Scale::Logarithmic), rates);
        assert_eq!(count(&svg, "<circle"), 3);
        assert!(svg.contains("1e-3"));
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
