//! What each instruction computes, against values worked out from the PTX manual.

use striate_ptx::{Memory, Module};

/// Runs `instruction result, operands…` in one thread, every register untyped.
fn compute(instruction: &str, result: u32, operands: &[(u32, u64)]) -> u64 {
    let (mut registers, mut loads, mut list) = (String::new(), String::new(), String::new());
    for (i, (bits, _)) in operands.iter().enumerate() {
        registers += &format!(".reg .b{bits} %x{i};\n");
        loads += &format!("ld.global.b{bits} %x{i}, [%in+{}];\n", i * 8);
        list += &format!(", %x{i}");
    }
    let text = format!(
        ".entry k(.param .u64 in, .param .u64 out) {{
            .reg .u64 %in, %out;
            .reg .b{result} %o;
            {registers}
            ld.param.u64 %in, [in];
            ld.param.u64 %out, [out];
            {loads}
            {instruction} %o{list};
            st.global.b{result} [%out], %o;
            ret;
        }}"
    );
    let module = Module::parse_exact("k.ptx", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut memory = Memory::new();
    let values: Vec<u64> = operands.iter().map(|(_, value)| *value).collect();
    let from = memory.upload(&values).unwrap();
    let to = memory.upload(&[0_u64]).unwrap();
    module.launch(&mut memory, "k", [1; 3], [1; 3], 0, &[from.into(), to.into()]).unwrap();
    memory.download::<u64>(to, 1).unwrap()[0]
}

type Row<'a> = (&'a str, u32, &'a [(u32, u64)], u64);

fn table(rows: &[Row]) {
    for (instruction, result, operands, expected) in rows {
        let got = compute(instruction, *result, operands);
        assert_eq!(got, *expected, "{instruction} {operands:x?}: {got:#x}, not {expected:#x}");
    }
}

/// A 16-, 32- or 64-bit integer operand.
fn h(value: i16) -> (u32, u64) {
    (16, u64::from(value as u16))
}
fn w(value: i64) -> (u32, u64) {
    (32, u64::from(value as u32))
}
fn l(value: i64) -> (u32, u64) {
    (64, value as u64)
}
/// A single or double operand and its bits.
fn f(value: f32) -> (u32, u64) {
    (32, fb(value))
}
fn d(value: f64) -> (u32, u64) {
    (64, value.to_bits())
}
fn fb(value: f32) -> u64 {
    value.to_bits().into()
}

#[test]
fn integer_arithmetic() {
    table(&[
        ("add.u32", 32, &[w(-1), w(2)], 1),
        ("add.s64", 64, &[l(-1), l(2)], 1),
        ("add.u16", 16, &[h(-1), h(2)], 1),
        ("sub.s32", 32, &[w(3), w(5)], w(-2).1),
        ("mul.lo.u32", 32, &[w(0x1_0001), w(0x1_0001)], 0x2_0001),
        ("mul.hi.u32", 32, &[w(-1), w(-1)], 0xffff_fffe),
        ("mul.hi.s32", 32, &[w(-1), w(2)], 0xffff_ffff),
        ("mul.hi.u64", 64, &[l(-1), l(-1)], !1),
        ("mul.wide.u32", 64, &[w(-1), w(2)], 0x1_ffff_fffe),
        ("mul.wide.s32", 64, &[w(-1), w(2)], !1),
        ("mul.wide.u16", 32, &[h(-1), h(-1)], 0xfffe_0001),
        ("mul.wide.s16", 32, &[h(-1), h(2)], 0xffff_fffe),
        ("mad.lo.s32", 32, &[w(-3), w(4), w(5)], w(-7).1),
        ("mad.hi.u32", 32, &[w(-1), w(-1), w(3)], 1),
        ("mad.wide.u32", 64, &[w(-1), w(2), l(3)], 0x2_0000_0001),
        ("mad.wide.s32", 64, &[w(-1), w(2), l(3)], 1),
        ("div.s32", 32, &[w(-7), w(2)], w(-3).1),
        ("div.u32", 32, &[w(-7), w(2)], 0x7fff_fffc),
        ("div.u32", 32, &[w(7), w(0)], 0xffff_ffff),
        ("div.s32", 32, &[w(i32::MIN.into()), w(-1)], 0x8000_0000),
        ("rem.s32", 32, &[w(-7), w(2)], w(-1).1),
        ("rem.u64", 64, &[l(17), l(5)], 2),
        ("min.s32", 32, &[w(-1), w(1)], 0xffff_ffff),
        ("min.u32", 32, &[w(-1), w(1)], 1),
        ("max.s64", 64, &[l(-1), l(1)], 1),
        ("neg.s32", 32, &[w(5)], w(-5).1),
        ("abs.s32", 32, &[w(-5)], 5),
        ("abs.s64", 64, &[l(-5)], 5),
    ]);
}

