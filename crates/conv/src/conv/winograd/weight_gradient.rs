//! The gradient of the weight, by the same tiles.
//!
//! The forward pass is linear in the weight at each point, so its adjoint runs through the same points: tiles of the
//! output's gradient go through the transpose of the output's transform, are multiplied with the points of the
//! input's tiles, summed over all tiles, and go through the transpose of the weight's transform. For each block of
//! taps the tiles of the input are those that it reads, an offset away.
//!
//! The sum over the tiles is the depth of the products. Groups of tiles are added to the sums one after another; within
//! one, channels are transformed in parallel and then points are multiplied in parallel. Few channels leave little to do at once, so there
//! chunks of groups have sums of their own, which are added up in order.

use std::ops::Range;

use rayon::prelude::*;

use super::tiles::{Cells, Piece, Place};
use super::transform::{LANES, Transform, transform, zeros};
use super::{Grid, point_len, sums_len};
use crate::buffer::Buffer;
use crate::conv::{TASKS, add_in_order, affordable_chunks, chunks};
use crate::element::Float;
use crate::gemm::cuts;
use crate::gemm::kernel::Panels;
use crate::geometry::ConvShape;

/// Bytes that the points of a group of tiles may take, of both factors together: of one that shares a core's cache, and of a large one.
const GROUP_BYTES: [usize; 2] = [512 << 10, 8 << 20];
/// The fewest tiles of a group, and the most: longer sums would round worse.
const GROUP_TILES: [usize; 2] = [64, 512];

/// See [`crate::conv::weight_gradient`]; of input and output's gradient.
pub(super) fn weight_gradient<
    T: Float,
    F,
    const STEP: usize,
    const TAPS: usize,
    const TILE: usize,
>(
    by: F,
    shape: &ConvShape,
    [input, grad_output]: [&[T]; 2],
    grad_weight: &mut [T],
) where
    F: Transform<STEP, TAPS, TILE>,
{
    let (kernel, inputs) = (T::kernel(), shape.in_channels);
    let taps = shape.spec.kernel.iter().product::<usize>();
    let (len, grid) = (sums_len::<T>(shape), Grid::of(shape));
    let cut = Cut::of::<T>(shape);
    let pieces: Vec<_> = (0..shape.batch)
        .flat_map(|image| cuts(grid.rows, cut.rows).map(move |rows| Piece { image, rows }))
        .collect();
    let mut partial = Buffer::filled(cut.chunks * len, T::ZERO);
    let chunks = pieces.par_chunks(cut.chunk * cut.group);
    partial.par_chunks_exact_mut(len).zip(chunks).for_each(|(sums, pieces)| {
        for group in pieces.chunks(cut.group) {
            add_group(by, shape, [input, grad_output], (group, sums));
        }
    });
    let (sums, others) = partial.split_at_mut(len);
    add_in_order(sums, others);
    let panels = shape.out_channels.div_ceil(kernel.rows);
    let rows = grad_weight.par_chunks_mut(kernel.rows * inputs * taps);
    rows.zip(sums.par_chunks_exact(len / panels)).for_each(|(weights, sums)| {
        for (row, weights) in weights.chunks_exact_mut(inputs * taps).enumerate() {
            finish(by, shape, (sums, row), weights);
        }
    });
}

