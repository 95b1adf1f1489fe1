//! Kernels broken on purpose: each mutation must be caught, at its line and by its thread, and the
//! kernel as it was must run.

use striate_ptx::{Arg, Fault, FaultKind, LaunchError, Memory, Module, Stats, Transfer};

/// Reverses 64 numbers of a block through shared memory.
const REVERSE: &str = include_str!("ptx/reverse.ptx");

fn run(text: &str) -> Result<(Stats, Vec<f32>), LaunchError> {
    let module = Module::parse("k.ptx", text).unwrap();
    let mut memory = Memory::new();
    let values: Vec<f32> = (0..128).map(|v| v as f32).collect();
    let from = memory.upload(&values).unwrap();
    let to = memory.upload(&[0.0_f32; 128]).unwrap();
    let args: [Arg; 2] = [from.into(), to.into()];
    let stats = module.launch(&mut memory, "reverse", [2, 1, 1], [64, 1, 1], 0, &args)?;
    Ok((stats, memory.download(to, 128).unwrap()))
}

/// The fault of the kernel with one line replaced.
fn mutated(old: &str, new: &str) -> Fault {
    assert_eq!(REVERSE.matches(old).count(), 1, "`{old}` stands once in the kernel");
    match run(&REVERSE.replace(old, new)) {
        Err(LaunchError::Fault(fault)) => *fault,
        other => panic!("`{new}` instead of `{old}` gave {other:?}"),
    }
}

#[test]
fn the_kernel_as_it_was_runs() {
    let (stats, values) = run(REVERSE).unwrap();
    let expected: Vec<f32> = (0..64).rev().chain((64..128).rev()).map(|v| v as f32).collect();
    assert_eq!(values, expected);
    assert_eq!((stats.barriers, stats.warp_instructions), (2, 18 * 4));
    assert_eq!(stats.thread_instructions, 18 * 128);
}

#[test]
fn sectors_and_wavefronts_are_counted() {
    let (stats, _) = run(REVERSE).unwrap();
    let count = |stats: &Stats, transfer| {
        let traffic = stats.traffic_in(transfer, 1..=99).unwrap();
        (traffic.requests, traffic.pieces, traffic.ideal)
    };
    assert_eq!(count(&stats, Transfer::GlobalLoad), (4, 16, 16));
    assert_eq!(count(&stats, Transfer::GlobalStore), (4, 16, 16));
    assert_eq!(count(&stats, Transfer::SharedStore), (4, 4, 4));
    assert_eq!(count(&stats, Transfer::SharedLoad), (4, 4, 4));
    assert_eq!(stats.traffic_in(Transfer::SharedLoad, 1..=20), None, "it stands later");
    // A stride of two words is a conflict of two lanes in each bank.
    let (wide, _) = run(&REVERSE
        .replace("tile[64]", "tile[128]")
        .replace("j, %i, 4", "j, %i, 8")
        .replace("j, %j, 4", "j, %j, 8"))
    .unwrap();
    assert_eq!(count(&wide, Transfer::SharedLoad), (4, 8, 4));
    assert_eq!(wide.traffic[1].per_request(), 2.0);
}

#[test]
fn an_index_off_by_one_leaves_the_allocation() {
    let fault = mutated("st.global.f32 [%at], %x;", "st.global.f32 [%at+4], %x;");
    assert!(matches!(fault.kind, FaultKind::OutOfBounds(_)), "{fault}");
    let fault = mutated("ld.global.f32 %x, [%at];", "ld.global.f32 %x, [%at+4];");
    let FaultKind::OutOfBounds(text) = &fault.kind else { panic!("{fault}") };
    assert_eq!(text, "0 bytes past the end of a 512-byte allocation");
    assert_eq!((fault.line, fault.block, fault.thread), (17, [1, 0, 0], [63, 0, 0]));
    let fault = mutated("ld.global.f32 %x, [%at];", "ld.global.f32 %x, [%at+-4];");
    let FaultKind::OutOfBounds(text) = &fault.kind else { panic!("{fault}") };
    assert_eq!(text, "4 bytes before a 512-byte allocation");
}

#[test]
fn an_index_off_by_one_leaves_shared_memory() {
    let fault = mutated("sub.u32 %j, 63, %i;", "sub.u32 %j, 64, %i;");
    assert!(matches!(fault.kind, FaultKind::OutOfBounds(_)), "{fault}");
    assert_eq!((fault.line, fault.thread, fault.address), (24, [0, 0, 0], Some(256)));
}

