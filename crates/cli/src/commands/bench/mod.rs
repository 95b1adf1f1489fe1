//! `striate bench`: how long things take on this machine.

mod conv;
mod peers;
pub mod timing;

use crate::Failure;

/// Time convolutions of any geometry, or the workloads that other engines are compared on
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Conv(conv::Arguments),
    Peers(peers::Arguments),
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.what {
        What::Conv(arguments) => conv::run(arguments),
        What::Peers(arguments) => peers::run(arguments),
    }
}

/// Runs `work` on so many threads; without a number, on one for each core.
pub fn on_threads<R: Send>(
    threads: Option<usize>,
    work: impl FnOnce() -> Result<R, String> + Send,
) -> Result<R, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build()?;
    Ok(pool.install(work)?)
}
