//! Thirty-two threads that share an instruction.
//!
//! Where the lanes of a warp part, those with the smallest program counter go first, until they
//! meet the others again: that is where the branches of structured code reconverge.

use std::array::from_fn;

use crate::access::Window;
use crate::alu;
use crate::checks::Stamp;
use crate::convert::convert;
use crate::copies::Copies;
use crate::error::FaultKind;
use crate::exec::{Stats, Trap};
use crate::instruction::{Guard, Instruction, Join, Kernel, LANES, Lanes, Op, Reg, Shuffle, Vote};

/// A warp that executes more instructions than this will not end.
const MOST_STEPS: u64 = 1 << 24;

/// The state of a warp.
pub(crate) struct Warp {
    pub regs: Vec<Lanes>,
    pc: [usize; LANES],
    /// One bit for each thread that has not exited.
    pub live: u32,
    /// The barrier the warp waits at, and the instruction.
    pub barrier: Option<(u64, usize)>,
    /// The first thread's linear index in the block.
    pub first: u16,
    /// When it last passed a barrier of its own.
    synced: u32,
    steps: u64,
    copies: Copies,
}

/// Whether the active lanes may go on with the next instruction.
enum Next {
    Sequential,
    Look,
}

impl Warp {
    pub fn new(registers: usize, first: u16, live: u32) -> Self {
        let regs = vec![[0; LANES]; registers];
        let copies = Copies::default();
        Self { regs, pc: [0; LANES], live, barrier: None, first, synced: 0, steps: 0, copies }
    }

    /// Runs until every thread has exited or waits at a barrier.
    pub fn run(
        &mut self,
        kernel: &Kernel,
        window: &mut Window,
        stats: &mut Stats,
    ) -> Result<(), Trap> {
        window.clock.synced = self.synced;
        while self.live != 0 && self.barrier.is_none() {
            let pc = lanes(self.live).map(|lane| self.pc[lane]).min().unwrap_or_default();
            let active = mask(lanes(self.live).filter(|lane| self.pc[*lane] == pc));
            let others = lanes(self.live & !active).map(|lane| self.pc[lane]).min();
            self.stretch(kernel, pc, active, others.unwrap_or(usize::MAX), window, stats)?;
        }
        Ok(())
    }

    /// Runs the active lanes until they branch, wait, or meet the next of the others.
    fn stretch(
        &mut self,
        kernel: &Kernel,
        mut pc: usize,
        active: u32,
        meet: usize,
        window: &mut Window,
        stats: &mut Stats,
    ) -> Result<(), Trap> {
        while pc != meet {
            let instruction = &kernel.code[pc];
            self.steps += 1;
            stats.warp_instructions += 1;
            stats.issued[pc].1 += 1;
            stats.thread_instructions += u64::from(active.count_ones());
            if self.steps > MOST_STEPS {
                return Err(self.trap(pc, active, FaultKind::Endless(MOST_STEPS)));
            }
            match self.execute(instruction, pc, active, window)? {
                Next::Sequential => pc += 1,
                Next::Look => return Ok(()),
            }
        }
        lanes(active).for_each(|lane| self.pc[lane] = pc);
        Ok(())
    }

    fn trap(&self, pc: usize, lanes: u32, kind: FaultKind) -> Trap {
        let lane = lanes.trailing_zeros().min(LANES as u32 - 1) as u16;
        Trap { pc, thread: self.first + lane, address: None, kind }
    }

    /// The lanes of a mask in which a predicate holds.
    fn holds(&self, guard: Guard, among: u32) -> u32 {
        let values = &self.regs[guard.reg as usize];
        mask(lanes(among).filter(|lane| (values[*lane] != 0) != guard.negated))
    }

    fn set(&mut self, reg: Reg, values: &Lanes, active: u32) {
        let target = &mut self.regs[reg as usize];
        if active == u32::MAX {
            *target = *values;
        } else {
            lanes(active).for_each(|lane| target[lane] = values[lane]);
        }
    }

    fn get(&self, reg: Reg) -> &Lanes {
        &self.regs[reg as usize]
    }

