//! A sliding window as an animated SVG: convolution arithmetic that one can watch.
//!
//! Every kind of convolution is drawn as the same scene. A field of cells, a window that moves over
//! it in equal steps, and an output that gains one cell a step. Only the field differs:
//!
//! * direct: the input with its padding around it, and the window moves by the stride;
//! * transposed: the input spread out by stride - 1 zeros between neighbours, with a border of
//!   d(k - 1) - p zeros, and the window moves by 1 (V. Dumoulin and F. Visin, "A guide to
//!   convolution arithmetic for deep learning", 2016, relationship 14).
//!
//! Nothing here computes an output size: it is handed over, and a size that the window cannot
//! reach is an error. The engine itself inserts no zeros; it runs the transposed form as the input
//! gradient, with the same result. The zeros are for the eye.
//!
//! The animation is SMIL inside the file, so it plays in a browser and in an `<img>` without a
//! script, and where nothing plays it shows the first step. Attributes stand on elements, not in a
//! style sheet, so several drawings can share one page.

use super::{Result, escape, refuse};

/// Pixels: a cell's side, unless the field would be wider than this.
const CELL: usize = 30;
const FIELD: usize = 560;
/// Pixels: the space between field and output, the edges, the text above and below.
const GAP: usize = 64;
const MARGIN: usize = 20;
const HEADER: usize = 64;
const FOOTER: usize = 30;
/// Seconds: a position is shown for, unless all would take longer than this; and a pause at the end.
const STEP: f64 = 0.6;
const WAY: f64 = 20.0;
const PAUSE: f64 = 1.2;
/// The longest side of a field that is still legible.
const LONGEST: usize = 40;

/// Attributes of what is drawn. Colours are of Okabe and Ito's palette, see [`super::curves`].
const PADDING: &str = r##"fill="white" stroke="#999999" stroke-dasharray="4 3""##;
const INSERTED: &str = r##"fill="#EEEEEE" stroke="#999999" stroke-dasharray="1 3""##;
const INPUT: &str = r##"fill="#56B4E9" stroke="#0072B2""##;
const TAP: &str = r##"fill="#E69F00" fill-opacity="0.6" stroke="#8A5A00""##;
const BEAM: &str = r##"fill="#E69F00" fill-opacity="0.15""##;
const FRAME: &str = r##"fill="none" stroke="#8A5A00" stroke-width="3""##;
const OUTPUT: &str = r##"fill="#009E73" stroke="#009E73""##;

/// A square convolution or pooling over two axes, as its geometry alone.
#[derive(Clone, Debug)]
pub struct Sliding {
    /// The heading.
    pub title: String,
    /// Cells along the input.
    pub input: usize,
    /// Taps along the kernel.
    pub kernel: usize,
    /// The stride; of a transposed convolution, that of the direct one it inverts.
    pub stride: usize,
    /// Padding on each side, likewise.
    pub padding: usize,
    /// Distance between neighbouring taps.
    pub dilation: usize,
    /// Whether it is a transposed convolution.
    pub transposed: bool,
    /// Cells along the output.
    pub output: usize,
}

/// Draws the window's way over the input in a loop, or, if `still` is given, that position only, counted along the
/// rows from 0 (the last one at most).
///
/// Errors if a size is 0, if the output does not fit the other sizes, if a transposed convolution's
/// padding exceeds d(k - 1), or if a side has more than 40 cells.
pub fn sliding_svg(scene: &Sliding, still: Option<usize>) -> Result<String> {
    let axis = Axis::new(scene)?;
    let Sliding { input, kernel, stride, padding, dilation, output, .. } = scene;
    let caption = format!(
        "input {input}×{input} · kernel {kernel}×{kernel} · stride {stride} · padding {padding} · \
         dilation {dilation} → output {output}×{output}"
    );
    let title = escape(&scene.title);
    // Room for the text by its length, since no font is at hand to measure it.
    let text = (scene.title.chars().count() * 10).max(caption.chars().count() * 7).max(440);
    let cell = (FIELD / axis.length).min(CELL);
    let used = (axis.length + axis.output) * cell + GAP;
    let (width, height) = (used.max(text) + 2 * MARGIN, HEADER + axis.length * cell + MARGIN);
    let field = [(width - used) / 2, HEADER];
    let result =
        [field[0] + axis.length * cell + GAP, HEADER + (axis.length - axis.output) * cell / 2];
    let drawing = Drawing { axis, cell, field, result, still };
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{full}" viewBox="0 0 {width} {full}" role="img"
 font-family="sans-serif" font-size="13" fill="#333333">
<title>{title}</title>
<rect width="{width}" height="{full}" fill="white"/>
<g text-anchor="middle"><text x="{middle}" y="30" font-size="18">{title}</text>
<text x="{middle}" y="51">{caption}</text></g>
{parts}</svg>
"##,
        full = height + FOOTER,
        middle = width / 2,
        parts = drawing.parts(height),
    ))
}

