//! All contexts of the process, which of them each thread works in, and what last went wrong.
//!
//! A handle is a number and never a pointer: the context's number in the high half, and a number
//! within it in the low half. A stale or invented handle is found out by looking it up.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::context::Context;
use super::failure::{Code, Done, Failure};

type Shared = Arc<Mutex<Context>>;

static CONTEXTS: Mutex<BTreeMap<usize, Shared>> = Mutex::new(BTreeMap::new());
static NUMBERS: AtomicUsize = AtomicUsize::new(1);
const LOW: u32 = 32;

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    static LAST: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that no handle of the process has had.
fn number() -> usize {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// Makes a context and returns its handle.
pub(crate) fn create() -> usize {
    let handle = number() << LOW;
    lock(&CONTEXTS).insert(handle >> LOW, Arc::new(Mutex::new(Context::new())));
    handle
}

/// Finishes a context's work and forgets it.
pub(crate) fn destroy(handle: usize) -> Done {
    let removed = lock(&CONTEXTS).remove(&(handle >> LOW));
    let context = removed.ok_or(Failure::from(Code::INVALID_CONTEXT))?;
    if current() == handle {
        set_current(0);
    }
    let mut context = lock(&context);
    // A fault that was reported already is no news.
    if context.healthy().is_ok() { context.synchronize_all() } else { Ok(()) }
}

/// The handle of this thread's context; zero for none.
pub(crate) fn current() -> usize {
    CURRENT.get()
}

/// Makes a context this thread's.
pub(crate) fn set_current(handle: usize) {
    CURRENT.set(handle);
}

/// A handle for something new in a context, which is named by its handle or that of anything in it.
pub(crate) fn handle_in(context: usize) -> usize {
    (context >> LOW << LOW) | (number() & ((1 << LOW) - 1))
}

/// Works in the context that a handle belongs to; in this thread's if the handle is one of the
/// default streams', which every context has.
pub(crate) fn within<T>(handle: usize, work: impl FnOnce(&mut Context) -> Done<T>) -> Done<T> {
    let owner = if handle >> LOW == 0 { current() } else { handle };
    let found = lock(&CONTEXTS).get(&(owner >> LOW)).cloned();
    let code = if handle >> LOW == 0 { Code::INVALID_CONTEXT } else { Code::INVALID_HANDLE };
    let context = found.ok_or(Failure::from(code))?;
    let mut context = lock(&context);
    work(&mut context)
}

/// Runs a driver function: its failure becomes the result code, with its report kept and
/// printed; a panic does not leave it.
pub(crate) fn guarded(name: &str, work: impl FnOnce() -> Done) -> u32 {
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Failure::new(Code::UNKNOWN, format!("panic: {}", text.unwrap_or_default())))
    });
    let Err(failure) = result else { return 0 };
    let code = failure.code as u32;
    if !failure.report.is_empty() {
        LAST.with_borrow_mut(|last| {
            // A fault is returned by every later call; once is enough to read it.
            if last.as_ref().is_none_or(|last| last.report != failure.report) {
                let line = format!("{name}: {}\n", failure.report);
                eprint!("{line}");
            }
            *last = Some(failure);
        });
    }
    code
}

/// The report of the last failure that this thread was told of, if it has that code or any.
pub(crate) fn report(code: Option<u32>) -> Option<CString> {
    let found = LAST.with_borrow(|last| {
        let fits = |failure: &&Failure| code.is_none_or(|code| code == failure.code as u32);
        last.as_ref().filter(fits).map(|failure| failure.report.clone())
    });
    CString::new(found?).ok()
}
