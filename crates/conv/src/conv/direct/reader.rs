//! The input that stacks of output rows read, in place.
//!
//! Rows of outputs under each other share most of what they read. A stack of them reads some rows of each input plane: where they lie,
//! unless some are padding or the cells beside them are beyond the memory's ends. These are copied, with their padding. In either case, rows
//! begin with the padding before them, or with what lies there in memory, which the kernels leave out.

use std::ops::Range;

use super::Direct;
use crate::element::Float;
use crate::geometry::ConvShape;

/// Reads input planes for one stack of rows after the other.
pub(super) struct Reader<'a, T> {
    direct: &'a Direct<'a>,
    input: &'a [T],
    /// For each plane that the stack reads, where it does.
    sources: Vec<Source>,
    copied: Vec<T>,
    /// The outputs that each tap of the first axis has cells for.
    inside: Vec<Range<usize>>,
    /// Rows of each slice that the stack reads, and cells of each row.
    count: usize,
    len: usize,
}

/// Where rows are: in the input or among what was copied, from which cell on.
#[derive(Clone, Copy)]
struct Source {
    in_place: bool,
    first: usize,
}

/// Cells of each row that the vectors of a row of outputs read; copied rows are so long.
pub(super) fn row_len<T: Float>(shape: &ConvShape) -> usize {
    shape.output[2].max(T::kernel().stack_lanes()) + shape.spec.extent()[2] - 1
}

impl<'a, T: Float> Reader<'a, T> {
    /// Of stacks of so many rows of outputs.
    pub(super) fn new(direct: &'a Direct<'a>, input: &'a [T], rows: usize) -> Self {
        let shape = direct.shape;
        let inside = (0..shape.spec.kernel[0]).map(|tap| shape.outputs_inside(0, tap));
        Self {
            direct,
            input,
            sources: Vec::new(),
            copied: Vec::new(),
            inside: inside.collect(),
            count: (rows - 1) * shape.spec.stride[1] + shape.spec.extent()[1],
            len: row_len::<T>(shape),
        }
    }

    /// Turns to a stack of rows of outputs, of which the place of the first is given, and to some input planes, counted through all
    /// images. There is a source for each tap of the first axis of each plane.
    pub(super) fn read(&mut self, planes: Range<usize>, [z, y]: [usize; 2]) {
        let (direct, shape) = (self.direct, self.direct.shape);
        self.sources.clear();
        self.copied.clear();
        for plane in planes {
            for tap in 0..shape.spec.kernel[0] {
                let slice = self.inside[tap].contains(&z).then(|| {
                    let z = shape.input_cell(0, z, tap);
                    plane * direct.input + z * shape.input[1] * shape.input[2]
                });
                self.read_slice(slice, y);
            }
        }
    }

    /// Finds the rows of a slice of the input, which begins at some cell or is padding.
    fn read_slice(&mut self, slice: Option<usize>, y: usize) {
        let shape = self.direct.shape;
        let ([_, height, width], spec) = (shape.input, &shape.spec);
        let [_, [above, _], [before, _]] = spec.padding;
        let (count, len) = (self.count, self.len);
        let first = y * spec.stride[1];
        if let Some(slice) = slice
            && first >= above
            && first - above + count <= height
        {
            let first = (slice + (first - above) * width).checked_sub(before);
            let fits = |&first: &usize| first + (count - 1) * width + len <= self.input.len();
            if let Some(first) = first.filter(fits) {
                return self.sources.push(Source { in_place: true, first });
            }
        }
        let start = self.copied.len();
        self.sources.push(Source { in_place: false, first: start });
        self.copied.resize(start + count * len, T::ZERO);
        let Some(slice) = slice else { return };
        let cells = width.min(len.saturating_sub(before));
        for (row, copied) in self.copied[start..].chunks_exact_mut(len).enumerate() {
            if let Some(y) = (first + row).checked_sub(above).filter(|&y| y < height) {
                copied[before..][..cells]
                    .copy_from_slice(&self.input[slice + y * width..][..cells]);
            }
        }
    }

    /// Where the planes' cells are, from the first row on that is read, and whether that is in the input.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&[T], bool)> {
        self.sources.iter().map(|&Source { in_place, first }| {
            let cells = if in_place { self.input } else { &self.copied[..] };
            (&cells[first..], in_place)
        })
    }
}
