//! Loads and stores: every one is checked for its bounds, its alignment, whether the bytes it
//! reads were ever written, and whether another thread or block touched them unordered.

use crate::alu::Update;
use crate::checks::{Clash, Clock, Conflict, Kind, Shadow, Stamp};
use crate::convert::extend;
use crate::error::FaultKind;
use crate::exec::{Trap, position};
use crate::instruction::{Access, Kernel, LANES, Lanes, Reg, Space};
use crate::memory::Memory;
use crate::traffic::Traffic;
use crate::warp::lanes;

/// All that a kernel's instructions can address while one block runs.
pub(crate) struct Window<'a> {
    pub memory: &'a mut Memory,
    pub shared: Vec<u8>,
    pub shadow: Shadow,
    /// For each word of shared memory the asynchronous copy on its way there; empty without any.
    pub flying: Vec<Stamp>,
    pub params: &'a [u8],
    pub constants: &'a [u8],
    pub clock: Clock,
    pub kernel: &'a Kernel,
    pub blocks: Blocks,
    /// For each instruction that moves data, what it has moved.
    pub traffic: Vec<Option<Traffic>>,
}

impl Window<'_> {
    pub fn begin_block(&mut self) {
        self.barrier();
        self.clock.block = self.clock.now;
        self.blocks.starts.push(self.clock.now);
    }

    /// Begins a new epoch.
    pub fn barrier(&mut self) {
        self.memory.epoch += 1;
        self.clock.now = self.memory.epoch;
    }

    pub fn load(
        &mut self,
        access: &Access,
        regs: &mut [Lanes],
        active: u32,
        stamp: Stamp,
    ) -> Result<(), Trap> {
        let mut bytes = [0; 16];
        let (size, step) = (access.bytes(), access.ty.bytes());
        self.count(access, regs, active, stamp);
        for lane in lanes(active) {
            let address = address(access, regs, lane);
            let stamp = self.stamp(stamp, lane);
            self.check(access, address)
                .and_then(|()| self.read(access.space, address, &mut bytes[..size], stamp))
                .map_err(|kind| trap(stamp, address, kind))?;
            for (reg, element) in access.regs.iter().zip(bytes.chunks_exact(step)) {
                let Some(reg) = reg else { continue };
                let mut wide = [0; 8];
                wide[..step].copy_from_slice(element);
                let value = i128::from(u64::from_le_bytes(wide));
                regs[*reg as usize][lane] = extend(access.ty, access.reg_bits, value);
            }
        }
        Ok(())
    }

    pub fn store(
        &mut self,
        access: &Access,
        regs: &[Lanes],
        active: u32,
        stamp: Stamp,
    ) -> Result<(), Trap> {
        let mut bytes = [0; 16];
        let (size, step) = (access.bytes(), access.ty.bytes());
        self.count(access, regs, active, stamp);
        for lane in lanes(active) {
            let address = address(access, regs, lane);
            let stamp = self.stamp(stamp, lane);
            for (reg, element) in access.regs.iter().zip(bytes.chunks_exact_mut(step)) {
                let value = reg.map_or(0, |reg| regs[reg as usize][lane]);
                element.copy_from_slice(&value.to_le_bytes()[..step]);
            }
            self.check(access, address)
                .and_then(|()| self.reach(access.space, address, size, (stamp, Kind::Write)))
                .map(|target| target.copy_from_slice(&bytes[..size]))
                .map_err(|kind| trap(stamp, address, kind))?;
        }
        Ok(())
    }

    /// Updates memory lane by lane and gives the old values.
    pub fn update(
        &mut self,
        access: &Access,
        regs: &[Lanes],
        (run, src): (Update, [Reg; 2]),
        (active, stamp): (u32, Stamp),
    ) -> Result<Lanes, Trap> {
        let (size, mut all) = (access.bytes(), [0; LANES]);
        for lane in lanes(active) {
            let address = address(access, regs, lane);
            let stamp = self.stamp(stamp, lane);
            let bytes = self
                .check(access, address)
                .and_then(|()| self.reach(access.space, address, size, (stamp, Kind::Atomic)))
                .map_err(|kind| trap(stamp, address, kind))?;
            let mut old = [0; 8];
            old[..size].copy_from_slice(bytes);
            let old = u64::from_le_bytes(old);
            let new = run([old, regs[src[0] as usize][lane], regs[src[1] as usize][lane]]);
            bytes.copy_from_slice(&new.to_le_bytes()[..size]);
            all[lane] = old;
        }
        Ok(all)
    }

    fn count(&mut self, access: &Access, regs: &[Lanes], active: u32, stamp: Stamp) {
        let addresses = regs[access.base as usize].map(|at| at.wrapping_add_signed(access.offset));
        self.request(&addresses, access.bytes(), active, stamp);
    }

    /// Counts what a warp's request costs.
    pub fn request(&mut self, addresses: &Lanes, bytes: usize, active: u32, stamp: Stamp) {
        if let Some(traffic) = &mut self.traffic[stamp.pc as usize] {
            traffic.request(addresses, active, bytes);
        }
    }

    pub fn stamp(&self, stamp: Stamp, lane: usize) -> Stamp {
        Stamp { epoch: self.clock.now, thread: stamp.thread + lane as u16, ..stamp }
    }

    fn check(&self, access: &Access, address: u64) -> Result<(), FaultKind> {
        self.aligned(address, access.bytes())
    }

    fn aligned(&self, address: u64, size: usize) -> Result<(), FaultKind> {
        if address.is_multiple_of(size as u64) { Ok(()) } else { Err(FaultKind::Misaligned(size)) }
    }

    /// Reads the first bytes of an asynchronous copy from global memory.
    pub fn fetch(
        &mut self,
        from: u64,
        bytes: &mut [u8],
        count: usize,
        stamp: Stamp,
    ) -> Result<(), Trap> {
        let read = self.aligned(from, bytes.len()).and_then(|()| match count {
            0 => Ok(()),
            _ => self.read(Space::Global, from, &mut bytes[..count], stamp),
        });
        read.map_err(|kind| trap(stamp, from, kind))
    }

    /// Marks where an asynchronous copy will land, which nobody else may use before.
    pub fn launch_copy(&mut self, to: u64, size: usize, stamp: Stamp) -> Result<(), Trap> {
        self.aligned(to, size)
            .and_then(|()| self.reach(Space::Shared, to, size, (stamp, Kind::Write)).map(|_| ()))
            .map_err(|kind| trap(stamp, to, kind))?;
        self.flying.resize(self.shared.len().div_ceil(4), Stamp::default());
        self.flying[to as usize / 4..][..size / 4].fill(stamp);
        Ok(())
    }

    /// Lands the bytes of an asynchronous copy.
    pub fn land(&mut self, to: u64, bytes: &[u8], stamp: Stamp) -> Result<(), Trap> {
        self.flying[to as usize / 4..][..bytes.len() / 4].fill(Stamp::default());
        self.reach(Space::Shared, to, bytes.len(), (stamp, Kind::Write))
            .map(|target| target.copy_from_slice(bytes))
            .map_err(|kind| trap(stamp, to, kind))
    }

    /// Refuses an access to bytes of shared memory that a copy is bringing.
    fn settled(&self, at: usize, size: usize) -> Result<(), FaultKind> {
        let words = at / 4..(at + size).div_ceil(4);
        let mut flying = self.flying.get(words).unwrap_or_default().iter();
        match flying.find(|stamp| stamp.epoch != 0) {
            None => Ok(()),
            Some(copy) => Err(FaultKind::AsyncCopy(format!(
                "thread {} copies to these bytes at line {} and has not waited for it",
                copy.thread(),
                self.kernel.code.get(copy.pc as usize).map_or(0, |i| i.line)
            ))),
        }
    }

    /// Checks an access and gives the bytes that it is about.
    fn reach(
        &mut self,
        space: Space,
        address: u64,
        size: usize,
        (stamp, kind): (Stamp, Kind),
    ) -> Result<&mut [u8], FaultKind> {
        if space == Space::Shared {
            within("shared memory", &self.shared, address, size)?;
            let at = address as usize;
            self.settled(at, size)?;
            let clash = touch(&mut self.shadow, at, size, &self.clock, (stamp, kind));
            if kind != Kind::Write && self.unwritten(at, size) {
                return Err(FaultKind::Uninitialised);
            }
            let clash = clash.filter(|clash| clash.conflict == Conflict::Threads);
            self.blocks.report(clash, self.kernel)?;
            return Ok(&mut self.shared[at..at + size]);
        }
        let found = self.memory.locate(address, size);
        let (allocation, at) = found.map_err(FaultKind::OutOfBounds)?;
        if kind == Kind::Write {
            allocation.written[at..at + size].fill(true);
        } else if allocation.written[at..at + size].contains(&false) {
            return Err(FaultKind::Uninitialised);
        }
        let clash = touch(&mut allocation.shadow, at, size, &self.clock, (stamp, kind));
        self.blocks.report(clash, self.kernel)?;
        Ok(&mut allocation.bytes[at..at + size])
    }

    /// Whether this block has left a byte of shared memory unwritten.
    fn unwritten(&mut self, at: usize, size: usize) -> bool {
        let block = self.clock.block;
        let cells = self.shadow.cells(at, size);
        cells.into_iter().any(|cell| self.shadow.cell(cell).written() < block)
    }

    fn read(
        &mut self,
        space: Space,
        address: u64,
        out: &mut [u8],
        stamp: Stamp,
    ) -> Result<(), FaultKind> {
        let size = out.len();
        let bytes = match space {
            Space::Param => within("the parameters", self.params, address, size)?,
            Space::Const => within("the constants", self.constants, address, size)?,
            _ => self.reach(space, address, size, (stamp, Kind::Read))?,
        };
        out.copy_from_slice(bytes);
        Ok(())
    }
}

