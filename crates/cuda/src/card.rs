//! A card: its stream, its kernels, its memory.
//!
//! Memory comes from the driver in sizes of which there are few, and goes back to lists of these; all work is in one
//! stream, so what is handed out again is written after its last reader has read it. Where the driver has no more, the lists
//! go back to it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, DriverError, LaunchConfig, PushKernelArg, result, sys,
};
use cudarc::nvrtc::Ptx;
use striate_tensor::{Error, ErrorKind, Result};

/// The files of kernels, by name.
const FILES: [(&str, &str); 12] = [
    ("elementwise.ptx", include_str!("../kernels/elementwise.ptx")),
    ("reduce.ptx", include_str!("../kernels/reduce.ptx")),
    ("pool.ptx", include_str!("../kernels/pool.ptx")),
    ("norm.ptx", include_str!("../kernels/norm.ptx")),
    ("window.ptx", include_str!("../kernels/window.ptx")),
    ("random.ptx", include_str!("../kernels/random.ptx")),
    ("optimizer.ptx", include_str!("../kernels/optimizer.ptx")),
    ("gemm.ptx", include_str!("../kernels/gemm.ptx")),
    ("gemm_tf32.ptx", include_str!("../kernels/gemm_tf32.ptx")),
    ("conv.ptx", include_str!("../kernels/conv.ptx")),
    ("conv_tf32.ptx", include_str!("../kernels/conv_tf32.ptx")),
    ("conv_weight.ptx", include_str!("../kernels/conv_weight.ptx")),
];

/// Threads of a block of all kernels that have one for each result.
pub(crate) const THREADS: usize = 256;
/// The least memory that is asked of the driver.
const SMALLEST: usize = 512;

/// How memory is asked of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// In sizes of which there are few, kept for the next who asks.
    Kept,
    /// Each block as large as what it holds and given back at once, so that whatever checks accesses sees every fault.
    Exact,
}

/// The size that memory for `bytes` has: four of them between one power of two and the next.
fn class(bytes: usize) -> usize {
    bytes.next_multiple_of((bytes.next_power_of_two() / 8).max(SMALLEST))
}

/// An error of this device with what was expected.
pub(crate) fn error(op: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Device, op, message)
}

/// The driver's errors as ours.
pub(crate) trait DriverContext<T> {
    fn op(self, op: &str) -> Result<T>;
}

impl<T> DriverContext<T> for Result<T, DriverError> {
    fn op(self, op: &str) -> Result<T> {
        self.map_err(|found| error(op, format!("the CUDA driver says {found}")))
    }
}

/// What there is to know about a card.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its number.
    pub ordinal: usize,
    /// What its maker calls it.
    pub name: String,
    /// Compute capability, such as `[9, 0]`.
    pub capability: [i32; 2],
    /// Bytes of memory.
    pub memory: usize,
}

/// All cards; none where there is no driver.
///
/// # Errors
/// If the driver is there and fails.
pub fn list() -> Result<Vec<Info>> {
    if !has_driver() {
        return Ok(Vec::new());
    }
    let count = match CudaContext::device_count() {
        Err(found) if found.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => 0,
        count => count.op("cuda")?,
    };
    (0..count as usize)
        .map(|ordinal| {
            let context = CudaContext::new(ordinal).op("cuda")?;
            let (major, minor) = context.compute_capability().op("cuda")?;
            Ok(Info {
                ordinal,
                name: context.name().op("cuda")?,
                capability: [major, minor],
                memory: context.total_mem().op("cuda")?,
            })
        })
        .collect()
}

/// Whether the driver's library can be loaded; without it, every other call would panic.
fn has_driver() -> bool {
    // SAFETY: loading the driver runs its own initialisation and nothing else.
    unsafe { sys::is_culib_present() }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg {
    Address(u64),
    Word(u32),
    Signed(i32),
    Float(f32),
}

impl From<u64> for Arg {
    fn from(address: u64) -> Self {
        Self::Address(address)
    }
}

impl From<f64> for Arg {
    fn from(number: f64) -> Self {
        Self::Float(number as f32)
    }
}

/// A size as a word; tensors have less than 2^31 elements, see [`Card::alloc`].
impl From<usize> for Arg {
    fn from(size: usize) -> Self {
        Self::Word(size as u32)
    }
}

#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) ordinal: usize,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    kernels: HashMap<&'static str, CudaFunction>,
    memory: Memory,
    /// Memory that nobody uses, by size.
    free: Mutex<HashMap<usize, Vec<u64>>>,
    /// A word on the card in which kernels note an index outside its axis, and whether any may have.
    bad: u64,
    picked: AtomicBool,
}

