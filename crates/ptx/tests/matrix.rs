//! Products of matrices on tensor cores, against plain loops over matrices laid out as the PTX
//! manual says.

use striate_ptx::{FaultKind, LaunchError, Memory, Module};

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
