//! Products of matrices on tensor cores, against plain loops over matrices laid out as the PTX
//! manual says.

use striate_ptx::{FaultKind, LaunchError, Memory, Module, Stats, Transfer};

const PRODUCT: &str = include_str!("ptx/product.ptx");

fn multiply(depth: u32, text: &str, [a, b, c]: [&[f32]; 3]) -> Result<Vec<f32>, LaunchError> {
    let module = Module::parse("k.ptx", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut memory = Memory::new();
    assert_eq!((a.len(), b.len()), (16 * depth as usize, 8 * depth as usize));
    let [a, b, c] = [a, b, c].map(|values| memory.upload(values).unwrap());
    let d = memory.alloc(512).unwrap();
    let args = [a.into(), b.into(), c.into(), d.into()];
    module.launch(&mut memory, &format!("product{depth}"), [1; 3], [32, 1, 1], 0, &args)?;
    Ok(memory.download(d, 128).unwrap())
}

/// Small whole numbers, whose products and sums are exact in any order and at ten bits.
fn whole(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 + seed * 11 + i * i * 5) % 19) as f32 - 9.0).collect()
}

#[test]
fn products_are_those_of_plain_loops() {
    for depth in [4, 8] {
        let n = depth as usize;
        let (a, b, c) = (whole(16 * n, 1), whole(8 * n, 2), whole(128, 3));
        let mut expected = c.clone();
        for (i, d) in expected.iter_mut().enumerate() {
            let (row, column) = (i / 8, i % 8);
            *d += (0..n).map(|k| a[row * n + k] * b[k * 8 + column]).sum::<f32>();
        }
        assert_eq!(multiply(depth, PRODUCT, [&a, &b, &c]).unwrap(), expected);
    }
}

#[test]
fn thirteen_low_bits_of_the_factors_are_not_read() {
    let with = |low: u32, value: f32| f32::from_bits(value.to_bits() | low);
    let (a, b, c) = (whole(128, 1), whole(64, 2), whole(128, 3));
    let rough = |values: &[f32]| values.iter().map(|v| with(0x1fff, *v)).collect::<Vec<f32>>();
    let exact = multiply(8, PRODUCT, [&a, &b, &c]).unwrap();
    assert_eq!(multiply(8, PRODUCT, [&rough(&a), &rough(&b), &c]).unwrap(), exact);
    let other: Vec<f32> = b.iter().map(|v| with(0x2000, *v)).collect();
    assert_ne!(multiply(8, PRODUCT, [&a, &other, &c]).unwrap(), exact);
}

#[test]
fn a_product_needs_the_whole_warp_and_a_new_card() {
    let part = PRODUCT.replace("mma.sync", ".reg .pred %p; setp.lt.u32 %p, %g, 7; @%p mma.sync");
    let (a, b, c) = (whole(128, 1), whole(64, 2), whole(128, 3));
    let error = multiply(8, &part, [&a, &b, &c]).unwrap_err();
    let LaunchError::Fault(fault) = error else { panic!("{error}") };
    assert!(matches!(fault.kind, FaultKind::WarpMembers(_)), "{fault}");
    for (old, new) in [("sm_80", "sm_75"), (".reg .b32 %a", ".reg .u32 %a"), ("%x3}", "0.0}")] {
        assert!(Module::parse("k.ptx", &PRODUCT.replace(old, new)).is_err(), "{new}");
    }
    assert!(Module::parse("k.ptx", &PRODUCT.replace("m16n8k8", "m16n8k16")).is_err());
}

