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

use std::collections::BTreeSet;

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

    fn reach(&self) -> usize {
        self.dilation * self.kernel.saturating_sub(1)
    }
}

/// What one cell of a map sees of the input, along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Pixels from the first that is seen to the last.
    pub size: usize,
    /// Pixels from one cell's field to the next one's.
    pub jump: usize,
    /// The centre of the first cell's field; 0 is the centre of the first pixel.
    pub centre: f64,
    /// Whether pixels between the ends are not seen.
    pub holes: bool,
}

/// The field after each of `windows`, from the input on.
///
/// ```
/// use striate_nn::{Window, receptive_fields};
/// let dilated = [1, 2, 4, 8].map(|dilation| Window { dilation, ..Window::new(3) });
/// let fields = receptive_fields(&dilated);
/// assert_eq!(fields.map(|field| field.size).collect::<Vec<_>>(), [3, 7, 15, 31]);
/// ```
pub fn receptive_fields(windows: &[Window]) -> impl Iterator<Item = Field> + use<'_> {
    let start = (1usize, 1usize, 0.0f64, BTreeSet::from([0usize]));
    windows.iter().scan(start, |(size, jump, centre, seen), window| {
        *centre += (window.reach() as f64 / 2.0 - window.padding as f64) * *jump as f64;
        *size += window.reach() * *jump;
        let taps = (0..window.kernel).map(|tap| tap * window.dilation * *jump);
        *seen = taps.flat_map(|tap| seen.iter().map(move |pixel| pixel + tap)).collect();
        *jump *= window.stride;
        Some(Field { size: *size, jump: *jump, centre: *centre, holes: seen.len() < *size })
    })
}

/// The size by the closed form.
pub fn receptive_field_size(windows: &[Window]) -> usize {
    let before = |layer: usize| windows[..layer].iter().map(|w| w.stride).product::<usize>();
    let terms = windows.iter().enumerate().map(|(layer, window)| window.reach() * before(layer));
    1 + terms.sum::<usize>()
}

#[cfg(test)]
mod tests {
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
            let last = receptive_fields(&windows).last().unwrap();
            assert!(last.size == size && !last.holes, "{network}: {last:?}");
        }
    }

    #[test]
    fn recurrence_closed_form_and_walk_agree() {
        let networks = [
            vec![Window::new(3), Window { stride: 2, ..Window::new(2) }, Window::new(5)],
            vec![Window { dilation: 2, padding: 1, ..Window::new(3) }; 3],
            vec![Window { dilation: 4, stride: 3, padding: 2, kernel: 4 }, Window::new(2)],
        ];
        for windows in networks {
            let field = receptive_fields(&windows).last().unwrap();
            let (first, second) = (walked(&windows, 0), walked(&windows, 1));
            let [low, high] = [first.first(), first.last()].map(|end| *end.unwrap());
            assert_eq!(field.size as i64, high - low + 1);
            assert_eq!(field.size, receptive_field_size(&windows));
            assert_eq!(field.jump as i64, second.first().unwrap() - low);
            assert_eq!(field.centre, (low + high) as f64 / 2.0);
            assert_eq!(field.holes, first.len() < field.size);
        }
    }
}
