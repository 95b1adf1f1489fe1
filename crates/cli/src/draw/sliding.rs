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

use super::{Result, refuse};

/// Pixels: a cell's side, the space between field and output, the edges, the text above and below.
const CELL: usize = 30;
const GAP: usize = 64;
const MARGIN: usize = 20;
const HEADER: usize = 64;
const FOOTER: usize = 30;
/// Seconds a position is shown, and how many positions' time the last one is held for in addition.
const SECONDS: f64 = 0.6;
const HOLD: usize = 2;
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

/// A convolution or pooling over two axes, rows first, as its geometry alone.
#[derive(Clone, Debug)]
pub struct Sliding {
    /// The heading.
    pub title: String,
    /// Cells of the input.
    pub input: [usize; 2],
    /// Taps of the kernel.
    pub kernel: [usize; 2],
    /// The stride; of a transposed convolution, that of the direct one it inverts.
    pub stride: [usize; 2],
    /// Padding before and after, likewise.
    pub padding: [[usize; 2]; 2],
    /// Distance between neighbouring taps.
    pub dilation: [usize; 2],
    /// Whether it is a transposed convolution.
    pub transposed: bool,
    /// Cells of the output.
    pub output: [usize; 2],
}

/// What to draw of the sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Motion {
    /// All of it, in a loop.
    Animated,
    /// One position of the window, counted along the rows from 0; the last one at most.
    Still(usize),
}

/// Draws the window's way over the input.
///
/// Errors if a size is 0, if the output does not fit the other sizes, if a transposed convolution's
/// padding exceeds d(k - 1), or if a side has more than 40 cells.
pub fn sliding_svg(scene: &Sliding, motion: Motion) -> Result<String> {
    let mut axes = [Axis::new(scene, 0)?, Axis::new(scene, 1)?];
    let [width, height] = arrange(&mut axes, text_width(scene));
    let [rows, columns] = axes;
    let drawing = Drawing { rows, columns, motion };
    let title = scene.title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"
 font-family="sans-serif" font-size="13" fill="#333333">
<title>{title}</title>
<rect width="{width}" height="{height}" fill="white"/>
<g text-anchor="middle"><text x="{middle}" y="30" font-size="18">{title}</text>
<text x="{middle}" y="51">{caption}</text></g>
{parts}</svg>
"##,
        middle = width / 2,
        caption = caption(scene),
        parts = drawing.parts(height - FOOTER),
    ))
}

/// Room for the heading's text by its length, since no font is at hand to measure it.
fn text_width(scene: &Sliding) -> usize {
    let (title, caption) = (scene.title.chars().count() * 10, caption(scene).chars().count() * 7);
    title.max(caption).max(440)
}

/// Gives the parts their places, field left and output right, and returns the drawing's size.
fn arrange([rows, columns]: &mut [Axis; 2], text: usize) -> [usize; 2] {
    let used = (columns.length + columns.output) * CELL + GAP;
    let width = used.max(text);
    columns.field_at = MARGIN + (width - used) / 2;
    columns.output_at = columns.field_at + columns.length * CELL + GAP;
    let tallest = rows.length.max(rows.output);
    rows.field_at = HEADER + (tallest - rows.length) * CELL / 2;
    rows.output_at = HEADER + (tallest - rows.output) * CELL / 2;
    [width + 2 * MARGIN, HEADER + tallest * CELL + MARGIN + FOOTER]
}

/// The sizes in words, such as `input 4×4 · kernel 3×3 · stride 1 · ... → output 2×2`.
fn caption(scene: &Sliding) -> String {
    let size = |[rows, columns]: [usize; 2]| format!("{rows}×{columns}");
    let both = |[rows, columns]: [String; 2]| {
        if rows == columns { rows } else { format!("{rows} by {columns}") }
    };
    let number = |pair: [usize; 2]| both(pair.map(|value| value.to_string()));
    let side = |[before, after]: [usize; 2]| {
        if before == after { before.to_string() } else { format!("({before}, {after})") }
    };
    [
        format!("input {}", size(scene.input)),
        format!("kernel {}", size(scene.kernel)),
        format!("stride {}", number(scene.stride)),
        format!("padding {}", both(scene.padding.map(side))),
        format!("dilation {} → output {}", number(scene.dilation), size(scene.output)),
    ]
    .join(" · ")
}

/// One axis of the scene. Places are in cells but for the last two, which are in pixels.
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
    field_at: usize,
    output_at: usize,
}

/// What stands in a cell: the later of what its row and its column make it, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Input,
    Inserted,
    Padding,
}