/// The scene along either axis, in cells.
struct Axis {
    /// Cells of the field.
    length: usize,
    /// Where the first input cell stands, how far the next one is, and how many there are.
    first: usize,
    spread: usize,
    inputs: usize,
    kernel: usize,
    dilation: usize,
    /// How far the window moves at a step.
    step: usize,
    output: usize,
}

/// What stands in a cell: the later of what its row and its column make it, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Input,
    Inserted,
    Padding,
}

impl Axis {
    fn new(scene: &Sliding) -> Result<Self> {
        let &Sliding { input, kernel, stride, padding, dilation, output, .. } = scene;
        let fail = |why| refuse(format!("sliding window `{}`: {why}", scene.title));
        let sizes = [input, kernel, stride, dilation, output];
        if sizes.contains(&0) {
            return fail("input, kernel, stride, dilation and output expect 1 or more".into());
        }
        if sizes.iter().chain([&padding]).any(|size| *size > LONGEST) {
            return fail(format!("a legible drawing expects sizes of {LONGEST} or less"));
        }
        let reach = dilation * (kernel - 1);
        if scene.transposed && padding > reach {
            return fail(format!(
                "transposed padding expects d(k - 1) = {reach} or less, got {padding}"
            ));
        }
        let (length, first, spread, step) = match scene.transposed {
            true => (output + reach, reach - padding, stride, 1),
            false => (input + 2 * padding, padding, 1, stride),
        };
        if (output - 1) * step + reach >= length || first + (input - 1) * spread >= length {
            return fail(format!(
                "output {output} does not fit input {input}, kernel {kernel}, stride {stride}, \
                 dilation {dilation}, padding {padding}"
            ));
        }
        if length > LONGEST {
            return fail(format!(
                "a legible drawing expects {LONGEST} cells or less, got {length}"
            ));
        }
        Ok(Self { length, first, spread, inputs: input, kernel, dilation, step, output })
    }

    fn cell(&self, place: usize) -> Cell {
        match place.checked_sub(self.first) {
            Some(offset) if offset > (self.inputs - 1) * self.spread => Cell::Padding,
            Some(offset) if offset % self.spread == 0 => Cell::Input,
            Some(_) => Cell::Inserted,
            None => Cell::Padding,
        }
    }
}

/// The scene in pixels.
struct Drawing {
    axis: Axis,
    /// The side of a cell.
    cell: usize,
    /// The upper left corners of the field and of the output.
    field: [usize; 2],
    result: [usize; 2],
    still: Option<usize>,
}

impl Drawing {
    fn parts(&self, bottom: usize) -> String {
        let kinds = [
            (Cell::Padding, "padding", PADDING),
            (Cell::Inserted, "inserted zero", INSERTED),
            (Cell::Input, "input", INPUT),
        ];
        let mut legend = vec![("kernel", TAP), ("output", OUTPUT)];
        let mut parts = String::new();
        for (kind, name, style) in kinds {
            let cells = self.cells(kind);
            if !cells.is_empty() {
                legend.insert(0, (name, style));
                parts += &format!("<g {style}>\n{cells}</g>\n");
            }
        }
        parts + &self.output() + &self.beam() + &self.window() + &swatches(&legend, bottom)
    }

    /// The field's cells of one kind.
    fn cells(&self, kind: Cell) -> String {
        let of_kind =
            |[column, row]: &[usize; 2]| self.axis.cell(*row).max(self.axis.cell(*column)) == kind;
        let cells = square(self.axis.length).filter(of_kind);
        cells.map(|place| self.rectangle(self.at(self.field, place), 1, "")).collect()
    }

    /// The output's cells, each filled from the position on that computes it.
    fn output(&self) -> String {
        let mut cells = String::new();
        for index in 0..self.positions() {
            let opacity = |position| (if index <= position { "0.75" } else { "0.08" }).to_string();
            let (shown, animation) = self.animated("fill-opacity", opacity);
            let cell = self.rectangle(self.output_corner(index), 1, "");
            cells += &format!("<g fill-opacity=\"{shown}\">{animation}{cell}</g>\n");
        }
        format!("<g {OUTPUT}>\n{cells}</g>\n")
    }

    /// What the window sees, drawn towards the cell that it computes.
    fn beam(&self) -> String {
        let extent = self.extent() * self.cell;
        let (shown, animation) = self.animated("points", |position| {
            let ([x, y], [u, v]) = (self.window_corner(position), self.output_corner(position));
            let (right, bottom, below) = (x + extent, y + extent, v + self.cell);
            format!("{right},{y} {u},{v} {u},{below} {right},{bottom}")
        });
        format!("<polygon {BEAM} points=\"{shown}\">{animation}</polygon>\n")
    }

