//! What can go wrong with data: an error names the file (or the operation), what was expected
//! there, and what was found.

use std::io;

use striate_tensor::ErrorKind;

/// The result of reading or loading data.
pub type Result<T> = std::result::Result<T, DataError>;

/// Why data could not be read or delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The system could not read a file, or its gzip stream is damaged or cut short.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system or the decompressor said.
        source: io::Error,
    },

    /// A folder lacks a file of the dataset.
    #[error("{folder}: expected a file {}", .names.join(" or "))]
    Missing {
        /// The folder that was searched.
        folder: String,
        /// The names under which the file would have been accepted.
        names: Vec<String>,
    },

    /// A file that should be IDX does not begin with two zero bytes.
    #[error("{file}: an IDX file begins with the bytes 00 00, this one with {found:02x?}")]
    Magic {
        /// The file.
        file: String,
        /// Its first four bytes.
        found: [u8; 4],
    },

    /// An IDX header names an element type that does not exist.
    #[error("{file}: IDX knows the element types 08, 09, 0b, 0c, 0d and 0e, not {code:02x}")]
    ElementType {
        /// The file.
        file: String,
        /// The type's code, the header's third byte.
        code: u8,
    },

    /// An IDX header announces more than can be addressed.
    #[error("{file}: the shape {shape:?} is too large to address")]
    Overflow {
        /// The file.
        file: String,
        /// The announced shape.
        shape: Vec<usize>,
    },

    /// A file ends too early, or too late.
    #[error("{file}: expected {expected} bytes of {part}, found {found}")]
    Length {
        /// The file.
        file: String,
        /// The part of the file, such as `header` or `data`.
        part: &'static str,
        /// The bytes that belong there.
        expected: u64,
        /// The bytes that are there: a number, or `more` than expected.
        found: String,
    },

    /// A file is well formed, but its content is not what the dataset needs.
    #[error("{file}: expected {expected}, found {found}")]
    Content {
        /// The file.
        file: String,
        /// What the dataset needs.
        expected: String,
        /// What the file holds.
        found: String,
    },

    /// An operation was asked for something that it cannot do.
    #[error("{operation}: {problem}")]
    Argument {
        /// The operation.
        operation: &'static str,
        /// What is wrong with what it was given.
        problem: String,
    },

    /// The loader's thread could not start, or ended before its work was done.
    #[error("loader: {problem}")]
    Worker {
        /// What happened; the message of the panic, if a dataset panicked.
        problem: String,
    },

    /// A tensor could not be made of a batch.
    #[error(transparent)]
    Tensor(#[from] striate_tensor::Error),
}

/// So that one `?` serves a function that loads data and computes with it.
impl From<DataError> for striate_tensor::Error {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Tensor(error) => error,
            DataError::Argument { operation, problem } => {
                Self::new(ErrorKind::Argument, operation, problem)
            }
            other => Self::new(ErrorKind::Data, "load", other.to_string()),
        }
    }
}

impl DataError {
    pub(crate) fn io(file: &str) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { file: file.to_owned(), source }
    }

    pub(crate) fn content(
        file: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Content { file: file.to_owned(), expected: expected.into(), found: found.into() }
    }

    pub(crate) fn argument(operation: &'static str, problem: impl Into<String>) -> Self {
        Self::Argument { operation, problem: problem.into() }
    }
}
