//! What can go wrong: text that is not understood, a launch that cannot start, and a fault of a
//! running kernel, which names the kernel, the line, the block, the thread and the address.

use std::fmt;

use thiserror::Error;

/// PTX text that cannot be loaded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{file}:{line}: {message}")]
pub struct ParseError {
    /// The file name given to [`Module::parse`](crate::Module::parse).
    pub file: String,
    /// The line, counted from one.
    pub line: u32,
    /// What is wrong there.
    pub message: String,
}

/// An operation on device memory by the host that cannot be done.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MemoryError {
    /// The range is not inside one live allocation.
    #[error("host access of {len} bytes at {address:#x}: {found}")]
    Range {
        /// The first byte asked for.
        address: u64,
        /// How many bytes were asked for.
        len: usize,
        /// What lies there instead.
        found: String,
    },
    /// The host reads a byte that nothing has written.
    #[error("host read at {address:#x}: nothing has written this byte")]
    Uninitialised {
        /// The first such byte.
        address: u64,
    },
}

/// Why a launch gave no result.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LaunchError {
    /// The launch was refused before the first instruction.
    #[error("launch of `{kernel}`: {message}")]
    Refused {
        /// The kernel asked for.
        kernel: String,
        /// Why it cannot start.
        message: String,
    },
    /// The kernel ran and did something wrong.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
}

/// The first wrong thing that a running kernel did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file name of the module.
    pub file: String,
    /// The line of the instruction.
    pub line: u32,
    /// The kernel's name.
    pub kernel: String,
    /// The index of the block in the grid.
    pub block: [u32; 3],
    /// The index of the thread in its block.
    pub thread: [u32; 3],
    /// The address accessed, where there was one.
    pub address: Option<u64>,
    /// What was wrong.
    pub kind: FaultKind,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([bx, by, bz], [tx, ty, tz]) = (self.block, self.thread);
        write!(f, "{}:{}: kernel `{}`, ", self.file, self.line, self.kernel)?;
        write!(f, "block ({bx}, {by}, {bz}), thread ({tx}, {ty}, {tz})")?;
        if let Some(address) = self.address {
            write!(f, ", address {address:#x}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

/// The kinds of fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FaultKind {
    /// An access that is not inside one live allocation, window or array.
    #[error("out of bounds: {0}")]
    OutOfBounds(String),
    /// An address that is not a multiple of the access's size.
    #[error("misaligned: a {0}-byte access needs an address that is a multiple of {0}")]
    Misaligned(usize),
    /// A read of bytes that nothing has written.
    #[error("uninitialised read: nothing has written these bytes")]
    Uninitialised,
    /// Two threads of one block access a byte with nothing between that orders them.
    #[error("race: {0}")]
    Race(String),
    /// Two blocks of one grid access a byte, and one of them writes it.
    #[error("blocks in conflict: {0}")]
    BlockConflict(String),
    /// Not all threads that are still running reach the same barrier.
    #[error("divergent barrier: {0}")]
    DivergentBarrier(String),
    /// A shuffle, vote or warp barrier whose members are not all there.
    #[error("warp operation: {0}")]
    WarpMembers(String),
    /// An access to bytes that an asynchronous copy is still bringing, or a thread that ends without
    /// having waited for its copies.
    #[error("asynchronous copy: {0}")]
    AsyncCopy(String),
    /// The kernel executes far more instructions than any of ours.
    #[error("no end: a warp has executed {0} instructions")]
    Endless(u64),
}
