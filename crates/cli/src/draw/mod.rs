//! Pictures: training curves, grids of tiles, sliding windows.
//!
//! Every function here turns plain numbers into the bytes of a file and touches nothing else: no
//! tensors, no networks, no clock. So a picture can be tested by reading it back, and the commands
//! decide where it goes. Curves and sliding windows are SVG, because they are lines and words and
//! must stay sharp in a report; tiles are PNG, because they are pixels. [`write_atomic`] is the one
//! door to the disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub mod curves;
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
    /// The file system refused.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

/// A picture or the reason for its absence.
pub type Result<T> = std::result::Result<T, Error>;

/// The answer to numbers that make no picture.
fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::Content(why.into()))
}

/// Writes `bytes` to `path` so that a reader sees the old file or the new one, never a part.
///
/// The bytes go to a temporary file in the same folder (a rename is atomic only within one file
/// system), are flushed to the disk, and take the name last. A failure leaves `path` as it was.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary_beside(path);
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        // The first failure is the one worth reporting; there may be nothing to remove.
        let _ = fs::remove_file(&temporary);
        Error::Write {
            path: path.to_owned(),
            source,
        }
    })
}

/// A hidden name that no other thread or process writes to.
fn temporary_beside(path: &Path) -> PathBuf {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{serial}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_replaces_the_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.svg");
        write_atomic(&path, b"a long first version").unwrap();
        write_atomic(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_path_and_keeps_the_folder_clean() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/curves.svg");
        let message = write_atomic(&missing, b"x").unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("cannot write {}: ", missing.display())),
            "{message}"
        );

        // A folder cannot be replaced by a file: the rename fails after the bytes are written.
        let occupied = folder.path().join("occupied");
        fs::create_dir(&occupied).unwrap();
        assert!(write_atomic(&occupied, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
