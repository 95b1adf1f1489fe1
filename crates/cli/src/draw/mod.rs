//! Pictures: training curves, grids of tiles, sliding windows.
//!
//! Every function here turns plain numbers into the bytes of a file and touches nothing else: no
//! tensors, no networks, no clock. So a picture can be tested by reading it back, and the commands
//! decide where it goes. Curves and sliding windows are SVG, because they are lines and words and
//! must stay sharp in a report; tiles are PNG, because they are pixels.

pub mod architecture;
mod axes;
pub mod cells;
// Where a tick stands is no result.
#[allow(clippy::disallowed_methods)]
pub mod curves;
pub mod fields;
pub mod photos;
// Nor where a point is drawn.
#[allow(clippy::disallowed_methods)]
pub mod scaling;
pub mod sliding;
pub mod tiles;

/// Why a picture could not be drawn or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The numbers handed over do not make a picture; the text says which, and what was expected.
    #[error("{0}")]
    Content(String),
    /// The drawing library gave up.
    #[error("cannot draw {what}: {cause}")]
    Drawing {
        /// The picture's name, such as `training curves`.
        what: &'static str,
        /// The library's own words.
        cause: String,
    },
}

/// A picture or the reason for its absence.
pub type Result<T> = std::result::Result<T, Error>;

/// Text as it may stand between the tags of an SVG.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The answer to numbers that make no picture.
fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::Content(why.into()))
}