#[test]
fn bits() {
    table(&[
        ("and.b32", 32, &[w(12), w(10)], 8),
        ("or.b32", 32, &[w(12), w(10)], 14),
        ("xor.b64", 64, &[l(12), l(10)], 6),
        ("not.b32", 32, &[w(0)], 0xffff_ffff),
        ("not.b16", 16, &[h(1)], 0xfffe),
        ("shl.b32", 32, &[w(1), w(31)], 0x8000_0000),
        ("shl.b32", 32, &[w(1), w(32)], 0),
        ("shl.b64", 64, &[l(1), w(40)], 1 << 40),
        ("shr.u32", 32, &[w(-1), w(28)], 15),
        ("shr.u32", 32, &[w(-1), w(33)], 0),
        ("shr.b32", 32, &[w(-1), w(28)], 15),
        ("shr.s32", 32, &[w(-16), w(2)], w(-4).1),
        ("shr.s32", 32, &[w(-16), w(99)], 0xffff_ffff),
        ("shr.s32", 32, &[w(16), w(99)], 0),
        ("bfe.u32", 32, &[w(0xabcd), w(4), w(8)], 0xbc),
        ("bfe.s32", 32, &[w(0xabcd), w(4), w(8)], 0xffff_ffbc),
        ("bfe.s32", 32, &[w(0x40), w(3), w(0)], 0),
        ("bfe.s32", 32, &[w(-1), w(40), w(4)], 0xffff_ffff),
        ("bfe.u64", 64, &[l(0xab << 40), w(40), w(64)], 0xab),
        ("popc.b32", 32, &[w(0xf0f0)], 8),
        ("popc.b64", 32, &[l(-1)], 64),
        ("clz.b32", 32, &[w(1)], 31),
        ("brev.b32", 32, &[w(1)], 0x8000_0000),
        ("bfind.u32", 32, &[w(0x5000)], 14),
        ("bfind.shiftamt.u32", 32, &[w(0x5000)], 17),
        ("bfind.u32", 32, &[w(0)], 0xffff_ffff),
        ("bfind.s32", 32, &[w(-1)], 0xffff_ffff),
        ("bfind.s32", 32, &[w(-0x5000)], 14),
        ("bfind.shiftamt.s32", 32, &[w(-0x5000)], 17),
        ("bfind.u64", 32, &[l(1 << 40)], 40),
        ("bfind.shiftamt.s64", 32, &[l(-(1 << 40))], 24),
    ]);
}

