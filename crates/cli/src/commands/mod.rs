//! The commands, one file each.

pub mod arithmetic;
pub mod bench;
mod columns;
pub mod compare;
pub mod data;
pub mod devices;
pub mod evaluate;
pub mod explain;
mod geometry;
pub mod lr_find;
pub mod models;
pub mod photos;
pub mod pooling;
pub mod predict;
pub mod receptive_field;
pub mod report;
pub mod runs;
pub mod show;
pub mod summary;
pub mod train;
pub mod verify;

use std::fmt::Debug;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use striate::conv::conv::allow_winograd;
use striate::models::{CATALOGUE, Entry, find};
use striate::prelude::Device;
use striate_cuda::allow_tf32;

use crate::Failure;
use crate::run::{Config, RunFolder};

/// Prints to standard output; a reader that went away (`| head`) is no error.
pub fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

/// The network called `name`, or an error that lists the names there are.
pub fn entry(name: &str) -> Result<&'static Entry, Failure> {
    find(name).ok_or_else(|| {
        let names: Vec<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
        format!("no model is called {name}; there are {}", names.join(", ")).into()
    })
}

/// Refuses an option that is `given` if the run to be continued has another.
pub fn unchanged<T: PartialEq + Debug>(
    folder: &RunFolder,
    what: &str,
    given: Option<T>,
    was: T,
) -> Result<(), Failure> {
    match given {
        Some(given) if given != was => {
            Err(format!("{}: the run's {what} was {was:?}", folder.path().display()).into())
        }
        _ => Ok(()),
    }
}

/// The device with a name, `cpu` or such as `cuda:0`; `auto` is the first card, or, without one, the CPU.
pub fn device(name: &str) -> Result<Device, Failure> {
    let card = name.strip_prefix("cuda:").map(str::parse);
    match (name, card) {
        ("cpu", _) => Ok(Device::cpu()),
        ("auto", _) => match striate_cuda::list()?.first() {
            Some(card) => Ok(striate_cuda::device(card.ordinal)?),
            None => Ok(Device::cpu()),
        },
        (_, Some(Ok(ordinal))) => Ok(striate_cuda::device(ordinal)?),
        _ => Err(format!("expected a device such as cpu or cuda:0, got {name}").into()),
    }
}

/// Starts so many threads, or one a core, before anything uses them. This is one of them, if it computes: it begins a loop itself,
/// and does not wake another to wait for it.
pub fn start_threads(threads: Option<u32>, computes: bool) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0) as usize);
    let pool = if computes { pool.use_current_thread() } else { pool };
    Ok(pool.build_global()?)
}

/// What computes, as the commands that train take it.
#[derive(clap::Args)]
pub struct Machine {
    /// How many threads; the results do not depend on it [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Never convolve by Winograd's algorithm, whose rounding errors are larger
    #[arg(long)]
    pub precise: bool,
    /// Let a card round the factors of products and convolutions to ten bits, for its tensor cores; nothing else is changed by it
    #[arg(long)]
    pub tf32: bool,
    /// What computes: cpu, a card such as cuda:0, or auto: the first card, if there is one
    #[arg(long, default_value = "cpu")]
    device: String,
}

impl Machine {
    /// Refuses a precision that a run, which is to be continued, has not had so far.
    pub fn unchanged(&self, folder: &RunFolder, config: &Config) -> Result<(), Failure> {
        let options =
            [("--precise", self.precise, config.precise), ("--tf32", self.tf32, config.tf32)];
        match options.into_iter().find(|(_, given, was)| *given && !was) {
            Some((option, ..)) => {
                let path = folder.path().display();
                Err(format!("{path}: the run's precision was without {option}").into())
            }
            None => Ok(()),
        }
    }

    /// Starts the threads and opens the device.
    pub fn prepare(&self) -> Result<Device, Failure> {
        allow_winograd(!self.precise);
        allow_tf32(self.tf32);
        let device = device(&self.device)?;
        // A thread that waits for a card leaves the decoding to the others.
        start_threads(self.threads, device == Device::cpu())?;
        Ok(device)
    }
}

/// The largest size that is taken from the command line. The operations of any layer up to here can be counted.
const LARGEST: usize = 1 << 14;

/// A size such as `28`.
pub fn size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| *size <= LARGEST);
    size.ok_or_else(|| format!("expected a size in 0..={LARGEST}"))
}

/// A size that is not zero.
pub fn count(text: &str) -> Result<usize, String> {
    match size(text)? {
        0 => Err("expected at least 1".into()),
        count => Ok(count),
    }
}

/// A file for a picture of pixels.
pub fn png_file() -> impl TypedValueParser<Value = PathBuf> {
    file_of("png")
}

/// A file for a drawing.
pub fn svg_file() -> impl TypedValueParser<Value = PathBuf> {
    file_of("svg")
}

/// A file that is named after what is written to it, as programs that open it expect.
fn file_of(kind: &'static str) -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(move |path| {
        match path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(kind)) {
            true => Ok(path),
            false => Err(format!("expected a name that ends in .{kind}")),
        }
    })
}

/// Sizes such as `3x224x224`.
pub fn sizes(text: &str) -> Result<Vec<usize>, String> {
    text.split('x').map(size).collect()
}
