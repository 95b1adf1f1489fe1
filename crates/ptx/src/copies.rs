//! `cp.async`: copies from global to shared memory that go on while a thread does other things.
//!
//! A thread's copies form groups, which it closes with `commit_group` and waits for by their
//! number from the last. When a copy really happens nobody knows, so here its bytes land only when
//! its thread waits for it, and any access to them before is a fault: by then a card may have
//! written all, some or none of them. A wait that counts one group too few is found at the first
//! read.

use std::collections::VecDeque;

use crate::access::{Window, trap};
use crate::checks::Stamp;
use crate::error::FaultKind;
use crate::exec::Trap;
use crate::instruction::{AsyncCopy, LANES, Lanes};
use crate::warp::lanes;

/// The bytes of a copy on its way.
struct Pending {
    group: u64,
    to: u64,
    bytes: Vec<u8>,
    pc: u16,
}

/// A thread's copies on their way, and how many groups it has closed.
#[derive(Default)]
struct Thread {
    groups: u64,
    pending: VecDeque<Pending>,
}

/// The copies of a warp's threads.
#[derive(Default)]
pub(crate) struct Copies {
    /// Empty until the first copy: most kernels have none.
    threads: Vec<Thread>,
}

impl Copies {
    /// Begins one copy in each active lane.
    pub fn begin(
        &mut self,
        copy: &AsyncCopy,
        regs: &[Lanes],
        (active, stamp): (u32, Stamp),
        window: &mut Window,
    ) -> Result<(), Trap> {
        self.threads.resize_with(LANES, Thread::default);
        let reads = |lane: &usize| copy.read.is_none_or(|reg| regs[reg as usize][*lane] != 0);
        let reading = lanes(active).filter(reads).fold(0, |mask, lane| mask | 1 << lane);
        let from = regs[copy.from.0 as usize].map(|at| at.wrapping_add_signed(copy.from.1));
        let to = regs[copy.to.0 as usize].map(|at| at.wrapping_add_signed(copy.to.1));
        window.request(&from, (copy.bytes, false), (reading, stamp));
        window.request(&to, (copy.bytes, true), (active, stamp));
        for lane in lanes(active) {
            let value = |reg| regs[reg as usize][lane];
            let read = copy.read.map_or(copy.bytes, |reg| value(reg) as u32 as usize);
            let (to, from) = (to[lane], from[lane]);
            let mut bytes = vec![0; copy.bytes];
            let stamp = window.stamp(stamp, lane);
            if read > copy.bytes {
                let text = format!("{read} bytes to read for a copy of {}", copy.bytes);
                return Err(trap(stamp, from, FaultKind::AsyncCopy(text)));
            }
            window.fetch(from, &mut bytes, read, stamp)?;
            window.launch_copy(to, copy.bytes, stamp)?;
            let thread = &mut self.threads[lane];
            thread.pending.push_back(Pending { group: thread.groups, to, bytes, pc: stamp.pc });
        }
        Ok(())
    }

    /// Closes the group of each active lane.
    pub fn commit(&mut self, active: u32) {
        self.threads.resize_with(LANES, Thread::default);
        lanes(active).for_each(|lane| self.threads[lane].groups += 1);
    }

    /// Lands the copies of each active lane but those of its last `but` closed groups.
    pub fn wait(
        &mut self,
        but: u64,
        (active, stamp): (u32, Stamp),
        window: &mut Window,
    ) -> Result<(), Trap> {
        if self.threads.is_empty() {
            return Ok(());
        }
        for lane in lanes(active) {
            let thread = &mut self.threads[lane];
            let stamp = window.stamp(stamp, lane);
            while let Some(first) = thread.pending.front() {
                if first.group.saturating_add(but) >= thread.groups {
                    break;
                }
                window.land(first.to, &first.bytes, Stamp { pc: first.pc, ..stamp })?;
                thread.pending.pop_front();
            }
        }
        Ok(())
    }

    /// The first of some lanes with a copy that it has not waited for, and the copy's instruction.
    pub fn unfinished(&self, among: u32) -> Option<(usize, u16)> {
        let mut threads = self.threads.iter().enumerate();
        threads.find_map(|(lane, thread)| {
            let first = thread.pending.front().filter(|_| among >> lane & 1 == 1)?;
            Some((lane, first.pc))
        })
    }
}