    fn execute(
        &mut self,
        instruction: &Instruction,
        pc: usize,
        all: u32,
        window: &mut Window,
    ) -> Result<Next, Trap> {
        let active = instruction.guard.map_or(all, |guard| self.holds(guard, all));
        match &instruction.op {
            Op::Alu { run, dst, src, flush, saturate } => {
                let out = self.alu(*run, *src, *flush, *saturate);
                self.set(*dst, &out, active);
            }
            Op::Convert { how, dst, src } => {
                let out = self.get(*src).map(|bits| convert(how, bits));
                self.set(*dst, &out, active);
            }
            Op::Compare { run, dst, other, src: [a, b], join, flush } => {
                let out = self.alu(*run, [*a, *b, *b], *flush, false);
                self.compare(&out, *dst, *other, *join, active);
            }
            Op::Pack { dst, parts, bits } => {
                let out = from_fn(|lane| {
                    let join = |all, part: &Reg| (all << bits) | self.get(*part)[lane];
                    parts.iter().rev().fold(0, join)
                });
                self.set(*dst, &out, active);
            }
            Op::Unpack { parts, src, bits } => {
                let whole = *self.get(*src);
                for (i, part) in parts.iter().enumerate() {
                    let Some(part) = part else { continue };
                    let out = whole.map(|v| (v >> (*bits as usize * i)) & ((1 << bits) - 1));
                    self.set(*part, &out, active);
                }
            }
            Op::Load(access) => {
                let stamp = self.stamp(pc);
                window.load(access, &mut self.regs, active, stamp)?;
            }
            Op::Store(access) => {
                let stamp = self.stamp(pc);
                window.store(access, &self.regs, active, stamp)?;
            }
            Op::Atomic { access, run, dst, src } => {
                let now = (active, self.stamp(pc));
                let old = window.update(access, &self.regs, (*run, *src), now)?;
                if let Some(dst) = dst {
                    self.set(*dst, &old, active);
                }
            }
            Op::Copy(copy) => {
                let now = (active, self.stamp(pc));
                self.copies.begin(copy, &self.regs, now, window)?;
            }
            Op::CopyCommit => self.copies.commit(active),
            Op::CopyWait { but } => {
                if but.is_none() {
                    self.copies.commit(active);
                }
                let now = (active, self.stamp(pc));
                self.copies.wait(but.unwrap_or(0), now, window)?;
            }
            Op::Product(product) => {
                self.whole("a product", active, pc)?;
                let out = product.compute(&self.regs);
                product.d.iter().zip(&out).for_each(|(reg, lanes)| self.set(*reg, lanes, active));
            }
            Op::Matrices(rows) => {
                self.whole("a load of matrices", active, pc)?;
                let stamp = self.stamp(pc);
                window.load_matrices(rows, &mut self.regs, stamp)?;
            }
            Op::WarpBarrier { members } => {
                self.members(*members, active, pc)?;
                self.synced = window.tick();
                window.clock.synced = self.synced;
            }
            Op::Fence => {}
            _ => return self.control(&instruction.op, pc, all, active),
        }
        Ok(Next::Sequential)
    }

    /// Refuses to go on without all lanes.
    fn whole(&self, what: &str, active: u32, pc: usize) -> Result<(), Trap> {
        if active == u32::MAX {
            return Ok(());
        }
        let text = format!("{what} needs all 32 lanes, {active:#010x} are there");
        Err(self.trap(pc, !active, FaultKind::WarpMembers(text)))
    }

    /// The stamp of an access by the warp's first lane.
    fn stamp(&self, pc: usize) -> Stamp {
        Stamp { time: 0, pc: pc as u16, thread: self.first }
    }

    /// Instructions by which lanes part, wait or speak to one another.
    fn control(&mut self, op: &Op, pc: usize, all: u32, active: u32) -> Result<Next, Trap> {
        match op {
            Op::Branch { target } => {
                if active == 0 {
                    return Ok(Next::Sequential);
                }
                lanes(all).for_each(|lane| self.pc[lane] = pc + 1);
                lanes(active).for_each(|lane| self.pc[lane] = *target);
                return Ok(Next::Look);
            }
            Op::Exit => {
                if active == 0 {
                    return Ok(Next::Sequential);
                }
                if let Some((lane, copy)) = self.copies.unfinished(active) {
                    let text = "the thread ends and has not waited for it".to_owned();
                    return Err(self.trap(copy as usize, 1 << lane, FaultKind::AsyncCopy(text)));
                }
                lanes(all).for_each(|lane| self.pc[lane] = pc + 1);
                self.live &= !active;
                return Ok(Next::Look);
            }
            Op::Barrier { id } => {
                if active != self.live {
                    let missing = self.live & !active;
                    let text = format!(
                        "of the warp's {} running threads {} are not there",
                        self.live.count_ones(),
                        missing.count_ones()
                    );
                    return Err(self.trap(pc, missing, FaultKind::DivergentBarrier(text)));
                }
                lanes(all).for_each(|lane| self.pc[lane] = pc + 1);
                self.barrier = Some((*id, pc));
                return Ok(Next::Look);
            }
            Op::Shuffle { how, dst, inside, src, lane, clamp, members } => {
                self.members(*members, active, pc)?;
                self.shuffle(*how, [*dst, *src, *lane, *clamp], *inside, active, pc)?;
            }
            Op::Vote { how, dst, src, members } => {
                self.members(*members, active, pc)?;
                let ballot = self.holds(*src, active);
                let result = match how {
                    Vote::All => u32::from(ballot == active),
                    Vote::Any => u32::from(ballot != 0),
                    Vote::Uniform => u32::from(ballot == active || ballot == 0),
                    Vote::Ballot => ballot,
                };
                self.set(*dst, &[result.into(); LANES], active);
            }
            Op::ActiveMask { dst } => self.set(*dst, &[active.into(); LANES], active),
            _ => {}
        }
        Ok(Next::Sequential)
    }

