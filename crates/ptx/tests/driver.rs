//! Programs that speak to the CUDA driver through `cudarc`, run on the stand-in.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use cudarc::driver::sys::{CUevent_flags, CUfunction_attribute, CUgraphInstantiate_flags};
use cudarc::driver::sys::{CUresult, CUstreamCaptureMode};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, DriverError, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::Ptx;
use striate_ptx::driver::{Driver, preload};

const KERNELS: &str = include_str!("ptx/driver.ptx");

struct Card {
    driver: Driver,
    ctx: Arc<CudaContext>,
    stream: Arc<CudaStream>,
}

impl Card {
    fn new() -> Self {
        let driver = preload().unwrap();
        let ctx = CudaContext::new(0).unwrap();
        let stream = ctx.default_stream();
        Self { driver, ctx, stream }
    }

    fn kernel(&self, name: &str) -> CudaFunction {
        let module = self.ctx.load_module(Ptx::from_src(KERNELS)).unwrap();
        module.load_function(name).unwrap()
    }

    fn report(&self) -> String {
        self.driver.report().unwrap_or_default()
    }
}

fn config(threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

fn counted(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

/// Adds two vectors of `n` numbers into one of `room`.
fn add(card: &Card, n: usize, room: usize) -> Result<Vec<f32>, DriverError> {
    let stream = &card.stream;
    let kernel = card.kernel("add");
    let (a, b) = (stream.clone_htod(&counted(n))?, stream.clone_htod(&vec![0.5_f32; n])?);
    let mut c = stream.alloc_zeros::<f32>(room)?;
    let count = n as u32;
    let grid = LaunchConfig { grid_dim: (count.div_ceil(64), 1, 1), ..config(64) };
    let mut launch = stream.launch_builder(&kernel);
    // SAFETY: the arguments are those of `add`.
    unsafe { launch.arg(&a).arg(&b).arg(&mut c).arg(&count).launch(grid) }?;
    stream.synchronize()?;
    stream.clone_dtoh(&c)
}

#[test]
fn vectors_are_added() {
    let card = Card::new();
    let expected: Vec<f32> = (0..1000).map(|i| i as f32 + 0.5).collect();
    assert_eq!(add(&card, 1000, 1000).unwrap(), expected);
}

#[test]
fn a_store_out_of_bounds_is_an_error_at_synchronize_and_later_contexts_work() {
    let card = Card::new();
    let error = add(&card, 100, 99).unwrap_err();
    assert_eq!(error.0, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    let report = card.report();
    for part in ["kernels/test.ptx:29", "kernel `add`", "thread (35, 0, 0)", "396-byte allocation"]
    {
        assert!(report.contains(part), "{report}");
    }
    assert!(format!("{error:?}").contains(&report), "the error itself carries the report");
    // The fault stays, whatever is asked of this context.
    assert_eq!(card.stream.synchronize().unwrap_err().0, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert!(card.stream.clone_htod(&[1.0_f32]).is_err());
    assert_eq!(add(&Card::new(), 3, 3).unwrap(), [0.5, 1.5, 2.5]);
}

#[test]
fn work_waits_until_someone_asks() {
    let card = Card::new();
    let kernel = card.kernel("add");
    let mut c = card.stream.alloc_zeros::<f32>(4).unwrap();
    let (a, n) = (card.stream.clone_htod(&counted(4)).unwrap(), 8_u32);
    let mut launch = card.stream.launch_builder(&kernel);
    // SAFETY: the arguments are those of `add`; that it runs past them is the test.
    unsafe { launch.arg(&a).arg(&a).arg(&mut c).arg(&n).launch(config(8)) }.unwrap();
    card.stream.memset_zeros(&mut c).unwrap();
    assert_eq!(card.report(), "");
    assert!(card.stream.clone_dtoh(&c).is_err());
}

#[test]
fn constants_have_their_values_and_can_be_overwritten() {
    let card = Card::new();
    let module = card.ctx.load_module(Ptx::from_src(KERNELS)).unwrap();
    let kernel = module.load_function("rescale").unwrap();
    let mut a = card.stream.clone_htod(&counted(4)).unwrap();
    let mut run = |which: u32| {
        let mut launch = card.stream.launch_builder(&kernel);
        // SAFETY: the arguments are those of `rescale`.
        unsafe { launch.arg(&mut a).arg(&which).launch(config(4)) }.unwrap();
        card.stream.clone_dtoh(&a).unwrap()
    };
    assert_eq!(run(0), [0.0, 2.0, 4.0, 6.0]);
    assert_eq!(run(1), [0.0, 1.0, 2.0, 3.0]);
    let mut scale = module.get_global("scale", &card.stream).unwrap();
    assert_eq!(scale.len(), 8);
    let bytes: Vec<u8> = [3.0_f32, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    card.stream.memcpy_htod(&bytes, &mut scale).unwrap();
    assert_eq!(run(0), [0.0, 3.0, 6.0, 9.0]);
    assert!(module.get_global("nothing", &card.stream).is_err());
}

#[test]
fn dynamic_shared_memory_is_as_large_as_asked_for() {
    let card = Card::new();
    let kernel = card.kernel("reverse");
    let mut a = card.stream.clone_htod(&counted(64)).unwrap();
    let mut run = |bytes: u32| {
        let config = LaunchConfig { shared_mem_bytes: bytes, ..config(64) };
        // SAFETY: the argument is that of `reverse`.
        unsafe { card.stream.launch_builder(&kernel).arg(&mut a).launch(config) }?;
        card.stream.clone_dtoh(&a)
    };
    let reversed: Vec<f32> = (0..64).rev().map(|i| i as f32).collect();
    assert_eq!(run(256).unwrap(), reversed);
    // More than 48 KiB only once the kernel has asked for it.
    assert_eq!(run(64 << 10).unwrap_err().0, CUresult::CUDA_ERROR_INVALID_VALUE);
    let most = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    kernel.set_attribute(most, 64 << 10).unwrap();
    assert_eq!(run(64 << 10).unwrap(), counted(64));
    assert!(kernel.set_attribute(most, 300 << 10).is_err());
    let error = run(252).unwrap_err();
    assert_eq!(error.0, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert!(card.report().contains("shared memory end"), "{}", card.report());
}

#[test]
fn bad_text_and_bad_launches_are_refused_where_they_are_made() {
    let card = Card::new();
    let bad = KERNELS.replace("bar.sync 0", "bar.wait 0");
    let error = card.ctx.load_module(Ptx::from_src(bad)).unwrap_err();
    assert_eq!(error.0, CUresult::CUDA_ERROR_INVALID_PTX);
    assert!(card.report().starts_with("kernels/test.ptx:64: `bar.wait`"), "{}", card.report());
    let newer = KERNELS.replace("sm_70", "sm_90");
    assert!(card.ctx.load_module(Ptx::from_src(newer)).is_err());
    let module = card.ctx.load_module(Ptx::from_src(KERNELS)).unwrap();
    assert_eq!(module.load_function("no").unwrap_err().0, CUresult::CUDA_ERROR_NOT_FOUND);
    let kernel = module.load_function("reverse").unwrap();
    let mut a = card.stream.alloc_zeros::<f32>(1).unwrap();
    let none = LaunchConfig { grid_dim: (0, 1, 1), ..config(1) };
    for shape in [none, config(0), config(2048)] {
        // SAFETY: the argument is that of `reverse`.
        let done = unsafe { card.stream.launch_builder(&kernel).arg(&mut a).launch(shape) };
        assert_eq!(done.unwrap_err().0, CUresult::CUDA_ERROR_INVALID_VALUE);
    }
    assert_eq!(card.stream.clone_dtoh(&a).unwrap(), [0.0], "refusals leave the context alive");
}

#[test]
fn the_host_does_not_read_what_nobody_wrote() {
    let card = Card::new();
    // SAFETY: that it is not initialised is the test.
    let a = unsafe { card.stream.alloc::<f32>(4) }.unwrap();
    assert!(card.stream.clone_dtoh(&a).is_err());
    assert!(card.report().contains("nothing has written"), "{}", card.report());
}

#[test]
fn events_order_streams_and_measure_time() {
    let card = Card::new();
    let (one, two) = (card.ctx.new_stream().unwrap(), card.ctx.new_stream().unwrap());
    let timed = Some(CUevent_flags::CU_EVENT_DEFAULT);
    let start = one.record_event(timed).unwrap();
    let a = one.clone_htod(&counted(4)).unwrap();
    let end = one.record_event(timed).unwrap();
    assert!(!end.is_complete(), "nothing has run");
    two.wait(&end).unwrap();
    assert_eq!(two.clone_dtoh(&a).unwrap(), counted(4));
    assert!(end.is_complete());
    assert!(start.elapsed_ms(&end).unwrap() >= 0.0);
    let untimed = one.record_event(None).unwrap();
    assert!(start.elapsed_ms(&untimed).is_err());
    // A loop of questions ends.
    let last = one.record_event(None).unwrap();
    while !last.is_complete() {}
}

#[test]
fn streams_that_nothing_orders_are_found_out() {
    // Without tracking, `two` copies before `one` has written; with an event it does not.
    let copied = |ordered: bool, seed: u64| {
        let card = Card::new();
        card.driver.shuffle(seed);
        // SAFETY: ordering by hand is the test.
        unsafe { card.ctx.disable_event_tracking() };
        let (one, two) = (card.ctx.new_stream().unwrap(), card.ctx.new_stream().unwrap());
        let mut a = two.alloc_zeros::<f32>(4).unwrap();
        two.synchronize().unwrap();
        one.memcpy_htod(&counted(4), &mut a).unwrap();
        if ordered {
            two.join(&one).unwrap();
        }
        two.clone_dtoh(&a).unwrap()
    };
    assert_eq!(copied(false, 0), [0.0; 4]);
    let lucky = (1..20).filter(|seed| copied(false, *seed) == counted(4)).count();
    assert!((1..19).contains(&lucky), "{lucky} of 19 orders");
    assert!((0..20).all(|seed| copied(true, seed) == counted(4)));
}

#[test]
fn memory_is_counted_and_freed() {
    let card = Card::new();
    let (free, total) = card.ctx.mem_get_info().unwrap();
    let a = card.stream.alloc_zeros::<u8>(1 << 20).unwrap();
    assert_eq!(card.ctx.mem_get_info().unwrap(), (free - (1 << 20), total));
    drop(a);
    card.stream.synchronize().unwrap();
    assert_eq!(card.ctx.mem_get_info().unwrap(), (free, total));
    // SAFETY: never read; it is refused.
    let much = unsafe { card.stream.alloc::<u8>(total + 1) };
    assert_eq!(much.unwrap_err().0, CUresult::CUDA_ERROR_OUT_OF_MEMORY);
}

#[test]
fn graphs_repeat_what_was_captured() {
    let card = Card::new();
    // SAFETY: all accesses use one stream.
    unsafe { card.ctx.disable_event_tracking() };
    let stream = card.ctx.new_stream().unwrap();
    let kernel = card.kernel("rescale");
    let mut a = stream.clone_htod(&counted(4)).unwrap();
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    stream.begin_capture(mode).unwrap();
    // SAFETY: the arguments are those of `rescale`.
    unsafe { stream.launch_builder(&kernel).arg(&mut a).arg(&0_u32).launch(config(4)) }.unwrap();
    assert_eq!(
        stream.synchronize().unwrap_err().0,
        CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
    );
    let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().unwrap();
    assert_eq!(stream.clone_dtoh(&a).unwrap(), counted(4), "capturing does nothing yet");
    graph.launch().unwrap();
    graph.launch().unwrap();
    assert_eq!(stream.clone_dtoh(&a).unwrap(), [0.0, 4.0, 8.0, 12.0]);
}

#[test]
fn pinned_memory_and_device_properties() {
    let card = Card::new();
    // SAFETY: written before it is read.
    let mut host = unsafe { card.ctx.alloc_pinned::<f32>(4) }.unwrap();
    host.as_mut_slice().unwrap().copy_from_slice(&counted(4));
    let a = card.stream.clone_htod(&host).unwrap();
    assert_eq!(card.stream.clone_dtoh(&a).unwrap(), counted(4));
    assert_eq!(card.ctx.compute_capability().unwrap(), (8, 0));
    assert!(card.ctx.name().unwrap().contains("striate-ptx"));
    assert_eq!(CudaContext::device_count().unwrap(), 1);
    assert!(CudaContext::new(1).is_err());
    let kernel = card.kernel("reverse");
    assert_eq!(kernel.occupancy_max_active_blocks_per_multiprocessor(256, 0, None).unwrap(), 8);
}

#[test]
fn contexts_of_parallel_threads_do_not_meet() {
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|i| {
                scope.spawn(move || {
                    let (card, n) = (Card::new(), 200 + i);
                    let sum = add(&card, n, n - i % 2);
                    (sum.is_ok(), card.report().is_empty())
                })
            })
            .collect();
        for (i, run) in runs.into_iter().enumerate() {
            assert_eq!(run.join().unwrap(), (i % 2 == 0, i % 2 == 0));
        }
    });
}

#[test]
fn a_card_without_memory_pools_does_the_same() {
    if std::env::var_os("STRIATE_PTX_MEMORY_POOLS").is_some() {
        assert!(!Card::new().ctx.has_async_alloc());
        return;
    }
    // All tests once more: a driver's properties are those of its process.
    let tests = std::env::current_exe().unwrap();
    let run = std::process::Command::new(tests).env("STRIATE_PTX_MEMORY_POOLS", "0").output();
    let output = run.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
