//! Runs a kernel: block after block, and within a block warp after warp between barriers.
//!
//! The first fault ends the launch.

use std::array::from_fn;
use std::ops::RangeInclusive;

use crate::access::{Blocks, Window};
use crate::checks::{Clock, Shadow};
use crate::error::{Fault, FaultKind, LaunchError};
use crate::instruction::{Kernel, LANES, Op, Space, Special};
use crate::memory::{Memory, Scalar};
use crate::parse::Module;
use crate::traffic::{Traffic, Transfer};
use crate::warp::Warp;

/// The largest block and dynamic shared memory of any card.
const MOST_THREADS: u64 = 1024;
pub(crate) const MOST_SHARED: usize = 227 << 10;

/// A kernel argument: its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg(pub Vec<u8>);

impl<T: Scalar> From<T> for Arg {
    fn from(value: T) -> Self {
        Self(crate::memory::bytes_of(&[value]))
    }
}

/// What a launch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Instructions, counted once for a warp.
    pub warp_instructions: u64,
    /// Instructions, counted once for each active thread.
    pub thread_instructions: u64,
    /// Block-wide barriers that were passed.
    pub barriers: u64,
    /// The lines whose instructions were issued, and how often a warp issued them: of several instructions on one line, the
    /// one that was issued most.
    pub issued: Vec<(u32, u64)>,
    /// The loads and stores of global and shared memory that were executed, in the order of the
    /// text.
    pub traffic: Vec<Traffic>,
}

impl Stats {
    /// All requests of a kind between two lines, such as those of a loop; none if there are none.
    pub fn traffic_in(&self, transfer: Transfer, lines: RangeInclusive<u32>) -> Option<Traffic> {
        let kind = self.traffic.iter().filter(|t| t.transfer == transfer);
        kind.filter(|t| lines.contains(&t.line)).copied().reduce(|mut sum, one| {
            sum.add(&one);
            sum
        })
    }
}

/// The sizes of a launch: grid and block along x, y and z, and dynamic shared memory in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: usize,
}

impl Module {
    /// Runs a kernel to its end. `shared` is the dynamic shared memory in bytes; grid and block
    /// are sizes along x, y and z.
    pub fn launch(
        &self,
        memory: &mut Memory,
        kernel: &str,
        grid: [u32; 3],
        block: [u32; 3],
        shared: usize,
        args: &[Arg],
    ) -> Result<Stats, LaunchError> {
        let refused = |message: String| LaunchError::Refused { kernel: kernel.into(), message };
        let Some(found) = self.kernels.iter().find(|k| k.name == kernel) else {
            return Err(refused(format!("`{}` has no such kernel", self.file)));
        };
        let shape = Shape { grid, block, shared };
        let params = parameters(found, shape, args).map_err(refused)?;
        self.run(memory, found, shape, [&params, &self.constants])
    }

    /// Runs a kernel on checked parameters and the module's constants.
    pub(crate) fn run(
        &self,
        memory: &mut Memory,
        kernel: &Kernel,
        shape: Shape,
        [params, constants]: [&[u8]; 2],
    ) -> Result<Stats, LaunchError> {
        let Shape { grid, block, shared } = shape;
        let (global, local) = granules(kernel);
        memory.prepare(global);
        let clock = Clock { launch: memory.time + 1, ..Clock::default() };
        let mut shadow = Shadow::default();
        let bytes = kernel.static_shared + shared;
        shadow.prepare(bytes, local);
        let mut run = Run {
            kernel,
            grid,
            block,
            stats: Stats {
                issued: kernel.code.iter().map(|i| (i.line, 0)).collect(),
                ..Stats::default()
            },
            window: Window {
                memory,
                shared: vec![0; bytes],
                shadow,
                flying: Vec::new(),
                params,
                constants,
                clock,
                kernel,
                blocks: Blocks { grid, starts: Vec::new() },
                traffic: kernel.code.iter().map(Traffic::of_instruction).collect(),
            },
        };
        for index in indices(grid) {
            run.block(index).map_err(|trap| run.fault(&self.file, index, trap))?;
        }
        run.stats.issued.retain(|(_, count)| *count > 0);
        run.stats.issued.dedup_by(|next, kept| {
            kept.1 = if next.0 == kept.0 { kept.1.max(next.1) } else { kept.1 };
            next.0 == kept.0
        });
        let traffic = run.window.traffic.into_iter().flatten().flatten();
        run.stats.traffic = traffic.filter(|traffic| traffic.requests > 0).collect();
        Ok(run.stats)
    }
}

