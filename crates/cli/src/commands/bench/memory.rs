//! What training holds in memory, and how often it asks the system for more.

use std::fs;

use serde_json::{Value, json};
use striate::conv::buffer;

/// Steps after which a training loop should have all the memory that it needs.
const SETTLED: usize = 5;
/// Steps that are watched.
const STEPS: usize = 20;

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

/// Takes training steps and reports, in mebibytes, how much the resident set grew from before the first to after the last
/// and the pool's high-water mark, and the minor page faults of a step once the first five are over.
pub fn watch(
    mut step: impl FnMut() -> Result<f64, String>,
) -> Result<Vec<(&'static str, Value)>, String> {
    // What earlier work left behind is neither to be used nor to be counted.
    buffer::trim();
    buffer::restart_high_water();
    let before = Usage::now();
    for _ in 0..SETTLED {
        step()?;
    }
    let settled = Usage::now();
    for _ in SETTLED..STEPS {
        step()?;
    }
    let after = Usage::now();
    let mut report = vec![("pool_mb", megabytes(buffer::stats().high_water as f64))];
    if let (Some(before), Some(settled), Some(after)) = (before, settled, after) {
        report.push(("resident_growth_mb", megabytes(after.resident - before.resident)));
        let faults = (after.faults - settled.faults) / (STEPS - SETTLED) as f64;
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
            kept.push(vec![1u8; 1 << 20]);
            Ok(0.0)
        });
        let report = report.unwrap();
        let value = |name| report.iter().find(|(key, _)| *key == name).unwrap().1.as_f64().unwrap();
        assert!(value("resident_growth_mb") > 18.0, "{report:?}");
        // Pages may be larger than 4 KiB.
        assert!(value("faults_per_step") >= 0.5, "{report:?}");
    }
}