impl Axis {
    fn new(scene: &Sliding, index: usize) -> Result<Self> {
        let Sliding { input, kernel, stride, dilation, output, .. } = scene;
        let [i, k, s, d, o] = [input, kernel, stride, dilation, output].map(|sizes| sizes[index]);
        let [before, after] = scene.padding[index];
        let fail = |why| refuse(format!("sliding window `{}`, axis {index}: {why}", scene.title));
        if [i, k, s, d, o].contains(&0) {
            return fail("input, kernel, stride, dilation and output expect 1 or more".into());
        }
        if [i, k, s, d, o, before, after].iter().any(|size| *size > LONGEST) {
            return fail(format!("a legible drawing expects sizes of {LONGEST} or less"));
        }
        let reach = d * (k - 1);
        if scene.transposed && before > reach {
            return fail(format!(
                "transposed padding expects d(k - 1) = {reach} or less, got {before}"
            ));
        }
        let (length, first, spread, step) = if scene.transposed {
            (o + reach, reach - before, s, 1)
        } else {
            (before + i + after, before, 1, s)
        };
        if (o - 1) * step + reach >= length || first + (i - 1) * spread >= length {
            let sizes = format!(
                "input {i}, kernel {k}, stride {s}, dilation {d}, padding {before} and {after}"
            );
            return fail(format!("output {o} does not fit {sizes}"));
        }
        if length > LONGEST {
            return fail(format!(
                "a legible drawing expects {LONGEST} cells or less, got {length}"
            ));
        }
        let (field_at, output_at) = (0, 0);
        Ok(Self {
            length,
            first,
            spread,
            inputs: i,
            kernel: k,
            dilation: d,
            step,
            output: o,
            field_at,
            output_at,
        })
    }

    fn cell(&self, place: usize) -> Cell {
        match place.checked_sub(self.first) {
            Some(offset) if offset > (self.inputs - 1) * self.spread => Cell::Padding,
            Some(offset) if offset % self.spread == 0 => Cell::Input,
            Some(_) => Cell::Inserted,
            None => Cell::Padding,
        }
    }

    /// The window's length, and where it and the output cell are at a step, in pixels.
    fn extent(&self) -> usize {
        (self.dilation * (self.kernel - 1) + 1) * CELL
    }

    fn window(&self, step: usize) -> usize {
        self.field_at + step * self.step * CELL
    }

    fn computed(&self, step: usize) -> usize {
        self.output_at + step * CELL
    }
}

struct Drawing {
    rows: Axis,
    columns: Axis,
    motion: Motion,
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
        let mut cells = String::new();
        for (row, column) in pairs(self.rows.length, self.columns.length) {
            if kind == self.rows.cell(row).max(self.columns.cell(column)) {
                let (x, y) =
                    (self.columns.field_at + column * CELL, self.rows.field_at + row * CELL);
                cells += &rectangle([x, y], [CELL; 2], "");
            }
        }
        cells
    }

    /// The output's cells, each filled from the position on that computes it.
    fn output(&self) -> String {
        let mut cells = String::new();
        for index in 0..self.positions() {
            let opacity = |position| (if index <= position { "0.75" } else { "0.08" }).to_string();
            let (shown, animation) = self.animated("fill-opacity", opacity);
            let cell = rectangle(self.output_corner(index), [CELL; 2], "");
            cells += &format!("<g fill-opacity=\"{shown}\">{animation}{cell}</g>\n");
        }
        format!("<g {OUTPUT}>\n{cells}</g>\n")
    }

    /// What the window sees, drawn towards the cell that it computes.
    fn beam(&self) -> String {
        let (width, height) = (self.columns.extent(), self.rows.extent());
        let (shown, animation) = self.animated("points", |position| {
            let ([x, y], [u, v]) = (self.window_corner(position), self.output_corner(position));
            let (right, bottom, below) = (x + width, y + height, v + CELL);
            format!("{right},{y} {u},{v} {u},{below} {right},{bottom}")
        });
        format!("<polygon {BEAM} points=\"{shown}\">{animation}</polygon>\n")
    }

    /// The kernel, its taps apart where it is dilated, and the frame of the cell it computes.
    fn window(&self) -> String {
        let mut taps = String::new();
        for (row, column) in pairs(self.rows.kernel, self.columns.kernel) {
            let (x, y) = (column * self.columns.dilation * CELL, row * self.rows.dilation * CELL);
            taps += &rectangle([x, y], [CELL; 2], "");
        }
        let outline = rectangle([0; 2], [self.columns.extent(), self.rows.extent()], FRAME);
        let kernel = format!("<g {TAP}>\n{taps}</g>{outline}");
        self.moving(&kernel, |position| self.window_corner(position))
            + &self.moving(&rectangle([0; 2], [CELL; 2], FRAME), |position| {
                self.output_corner(position)
            })
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
        let last = self.positions() - 1;
        if let Motion::Still(position) = self.motion {
            return (value(position.min(last)), String::new());
        }
        let frames = (last + 1 + HOLD) as f64;
        // Only changes are listed, with their times: an output cell changes once, not every frame.
        let mut changes: Vec<(String, String)> = Vec::new();
        for position in 0..=last {
            let now = value(position);
            if changes.last().is_none_or(|change| change.0 != now) {
                changes.push((now, format!("{:.5}", position as f64 / frames)));
            }
        }
        let (values, times): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        let (seconds, values, times) = (frames * SECONDS, values.join(";"), times.join(";"));
        let element = match attribute {
            "transform" => r#"animateTransform type="translate""#,
            _ => "animate",
        };
        let animation = format!(
            r#"<{element} attributeName="{attribute}" calcMode="discrete" repeatCount="indefinite"
 dur="{seconds:.1}s" keyTimes="{times}" values="{values}"/>"#
        );
        (value(0), animation)
    }

    fn positions(&self) -> usize {
        self.rows.output * self.columns.output
    }

    fn window_corner(&self, position: usize) -> [usize; 2] {
        let across = self.columns.output;
        [self.columns.window(position % across), self.rows.window(position / across)]
    }

    fn output_corner(&self, position: usize) -> [usize; 2] {
        let across = self.columns.output;
        [self.columns.computed(position % across), self.rows.computed(position / across)]
    }
}

