//! Pooling: one number, the largest or the mean, for every window of every plane.
//!
//! Planes are independent, so each is one task. What a window covers is the product of what it covers
//! along each axis, which is worked out once for all planes; padding is left out there, so the loops
//! see input cells only. Halving has loops of its own.

pub(crate) mod average;
mod halving;
pub(crate) mod max;

use crate::geometry::{Cells, PoolShape};
pub use average::{average_backward, average_forward};
pub use max::{
    NOWHERE, Onto, extreme_forward, max_backward, max_backward_onto, max_forward, max_relu_forward,
};

/// The windows of a plane.
struct Grid {
    input: [usize; 3],
    axes: [Vec<Cells>; 3],
}

impl Grid {
    fn of(shape: &PoolShape) -> Self {
        Self { input: shape.input, axes: [0, 1, 2].map(|axis| shape.cells(axis)) }
    }

    /// Visits the windows in the order of the outputs.
    fn for_each_window(&self, mut visit: impl FnMut([&Cells; 3])) {
        let [depth, height, width] = &self.axes;
        for z in depth {
            for y in height {
                for x in width {
                    visit([z, y, x]);
                }
            }
        }
    }

    /// Visits the cells of a window, in the order of the input.
    fn for_each_cell(&self, [z, y, x]: [&Cells; 3], mut visit: impl FnMut(usize)) {
        let [_, height, width] = self.input;
        for z in (0..z.count).map(|tap| z.first + tap * z.step) {
            for y in (0..y.count).map(|tap| y.first + tap * y.step) {
                let row = (z * height + y) * width + x.first;
                for tap in 0..x.count {
                    visit(row + tap * x.step);
                }
            }
        }
    }
}

fn check_lengths(shape: &PoolShape, input: usize, output: usize) {
    assert_eq!(input, shape.input_len(), "input of {shape:?}");
    assert_eq!(output, shape.output_len(), "output of {shape:?}");
}