impl Card {
    pub(crate) fn new(ordinal: usize, memory: Memory) -> Result<Arc<Self>> {
        let missing = |what: &str| {
            error("cuda", format!("expected a card with the number {ordinal}, found {what}"))
        };
        if !has_driver() {
            return Err(missing("no driver: its library, libcuda.so or nvcuda.dll, is not there"));
        }
        let count = CudaContext::device_count().map_err(|e| missing(&format!("none: {e}")))?;
        if ordinal >= count as usize {
            return Err(missing(&format!("{count} cards")));
        }
        let context = CudaContext::new(ordinal).op("cuda")?;
        // SAFETY: there is one stream, so no event is needed to order what it does.
        unsafe { context.disable_event_tracking() };
        let (major, minor) = context.compute_capability().op("cuda")?;
        let mut kernels = HashMap::new();
        for (file, text) in FILES {
            if target(text) > 10 * major + minor {
                continue;
            }
            let module = context.load_module(Ptx::from_src(format!("// kernels/{file}\n{text}")));
            let module = module.op(file)?;
            for name in entries(text) {
                kernels.insert(name, module.load_function(name).op(file)?);
            }
        }
        let stream = context.default_stream();
        // SAFETY: the context is current on this thread since it was made.
        let bad = unsafe { result::malloc_sync(SMALLEST) }.op("cuda")?;
        // SAFETY: the memory was just made and is this large.
        unsafe { result::memset_d8_async(bad, 0, SMALLEST, stream.cu_stream()) }.op("cuda")?;
        let (free, picked) = (Mutex::default(), AtomicBool::new(false));
        Ok(Arc::new(Self { ordinal, context, stream, kernels, memory, free, bad, picked }))
    }

