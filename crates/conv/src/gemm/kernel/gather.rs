//! The kernel of products whose right factor stays where it lies.
//!
//! The matrix product's kernel reads both factors from panels, and copying a factor there pays if it is read
//! often. The windows of a convolution overlap: unfolded they are many times as large as their input, and with few
//! channels on the other side each copy is read a few times only. This kernel reads them in place. At step `k`, its column `j`
//! needs the cell `sources[j] + offsets[k]`: of an output's first cell and a tap's distance from it, or the other way round. One
//! cell is broadcast and multiplied with one or two vectors of the left factor, a panel `[depth][width]` of
//! channels (the indirect convolution of Dukhan 2019, with offsets instead of pointers).

use super::Kernel;
use crate::vectorize;

/// What a kernel that gathers multiplies.
#[derive(Clone, Copy)]
pub(crate) struct Gathered<'a, T> {
    /// The left factor, `[depth][width]`.
    pub(crate) panel: &'a [T],
    /// One vector or two.
    pub(crate) width: usize,
    /// How far the right factor's row of each step is from its first.
    pub(crate) offsets: Offsets<'a>,
    /// The memory in which the right factor lies.
    pub(crate) cells: &'a [T],
}

/// Distances, and the largest of them.
#[derive(Clone, Copy)]
pub(crate) struct Offsets<'a> {
    list: &'a [usize],
    reach: usize,
}

impl<'a> Offsets<'a> {
    pub(crate) fn new(list: &'a [usize]) -> Self {
        Self { list, reach: largest(list) }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn reach(&self) -> usize {
        self.reach
    }

    pub(super) fn as_ptr(&self) -> *const usize {
        self.list.as_ptr()
    }

    /// Some of them.
    pub(crate) fn range(&self, range: std::ops::Range<usize>) -> Self {
        Self { list: &self.list[range], ..*self }
    }
}

/// The largest place; of none, the first.
fn largest(places: &[usize]) -> usize {
    let mut largest = 0;
    // There may be one for each output, and the oldest processors cannot compare vectors of them.
    vectorize!(for &place in places {
        largest = place.max(largest);
    });
    largest
}

/// Where each column reads, and the row of the result that it is.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) sources: &'a [usize],
    pub(crate) targets: &'a [usize],
}

/// What a kernel is given, its lengths checked.
pub(super) struct Raw<T> {
    pub(super) depth: usize,
    pub(super) panel: *const T,
    pub(super) offsets: *const usize,
    pub(super) cells: *const T,
    pub(super) sources: *const usize,
    pub(super) targets: *const usize,
    pub(super) c: *mut T,
    pub(super) add: bool,
}

pub(super) type Run<T> = unsafe fn(&Raw<T>);

/// The kernels that gather.
#[derive(Debug)]
pub(super) struct Gather<T> {
    /// Elements of a vector.
    pub(super) lanes: usize,
    /// Columns of a half tile.
    pub(super) half: usize,
    /// A whole tile, with one vector and with two, and half of one, for the last columns.
    pub(super) run: [[Run<T>; 2]; 2],
}

impl<T: 'static> Kernel<T> {
    /// The widths that the panels of so many channels have: two vectors, but for a last one that one vector holds.
    pub(crate) fn panel_width(&self, channels: usize) -> usize {
        self.gather.lanes * if channels > self.gather.lanes { 2 } else { 1 }
    }

    /// Channels of all panels but the last.
    pub(crate) fn widest_panel(&self) -> usize {
        2 * self.gather.lanes
    }

    /// Columns that are gathered at a time: a half tile.
    pub(crate) fn gathered_columns(&self) -> usize {
        self.gather.half
    }

    /// Multiplies, and writes or adds the column `j` to `c[targets[j]]`, a row of the panel's width.
    ///
    /// # Panics
    /// If the columns are no multiple of [`Self::gathered_columns`], or something lies outside its slice.
    pub(crate) fn gather(
        &self,
        Gathered { panel, width, offsets, cells }: Gathered<'_, T>,
        Columns { sources, targets }: Columns<'_>,
        c: &mut [T],
        add: bool,
    ) {
        let Gather { lanes, half, run } = self.gather;
        let depth = offsets.len();
        let vectors = width / lanes;
        assert!(panel.len() == depth * width && [lanes, 2 * lanes].contains(&width));
        assert!(sources.len() == targets.len() && sources.len().is_multiple_of(half));
        assert!(sources.is_empty() || largest(targets) < c.len() / width);
        let nothing = sources.is_empty() || depth == 0;
        assert!(nothing || largest(sources) + offsets.reach < cells.len());
        let (panel, offsets) = (panel.as_ptr(), offsets.list.as_ptr());
        for (sources, targets) in sources.chunks(2 * half).zip(targets.chunks(2 * half)) {
            let raw = Raw {
                depth,
                panel,
                offsets,
                cells: cells.as_ptr(),
                sources: sources.as_ptr(),
                targets: targets.as_ptr(),
                c: c.as_mut_ptr(),
                add,
            };
            let run = run[usize::from(sources.len() == half)];
            // SAFETY: the panel has `depth` rows of so many vectors, every source and offset together lie in the cells, every
            // target is a row of `c`, there are as many of both as columns, and the kernel was chosen for this processor.
            unsafe { run[vectors - 1](&raw) }
        }
    }
}

/// # Safety
/// See [`Kernel::gather`].
pub(super) unsafe fn portable<T: super::PortableFloat, const WIDTH: usize, const COLUMNS: usize>(
    raw: &Raw<T>,
) {
    let mut sums = [[T::default(); WIDTH]; COLUMNS];
    for k in 0..raw.depth {
        // SAFETY: there are `depth` rows of the panel, and the columns' cells lie in the memory.
        unsafe {
            let row = *raw.panel.add(k * WIDTH).cast::<[T; WIDTH]>();
            let offset = *raw.offsets.add(k);
            for (j, sums) in sums.iter_mut().enumerate() {
                let cell = *raw.cells.add(*raw.sources.add(j) + offset);
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * cell);
            }
        }
    }
    for (j, sums) in sums.into_iter().enumerate() {
        // SAFETY: the target is a row of `c`.
        let row = unsafe { &mut *raw.c.add(*raw.targets.add(j) * WIDTH).cast::<[T; WIDTH]>() };
        for (c, sum) in row.iter_mut().zip(sums) {
            *c = if raw.add { *c } else { T::default() };
            *c += sum;
        }
    }
}

/// Elements of the portable kernel's vectors, and columns of half its tile.
pub(super) const PORTABLE_LANES: usize = 4;
pub(super) const PORTABLE_HALF: usize = 3;
