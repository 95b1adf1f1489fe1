//! Errors as values. An error names the operation, the layer it happened in, and what was expected.
//!
//! The operation is known where the error arises, the layer path only further up: a module adds it with
//! [`ErrorContext::at`] while the error passes through, and the innermost path wins.

use std::fmt;

use striate_conv::GeometryError;

/// What kind of thing went wrong, for programs; the message is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Shapes that do not fit each other or the operation.
    Shape,
    /// An argument outside its range.
    Argument,
    /// A device that is missing, differs, or cannot do this.
    Device,
    /// Memory that there is not.
    Memory,
    /// A gradient that does not exist.
    Gradient,
    /// A file or its contents.
    Data,
}

/// The error of every fallible call of the engine.
///
/// ```
/// use striate_tensor::{Device, Tensor};
/// let a = Tensor::<f32>::zeros([2, 3], &Device::cpu())?;
/// let b = Tensor::<f32>::zeros([4, 5], &Device::cpu())?;
/// assert_eq!(
///     a.matmul(&b).unwrap_err().to_string(),
///     "matmul: inner sizes must agree, left is [2, 3], right is [4, 5]"
/// );
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    op: String,
    path: Option<String>,
    message: String,
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `op` with a message that says what was expected and what came.
    pub fn new(kind: ErrorKind, op: impl Into<String>, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, op: op.into(), path: None, message: message.into() }))
    }

    /// Shapes that do not fit.
    pub fn shape(op: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Shape, op, message)
    }

    /// An argument outside its range.
    pub fn argument(op: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument, op, message)
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed.
    pub fn op(&self) -> &str {
        &self.0.op
    }

    /// The path of the layer in which it failed, if a module was involved.
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// What was expected and what came.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { op, path, message, .. } = &*self.0;
        match path {
            Some(path) => write!(f, "{op} in {path}: {message}"),
            None => write!(f, "{op}: {message}"),
        }
    }
}

impl std::error::Error for Error {}

/// So that `ConvSpec::same()?` can stand in a function that returns [`Result`].
impl From<GeometryError> for Error {
    fn from(error: GeometryError) -> Self {
        Error::shape("geometry", error.to_string())
    }
}

/// Renames errors of a kernel that serves many operations to the one that was asked for.
pub(crate) fn named<T>(op: &str, result: Result<T>) -> Result<T> {
    result.map_err(|error| Error::new(error.kind(), op, error.message()))
}

/// Adds what only the caller knows to an error on its way up.
pub trait ErrorContext<T> {
    /// Names the layer in which the error arose, unless a layer further in already did.
    fn at(self, path: &str) -> Result<T>;
}

impl<T> ErrorContext<T> for Result<T> {
    fn at(self, path: &str) -> Result<T> {
        self.map_err(|mut error| {
            if error.0.path.is_none() && !path.is_empty() {
                error.0.path = Some(path.to_owned());
            }
            error
        })
    }
}

/// Geometry errors know what was expected; the operation's name is added where it is known.
pub(crate) trait GeometryContext<T> {
    fn op(self, op: impl Into<String>) -> Result<T>;
}

impl<T> GeometryContext<T> for Result<T, GeometryError> {
    fn op(self, op: impl Into<String>) -> Result<T> {
        self.map_err(|error| Error::shape(op, error.to_string()))
    }
}
