//! Finds accesses that nothing orders: the shadow of every byte remembers who touched it last.
//!
//! Blocks run one after the other, and so do the warps of a block between two barriers, so the
//! values are always those of some legal order; what is wrong is that another order was legal
//! too. Time moves on when a block begins, at a block-wide barrier and at a warp's own. Two
//! accesses of one byte, one of them a write, are ordered if they lie in different launches, are
//! made by one thread, have a barrier between them, or belong to one warp with a `bar.warp.sync`
//! between them; else they are a race. Stamps never need clearing, for old times sort themselves
//! out.

/// Who made an access and when; small, for every byte has several.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp {
    /// The time; zero means that nobody did.
    pub time: u32,
    /// The instruction's index.
    pub pc: u16,
    /// The thread's linear index in its block, and [`ATOMIC`] if the access was.
    pub thread: u16,
}

/// The bit of [`Stamp::thread`] that marks an atomic access; a block has at most 1024 threads.
const ATOMIC: u16 = 1 << 15;

impl Stamp {
    /// The thread's linear index in its block.
    pub fn thread(&self) -> u16 {
        self.thread & !ATOMIC
    }

    fn atomic(&self) -> bool {
        self.thread & ATOMIC != 0
    }
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    /// Reads and writes at once; clashes with others, but not with another of its kind.
    Atomic,
}

impl Kind {
    /// The past tense, for reports.
    fn did(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "wrote",
            Self::Atomic => "updated",
        }
    }
}

/// The times that divide the past: when the launch and the block began, when the block last
/// passed a barrier, and the running warp one of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    pub launch: u32,
    pub block: u32,
    pub barrier: u32,
    pub synced: u32,
    pub now: u32,
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
    /// What the earlier access did.
    pub did: &'static str,
}

/// The last plain write of a byte, and up to two other accesses that a later one could clash with.
/// Those are reads or atomic, and never both kinds unordered, for that is a clash itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell {
    write: Stamp,
    others: [Stamp; 2],
}

impl Cell {
    /// When the byte was last written.
    pub fn written(&self) -> u32 {
        self.write.time
    }

    /// Records an access and reports an earlier one that nothing orders before it.
    #[inline]
    pub fn access(&mut self, now: Stamp, clock: &Clock, kind: Kind) -> Option<Clash> {
        // Most cells were last touched before a barrier, in an earlier launch or by this thread.
        let quiet = |earlier: &Stamp| {
            earlier.time < clock.launch
                || (clock.block..clock.barrier).contains(&earlier.time)
                || (earlier.thread == now.thread && earlier.time >= clock.block)
        };
        if quiet(&self.write) {
            if kind == Kind::Read && !self.others.iter().any(Stamp::atomic) {
                self.remember(now, clock);
                return None;
            }
            if kind == Kind::Write && self.others.iter().all(quiet) {
                self.write = now;
                return None;
            }
        }
        self.contend(now, clock, kind)
    }

    #[inline(never)]
    fn contend(&mut self, mut now: Stamp, clock: &Clock, kind: Kind) -> Option<Clash> {
        let mut clash = find(self.write, now, clock, Kind::Write);
        for other in self.others {
            let was = if other.atomic() { Kind::Atomic } else { Kind::Read };
            if was != kind {
                clash = clash.or_else(|| find(other, now, clock, was));
            }
        }
        if kind == Kind::Atomic {
            now.thread |= ATOMIC;
        }
        match kind {
            Kind::Write => self.write = now,
            Kind::Read | Kind::Atomic => self.remember(now, clock),
        }
        clash
    }

    /// Keeps two accesses such that any later one that clashes with a forgotten one also clashes
    /// with a kept one: an ordered one may go, two warps are better than two lanes, and a third
    /// lane adds nothing.
    #[inline]
    fn remember(&mut self, now: Stamp, clock: &Clock) {
        let [first, second] = self.others;
        if unordered(first, now, clock).is_none() {
            self.others[0] = now;
        } else if unordered(second, now, clock).is_none()
            || (warp(first) == warp(second) && warp(first) != warp(now))
        {
            self.others[1] = now;
        }
    }
}

fn find(earlier: Stamp, now: Stamp, clock: &Clock, kind: Kind) -> Option<Clash> {
    unordered(earlier, now, clock).map(|conflict| Clash { conflict, earlier, did: kind.did() })
}

#[inline]
fn unordered(earlier: Stamp, now: Stamp, clock: &Clock) -> Option<Conflict> {
    if earlier.time < clock.launch {
        None
    } else if earlier.time < clock.block {
        Some(Conflict::Blocks)
    } else if earlier.time < clock.barrier
        || earlier.thread() == now.thread()
        || (warp(earlier) == warp(now) && earlier.time < clock.synced)
    {
        None
    } else {
        Some(Conflict::Threads)
    }
}

fn warp(stamp: Stamp) -> u16 {
    stamp.thread() / 32
}

const PAGE: usize = 256;

/// The shadow of a range of memory, in granules of the kernel's smallest access. Pages that
/// nothing has touched take no room.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    /// The granule's binary logarithm.
    shift: u32,
    pages: Vec<Option<Box<[Cell; PAGE]>>>,
}

impl Shadow {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pages.clear();
    }

    /// Makes the shadow fit a kernel whose accesses are multiples of `granule` bytes.
    pub fn prepare(&mut self, bytes: usize, granule: usize) {
        let pages = bytes.div_ceil(granule).div_ceil(PAGE);
        let shift = granule.trailing_zeros();
        if self.shift != shift || self.pages.len() < pages {
            self.shift = shift;
            self.pages = Vec::new();
            self.pages.resize_with(pages, || None);
        }
    }

    /// The cells of `bytes` bytes from `offset`, which must lie inside the prepared range. An access
    /// is aligned and small, so that it lies in one page.
    #[inline]
    pub fn cells(&mut self, offset: usize, bytes: usize) -> &mut [Cell] {
        let (first, count) = (offset >> self.shift, bytes.div_ceil(1 << self.shift));
        let page =
            self.pages[first / PAGE].get_or_insert_with(|| Box::new([Cell::default(); PAGE]));
        &mut page[first % PAGE..][..count]
    }
}
