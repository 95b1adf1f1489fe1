//! What a driver function returns when it cannot do its work: the driver's number, and a report
//! for people.

use crate::error::{FaultKind, LaunchError, MemoryError};

/// Declares the driver's result codes with their numbers and texts.
macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// A result code of the CUDA driver, by its name there.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)] // As the manual writes them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub(crate) enum Code { $($name = $number),* }

        /// The C name and meaning of a result code.
        pub(crate) fn describe(code: u32) -> Option<(&'static std::ffi::CStr, &'static str)> {
            match code {
                0 => Some((c"CUDA_SUCCESS", "no error")),
                $($number => {
                    let name = concat!("CUDA_ERROR_", stringify!($name), "\0");
                    Some((std::ffi::CStr::from_bytes_with_nul(name.as_bytes()).ok()?, $text))
                })*
                _ => None,
            }
        }
    };
}

codes! {
    INVALID_VALUE = 1, "invalid argument";
    OUT_OF_MEMORY = 2, "out of memory";
    INVALID_DEVICE = 101, "invalid device ordinal";
    INVALID_CONTEXT = 201, "invalid device context";
    NO_BINARY_FOR_GPU = 209, "no kernel image is available for execution on the device";
    INVALID_PTX = 218, "a PTX JIT compilation failed";
    FILE_NOT_FOUND = 301, "file not found";
    INVALID_HANDLE = 400, "invalid resource handle";
    ILLEGAL_STATE = 401, "the operation cannot be performed in the present state";
    NOT_FOUND = 500, "named symbol not found";
    NOT_READY = 600, "device not ready";
    ILLEGAL_ADDRESS = 700, "an illegal memory access was encountered";
    LAUNCH_TIMEOUT = 702, "the launch timed out and was terminated";
    MISALIGNED_ADDRESS = 716, "misaligned address";
    LAUNCH_FAILED = 719, "unspecified launch failure";
    NOT_SUPPORTED = 801, "operation not supported";
    STREAM_CAPTURE_UNSUPPORTED = 900, "operation not permitted when stream is capturing";
    STREAM_CAPTURE_ISOLATION = 905, "dependency created on uncaptured work in another stream";
    UNKNOWN = 999, "unknown error";
}

/// Why a driver function failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub code: Code,
    /// What happened, in full; empty where the code says it all.
    pub report: String,
}

impl Failure {
    pub fn new(code: Code, report: impl Into<String>) -> Self {
        Self { code, report: report.into() }
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::new(code, "")
    }
}

impl From<MemoryError> for Failure {
    fn from(error: MemoryError) -> Self {
        Self::new(Code::ILLEGAL_ADDRESS, error.to_string())
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        let code = match &error {
            LaunchError::Refused { .. } => Code::INVALID_VALUE,
            LaunchError::Fault(fault) => match fault.kind {
                FaultKind::OutOfBounds(_) => Code::ILLEGAL_ADDRESS,
                FaultKind::Misaligned(_) => Code::MISALIGNED_ADDRESS,
                FaultKind::Endless(_) => Code::LAUNCH_TIMEOUT,
                _ => Code::LAUNCH_FAILED,
            },
        };
        Self::new(code, error.to_string())
    }
}

/// The result of a driver function.
pub(crate) type Done<T = ()> = Result<T, Failure>;