/// Adds the products of a group of tiles to sums, `[panels of outputs][points][blocks of taps][panels of inputs][rows][LANES]`.
fn add_group<T: Float, F, const STEP: usize, const TAPS: usize, const TILE: usize>(
    _by: F,
    shape: &ConvShape,
    [input, grad_output]: [&[T]; 2],
    (pieces, sums): (&[Piece], &mut [T]),
) where
    F: Transform<STEP, TAPS, TILE>,
{
    let (kernel, grid, points) = (T::kernel(), Grid::of(shape), TILE * TILE);
    let columns = shape.in_channels.div_ceil(LANES);
    let tile_len = kernel.rows * LANES;
    let row_len = grid.offsets().count() * columns * tile_len;
    let windows = grid.windows(shape, TILE);
    let halo = grid.blocks[0] - 1;
    let right = Points::new(&windows, input, (pieces, halo, LANES), F::input);
    let windows = grid.gradient_windows(shape);
    let left = Points::new(&windows, grad_output, (pieces, 0, left_width::<T>()), F::gradient);
    let runs = runs(&grid, pieces);
    sums.par_chunks_exact_mut(row_len).enumerate().for_each(|(index, sums)| {
        let (panel, point) = (index / points, index % points);
        let first = panel * kernel.rows;
        let a = left.panel(first / left_width::<T>(), [point, points]);
        let a = &a[first % left_width::<T>()..];
        let together = kernel.panels();
        for (sums, offset) in sums.chunks_exact_mut(columns * tile_len).zip(grid.offsets()) {
            for (number, sums) in sums.chunks_mut(together * tile_len).enumerate() {
                let b = right.panel(number * together, [point, points]);
                for &[from, to, depth] in &runs {
                    let panels = Panels {
                        from: &[],
                        depth,
                        a: &a[from * LANES..],
                        a_stride: LANES,
                        b: &b[(to + offset) * LANES..],
                        count: sums.len() / tile_len,
                        b_strides: [right.panel_len(points), LANES],
                    };
                    kernel.tile(panels, sums, [tile_len, LANES], true);
                }
            }
        }
    });
}

/// Transforms the sums of one output channel, a row of a panel, into its taps, `[in_channels, taps]`.
fn finish<T: Float, F, const STEP: usize, const TAPS: usize, const TILE: usize>(
    _by: F,
    shape: &ConvShape,
    (sums, row): (&[T], usize),
    weights: &mut [T],
) where
    F: Transform<STEP, TAPS, TILE>,
{
    let (kernel, grid) = (T::kernel(), Grid::of(shape));
    let [_, height, width] = shape.spec.kernel;
    let taps = height * width;
    let row_len = sums.len() / (TILE * TILE);
    let columns = shape.in_channels.div_ceil(LANES);
    let (mut points, mut of_block) = (zeros::<T, TILE>(), zeros::<T, TAPS>());
    let mut lanes = vec![[T::ZERO; LANES]; taps];
    for (column, weights) in weights.chunks_mut(LANES * taps).enumerate() {
        for block in 0..grid.offsets().count() {
            for (point, values) in points.as_flattened_mut().iter_mut().enumerate() {
                let tile = block * columns + column;
                let place = point * row_len + (tile * kernel.rows + row) * LANES;
                values.copy_from_slice(&sums[place..][..LANES]);
            }
            transform(F::taps, &points, &mut of_block);
            for (place, values) in of_block.as_flattened().iter().enumerate() {
                if let Some(tap) = grid.tap([height, width], block, [place / TAPS, place % TAPS]) {
                    lanes[tap] = *values;
                }
            }
        }
        let count = weights.len() / taps;
        let lanes: Vec<&[T]> = lanes.iter().map(|lane| &lane[..count]).collect();
        kernel.interleave(&lanes, weights);
    }
}

/// How the tiles of all images are cut: pieces of whole bands, groups of pieces, chunks of groups.
struct Cut {
    /// Bands of a piece, but for an image's last.
    rows: usize,
    /// Pieces of a group: several only if they are whole images.
    group: usize,
    /// Groups of a chunk.
    chunk: usize,
    chunks: usize,
    /// Whether groups are large enough to share out what is in them, and come one after the other.
    large: bool,
}

impl Cut {
    fn of<T: Float>(shape: &ConvShape) -> Self {
        let grid = Grid::of(shape);
        // Few channels leave little to do at once within a group, so that there should be several.
        let vectors = [shape.in_channels, shape.out_channels].map(|n| n.div_ceil(LANES));
        let affordable = affordable_chunks(sums_len::<T>(shape) * size_of::<T>());
        let most = TASKS.div_ceil(vectors[0] * vectors[1]).min(affordable);
        let bytes = GROUP_BYTES[usize::from(most == 1)];
        let tile = grid.points() * size_of::<T>();
        let tiles = bytes / (tile * (shape.in_channels + shape.out_channels));
        let tiles = tiles.clamp(GROUP_TILES[0], GROUP_TILES[1]);

        let rows = (tiles / grid.band()).clamp(1, grid.rows);
        let group = (tiles / (rows * grid.band())).max(1);
        let pieces = shape.batch.saturating_mul(grid.rows.div_ceil(rows));
        let [chunk, chunks] = chunks(pieces.div_ceil(group), most);
        Self { rows, group: group.min(pieces), chunk, chunks, large: most == 1 }
    }
}

