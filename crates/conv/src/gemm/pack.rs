//! Panels: the order in which a microkernel reads its factors.
//!
//! A factor of a product has lanes (the rows of `A`, the columns of `B`) and a depth, along which the
//! product sums. A panel holds a few lanes, as many as the microkernel's tile has, one step of the depth
//! after the other, so that the innermost loop reads memory from front to back. Lanes that a panel has and
//! the factor has not are zero.
//!
//! Whatever can write its panels can be multiplied: a [`Matrix`] of any strides, and the windows of a
//! convolution straight from their images, without ever being a matrix.

use std::ops::Range;

use rayon::prelude::*;

use super::{Matrix, cuts};
use crate::buffer::Buffer;
use crate::element::Float;
use crate::simd::prefetch;

/// One factor of a product.
pub(crate) trait Factor<T>: Sync {
    /// How many lanes there are.
    fn lanes(&self) -> usize;
    /// How many steps the sum has.
    fn depth(&self) -> usize;
    /// Writes panels of `width` lanes, `[panels][depth][width]`. A right factor is given `width` elements more than
    /// the panels have, which may be overwritten.
    fn pack(&self, lanes: Range<usize>, depth: Range<usize>, width: usize, panels: &mut [T]);
}

/// A factor that is packed already, for all the products that it takes part in.
pub(crate) struct Packed<T: Float> {
    /// For each block of steps, the panels of all lanes.
    panels: Buffer<T>,
    lanes: usize,
    depth: usize,
    width: usize,
    /// Steps of a block; the last one may have fewer.
    steps: usize,
}

/// Lanes, steps, and the panels to write them to.
type Task<'a, T> = (Range<usize>, Range<usize>, &'a mut [T]);
type Pack<'a, T> = dyn Fn(Task<'_, T>) + Sync + 'a;

/// Steps of the depth of a block: a panel of each factor fits the first-level cache.
const STEPS: usize = 256;
/// Panels of a block that one task packs.
const TASK_PANELS: usize = 16;

impl<T: Float> Packed<T> {
    /// Packs `A`, the left factor of products, on this thread.
    pub(crate) fn new(factor: &impl Factor<T>) -> Self {
        Self::with(factor, |tasks, pack| tasks.into_iter().for_each(pack))
    }

    /// The same on all threads.
    pub(crate) fn parallel(factor: &impl Factor<T>) -> Self {
        Self::with(factor, |tasks, pack| tasks.into_par_iter().for_each(pack))
    }

    fn with(factor: &impl Factor<T>, run: impl FnOnce(Vec<Task<'_, T>>, &Pack<'_, T>)) -> Self {
        let (lanes, depth, width) = (factor.lanes(), factor.depth(), T::kernel().rows);
        // An odd number of steps, so that panels do not all start in the same few sets of the cache.
        let steps = even(depth, STEPS, 1) | 1;
        let padded = lanes.next_multiple_of(width);
        let mut panels = Buffer::for_overwrite(padded * depth);
        let mut rest = &mut panels[..];
        let mut tasks = Vec::new();
        for block in cuts(depth, steps) {
            for lanes in cuts(lanes, TASK_PANELS * width) {
                let len = lanes.len().next_multiple_of(width) * block.len();
                let (task, tail) = rest.split_at_mut(len);
                tasks.push((lanes, block.clone(), task));
                rest = tail;
            }
        }
        run(tasks, &|(lanes, block, task)| factor.pack(lanes, block, width, task));
        Self { panels, lanes, depth, width, steps }
    }

    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// The blocks of steps that the depth is cut into.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + Clone + use<T> {
        cuts(self.depth, self.steps)
    }

    /// The panels of some lanes, which start at a panel, for one block of steps.
    pub(crate) fn panels(&self, lanes: Range<usize>, block: &Range<usize>) -> &[T] {
        debug_assert!(lanes.start.is_multiple_of(self.width) && lanes.end <= self.lanes);
        let start = self.lanes.next_multiple_of(self.width) * block.start;
        let end = lanes.end.next_multiple_of(self.width) * block.len();
        &self.panels[start..][lanes.start * block.len()..end]
    }
}

/// The size of the even pieces, each a multiple of `unit` and about `most` long, that `len` is cut into.
pub(crate) fn even(len: usize, most: usize, unit: usize) -> usize {
    let pieces = len.div_ceil(most.max(unit)).max(1);
    len.div_ceil(pieces).next_multiple_of(unit).max(unit)
}

/// A matrix gives its rows as lanes; its transpose gives its columns.
impl<T: Float> Factor<T> for Matrix<'_, T> {
    fn lanes(&self) -> usize {
        self.dims()[0]
    }

    fn depth(&self) -> usize {
        self.dims()[1]
    }

    fn pack(&self, lanes: Range<usize>, depth: Range<usize>, width: usize, panels: &mut [T]) {
        // The widths of the kernels as constants, so that a panel's row is copied without a loop.
        match width {
            4 => pack::<T, 4>(self, lanes, depth, panels),
            6 => pack::<T, 6>(self, lanes, depth, panels),
            8 => pack::<T, 8>(self, lanes, depth, panels),
            16 => pack::<T, 16>(self, lanes, depth, panels),
            _ => unreachable!("no kernel has panels of {width} lanes"),
        }
    }
}

/// Steps that are fetched before they are read.
const AHEAD: usize = 6;

fn pack<T: Float, const WIDTH: usize>(
    matrix: &Matrix<'_, T>,
    lanes: Range<usize>,
    depth: Range<usize>,
    panels: &mut [T],
) {
    let (values, [lane, step]) = matrix.values();
    if panels.is_empty() {
        return;
    }
    if lane == 1 {
        // Step by step through all panels: a step is one stretch of memory, and the next may be pages away.
        let (whole, steps) = (lanes.len() / WIDTH, depth.len());
        let rows = panels.as_chunks_mut::<WIDTH>().0;
        for (k, step_of_depth) in depth.clone().enumerate() {
            let stretch = &values[lanes.start + step_of_depth * step..][..whole * WIDTH];
            if k + AHEAD < steps {
                prefetch(&values[lanes.start + (step_of_depth + AHEAD) * step..][..whole * WIDTH]);
            }
            let places = rows[k..].iter_mut().step_by(steps);
            places.zip(stretch.as_chunks().0).for_each(|(to, from)| *to = *from);
        }
    }
    let first_lanes = lanes.clone().step_by(WIDTH);
    for (panel, first) in panels.chunks_exact_mut(WIDTH * depth.len()).zip(first_lanes) {
        let count = WIDTH.min(lanes.end - first);
        let rows = panel.as_chunks_mut::<WIDTH>().0;
        let start = first * lane + depth.start * step;
        if count < WIDTH {
            for (k, row) in rows.iter_mut().enumerate() {
                let value =
                    |i| if i < count { values[start + i * lane + k * step] } else { T::ZERO };
                *row = std::array::from_fn(value);
            }
        } else if lane == 1 {
            continue;
        } else if step == 1 {
            let lanes: [&[T]; WIDTH] =
                std::array::from_fn(|i| &values[start + i * lane..][..depth.len()]);
            // Each lane is a stretch of its own: those of the next panel are asked for meanwhile.
            for next in (WIDTH..2 * WIDTH).filter_map(|i| values.get(start + i * lane..)) {
                prefetch(&next[..depth.len().min(STEPS + 1).min(next.len())]);
            }
            T::kernel().interleave(&lanes, panel);
        } else {
            for (k, row) in rows.iter_mut().enumerate() {
                *row = std::array::from_fn(|i| values[start + i * lane + k * step]);
            }
        }
    }
}
