//! Receptive fields as SVG: one panel a layer, and in each the pixels that a cell sees.
//!
//! All panels have one scale, that of the last field, so that growth is seen as growth. Fields are centred: what a layer
//! adds, it adds around. A field over two axes is the product of one over rows and one over columns, so what is seen is
//! drawn in rectangles, one for each stretch of rows and of columns; holes stay white. (Where branches meet, a row and a
//! column may be seen by different ones; what is drawn there is the hull of their crossings.)

use super::{Result, escape, refuse};

/// Pixels: a panel's side, the space between panels, the lines of text under each, and a letter in them.
const SIDE: usize = 150;
const GAP: usize = 22;
const TEXT: usize = 38;
const LETTER: usize = 6;
const HEADER: usize = 52;
const PER_ROW: usize = 6;
/// More rectangles than this are no drawing.
const LARGEST: usize = 100_000;

/// One layer's field.
pub struct Panel {
    /// The layer.
    pub name: String,
    /// Its window and the size of its field.
    pub caption: String,
    /// Which pixels are seen, from the first to the last, along the rows' axis and along the columns'.
    pub seen: [Vec<bool>; 2],
}

/// The figure of all panels. Fails without any, and where holes would take more than 100,000 rectangles.
pub fn fields_svg(title: &str, panels: &[Panel]) -> Result<String> {
    let sizes = panels.iter().flat_map(|panel| panel.seen.iter().map(Vec::len));
    let Some(largest) = sizes.max().filter(|largest| *largest > 0) else {
        return refuse("a drawing of fields expects a field");
    };
    let columns = panels.len().min(PER_ROW);
    let lines = panels.iter().flat_map(|panel| [&panel.name, &panel.caption]);
    let longest = lines.map(|line| line.chars().count() * LETTER).max().unwrap_or(0);
    let (across, down) = (SIDE.max(longest) + GAP, SIDE + TEXT + GAP);
    let width = (columns * across + GAP).max(title.chars().count() * 10 + 2 * GAP);
    let height = HEADER + panels.len().div_ceil(columns) * down;
    let mut parts = String::new();
    let mut rectangles = 0;
    for (number, panel) in panels.iter().enumerate() {
        let [x, y] = [GAP + number % columns * across, HEADER + number / columns * down];
        let [rows, runs] = panel.seen.each_ref().map(|seen| stretches(seen));
        rectangles += rows.len() * runs.len();
        if rectangles > LARGEST {
            return refuse(format!("{}: the field has too many holes to draw", panel.name));
        }
        parts += &format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#BBBBBB\"/>\n<g fill=\"#0072B2\">\n"
        );
        let scale = SIDE as f64 / largest as f64;
        let [top, left] = panel.seen.each_ref().map(|seen| (largest - seen.len()) as f64 / 2.0);
        for [row, rows] in &rows {
            for [column, columns] in &runs {
                let [x, y] = [
                    x as f64 + (left + *column as f64) * scale,
                    y as f64 + (top + *row as f64) * scale,
                ];
                let [width, height] = [*columns, *rows].map(|cells| cells as f64 * scale);
                parts += &format!(
                    "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"/>\n"
                );
            }
        }
        let (name, caption) = (escape(&panel.name), escape(&panel.caption));
        let [upper, lower] = [16, 31].map(|line| y + SIDE + line);
        parts += &format!(
            "</g>\n<text x=\"{x}\" y=\"{upper}\">{name}</text>\n<text x=\"{x}\" y=\"{lower}\">{caption}</text>\n"
        );
    }
    let title = escape(title);
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"
 font-family="sans-serif" font-size="11" fill="#333333">
<title>{title}</title>
<rect width="{width}" height="{height}" fill="white"/>
<text x="{GAP}" y="32" font-size="18">{title}</text>
{parts}</svg>
"##
    ))
}

/// Start and length of each stretch that is seen.
fn stretches(seen: &[bool]) -> Vec<[usize; 2]> {
    let mut start = 0;
    let chunks = seen.chunk_by(|a, b| a == b).map(|chunk| {
        start += chunk.len();
        (chunk[0], [start - chunk.len(), chunk.len()])
    });
    chunks.filter_map(|(is_seen, stretch)| is_seen.then_some(stretch)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(seen: &[usize]) -> Panel {
        let seen: Vec<bool> = seen.iter().map(|pixel| *pixel == 1).collect();
        Panel { name: "conv <1>".into(), caption: "3".into(), seen: [seen.clone(), seen] }
    }

    #[test]
    fn stretches_are_rectangles_and_holes_are_not() {
        let svg = fields_svg("t", &[panel(&[1, 1, 1]), panel(&[1, 0, 1, 1, 0, 1])]).unwrap();
        // A page, two frames, one rectangle without holes and nine between them.
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 1 + 9);
        // Three pixels of six, in the middle of a panel.
        assert!(
            svg.contains(r#"<rect x="59.50" y="89.50" width="75.00" height="75.00"/>"#),
            "{svg}"
        );
        assert!(svg.contains("conv &lt;1&gt;"));
    }

    /// Captions of dilated layers ran into each other, and over the edge.
    #[test]
    fn captions_stand_apart() {
        let wide = |seen: &[usize]| Panel {
            caption: "3 padding 1 dilation 8 → field 31".into(),
            ..panel(seen)
        };
        let svg = fields_svg("t", &[wide(&[1]), wide(&[1])]).unwrap();
        let places = svg.split("<text x=\"").skip(2).map(|text| text.split('"').next().unwrap());
        let places: Vec<usize> = places.map(|x| x.parse().unwrap()).collect();
        let text = 33 * LETTER;
        assert_eq!(places[0], places[1], "two lines a panel");
        assert!(places[2] >= places[0] + text, "{places:?}");
        let width = svg.split("width=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(width.parse::<usize>().unwrap() >= places[2] + text, "{width}");
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        let message = |panels: &[Panel]| fields_svg("t", panels).unwrap_err().to_string();
        assert!(message(&[]).contains("expects a field"));
        let many: Vec<usize> = (0..999).map(|pixel| (pixel + 1) % 2).collect();
        assert!(message(&[panel(&many)]).contains("too many holes"));
    }
}
