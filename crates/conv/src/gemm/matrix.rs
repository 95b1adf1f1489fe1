//! Views of slices as matrices.
//!
//! A view proves once, where it is made, that all its elements lie in the slice; everything that is
//! derived from it (a transpose, a block, the tiles of a partition) stays inside by construction. That
//! is what makes the unsafe product below it safe to call, and what lets threads write tiles of one
//! matrix side by side.

use std::marker::PhantomData;
use std::ops::Range;
use std::slice;

/// A matrix to read, with any strides over a slice.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    /// Starts at the first element; holds `reach(dims, strides)` elements at least.
    values: &'a [T],
    dims: [usize; 2],
    strides: [usize; 2],
}

impl<'a, T> Matrix<'a, T> {
    /// A matrix of `[rows, columns]` whose rows follow each other.
    ///
    /// # Panics
    /// If the slice is not of that size.
    pub fn row_major(values: &'a [T], dims: [usize; 2]) -> Self {
        assert!(
            dims[0].checked_mul(dims[1]) == Some(values.len()),
            "a matrix of {dims:?} does not have {} elements",
            values.len()
        );
        Self { values, dims, strides: [dims[1], 1] }
    }

    /// A matrix of `[rows, columns]` with the given distances from one row to the next and from one
    /// column to the next.
    ///
    /// # Panics
    /// If it reaches beyond the slice.
    pub fn strided(values: &'a [T], dims: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(
            reach(dims, strides).is_some_and(|reach| reach <= values.len()),
            "a matrix of {dims:?} with strides {strides:?} reaches beyond {} elements",
            values.len()
        );
        Self { values, dims, strides }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        let Self { values, dims: [rows, columns], strides: [row, column] } = self;
        Self { values, dims: [columns, rows], strides: [column, row] }
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn rows(self, rows: Range<usize>) -> Self {
        let Self { values, dims: [_, columns], strides } = self;
        assert!(
            rows.start <= rows.end && rows.end <= self.dims[0],
            "rows {rows:?} of {self_dims:?}",
            self_dims = self.dims
        );
        // An empty block may start one stride beyond the end.
        let start = (rows.start * strides[0]).min(values.len());
        Self { values: &values[start..], dims: [rows.len(), columns], strides }
    }

    /// Some of the columns.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn columns(self, columns: Range<usize>) -> Self {
        self.transposed().rows(columns).transposed()
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        self.dims
    }

    /// The elements, from the first one on, and the distances between rows and between columns.
    pub(super) fn values(&self) -> (&'a [T], [usize; 2]) {
        (self.values, self.strides)
    }

    pub(super) fn strides(&self) -> [isize; 2] {
        // A stride that is used lies within the slice and so fits; of an axis of size one it is not.
        self.strides.map(|stride| stride as isize)
    }

    pub(super) fn as_ptr(&self) -> *const T {
        self.values.as_ptr()
    }
}

/// Elements from the first to just after the last; `None` if that overflows.
fn reach([rows, columns]: [usize; 2], [row, column]: [usize; 2]) -> Option<usize> {
    if rows == 0 || columns == 0 {
        return Some(0);
    }
    let last_row = (rows - 1).checked_mul(row)?;
    let last_column = (columns - 1).checked_mul(column)?;
    last_row.checked_add(last_column)?.checked_add(1)
}

/// A matrix to write, whose rows are contiguous and apart from each other by a stride.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    /// Row `r` is the `dims[1]` elements from `r * row_stride`; no other view covers them.
    pointer: *mut T,
    dims: [usize; 2],
    row_stride: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: a `MatrixMut` is an exclusive borrow of its rows, as `&mut [T]` is of its elements.
unsafe impl<T: Send> Send for MatrixMut<'_, T> {}

impl<'a, T> MatrixMut<'a, T> {
    /// A matrix of `[rows, columns]` whose rows follow each other.
    ///
    /// # Panics
    /// If the slice is not of that size.
    pub fn row_major(values: &'a mut [T], dims: [usize; 2]) -> Self {
        assert!(
            dims[0].checked_mul(dims[1]) == Some(values.len()),
            "a matrix of {dims:?} does not have {} elements",
            values.len()
        );
        Self { pointer: values.as_mut_ptr(), dims, row_stride: dims[1], owner: PhantomData }
    }

    /// Cuts the matrix into tiles of `[rows, columns]`, row by row; the last ones may be smaller.
    ///
    /// # Panics
    /// If a tile size is zero.
    pub fn tiles(self, [rows, columns]: [usize; 2]) -> impl Iterator<Item = Tile<'a, T>> {
        let Self { pointer, dims, row_stride, .. } = self;
        cuts(dims[0], rows).flat_map(move |rows| {
            cuts(dims[1], columns).map(move |columns| {
                // SAFETY: the tile starts at an element of this matrix.
                let pointer = unsafe { pointer.add(rows.start * row_stride + columns.start) };
                let dims = [rows.len(), columns.len()];
                // The tiles do not overlap, and `self` is used up, so each is the only view of its part.
                let matrix = MatrixMut { pointer, dims, row_stride, owner: PhantomData };
                Tile { rows: rows.clone(), columns, matrix }
            })
        })
    }

    /// A part of the matrix.
    ///
    /// # Panics
    /// If it is not inside.
    pub(crate) fn block(&mut self, rows: Range<usize>, columns: Range<usize>) -> MatrixMut<'_, T> {
        let dims = [rows.len(), columns.len()];
        assert!(
            rows.end <= self.dims[0] && columns.end <= self.dims[1],
            "rows {rows:?} and columns {columns:?} of {:?}",
            self.dims
        );
        // SAFETY: the block starts at an element of this matrix, or is empty, and borrows it exclusively.
        let pointer = unsafe { self.pointer.add(rows.start * self.row_stride + columns.start) };
        MatrixMut { pointer, dims, row_stride: self.row_stride, owner: PhantomData }
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.dims[0], "row {row} of {:?}", self.dims);
        // SAFETY: the row is there, and borrowed from `self` exclusively.
        unsafe { slice::from_raw_parts_mut(self.pointer.add(row * self.row_stride), self.dims[1]) }
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        self.dims
    }

    pub(super) fn row_stride(&self) -> isize {
        self.row_stride as isize
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut T {
        self.pointer
    }
}

/// A part of a matrix, and which part it is.
#[derive(Debug)]
pub struct Tile<'a, T> {
    /// Its rows in the matrix.
    pub rows: Range<usize>,
    /// Its columns in the matrix.
    pub columns: Range<usize>,
    /// Its elements.
    pub matrix: MatrixMut<'a, T>,
}

/// The ranges of at most `size` that make up `0..len`.
pub(crate) fn cuts(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    (0..len).step_by(size).map(move |start| start..len.min(start + size))
}
