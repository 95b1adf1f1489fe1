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
    /// The thread's linear index in its block, and [`ATOMIC`] if the access was.
    pub thread: u16,
    /// The warp barriers that the thread's warp had passed, modulo 2^16.
    pub warp_epoch: u16,
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
    pub fn written(&self) -> u64 {
        self.write.epoch
    }

    /// Records an access and reports an earlier one that nothing orders before it.
    pub fn access(&mut self, mut now: Stamp, clock: &Clock, kind: Kind) -> Option<Clash> {
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
    /// with a kept one: an ordered one may go, and two warps are better than two lanes.
    fn remember(&mut self, now: Stamp, clock: &Clock) {
        let [first, second] = self.others;
        if unordered(first, now, clock).is_none() {
            self.others[0] = now;
        } else if unordered(second, now, clock).is_none() || warp(first) == warp(second) {
            self.others[1] = now;
        }
    }
}

fn find(earlier: Stamp, now: Stamp, clock: &Clock, kind: Kind) -> Option<Clash> {
    unordered(earlier, now, clock).map(|conflict| Clash { conflict, earlier, did: kind.did() })
}

fn unordered(earlier: Stamp, now: Stamp, clock: &Clock) -> Option<Conflict> {
    if earlier.epoch < clock.launch {
        None
    } else if earlier.epoch < clock.block {
        Some(Conflict::Blocks)
    } else if earlier.epoch < clock.now
        || earlier.thread() == now.thread()
        || (warp(earlier) == warp(now) && earlier.warp_epoch != now.warp_epoch)
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
