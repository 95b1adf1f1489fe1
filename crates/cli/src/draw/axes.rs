//! The frame of a chart: axes with their names, and the legend.

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

/// What drawing returns.
pub type Drawn<T = ()> = std::result::Result<T, DrawingAreaErrorKind<std::io::Error>>;
/// A chart whose axes are of one kind.
pub type Chart<'a, 'b, Axis> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// An empty chart with axes across and up, and their names.
pub fn chart<'a, 'b, Axis: Ranged<ValueType = f64> + ValueFormatter<f64>>(
    area: &'a DrawingArea<SVGBackend<'b>, Shift>,
    [across, up]: [Axis; 2],
    names: [&str; 2],
) -> Drawn<Chart<'a, 'b, Axis>> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(24)
        .x_label_area_size(50)
        .y_label_area_size(78)
        .build_cartesian_2d(across, up)?;
    chart
        .configure_mesh()
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(RGBColor(90, 90, 90))
        .label_style(("sans-serif", 17))
        .axis_desc_style(("sans-serif", 19))
        .x_desc(names[0])
        .y_desc(names[1])
        .draw()?;
    Ok(chart)
}

/// Names the series that were drawn.
pub fn legend<'a, 'b: 'a, Axis: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, 'b, Axis>,
    position: SeriesLabelPosition,
) -> Drawn {
    chart
        .configure_series_labels()
        .position(position)
        .label_font(("sans-serif", 18))
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .draw()
}

/// The ninth of a chart with the fewest points, corners first, for the legend. Of each point, how far it is across and up,
/// from 0 to 1.
pub fn emptiest_ninth(points: impl Iterator<Item = [f64; 2]>) -> SeriesLabelPosition {
    use SeriesLabelPosition::*;
    let third = |fraction: f64| ((fraction * 3.0) as usize).min(2);
    let mut crowds = [[0; 3]; 3];
    for [across, up] in points {
        crowds[third(up)][third(across)] += 1;
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