#[test]
fn a_removed_barrier_is_a_race_or_an_uninitialised_read() {
    let fault = mutated("bar.sync 0;", "");
    assert!(matches!(fault.kind, FaultKind::Uninitialised), "{fault}");
    // Within one warp every byte is written first, and only their order is missing.
    let fault = mutated("bar.sync 0;\n  sub.u32 %j, 63, %i;", "xor.b32 %j, %i, 1;");
    let FaultKind::Race(text) = &fault.kind else { panic!("{fault}") };
    assert_eq!(text, "thread 1 of the block wrote it at line 20, with no barrier between");
    assert_eq!((fault.line, fault.thread), (23, [0, 0, 0]));
}

#[test]
fn a_warp_barrier_orders_the_lanes_of_one_warp_only() {
    let swap = |by: &str| {
        let barrier = "bar.warp.sync 0xffffffff;\n  xor.b32 %j, %i, ";
        REVERSE.replace("bar.sync 0;\n  sub.u32 %j, 63, %i;", &format!("{barrier}{by};"))
    };
    assert_eq!(run(&swap("1")).unwrap().1[..2], [1.0, 0.0]);
    assert!(run(&swap("32")).is_err());
}

#[test]
fn a_read_then_a_write_without_a_barrier_is_a_race() {
    let fault = mutated("st.global.f32 [%at], %x;", "st.shared.f32 [%s], %x;");
    assert!(matches!(fault.kind, FaultKind::Race(_)), "{fault}");
    assert_eq!(fault.line, 26);
}

#[test]
fn of_lanes_that_read_one_address_every_one_can_clash() {
    // All threads read the first number; one of them overwrites it. Whichever that is, others have
    // read it with no barrier between.
    for writer in [0, 1, 2, 31, 32, 63] {
        let write = format!(
            "bar.sync 0; ld.shared.f32 %x, [%s]; setp.eq.u32 %p, %i, {writer}; @%p st.shared.f32 [%s], %x;"
        );
        let fault = mutated("bar.sync 0;", &write);
        assert!(matches!(fault.kind, FaultKind::Race(_)), "{fault}");
        assert_eq!((fault.line, fault.thread), (21, [writer, 0, 0]));
    }
}

#[test]
fn a_barrier_that_not_all_threads_reach_is_caught() {
    let fault = mutated("bar.sync 0;", "setp.lt.u32 %p, %i, 7; @%p bar.sync 0;");
    assert!(matches!(fault.kind, FaultKind::DivergentBarrier(_)), "{fault}");
    assert_eq!((fault.line, fault.thread), (21, [7, 0, 0]));
    // Whole warps at different barriers.
    let fault = mutated(
        "bar.sync 0;",
        "setp.lt.u32 %p, %i, 32; @%p bra ONE; bar.sync 0; bra BOTH; ONE: bar.sync 1; BOTH:",
    );
    assert!(matches!(fault.kind, FaultKind::DivergentBarrier(_)), "{fault}");
}

#[test]
fn two_blocks_that_write_one_address_are_caught() {
    let fault = mutated("mad.wide.u32 %at, %g, 4, %to;", "mad.wide.u32 %at, %i, 4, %to;");
    let FaultKind::BlockConflict(text) = &fault.kind else { panic!("{fault}") };
    assert_eq!(text, "block [0, 0, 0] wrote it at line 26");
    assert_eq!((fault.line, fault.block), (26, [1, 0, 0]));
}

#[test]
fn a_misaligned_address_is_caught() {
    let fault = mutated("ld.global.f32 %x, [%at];", "ld.global.f32 %x, [%at+2];");
    assert_eq!((fault.kind, fault.line), (FaultKind::Misaligned(4), 17));
}

/// Counts the threads of all blocks below a limit, in shared and then in global memory.
const COUNT: &str = include_str!("ptx/count.ptx");

