//! `striate data`: the data sets of the documents, from their official addresses.
//!
//! A set is known by the SHA-256 of its files. `fetch` ends with a folder that has them or with an error, and can be
//! repeated at any time: what is there is not fetched again, and what had come in part is continued. `verify` checks
//! a folder, wherever it came from.

pub mod digest;
mod download;
mod sets;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use striate::data::{Dataset, Photos, Transform, Transforms};

use self::digest::sha256_of;
use self::download::{Client, Wanted};
pub use self::sets::resolve;
use self::sets::{File, Origin, SETS, Set, home, set};
use super::print;
use crate::{Failure, named};

/// List, fetch and verify the data sets
///
/// Fetched sets lie in $XDG_DATA_HOME/striate, or ~/.local/share/striate. `--data mnist` and the like find them there.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List the data sets, and where they lie if they have been fetched
    List,
    /// Fetch a data set and check its digests
    Fetch(Fetch),
    /// Check the files of a data set against their digests
    Verify(Verify),
}

#[derive(clap::Args)]
struct Fetch {
    /// The data set, as `striate data list` names it
    name: String,
    /// The folder to put it in, which gets a folder of the set's name [default: the place of fetched sets]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The set's archive, fetched by other means
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    archive: Option<PathBuf>,
    /// The address of a folder to fetch the files from, instead of the official ones
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Seconds to wait for a connection or for the next bytes
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

#[derive(clap::Args)]
struct Verify {
    /// The data set, as `striate data list` names it
    name: String,
    /// The folder [default: the fetched one]
    folder: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.what {
        What::List => list(),
        What::Fetch(arguments) => fetch(&arguments),
        What::Verify(arguments) => {
            let set = set(&arguments.name)?;
            let folder = match arguments.folder {
                Some(folder) => folder,
                None => home()?.join(set.name),
            };
            verify(set, &folder)
        }
    }
}

fn list() -> Result<(), Failure> {
    let home = home()?;
    for set in SETS {
        let folder = home.join(set.name);
        // A fetch that was broken off leaves a folder, too.
        let whole = set.files.iter().all(|file| folder.join(file.path).is_file());
        let place = match folder.is_dir() && whole {
            true => folder.display().to_string(),
            false => "not fetched".into(),
        };
        print(format_args!("{:<8} {}\n         {place}", set.name, set.description))?;
    }
    Ok(())
}

fn fetch(arguments: &Fetch) -> Result<(), Failure> {
    let set = set(&arguments.name)?;
    let home = arguments.into.clone().map_or_else(home, Ok)?;
    let folder = home.join(set.name);
    match (&set.origin, &arguments.archive) {
        (Origin::Files(_), Some(_)) => {
            return Err(format!("{} does not come in an archive", set.name).into());
        }
        (Origin::Files(addresses), None) => {
            create(&folder)?;
            for file in set.files {
                arguments.download(file, addresses, &folder.join(file.path))?;
            }
        }
        _ if folder.exists() => {}
        (Origin::Archive(file, addresses), None) => {
            create(&home)?;
            let archive = home.join(file.path);
            arguments.download(file, addresses, &archive)?;
            arguments.unpack(set, &archive, &folder)?;
            // What it held is there now.
            fs::remove_file(&archive).map_err(named(&archive))?;
        }
        (Origin::Archive(file, _), Some(archive)) => {
            matches(file, archive)?;
            create(&home)?;
            arguments.unpack(set, archive, &folder)?;
        }
        (Origin::Account { .. }, Some(archive)) => {
            create(&home)?;
            arguments.unpack(set, archive, &folder)?;
        }
        (Origin::Account { page, archive }, None) => {
            return Err(format!(
                "{name} needs an account: fetch {archive} from {page}, then \
                 `striate data fetch {name} --archive {archive}`",
                name = set.name
            )
            .into());
        }
    }
    verify(set, &folder)
}

impl Fetch {
    fn bar(&self, name: &str, template: &str) -> Result<ProgressBar, Failure> {
        if self.quiet {
            return Ok(ProgressBar::hidden());
        }
        let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(template)?);
        Ok(bar.with_prefix(name.to_owned()))
    }

    /// Fetches one file, unless it is there.
    fn download(&self, file: &File, addresses: &[&str], target: &Path) -> Result<(), Failure> {
        if matches(file, target).is_ok() {
            return Ok(());
        }
        let folders = match &self.from {
            Some(folder) => vec![format!("{}/", folder.trim_end_matches('/'))],
            None => addresses.iter().map(|&folder| folder.to_owned()).collect(),
        };
        let addresses: Vec<String> = folders.into_iter().map(|folder| folder + file.path).collect();
        let wanted = Wanted { addresses: &addresses, bytes: file.bytes, sha256: file.sha256 };
        let style = "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
        let bar = self.bar(file.path, style)?;
        let client = Client::new(Duration::from_secs(self.patience));
        let fetched = client.fetch(&wanted, target, &bar);
        bar.finish_and_clear();
        fetched
    }

    fn unpack(&self, set: &Set, archive: &Path, folder: &Path) -> Result<(), Failure> {
        let bar = self.bar(set.name, "{prefix}: unpacking, {msg}")?;
        let unpacked = unpack::unpack(archive, folder, set.wanted, &bar);
        bar.finish_and_clear();
        unpacked
    }
}

fn create(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(named(folder))
}

/// Fails unless the file at `path` is `file`.
fn matches(file: &File, path: &Path) -> Result<(), Failure> {
    let found = fs::metadata(path).map_err(named(path))?.len();
    if let Some(bytes) = file.bytes
        && bytes != found
    {
        return Err(format!("{}: expected {bytes} bytes, got {found}", path.display()).into());
    }
    let (found, expected) = (sha256_of(path).map_err(named(path))?, file.sha256);
    match found == expected {
        true => Ok(()),
        false => {
            let path = path.display();
            Err(format!("{path}: expected SHA-256 {expected}, got {found}").into())
        }
    }
}

/// Says of every file whether it is right, and fails if one is not.
fn verify(set: &Set, folder: &Path) -> Result<(), Failure> {
    if set.files.is_empty() {
        return verify_photos(folder);
    }
    let mut wrong = 0;
    for file in set.files {
        match matches(file, &folder.join(file.path)) {
            Ok(()) => print(format_args!("right    {}", file.path))?,
            Err(problem) => {
                wrong += 1;
                print(format_args!("wrong    {problem}"))?;
            }
        }
    }
    match wrong {
        0 => print(format_args!("{}: {} is complete", folder.display(), set.name)),
        _ => Err(format!(
            "{}: {wrong} of {} files of {} are wrong",
            folder.display(),
            set.files.len(),
            set.name
        )
        .into()),
    }
}

/// For photos without digests: every one that is listed can be decoded.
fn verify_photos(folder: &Path) -> Result<(), Failure> {
    // Photos need a size to become samples; here they are only decoded.
    let any = Transforms::new([Transform::Resize([1, 1])])?;
    let photos = Photos::from_dir(folder, any)?;
    let unreadable = photos.unreadable();
    unreadable.iter().try_for_each(|problem| print(format_args!("wrong    {problem}")))?;
    let (folder, count) = (folder.display(), photos.len());
    match unreadable.len() {
        0 => print(format_args!(
            "{folder}: {count} photos of {} classes can be read; no digests are known",
            photos.classes().len()
        )),
        wrong => Err(format!("{folder}: {wrong} of {count} photos are wrong").into()),
    }
}
