//! The card that tests run on: the interpreter of `striate-ptx` behind the CUDA driver's interface, or with
//! `STRIATE_CUDA=real` the first card of this machine.

use striate::tensor::Device;

/// The device, or a word on why the test is skipped.
pub fn card() -> Option<Device> {
    let real = std::env::var_os("STRIATE_CUDA").is_some_and(|choice| choice == "real");
    #[cfg(target_os = "linux")]
    if !real {
        striate_ptx::driver::preload().expect("the stand-in driver is built with the tests");
    }
    if !real && !cfg!(target_os = "linux") {
        println!("SKIP: the stand-in driver is for Linux");
        return None;
    }
    Some(striate_cuda::device(0).expect("a card"))
}
