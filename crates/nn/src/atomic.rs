//! The one door to the disk: files appear whole or not at all.
//!
//! A process that is killed while it writes leaves a temporary file behind. Whoever writes the same file next clears it
//! away. A writer holds a lock on its temporary file, which the system takes from the dead, so that only what nobody is
//! writing is cleared, whatever its age and whoever is running.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use striate_tensor::{Error, ErrorKind, Result};

/// Writes `bytes` to `path` so that a reader, or a crash, sees all of the old file or all of the new one.
///
/// The bytes go to a temporary file in the same folder (a rename is atomic only within one file
/// system), are flushed to the disk, and take the name last. A failure leaves `path` as it was. What is there
/// and not a file, such as a folder or a device, is never replaced. What writers of the same file left when they were
/// killed is removed.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Data, "write", format!("{}: {error}", path.display()))
    };
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(failed(&"expected a file or nothing, there is something else"));
    }
    clear_leftovers(path);
    let temporary = temporary_beside(path);
    // The file stays open, and so locked, until it has its name.
    let written = create_locked(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    written.map_err(|error| {
        // The first failure is the one worth reporting; there may be nothing to remove.
        let _ = fs::remove_file(&temporary);
        failed(&error)
    })
}

/// A new file that no one takes for a leftover.
fn create_locked(path: &Path) -> io::Result<File> {
    loop {
        let file = File::create(path)?;
        // Between the two calls it may have been cleared away. Where there are no locks, nothing ever is.
        if file.lock().is_err() || path.exists() {
            return Ok(file);
        }
    }
}

/// Removes the temporary files of `path` that nobody is writing.
fn clear_leftovers(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten();
    for entry in entries.flatten().filter(|entry| is_temporary_of(path, &entry.path())) {
        // A lock held to the end: whoever has just made this file waits for it, and then makes another.
        let file = File::open(entry.path());
        if file.as_ref().is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether `file` bears a name that [`temporary_beside`] gives.
fn is_temporary_of(path: &Path, file: &Path) -> bool {
    let [name, file] =
        [path, file].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
    let prefix = format!(".{name}.");
    let numbers = file.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".tmp"));
    let numbers = numbers.and_then(|numbers| numbers.split_once('-'));
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    numbers.is_some_and(|(process, serial)| is_number(process) && is_number(serial))
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
    fn what_a_killed_writer_left_is_cleared_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let path = at("metrics.csv");
        let left = at(".metrics.csv.4000000000-7.tmp");
        let kept = [".metrics.csv.tmp", ".metrics.csv.mine-1.tmp", ".other.csv.1-0.tmp"].map(at);
        for file in kept.iter().chain([&left]) {
            fs::write(file, b"half").unwrap();
        }
        let busy = at(".metrics.csv.4000000000-8.tmp");
        let writer = create_locked(&busy).unwrap();
        atomic_write(&path, b"whole").unwrap();
        assert!(!left.exists());
        assert!(kept.iter().chain([&busy, &path]).all(|file| file.exists()));
        drop(writer);
        atomic_write(&path, b"whole").unwrap();
        assert!(!busy.exists());
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
