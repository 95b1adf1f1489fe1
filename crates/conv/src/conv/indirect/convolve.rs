//! Forward and input gradient: windows of what is staged, by the weights.
//!
//! A task owns some rows of the result, of one image or, where maps are small, of several. It stages what they read and, for one
//! panel of channels after the other, gathers all steps of the sum, tile by tile of pixels, into rows of channels, which it turns
//! into rows of pixels.

use std::ops::Range;

use rayon::prelude::*;

use super::{Cuts, LARGEST_WIDTH, Plan, TURN, panels, turn};
use crate::buffer::Buffer;
use crate::conv::tiles_of;
use crate::element::Float;
use crate::gemm::kernel::{Columns, Gathered, Offsets};
use crate::gemm::{Tile, cuts};
use crate::unfold::Staged;

/// Steps of the sum whose panel stays in the second-level cache.
const STEPS: usize = 1024;

/// Weights, with the distances between the channels of the result and between those of the sum.
pub(super) struct Weights<'a, T> {
    pub(super) values: &'a [T],
    pub(super) strides: [usize; 2],
}

impl<T: Float> Weights<'_, T> {
    /// Packs some channels of the result, `[channels of the sum][taps][width]`, of the values of a group.
    fn pack(
        &self,
        values: &[T],
        taps: &[[usize; 2]],
        (channels, width): (Range<usize>, usize),
        panel: &mut [T],
    ) {
        let [of_result, of_sum] = self.strides;
        let inputs = panel.len() / (taps.len() * width).max(1);
        // The channels of the result lie side by side, as those of an input gradient with a single tap.
        if of_result == 1 {
            for (input, row) in panel.chunks_exact_mut(width).enumerate() {
                let (row, rest) = row.split_at_mut(channels.len());
                row.copy_from_slice(&values[input * of_sum..][channels.clone()]);
                rest.fill(T::ZERO);
            }
            return;
        }
        // Where the taps lie side by side, a lane is one stretch of memory, or one for each channel of the sum.
        if taps.iter().map(|tap| tap[0]).eq(0..taps.len()) && !taps.is_empty() {
            let whole = of_sum == taps.len();
            let len = if whole { inputs * taps.len() } else { taps.len() };
            let none = vec![T::ZERO; len];
            for (input, rows) in panel.chunks_exact_mut(len * width).enumerate() {
                let lane = |output| &values[output * of_result + input * of_sum..][..len];
                let lanes = channels.clone().map(lane).chain(std::iter::repeat(&none[..]));
                T::kernel().interleave(&lanes.take(width).collect::<Vec<_>>(), rows);
            }
            return;
        }
        panel.fill(T::ZERO);
        for (input, rows) in panel.chunks_exact_mut((taps.len() * width).max(1)).enumerate() {
            for (row, tap) in rows.chunks_exact_mut(width).zip(taps) {
                let values = values[input * of_sum + tap[0]..].iter().step_by(of_result);
                let count = channels.len();
                let values = values.skip(channels.start).take(count);
                row.iter_mut().zip(values).for_each(|(to, &value)| *to = value);
            }
        }
    }
}

/// The convolution that makes the cells of one phase on each axis.
struct Part<T: Float> {
    phases: [usize; 3],
    /// The taps of the windows.
    taps: Vec<usize>,
    /// For each group and panel of channels the weights, `[depth][width]`.
    weights: Vec<Buffer<T>>,
}

/// The steps and the columns of a part, in what a task has staged.
struct Tiles {
    offsets: Vec<usize>,
    sources: Vec<usize>,
    targets: Vec<usize>,
}