#[test]
fn floating_point() {
    let nan = f32::NAN;
    table(&[
        ("add.f32", 32, &[f(1.5), f(2.25)], fb(3.75)),
        ("add.rn.f32", 32, &[f(16_777_216.0), f(1.0)], fb(16_777_216.0)),
        ("sub.f64", 64, &[d(1.5), d(0.25)], 1.25_f64.to_bits()),
        ("mul.f32", 32, &[f(-1.5), f(2.0)], fb(-3.0)),
        ("add.sat.f32", 32, &[f(1.5), f(2.0)], fb(1.0)),
        ("mul.ftz.f32", 32, &[f(1e-30), f(-1e-10)], fb(-0.0)),
        ("fma.rn.f32", 32, &[f(16_777_217.0), f(1.0), f(-1.0)], fb(16_777_215.0)),
        ("fma.rn.f32", 32, &[f(4097.0), f(4097.0), f(-16_785_408.0)], fb(1.0)),
        ("fma.rm.f32", 32, &[f(4097.0), f(4097.0), f(0.0)], fb(16_785_408.0)),
        ("fma.rp.f32", 32, &[f(4097.0), f(4097.0), f(0.0)], fb(16_785_410.0)),
        ("fma.rz.f32", 32, &[f(4097.0), f(-4097.0), f(0.0)], fb(-16_785_408.0)),
        ("fma.rm.f32", 32, &[f(1.0), f(1.0), f(-1e-30)], fb(1.0_f32.next_down())),
        ("fma.rp.f32", 32, &[f(1.0), f(1.0), f(1e-30)], fb(1.0_f32.next_up())),
        ("fma.rz.f32", 32, &[f(1.0), f(-1.0), f(1e-30)], fb((-1.0_f32).next_up())),
        ("fma.rz.f32", 32, &[f(1.0), f(1.0), f(1e-30)], fb(1.0)),
        ("fma.rm.f32", 32, &[f(1.0), f(1.0), f(-1.0)], fb(-0.0)),
        ("fma.rp.f32", 32, &[f(1e38), f(10.0), f(0.0)], fb(f32::INFINITY)),
        ("fma.rm.f32", 32, &[f(1e38), f(10.0), f(0.0)], fb(f32::MAX)),
        ("mad.rn.f32", 32, &[f(2.0), f(3.0), f(1.0)], fb(7.0)),
        ("fma.rn.f64", 64, &[d(2.0), d(3.0), d(1.0)], 7.0_f64.to_bits()),
        ("div.rn.f32", 32, &[f(1.0), f(3.0)], fb(1.0 / 3.0)),
        ("rcp.rn.f32", 32, &[f(4.0)], fb(0.25)),
        ("sqrt.rn.f32", 32, &[f(2.0)], fb(2.0_f32.sqrt())),
        ("sqrt.rn.f64", 64, &[d(2.0)], 2.0_f64.sqrt().to_bits()),
        ("rsqrt.approx.f32", 32, &[f(4.0)], fb(0.5)),
        ("ex2.approx.f32", 32, &[f(-3.0)], fb(0.125)),
        ("lg2.approx.f32", 32, &[f(8.0)], fb(3.0)),
        ("tanh.approx.f32", 32, &[f(0.0)], 0),
        ("sin.approx.f32", 32, &[f(0.0)], 0),
        ("cos.approx.f32", 32, &[f(0.0)], fb(1.0)),
        ("min.f32", 32, &[f(nan), f(2.0)], fb(2.0)),
        ("min.f32", 32, &[f(2.0), f(nan)], fb(2.0)),
        ("max.f32", 32, &[f(nan), f(2.0)], fb(2.0)),
        ("max.f32", 32, &[f(2.0), f(nan)], fb(2.0)),
        ("min.f32", 32, &[f(0.0), f(-0.0)], fb(-0.0)),
        ("max.f32", 32, &[f(-0.0), f(0.0)], fb(0.0)),
        ("max.f32", 32, &[f(0.0), f(-0.0)], fb(0.0)),
        ("max.f64", 64, &[d(-3.0), d(2.0)], 2.0_f64.to_bits()),
        ("neg.f32", 32, &[f(0.0)], fb(-0.0)),
        ("abs.f32", 32, &[f(-2.0)], fb(2.0)),
    ]);
}

