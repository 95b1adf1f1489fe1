//! Receptive fields: which inputs an output can see.
//!
//! Along one axis a layer with kernel `k`, stride `s`, dilation `d` and padding `p` sees `d (k - 1) + 1` cells of its
//! input. Composing layers 1 to L, with the jump `j_l` the input pixels between neighbouring cells of map l:
//!
//! ```text
//! j_0 = 1, r_0 = 1, c_0 = 0            j_l = j_{l-1} s_l
//! r_l = r_{l-1} + d_l (k_l - 1) j_{l-1}
//! c_l = c_{l-1} + (d_l (k_l - 1) / 2 - p_l) j_{l-1}
//! ```
//!
//! `r` is the size of the field and `c` the centre of the first cell's, in pixels. Unrolled, the closed form is
//! `r = 1 + sum_l d_l (k_l - 1) prod_{i < l} s_i`: the product runs over the layers before `l` only.
//!
//! A size says nothing of what lies between the ends. Dilated layers may skip pixels, so the taps themselves are
//! followed, too, and a field that misses one of its pixels has holes.
//!
//! Two ways lead in: [`receptive_fields`] takes a row of windows, and [`ReceptiveField::of`] reads them off a network's
//! layers.

mod effective;
mod trace;

pub use effective::effective_field;
pub use trace::{FieldTrace, LayerField, ReceptiveField};

use striate_tensor::{Error, Result};

/// The largest field that is followed, in pixels: wider than any picture.
const LARGEST: usize = 1 << 16;

/// One layer along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub kernel: usize,
    /// Input cells from one output to the next.
    pub stride: usize,
    /// Padding before the input.
    pub padding: usize,
    /// Input cells from one tap to the next.
    pub dilation: usize,
}

impl Window {
    /// A window with stride 1, no padding and no dilation.
    pub fn new(kernel: usize) -> Self {
        Window { kernel, stride: 1, padding: 0, dilation: 1 }
    }

    /// The cells from the first tap to the last, less one: `d (k - 1)`.
    pub fn reach(&self) -> usize {
        self.dilation.saturating_mul(self.kernel.saturating_sub(1))
    }
}

/// What one cell of a map sees of the input, along one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The first pixel that the first cell sees; negative in the padding.
    pub first: i64,
    /// Pixels from one cell's field to the next one's.
    pub jump: usize,
    /// Of each pixel from the first to the last, whether it is seen. Behind layers in a row what is seen over several axes
    /// is the product of these; where branches meet, it may be less, for one branch sees other rows than another.
    pub seen: Vec<bool>,
}

impl Field {
    /// A pixel's, which sees itself.
    fn pixel() -> Self {
        Field { first: 0, jump: 1, seen: vec![true] }
    }

    /// Pixels from the first that is seen to the last.
    pub fn size(&self) -> usize {
        self.seen.len()
    }

    /// The centre of the first cell's field; 0 is the centre of the first pixel.
    pub fn centre(&self) -> f64 {
        self.first as f64 + (self.size() - 1) as f64 / 2.0
    }

    /// Whether pixels between the ends are not seen.
    pub fn has_holes(&self) -> bool {
        self.seen.contains(&false)
    }

    /// The field after one more layer.
    fn through(&self, window: &Window) -> Result<Self> {
        let Window { kernel, stride, padding, dilation } = *window;
        if [kernel, stride, dilation].contains(&0) {
            return Err(refused(format!(
                "expected at least 1, got kernel {kernel}, stride {stride}, dilation {dilation}"
            )));
        }
        // What overflows is too large as well.
        let size = window.reach().saturating_mul(self.jump).saturating_add(self.size());
        let jump = self.jump.saturating_mul(stride);
        let before = padding.saturating_mul(self.jump);
        within_limits(size.max(jump).max(before))?;
        // How many taps see a pixel: those of the pixel one step before, with one more at the front and one less behind.
        let step = dilation.saturating_mul(self.jump);
        let own = |pixel: usize| self.seen.get(pixel).map_or(0, |seen| usize::from(*seen));
        let mut taps = vec![0; size];
        for pixel in 0..size {
            let before = pixel.checked_sub(step).map_or(0, |at| taps[at]);
            let behind = pixel.checked_sub(step.saturating_mul(kernel)).map_or(0, own);
            taps[pixel] = before + own(pixel) - behind;
        }
        let seen = taps.into_iter().map(|taps| taps > 0).collect();
        Ok(Field { first: self.first - before as i64, jump, seen })
    }

    /// What a cell sees that adds two maps.
    fn united(&self, other: &Field) -> Result<Self> {
        if self.jump != other.jump {
            let jumps = [self.jump, other.jump];
            return Err(refused(format!("expected branches with one jump, got {jumps:?}")));
        }
        let end = |field: &Field| field.first + field.size() as i64;
        let first = self.first.min(other.first);
        let size = (end(self).max(end(other)) - first) as usize;
        within_limits(size)?;
        let mut seen = vec![false; size];
        for field in [self, other] {
            let pixels = seen[(field.first - first) as usize..].iter_mut();
            pixels.zip(&field.seen).for_each(|(pixel, own)| *pixel |= own);
        }
        Ok(Field { first, jump: self.jump, seen })
    }
}

fn within_limits(pixels: usize) -> Result<()> {
    match pixels {
        ..=LARGEST => Ok(()),
        _ => Err(refused(format!("expected fields within {LARGEST} pixels, got {pixels}"))),
    }
}

fn refused(message: String) -> Error {
    Error::argument("receptive_field", message)
}