    fn alu(
        &self,
        run: crate::instruction::WarpFn,
        src: [Reg; 3],
        flush: bool,
        saturate: bool,
    ) -> Lanes {
        let mut out = if flush {
            let mut inputs = src.map(|reg| *self.get(reg));
            inputs.iter_mut().for_each(alu::flush);
            run(inputs.each_ref())
        } else {
            run(src.map(|reg| self.get(reg)))
        };
        if flush {
            alu::flush(&mut out);
        }
        if saturate {
            alu::saturate(&mut out);
        }
        out
    }

    fn compare(
        &mut self,
        out: &Lanes,
        dst: Reg,
        other: Option<Reg>,
        join: Option<(Join, Guard)>,
        active: u32,
    ) {
        let with = |bit: u64, lane: usize| match join {
            None => bit,
            Some((join, guard)) => {
                let second = u64::from((self.get(guard.reg)[lane] != 0) != guard.negated);
                match join {
                    Join::And => bit & second,
                    Join::Or => bit | second,
                    Join::Xor => bit ^ second,
                }
            }
        };
        let result: Lanes = from_fn(|lane| with(out[lane], lane));
        let opposite: Lanes = from_fn(|lane| with(1 - out[lane], lane));
        self.set(dst, &result, active);
        if let Some(other) = other {
            self.set(other, &opposite, active);
        }
    }

    /// Checks that each lane here names exactly the lanes that are here.
    fn members(&self, members: Reg, active: u32, pc: usize) -> Result<(), Trap> {
        for lane in lanes(active) {
            let named = self.get(members)[lane] as u32;
            if named != active {
                let text = format!("the lanes {named:#010x} are named, {active:#010x} are there");
                return Err(self.trap(pc, 1 << lane, FaultKind::WarpMembers(text)));
            }
        }
        Ok(())
    }

    fn shuffle(
        &mut self,
        how: Shuffle,
        [dst, src, lane, clamp]: [Reg; 4],
        inside: Option<Reg>,
        active: u32,
        pc: usize,
    ) -> Result<(), Trap> {
        let (mut values, mut found): (Lanes, Lanes) = (*self.get(src), [0; LANES]);
        for i in lanes(active) {
            let by = self.get(lane)[i] as i64 & 31;
            let clamp = self.get(clamp)[i] as i64;
            let segment = (clamp >> 8) & 31;
            let me = i as i64;
            let last = (me & segment) | (clamp & 31 & !segment);
            let (from, ok) = match how {
                Shuffle::Up => (me - by, me - by >= last),
                Shuffle::Down => (me + by, me + by <= last),
                Shuffle::Butterfly => (me ^ by, (me ^ by) <= last),
                Shuffle::Index => {
                    let from = (me & segment) | (by & !segment);
                    (from, from <= last)
                }
            };
            let from = if ok { from as usize } else { i };
            if active & (1 << from) == 0 {
                let text = format!("a shuffle reads lane {from}, which is not there");
                return Err(self.trap(pc, 1 << i, FaultKind::WarpMembers(text)));
            }
            values[i] = self.get(src)[from];
            found[i] = ok.into();
        }
        self.set(dst, &values, active);
        if let Some(inside) = inside {
            self.set(inside, &found, active);
        }
        Ok(())
    }
}

/// The lanes of a mask, lowest first.
pub(crate) fn lanes(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        (mask != 0).then(|| {
            mask &= mask - 1;
            lane
        })
    })
}

fn mask(lanes: impl Iterator<Item = usize>) -> u32 {
    lanes.fold(0, |mask, lane| mask | 1 << lane)
}