/// Fills 1024 bytes of shared memory with their words' numbers, and loads matrices whose rows lie 32 bytes apart, from
/// the last to the first.
const LOAD: &str = ".version 7.0
.target sm_75
.address_size 64
.visible .entry load(.param .u64 to) {
  .shared .align 16 .b8 rows[1024];
  .reg .b32 %r<4>;
  .reg .u64 %to;
  .reg .u32 %i, %at, %v;
  ld.param.u64 %to, [to]; mov.u32 %i, %tid.x; mad.wide.u32 %to, %i, 16, %to;
  mov.u32 %at, rows; mad.lo.u32 %at, %i, 32, %at; shl.b32 %v, %i, 3;
  st.shared.u32 [%at], %v; add.u32 %v, %v, 1; st.shared.u32 [%at+4], %v;
  add.u32 %v, %v, 1; st.shared.u32 [%at+8], %v; add.u32 %v, %v, 1; st.shared.u32 [%at+12], %v;
  bar.warp.sync 0xffffffff;
  mov.u32 %at, rows; sub.u32 %v, 31, %i; mad.lo.u32 %at, %v, 32, %at;
  ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r1, %r2, %r3}, [%at];
  st.global.v4.u32 [%to], {%r0, %r1, %r2, %r3};
  ret;
}";

fn load(text: &str) -> Result<(Vec<u32>, Stats), LaunchError> {
    let module = Module::parse("k.ptx", text).unwrap_or_else(|error| panic!("{error}"));
    let mut memory = Memory::new();
    let to = memory.upload(&[u32::MAX; 128]).unwrap();
    let stats = module.launch(&mut memory, "load", [1; 3], [32, 1, 1], 0, &[to.into()])?;
    Ok((memory.download(to, 128).unwrap(), stats))
}

#[test]
fn a_lane_receives_a_word_of_a_row_that_another_names() {
    for count in [1, 2, 4] {
        let registers = ["{%r0}", "{%r0, %r1}", "", "{%r0, %r1, %r2, %r3}"][count - 1];
        let clear = "mov.b32 %r1, -1; mov.b32 %r2, -1; mov.b32 %r3, -1;\n  ldmatrix";
        let text = LOAD.replace("ldmatrix", clear).replace(".x4", &format!(".x{count}"));
        let text = text.replace("{%r0, %r1, %r2, %r3}, [%at]", &format!("{registers}, [%at]"));
        let (found, stats) = load(&text).unwrap();
        for (i, found) in found.into_iter().enumerate() {
            let (lane, matrix) = (i / 4, i % 4);
            let row = 31 - (8 * matrix + lane / 4);
            let expected = if matrix < count { 8 * row + lane % 4 } else { u32::MAX as usize };
            assert_eq!(found as usize, expected, "x{count}, lane {lane}, matrix {matrix}");
        }
        // Eight rows 32 bytes apart want half of the banks, twice each.
        let traffic = stats.traffic_in(Transfer::SharedLoad, 1..=99).unwrap();
        assert_eq!((traffic.pieces, traffic.ideal), (2 * count as u64, count as u64));
    }
}

#[test]
fn loads_of_matrices_are_checked_as_others() {
    let fault = |old: &str, new: &str| {
        assert!(LOAD.contains(old), "{old}");
        let Err(LaunchError::Fault(fault)) = load(&LOAD.replace(old, new)) else { panic!("{new}") };
        fault.kind
    };
    assert!(matches!(fault("[%at];", "[%at+4];"), FaultKind::Misaligned(16)));
    assert!(matches!(fault("[%at];", "[%at+16];"), FaultKind::Uninitialised));
    assert!(matches!(fault("[%at];", "[%at+32];"), FaultKind::OutOfBounds(_)));
    assert!(matches!(fault("bar.warp.sync 0xffffffff;", ""), FaultKind::Race(_)));
    let part = ".reg .pred %p; setp.lt.u32 %p, %i, 31; @%p ldmatrix";
    assert!(matches!(fault("ldmatrix", part), FaultKind::WarpMembers(_)));
    for (old, new) in [("sm_75", "sm_70"), (".x4", ".x4.trans"), ("b32 %r", "f32 %r")] {
        assert!(Module::parse("k.ptx", &LOAD.replace(old, new)).is_err(), "{new}");
    }
}
