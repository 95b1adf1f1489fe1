//! `striate bench`: how long things take on this machine.

mod conv;
mod memory;
mod peers;
mod scaling;
pub mod timing;

use striate::conv::conv::allow_winograd;

use super::start_threads;
use crate::Failure;

/// Time convolutions of any geometry, the workloads that other engines are compared on, or a layer as it grows
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Conv(conv::Arguments),
    Peers(peers::Arguments),
    Scaling(scaling::Arguments),
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.what {
        What::Conv(arguments) => conv::run(arguments),
        What::Peers(arguments) => peers::run(arguments),
        What::Scaling(arguments) => scaling::run(arguments),
    }
}

/// How the processor computes, as the commands that measure it take it.
#[derive(clap::Args, Clone, Copy)]
pub struct Processor {
    /// How many threads [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Never by Winograd's algorithm, whose rounding errors are larger
    #[arg(long)]
    precise: bool,
}

impl Processor {
    /// Makes the program compute that way from here on, whichever thread asks, if it has not computed anything yet.
    pub fn start(self) -> Result<(), Failure> {
        allow_winograd(!self.precise);
        start_threads(self.threads, true)
    }

    /// Does some work that way, on one of the threads.
    pub fn run<R: Send>(
        self,
        work: impl FnOnce() -> Result<R, String> + Send,
    ) -> Result<R, Failure> {
        allow_winograd(!self.precise);
        let threads = self.threads.unwrap_or(0) as usize;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        Ok(pool.install(work)?)
    }
}
