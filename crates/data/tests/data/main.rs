//! Files good and bad, datasets, and the loader, through the public interface.

mod cifar10;
mod datasets;
mod idx;
mod loader;
mod mnist;
mod photos;
mod transforms;

use std::fmt::Debug;
use std::io::{self, Write};
use std::path::PathBuf;

use striate_data::Result;

/// The message of a result that must be an error; it must contain `parts`.
#[track_caller]
fn expect_error<T: Debug>(result: Result<T>, parts: &[&str]) {
    let message = result.expect_err("a bad input was accepted").to_string();
    for part in parts {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
}

/// A folder of `$STRIATE_DATA/datasets`, if it is there; says so if it is not.
fn real_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("STRIATE_DATA")
        .map(|root| PathBuf::from(root).join("datasets").join(name))
        .filter(|folder| folder.is_dir());
    if folder.is_none() {
        // Not by a macro, whose output the test harness would swallow.
        let line = format!("SKIP: no folder datasets/{name} in STRIATE_DATA\n");
        let _ = io::stderr().write_all(line.as_bytes());
    }
    folder
}