    /// The kernel, its taps apart where it is dilated, and the frame of the cell it computes.
    fn window(&self) -> String {
        let taps = square(self.axis.kernel).map(|place| {
            let corner = self.at([0; 2], place.map(|tap| tap * self.axis.dilation));
            self.rectangle(corner, 1, "")
        });
        let taps: String = taps.collect();
        let outline = self.rectangle([0; 2], self.extent(), FRAME);
        let computed = self.rectangle([0; 2], 1, FRAME);
        self.moving(&format!("<g {TAP}>\n{taps}</g>{outline}"), |at| self.window_corner(at))
            + &self.moving(&computed, |at| self.output_corner(at))
    }

    fn moving(&self, content: &str, corner: impl Fn(usize) -> [usize; 2]) -> String {
        let (shown, animation) = self.animated("transform", |position| {
            let [x, y] = corner(position);
            format!("{x} {y}")
        });
        format!("<g transform=\"translate({shown})\">{animation}\n{content}</g>\n")
    }

    /// An attribute's value in the still picture, and the element that moves it, if anything moves.
    fn animated(&self, attribute: &str, value: impl Fn(usize) -> String) -> (String, String) {
        let positions = self.positions();
        if let Some(position) = self.still {
            return (value(position.min(positions - 1)), String::new());
        }
        let way = (positions as f64 * STEP).min(WAY);
        let (step, loop_seconds) = (way / positions as f64, way + PAUSE);
        // Only changes are listed, with their times: an output cell changes once, not every step.
        let mut changes: Vec<(String, String)> = Vec::new();
        for position in 0..positions {
            let now = value(position);
            if changes.last().is_none_or(|change| change.0 != now) {
                changes.push((now, format!("{:.5}", position as f64 * step / loop_seconds)));
            }
        }
        let (values, times): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        let (values, times) = (values.join(";"), times.join(";"));
        let element = match attribute {
            "transform" => r#"animateTransform type="translate""#,
            _ => "animate",
        };
        let animation = format!(
            r#"<{element} attributeName="{attribute}" calcMode="discrete" repeatCount="indefinite"
 dur="{loop_seconds:.1}s" keyTimes="{times}" values="{values}"/>"#
        );
        (value(0), animation)
    }

    fn positions(&self) -> usize {
        self.axis.output * self.axis.output
    }

    /// The cells that the window spans along an axis.
    fn extent(&self) -> usize {
        self.axis.dilation * (self.axis.kernel - 1) + 1
    }

    fn window_corner(&self, position: usize) -> [usize; 2] {
        let [column, row] = [position % self.axis.output, position / self.axis.output];
        self.at(self.field, [column * self.axis.step, row * self.axis.step])
    }

    fn output_corner(&self, position: usize) -> [usize; 2] {
        self.at(self.result, [position % self.axis.output, position / self.axis.output])
    }

    /// Where the cell in a column and a row stands, as seen from `origin`.
    fn at(&self, [x, y]: [usize; 2], [column, row]: [usize; 2]) -> [usize; 2] {
        [x + column * self.cell, y + row * self.cell]
    }

    /// A square of so many cells a side.
    fn rectangle(&self, corner: [usize; 2], cells: usize, style: &str) -> String {
        rectangle(corner, cells * self.cell, style)
    }
}

fn swatches(legend: &[(&str, &str)], y: usize) -> String {
    let mut x = MARGIN;
    let mut drawn = String::new();
    for (name, style) in legend {
        let (text, baseline) = (x + 20, y + 12);
        drawn += &rectangle([x, y], 14, style);
        drawn += &format!("<text x=\"{text}\" y=\"{baseline}\">{name}</text>\n");
        x = text + name.len() * 7 + 20;
    }
    drawn
}

/// The places `[column, row]` of a square, row by row.
fn square(side: usize) -> impl Iterator<Item = [usize; 2]> {
    (0..side * side).map(move |index| [index % side, index / side])
}

