//! Loads and stores: every one is checked for its bounds, its alignment, whether the bytes it
//! reads were ever written, and whether another thread or block touched them unordered.

use crate::checks::{Clash, Clock, Conflict, Shadow, Stamp};
use crate::convert::extend;
use crate::error::FaultKind;
use crate::exec::{Trap, position};
use crate::instruction::{Access, Kernel, Lanes, Space};
use crate::memory::Memory;
use crate::traffic::Traffic;
use crate::warp::lanes;

/// All that a kernel's instructions can address while one block runs.
pub(crate) struct Window<'a> {
    pub memory: &'a mut Memory,
    pub shared: Vec<u8>,
    pub shadow: Shadow,
    pub params: &'a [u8],
    pub constants: &'a [u8],
    pub clock: Clock,
    pub kernel: &'a Kernel,
    pub grid: [u32; 3],
    /// The epoch in which each block so far began.
    pub starts: Vec<u64>,
    /// For each instruction that moves data, what it has moved.
    pub traffic: Vec<Option<Traffic>>,
}

impl Window<'_> {
    pub fn begin_block(&mut self) {
        self.barrier();
        self.clock.block = self.clock.now;
        self.starts.push(self.clock.now);
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
                .and_then(|()| self.write(access.space, address, &bytes[..size], stamp))
                .map_err(|kind| trap(stamp, address, kind))?;
        }
        Ok(())
    }

    fn count(&mut self, access: &Access, regs: &[Lanes], active: u32, stamp: Stamp) {
        if let Some(traffic) = &mut self.traffic[stamp.pc as usize] {
            let addresses =
                regs[access.base as usize].map(|at| at.wrapping_add_signed(access.offset));
            traffic.request(&addresses, active, access.bytes());
        }
    }

    fn stamp(&self, stamp: Stamp, lane: usize) -> Stamp {
        Stamp { epoch: self.clock.now, thread: stamp.thread + lane as u16, ..stamp }
    }

    fn check(&self, access: &Access, address: u64) -> Result<(), FaultKind> {
        let size = access.bytes();
        if address.is_multiple_of(size as u64) { Ok(()) } else { Err(FaultKind::Misaligned(size)) }
    }

    fn read(
        &mut self,
        space: Space,
        address: u64,
        out: &mut [u8],
        stamp: Stamp,
    ) -> Result<(), FaultKind> {
        let size = out.len();
        match space {
            Space::Param => {
                out.copy_from_slice(within("the parameters", self.params, address, size)?)
            }
            Space::Const => {
                out.copy_from_slice(within("the constants", self.constants, address, size)?)
            }
            Space::Shared => {
                out.copy_from_slice(within("shared memory", &self.shared, address, size)?);
                let clash =
                    touch(&mut self.shadow, address as usize, size, stamp, &self.clock, false);
                let block = self.clock.block;
                let cells = self.shadow.cells(address as usize, size);
                let unwritten = cells.into_iter().any(|c| self.shadow.cell(c).written() < block);
                if unwritten {
                    return Err(FaultKind::Uninitialised);
                }
                self.report(clash.filter(|clash| clash.conflict == Conflict::Threads))?;
            }
            Space::Global => {
                let found = self.memory.locate(address, size);
                let (allocation, at) = found.map_err(FaultKind::OutOfBounds)?;
                out.copy_from_slice(&allocation.bytes[at..at + size]);
                if allocation.written[at..at + size].contains(&false) {
                    return Err(FaultKind::Uninitialised);
                }
                let clash = touch(&mut allocation.shadow, at, size, stamp, &self.clock, false);
                self.report(clash)?;
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        space: Space,
        address: u64,
        bytes: &[u8],
        stamp: Stamp,
    ) -> Result<(), FaultKind> {
        let size = bytes.len();
        if space == Space::Shared {
            within("shared memory", &self.shared, address, size)?;
            let at = address as usize;
            self.shared[at..at + size].copy_from_slice(bytes);
            let clash = touch(&mut self.shadow, at, size, stamp, &self.clock, true);
            return self.report(clash.filter(|clash| clash.conflict == Conflict::Threads));
        }
        let found = self.memory.locate(address, size);
        let (allocation, at) = found.map_err(FaultKind::OutOfBounds)?;
        allocation.bytes[at..at + size].copy_from_slice(bytes);
        allocation.written[at..at + size].fill(true);
        let clash = touch(&mut allocation.shadow, at, size, stamp, &self.clock, true);
        self.report(clash)
    }

    /// Turns a clash into a fault that names the other access.
    fn report(&self, clash: Option<Clash>) -> Result<(), FaultKind> {
        let Some(Clash { conflict, earlier, earlier_wrote }) = clash else { return Ok(()) };
        let did = if earlier_wrote { "wrote" } else { "read" };
        let line = self.kernel.code.get(earlier.pc as usize).map_or(0, |i| i.line);
        Err(match conflict {
            Conflict::Threads => FaultKind::Race(format!(
                "thread {} of the block {did} it at line {line}, with no barrier between",
                earlier.thread
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

fn trap(stamp: Stamp, address: u64, kind: FaultKind) -> Trap {
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
    stamp: Stamp,
    clock: &Clock,
    write: bool,
) -> Option<Clash> {
    let mut clash = None;
    for cell in shadow.cells(at, size) {
        let found = shadow.cell(cell).access(stamp, clock, write);
        clash = clash.or(found);
    }
    clash
}
