//! Runs one kernel of a PTX file with all checks: `ptxcheck kernel.ptx --launch spec.toml`.
//!
//! A specification names the kernel, the sizes of the launch and the arguments in their order:
//!
//! ```toml
//! kernel = "scale"
//! grid = [2]          # x, or x and y, or all three
//! block = [64, 1, 1]
//! shared = 0          # bytes of dynamic shared memory; may be left out
//!
//! [[args]]
//! type = "f32"
//! count = 128         # an array: a pointer to it is the argument
//! fill = "index"      # or "random", a number, or nothing for uninitialised memory
//! expect = [0.0, 2.0] # the first numbers that it must hold afterwards
//! tolerance = 1e-6
//! show = 4            # how many numbers to print
//!
//! [[args]]
//! type = "f32"
//! value = 2.0         # a scalar
//! ```
//!
//! It prints what the launch did and what its memory traffic cost, and fails with the first fault,
//! which names line, block, thread and address, or with the first number that is not as expected.

mod spec;

use std::fmt::Write;
use std::process::ExitCode;

use spec::{Argument, Spec};
use striate_ptx::{Memory, Module, Stats};

const USAGE: &str = "usage: ptxcheck kernel.ptx --launch spec.toml";

/// Runs a kernel as specified and reports on it, or says what went wrong.
fn check(file: &str, ptx: &str, spec: &Spec) -> Result<String, String> {
    let module = Module::parse(file, ptx).map_err(|error| error.to_string())?;
    let mut memory = Memory::new();
    let placed = spec.args.iter().map(|argument| argument.place(&mut memory));
    let placed = placed.collect::<Result<Vec<_>, String>>()?;
    let args: Vec<_> = placed.iter().map(|(arg, _)| arg.clone()).collect();
    let [grid, block] = [&spec.grid, &spec.block].map(|size| {
        let mut all = [1; 3];
        all.iter_mut().zip(size).for_each(|(all, size)| *all = *size);
        all
    });
    let stats = module
        .launch(&mut memory, &spec.kernel, grid, block, spec.shared, &args)
        .map_err(|error| error.to_string())?;
    let mut report = format!("kernel `{}`: no fault\n", spec.kernel);
    describe(&stats, &mut report);
    for (i, (argument, (_, address))) in spec.args.iter().zip(&placed).enumerate() {
        results(argument, *address, &mut memory, &mut report)
            .map_err(|message| format!("{report}argument {i}: {message}"))?;
    }
    Ok(report)
}

fn describe(stats: &Stats, report: &mut String) {
    let Stats { warp_instructions, thread_instructions, barriers, traffic, .. } = stats;
    let _ = writeln!(
        report,
        "{warp_instructions} instructions of warps, {thread_instructions} of threads, {barriers} barriers"
    );
    for one in traffic {
        let _ = writeln!(
            report,
            "line {:>4}: {:?}, {} requests, {:.2} per request, at best {:.2}",
            one.line,
            one.transfer,
            one.requests,
            one.per_request(),
            one.ideal as f64 / one.requests as f64
        );
    }
}

/// Compares an array with what is expected of it, and prints its beginning if asked.
fn results(
    argument: &Argument,
    address: Option<u64>,
    memory: &mut Memory,
    report: &mut String,
) -> Result<(), String> {
    let Some(address) = address else { return Ok(()) };
    let wanted = argument.expect.len().max(argument.show);
    let values = argument.kind.download(memory, address, wanted)?;
    for (i, (got, want)) in values.iter().zip(&argument.expect).enumerate() {
        if !((got - want).abs() <= argument.tolerance || got == want) {
            return Err(format!("number {i} is {got}, not {want}"));
        }
    }
    if argument.show > 0 {
        let _ = writeln!(report, "{:?}", &values[..argument.show]);
    }
    Ok(())
}

fn run(args: &[String]) -> Result<String, String> {
    let [ptx, flag, spec] = args else { return Err(USAGE.into()) };
    if flag != "--launch" {
        return Err(USAGE.into());
    }
    let read =
        |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let text = read(spec)?;
    let launch = toml::from_str(&text).map_err(|error| format!("{spec}: {error}"))?;
    check(ptx, &read(ptx)?, &launch)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVERSE: &str = include_str!("../../tests/ptx/reverse.ptx");
    const LAUNCH: &str = include_str!("reverse.toml");

    fn checked(ptx: &str, launch: &str) -> Result<String, String> {
        check("reverse.ptx", ptx, &toml::from_str(launch).map_err(|error| error.to_string())?)
    }

    #[test]
    fn a_kernel_without_fault_is_reported_with_its_traffic() {
        let report = checked(REVERSE, LAUNCH).unwrap();
        for part in
            ["no fault", "2 barriers", "SharedLoad, 4 requests, 1.00 per request", "[63.0, 62.0"]
        {
            assert!(report.contains(part), "{report}");
        }
    }

    #[test]
    fn faults_and_other_numbers_are_errors() {
        let broken = REVERSE.replace("sub.u32 %j, 63, %i;", "sub.u32 %j, 64, %i;");
        let error = checked(&broken, LAUNCH).unwrap_err();
        assert!(error.starts_with("reverse.ptx:24: kernel `reverse`"), "{error}");
        let error = checked(REVERSE, &LAUNCH.replace("62.0", "62.5")).unwrap_err();
        assert!(error.contains("argument 1: number 1 is 62, not 62.5"), "{error}");
        let short =
            checked(REVERSE, &LAUNCH.replacen("count = 128", "count = 127", 1)).unwrap_err();
        assert!(short.contains("508-byte allocation"), "{short}");
        let never = checked(REVERSE, &LAUNCH.replacen("fill = \"index\"", "", 1)).unwrap_err();
        assert!(never.contains("uninitialised read"), "{never}");
    }

    #[test]
    fn a_specification_is_read_strictly() {
        for (old, new) in [
            ("kernel =", "kernal ="),
            ("\"index\"", "\"indices\""),
            ("type = \"f32\"", "type = \"f16\""),
            ("count = 128", "value = 1.0\ncount = 128"),
            ("count = 128", ""),
            ("block = [64]", "block = [64, 1, 1, 1]"),
        ] {
            assert!(LAUNCH.contains(old), "{old}");
            assert!(checked(REVERSE, &LAUNCH.replacen(old, new, 1)).is_err(), "{new}");
        }
        assert!(run(&["one".into()]).unwrap_err().starts_with("usage"));
    }
}
