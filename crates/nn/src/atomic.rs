//! The one door to the disk: files appear whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use striate_tensor::{Error, ErrorKind, Result};

/// Writes `bytes` to `path` so that a reader, or a crash, sees all of the old file or all of the new one.
///
/// The bytes go to a temporary file in the same folder (a rename is atomic only within one file
/// system), are flushed to the disk, and take the name last. A failure leaves `path` as it was. What is there
/// and not a file, such as a folder or a device, is never replaced.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Data, "write", format!("{}: {error}", path.display()))
    };
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(failed(&"expected a file or nothing, there is something else"));
    }
    let temporary = temporary_beside(path);
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // The first failure is the one worth reporting; there may be nothing to remove.
        let _ = fs::remove_file(&temporary);
        failed(&error)
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
        let path = folder.path().join("metrics.csv");
        atomic_write(&path, b"a long first version").unwrap();
        atomic_write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_path_and_keeps_the_folder_clean() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/metrics.csv");
        let message = atomic_write(&missing, b"x").unwrap_err().to_string();
        assert!(message.starts_with(&format!("write: {}: ", missing.display())), "{message}");

        let occupied = folder.path().join("occupied");
        fs::create_dir(&occupied).unwrap();
        assert!(atomic_write(&occupied, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// A rename onto a device would replace the device.
    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let message = atomic_write(&path, b"x").unwrap_err().to_string();
        assert!(
            message.ends_with("expected a file or nothing, there is something else"),
            "{message}"
        );
        assert!(!fs::metadata(&path).unwrap().is_file());
    }
}