/// Input and weights to output, `[batch, out_channels, *cells]`.
pub(super) fn convolve<T: Float>(
    plan: &Plan,
    (input, weight): (&[T], &Weights<'_, T>),
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let groups = plan.windows.spec.groups;
    let outputs = plan.windows.out_channels / groups;
    let [depth, height, width] = plan.cells();
    let rows = depth * height;
    let parts: Vec<_> = plan.phases().map(|phases| Part::new(plan, phases, weight)).collect();
    let cut = Cuts::new::<T>(&plan.windows, [rows, width]);
    let mut tiles = tiles_of(output, [outputs, rows * width], [outputs, cut.rows * width]);
    tiles.par_chunks_mut(cut.images).for_each(|tiles| {
        let group = tiles[0].0 % groups;
        let bias = bias.map(|bias| &bias[group * outputs..][..outputs]);
        convolve_tiles(plan, &parts, input, bias, tiles);
    });
}

/// Computes the same cells of some images, or of one group of one image.
fn convolve_tiles<T: Float>(
    plan: &Plan,
    parts: &[Part<T>],
    input: &[T],
    bias: Option<&[T]>,
    tiles: &mut [(usize, Tile<'_, T>)],
) {
    let windows = &plan.windows;
    let [inputs, outputs] =
        [windows.in_channels, windows.out_channels].map(|n| n / windows.spec.groups);
    let (first, columns) = (tiles[0].0, tiles[0].1.columns.clone());
    let [images, pixels] = [tiles.len(), columns.len()];
    let plane = windows.input.iter().product::<usize>() * inputs;
    let planes = &input[first * plane..][..images * plane];
    let row = plan.cells()[2];
    let rows = columns.start / row..columns.end / row;
    let reads = plan.window_rows(rows.clone());
    let width = windows.output[2];
    let outputs_read = reads.start * width..reads.end * width;
    let staged = Staged::in_order(windows, planes, 0..images * inputs, outputs_read);
    let steps: Vec<_> =
        parts.iter().map(|part| Tiles::new(plan, part, &staged, images, rows.clone())).collect();

    let mut sums = Buffer::for_overwrite((images * pixels + TURN) * LARGEST_WIDTH);
    let panels = panels::<T>(outputs);
    let first_panel = first % windows.spec.groups * panels.clone().count();
    for (number, (channels, width)) in panels.enumerate() {
        for (part, tiles) in parts.iter().zip(&steps) {
            tiles.gather((&part.weights[first_panel + number], width), staged.cells(), &mut sums);
        }
        let bias = bias.map(|bias| &bias[channels.clone()]);
        for (image, (_, tile)) in tiles.iter_mut().enumerate() {
            turn(
                &sums[image * pixels * width..],
                width,
                bias,
                &mut tile.matrix.block(channels.clone(), 0..pixels),
            );
        }
    }
}

impl<T: Float> Part<T> {
    fn new(plan: &Plan, phases: [usize; 3], weight: &Weights<'_, T>) -> Self {
        let groups = plan.windows.spec.groups;
        let [inputs, outputs] =
            [plan.windows.in_channels, plan.windows.out_channels].map(|n| n / groups);
        let group = weight.values.len() / groups;
        let taps = plan.taps(phases);
        let blocks: Vec<_> = (0..groups)
            .flat_map(|group| panels::<T>(outputs).map(move |panel| (group, panel)))
            .collect();
        let weights = blocks.into_par_iter().map(|(number, (channels, width))| {
            let mut panel = Buffer::for_overwrite(inputs * taps.len() * width);
            weight.pack(
                &weight.values[number * group..][..group],
                &taps,
                (channels, width),
                &mut panel,
            );
            panel
        });
        Self { phases, weights: weights.collect(), taps: taps.iter().map(|tap| tap[1]).collect() }
    }
}

impl Tiles {
    /// Those of some rows of the result, of each of some images.
    fn new<T: Float>(
        plan: &Plan,
        part: &Part<T>,
        staged: &Staged<'_, T>,
        images: usize,
        rows: Range<usize>,
    ) -> Self {
        let [_, height, width] = plan.cells();
        let inputs = plan.windows.in_channels / plan.windows.spec.groups;
        let is_of = |axis: usize, cell: usize| plan.axes[axis].cells[cell][0] == part.phases[axis];
        let first_window = plan.window_rows(rows.clone()).start;
        let (mut sources, mut targets) = (Vec::new(), Vec::new());
        for row in rows.clone() {
            if !is_of(0, row / height) || !is_of(1, row % height) {
                continue;
            }
            let source = staged.runs()[plan.window_row(row) - first_window].0;
            for (cell, &[_, window]) in plan.axes[2].cells.iter().enumerate() {
                if is_of(2, cell) {
                    sources.push(source + window * staged.step());
                    targets.push((row - rows.start) * width + cell);
                }
            }
        }
        let count = sources.len();
        for image in 1..images {
            sources.extend_from_within(..count);
            targets.extend_from_within(..count);
            sources[image * count..]
                .iter_mut()
                .for_each(|at| *at += image * inputs * staged.channel());
            targets[image * count..].iter_mut().for_each(|at| *at += image * rows.len() * width);
        }
        // What a tile has too much is computed for a row that nobody reads.
        let whole = sources.len().next_multiple_of(T::kernel().gathered_columns());
        sources.resize(whole, 0);
        targets.resize(whole, images * rows.len() * width);
        Self { offsets: staged.offsets(0..inputs, &part.taps), sources, targets }
    }

    /// Gathers every tile into rows of channels.
    fn gather<T: Float>(&self, (panel, width): (&[T], usize), cells: &[T], sums: &mut [T]) {
        let kernel = T::kernel();
        let (offsets, depth) = (Offsets::new(&self.offsets), self.offsets.len());
        // A phase that no tap reads is zero.
        for steps in cuts(depth.max(1), STEPS).map(|steps| steps.start..steps.end.min(depth)) {
            let panel = &panel[steps.start * width..steps.end * width];
            let factors = Gathered { panel, width, offsets: offsets.range(steps.clone()), cells };
            let columns = Columns { sources: &self.sources, targets: &self.targets };
            kernel.gather(factors, columns, sums, steps.start > 0);
        }
    }
}