/// The grid's shape and the epoch in which each block so far began.
pub(crate) struct Blocks {
    pub grid: [u32; 3],
    pub starts: Vec<u64>,
}

impl Blocks {
    /// Turns a clash into a fault that names the other access.
    fn report(&self, clash: Option<Clash>, kernel: &Kernel) -> Result<(), FaultKind> {
        let Some(Clash { conflict, earlier, did }) = clash else { return Ok(()) };
        let line = kernel.code.get(earlier.pc as usize).map_or(0, |i| i.line);
        Err(match conflict {
            Conflict::Threads => FaultKind::Race(format!(
                "thread {} of the block {did} it at line {line}, with no barrier between",
                earlier.thread()
            )),
            Conflict::Blocks => {
                let number = self.starts.partition_point(|start| *start <= earlier.epoch);
                let block = position(number.saturating_sub(1) as u32, self.grid);
                FaultKind::BlockConflict(format!("block {block:?} {did} it at line {line}"))
            }
        })
    }
}

fn address(access: &Access, regs: &[Lanes], lane: usize) -> u64 {
    regs[access.base as usize][lane].wrapping_add_signed(access.offset)
}

pub(crate) fn trap(stamp: Stamp, address: u64, kind: FaultKind) -> Trap {
    Trap { pc: stamp.pc as usize, thread: stamp.thread, address: Some(address), kind }
}

fn within<'a>(
    what: &str,
    bytes: &'a [u8],
    address: u64,
    size: usize,
) -> Result<&'a [u8], FaultKind> {
    let start = usize::try_from(address).unwrap_or(usize::MAX);
    bytes
        .get(start..start.saturating_add(size))
        .ok_or_else(|| FaultKind::OutOfBounds(format!("{what} end at {:#x}", bytes.len())))
}

fn touch(
    shadow: &mut Shadow,
    at: usize,
    size: usize,
    clock: &Clock,
    (stamp, kind): (Stamp, Kind),
) -> Option<Clash> {
    let mut clash = None;
    for cell in shadow.cells(at, size) {
        let found = shadow.cell(cell).access(stamp, clock, kind);
        clash = clash.or(found);
    }
    clash
}
