//! Runs PTX kernels on the CPU and checks every access they make.
//!
//! A kernel for a graphics card is hard to get right and silent when it is wrong. This crate loads
//! the same PTX text that a card would run and executes it block by block, thirty-two lanes at a
//! time. It stops at the first access out of bounds or misaligned, read of bytes that nothing
//! wrote, race between threads, conflict between blocks, asynchronous copy that nobody waited for,
//! or barrier that not all threads reach, and says where: kernel, line, block, thread and address. An instruction that it does not know
//! is refused when the module is loaded.
//!
//! ```
//! use striate_ptx::{Memory, Module};
//!
//! let module = Module::parse("scale.ptx", "
//!     .version 7.0
//!     .target sm_70
//!     .address_size 64
//!     .visible .entry scale(.param .u64 data, .param .f32 by) {
//!         .reg .u64 %p, %at;
//!         .reg .u32 %i;
//!         .reg .f32 %x, %by;
//!         ld.param.u64 %p, [data];
//!         ld.param.f32 %by, [by];
//!         mov.u32 %i, %tid.x;
//!         mad.wide.u32 %at, %i, 4, %p;
//!         ld.global.f32 %x, [%at];
//!         mul.f32 %x, %x, %by;
//!         st.global.f32 [%at], %x;
//!         ret;
//!     }")?;
//! let mut memory = Memory::new();
//! let data = memory.upload(&[1.0_f32, 2.0, 3.0])?;
//! module.launch(&mut memory, "scale", [1; 3], [3, 1, 1], 0, &[data.into(), 2.0_f32.into()])?;
//! assert_eq!(memory.download::<f32>(data, 3)?, [2.0, 4.0, 6.0]);
//!
//! // One thread too many is caught, not ignored.
//! let fault = module
//!     .launch(&mut memory, "scale", [1; 3], [4, 1, 1], 0, &[data.into(), 2.0_f32.into()])
//!     .unwrap_err();
//! assert!(fault.to_string().starts_with("scale.ptx:13: kernel `scale`, block (0, 0, 0), thread (3, 0, 0)"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod alu;
mod approximate;
mod checks;
mod convert;
mod copies;
mod decode;
#[cfg(target_os = "linux")]
pub mod driver;
mod error;
mod exec;
mod instruction;
mod lexer;
mod matrix;
mod memory;
mod names;
mod parse;
mod traffic;
mod warp;

pub use error::{Fault, FaultKind, LaunchError, MemoryError, ParseError};
pub use exec::{Arg, Stats};
pub use memory::{Memory, Scalar};
pub use parse::Module;
pub use traffic::{Traffic, Transfer};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
