//! Aligned memory that comes back.
//!
//! A training step asks for the same sizes again and again. Memory that is freshly mapped costs a
//! page fault for every 4 KiB touched, which can take longer than the convolution it serves, so a
//! dropped [`Buffer`] returns its memory to a [pool](stats) instead of the system and the next one of
//! that size takes it over: in steady state a step asks the system for nothing.
//!
//! Buffers start on a 64-byte boundary, a cache line and the widest vector register there is.

mod guard;
mod pool;

use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::slice;

use crate::element::{Element, any_bytes_are_valid};
pub use guard::{NoMemory, guarded};
use pool::Block;
pub use pool::{PoolStats, restart_high_water, rounded, stats, trim};

/// The alignment of every buffer, in bytes.
pub const ALIGNMENT: usize = 64;

/// Elements at each end of a large buffer that debug builds mark.
const MARKED: usize = 256;

/// A fixed number of elements in pooled memory aligned to 64 bytes. It dereferences to a slice.
///
/// ```
/// use striate_conv::Buffer;
///
/// let mut squares = Buffer::from_fn(4, |i| (i * i) as f32);
/// squares[0] = -1.0;
/// assert_eq!(squares[..], [-1.0, 1.0, 4.0, 9.0]);
/// ```
pub struct Buffer<T: Element> {
    block: Block,
    len: usize,
    elements: PhantomData<T>,
}

impl<T: Element> Buffer<T> {
    /// A buffer that is about to be overwritten: its contents are valid values, but unspecified.
    ///
    /// This is what a kernel wants for output that it writes in full, since nothing is cleared. Under
    /// debug assertions floats come filled with NaN (and integers with -1), so that reading before
    /// writing does not go unnoticed; `bool`, of which not every byte is valid, is always cleared.
    ///
    /// # Panics
    /// If there is no memory for it, unless somebody waits for that: see [`guarded`]. What a user asked the size of is made
    /// by [`Buffer::try_for_overwrite`].
    pub fn for_overwrite(len: usize) -> Self {
        let refuse = || guard::refuse(NoMemory { len, dtype: T::DTYPE });
        Self::try_for_overwrite(len).unwrap_or_else(refuse)
    }

    /// The same, or `None` if the system has no memory for it.
    ///
    /// ```
    /// use striate_conv::Buffer;
    ///
    /// assert!(Buffer::<f32>::try_for_overwrite(usize::MAX).is_none());
    /// ```
    pub fn try_for_overwrite(len: usize) -> Option<Self> {
        let block = Block::acquire(len.checked_mul(size_of::<T>())?)?;
        let mut buffer = Self { block, len, elements: PhantomData };
        if !any_bytes_are_valid::<T>() {
            buffer.fill_bytes(0..len, 0);
        } else if cfg!(debug_assertions) {
            // What is read before it is written stands out. Of a large buffer only the ends are marked, so that a debug
            // build does not write all its memory twice.
            let end = if len <= 4 * MARKED { len } else { MARKED };
            buffer.fill_bytes(0..end, 0xff);
            buffer.fill_bytes(len - end..len, 0xff);
        }
        Some(buffer)
    }

    /// A buffer of `len` copies of `value`.
    ///
    /// # Panics
    /// As [`Buffer::for_overwrite`].
    pub fn filled(len: usize, value: T) -> Self {
        let mut buffer = Self::for_overwrite(len);
        buffer.fill(value);
        buffer
    }

    /// A copy of a slice.
    pub fn from_slice(values: &[T]) -> Self {
        let mut buffer = Self::for_overwrite(values.len());
        buffer.copy_from_slice(values);
        buffer
    }

    /// A buffer whose element `i` is `value(i)`.
    ///
    /// # Panics
    /// As [`Buffer::for_overwrite`].
    pub fn from_fn(len: usize, value: impl Fn(usize) -> T) -> Self {
        let mut buffer = Self::for_overwrite(len);
        for (i, element) in buffer.iter_mut().enumerate() {
            *element = value(i);
        }
        buffer
    }

    /// Sets every byte of some elements. The caller chooses one that makes a valid element.
    fn fill_bytes(&mut self, elements: Range<usize>, byte: u8) {
        assert!(elements.start <= elements.end && elements.end <= self.len);
        // SAFETY: the block holds at least `len` elements and is ours alone while `self` is borrowed.
        unsafe {
            let first = self.block.pointer().as_ptr().cast::<T>().add(elements.start);
            first.write_bytes(byte, elements.len());
        }
    }
}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the block is aligned for `T`, holds at least `len` elements, and all its bytes are
        // initialised: the pool clears new memory, and recycled memory was written as elements, which
        // have no padding. Any bytes are valid for `T`, or `for_overwrite` has cleared them.
        unsafe { slice::from_raw_parts(self.block.pointer().as_ptr().cast(), self.len) }
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; the block is owned, so the exclusive borrow covers its memory.
        unsafe { slice::from_raw_parts_mut(self.block.pointer().as_ptr().cast(), self.len) }
    }
}

impl<T: Element> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::from_slice(self)
    }
}

impl<T: Element> Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Element> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}
