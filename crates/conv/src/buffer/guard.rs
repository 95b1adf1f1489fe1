//! Memory that a kernel finds missing.
//!
//! Kernels make buffers of their own, on many threads and far below whoever could return an error. Where the system has
//! no memory for one, they unwind to a [`guarded`] call, past nothing that would have to be put in order.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::element::DType;

/// There is no memory for a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory {
    /// Its elements.
    pub len: usize,
    /// Their type.
    pub dtype: DType,
}

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, dtype } = self;
        write!(f, "expected memory for {len} elements of {dtype}, there is none")
    }
}

impl std::error::Error for NoMemory {}

/// Calls that wait for [`NoMemory`], in the whole process: a kernel's threads do not know which call they serve.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

/// What `f` returns, or the buffer that it found no memory for. All other panics pass.
///
/// ```
/// use striate_conv::{Buffer, buffer::guarded};
///
/// let refused = guarded(|| Buffer::filled(1 << 60, 1.0f32)).unwrap_err();
/// assert_eq!(refused.len, 1 << 60);
/// ```
pub fn guarded<R>(f: impl FnOnce() -> R) -> Result<R, NoMemory> {
    GUARDED.fetch_add(1, Ordering::Relaxed);
    // What `f` was writing is not read after a failure.
    let result = catch_unwind(AssertUnwindSafe(f));
    GUARDED.fetch_sub(1, Ordering::Relaxed);
    result.map_err(|cause| match cause.downcast() {
        Ok(refused) => *refused,
        Err(cause) => resume_unwind(cause),
    })
}

/// Unwinds without a word to the call that waits for it; panics if there is none.
pub(super) fn refuse(what: NoMemory) -> ! {
    match GUARDED.load(Ordering::Relaxed) {
        0 => panic!("{what}"),
        _ => resume_unwind(Box::new(what)),
    }
}
