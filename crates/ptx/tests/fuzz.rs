//! No text makes the parser panic, and no kernel that it accepts makes the interpreter panic.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use striate_ptx::{Arg, Memory, Module};

const KERNELS: [&str; 5] = [
    include_str!("ptx/reverse.ptx"),
    include_str!("ptx/count.ptx"),
    include_str!("ptx/pipeline.ptx"),
    include_str!("ptx/product.ptx"),
    include_str!("ptx/driver.ptx"),
];

/// Runs every kernel of a module on four small arrays; what comes of it is not the question.
fn run(module: &Module) {
    let names: Vec<String> = module.kernels().map(str::to_owned).collect();
    for name in names {
        let mut memory = Memory::new();
        let args: Vec<Arg> =
            (0..4).map(|i| memory.upload(&vec![i as f32; 64]).unwrap().into()).collect();
        for count in 0..=args.len() {
            let args = &args[..count];
            let _ = module.launch(&mut memory, &name, [2, 1, 1], [40, 1, 1], 64, args);
        }
    }
}

/// A kernel's text in pieces: words, numbers, blanks and marks.
fn pieces(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || "._%$".contains(c);
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c: char| !word(c)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(run.max(first.len_utf8()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Replaces some pieces of a kernel by others of any kernel; a loop may then have no end, so that
/// branches back stay as they are.
fn edited(kernel: usize, edits: &[(Index, usize, Index)]) -> String {
    let mut text = pieces(KERNELS[kernel]);
    for (at, from, other) in edits {
        let source = pieces(KERNELS[*from]);
        let (at, new) = (at.index(text.len()), source[other.index(source.len())]);
        let keeps = |piece: &str| ["LOOP", "%more", "%tile", "bra", "setp.lt.u32"].contains(&piece);
        if !keeps(text[at]) && !keeps(new) {
            text[at] = new;
        }
    }
    text.concat()
}

const INTEGERS: &str = "u16 s16 u32 s32 u64 s64";
const FLOATS: &str = "f32 f64";

/// The forms that the interpreter knows: opcodes, types, and a letter for each operand. `d` is a
/// destination and `s` a source of the type, `D` and `S` of twice its width, `r` a 32-bit result,
/// `w` a 32-bit source, `q` and `p` a predicate as result and source, `i` a constant, `m` all
/// lanes, `g`, `h` and `c` an address in global, shared or constant memory; other letters stand
/// for themselves.
const FORMS: &[(&str, &str, &str)] = &[
    ("add sub min max mul.lo mul.hi div rem", INTEGERS, "d, s, s"),
    ("mad.lo mad.hi", INTEGERS, "d, s, s, s"),
    ("neg abs", "s16 s32 s64", "d, s"),
    ("mul.wide", "u16 s16 u32 s32", "D, s, s"),
    ("mad.wide", "u32 s32", "D, s, s, S"),
    ("and or xor", "b16 b32 b64 pred", "d, s, s"),
    ("not mov", "b16 b32 b64 pred", "d, s"),
    ("shl", "b16 b32 b64", "d, s, w"),
    ("shr", "b16 b32 b64 u16 s16 u32 s32 u64 s64", "d, s, w"),
    ("bfe", "u32 s32 u64 s64", "d, s, w, w"),
    ("bfi", "b32 b64", "d, s, s, i, i"),
    ("popc clz", "b32 b64", "r, s"),
    ("brev", "b32 b64", "d, s"),
    ("add sub mul min max", FLOATS, "d, s, s"),
    ("add.sat mul.ftz.sat min.ftz div.full div.approx.ftz", "f32", "d, s, s"),
    ("fma.rn", FLOATS, "d, s, s, s"),
    ("div.rn", FLOATS, "d, s, s"),
    ("rcp.rn sqrt.rn neg abs mov rsqrt.approx", FLOATS, "d, s"),
    (
        "rcp.approx sqrt.approx ex2.approx.ftz lg2.approx tanh.approx sin.approx cos.approx",
        "f32",
        "d, s",
    ),
    ("setp.eq setp.ne setp.lt setp.le setp.gt setp.ge", INTEGERS, "q, s, s"),
    ("setp.eq setp.lt setp.geu setp.num setp.nan setp.neu", FLOATS, "q, s, s"),
    ("setp.lt.and setp.ge.or setp.eq.xor", "u32 f32", "q, s, s, p"),
    ("selp", "b16 u32 s64 f32 f64", "d, s, s, p"),
    ("cvt.u16 cvt.s16", INTEGERS, "%h0, s"),
    ("cvt.u32 cvt.s32 cvt.u8 cvt.s8 cvt.sat.s8", INTEGERS, "r, s"),
    ("cvt.sat.s16 cvt.sat.u16", "s32 u64 s64", "%h0, s"),
    ("cvt.sat.u32 cvt.sat.s32", "s64 u64", "r, s"),
    ("cvt.sat.u64", "s16 s32 s64", "%d0, s"),
    ("cvt.rn.f32 cvt.rz.f32 cvt.rm.f32 cvt.rp.f32 cvt.rn.sat.f32", INTEGERS, "%f0, s"),
    ("cvt.rni.s32 cvt.rzi.u32 cvt.rmi.u16 cvt.rpi.s8", FLOATS, "r, s"),
    ("cvt.rni.s64 cvt.rzi.u64", FLOATS, "%d0, s"),
    ("cvt.rn.f32 cvt.rz.f32 cvt.rm.f32 cvt.rp.f32", "f64", "%f0, s"),
    ("cvt.rni.f32 cvt.sat.f32", "f32", "%f0, s"),
    ("cvt.rna.tf32", "f32", "r, s"),
    ("cvt.f64", "f32", "%e0, s"),
    ("ld.global st.global", "u32", "X"),
    ("ld.global ld.shared.v2 st.shared st.global.v4 ld.const", "f32", "X"),
    ("shfl.sync.up shfl.sync.down shfl.sync.bfly shfl.sync.idx", "b32", "r, w, w, w, m"),
    ("vote.sync.all vote.sync.any vote.sync.uni", "pred", "d, p, m"),
    ("vote.sync.ballot", "b32", "r, p, m"),
    ("atom.global.add atom.global.max atom.global.inc", "u32", "r, g, w"),
    ("atom.shared.cas", "b32", "r, h, w, w"),
    ("red.shared.add red.global.min", "u32", "g, w"),
    ("cvta.to.global cvta.global", "u64", "d, s"),
    ("activemask", "b32", "r"),
];

/// Instructions that no type follows.
const OTHERS: &[&str] = &[
    "cp.async.ca.shared.global h, g, 4, w",
    "cp.async.cg.shared.global h, g, 16",
    "cp.async.commit_group",
    "cp.async.wait_group i",
    "cp.async.wait_all",
    "bar.sync 0",
    "bar.warp.sync w",
    "mov.b64 {r, r}, %d1",
    "mov.b64 %d0, {%h0, %h1, %h0, %h1}",
    "ld.global.v4.f32 {%f0, _, %f1, %f0}, g",
    "st.shared.v2.f64 h, {%e0, %e1}",
    "ld.shared.s8 r, h",
    "ld.const.u16 %h0, c",
    "ret",
];

/// An operand for a letter of a pattern.
fn operand(letter: char, ty: &str, pick: usize) -> String {
    let constants = ["0", "1", "-1", "31", "255", "0x80000000"];
    let constant = constants[pick % constants.len()].to_owned();
    let register = |ty: &str| match ty {
        "pred" => format!("%p{}", pick % 2),
        "f32" => format!("%f{}", pick % 2),
        "f64" => format!("%e{}", pick % 2),
        _ if ty.ends_with("64") => format!("%d{}", pick % 2),
        _ if ty.ends_with("16") => format!("%h{}", pick % 2),
        _ => format!("%r{}", pick % 2),
    };
    let wide = if ty.ends_with("16") { "b32" } else { "b64" };
    let constant_fits = !ty.starts_with('f') && ty != "pred" && pick.is_multiple_of(3);
    let choose = |choices: &[&str]| choices[pick % choices.len()].to_owned();
    match letter {
        's' if constant_fits => constant,
        's' | 'd' => register(ty),
        'D' | 'S' => register(wide),
        'w' if pick.is_multiple_of(2) => constant,
        'w' | 'r' => register("b32"),
        'q' => choose(&["%p0", "%p0|%p1"]),
        'p' => choose(&["%p0", "%p1"]),
        'i' => choose(&["0", "5", "31", "64", "200", "300"]),
        'm' => choose(&["0xffffffff", "0xff", "%r1"]),
        'g' => choose(&["[%d0]", "[%at]", "[%at+16]", "[%at+-4]"]),
        'h' => choose(&["[tile]", "[tile+16]", "[%r0]", "[tile+60]"]),
        'c' => choose(&["[table]", "[%r1]", "[table+14]"]),
        other => other.to_string(),
    }
}

fn spelt(pattern: &str, ty: &str, picks: &[usize]) -> String {
    let mut picks = picks.iter().cycle();
    let mut text = String::new();
    let mut last = ' ';
    for c in pattern.chars() {
        let alone = !(last.is_alphanumeric() || "%._".contains(last));
        last = c;
        text += &match alone && c.is_ascii_alphabetic() {
            true => operand(c, ty, *picks.next().unwrap_or(&0)),
            false => c.to_string(),
        };
    }
    text
}

/// A known form with operands in any combination.
fn instruction() -> impl Strategy<Value = String> {
    let forms = FORMS.iter().flat_map(|(names, types, pattern)| {
        names.split(' ').flat_map(move |name| types.split(' ').map(move |ty| (name, ty, *pattern)))
    });
    let typed = (select(forms.collect::<Vec<_>>()), prop::collection::vec(0_usize..100, 6));
    let typed = typed.prop_map(|((name, ty, pattern), picks)| {
        let vector = match (name.contains(".v2"), name.contains(".v4")) {
            (true, _) => "{s, s}",
            (_, true) => "{s, s, s, s}",
            _ => "s",
        };
        let register = vector.replace('s', "d");
        let space = if name.contains("shared") { "h" } else { "g" };
        let pattern = match (pattern, name.get(..2)) {
            ("X", Some("st")) => format!("{space}, {register}"),
            ("X", _) if name == "ld.const" => "d, c".to_owned(),
            ("X", _) => format!("{register}, {space}"),
            (other, _) if name == "red.shared.add" => other.replace('g', "h"),
            (other, _) => other.to_owned(),
        };
        format!("{name}.{ty} {};", spelt(&pattern, ty, &picks))
    });
    let other =
        (select(OTHERS), prop::collection::vec(0_usize..100, 6)).prop_map(|(form, picks)| {
            let (name, pattern) = form.split_once(' ').unwrap_or((form, ""));
            format!("{name} {};", spelt(pattern, "b32", &picks))
        });
    prop_oneof![5 => typed, 1 => other]
}

/// A kernel of such instructions, its registers filled with values from the edges of their types.
fn kernel(instructions: &[String]) -> String {
    format!(
        ".version 7.0 .target sm_80 .address_size 64
        .const .align 4 .u32 table[4] = {{ 1, 2, 3, 4 }};
        .entry k(.param .u64 a) {{ .shared .align 16 .b8 tile[64];
        .reg .b16 %h<2>; .reg .b32 %r<2>; .reg .f32 %f<2>; .reg .b64 %d<2>, %at; .reg .f64 %e<2>;
        .reg .pred %p<2>; .reg .u32 %i;
        ld.param.u64 %at, [a]; mov.u32 %i, %tid.x; and.b32 %i, %i, 7; mad.wide.u32 %at, %i, 16, %at;
        ld.global.v2.u64 {{%d0, %d1}}, [%at]; mov.b64 {{%r0, %r1}}, %d1; mov.b32 {{%h0, %h1}}, %r0;
        mov.b64 %e0, %d0; mov.b64 %e1, %d1; mov.b32 %f0, %r1; mov.b32 %f1, %r0;
        setp.lt.s32 %p0, %r0, %r1; setp.eq.u32 %p1, %i, 3;
        {} }}",
        instructions.join("\n")
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_edit_of_a_kernel_makes_anything_panic(
        kernel in 0..KERNELS.len(),
        edits in prop::collection::vec((any::<Index>(), 0..KERNELS.len(), any::<Index>()), 1..4),
    ) {
        if let Ok(module) = Module::parse("x", &edited(kernel, &edits)) {
            run(&module);
        }
    }

    #[test]
    fn no_cut_through_a_kernel_makes_the_parser_panic(
        kernel in 0..KERNELS.len(), from in any::<Index>(), to in any::<Index>(),
    ) {
        let text = KERNELS[kernel].as_bytes();
        let (from, to) = (from.index(text.len()), to.index(text.len()));
        let cut = [&text[..from.min(to)], &text[from.max(to)..]].concat();
        let _ = Module::parse("x", &String::from_utf8_lossy(&cut));
    }

    /// Each form is understood, whatever its operands, and whatever their values runs or faults.
    #[test]
    fn no_instruction_makes_the_interpreter_panic(
        instructions in prop::collection::vec(instruction(), 1..12)
    ) {
        let text = kernel(&instructions);
        let module = Module::parse("x", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut memory = Memory::new();
        let edges = [
            0, 1, u64::MAX, 1 << 63, 0x8000_0000, 0x7fff_ffff_8000_0000, 33, 0x7f80_0000_ff80_0000,
            0x7fc0_0001_0000_0001, 0x7ff8_0000_0000_0001, 0xfff0_0000_0000_0000, 64,
            0x3ff0_0000_3f80_0000, 0x0000_0001_8000_0001, 0x4330_0000_4f00_0000, 0x8000_8000_8000_8000,
        ];
        let a = memory.upload(&edges).unwrap();
        let _ = module.launch(&mut memory, "k", [2, 1, 1], [40, 1, 1], 0, &[a.into()]);
    }
}
