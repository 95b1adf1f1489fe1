//! Loads and stores: every one is checked for its bounds, its alignment, whether the bytes it
//! reads were ever written, and whether another thread or block touched them unordered.

use crate::alu::Update;
use crate::checks::{Cell, Clash, Clock, Conflict, Kind, Shadow, Stamp};
use crate::convert::extend;
use crate::error::FaultKind;
use crate::exec::{Trap, position};
use crate::instruction::{Access, Kernel, LANES, Lanes, Op, Reg, Space};
use crate::matrix::Rows;
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
    pub traffic: Vec<[Option<Traffic>; 2]>,
}

impl Window<'_> {
    pub fn begin_block(&mut self) {
        self.barrier();
        self.clock.block = self.clock.now;
        self.blocks.starts.push(self.clock.now);
    }

    /// Separates what the block did from what it does now.
    pub fn barrier(&mut self) {
        self.clock.barrier = self.tick();
    }

    /// Moves time on and gives it.
    pub fn tick(&mut self) -> u32 {
        self.memory.time = self.memory.time.saturating_add(1);
        self.clock.now = self.memory.time;
        self.clock.now
    }

    pub fn load(
        &mut self,
        access: &Access,
        regs: &mut [Lanes],
        active: u32,
        stamp: Stamp,
    ) -> Result<(), Trap> {
        let (size, bits) = (access.bytes(), access.ty.bits);
        let widens = access.reg_bits > bits;
        let first = active.trailing_zeros() as usize;
        let (mut last, mut repeated, mut word) = (0, false, 0);
        self.count(access, regs, active, stamp);
        for lane in lanes(active) {
            let address = address(access, regs, lane);
            let stamp = self.stamp(stamp, lane);
            // Where lanes share an address, what two of them may read all may, and their stamps say
            // all that is to be known.
            let again = address == last;
            if lane == first || !(again && repeated) {
                word = self
                    .aligned(address, size)
                    .and_then(|()| self.read(access.space, address, size, stamp))
                    .map_err(|kind| trap(stamp, address, kind))?;
                repeated = again && lane != first;
                last = address;
            }
            let mut word = word;
            for reg in &access.regs {
                if let Some(reg) = reg {
                    let value = word as u64 & (u64::MAX >> (64 - bits));
                    regs[*reg as usize][lane] = match widens {
                        true => extend(access.ty, access.reg_bits, value.into()),
                        false => value,
                    };
                }
                word >>= bits;
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
        let (size, bits) = (access.bytes(), access.ty.bits);
        self.count(access, regs, active, stamp);
        for lane in lanes(active) {
            let address = address(access, regs, lane);
            let stamp = self.stamp(stamp, lane);
            let mut word = 0;
            for reg in access.regs.iter().rev() {
                let value = reg.map_or(0, |reg| regs[reg as usize][lane]);
                word = (word << bits) | u128::from(value & (u64::MAX >> (64 - bits)));
            }
            self.aligned(address, size)
                .and_then(|()| self.reach(access.space, address, size, (stamp, Kind::Write)))
                .map(|target| pack(word, target))
                .map_err(|kind| trap(stamp, address, kind))?;
        }
        Ok(())
    }

    /// Loads matrices whose rows the lanes name. Each lane reads the words that it receives.
    pub fn load_matrices(
        &mut self,
        rows: &Rows,
        regs: &mut [Lanes],
        stamp: Stamp,
    ) -> Result<(), Trap> {
        let (base, offset) = rows.from;
        let addresses = regs[base as usize].map(|at| at.wrapping_add_signed(offset));
        self.request(&addresses, (16, false), (rows.naming(), stamp));
        for (matrix, reg) in rows.to.iter().enumerate() {
            for lane in lanes(u32::MAX) {
                let namer = 8 * matrix + lane / 4;
                let row = addresses[namer];
                self.aligned(row, 16).map_err(|kind| trap(self.stamp(stamp, namer), row, kind))?;
                let (address, stamp) = (row + 4 * (lane as u64 % 4), self.stamp(stamp, lane));
                let word = self.read(Space::Shared, address, 4, stamp);
                let word = word.map_err(|kind| trap(stamp, address, kind))?;
                regs[*reg as usize][lane] = word as u64;
            }
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
                .aligned(address, size)
                .and_then(|()| self.reach(access.space, address, size, (stamp, Kind::Atomic)))
                .map_err(|kind| trap(stamp, address, kind))?;
            let old = unpack(bytes) as u64;
            let new = run([old, regs[src[0] as usize][lane], regs[src[1] as usize][lane]]);
            pack(new.into(), bytes);
            all[lane] = old;
        }
        Ok(all)
    }

    fn count(&mut self, access: &Access, regs: &[Lanes], active: u32, stamp: Stamp) {
        let addresses = regs[access.base as usize].map(|at| at.wrapping_add_signed(access.offset));
        let store = matches!(self.kernel.code[stamp.pc as usize].op, Op::Store(_));
        self.request(&addresses, (access.bytes(), store), (active, stamp));
    }

    /// Counts what a warp's request costs: a load or a store of some bytes at each lane's address.
    pub fn request(
        &mut self,
        addresses: &Lanes,
        (bytes, store): (usize, bool),
        (active, stamp): (u32, Stamp),
    ) {
        if let Some(traffic) = &mut self.traffic[stamp.pc as usize][usize::from(store)] {
            traffic.request(addresses, active, bytes);
        }
    }

    pub fn stamp(&self, stamp: Stamp, lane: usize) -> Stamp {
        Stamp { time: self.clock.now, thread: stamp.thread + lane as u16, ..stamp }
    }

    /// Refuses an address that is not a multiple of an access's size, which is a power of two.
    #[inline]
    fn aligned(&self, address: u64, size: usize) -> Result<(), FaultKind> {
        if address & (size as u64 - 1) == 0 { Ok(()) } else { Err(FaultKind::Misaligned(size)) }
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
            _ => self
                .reach(Space::Global, from, count, (stamp, Kind::Read))
                .map(|source| bytes[..count].copy_from_slice(source)),
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
        match flying.find(|stamp| stamp.time != 0) {
            None => Ok(()),
            Some(copy) => Err(FaultKind::AsyncCopy(format!(
                "thread {} copies to these bytes at line {} and has not waited for it",
                copy.thread(),
                self.kernel.code.get(copy.pc as usize).map_or(0, |i| i.line)
            ))),
        }
    }

    /// Checks an access and gives the bytes that it is about.
    #[inline]
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
            let cells = self.shadow.cells(at, size);
            let block = self.clock.block;
            if kind != Kind::Write && cells.iter().any(|cell| cell.written() < block) {
                return Err(FaultKind::Uninitialised);
            }
            // Each block has its own shared memory: what others did here is as if launches ago.
            let clock = Clock { launch: block, ..self.clock };
            if let Some(clash) = touch(cells, &clock, (stamp, kind)) {
                return Err(self.blocks.report(clash, self.kernel));
            }
            return Ok(&mut self.shared[at..at + size]);
        }
        let found = self.memory.locate(address, size);
        let (allocation, at) = found.map_err(FaultKind::OutOfBounds)?;
        if kind == Kind::Write {
            allocation.written[at..at + size].fill(true);
        } else if allocation.written[at..at + size].contains(&false) {
            return Err(FaultKind::Uninitialised);
        }
        if let Some(clash) = touch(allocation.shadow.cells(at, size), &self.clock, (stamp, kind)) {
            return Err(self.blocks.report(clash, self.kernel));
        }
        Ok(&mut allocation.bytes[at..at + size])
    }

    fn read(
        &mut self,
        space: Space,
        address: u64,
        size: usize,
        stamp: Stamp,
    ) -> Result<u128, FaultKind> {
        Ok(match space {
            Space::Param => unpack(within("the parameters", self.params, address, size)?),
            Space::Const => unpack(within("the constants", self.constants, address, size)?),
            _ => unpack(self.reach(space, address, size, (stamp, Kind::Read))?),
        })
    }
}