/// Elements that are held for the length of a call: the sums of all chunks, and the points of a large group.
pub(super) fn held_len<T: Float>(shape: &ConvShape) -> usize {
    let (grid, cut) = (Grid::of(shape), Cut::of::<T>(shape));
    let points = grid.points();
    let list = |rows: usize| point_len(cut.group * rows * grid.band()) * points;
    let points = list(cut.rows + grid.blocks[0] - 1) * shape.in_channels.next_multiple_of(LANES)
        + list(cut.rows) * shape.out_channels.div_ceil(left_width::<T>()) * LANES;
    cut.chunks * sums_len::<T>(shape) + if cut.large { points } else { 0 }
}

/// Stretches of the list of tiles along which products are summed: the first tile among those of the gradient and among
/// those of the input, and how many. The latter have rows between the pieces that only other blocks of taps read.
fn runs(grid: &Grid, pieces: &[Piece]) -> Vec<[usize; 3]> {
    let mut runs: Vec<[usize; 3]> = Vec::new();
    let (mut from, mut to) = (0, 0);
    for Piece { rows, .. } in pieces {
        // The last tiles of the last row have no outputs, and other blocks would read beyond the piece for them.
        let len = rows.len() * grid.band() - (grid.columns - grid.width);
        match runs.last_mut() {
            Some([a, b, before]) if *a + *before == from && *b + *before == to => *before += len,
            _ => runs.push([from, to, len]),
        }
        from += rows.len() * grid.band();
        to += grid.input_rows(rows).len() * grid.band();
    }
    runs
}

/// Channels in a vector of the output's gradient: panels of so many rows as fit.
fn left_width<T: Float>() -> usize {
    let rows = T::kernel().rows;
    LANES / rows * rows
}

/// The points of some tiles in panels whose lanes are channels, `[panels][points][tiles][LANES]`, with [`point_len`]
/// from point to point.
struct Points<T: Float> {
    values: Buffer<T>,
    tiles: usize,
}

impl<T: Float> Points<T> {
    /// The points of the bands of the pieces, and of some more below each; so many channels make a panel.
    fn new<const CELLS: usize, const TILE: usize>(
        windows: &ConvShape,
        images: &[T],
        (pieces, halo, width): (&[Piece], usize, usize),
        transform: impl Fn([T; CELLS]) -> [T; TILE] + Copy + Sync,
    ) -> Self {
        let (channels, columns) = (windows.in_channels, windows.output[2]);
        let lines = |rows: &Range<usize>| rows.len() * windows.spec.dilation[1];
        let bands = |piece: &Piece| piece.rows.start..piece.rows.end + halo;
        let tiles: usize = pieces.iter().map(|piece| lines(&bands(piece)) * columns).sum();
        let point = point_len(tiles);
        let panel_len = TILE * TILE * point * LANES;
        let mut values = Buffer::for_overwrite(channels.div_ceil(width) * panel_len);
        let groups: Vec<_> = cuts(channels, width).collect();
        values.par_chunks_exact_mut(panel_len).zip(groups).for_each(|(places, group)| {
            let mut first = 0;
            for piece in pieces {
                let rows = bands(piece);
                let size = [lines(&rows), columns];
                let cells = Cells::new(windows, images, &Piece { rows, ..*piece }, group.clone());
                cells.points(transform, size, places, Place { first, point });
                first += size[0] * size[1];
            }
        });
        Self { values, tiles }
    }

    /// A panel at a point, of so many, and what is behind it.
    fn panel(&self, panel: usize, [point, points]: [usize; 2]) -> &[T] {
        &self.values[panel * self.panel_len(points) + point * point_len(self.tiles) * LANES..]
    }

    /// Elements from one panel to the next.
    fn panel_len(&self, points: usize) -> usize {
        points * point_len(self.tiles) * LANES
    }
}