fn rectangle([x, y]: [usize; 2], side: usize, style: &str) -> String {
    format!("<rect x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" {style}/>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Input, kernel, stride, padding, dilation, output.
    fn scene([input, kernel, stride, padding, dilation, output]: [usize; 6]) -> Sliding {
        let (title, transposed) = ("t".into(), false);
        Sliding { title, input, kernel, stride, padding, dilation, transposed, output }
    }

    fn transposed(sizes: [usize; 6]) -> Sliding {
        Sliding { transposed: true, ..scene(sizes) }
    }

    /// Cells of padding, inserted zeros and input in the field, and taps of the window.
    fn census(scene: &Sliding) -> [usize; 4] {
        let svg = sliding_svg(scene, Some(0)).unwrap();
        [PADDING, INSERTED, INPUT, TAP].map(|style| {
            let group = svg.split(&format!("<g {style}>")).nth(1).unwrap_or_default();
            group.split("</g>").next().unwrap_or_default().matches("<rect").count()
        })
    }

    /// The list of values of an attribute in the window's animation.
    fn window_list<'a>(svg: &'a str, name: &str) -> Vec<&'a str> {
        let window = svg.split(r#"type="translate""#).nth(1).unwrap();
        let list = window.split(&format!("{name}=\"")).nth(1).unwrap();
        list.split('"').next().unwrap().split(';').collect()
    }

    #[test]
    fn every_kind_of_convolution_has_its_field() {
        // [padding, inserted zeros, input, taps], for the cases of the convolution arithmetic.
        assert_eq!(census(&scene([4, 3, 1, 0, 1, 2])), [0, 0, 16, 9]);
        assert_eq!(census(&scene([5, 4, 1, 2, 1, 6])), [81 - 25, 0, 25, 16]);
        assert_eq!(census(&scene([5, 3, 2, 1, 1, 3])), [49 - 25, 0, 25, 9]);
        assert_eq!(census(&scene([7, 3, 1, 0, 2, 3])), [0, 0, 49, 9]);
        assert_eq!(census(&transposed([2, 3, 1, 0, 1, 4])), [36 - 4, 0, 4, 9]);
        assert_eq!(census(&transposed([2, 3, 2, 0, 1, 5])), [49 - 9, 5, 4, 9]);
        // Output padding 1 is one more row and column of zeros at the far side.
        assert_eq!(census(&transposed([2, 3, 2, 0, 1, 6])), [64 - 9, 5, 4, 9]);
    }

    #[test]
    fn the_window_moves_by_the_stride_and_stays_inside() {
        let svg = sliding_svg(&scene([5, 3, 2, 1, 1, 3]), None).unwrap();
        let corners = window_list(&svg, "values").into_iter().map(|text| {
            let (x, y) = text.split_once(' ').unwrap();
            [x.parse::<usize>().unwrap(), y.parse::<usize>().unwrap()]
        });
        let corners: Vec<_> = corners.collect();
        let [left, top] = corners[0];
        let moved = |[column, row]: [usize; 2]| [left + column * 2 * CELL, top + row * 2 * CELL];
        assert_eq!(corners, square(3).map(moved).collect::<Vec<_>>());
        // Nine positions and the pause of two: the last one begins after 8 of 11.
        let times = window_list(&svg, "keyTimes");
        assert_eq!((times[0], times[8]), ("0.00000", "0.72727"));
    }

    #[test]
    fn a_large_field_is_drawn_small_and_quickly() {
        let size = |svg: &str| -> usize {
            svg.split('"').nth(3).unwrap().parse().expect("a width in pixels")
        };
        let pooling = sliding_svg(&scene([28, 3, 2, 0, 1, 13]), None).unwrap();
        assert!(size(&pooling) < 1000, "{}", size(&pooling));
        assert!(pooling.contains(r#"dur="21.2s""#));
        assert_eq!(window_list(&pooling, "values").len(), 169);
        // 36 x 36 positions: one change of each cell keeps it linear, every step's would be 8 MB.
        let large = sliding_svg(&scene([38, 3, 1, 0, 1, 36]), None).unwrap();
        assert!(large.len() < 700_000, "{} bytes", large.len());
    }

    #[test]
    fn a_still_shows_one_position_and_does_not_move() {
        let direct = scene([4, 3, 1, 0, 1, 2]);
        let filled = |still| {
            sliding_svg(&direct, still).unwrap().matches(r#"<g fill-opacity="0.75""#).count()
        };
        assert_eq!([0, 2, 3, 99].map(|position| filled(Some(position))), [1, 3, 4, 4]);
        assert_eq!(filled(None), 1);
        assert!(!sliding_svg(&direct, Some(1)).unwrap().contains("animate"));
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        let message = |scene: &Sliding| sliding_svg(scene, None).unwrap_err().to_string();
        assert_eq!(
            message(&scene([4, 3, 1, 0, 1, 3])),
            "sliding window `t`: output 3 does not fit input 4, kernel 3, stride 1, dilation 1, padding 0"
        );
        assert!(message(&transposed([4, 3, 1, 0, 1, 2])).contains("output 2 does not fit input 4"));
        assert!(
            message(&transposed([4, 3, 1, 3, 1, 4]))
                .contains("expects d(k - 1) = 2 or less, got 3")
        );
        assert!(message(&scene([4, 0, 1, 0, 1, 3])).contains("expect 1 or more"));
        assert!(message(&scene([usize::MAX, 3, 1, 0, 1, 3])).contains("40 or less"));
    }
}
