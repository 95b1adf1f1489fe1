//! Products of matrices on tensor cores, against plain loops over matrices laid out as the PTX
//! manual says.

use striate_ptx::{FaultKind, LaunchError, Memory, Module};

/// Loads a lane's registers of A, B and C by row and column, multiplies and stores D.
fn kernel(depth: u32) -> String {
    let (mut loads, mut a, mut b) = (String::new(), Vec::new(), Vec::new());
    let mut load = |register: &str, base: &str, row: String, column: String, width: u32| {
        loads += &format!(
            "{row} {column} mad.lo.u32 %k, %r, {width}, %c; mad.wide.u32 %at, %k, 4, {base};
             ld.global.b32 {register}, [%at];\n"
        );
    };
    let plus = |target: &str, value: &str, n: u32| format!("add.u32 {target}, {value}, {n};");
    for k in 0..depth / 4 {
        for half in 0..2 {
            let name = format!("%a{}", a.len());
            load(&name, "%pa", plus("%r", "%g", 8 * half), plus("%c", "%t", 4 * k), depth);
            a.push(name);
        }
        let name = format!("%b{k}");
        load(&name, "%pb", plus("%r", "%t", 4 * k), plus("%c", "%g", 0), 8);
        b.push(name);
    }
    let mut stores = String::new();
    for i in 0..4 {
        let (row, column) = (plus("%r", "%g", i / 2 * 8), plus("%c", "%t2", i % 2));
        load(&format!("%x{i}"), "%pc", row.clone(), column.clone(), 8);
        stores += &format!(
            "{row} {column} mad.lo.u32 %k, %r, 8, %c; mad.wide.u32 %at, %k, 4, %pd;
             st.global.f32 [%at], %d{i};\n"
        );
    }
    format!(
        ".version 7.0
        .target sm_80
        .address_size 64
        .visible .entry product(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d) {{
            .reg .u64 %pa, %pb, %pc, %pd, %at; .reg .u32 %g, %t, %t2, %r, %c, %k;
            .reg .b32 %a<4>, %b<2>; .reg .f32 %x<4>, %d<4>; .reg .pred %p;
            ld.param.u64 %pa, [a]; ld.param.u64 %pb, [b]; ld.param.u64 %pc, [c]; ld.param.u64 %pd, [d];
            mov.u32 %t, %tid.x; shr.u32 %g, %t, 2; and.b32 %t, %t, 3; shl.b32 %t2, %t, 1;
            {loads}
            mma.sync.aligned.m16n8k{depth}.row.col.f32.tf32.tf32.f32
                {{%d0, %d1, %d2, %d3}}, {{{}}}, {{{}}}, {{%x0, %x1, %x2, %x3}};
            {stores}
        }}",
        a.join(", "),
        b.join(", ")
    )
}

fn multiply(depth: u32, text: &str, [a, b, c]: [&[f32]; 3]) -> Result<Vec<f32>, LaunchError> {
    let module = Module::parse("k.ptx", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut memory = Memory::new();
    assert_eq!((a.len(), b.len()), (16 * depth as usize, 8 * depth as usize));
    let [a, b, c] = [a, b, c].map(|values| memory.upload(values).unwrap());
    let d = memory.alloc(512).unwrap();
    let args = [a.into(), b.into(), c.into(), d.into()];
    module.launch(&mut memory, "product", [1; 3], [32, 1, 1], 0, &args)?;
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
        assert_eq!(multiply(depth, &kernel(depth), [&a, &b, &c]).unwrap(), expected);
    }
}

#[test]
fn thirteen_low_bits_of_the_factors_are_not_read() {
    let with = |low: u32, value: f32| f32::from_bits(value.to_bits() | low);
    let (a, b, c) = (whole(128, 1), whole(64, 2), whole(128, 3));
    let rough = |values: &[f32]| values.iter().map(|v| with(0x1fff, *v)).collect::<Vec<f32>>();
    let exact = multiply(8, &kernel(8), [&a, &b, &c]).unwrap();
    assert_eq!(multiply(8, &kernel(8), [&rough(&a), &rough(&b), &c]).unwrap(), exact);
    let other: Vec<f32> = b.iter().map(|v| with(0x2000, *v)).collect();
    assert_ne!(multiply(8, &kernel(8), [&a, &other, &c]).unwrap(), exact);
}

#[test]
fn a_product_needs_the_whole_warp_and_a_new_card() {
    let part = kernel(8).replace("mma.sync", "setp.lt.u32 %p, %g, 7; @%p mma.sync");
    let (a, b, c) = (whole(128, 1), whole(64, 2), whole(128, 3));
    let error = multiply(8, &part, [&a, &b, &c]).unwrap_err();
    let LaunchError::Fault(fault) = error else { panic!("{error}") };
    assert!(matches!(fault.kind, FaultKind::WarpMembers(_)), "{fault}");
    assert!(Module::parse("k.ptx", &kernel(8).replace("sm_80", "sm_75")).is_err());
    assert!(Module::parse("k.ptx", &kernel(8).replace("m16n8k8", "m16n8k16")).is_err());
}
