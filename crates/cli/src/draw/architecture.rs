//! A network as a row of slabs: as high as its maps, as thick as its channels.
//!
//! Maps shrink by halves and channels grow by doubles, from 224 to 1 and from 3 to 512, so heights and thicknesses are
//! drawn as square roots: a small map stays visible. What is written below is exact.

use striate::nn::grouped;

use super::{Result, escape, refuse};

/// Pixels: the highest slab, the thickest, the thinnest, the space between two, and the edges.
const HEIGHT: f64 = 190.0;
const THICK: f64 = 34.0;
const THIN: f64 = 5.0;
const GAP: f64 = 15.0;
const MARGIN: f64 = 24.0;
/// The depth of a slab, as a share of its height, and how much of that shows upwards.
const DEPTH: f64 = 0.34;
const RISE: f64 = 0.6;
/// Pixels: the heading, and the space under the slabs.
const HEADER: f64 = 56.0;
const BELOW: f64 = 16.0;
/// Pixels of a letter, and the most slabs that are legible.
const LETTER: f64 = 5.9;
const LONGEST: usize = 200;

/// What a slab's colour says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Convolution,
    Pooling,
    Linear,
    Other,
}

impl Colour {
    const ALL: [Colour; 4] = [Colour::Other, Colour::Convolution, Colour::Pooling, Colour::Linear];

    /// Its name in the legend, and its fill, of Okabe and Ito's palette.
    fn style(self) -> (&'static str, &'static str) {
        match self {
            Colour::Convolution => ("convolution", "#56B4E9"),
            Colour::Pooling => ("pooling", "#D55E00"),
            Colour::Linear => ("linear", "#009E73"),
            Colour::Other => ("other", "#DDDDDD"),
        }
    }
}

/// One layer, with those behind it that change no shape.
pub struct Slab {
    /// The layer, and what is noted on it.
    pub name: String,
    /// Its kind.
    pub colour: Colour,
    /// Its output for one sample: channels, then sizes.
    pub shape: Vec<usize>,
    /// Its parameters, those of notes left out.
    pub parameters: usize,
}

impl Slab {
    /// A layer without parameters.
    pub fn new(name: &str, colour: Colour, shape: &[usize]) -> Self {
        Slab { name: name.into(), colour, shape: shape.to_vec(), parameters: 0 }
    }

    /// Adds a layer that changes no shape.
    pub fn note(&mut self, kind: &str) {
        self.name += &format!(", {kind}");
    }

    fn channels(&self) -> f64 {
        self.shape.first().map_or(1.0, |channels| *channels as f64)
    }

    /// The map's height; of what has no map, one.
    fn side(&self) -> f64 {
        self.shape.get(1).map_or(1.0, |side| *side as f64)
    }

    /// Shape, layer, parameters.
    fn text(&self) -> String {
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let text = format!("{} · {}", sizes.join("×"), self.name);
        match self.parameters {
            0 => text,
            parameters => format!("{text} · {}", grouped(parameters as u64)),
        }
    }
}

/// The figure. Fails without a slab, and with more than 200.
pub fn architecture_svg(title: &str, slabs: &[Slab]) -> Result<String> {
    if slabs.is_empty() || slabs.len() > LONGEST {
        let found = slabs.len();
        return refuse(format!("a legible drawing expects 1 to {LONGEST} layers, got {found}"));
    }
    let most = |value: fn(&Slab) -> f64| slabs.iter().map(value).fold(1.0, f64::max);
    let (side, channels) = (most(Slab::side), most(Slab::channels));
    let middle = HEADER + HEIGHT * (DEPTH * RISE + 0.5);
    let floor = middle + HEIGHT / 2.0 + BELOW;
    let (mut x, mut parts) = (MARGIN, String::new());
    let mut boxes: Vec<[f64; 2]> = Vec::new();
    for slab in slabs {
        let height = HEIGHT * (slab.side() / side).sqrt();
        let width = THIN + (THICK - THIN) * (slab.channels() / channels).sqrt();
        parts += &draw_slab([x, middle - height / 2.0], [width, height], slab.colour);
        boxes.push([x, x + width]);
        x += width + GAP + height * DEPTH * 0.5;
    }
    for ([left, right], slab) in boxes.iter().zip(slabs) {
        let (at, text) = ((left + right) / 2.0, escape(&slab.text()));
        parts += &format!(
            "<text transform=\"translate({at:.1} {floor:.1}) rotate(60)\">{text}</text>\n"
        );
    }
    let longest = slabs.iter().map(|slab| slab.text().chars().count()).max().unwrap_or_default();
    let text = longest as f64 * LETTER;
    // Text runs down and to the right, at 60 degrees.
    let width = (x + text * 0.5).max(title.chars().count() as f64 * 10.0) + MARGIN;
    let height = floor + text * 0.87 + 2.0 * MARGIN + 14.0;
    let (title, legend) = (escape(title), legend(height - MARGIN));
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img"
 font-family="sans-serif" font-size="11" fill="#333333">
<title>{title}</title>
<rect width="{width:.0}" height="{height:.0}" fill="white"/>
<text x="{MARGIN}" y="32" font-size="18">{title}</text>
{parts}{legend}</svg>
"##
    ))
}

