//! A stand-in for the CUDA driver: programs that load `libcuda.so` at run time, as `cudarc` does
//! with `dynamic-loading`, run on the interpreter unchanged.
//!
//! The crate is also built as a shared library, `libstriate_ptx.so`, that exports the symbols of
//! the driver and bears its name inside. [`preload`] loads it; whoever asks the system for
//! `libcuda.so` afterwards gets it.
//!
//! ```no_run
//! let driver = striate_ptx::driver::preload()?;
//! // From here on: cudarc::driver::CudaContext::new(0), load_module, launch_builder, ...
//! println!("{}", driver.report().unwrap_or_default());
//! # Ok::<(), striate_ptx::driver::PreloadError>(())
//! ```
//!
//! What is different from a card's driver, on purpose:
//!
//! - Each retained primary context is a context of its own, so that tests in threads of one
//!   process do not see one another's faults. A fault is returned by every later call in its
//!   context, as on a card, and contexts made afterwards work. Releasing the primary context
//!   releases the thread's current one; `cudarc` binds a context before it drops it, unless it has
//!   an error left to report, so a thread with several should drop a faulted one first.
//! - Work on streams is done as late as possible and in stream order: when the host synchronises,
//!   copies from the device, or asks for an event. [`Driver::shuffle`] draws other orders.
//! - `cuGetErrorString` gives the interpreter's whole report where it knows it, so that an error
//!   printed by a program names kernel, line, block, thread and address. It also goes to stderr.
//! - Copies from pageable and from pinned host memory read it at once. Copies to the host wait.
//! - Copies out of memory that nothing has written are faults.
//! - A graph holds launches, fills and copies inside the device, from one stream.
//!
//! A module's first line may name its file, `// kernels/add.ptx`, for messages. The compute
//! capability is 8.0 unless `STRIATE_PTX_CAPABILITY` says otherwise, and
//! `STRIATE_PTX_MEMORY_POOLS=0` makes a card without `cuMemAllocAsync`.

mod context;
mod device;
mod failure;
mod queue;
mod raw;
mod registry;
mod symbols;

use std::ffi::c_char;
use std::path::PathBuf;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use thiserror::Error;

/// Declares driver functions: exported by their C names, with their bodies guarded.
macro_rules! exports {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block)*) => {$(
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($arg: $ty),*) -> u32 {
            super::registry::guarded(stringify!($name), move || $body)
        }
    )*};
}
use exports;

/// Why the stand-in driver could not be loaded.
#[derive(Debug, Error)]
pub enum PreloadError {
    /// The shared library is not beside the running program.
    #[error("no libstriate_ptx.so beside {0}: is striate-ptx a dependency of the test?")]
    Missing(PathBuf),
    /// The system refuses to load it.
    #[error("{path}: {source}")]
    Loading {
        /// The library's path.
        path: PathBuf,
        /// What the system says.
        source: libloading::Error,
    },
}

/// The loaded stand-in driver.
#[derive(Debug)]
pub struct Driver {
    /// Loaded for ever: others hold its functions.
    library: &'static Library,
}

/// Loads the stand-in driver for the rest of the process, from the directory of the running
/// program or where cargo puts it for tests, examples and benchmarks. May be called any number of
/// times; must be called before anything loads a real driver.
pub fn preload() -> Result<Driver, PreloadError> {
    let program = std::env::current_exe().unwrap_or_default();
    let near = program.ancestors().skip(1).take(2).flat_map(|dir| [dir.join("deps"), dir.into()]);
    let mut files = near.map(|dir: PathBuf| dir.join("libstriate_ptx.so"));
    let path = files.find(|file| file.exists()).ok_or(PreloadError::Missing(program))?;
    // SAFETY: the library is this crate's own; loading it runs no code but Rust's own set-up.
    match unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => Ok(Driver { library: Box::leak(Box::new(library)) }),
        Err(source) => Err(PreloadError::Loading { path, source }),
    }
}

impl Driver {
    /// The report of the last failure that a driver function returned to this thread: refused
    /// text with file and line, or a fault with kernel, line, block, thread and address.
    pub fn report(&self) -> Option<String> {
        const ROOM: usize = 4096;
        let mut text = vec![0_u8; ROOM];
        type Report = unsafe extern "C" fn(*mut c_char, usize) -> u32;
        // SAFETY: the symbol is `striatePtxReport` of this crate, which has this signature.
        let report = unsafe { self.library.get::<Report>(b"striatePtxReport\0") }.ok()?;
        // SAFETY: the buffer has `ROOM` bytes.
        if unsafe { report(text.as_mut_ptr().cast(), ROOM) } != 0 {
            return None;
        }
        let len = text.iter().position(|byte| *byte == 0)?;
        (len > 0).then(|| String::from_utf8_lossy(&text[..len]).into_owned())
    }

    /// Lets the streams of this thread's context move in an order drawn from a seed, instead of
    /// each only when someone waits for it. Zero ends it.
    pub fn shuffle(&self, seed: u64) {
        type Shuffle = unsafe extern "C" fn(u64) -> u32;
        // SAFETY: the symbol is `striatePtxShuffle` of this crate, which has this signature.
        if let Ok(shuffle) = unsafe { self.library.get::<Shuffle>(b"striatePtxShuffle\0") } {
            // SAFETY: it has no conditions.
            unsafe { shuffle(seed) };
        }
    }
}