fn swatches(legend: &[(&str, &str)], y: usize) -> String {
    let mut x = MARGIN;
    let mut drawn = String::new();
    for (name, style) in legend {
        let (text, baseline) = (x + 20, y + 12);
        drawn += &rectangle([x, y], [14; 2], style);
        drawn += &format!("<text x=\"{text}\" y=\"{baseline}\">{name}</text>\n");
        x = text + name.len() * 7 + 20;
    }
    drawn
}

fn pairs(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

fn rectangle([x, y]: [usize; 2], [width, height]: [usize; 2], style: &str) -> String {
    format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {style}/>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square scene: input, kernel, stride, padding, dilation, output.
    fn scene([input, kernel, stride, padding, dilation, output]: [usize; 6]) -> Sliding {
        Sliding {
            title: "t".into(),
            input: [input; 2],
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [[padding; 2]; 2],
            dilation: [dilation; 2],
            transposed: false,
            output: [output; 2],
        }
    }

    fn transposed(sizes: [usize; 6]) -> Sliding {
        Sliding { transposed: true, ..scene(sizes) }
    }

    /// Cells of padding, inserted zeros and input in the field, and taps of the window.
    fn census(scene: &Sliding) -> [usize; 4] {
        let svg = sliding_svg(scene, Motion::Still(0)).unwrap();
        [PADDING, INSERTED, INPUT, TAP].map(|style| {
            let group = svg.split(&format!("<g {style}>")).nth(1).unwrap_or_default();
            group.split("</g>").next().unwrap_or_default().matches("<rect").count()
        })
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
        let strided = scene([5, 3, 2, 1, 1, 3]);
        let svg = sliding_svg(&strided, Motion::Animated).unwrap();
        let window = svg.split(r#"type="translate""#).nth(1).unwrap();
        let list = |name: &str| {
            let list = window.split(&format!("{name}=\"")).nth(1).unwrap();
            list.split('"').next().unwrap().split(';')
        };
        let corner = |text: &str| {
            let (x, y) = text.split_once(' ').unwrap();
            (x.parse::<usize>().unwrap(), y.parse::<usize>().unwrap())
        };
        let (left, top) = corner(list("values").next().unwrap());
        let expected =
            pairs(3, 3).map(|(row, column)| (left + column * 2 * CELL, top + row * 2 * CELL));
        assert!(list("values").map(corner).eq(expected));
        // Nine positions and the pause: the last one begins at 8 of 11 frames.
        assert_eq!(
            [list("keyTimes").next(), list("keyTimes").next_back()],
            [Some("0.00000"), Some("0.72727")]
        );
    }

    #[test]
    fn a_large_output_stays_a_small_file() {
        // 36 x 36 positions: one change of each cell keeps it linear, every frame's would be 8 MB.
        let large = scene([38, 3, 1, 0, 1, 36]);
        let bytes = sliding_svg(&large, Motion::Animated).unwrap().len();
        assert!(bytes < 700_000, "{bytes} bytes");
    }

    #[test]
    fn a_still_shows_one_position_and_does_not_move() {
        let direct = scene([4, 3, 1, 0, 1, 2]);
        let filled = |motion| {
            sliding_svg(&direct, motion).unwrap().matches(r#"<g fill-opacity="0.75""#).count()
        };
        assert_eq!([0, 2, 3, 99].map(|position| filled(Motion::Still(position))), [1, 3, 4, 4]);
        assert_eq!(filled(Motion::Animated), 1);
        assert!(!sliding_svg(&direct, Motion::Still(1)).unwrap().contains("animate"));
    }

    #[test]
    fn sides_may_differ() {
        let wide = Sliding {
            input: [1, 6],
            kernel: [1, 3],
            padding: [[0, 0], [1, 2]],
            output: [1, 7],
            ..scene([1, 1, 1, 0, 1, 1])
        };
        assert_eq!(census(&wide), [3, 0, 6, 3]);
        let svg = sliding_svg(&wide, Motion::Animated).unwrap();
        assert!(svg.contains(
            "input 1×6 · kernel 1×3 · stride 1 · padding 0 by (1, 2) · dilation 1 → output 1×7"
        ));
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        let message =
            |scene: &Sliding| sliding_svg(scene, Motion::Animated).unwrap_err().to_string();
        assert_eq!(
            message(&scene([4, 3, 1, 0, 1, 3])),
            "sliding window `t`, axis 0: output 3 does not fit input 4, kernel 3, stride 1, dilation 1, padding 0 and 0"
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