/// A box seen from the front, a little from above and from the right.
fn draw_slab([x, y]: [f64; 2], [width, height]: [f64; 2], colour: Colour) -> String {
    let (over, up) = (height * DEPTH * 0.5, height * DEPTH * RISE);
    let (right, bottom, fill) = (x + width, y + height, colour.style().1);
    let (far, top, low) = (right + over, y - up, bottom - up);
    format!(
        "<g fill=\"{fill}\" stroke=\"#333333\" stroke-width=\"0.7\" stroke-linejoin=\"round\">\n\
         <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\n\
         <polygon points=\"{x:.1},{y:.1} {back:.1},{top:.1} {far:.1},{top:.1} {right:.1},{y:.1}\" fill-opacity=\"0.6\"/>\n\
         <polygon points=\"{right:.1},{y:.1} {far:.1},{top:.1} {far:.1},{low:.1} {right:.1},{bottom:.1}\" fill-opacity=\"0.8\"/>\n</g>\n",
        back = x + over,
    )
}

fn legend(y: f64) -> String {
    let mut x = MARGIN;
    let mut drawn = String::new();
    for (name, fill) in Colour::ALL.map(Colour::style) {
        let (text, top) = (x + 18.0, y - 11.0);
        drawn += &format!(
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"13\" height=\"13\" fill=\"{fill}\" stroke=\"#333333\" stroke-width=\"0.7\"/>\n\
             <text x=\"{text:.1}\" y=\"{y:.1}\">{name}</text>\n"
        );
        x = text + name.len() as f64 * LETTER + 18.0;
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slabs() -> Vec<Slab> {
        let mut convolution = Slab::new("Conv2d 3 <padding 1>", Colour::Convolution, &[64, 16, 16]);
        convolution.parameters = 1792;
        convolution.note("ReLU");
        vec![
            Slab::new("input", Colour::Other, &[1, 16, 16]),
            convolution,
            Slab::new("MaxPool2d", Colour::Pooling, &[64, 4, 4]),
            Slab::new("Linear", Colour::Linear, &[10]),
        ]
    }

    #[test]
    fn slabs_are_as_high_as_their_maps_and_as_thick_as_their_channels() {
        let svg = architecture_svg("t", &slabs()).unwrap();
        let sizes = svg.split("<g fill").skip(1).map(|slab| {
            let number = |name: &str| -> f64 {
                let text = slab.split(&format!(" {name}=\"")).nth(1).unwrap();
                text.split('"').next().unwrap().parse().unwrap()
            };
            [number("width"), number("height")]
        });
        let sizes: Vec<[f64; 2]> = sizes.collect();
        // Square roots: an eighth of the way from thin to thick for one channel of 64, half the height for a quarter.
        let [thin, low] =
            [THIN + (THICK - THIN) / 8.0, HEIGHT / 2.0].map(|x| (x * 10.0).round() / 10.0);
        assert_eq!(sizes[..3], [[thin, HEIGHT], [THICK, HEIGHT], [THICK, low]]);
        assert_eq!(sizes[3][1], HEIGHT / 4.0);
    }

    #[test]
    fn slabs_say_what_they_are() {
        let svg = architecture_svg("a & b", &slabs()).unwrap();
        assert!(
            svg.contains(">64×16×16 · Conv2d 3 &lt;padding 1&gt;, ReLU · 1,792</text>"),
            "{svg}"
        );
        assert!(
            svg.contains(">10 · Linear</text>") && svg.contains("<title>a &amp; b</title>"),
            "{svg}"
        );
        assert!(architecture_svg("t", &[]).is_err());
    }
}
