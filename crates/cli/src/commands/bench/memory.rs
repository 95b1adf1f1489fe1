//! What training holds in memory, and how often it asks the system for more.

use std::fs;

use serde_json::{Value, json};
use striate::conv::buffer;

/// Steps that are watched together.
const STEPS: usize = 15;
/// How often at most so many are watched. On a busy machine threads meet in ever new ways, and what they hold at once
/// grows by a block now and then, ever more rarely; a leak is in every step.
const WATCHES: usize = 10;
/// Page faults of a step that are none of its own: those of the clock and of what prints.
const QUIET: f64 = 1.0;

/// What the system says of this process.
struct Usage {
    /// Bytes of it that are in memory.
    resident: f64,
    /// Page faults that were served without a disk, since its start.
    faults: f64,
}

impl Usage {
    /// As Linux tells it; elsewhere nothing is known.
    fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name, in brackets, may hold spaces. Behind it: the state, six numbers, flags, then the faults.
        let faults = stat.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(Self { resident: 1024.0 * kibibytes, faults })
    }
}

/// Mebibytes, to a hundredth.
pub fn megabytes(bytes: f64) -> Value {
    json!((bytes / f64::from(1 << 20) * 100.0).round() / 100.0)
}

/// Takes training steps, until they make do with the memory that they have or have been watched long enough, and reports,
/// in mebibytes, how much the resident set grew since before the first and the pool's high-water mark, and the minor page
/// faults of one of the last steps.
pub fn watch(
    mut step: impl FnMut() -> Result<f64, String>,
) -> Result<Vec<(&'static str, Value)>, String> {
    // What earlier work left behind is neither to be used nor to be counted.
    buffer::trim();
    buffer::restart_high_water();
    let first = Usage::now();
    let (mut last, mut faults) = (None, f64::INFINITY);
    for _ in 0..WATCHES {
        let before = Usage::now();
        for _ in 0..STEPS {
            step()?;
        }
        last = Usage::now();
        let (Some(before), Some(last)) = (&before, &last) else { break };
        faults = (last.faults - before.faults) / STEPS as f64;
        if faults < QUIET {
            break;
        }
    }
    let mut report = vec![("pool_mb", megabytes(buffer::stats().high_water as f64))];
    if let (Some(first), Some(last)) = (first, last) {
        report.push(("resident_growth_mb", megabytes(last.resident - first.resident)));
        report.push(("faults_per_step", json!((faults * 10.0).round() / 10.0)));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn touching_new_memory_is_seen() {
        let mut kept = Vec::new();
        let report = watch(|| {
            kept.push(vec![1u8; 2 << 20]);
            Ok(0.0)
        });
        let report = report.unwrap();
        let value = |name| report.iter().find(|(key, _)| *key == name).unwrap().1.as_f64().unwrap();
        assert!(value("resident_growth_mb") > 18.0, "{report:?}");
        // Pages may be larger than 4 KiB.
        assert!(value("faults_per_step") >= 1.0, "{report:?}");
    }
}
