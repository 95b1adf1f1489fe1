//! From the cells of a map to the points of its tiles, sixteen channels at a time.
//!
//! A vector holds one cell of sixteen channels, so a tile may begin at any cell, and maps may be of any size. Rows of sixteen planes are
//! turned into vectors once, with their padding; after that, all that tiles read and write are whole vectors.

use std::ops::Range;

use super::transform::LANES;
use crate::buffer::Buffer;
use crate::element::Float;
use crate::geometry::ConvShape;
use crate::simd::vectorized;

/// Bands of an image.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) image: usize,
    pub(super) rows: Range<usize>,
}

/// Where the points of tiles are written, in vectors: those of the first tile, and from one point to the next. Tiles follow each
/// other.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) first: usize,
    pub(super) point: usize,
}

/// Cells of some rows of a map with their padding, as vectors of channels.
pub(super) struct Cells<T: Float> {
    values: Buffer<T>,
    /// Cells of a row.
    width: usize,
    /// From one tile to the next, in cells of the same phase.
    step: usize,
    dilation: [usize; 2],
}

impl<T: Float> Cells<T> {
    /// What some bands read of up to [`LANES`] channels; the tiles are `windows` of the images.
    pub(super) fn new(
        windows: &ConvShape,
        images: &[T],
        Piece { image, rows }: &Piece,
        channels: Range<usize>,
    ) -> Self {
        let [_, height, width] = windows.input;
        let (size, step) = (windows.spec.kernel[2], windows.spec.stride[2]);
        let [_, down, across] = windows.spec.dilation;
        let reach = |tiles: usize| (tiles - 1) * step + size;
        let padded_height = reach(rows.len()) * down;
        let [above, left] = [1, 2].map(|axis| windows.spec.padding[axis][0]);
        // There may be cells behind those that any tile reads.
        let padded_width = (reach(windows.output[2] / across) * across).max(left + width);
        let mut values = Buffer::for_overwrite(padded_height * padded_width * LANES);
        // Rows of the map among those with their padding.
        let first = rows.start * step * down;
        let [start, end] = [above, above + height]
            .map(|row| row.saturating_sub(first).min(padded_height) * padded_width * LANES);
        values[..start].fill(T::ZERO);
        values[end..].fill(T::ZERO);
        let plane = |channel: usize| {
            let plane = (image * windows.in_channels + channel) * height * width;
            &images[plane..][..height * width][first.saturating_sub(above).min(height) * width..]
        };
        let planes: Vec<_> = channels.map(plane).collect();
        pad_rows(&planes, [left, width, padded_width], &mut values[start..end]);
        Self { values, width: padded_width, step, dilation: [down, across] }
    }

    /// Writes the points of `tiles`, lines and columns of tiles `N` cells wide, whose columns and rows `f` transforms.
    pub(super) fn points<F: Fn([T; N]) -> [T; M], const N: usize, const M: usize>(
        &self,
        f: F,
        tiles: [usize; 2],
        points: &mut [T],
        place: Place,
    ) {
        points_of_tiles(f, self, tiles, points.as_chunks_mut().0, place);
    }
}

/// Turns rows of planes into vectors, `width` cells behind `left` others of `padded` in all, which become zero.
fn pad_rows<T: Float>(planes: &[&[T]], [left, width, padded]: [usize; 3], rows: &mut [T]) {
    let together = rows_of_whole_vectors(width);
    let none = vec![T::ZERO; together * width];
    let mut strip = Buffer::for_overwrite(together * width * LANES);
    for (number, rows) in rows.chunks_mut(together * padded * LANES).enumerate() {
        let cells = rows.len() / (padded * LANES) * width;
        let lanes: [&[T]; LANES] = std::array::from_fn(|lane| match planes.get(lane) {
            Some(plane) => &plane[number * together * width..][..cells],
            None => &none[..cells],
        });
        if together > 1 {
            T::kernel().interleave(&lanes, &mut strip[..cells * LANES]);
        }
        let strips = strip.chunks_exact(width * LANES);
        for (row, strip) in rows.chunks_exact_mut(padded * LANES).zip(strips) {
            let (before, row) = row.split_at_mut(left * LANES);
            let (row, behind) = row.split_at_mut(width * LANES);
            before.fill(T::ZERO);
            behind.fill(T::ZERO);
            if together > 1 {
                row.copy_from_slice(strip);
            } else {
                T::kernel().interleave(&lanes, row);
            }
        }
    }
}

/// Cells of a row that are worth a call.
const MANY_CELLS: usize = 64;

/// How many rows, of so many cells, are worth a call and make whole vectors; one row, if it is long enough.
fn rows_of_whole_vectors(width: usize) -> usize {
    if width >= MANY_CELLS {
        return 1;
    }
    let whole = LANES >> width.trailing_zeros().min(LANES.trailing_zeros());
    MANY_CELLS.div_ceil(width).next_multiple_of(whole)
}

/// The first cell of a tile along an axis: the phases take turns.
#[inline(always)]
pub(super) fn first_cell(tile: usize, step: usize, dilation: usize) -> usize {
    tile / dilation * dilation * step + tile % dilation
}

vectorized! {
    /// See [`Cells::points`].
    fn points_of_tiles[
        T: Float, F: Fn([T; N]) -> [T; M], const N: usize, const M: usize
    ](
        f: F,
        source: &Cells<T>,
        tiles: [usize; 2],
        points: &mut [[T; LANES]],
        place: Place,
    ) {
        let &Cells { ref values, width, step, dilation: [down, across] } = source;
        let (cells, [rows, columns]) = (values.as_chunks::<LANES>().0, tiles);
        let mut half = [[[T::ZERO; LANES]; N]; M];
        for tile in 0..rows * columns {
            let [y, x] = [first_cell(tile / columns, step, down), first_cell(tile % columns, step, across)];
            let corner = y * width + x;
            for x in 0..N {
                let column: [&[T; LANES]; N] = std::array::from_fn(|y| &cells[corner + y * down * width + x * across]);
                for lane in 0..LANES {
                    let values = f(std::array::from_fn(|y| column[y][lane]));
                    for (half, value) in half.iter_mut().zip(&values) {
                        half[x][lane] = *value;
                    }
                }
            }
            let first = place.first + tile;
            for (y, half) in half.iter().enumerate() {
                let mut row = [[T::ZERO; LANES]; M];
                for lane in 0..LANES {
                    let values = f(std::array::from_fn(|x| half[x][lane]));
                    for (row, value) in row.iter_mut().zip(&values) {
                        row[lane] = *value;
                    }
                }
                for (x, values) in row.iter().enumerate() {
                    points[first + (y * M + x) * place.point] = *values;
                }
            }
        }
    }
}
