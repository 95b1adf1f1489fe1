//! Finds accesses that nothing orders: the shadow of every byte remembers who touched it last.
//!
//! Blocks run one after the other, and so do the warps of a block between two barriers, so the
//! values are always those of some legal order; what is wrong is that another order was legal
//! too. Time is counted in epochs: a new block and a block-wide barrier each begin one. Two
//! accesses of one byte, one of them a write, are ordered if they lie in different launches, are
//! made by one thread, have a barrier between them, or belong to one warp with a `bar.warp.sync`
//! between them; else they are a race. Stamps never need clearing, for old epochs sort themselves
//! out.

/// Who made an access and when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp {
    /// The epoch; zero means that nobody did.
    pub epoch: u64,
    /// The instruction's index.
    pub pc: u32,
    /// The thread's linear index in its block.
    pub thread: u16,
    /// The warp barriers that the thread's warp had passed, modulo 2^16.
    pub warp_epoch: u16,
}

/// The epochs that divide the past.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub launch: u64,
    pub block: u64,
    pub now: u64,
}

/// Why two accesses are not ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Two threads of one block.
    Threads,
    /// Two blocks of one grid.
    Blocks,
}

/// A conflict with an earlier access.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clash {
    pub conflict: Conflict,
    pub earlier: Stamp,
    pub earlier_wrote: bool,
}

/// The last write of a byte and up to two reads that a later write could clash with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell {
    write: Stamp,
    reads: [Stamp; 2],
}

impl Cell {
    /// When the byte was last written.
    pub fn written(&self) -> u64 {
        self.write.epoch
    }

    /// Records an access and reports an earlier one that nothing orders before it.
    pub fn access(&mut self, now: Stamp, clock: &Clock, write: bool) -> Option<Clash> {
        let mut clash = find(self.write, now, clock, true);
        if write {
            clash = clash.or_else(|| self.reads.iter().find_map(|r| find(*r, now, clock, false)));
            self.write = now;
        } else {
            self.remember(now, clock);
        }
        clash
    }

    /// Keeps two reads such that any later write that clashes with a forgotten one also clashes
    /// with a kept one: an ordered read may go, and two warps are better than two lanes.
    fn remember(&mut self, now: Stamp, clock: &Clock) {
        let [first, second] = self.reads;
        if unordered(first, now, clock).is_none() {
            self.reads[0] = now;
        } else if unordered(second, now, clock).is_none() || warp(first) == warp(second) {
            self.reads[1] = now;
        }
    }
}

fn find(earlier: Stamp, now: Stamp, clock: &Clock, earlier_wrote: bool) -> Option<Clash> {
    unordered(earlier, now, clock).map(|conflict| Clash { conflict, earlier, earlier_wrote })
}

fn unordered(earlier: Stamp, now: Stamp, clock: &Clock) -> Option<Conflict> {
    if earlier.epoch < clock.launch {
        None
    } else if earlier.epoch < clock.block {
        Some(Conflict::Blocks)
    } else if earlier.epoch < clock.now
        || earlier.thread == now.thread
        || (warp(earlier) == warp(now) && earlier.warp_epoch != now.warp_epoch)
    {
        None
    } else {
        Some(Conflict::Threads)
    }
}

fn warp(stamp: Stamp) -> u16 {
    stamp.thread / 32
}

const PAGE: usize = 256;

/// The shadow of a range of memory, in granules of the kernel's smallest access. Pages that
/// nothing has touched take no room.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    granule: usize,
    pages: Vec<Option<Box<[Cell; PAGE]>>>,
}

impl Shadow {
    /// Makes the shadow fit a kernel whose accesses are multiples of `granule` bytes.
    pub fn prepare(&mut self, bytes: usize, granule: usize) {
        let pages = bytes.div_ceil(granule).div_ceil(PAGE);
        if self.granule != granule || self.pages.len() < pages {
            self.granule = granule;
            self.pages = Vec::new();
            self.pages.resize_with(pages, || None);
        }
    }

    /// The cells of `bytes` bytes from `offset`, which must lie inside the prepared range.
    pub fn cells(&mut self, offset: usize, bytes: usize) -> impl Iterator<Item = usize> + use<> {
        offset / self.granule..(offset + bytes).div_ceil(self.granule)
    }

    /// One cell by its number.
    pub fn cell(&mut self, number: usize) -> &mut Cell {
        let page =
            self.pages[number / PAGE].get_or_insert_with(|| Box::new([Cell::default(); PAGE]));
        &mut page[number % PAGE]
    }
}