#[test]
fn conversions() {
    table(&[
        ("cvt.rn.f32.s32", 32, &[w(-7)], fb(-7.0)),
        ("cvt.rn.f32.u32", 32, &[w(-1)], fb(4_294_967_296.0)),
        ("cvt.rz.f32.u32", 32, &[w(-1)], fb(4_294_967_040.0)),
        ("cvt.rp.f32.s32", 32, &[w(16_777_217)], fb(16_777_218.0)),
        ("cvt.rm.f32.s32", 32, &[w(-16_777_217)], fb(-16_777_218.0)),
        ("cvt.rn.f64.s64", 64, &[l(-7)], (-7.0_f64).to_bits()),
        ("cvt.rni.s32.f32", 32, &[f(2.5)], 2),
        ("cvt.rzi.s32.f32", 32, &[f(-2.9)], w(-2).1),
        ("cvt.rmi.s32.f32", 32, &[f(-2.1)], w(-3).1),
        ("cvt.rpi.s32.f32", 32, &[f(2.1)], 3),
        ("cvt.rzi.u32.f32", 32, &[f(-5.0)], 0),
        ("cvt.rzi.s32.f32", 32, &[f(1e20)], 0x7fff_ffff),
        ("cvt.rzi.s32.f32", 32, &[f(f32::NAN)], 0),
        ("cvt.rzi.s64.f64", 64, &[d(-1e18)], -1_000_000_000_000_000_000_i64 as u64),
        ("cvt.rmi.f32.f32", 32, &[f(-0.5)], fb(-1.0)),
        ("cvt.sat.f32.f32", 32, &[f(1.5)], fb(1.0)),
        ("cvt.f64.f32", 64, &[f(0.1)], f64::from(0.1_f32).to_bits()),
        ("cvt.rn.f32.f64", 32, &[d(0.1)], fb(0.1)),
        ("cvt.rz.f32.f64", 32, &[d(0.1)], fb(0.1_f32.next_down())),
        ("cvt.rp.f32.f64", 32, &[d(-0.1)], fb((-0.1_f32).next_up())),
        ("cvt.u64.u32", 64, &[w(-1)], 0xffff_ffff),
        ("cvt.s64.s32", 64, &[w(-1)], !0),
        ("cvt.u32.u64", 32, &[l(0x1_2345_6789)], 0x2345_6789),
        ("cvt.s32.s8", 32, &[w(0x80)], 0xffff_ff80),
        ("cvt.u32.u8", 32, &[w(0x1ff)], 0xff),
        ("cvt.sat.u8.s32", 32, &[w(300)], 255),
        ("cvt.sat.s8.s32", 32, &[w(-300)], w(-128).1),
        ("cvt.rna.tf32.f32", 32, &[(32, 0x3f80_0fff)], 0x3f80_0000),
        ("cvt.rna.tf32.f32", 32, &[(32, 0x3f80_1000)], 0x3f80_2000),
        ("cvt.rna.tf32.f32", 32, &[(32, 0xbf80_3000)], 0xbf80_4000),
        ("cvt.rna.tf32.f32", 32, &[f(f32::INFINITY)], fb(f32::INFINITY)),
        ("cvt.rna.tf32.f32", 32, &[f(f32::NAN)], 0x7fff_ffff),
    ]);
}

/// The answer of `setp` for two operands.
fn compares(name: &str, a: (u32, u64), b: (u32, u64)) -> bool {
    let width = a.0;
    let kernel = format!(
        ".entry k(.param .u64 out) {{ .reg .u64 %out; .reg .b{width} %a, %b; .reg .u32 %r; .reg .pred %p, %q;
         ld.param.u64 %out, [out];
         mov.b{width} %a, {}; mov.b{width} %b, {};
         setp.{name} %p|%q, %a, %b;
         selp.u32 %r, 1, 0, %p; st.global.u32 [%out], %r;
         selp.u32 %r, 1, 0, %q; st.global.u32 [%out+4], %r; }}",
        a.1, b.1
    );
    let module = Module::parse_exact("k.ptx", &kernel).unwrap();
    let mut memory = Memory::new();
    let out = memory.alloc(8).unwrap();
    module.launch(&mut memory, "k", [1; 3], [1; 3], 0, &[out.into()]).unwrap();
    let both = memory.download::<u32>(out, 2).unwrap();
    assert_eq!(both[0] + both[1], 1, "the second predicate is the opposite of the first");
    both[0] == 1
}

#[test]
fn comparisons() {
    let (one, two, nan) = (f(1.0), f(2.0), f(f32::NAN));
    // Each comparison of 1 with 2, 2 with 2, 2 with 1 and 1 with a NaN.
    for (name, expected) in [
        ("eq", [false, true, false, false]),
        ("ne", [true, false, true, false]),
        ("lt", [true, false, false, false]),
        ("le", [true, true, false, false]),
        ("gt", [false, false, true, false]),
        ("ge", [false, true, true, false]),
        ("equ", [false, true, false, true]),
        ("neu", [true, false, true, true]),
        ("ltu", [true, false, false, true]),
        ("leu", [true, true, false, true]),
        ("gtu", [false, false, true, true]),
        ("geu", [false, true, true, true]),
        ("num", [true, true, true, false]),
        ("nan", [false, false, false, true]),
    ] {
        let pairs = [(one, two), (two, two), (two, one), (one, nan)];
        let got = pairs.map(|(a, b)| compares(&format!("{name}.f32"), a, b));
        assert_eq!(got, expected, "setp.{name}.f32");
    }
    for (name, expected) in [
        ("lt.s32", true),
        ("lt.u32", false),
        ("lo.u32", false),
        ("hi.u32", true),
        ("ge.s32", false),
        ("le.s32", true),
        ("hs.u32", true),
        ("ls.u32", false),
        ("eq.b32", false),
        ("ne.s32", true),
    ] {
        assert_eq!(compares(name, w(-1), w(1)), expected, "setp.{name} -1, 1");
    }
}

