//! The engine on NVIDIA cards: a backend whose kernels are PTX, written by hand in `kernels/`, and started through the
//! CUDA driver.
//!
//! There is nothing to install to build it. The driver's library is found when [`device`] is called, and where there is
//! none, or no card, that is an error that says so. Kernels are compiled by the driver for the card that is there, once a
//! process.
//!
//! ```
//! match striate_cuda::device(0) {
//!     Ok(device) => println!("computing on {}", device.name()),
//!     Err(error) => println!("{error}"), // cuda: found no driver, ...
//! }
//! ```
//!
//! - Work goes to one stream, in order, so memory that is given back may be handed out again at once, and
//!   the host waits for nothing but what it reads ([`Memory::download`](striate_tensor::backend::Memory::download)).
//! - Every sum has one order, which depends on sizes alone. There are no floating-point atomics.
//! - It computes in f32, unless [`allow_tf32`] lets products and convolutions round their factors for tensor cores. f64 tensors can
//!   be held, moved, drawn, converted, compared and chosen from; every other operation says by name that it is not there.

mod backend;
mod card;
mod conv;
mod kernels;
mod matmul;
mod memory;
mod norm;
mod optim;
mod pool;
mod reduce;
mod tf32;
mod views;
mod window;

use std::sync::{Arc, Mutex};

use card::Memory;
use striate_tensor::{Device, Result};

pub use card::{Info, list};
pub use tf32::allow_tf32;

/// The card with this number, the first being 0. Two calls with one number give equal devices.
///
/// # Errors
/// Without a driver or such a card, or if the card refuses the kernels.
pub fn device(ordinal: usize) -> Result<Device> {
    static DEVICES: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());
    let mut devices = DEVICES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some((_, device)) = devices.iter().find(|(number, _)| *number == ordinal) {
        return Ok(device.clone());
    }
    let device = Device::from_backend(Arc::new(backend::Cuda::new(ordinal, Memory::Kept)?));
    devices.push((ordinal, device.clone()));
    Ok(device)
}

/// The card with this number as a device of its own, for what checks a kernel's accesses, such as `compute-sanitizer` or
/// the interpreter of `striate-ptx`: every tensor has memory of its own, not a byte larger, and gives it back at once. It
/// is slow, for the driver waits for the card each time.
///
/// # Errors
/// As [`device`].
pub fn checked(ordinal: usize) -> Result<Device> {
    Ok(Device::from_backend(Arc::new(backend::Cuda::new(ordinal, Memory::Exact)?)))
}