    /// Whether the card is new enough for a kernel.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.kernels.contains_key(name)
    }

    /// Starts a kernel on a grid of blocks.
    pub(crate) fn launch(
        &self,
        name: &str,
        grid: [usize; 3],
        threads: usize,
        args: &[Arg],
    ) -> Result<()> {
        if grid.contains(&0) {
            return Ok(());
        }
        let fits = grid[0] < 1 << 31 && grid[1] < 1 << 16 && grid[2] < 1 << 16;
        let Some(kernel) = self.kernels.get(name).filter(|_| fits) else {
            return Err(error(name, format!("expected a smaller grid than {grid:?}")));
        };
        let mut builder = self.stream.launch_builder(kernel);
        for arg in args {
            match arg {
                Arg::Address(value) => builder.arg(value),
                Arg::Word(value) => builder.arg(value),
                Arg::Signed(value) => builder.arg(value),
                Arg::Float(value) => builder.arg(value),
            };
        }
        let [x, y, z] = grid.map(|size| size as u32);
        let config = LaunchConfig {
            grid_dim: (x, y, z),
            block_dim: (threads as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments are those that the kernel's file describes, and addresses are of blocks that live
        // until the stream, in which their memory is used again, is past this.
        unsafe { builder.launch(config) }.op(name)?;
        Ok(())
    }

    /// Starts a kernel with a thread for each of `len` results.
    pub(crate) fn each(&self, name: &str, len: usize, args: &[Arg]) -> Result<()> {
        self.launch(name, [len.div_ceil(THREADS), 1, 1], THREADS, args)
    }

    /// The word for indices outside their axis, which the next reader of results will look at.
    pub(crate) fn bad(&self) -> u64 {
        self.picked.store(true, Ordering::Relaxed);
        self.bad
    }

    pub(crate) fn alloc(self: &Arc<Self>, len: usize, element: usize) -> Result<Block> {
        let bytes = len.checked_mul(element).filter(|_| len < 1 << 31);
        let Some(bytes) = bytes else {
            return Err(error("cuda", format!("expected less than 2^31 elements, got {len}")));
        };
        let size = if self.memory == Memory::Exact { bytes.max(1) } else { class(bytes.max(1)) };
        let reused = self.lists().get_mut(&size).and_then(Vec::pop);
        let address = match reused {
            Some(address) => address,
            None => self.fresh(size)?,
        };
        Ok(Block { address, bytes, size, card: self.clone() })
    }

    /// Memory from the driver, which gets the lists' back if it has no more.
    fn fresh(&self, size: usize) -> Result<u64> {
        self.context.bind_to_thread().op("cuda")?;
        // SAFETY: the context is current.
        let asked = unsafe { result::malloc_sync(size) };
        let full =
            matches!(asked, Err(found) if found.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        if !full {
            return asked.op("cuda");
        }
        self.give_back();
        // SAFETY: as above.
        unsafe { result::malloc_sync(size) }.op("cuda")
    }

    /// Gives the driver what nobody uses, once the stream is done with it.
    fn give_back(&self) {
        let unused: Vec<u64> = self.lists().drain().flat_map(|(_, list)| list).collect();
        if self.context.bind_to_thread().is_ok() {
            for address in unused {
                // SAFETY: no block has the memory any more, and the driver waits for the work that does. It keeps what
                // it fails to free.
                let _ = unsafe { result::free_sync(address) };
            }
        }
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Vec<u64>>> {
        self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn upload<T: Copy>(self: &Arc<Self>, data: &[T]) -> Result<Block> {
        let block = self.alloc(data.len(), size_of::<T>())?;
        if !data.is_empty() {
            self.context.bind_to_thread().op("upload")?;
            let stream = self.stream.cu_stream();
            // SAFETY: the block is as large as the data, which the driver has read when the call returns.
            unsafe { result::memcpy_htod_async(block.address, data, stream) }.op("upload")?;
        }
        Ok(block)
    }

    /// Waits for all work and copies a block to the host.
    pub(crate) fn download<T: Copy>(&self, block: &Block, data: &mut [T]) -> Result<()> {
        if size_of_val(data) > block.bytes {
            return Err(error("download", "expected a block as large as its data"));
        }
        self.read(block.address, data)?;
        if self.picked.swap(false, Ordering::Relaxed) {
            let mut bad = [0_u32];
            self.read(self.bad, &mut bad)?;
            if bad != [0] {
                let stream = self.stream.cu_stream();
                // SAFETY: the word has four bytes.
                unsafe { result::memset_d8_async(self.bad, 0, 4, stream) }.op("download")?;
                return Err(Error::argument("index", "expected indices below the axis's size"));
            }
        }
        Ok(())
    }

    fn read<T: Copy>(&self, address: u64, data: &mut [T]) -> Result<()> {
        if !data.is_empty() {
            self.context.bind_to_thread().op("download")?;
            let stream = self.stream.cu_stream();
            // SAFETY: the caller's memory on the card is as large as `data`, which lives until the stream is done.
            unsafe { result::memcpy_dtoh_async(data, address, stream) }.op("download")?;
        }
        self.synchronize()
    }

    pub(crate) fn synchronize(&self) -> Result<()> {
        self.stream.synchronize().op("cuda")
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.lists().entry(SMALLEST).or_default().push(self.bad);
        self.give_back();
    }
}

/// The least compute capability that a file is for, times ten. One that names none is for the driver to refuse.
fn target(text: &str) -> i32 {
    let number = text.split("\n.target sm_").nth(1).and_then(|rest| rest.lines().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The names of the kernels in a file.
fn entries(text: &'static str) -> impl Iterator<Item = &'static str> {
    let names = text.split(".visible .entry ").skip(1);
    names.filter_map(|rest| rest.split('(').next())
}

/// Memory on a card, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) address: u64,
    bytes: usize,
    size: usize,
    pub(crate) card: Arc<Card>,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.card.lists().entry(self.size).or_default().push(self.address);
        if self.card.memory == Memory::Exact {
            self.card.give_back();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn there_are_few_sizes_and_little_is_wasted() {
        let mut sizes: Vec<usize> = (1..200_000).map(class).collect();
        assert!(
            sizes
                .iter()
                .zip(1..)
                .all(|(&size, bytes)| size >= bytes && size < bytes + bytes / 4 + SMALLEST)
        );
        sizes.dedup();
        assert!(sizes.len() < 50, "{sizes:?}");
    }

    #[test]
    fn memory_that_nobody_uses_goes_back_when_the_driver_has_no_more() {
        striate_ptx::driver::preload().unwrap();
        // The stand-in has four gigabytes; each of these stays on a list of its own.
        let card = Card::new(0, Memory::Kept).unwrap();
        for size in [12, 14, 16, 20] {
            card.alloc(size << 23, 8).unwrap();
        }
        let held = card.alloc(24 << 23, 8).unwrap();
        let error = card.alloc(40 << 23, 8).unwrap_err().to_string();
        assert!(error.contains("OUT_OF_MEMORY"), "{error}");
        drop(held);
        card.alloc(40 << 23, 8).unwrap();
    }
}
