//! The pool behind [`Buffer`](super::Buffer): free lists by size class.
//!
//! Sizes are rounded up to four classes an octave (256, 320, 384, 448, 512, 640, ...), which wastes a
//! tenth on average and a quarter at most. Each class has a stack of free blocks under its own lock, so
//! threads meet only when they want the same size at the same moment.
//!
//! What a thread gave back last is still in the cache of its core, and would come to another thread from afar. So a few small
//! blocks stay near the thread of rayon's pool that had them, and go on to the free lists when others follow. Threads outside
//! compute little, and what they give back is for all.
//!
//! A class never caches more blocks than were in use together, wherever they lie, so the cache is bounded by what the
//! program itself needed of each size. [`trim`] gives all of it back.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ALIGNMENT;

/// The binary logarithm of the smallest class; a quarter of it is still whole cache lines.
const SMALLEST_OCTAVE: usize = 8;
const CLASSES_PER_OCTAVE: usize = 4;
const CLASSES: usize = (usize::BITS as usize - SMALLEST_OCTAVE) * CLASSES_PER_OCTAVE;

/// Blocks that stay near a thread.
const NEAR: usize = 16;
/// Bytes of the largest block that does: a core's own cache is about as large.
const LARGEST_NEAR: usize = 1 << 20;
/// How many threads of a pool have a list of their own. Where there are more, some share one.
const LISTS: usize = 64;

static FREE: [Mutex<Vec<Free>>; CLASSES] = [const { Mutex::new(Vec::new()) }; CLASSES];
/// For each thread its blocks with their classes, the last behind.
static NEAR_FREE: [Mutex<VecDeque<(usize, Free)>>; LISTS] =
    [const { Mutex::new(VecDeque::new()) }; LISTS];

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static CACHED: AtomicUsize = AtomicUsize::new(0);
static HIGH_WATER: AtomicUsize = AtomicUsize::new(0);
static SYSTEM_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// What the pool holds and has done, over the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes in live buffers, rounded up to their size classes.
    pub in_use: usize,
    /// Bytes kept for reuse.
    pub cached: usize,
    /// The most bytes that were in use at once.
    pub high_water: usize,
    /// How often the system was asked for memory.
    pub system_allocations: usize,
}

/// The pool's figures. Other threads may move them while they are read.
pub fn stats() -> PoolStats {
    PoolStats {
        in_use: IN_USE.load(Ordering::Relaxed),
        cached: CACHED.load(Ordering::Relaxed),
        high_water: HIGH_WATER.load(Ordering::Relaxed),
        system_allocations: SYSTEM_ALLOCATIONS.load(Ordering::Relaxed),
    }
}

