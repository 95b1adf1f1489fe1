//! The copy between planes and columns.
//!
//! A row of the column matrix belongs to one channel and one tap. Along an output row, that tap reads
//! the input in one run: the cells before the run and after it are padding. The bounds of the run
//! depend on the tap and the axis alone, so they are computed once; the copy itself meets no condition
//! for single elements, and at stride 1 it is a `memcpy`.

use std::ops::Range;

use crate::element::Float;
use crate::gemm::Matrix;
use crate::geometry::ConvShape;

/// The windows of a convolution, ready to be copied from any number of channels.
pub(crate) struct Patches<'a> {
    shape: &'a ConvShape,
    /// For each axis and tap, the outputs whose tap falls inside the input.
    inside: [Vec<Range<usize>>; 3],
}

/// A piece of one output row: its place in the output and among the columns.
struct Segment {
    z: usize,
    y: usize,
    x: Range<usize>,
    column: usize,
}

/// A segment as one tap sees it.
struct Run {
    /// The segment's elements of the column matrix.
    columns: Range<usize>,
    /// Those of them that are not padding.
    inside: Range<usize>,
    /// Where the first of those is in the planes.
    source: usize,
}

impl<'a> Patches<'a> {
    pub(crate) fn new(shape: &'a ConvShape) -> Self {
        let inside = std::array::from_fn(|axis| {
            (0..shape.spec.kernel[axis]).map(|tap| shape.outputs_inside(axis, tap)).collect()
        });
        Self { shape, inside }
    }

    /// Rows of the column matrix for each channel.
    pub(crate) fn taps(&self) -> usize {
        self.shape.spec.kernel.iter().product()
    }

    pub(crate) fn shape(&self) -> &ConvShape {
        self.shape
    }

    /// Rows of the column matrix of so many elements of the input.
    pub(crate) fn rows(&self, planes: usize) -> usize {
        planes / self.shape.input.iter().product::<usize>() * self.taps()
    }

    /// Columns of the column matrix.
    pub(crate) fn outputs(&self) -> usize {
        self.shape.output.iter().product()
    }

    /// The column matrix of some planes, if it is the planes themselves: kernels of a cell, at stride 1, from the first cell on.
    pub(crate) fn in_place<'b, T>(&self, planes: &'b [T]) -> Option<Matrix<'b, T>> {
        let ConvShape { input, output, spec, .. } = self.shape;
        let begins = spec.padding.iter().all(|padding| padding[0] == 0);
        let is_cell = (spec.kernel, spec.stride) == ([1; 3], [1; 3]) && begins && input == output;
        is_cell.then(|| Matrix::row_major(planes, [self.rows(planes.len()), self.outputs()]))
    }

    /// Fills `columns`, `[channels * taps, outputs]`, from `planes`, `[channels, *input]`.
    pub(crate) fn gather<T: Float>(&self, planes: &[T], outputs: Range<usize>, columns: &mut [T]) {
        let stride = self.shape.spec.stride[2];
        let rows = (columns.len() / outputs.len().max(1), outputs.len());
        self.for_each_run(rows, outputs, |run| {
            let len = run.inside.len();
            columns[run.columns.start..run.inside.start].fill(T::ZERO);
            columns[run.inside.end..run.columns.end].fill(T::ZERO);
            let (target, source) = (&mut columns[run.inside], &planes[run.source..]);
            if stride == 1 {
                target.copy_from_slice(&source[..len]);
            } else {
                for (target, &value) in target.iter_mut().zip(source.iter().step_by(stride)) {
                    *target = value;
                }
            }
        });
    }

    /// Adds `columns`, `[channels * taps, outputs]`, whose rows are so far apart, to `planes`, `[channels, *input]`.
    pub(crate) fn scatter<T: Float>(
        &self,
        (columns, row): (&[T], usize),
        outputs: Range<usize>,
        planes: &mut [T],
    ) {
        let stride = self.shape.spec.stride[2];
        self.for_each_run((self.rows(planes.len()), row), outputs, |run| {
            let (source, target) = (&columns[run.inside], &mut planes[run.source..]);
            if stride == 1 {
                for (target, &value) in target.iter_mut().zip(source) {
                    *target += value;
                }
            } else {
                for (target, &value) in target.iter_mut().step_by(stride).zip(source) {
                    *target += value;
                }
            }
        });
    }

    /// Visits every row of a column matrix of so many rows that are so far apart, output row by output row.
    fn for_each_run(
        &self,
        (rows, apart): (usize, usize),
        outputs: Range<usize>,
        mut visit: impl FnMut(Run),
    ) {
        let ConvShape { input: [depth, height, width], spec, .. } = *self.shape;
        let [_, kernel_y, kernel_x] = spec.kernel;
        let segments = self.segments(outputs.clone());
        for (row, first) in (0..rows).map(|row| (row, row * apart)) {
            let (channel, tap) = (row / self.taps(), row % self.taps());
            let taps = [tap / kernel_x / kernel_y, tap / kernel_x % kernel_y, tap % kernel_x];
            let [inside_z, inside_y, inside_x] =
                [0, 1, 2].map(|axis: usize| &self.inside[axis][taps[axis]]);
            for Segment { z, y, x, column } in &segments {
                let start = first + column;
                let columns = start..start + x.len();
                let (low, high) = (inside_x.start.max(x.start), inside_x.end.min(x.end));
                if low >= high || !inside_z.contains(z) || !inside_y.contains(y) {
                    visit(Run { inside: start..start, columns, source: 0 });
                    continue;
                }
                let source_z = channel * depth + self.shape.input_cell(0, *z, taps[0]);
                let source_y = source_z * height + self.shape.input_cell(1, *y, taps[1]);
                let source = source_y * width + self.shape.input_cell(2, low, taps[2]);
                let inside = start + low - x.start..start + high - x.start;
                visit(Run { columns, inside, source });
            }
        }
    }

    /// Cuts a range of outputs at the ends of output rows.
    fn segments(&self, outputs: Range<usize>) -> Vec<Segment> {
        let [_, height, width] = self.shape.output;
        let rows = outputs.start / width..outputs.end.div_ceil(width);
        rows.map(|row| {
            let start = outputs.start.max(row * width);
            let end = outputs.end.min((row + 1) * width);
            Segment {
                z: row / height,
                y: row % height,
                x: start - row * width..end - row * width,
                column: start - outputs.start,
            }
        })
        .collect()
    }
}