fn count(text: &str) -> Result<u32, Box<Fault>> {
    let module = Module::parse("k.ptx", text).unwrap();
    let mut memory = Memory::new();
    let total = memory.upload(&[0_u32]).unwrap();
    let args = [total.into(), 0_u64.into()];
    match module.launch(&mut memory, "reverse", [3, 1, 1], [64, 1, 1], 0, &args) {
        Ok(_) => Ok(memory.download(total, 1).unwrap()[0]),
        Err(LaunchError::Fault(fault)) => Err(fault),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn atomic_accesses_clash_with_plain_ones_only() {
    assert_eq!(count(COUNT).unwrap(), 120);
    // Each barrier is needed, and so is each atomic operation.
    let parts: Vec<&str> = COUNT.split("bar.sync 0;").collect();
    for (text, line) in [
        (format!("{} {} bar.sync 0; {}", parts[0], parts[1], parts[2]), 16),
        (format!("{} bar.sync 0; {} {}", parts[0], parts[1], parts[2]), 18),
        (COUNT.replace("red.shared.add.u32 [cell], 1", "st.shared.u32 [cell], %i"), 16),
    ] {
        let fault = count(&text).unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Race(_)), "{fault}");
        assert_eq!(fault.line, line, "{fault}");
    }
    let plain = COUNT.replace("red.global.add.u32 [%total], %n", "st.global.u32 [%total], %n");
    assert!(matches!(count(&plain).unwrap_err().kind, FaultKind::BlockConflict(_)));
    let read = COUNT.replace("  ret;", "  @%first ld.global.u32 %n, [%total];");
    let fault = count(&read).unwrap_err();
    let FaultKind::BlockConflict(text) = &fault.kind else { panic!("{fault}") };
    assert_eq!(text, "block [0, 0, 0] read it at line 20");
    assert_eq!((fault.line, fault.block), (19, [1, 0, 0]));
}

#[test]
fn uninitialised_global_memory_is_caught() {
    let module = Module::parse("k.ptx", REVERSE).unwrap();
    let mut memory = Memory::new();
    let (from, to) = (memory.alloc(512).unwrap(), memory.alloc(512).unwrap());
    memory.write(from, &[0; 12]).unwrap();
    let args = [from.into(), to.into()];
    let error = module.launch(&mut memory, "reverse", [2, 1, 1], [64, 1, 1], 0, &args).unwrap_err();
    let LaunchError::Fault(fault) = error else { panic!("{error}") };
    assert_eq!((fault.kind, fault.thread), (FaultKind::Uninitialised, [3, 0, 0]));
    assert!(memory.download::<f32>(to, 1).is_err());
}

#[test]
fn a_loop_without_end_is_caught() {
    let text = ".entry reverse(.param .u64 a, .param .u64 b) { HERE: bra HERE; }";
    let Err(LaunchError::Fault(fault)) = run(text) else { panic!("it ended") };
    assert!(matches!(fault.kind, FaultKind::Endless(_)));
}

#[test]
fn a_shuffle_that_names_absent_lanes_is_caught() {
    let fault = mutated(
        "bar.sync 0;",
        "setp.lt.u32 %p, %i, 7; @%p shfl.sync.bfly.b32 %x, %x, 1, 31, 0xffffffff; bar.sync 0;",
    );
    assert!(matches!(fault.kind, FaultKind::WarpMembers(_)), "{fault}");
}

#[test]
fn freed_memory_and_impossible_launches_are_refused() {
    let module = Module::parse("k.ptx", REVERSE).unwrap();
    let mut memory = Memory::new();
    let from = memory.upload(&[0.0_f32; 64]).unwrap();
    let to = memory.upload(&[0.0_f32; 64]).unwrap();
    memory.free(from).unwrap();
    assert!(memory.free(from).is_err());
    let args: [Arg; 2] = [from.into(), to.into()];
    let mut launch = |name, grid, block, args: &[Arg]| {
        module.launch(&mut memory, name, grid, block, 0, args).unwrap_err().to_string()
    };
    assert!(launch("reverse", [1; 3], [64, 1, 1], &args).contains("freed"));
    assert!(launch("nothing", [1; 3], [64, 1, 1], &args).contains("no such kernel"));
    assert!(launch("reverse", [0, 1, 1], [64, 1, 1], &args).contains("grid"));
    assert!(launch("reverse", [1; 3], [64, 64, 1], &args).contains("block"));
    assert!(launch("reverse", [1; 3], [64, 1, 1], &args[..1]).contains("arguments"));
    let narrow = [from.into(), 1_u32.into()];
    assert!(launch("reverse", [1; 3], [64, 1, 1], &narrow).contains("4 bytes"));
}
