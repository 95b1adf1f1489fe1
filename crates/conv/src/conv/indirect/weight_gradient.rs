//! The gradient of the weight: output channels by channels and taps, summed over the windows of all images.
//!
//! The output's gradient becomes the panel, a row of channels for each window; the columns are the input's channels and taps, and
//! the windows are the steps. The images are cut into chunks, each with a sum of its own, and those are added in order: how many
//! there are depends on the geometry alone, so the result does not depend on the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::{Cuts, TURN, panels, turn};
use crate::buffer::Buffer;
use crate::conv::{TASKS, add_in_order, affordable_chunks, chunks};
use crate::element::Float;
use crate::gemm::kernel::{Columns, Gathered, Offsets};
use crate::gemm::{MatrixMut, cuts};
use crate::geometry::ConvShape;
use crate::unfold::Staged;

/// Windows whose panel stays in the first-level cache while the columns pass.
const STEPS: usize = 192;

/// The sums over images, and how they are shared out.
struct Sums<'a, T> {
    shape: &'a ConvShape,
    operands: [&'a [T]; 2],
    cut: Cuts,
    /// Rows of the sum of a panel: one for each channel and tap, and some that nobody reads.
    rows: usize,
}

/// How the sums are cut.
struct Chunks {
    cut: Cuts,
    /// Elements of the sums of a group.
    group_len: usize,
    /// Pieces of all images, and how many are summed in a chunk.
    pieces: usize,
    chunk: usize,
    chunks: usize,
}

impl Chunks {
    fn new<T: Float>(shape: &ConvShape) -> Self {
        let ([depth, height, width], groups) = (shape.output, shape.spec.groups);
        let rows = shape.weight_len() / shape.out_channels + TURN;
        let outputs = shape.out_channels / groups;
        let cut = Cuts::new::<T>(shape, [depth * height, width]);
        let group_len = panels::<T>(outputs).map(|(_, width)| rows * width).sum::<usize>();
        let pieces = shape.batch.div_ceil(cut.images) * (depth * height).div_ceil(cut.rows);
        let most = affordable_chunks(groups * group_len * size_of::<T>());
        let [chunk, chunks] = chunks(pieces, most);
        Self { cut, group_len, pieces, chunk, chunks }
    }
}

/// Elements of the sums of all chunks.
pub(in crate::conv) fn sums_len<T: Float>(shape: &ConvShape) -> usize {
    let Chunks { group_len, chunks, .. } = Chunks::new::<T>(shape);
    chunks * shape.spec.groups * group_len
}

/// Some windows of some images, or of one group of one image.
struct Piece {
    images: Range<usize>,
    rows: Range<usize>,
}

/// See [`crate::conv::weight_gradient`].
pub(in crate::conv) fn weight_gradient<T: Float>(
    shape: &ConvShape,
    input: &[T],
    grad_output: &[T],
    grad_weight: &mut [T],
) {
    let groups = shape.spec.groups;
    let [outputs, columns] = [shape.out_channels / groups, grad_weight.len() / shape.out_channels];
    let Chunks { cut, group_len, pieces, chunk, chunks } = Chunks::new::<T>(shape);
    let sums = Sums { shape, operands: [input, grad_output], cut, rows: columns + TURN };

    // Where there are few chunks, the panels are shared out too.
    let share = panels::<T>(outputs).count().div_ceil(TASKS.div_ceil(chunks * groups));
    let panel_len = sums.rows * T::kernel().widest_panel();
    let mut partial = Buffer::for_overwrite(chunks * groups * group_len);
    let tasks: Vec<_> = partial
        .chunks_exact_mut(group_len)
        .enumerate()
        .flat_map(|(index, sums)| {
            let panels = sums.chunks_mut(share * panel_len).enumerate();
            panels.map(move |(number, sums)| (index, number * share, sums))
        })
        .collect();
    tasks.into_par_iter().for_each(|(index, first, into)| {
        let (number, group) = (index / groups, index % groups);
        let pieces = number * chunk..pieces.min((number + 1) * chunk);
        sums.add_pieces(pieces, (group, first..first + share), into);
    });

    let (sum, others) = partial.split_at_mut(groups * group_len);
    add_in_order(sum, others);
    let weights = grad_weight.chunks_exact_mut(outputs * columns);
    weights.zip(sum.chunks_exact(group_len)).for_each(|(weight, sum)| {
        let weight = MatrixMut::row_major(weight, [outputs, columns]);
        let tiles: Vec<_> = weight.tiles([T::kernel().widest_panel(), columns]).collect();
        tiles.into_par_iter().zip(sum.par_chunks(panel_len)).for_each(|(mut tile, sum)| {
            turn(sum, sum.len() / (columns + TURN), None, &mut tile.matrix);
        });
    });
}