/// The value of up to 16 bytes, little end first. The usual lengths are spelt out, for a copy of
/// a length that is not known is a call.
#[inline]
fn unpack(bytes: &[u8]) -> u128 {
    if let Ok(four) = bytes.try_into() {
        return u32::from_le_bytes(four).into();
    }
    if let Ok(eight) = bytes.try_into() {
        return u64::from_le_bytes(eight).into();
    }
    bytes.try_into().map(u128::from_le_bytes).unwrap_or_else(|_| {
        bytes.iter().rev().fold(0, |word, byte| (word << 8) | u128::from(*byte))
    })
}

/// Writes a value's low bytes; the inverse of [`unpack`].
#[inline]
fn pack(word: u128, bytes: &mut [u8]) {
    let all = word.to_le_bytes();
    match bytes.len() {
        4 => bytes[..4].copy_from_slice(&all[..4]),
        8 => bytes[..8].copy_from_slice(&all[..8]),
        16 => bytes[..16].copy_from_slice(&all),
        len => bytes.copy_from_slice(&all[..len]),
    }
}

/// The grid's shape and the time at which each block so far began.
pub(crate) struct Blocks {
    pub grid: [u32; 3],
    pub starts: Vec<u32>,
}

impl Blocks {
    /// Turns a clash into a fault that names the other access.
    #[cold]
    fn report(&self, Clash { conflict, earlier, did }: Clash, kernel: &Kernel) -> FaultKind {
        let line = kernel.code.get(earlier.pc as usize).map_or(0, |i| i.line);
        match conflict {
            Conflict::Threads => FaultKind::Race(format!(
                "thread {} of the block {did} it at line {line}, with no barrier between",
                earlier.thread()
            )),
            Conflict::Blocks => {
                let number = self.starts.partition_point(|start| *start <= earlier.time);
                let block = position(number.saturating_sub(1) as u32, self.grid);
                FaultKind::BlockConflict(format!("block {block:?} {did} it at line {line}"))
            }
        }
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

/// Records an access to some cells, up to the first clash.
#[inline]
fn touch(cells: &mut [Cell], clock: &Clock, (stamp, kind): (Stamp, Kind)) -> Option<Clash> {
    cells.iter_mut().find_map(|cell| cell.access(stamp, clock, kind))
}
