//! NVIDIA's assembler on every kernel file: no spills, no local memory, and registers and shared
//! memory within the budget that the file's opening comment states.
//!
//! It is looked for in `STRIATE_PTXAS` and on the path. Where there is none the test says so, unless
//! `STRIATE_REQUIRE_PTXAS=1`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::path;

const TARGETS: [u32; 7] = [75, 80, 86, 89, 90, 100, 120];

pub fn assembler() -> Option<PathBuf> {
    let named = std::env::var_os("STRIATE_PTXAS").map(PathBuf::from);
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("ptxas")).find(|file| file.is_file())
    };
    named.or_else(on_path)
}

/// Whether a missing tool is a failure.
pub fn required() -> bool {
    std::env::var("STRIATE_REQUIRE_PTXAS").is_ok_and(|value| value == "1")
}

/// Registers a thread and bytes of shared memory a block.
type Budget = (u32, u32);

/// The lines `// budget: KERNEL REGISTERS registers, BYTES bytes` of a file.
fn budgets(text: &str) -> HashMap<String, Budget> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("// budget: "));
    let budget = |line: &str| {
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let [kernel, registers, "registers", bytes, "bytes"] = words[..] else {
            panic!("`{line}` is not a budget")
        };
        (kernel.to_owned(), (registers.parse().unwrap(), bytes.parse().unwrap()))
    };
    lines.map(budget).collect()
}

/// What the assembler says about each kernel of a file.
fn assemble(assembler: &Path, file: &str, target: u32) -> HashMap<String, Budget> {
    let output = Command::new(assembler)
        .args([&format!("-arch=sm_{target}"), "-v", "-Werror", "--warn-on-spills"])
        .args(["--warn-on-local-memory-usage", "-o", "/dev/null"])
        .arg(path(file))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{file} for sm_{target}:\n{log}");
    let mut kernel = String::new();
    let mut used = HashMap::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("entry function '") {
            kernel = rest.split('\'').next().unwrap_or_default().to_owned();
        }
        if let Some((_, rest)) = line.split_once(": Used ") {
            let number = |unit: &str| {
                let part = rest.split(", ").find_map(|part| part.strip_suffix(unit));
                part.map_or(0, |number| number.parse().unwrap())
            };
            used.insert(kernel.clone(), (number(" registers"), number(" bytes smem")));
        }
    }
    used
}

#[test]
fn every_kernel_assembles_within_its_budget() {
    let Some(assembler) = assembler() else {
        assert!(
            !required(),
            "STRIATE_REQUIRE_PTXAS=1, and neither STRIATE_PTXAS nor the path has it"
        );
        println!("SKIP: no ptxas; name it in STRIATE_PTXAS");
        return;
    };
    for entry in std::fs::read_dir(path("")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if !file.ends_with(".ptx") {
            continue;
        }
        let text = std::fs::read_to_string(path(&file)).unwrap();
        let budgets = budgets(&text);
        // What a file asks of a card is the least that it is assembled for.
        let least = text.lines().find_map(|line| line.strip_prefix(".target sm_")).unwrap();
        let least: u32 = least.parse().unwrap();
        for target in TARGETS.into_iter().filter(|target| *target >= least) {
            let used = assemble(&assembler, &file, target);
            let mut kernels: Vec<_> = used.keys().collect();
            let mut named: Vec<_> = budgets.keys().collect();
            kernels.sort();
            named.sort();
            assert_eq!(kernels, named, "the kernels of {file} and those it states budgets for");
            for (kernel, (registers, shared)) in used {
                let (most, most_shared) = budgets[&kernel];
                assert!(
                    registers <= most && shared <= most_shared,
                    "{kernel} on sm_{target}: {registers} registers and {shared} bytes"
                );
            }
        }
    }
}