impl<T: Float> Sums<'_, T> {
    /// The windows of a piece.
    fn piece(&self, number: usize) -> Piece {
        let rows = self.shape.output[0] * self.shape.output[1];
        let cuts = rows.div_ceil(self.cut.rows);
        let (image, row) = (number / cuts * self.cut.images, number % cuts * self.cut.rows);
        Piece {
            images: image..self.shape.batch.min(image + self.cut.images),
            rows: row..rows.min(row + self.cut.rows),
        }
    }

    /// Sums the windows of some pieces for some panels of a group, `[panels][rows][width]`.
    fn add_pieces(
        &self,
        pieces: Range<usize>,
        (group, chosen): (usize, Range<usize>),
        sums: &mut [T],
    ) {
        let (shape, kernel) = (self.shape, T::kernel());
        let groups = shape.spec.groups;
        let [inputs, outputs] = [shape.in_channels, shape.out_channels].map(|n| n / groups);
        let taps: Vec<_> = (0..shape.spec.kernel.iter().product()).collect();
        let plane = shape.input.iter().product::<usize>() * inputs;
        let columns = (inputs * taps.len()).next_multiple_of(kernel.gathered_columns());
        // What a tile has too much is computed for a row that nobody reads.
        let targets: Vec<_> = (0..columns).map(|column| column.min(self.rows - TURN)).collect();
        for number in pieces.clone() {
            let Piece { images, rows } = self.piece(number);
            let planes = &self.operands[0][(images.start * groups + group) * plane..];
            let planes = &planes[..images.len() * plane];
            let width = shape.output[2];
            let windows = rows.start * width..rows.end * width;
            let staged = Staged::in_order(shape, planes, 0..images.len() * inputs, windows.clone());
            let mut sources = staged.offsets(0..inputs, &taps);
            sources.resize(columns, 0);
            let steps = self.steps(&staged, images.len());
            let steps = Offsets::new(&steps);
            let mut rest = &mut *sums;
            for (channels, width) in panels::<T>(outputs).skip(chosen.start).take(chosen.len()) {
                let (sums, tail) = rest.split_at_mut(self.rows * width);
                let channels = group * outputs + channels.start..group * outputs + channels.end;
                let panel = self.panel(&images, channels, &windows, width);
                for range in cuts(steps.len(), STEPS) {
                    let panel = &panel[range.start * width..range.end * width];
                    let offsets = steps.range(range.clone());
                    let factors = Gathered { panel, width, offsets, cells: staged.cells() };
                    let add = number > pieces.start || range.start > 0;
                    let to = Columns { sources: &sources, targets: &targets };
                    kernel.gather(factors, to, sums, add);
                }
                rest = tail;
            }
        }
    }

    /// The offset of every window of so many images.
    fn steps(&self, staged: &Staged<'_, T>, images: usize) -> Vec<usize> {
        let image = self.shape.in_channels / self.shape.spec.groups * staged.channel();
        let windows: usize = staged.runs().iter().map(|&(_, len)| len).sum();
        let (step, mut steps) = (staged.step(), Vec::with_capacity(images * windows));
        // A run at a time: there are as many steps as outputs, and one iterator over all would take a few cycles for each.
        for first in (0..images).map(|number| number * image) {
            for &(start, len) in staged.runs() {
                steps.extend((0..len).map(|window| first + start + window * step));
            }
        }
        steps
    }

    /// The gradients of some channels at some windows of each image, `[images][windows][width]`.
    fn panel(
        &self,
        images: &Range<usize>,
        channels: Range<usize>,
        windows: &Range<usize>,
        width: usize,
    ) -> Buffer<T> {
        let plane: usize = self.shape.output.iter().product();
        let none = vec![T::ZERO; windows.len()];
        let mut panel = Buffer::for_overwrite(images.len() * windows.len() * width);
        for (image, panel) in images.clone().zip(panel.chunks_exact_mut(windows.len() * width)) {
            let lanes: Vec<&[T]> = (0..width)
                .map(|lane| {
                    let channel = channels.start + lane;
                    let first = (image * self.shape.out_channels + channel) * plane;
                    let grad = || &self.operands[1][first..][windows.clone()];
                    if channel < channels.end { grad() } else { &none[..] }
                })
                .collect();
            T::kernel().interleave(&lanes, panel);
        }
        panel
    }
}
