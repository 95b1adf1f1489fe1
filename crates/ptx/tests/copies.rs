//! Asynchronous copies: what a pipeline of them computes, and how it is caught when it does not
//! wait for them.

use striate_ptx::{Fault, FaultKind, LaunchError, Memory, Module, Transfer};

/// Sums eight tiles of 32 numbers, each brought by a copy while the one before is being added:
/// `to[i]` is the sum over tiles of the number that thread `31 - i` brought.
const PIPELINE: &str = include_str!("ptx/pipeline.ptx");

fn run(text: &str, threads: u32) -> Result<Vec<f32>, Box<Fault>> {
    let module = Module::parse("k.ptx", text).unwrap_or_else(|error| panic!("{error}"));
    let mut memory = Memory::new();
    let values: Vec<f32> = (0..256).map(|v| v as f32).collect();
    let from = memory.upload(&values).unwrap();
    let to = memory.upload(&[0.0_f32; 64]).unwrap();
    match module.launch(&mut memory, "sum", [1; 3], [threads, 1, 1], 0, &[from.into(), to.into()]) {
        Ok(stats) => {
            for transfer in [Transfer::GlobalLoad, Transfer::SharedStore] {
                let traffic = stats.traffic_in(transfer, 1..=99).unwrap();
                assert_eq!(traffic.pieces, traffic.ideal, "{transfer:?}");
            }
            Ok(memory.download(to, 32).unwrap())
        }
        Err(LaunchError::Fault(fault)) => Err(fault),
        Err(other) => panic!("{other}"),
    }
}

/// The fault of the pipeline with one line replaced.
fn mutated(old: &str, new: &str) -> Box<Fault> {
    assert_eq!(PIPELINE.matches(old).count(), 1, "`{old}` stands once in the kernel");
    run(&PIPELINE.replace(old, new), 32).unwrap_err()
}

#[test]
fn the_pipeline_as_it_was_runs() {
    let expected: Vec<f32> =
        (0..32).rev().map(|i| (0..8).map(|tile| (tile * 32 + i) as f32).sum()).collect();
    assert_eq!(run(PIPELINE, 32).unwrap(), expected);
}

#[test]
fn a_wait_for_one_group_too_few_is_caught_at_the_first_read() {
    let fault = mutated("cp.async.wait_group 1", "cp.async.wait_group 2");
    let FaultKind::AsyncCopy(text) = &fault.kind else { panic!("{fault}") };
    assert_eq!(text, "thread 31 copies to these bytes at line 20 and has not waited for it");
    assert_eq!((fault.line, fault.thread), (31, [0, 0, 0]));
}

#[test]
fn a_copy_outside_any_group_is_caught() {
    let fault = mutated(
        "4;\n  cp.async.commit_group;\n  cp.async.wait_group 1",
        "4;\n  cp.async.wait_group 0",
    );
    assert!(matches!(fault.kind, FaultKind::AsyncCopy(_)), "{fault}");
    assert_eq!(fault.line, 30, "the read, with one line less before it");
}

#[test]
fn a_barrier_removed_on_either_side_of_the_read_is_caught() {
    let parts: Vec<&str> = PIPELINE.split("bar.sync 0;").collect();
    // Before: the thread sees its own copies only.
    let before = format!("{}{}bar.sync 0;{}", parts[0], parts[1], parts[2]);
    assert!(matches!(run(&before, 32).unwrap_err().kind, FaultKind::Race(_)));
    // After: the next copy may overwrite what another thread still reads.
    let after = format!("{}bar.sync 0;{}{}", parts[0], parts[1], parts[2]);
    let fault = run(&after, 32).unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Race(_)), "{fault}");
    assert_eq!(fault.line, 27);
}

#[test]
fn copies_that_nobody_waits_for_are_caught_at_the_end() {
    let end = "st.global.f32 [%to], %sum;";
    let fault = mutated(end, "cp.async.ca.shared.global [%mine], [%to], 4;");
    let FaultKind::AsyncCopy(text) = &fault.kind else { panic!("{fault}") };
    assert!(text.contains("the thread ends"), "{text}");
    assert_eq!(fault.line, 36);
}

#[test]
fn the_ends_of_a_copy_are_checked() {
    let copy = "@%more cp.async.ca.shared.global [%mine], [%from], 4;";
    for (new, wanted) in [
        ("cp.async.ca.shared.global [%mine], [%from], 4;", "out of bounds"),
        ("@%more cp.async.ca.shared.global [%mine+256], [%from], 4;", "out of bounds"),
        ("@%more cp.async.ca.shared.global [%mine], [%from+2], 4;", "misaligned"),
        ("@%more cp.async.ca.shared.global [%mine], [%from], 4, 5;", "asynchronous copy: 5 bytes"),
        ("@%more cp.async.ca.shared.global [tiles], [%from], 4;", "asynchronous copy"),
    ] {
        let fault = mutated(copy, new);
        assert!(fault.kind.to_string().starts_with(wanted), "{new}: {fault}");
        assert_eq!(fault.line, 27, "{new}");
    }
}

#[test]
fn a_short_source_is_filled_with_zeros_and_an_empty_one_not_touched() {
    let copy = "@%more cp.async.ca.shared.global [%mine], [%from], 4;";
    let none = PIPELINE.replace(copy, &copy.replace("4;", "4, 0;"));
    let first: Vec<f32> = (0..32).rev().map(|i| i as f32).collect();
    assert_eq!(run(&none, 32).unwrap(), first, "only the first tile has numbers");
    // The first two bytes of a small whole number are zeros, and so is what follows them here.
    let half = "cp.async.ca.shared.global [%mine], [%from], 4;\n  cp.async.commit_group;\nLOOP";
    assert!(PIPELINE.contains(half));
    let short = none.replace(half, &half.replace("4;", "4, 2;"));
    assert_eq!(run(&short, 32).unwrap(), [0.0; 32]);
}

#[test]
fn older_targets_and_odd_sizes_are_refused() {
    for (old, new) in [
        ("sm_80", "sm_75"),
        ("[%mine], [%from], 4;\n  cp.async.commit_group;\nLOOP", "[%mine], [%from], 12;\nLOOP"),
        ("cp.async.wait_group 1", "cp.async.wait_group %i"),
    ] {
        let text = PIPELINE.replace(old, new);
        assert!(Module::parse("k.ptx", &text).is_err(), "{new}");
    }
}