/// All indices of a grid or block, x fastest.
fn indices(size: [u32; 3]) -> impl Iterator<Item = [u32; 3]> {
    let [x, y, z] = size;
    (0..z).flat_map(move |k| (0..y).flat_map(move |j| (0..x).map(move |i| [i, j, k])))
}

/// The parameter space, if the launch may begin.
pub(crate) fn parameters(kernel: &Kernel, shape: Shape, args: &[Arg]) -> Result<Vec<u8>, String> {
    let Shape { grid, block, shared } = shape;
    let threads = block.iter().map(|n| u64::from(*n)).fold(1, u64::saturating_mul);
    let most = kernel.max_threads.unwrap_or(MOST_THREADS).min(MOST_THREADS);
    if threads == 0 || threads > most || block[2] > 64 {
        return Err(format!("a block of {block:?} threads; 1 to {most} are possible"));
    }
    if grid.contains(&0) || grid[0] > i32::MAX as u32 || grid[1].max(grid[2]) > 65535 {
        return Err(format!(
            "a grid of {grid:?} blocks; up to [2147483647, 65535, 65535] are possible"
        ));
    }
    if kernel.static_shared.saturating_add(shared) > MOST_SHARED {
        return Err(format!("{shared} bytes of dynamic shared memory; the limit is {MOST_SHARED}"));
    }
    if args.len() != kernel.params.len() {
        return Err(format!("{} arguments for {} parameters", args.len(), kernel.params.len()));
    }
    let mut bytes = vec![0; kernel.params.last().map_or(0, |p| p.offset + p.bytes)];
    for (param, arg) in kernel.params.iter().zip(args) {
        if arg.0.len() != param.bytes {
            let (name, got, want) = (&param.name, arg.0.len(), param.bytes);
            return Err(format!("an argument of {got} bytes for parameter `{name}` of {want}"));
        }
        bytes[param.offset..param.offset + param.bytes].copy_from_slice(&arg.0);
    }
    Ok(bytes)
}

/// The smallest global and shared element that the kernel accesses.
fn granules(kernel: &Kernel) -> (usize, usize) {
    let smallest = |space| {
        let accesses = kernel.code.iter().filter_map(|i| match &i.op {
            Op::Load(access) | Op::Store(access) | Op::Atomic { access, .. }
                if access.space == space =>
            {
                Some(access.ty.bytes())
            }
            Op::Copy(_) => Some(4),
            _ => None,
        });
        accesses.min().unwrap_or(4)
    };
    (smallest(Space::Global), smallest(Space::Shared))
}

/// A fault before its place is spelt out.
pub(crate) struct Trap {
    pub pc: usize,
    pub thread: u16,
    pub address: Option<u64>,
    pub kind: FaultKind,
}

struct Run<'a> {
    kernel: &'a Kernel,
    grid: [u32; 3],
    block: [u32; 3],
    stats: Stats,
    window: Window<'a>,
}

