//! The card that tests run on: the interpreter of `striate-ptx` behind the CUDA driver's interface, or with
//! `STRIATE_CUDA=real` the first card of this machine.

use striate::tensor::{Device, Result};

/// The device that `open` makes of a number, or a word on why the test is skipped. Kernels are tested with
/// memory that lets every fault be seen, [`striate_cuda::checked`], networks as programs run them, [`striate_cuda::device`].
pub fn card(open: fn(usize) -> Result<Device>) -> Option<Device> {
    let real = std::env::var_os("STRIATE_CUDA").is_some_and(|choice| choice == "real");
    #[cfg(target_os = "linux")]
    if !real {
        striate_ptx::driver::preload().expect("the stand-in driver is built with the tests");
    }
    if !real && !cfg!(target_os = "linux") {
        println!("SKIP: the stand-in driver is for Linux");
        return None;
    }
    Some(open(0).expect("a card"))
}