/// Runs a body in 32 threads that leaves its answer in `%r` and gives all answers.
fn warp(body: &str) -> Vec<u32> {
    let text = format!(
        ".const .align 4 .u32 squares[4] = {{ 0, 1, 4, 9 }};
        .extern .shared .align 16 .b8 dynamic[];
        .entry k(.param .u64 out) {{
            .reg .u64 %out, %at, %d; .reg .u32 %i, %r, %s, %t; .reg .f32 %f<4>; .reg .pred %p, %q; .reg .b16 %h<2>;
            ld.param.u64 %out, [out];
            mov.u32 %i, %tid.x; mov.u32 %r, 0;
            {body}
            mad.wide.u32 %at, %i, 4, %out;
            st.global.u32 [%at], %r;
        }}"
    );
    let module = Module::parse_exact("k.ptx", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut memory = Memory::new();
    let out = memory.alloc(128).unwrap();
    let launched = module.launch(&mut memory, "k", [1; 3], [32, 1, 1], 512, &[out.into()]);
    launched.unwrap_or_else(|e| panic!("{e}\n{text}"));
    memory.download(out, 32).unwrap()
}

fn each(answer: impl Fn(u32) -> u32) -> Vec<u32> {
    (0..32).map(answer).collect()
}

#[test]
fn shuffles_and_votes() {
    let all = "0xffffffff";
    let shuffle = |how: &str| warp(&format!("shfl.sync.{how}, {all};"));
    assert_eq!(shuffle("down.b32 %r, %i, 4, 31"), each(|i| if i < 28 { i + 4 } else { i }));
    assert_eq!(shuffle("up.b32 %r, %i, 4, 0"), each(|i| if i >= 4 { i - 4 } else { i }));
    assert_eq!(shuffle("bfly.b32 %r, %i, 5, 31"), each(|i| i ^ 5));
    assert_eq!(shuffle("idx.b32 %r, %i, 7, 31"), each(|_| 7));
    // Segments of eight lanes.
    assert_eq!(shuffle("idx.b32 %r, %i, 3, 0x181f"), each(|i| i / 8 * 8 + 3));
    assert_eq!(shuffle("down.b32 %r, %i, 1, 0x181f"), each(|i| if i % 8 == 7 { i } else { i + 1 }));
    let inside = format!("shfl.sync.down.b32 %s|%p, %i, 4, 31, {all}; selp.u32 %r, 1, 0, %p;");
    assert_eq!(warp(&inside), each(|i| u32::from(i < 28)));
    let below = "setp.lt.u32 %p, %i, 5;";
    assert_eq!(warp(&format!("{below} vote.sync.ballot.b32 %r, %p, {all};")), each(|_| 31));
    let vote = |how: &str| {
        warp(&format!("{below} vote.sync.{how}.pred %q, !%p, {all}; selp.u32 %r, 1, 0, %q;"))[0]
    };
    assert_eq!(["all", "any", "uni"].map(vote), [0, 1, 0]);
    let parted = format!("{below} @!%p bra OUT; activemask.b32 %r; OUT:");
    assert_eq!(warp(&parted), each(|i| if i < 5 { 31 } else { 0 }));
}

#[test]
fn branches_predicates_and_loops() {
    // The sum of the numbers up to each thread's index.
    let sum = "mov.u32 %s, 0; LOOP: add.u32 %r, %r, %s; add.u32 %s, %s, 1; setp.le.u32 %p, %s, %i; @%p bra LOOP;";
    assert_eq!(warp(sum), each(|i| i * (i + 1) / 2));
    let branch = "setp.lt.u32 %p, %i, 9; @%p bra LOW; mov.u32 %r, 2; bra.uni END; LOW: mov.u32 %r, 1; END: add.u32 %r, %r, 10;";
    assert_eq!(warp(branch), each(|i| if i < 9 { 11 } else { 12 }));
    let logic = "setp.gt.u32 %p, %i, 3; setp.lt.and.u32 %q, %i, 9, %p; not.pred %p, %q; @!%p mov.u32 %r, 1;";
    assert_eq!(warp(logic), each(|i| u32::from((4..9).contains(&i))));
    assert_eq!(warp("mov.u32 %r, %lanemask_lt;"), each(|i| (1 << i) - 1));
}

#[test]
fn spaces_vectors_and_packing() {
    let constant = "and.b32 %s, %i, 3; mul.wide.u32 %d, %s, 4; mov.u64 %at, squares; add.u64 %at, %at, %d; ld.const.u32 %r, [%at];";
    assert_eq!(warp(constant), each(|i| (i % 4) * (i % 4)));
    let vector = "mov.u32 %s, dynamic; mad.lo.u32 %s, %i, 16, %s; cvt.rn.f32.u32 %f0, %i; mov.f32 %f1, 0f3F800000;
        st.shared.v4.f32 [%s], {%f0, %f1, %f0, %f1}; ld.shared.v2.f32 {%f2, %f3}, [%s+8];
        add.f32 %f2, %f2, %f3; cvt.rzi.u32.f32 %r, %f2;";
    assert_eq!(warp(vector), each(|i| i + 1));
    let bytes = "mov.u32 %s, dynamic; add.u32 %s, %s, %i; sub.u32 %t, 0, %i; st.shared.u8 [%s], %t; ld.shared.s8 %r, [%s];";
    assert_eq!(warp(bytes), each(|i| 0_u32.wrapping_sub(i)));
    let pack = "mov.b64 %d, {%i, %r}; shl.b64 %d, %d, 32; mov.b64 {_, %r}, %d;";
    assert_eq!(warp(pack), each(|i| i));
    assert_eq!(warp("mov.b32 {%h0, %h1}, 0x00050007; mov.b32 %r, {%h1, %h0};"), each(|_| 0x7_0005));
    assert_eq!(warp("bfi.b32 %r, %i, 0xffffffff, 8, 4;"), each(|i| 0xffff_f0ff | (i & 15) << 8));
}

/// The old value that `atom` gives and the new one that it leaves.
fn atomic(operation: &str, old: u32, operands: &str) -> (u32, u32) {
    let body = format!(
        ".shared .u32 cell; setp.eq.u32 %p, %i, 7; mov.u32 %t, {old}; @%p st.shared.u32 [cell], %t;
         @%p atom.shared.{operation} %r, [cell], {operands}; @%p ld.shared.u32 %s, [cell]; @!%p mov.u32 %s, 0;
         shfl.sync.idx.b32 %s, %s, 7, 31, 0xffffffff; setp.eq.u32 %q, %i, 0; @%q mov.u32 %r, %s;"
    );
    let answers = warp(&body);
    (answers[7], answers[0])
}

#[test]
fn atomic_operations() {
    for (operation, old, operands, new) in [
        ("add.u32", 0xffff_ffff, "2", 1),
        ("add.s32", 3, "-5", 0xffff_fffe),
        ("relaxed.cta.add.u32", 1, "2", 3),
        ("min.s32", 3, "-5", 0xffff_fffb),
        ("min.u32", 3, "-5", 3),
        ("max.u32", 3, "-5", 0xffff_fffb),
        ("and.b32", 12, "10", 8),
        ("or.b32", 12, "10", 14),
        ("xor.b32", 12, "10", 6),
        ("exch.b32", 12, "10", 10),
        ("cas.b32", 12, "12, 10", 10),
        ("cas.b32", 11, "12, 10", 11),
        ("inc.u32", 5, "6", 6),
        ("inc.u32", 6, "6", 0),
        ("dec.u32", 0, "6", 6),
        ("dec.u32", 9, "6", 6),
        ("dec.u32", 5, "6", 4),
    ] {
        assert_eq!(atomic(operation, old, operands), (old, new), "atom.shared.{operation}");
    }
    // Each thread takes a number of its own.
    let shared = ".shared .u32 cell; mov.u32 %s, 0; setp.eq.u32 %p, %i, 0; @%p st.shared.u32 [cell], %s; bar.sync 0;
        atom.shared.add.u32 %r, [cell], 1;";
    assert_eq!(warp(shared), each(|i| i));
}

/// A card gave these bits, where the processor's own arithmetic gives others.
#[test]
fn every_single_nan_is_the_same() {
    let negative = f(-2.0);
    table(&[
        ("sqrt.rn.f32", 32, &[negative], 0x7fff_ffff),
        ("rsqrt.approx.f32", 32, &[negative], 0x7fff_ffff),
        ("lg2.approx.f32", 32, &[negative], 0x7fff_ffff),
    ]);
}