impl Run<'_> {
    fn fault(&self, file: &str, block: [u32; 3], trap: Trap) -> LaunchError {
        let line = self.kernel.code.get(trap.pc).map_or(0, |i| i.line);
        let thread = position(trap.thread.into(), self.block);
        let (file, kernel) = (file.to_owned(), self.kernel.name.clone());
        let Trap { address, kind, .. } = trap;
        Box::new(Fault { file, line, kernel, block, thread, address, kind }).into()
    }

    /// Runs one block: every warp up to its next barrier, in turn, until all have ended.
    fn block(&mut self, index: [u32; 3]) -> Result<(), Trap> {
        self.window.begin_block();
        let mut warps = self.warps(index);
        loop {
            for warp in &mut warps {
                warp.run(self.kernel, &mut self.window, &mut self.stats)?;
            }
            let waiting: Vec<_> = warps.iter().filter(|w| w.live != 0).collect();
            let Some(first) = waiting.first() else { return Ok(()) };
            for warp in &waiting {
                if warp.barrier != first.barrier {
                    let (here, other) =
                        (warp.barrier.unwrap_or_default(), first.barrier.unwrap_or_default());
                    let text = format!(
                        "some threads wait at barrier {}, others at barrier {}",
                        here.0, other.0
                    );
                    let kind = FaultKind::DivergentBarrier(text);
                    return Err(Trap { pc: here.1, thread: warp.first, address: None, kind });
                }
            }
            self.stats.barriers += 1;
            self.window.barrier();
            warps.iter_mut().for_each(|warp| warp.barrier = None);
        }
    }

    fn warps(&self, index: [u32; 3]) -> Vec<Warp> {
        let threads = self.block.iter().product::<u32>();
        let starts = (0..threads).step_by(LANES);
        starts.map(|first| self.warp(index, first, (threads - first).min(LANES as u32))).collect()
    }

    fn warp(&self, index: [u32; 3], first: u32, threads: u32) -> Warp {
        let mut warp = Warp::new(self.kernel.registers, first as u16, u32::MAX >> (32 - threads));
        for (reg, bits) in &self.kernel.constants {
            warp.regs[*reg as usize] = [*bits; LANES];
        }
        for (reg, special) in &self.kernel.specials {
            warp.regs[*reg as usize] = from_fn(|lane| {
                let thread = position(first + lane as u32, self.block);
                u64::from(match *special {
                    Special::Thread(axis) => thread[axis],
                    Special::BlockSize(axis) => self.block[axis],
                    Special::Block(axis) => index[axis],
                    Special::GridSize(axis) => self.grid[axis],
                    Special::Lane => lane as u32,
                    Special::Warp => first / LANES as u32,
                    Special::LaneMaskLess => (1 << lane) - 1,
                    Special::LaneMaskLessEqual => (2_u64 << lane).wrapping_sub(1) as u32,
                    Special::LaneMaskEqual => 1 << lane,
                    Special::LaneMaskGreater => !((2_u64 << lane).wrapping_sub(1) as u32),
                    Special::LaneMaskGreaterEqual => !((1 << lane) - 1),
                })
            });
        }
        warp
    }
}

/// Where a linear index lies in a grid or block.
pub(crate) fn position(linear: u32, [x, y, _]: [u32; 3]) -> [u32; 3] {
    [linear % x, linear / x % y, linear / x / y]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_shadows_begins_again_without_false_conflicts() {
        let text = ".visible .entry fill(.param .u64 at) { .reg .u64 %a; .reg .u32 %b, %n;
            ld.param.u64 %a, [at]; mov.u32 %b, %ctaid.x; mad.wide.u32 %a, %b, 4, %a;
            ld.global.u32 %n, [%a]; st.global.u32 [%a], %n; }";
        let module = Module::parse("k.ptx", text).unwrap();
        let mut memory = Memory::new();
        let at = memory.upload(&[1_u32; 64]).unwrap();
        let run = |memory: &mut Memory, text: &Module| {
            text.launch(memory, "fill", [64, 1, 1], [1; 3], 0, &[at.into()])
        };
        // Stamps of late times must not be taken for those of the blocks that come after.
        memory.time = u32::MAX / 2 - 10;
        run(&mut memory, &module).unwrap();
        assert!(memory.time > u32::MAX / 2);
        run(&mut memory, &module).unwrap();
        assert!(memory.time < 100);
        let same = Module::parse("k.ptx", &text.replace("%b, 4,", "0, 4,")).unwrap();
        assert!(run(&mut memory, &same).is_err());
    }
}
