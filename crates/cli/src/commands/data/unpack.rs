//! An archive becomes a folder in one step.
//!
//! Everything goes to a hidden folder beside the final one, is flushed to the disk, and takes the name last. A crash,
//! a full disk or a damaged archive leaves nothing under that name.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use indicatif::ProgressBar;

use crate::{Failure, named};

/// Unpacks the files of an archive, `.tar.gz` or `.zip` as its bytes say, that are `wanted` into the new folder
/// `target`.
///
/// # Errors
///
/// If the archive is damaged or neither; if it holds nothing wanted; if a name in it leads outside; if there is
/// something at `target`.
pub fn unpack(
    archive: &Path,
    target: &Path,
    wanted: fn(&Path) -> bool,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let staging = Staging::beside(target)?;
    let mut count = 0;
    let mut each = |name: &Path, content: &mut dyn Read| -> Result<(), Failure> {
        if wanted(name) {
            staging
                .write(name, content)
                .map_err(|error| format!("{}: {}: {error}", archive.display(), name.display()))?;
            count += 1;
            bar.set_message(format!("{count} files"));
        }
        Ok(())
    };
    match magic(archive).map_err(named(archive))? {
        [0x1f, 0x8b, ..] => each_of_tar(archive, &mut each)?,
        [b'P', b'K', 3, 4] => each_of_zip(archive, &mut each)?,
        _ => return Err(format!("{}: expected a .tar.gz or .zip", archive.display()).into()),
    }
    if count == 0 {
        return Err(format!("{}: none of the expected files is in it", archive.display()).into());
    }
    staging.complete(target)
}

type Each<'a> = dyn FnMut(&Path, &mut dyn Read) -> Result<(), Failure> + 'a;

fn magic(archive: &Path) -> io::Result<[u8; 4]> {
    let mut magic = [0; 4];
    File::open(archive)?.read_exact(&mut magic)?;
    Ok(magic)
}

fn each_of_tar(archive: &Path, each: &mut Each) -> Result<(), Failure> {
    let file = File::open(archive).map_err(named(archive))?;
    let mut tar = tar::Archive::new(GzDecoder::new(file));
    for entry in tar.entries().map_err(named(archive))? {
        let mut entry = entry.map_err(named(archive))?;
        if entry.header().entry_type().is_file() {
            let name = entry.path().map_err(named(archive))?.into_owned();
            each(&name, &mut entry)?;
        }
    }
    // The checksum stands behind the end of the last file.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(named(archive))?;
    Ok(())
}

fn each_of_zip(archive: &Path, each: &mut Each) -> Result<(), Failure> {
    let file = File::open(archive).map_err(named(archive))?;
    let mut zip = zip::ZipArchive::new(file).map_err(named(archive))?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(named(archive))?;
        if entry.is_file() {
            let name = PathBuf::from(&*entry.name().map_err(named(archive))?);
            each(&name, &mut entry)?;
        }
    }
    Ok(())
}

/// A folder that vanishes unless it is completed.
struct Staging(PathBuf);

impl Staging {
    fn beside(target: &Path) -> Result<Self, Failure> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        fs::create_dir_all(&path).map_err(named(&path))?;
        Ok(Staging(path))
    }

    /// Writes one file, and flushes it to the disk.
    fn write(&self, name: &Path, content: &mut dyn Read) -> io::Result<()> {
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(io::Error::other("the name leads outside of the folder"));
        }
        let path = self.0.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&path)?;
        io::copy(content, &mut file)?;
        file.sync_all()
    }

    fn complete(self, target: &Path) -> Result<(), Failure> {
        // A rename replaces an empty folder on some systems and not on others.
        if target.exists() {
            return Err(format!("{}: there is something already", target.display()).into());
        }
        fs::rename(&self.0, target).map_err(named(target))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing is left of it if it was completed.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    type Archiver = fn(&Path, &[(&str, &[u8])]);
    const ARCHIVERS: [(&str, Archiver); 2] = [("x.tar.gz", tar_gz), ("x.zip", zip)];

    fn tar_gz(path: &Path, files: &[(&str, &[u8])]) {
        let gzip = flate2::write::GzEncoder::new(File::create(path).unwrap(), Default::default());
        let mut tar = tar::Builder::new(gzip);
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            // As an attacker would: the library's own setter refuses such names.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, *content).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    }

    fn zip(path: &Path, files: &[(&str, &[u8])]) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, content) in files {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
    }

    fn unpacked(archive: &Path, target: &Path) -> Result<(), Failure> {
        unpack(archive, target, |name| !name.ends_with("readme"), &ProgressBar::hidden())
    }

    #[test]
    fn both_formats_give_the_wanted_files() {
        let folder = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 3] = [("a/one", b"1"), ("a/b/two", b"22"), ("readme", b"?")];
        for (name, write) in ARCHIVERS {
            let (archive, target) = (folder.path().join(name), folder.path().join("set"));
            write(&archive, &files);
            unpacked(&archive, &target).unwrap();
            assert_eq!(fs::read(target.join("a/b/two")).unwrap(), b"22");
            assert!(!target.join("readme").exists());
            let error = unpacked(&archive, &target).unwrap_err().to_string();
            assert!(error.ends_with("set: there is something already"), "{error}");
            fs::remove_dir_all(target).unwrap();
            fs::remove_file(archive).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn names_that_lead_outside_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (archive, target) = (folder.path().join("x"), folder.path().join("set"));
        for name in ["../evil", "/tmp/evil", "a/../../evil"] {
            for (_, write) in ARCHIVERS {
                write(&archive, &[("fine", &b"1"[..]), (name, &b"2"[..])]);
                let error = unpacked(&archive, &target).unwrap_err().to_string();
                assert!(error.contains("leads outside"), "{name}: {error}");
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{name}");
            }
        }
    }

    #[test]
    fn damaged_archives_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (archive, target) = (folder.path().join("x"), folder.path().join("set"));
        let noise: Vec<u8> =
            (0..50_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (_, write) in ARCHIVERS {
            write(&archive, &[("one", &noise[..])]);
            let whole = fs::read(&archive).unwrap();
            for length in [0, 3, 20, whole.len() / 2, whole.len() - 30] {
                fs::write(&archive, &whole[..length]).unwrap();
                unpacked(&archive, &target).unwrap_err();
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{length}");
            }
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            fs::write(&archive, &flipped).unwrap();
            unpacked(&archive, &target).unwrap_err();
        }
        fs::write(&archive, b"neither of both").unwrap();
        let error = unpacked(&archive, &target).unwrap_err().to_string();
        assert!(error.ends_with("x: expected a .tar.gz or .zip"), "{error}");
        tar_gz(&archive, &[("readme", &b"only this"[..])]);
        let error = unpacked(&archive, &target).unwrap_err().to_string();
        assert!(error.ends_with("none of the expected files is in it"), "{error}");
    }
}