/// The field after each of `windows`, from the input on.
///
/// ```
/// use striate_nn::{Field, Window, receptive_fields};
/// let dilated = [1, 2, 4, 8].map(|dilation| Window { dilation, ..Window::new(3) });
/// let fields = receptive_fields(&dilated)?;
/// assert_eq!(fields.iter().map(Field::size).collect::<Vec<_>>(), [3, 7, 15, 31]);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
///
/// # Errors
///
/// A kernel, stride or dilation of 0, and fields of more than 65,536 pixels.
pub fn receptive_fields(windows: &[Window]) -> Result<Vec<Field>> {
    let mut field = Field::pixel();
    let after = windows.iter().map(|window| {
        field = field.through(window)?;
        Ok(field.clone())
    });
    after.collect()
}

/// The size by the closed form. Saturates.
pub fn receptive_field_size(windows: &[Window]) -> usize {
    closed_form(windows)
        .iter()
        .fold(1, |size, term| size.saturating_add(term[0].saturating_mul(term[1])))
}

/// The closed form's terms: for each window `d (k - 1)`, and the product of the strides before it. Saturates.
pub fn closed_form(windows: &[Window]) -> Vec<[usize; 2]> {
    let mut strides = 1usize;
    let terms = windows.iter().map(|window| {
        let before = strides;
        strides = strides.saturating_mul(window.stride);
        [window.reach(), before]
    });
    terms.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The brute force: pixels that cell 0 and its neighbours depend on, by walking back tap by tap.
    fn walked(windows: &[Window], cell: i64) -> BTreeSet<i64> {
        windows.iter().rev().fold(BTreeSet::from([cell]), |cells, w| {
            let back = |cell: i64| {
                let first = cell * w.stride as i64 - w.padding as i64;
                (0..w.kernel as i64).map(move |tap| first + tap * w.dilation as i64)
            };
            cells.into_iter().flat_map(back).collect()
        })
    }

    /// `count` convolutions, and max pooling that halves the map.
    fn block(kernel: usize, count: usize) -> Vec<Window> {
        let mut windows = vec![Window::new(kernel); count];
        windows.push(Window { stride: 2, ..Window::new(2) });
        windows
    }

    #[test]
    fn the_documents_networks_have_their_fields() {
        let blocks = |kernel: usize, counts: &[usize]| {
            counts.iter().flat_map(|&count| block(kernel, count)).collect::<Vec<_>>()
        };
        let dilated = [1, 2, 4, 8].map(|dilation| Window { dilation, ..Window::new(3) });
        let net = [blocks(3, &[2, 2]), vec![Window::new(3); 3]].concat();
        let deep = [blocks(3, &[5; 4]), vec![Window::new(3); 7]].concat();
        for (network, windows, size) in [
            ("vgg16", blocks(3, &[2, 2, 3, 3, 3]), 212),
            ("vgg4", blocks(3, &[1; 4]), 46),
            ("vgg4-dilation", dilated.to_vec(), 31),
            ("vgg4-large-filter", [3, 5, 7, 9].map(Window::new).to_vec(), 21),
            ("dogs-vgg", blocks(3, &[2; 4]), 76),
            ("mnist-cnn", blocks(5, &[1; 2]), 16),
            ("mnist-net", net, 40),
            ("the 27 convolutions of document 4", deep, 390),
        ] {
            assert_eq!(receptive_field_size(&windows), size, "{network}");
            let last = receptive_fields(&windows).unwrap().pop().unwrap();
            assert!(last.size() == size && !last.has_holes(), "{network}: {last:?}");
        }
    }

    /// Document 2's code folds from the front, begins with 0 and passes over the first layer. That is right for the network
    /// it is shown on, and for no other.
    #[test]
    fn the_documents_code_is_right_by_coincidence() {
        let folded = [&[2, 2, 3, 3, 3][..], &[1; 4], &[2; 4]].map(|counts| {
            let windows: Vec<Window> = counts.iter().flat_map(|&count| block(3, count)).collect();
            let grown = |field: usize, w: &Window| w.stride * field + w.kernel - w.stride;
            (windows[1..].iter().fold(0, grown), receptive_field_size(&windows))
        });
        assert_eq!(folded, [(212, 212), (28, 46), (88, 76)]);
    }

    #[test]
    fn recurrence_closed_form_and_walk_agree() {
        let networks = [
            vec![Window::new(3), Window { stride: 2, ..Window::new(2) }, Window::new(5)],
            vec![Window { dilation: 2, padding: 1, ..Window::new(3) }; 3],
            vec![Window { dilation: 4, stride: 3, padding: 2, kernel: 4 }, Window::new(2)],
        ];
        for windows in networks {
            let field = receptive_fields(&windows).unwrap().pop().unwrap();
            let (first, second) = (walked(&windows, 0), walked(&windows, 1));
            let [low, high] = [first.first(), first.last()].map(|end| *end.unwrap());
            assert_eq!((field.first, field.size() as i64), (low, high - low + 1));
            assert_eq!(field.size(), receptive_field_size(&windows));
            assert_eq!(field.jump as i64, second.first().unwrap() - low);
            assert_eq!(field.centre(), (low + high) as f64 / 2.0);
            assert_eq!(field.has_holes(), first.len() < field.size());
        }
    }

    #[test]
    fn what_cannot_be_followed_is_an_error() {
        let message = |windows: &[Window]| receptive_fields(windows).unwrap_err().to_string();
        let zero = [Window { stride: 0, ..Window::new(3) }];
        assert!(message(&zero).contains("expected at least 1"));
        assert!(message(&[Window::new(1 << 17)]).contains("within 65536 pixels"));
        let vast = Window { stride: usize::MAX, dilation: usize::MAX, ..Window::new(9) };
        assert!(message(&[vast]).contains("within 65536 pixels"));
        assert_eq!(receptive_field_size(&[vast; 2]), usize::MAX);
    }
}
