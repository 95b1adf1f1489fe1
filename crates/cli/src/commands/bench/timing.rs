//! A clock for workloads of milliseconds to seconds.

use std::time::Instant;

use striate::prelude::Device;

/// What repeating a workload showed, in milliseconds.
#[derive(Clone, Copy)]
pub struct Timing {
    /// The middle of the sorted runs.
    pub median: f64,
    /// The fastest.
    pub min: f64,
    /// How many there were.
    pub runs: usize,
}

impl Timing {
    /// Of the seconds of each run, of which there is one.
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let count = seconds.len();
        let median = (seconds[count / 2] + seconds[(count - 1) / 2]) / 2.0;
        Self { median: median * 1e3, min: seconds[0] * 1e3, runs: count }
    }
}

/// Seconds to spend on a workload, if that gives enough runs.
const BUDGET: f64 = 8.0;
/// The fewest runs, and the most.
const RUNS: [usize; 2] = [7, 200];
/// So many runs are enough once they have taken [`ENOUGH_SECONDS`].
const ENOUGH: usize = 15;
const ENOUGH_SECONDS: f64 = 1.5;

/// Times `run`, which does its own preparation before it starts the clock that it is handed, and returns the
/// seconds that counted. Three runs warm up, or one if it takes over a second.
pub fn repeat(mut run: impl FnMut() -> Result<f64, String>) -> Result<Timing, String> {
    if run()? < 1.0 {
        run()?;
        run()?;
    }
    let (mut seconds, start) = (Vec::new(), Instant::now());
    loop {
        seconds.push(run()?);
        let (count, elapsed) = (seconds.len(), start.elapsed().as_secs_f64());
        let enough =
            elapsed > BUDGET || count >= RUNS[1] || (count >= ENOUGH && elapsed > ENOUGH_SECONDS);
        if (count >= RUNS[0] && enough) || (count >= 3 && elapsed > 5.0 * BUDGET) {
            break;
        }
    }
    Ok(Timing::of(seconds))
}

/// Times `run` for about so many seconds, after one run that warms up: three times at least.
pub fn glance(budget: f64, mut run: impl FnMut()) -> Timing {
    run();
    let (mut seconds, start) = (Vec::new(), Instant::now());
    while seconds.len() < 3 || (start.elapsed().as_secs_f64() < budget && seconds.len() < RUNS[1]) {
        let start = Instant::now();
        run();
        seconds.push(start.elapsed().as_secs_f64());
    }
    Timing::of(seconds)
}

/// The seconds that `work` takes until the device is done with it.
pub fn seconds<R, E: ToString>(
    device: &Device,
    work: impl FnOnce() -> Result<R, E>,
) -> Result<f64, String> {
    let wait = || device.synchronize().map_err(|error| error.to_string());
    wait()?;
    let start = Instant::now();
    let result = work().map_err(|error| error.to_string())?;
    wait()?;
    let seconds = start.elapsed().as_secs_f64();
    drop(result);
    Ok(seconds)
}
