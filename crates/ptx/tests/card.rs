//! The interpreter beside a card: with `STRIATE_CUDA=real` and a driver, what the tests' kernels
//! compute on both. Without, each test says SKIP.
#![cfg(target_os = "linux")]

use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;
use striate_ptx::{Arg, Memory, Module};

/// A kernel of one block and its arrays of words, which it may all change.
struct Run<'a> {
    text: &'a str,
    kernel: &'a str,
    grid: u32,
    threads: u32,
    arrays: Vec<Vec<u32>>,
}

impl Run<'_> {
    fn interpreted(&self) -> Vec<Vec<u32>> {
        let module = Module::parse("k.ptx", self.text).unwrap();
        let mut memory = Memory::new();
        let arrays: Vec<u64> =
            self.arrays.iter().map(|array| memory.upload(array).unwrap()).collect();
        let args: Vec<Arg> = arrays.iter().map(|at| Arg::from(*at)).collect();
        let (grid, block) = ([self.grid, 1, 1], [self.threads, 1, 1]);
        module.launch(&mut memory, self.kernel, grid, block, 0, &args).unwrap();
        let read = |(at, array): (&u64, &Vec<u32>)| memory.download(*at, array.len()).unwrap();
        arrays.iter().zip(&self.arrays).map(read).collect()
    }

    fn on_card(&self) -> Vec<Vec<u32>> {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let module = context.load_module(Ptx::from_src(self.text)).unwrap();
        let kernel = module.load_function(self.kernel).unwrap();
        let upload = |array: &Vec<u32>| stream.clone_htod(array).unwrap();
        let mut arrays: Vec<_> = self.arrays.iter().map(upload).collect();
        let mut launch = stream.launch_builder(&kernel);
        for array in &mut arrays {
            launch.arg(array);
        }
        let (grid_dim, block_dim) = ((self.grid, 1, 1), (self.threads, 1, 1));
        let shape = LaunchConfig { grid_dim, block_dim, shared_mem_bytes: 0 };
        // SAFETY: the interpreter has run the kernel on the same arrays and found no fault.
        unsafe { launch.launch(shape) }.unwrap();
        arrays.iter().map(|array| stream.clone_dtoh(array).unwrap()).collect()
    }

    /// The arrays after both runs, if there is a card to ask.
    fn both(&self) -> Option<[Vec<Vec<u32>>; 2]> {
        let interpreted = self.interpreted();
        if std::env::var("STRIATE_CUDA").as_deref() != Ok("real") {
            println!("SKIP: no card (STRIATE_CUDA=real)");
            return None;
        }
        Some([interpreted, self.on_card()])
    }
}

/// Numbers of a linear congruential generator, Knuth's MMIX.
fn numbers(count: usize, seed: u64) -> Vec<u32> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    (0..count).map(|_| next()).collect()
}

/// Singles between -1 and 1, all bits of the fraction in use.
fn singles(count: usize, seed: u64) -> Vec<u32> {
    let unit = |bits: u32| (f64::from(bits) / f64::from(1_u32 << 31) - 1.0) as f32;
    numbers(count, seed).into_iter().map(|bits| unit(bits).to_bits()).collect()
}

#[test]
fn products_of_matrices() {
    for (kernel, depth) in [("product4", 4), ("product8", 8)] {
        let mut worst = 0.0_f32;
        for seed in 0..50 {
            let run = Run {
                text: include_str!("ptx/product.ptx"),
                kernel,
                grid: 1,
                threads: 32,
                arrays: vec![
                    singles(16 * depth, 3 * seed + 1),
                    singles(8 * depth, 3 * seed + 2),
                    singles(128, 3 * seed + 3),
                    vec![0; 128],
                ],
            };
            let Some([ours, card]) = run.both() else { return };
            for (a, b) in ours[3].iter().zip(&card[3]) {
                worst = worst.max((f32::from_bits(*a) - f32::from_bits(*b)).abs());
            }
        }
        println!("{kernel}: differs by at most {worst:e}");
        // A layout misread would differ by about one, a rounding that a card does not do by 1e-3.
        assert!(worst < 2e-6, "{kernel}: {worst:e}");
    }
}

#[test]
fn rounding_to_tf32() {
    let text = ".version 7.0
        .target sm_80
        .address_size 64
        .visible .entry round(.param .u64 x) {
            .reg .u64 %x; .reg .u32 %i; .reg .f32 %f; .reg .b32 %r;
            ld.param.u64 %x, [x];
            mov.u32 %i, %tid.x;
            mad.wide.u32 %x, %i, 4, %x;
            ld.global.f32 %f, [%x];
            cvt.rna.tf32.f32 %r, %f;
            st.global.b32 [%x], %r;
            ret;
        }";
    let mut x = numbers(1016, 9);
    x.extend([0, 1 << 31, 0x7f80_0000, 0xff80_0000, 0x7fc0_0001, 0x7f7f_ffff, 0x3f80_1000, 0x1001]);
    let run = Run { text, kernel: "round", grid: 1, threads: 1024, arrays: vec![x.clone()] };
    let Some([ours, card]) = run.both() else { return };
    for ((a, b), x) in ours[0].iter().zip(&card[0]).zip(&x) {
        assert_eq!(a, b, "{x:#010x}: {a:#010x} here, {b:#010x} on the card");
    }
}

#[test]
fn a_pipeline_of_copies() {
    let run = Run {
        text: include_str!("ptx/pipeline.ptx"),
        kernel: "sum",
        grid: 1,
        threads: 32,
        arrays: vec![singles(256, 4), vec![0; 32]],
    };
    let Some([ours, card]) = run.both() else { return };
    assert_eq!(ours, card);
}

#[test]
fn atomic_operations() {
    let operations = [
        ("add.u32", "0"),
        ("add.s32", "0"),
        ("min.s32", "0"),
        ("min.u32", "0xffffffff"),
        ("max.s32", "0"),
        ("max.u32", "0"),
        ("and.b32", "0xffffffff"),
        ("or.b32", "0"),
        ("xor.b32", "0"),
        ("inc.u32", "0"),
        ("dec.u32", "0"),
    ];
    for (operation, start) in operations {
        // The last values only: the old ones depend on the order of threads.
        let text = format!(
            ".version 7.0
            .target sm_70
            .address_size 64
            .visible .entry update(.param .u64 x, .param .u64 out) {{
                .shared .u32 cell; .reg .u64 %x, %out; .reg .u32 %i, %v; .reg .pred %p;
                ld.param.u64 %x, [x]; ld.param.u64 %out, [out];
                mov.u32 %i, %tid.x; setp.eq.u32 %p, %i, 0;
                mov.u32 %v, {start};
                @%p st.shared.u32 [cell], %v;
                bar.sync 0;
                mad.wide.u32 %x, %i, 4, %x;
                ld.global.u32 %v, [%x];
                red.shared.{operation} [cell], %v;
                red.global.{operation} [%out], %v;
                bar.sync 0;
                @%p ld.shared.u32 %v, [cell];
                @%p st.global.u32 [%out+4], %v;
                ret;
            }}"
        );
        // One limit for all threads makes `inc` and `dec` independent of their order.
        let counting = operation.ends_with("c.u32");
        let x = if counting { vec![70; 256] } else { numbers(256, 5) };
        let (text, kernel) = (text.as_str(), "update");
        let run = Run { text, kernel, grid: 1, threads: 256, arrays: vec![x, vec![7, 0]] };
        let Some([ours, card]) = run.both() else { return };
        assert_eq!(ours[1], card[1], "{operation}");
    }
}