/// Starts [`PoolStats::high_water`] anew, from what is in use now.
pub fn restart_high_water() {
    HIGH_WATER.store(IN_USE.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// The bytes of the pool that a buffer of so many bytes takes: those of its size class.
///
/// ```
/// use striate_conv::buffer::rounded;
///
/// assert_eq!([0, 1, 256, 257, 5000].map(rounded), [0, 256, 256, 320, 5120]);
/// ```
pub fn rounded(bytes: usize) -> usize {
    // What no class holds cannot be had, but may be asked about.
    if bytes == 0 { 0 } else { class_of(bytes).map_or(bytes, class_size) }
}

/// Returns all cached memory to the system.
pub fn trim() {
    for list in &NEAR_FREE {
        for (class, block) in std::mem::take(&mut *lock(list)) {
            lock(&FREE[class]).push(block);
        }
    }
    for (class, list) in FREE.iter().enumerate() {
        for Free(pointer) in std::mem::take(&mut *lock(list)) {
            CACHED.fetch_sub(class_size(class), Ordering::Relaxed);
            // SAFETY: the block was allocated with its class's layout, and taking it from the list left
            // us its only owner.
            unsafe { dealloc(pointer.as_ptr(), layout(class)) };
        }
    }
}

/// A free block of a class, if there is one: rather one that this thread gave back, and rather one that no other did.
fn take(class: usize) -> Option<Free> {
    let from = |list| take_from(list, class);
    let mine = near().and_then(from);
    let free = mine.or_else(|| lock(&FREE[class]).pop());
    free.or_else(|| NEAR_FREE.iter().find_map(from))
}

fn take_from(list: &Mutex<VecDeque<(usize, Free)>>, class: usize) -> Option<Free> {
    let mut list = lock(list);
    let last = list.iter().rposition(|&(other, _)| other == class)?;
    list.remove(last).map(|(_, block)| block)
}

/// Keeps a block of a class for whoever wants one.
fn keep(class: usize, block: Free) {
    if let Some((class, block)) = keep_near(class, block) {
        lock(&FREE[class]).push(block);
    }
}

/// Keeps it near this thread. Returns what is for all: the block or the oldest there.
fn keep_near(class: usize, block: Free) -> Option<(usize, Free)> {
    let list = near().filter(|_| class_size(class) <= LARGEST_NEAR);
    let Some(list) = list else { return Some((class, block)) };
    let mut near = lock(list);
    near.push_back((class, block));
    if near.len() > NEAR { near.pop_front() } else { None }
}

/// The list of this thread, if it is one of a pool.
fn near() -> Option<&'static Mutex<VecDeque<(usize, Free)>>> {
    rayon::current_thread_index().map(|thread| &NEAR_FREE[thread % LISTS])
}

/// A block that nobody owns but the list that it is in.
struct Free(NonNull<u8>);

// SAFETY: the pointer is to heap memory without an owner; it is as good on any other thread.
unsafe impl Send for Free {}

/// Initialised memory of at least the size asked for. Dropping it returns it to the pool.
pub(super) struct Block {
    pointer: NonNull<u8>,
    /// `None` for the empty block, which owns no memory.
    class: Option<usize>,
}

// SAFETY: a block owns its memory, and has no interior mutability.
unsafe impl Send for Block {}
// SAFETY: as above; a shared block gives out its address only.
unsafe impl Sync for Block {}

impl Block {
    /// A block of at least `bytes` bytes: a cached one if there is one, else cleared new memory. `None` if the
    /// system has none left even after all that is cached was returned to it.
    pub(super) fn acquire(bytes: usize) -> Option<Self> {
        if bytes == 0 {
            return Some(Self { pointer: empty(), class: None });
        }
        let class = class_of(bytes)?;
        let pointer = match take(class) {
            Some(Free(pointer)) => {
                CACHED.fetch_sub(class_size(class), Ordering::Relaxed);
                pointer
            }
            None => allocate(class).or_else(|| {
                trim();
                allocate(class)
            })?,
        };
        let in_use = IN_USE.fetch_add(class_size(class), Ordering::Relaxed) + class_size(class);
        HIGH_WATER.fetch_max(in_use, Ordering::Relaxed);
        Some(Self { pointer, class: Some(class) })
    }

    pub(super) fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(class) = self.class {
            IN_USE.fetch_sub(class_size(class), Ordering::Relaxed);
            CACHED.fetch_add(class_size(class), Ordering::Relaxed);
            keep(class, Free(self.pointer));
        }
    }
}

/// The smallest class that holds `bytes > 0`, unless there cannot be that many.
fn class_of(bytes: usize) -> Option<usize> {
    if bytes > isize::MAX as usize {
        return None;
    }
    let below = (bytes - 1).max(1);
    let octave = below.ilog2() as usize;
    if octave < SMALLEST_OCTAVE {
        return Some(0);
    }
    let quarter = (below >> (octave - 2)) % CLASSES_PER_OCTAVE;
    Some((octave - SMALLEST_OCTAVE) * CLASSES_PER_OCTAVE + quarter + 1)
}

/// The size of a class's blocks in bytes.
fn class_size(class: usize) -> usize {
    let (octave, quarter) = (class / CLASSES_PER_OCTAVE, class % CLASSES_PER_OCTAVE);
    (CLASSES_PER_OCTAVE + quarter) << (SMALLEST_OCTAVE - 2 + octave)
}

fn layout(class: usize) -> Layout {
    Layout::from_size_align(class_size(class), ALIGNMENT).expect("capacity overflow")
}

/// A new block from the system, cleared so that it may be read; `None` if it has none.
fn allocate(class: usize) -> Option<NonNull<u8>> {
    // The largest sizes round up to classes that nothing can address.
    let layout = Layout::from_size_align(class_size(class), ALIGNMENT).ok()?;
    SYSTEM_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: no class has size zero.
    let pointer = unsafe { alloc_zeroed(layout) };
    NonNull::new(pointer)
}

/// An aligned address to stand for no memory.
fn empty() -> NonNull<u8> {
    // The alignment is not zero, so neither is this address.
    NonNull::new(std::ptr::without_provenance_mut(ALIGNMENT)).unwrap_or(NonNull::dangling())
}

/// Locks a free list. A list is consistent between any two statements, so a panic elsewhere while it
/// was held does no harm.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_cover_their_sizes_tightly() {
        for bytes in (1..5000).chain([1 << 20, (1 << 20) + 1, 3 << 30, (1 << 62) + 1]) {
            let class = class_of(bytes).unwrap();
            assert!(class_size(class) >= bytes, "{bytes}");
            assert!(class == 0 || class_size(class - 1) < bytes, "{bytes}");
            assert_eq!(class_size(class) % ALIGNMENT, 0);
        }
        assert!(class_of(isize::MAX as usize).unwrap() < CLASSES);
    }
}
