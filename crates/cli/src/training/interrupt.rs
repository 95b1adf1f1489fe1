//! Ctrl-C while training: asks for an end after the step, instead of ending the program in the middle of it.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Failure;

static ASKED: AtomicBool = AtomicBool::new(false);

/// The exit code of a program that ends because of an interrupt, as shells have it.
pub const EXIT_CODE: u8 = 130;

/// From now on Ctrl-C is noted. A second one ends the program at once.
pub fn watch() -> Result<(), Failure> {
    static WATCH: Once = Once::new();
    let mut result = Ok(());
    WATCH.call_once(|| {
        result = ctrlc::set_handler(|| {
            if ASKED.swap(true, Ordering::Relaxed) {
                std::process::exit(EXIT_CODE.into());
            }
        });
    });
    Ok(result?)
}

/// Whether Ctrl-C was pressed.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
