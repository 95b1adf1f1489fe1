//! Text that is not understood is refused with its file and line, and no text makes the parser
//! panic.

use proptest::prelude::*;
use striate_ptx::Module;

const BODY_LINE: u32 = 5;

fn refusal(statement: &str) -> String {
    let text = format!(
        ".version 7.0\n.target sm_70\n.entry k(.param .u64 p) {{\n.reg .u32 %r<4>; .reg .f32 %f<4>; .reg .pred %p; .reg .u64 %d;\n{statement}\n}}"
    );
    let error = Module::parse("a.ptx", &text).unwrap_err();
    assert_eq!((error.file.as_str(), error.line), ("a.ptx", BODY_LINE), "{error}");
    error.message
}

#[test]
fn what_is_not_known_is_refused_at_its_line() {
    for statement in [
        "frobnicate.u32 %r0, %r1;",
        "add.f16 %f0, %f1, %f2;",
        "add.frob.u32 %r0, %r1, %r2;",
        "add.rz.f32 %f0, %f1, %f2;",
        "div.f32 %f0, %f1, %f2;",
        "add.u32 %r0, %r1;",
        "add.u32 %r0, %r1, %r2, %r3;",
        "add.u32 %f0, %r1, %r2;",
        "add.u32 %r0, %r1, 1.5;",
        "add.u64 %r0, %r1, %r2;",
        "add.u32 %r0, %r1, %nothing;",
        "mov.u32 %r0, %clock;",
        "ld.global.f32 %f0, %d;",
        "ld.global.v2.f32 %f0, [%d];",
        "ld.shared.f32 %f0, [p];",
        "st.param.u64 [p], %d;",
        "cvt.s32.f32 %r0, %f0;",
        "cvt.rn.u32.u32 %r0, %r1;",
        "setp.lo.s32 %p, %r0, %r1;",
        "setp.equ.s32 %p, %r0, %r1;",
        "bar.sync 16;",
        "bra NOWHERE;",
        "@%r0 ret;",
        "L: L: ret;",
        ".reg .u32 %r1;",
        ".reg .u32 %many<4000000000>;",
        ".shared .f32 tile[99999999999];",
        ".local .f32 stack[4];",
        "call foo;",
        "tanh.approx.f32 %f0, %f1;",
        "membar.global;",
        "activemask.u64 %d;",
        "atom.global.add.f32 %f0, [%d], %f1;",
        "red.global.cas.b32 [%d], %r0, %r1;",
        "atom.global.add.b32 %r0, [%d], %r1;",
        "atom.param.add.u32 %r0, [p], %r1;",
    ] {
        assert!(!refusal(statement).is_empty());
    }
    assert_eq!(
        refusal("tanh.approx.f32 %f0, %f1;"),
        "`tanh.approx.f32`: needs `.target sm_75`, the module has sm_70"
    );
    assert_eq!(
        refusal("add.frob.u32 %r0, %r1, %r2;"),
        "`add.frob.u32`: modifier `.frob` is not supported"
    );
}

/// Each of these NVIDIA's assembler refuses too (13.5, by its message): a kernel that only the
/// interpreter accepts would fail on a card.
#[test]
fn what_a_card_refuses_is_refused_here() {
    for statement in [
        // Special register argument not allowed.
        "add.u32 %r0, %tid.x, 1;",
        "setp.lt.u32 %p, %tid.x, 3;",
        "st.global.u32 [%d], %tid.x;",
        "cvt.rn.f32.u32 %f0, %ntid.x;",
        // Argument must be register.
        ".shared .u32 t[4]; add.u32 %r0, %r1, t;",
        ".shared .u32 t[4]; mad.lo.u32 %r0, %r1, 4, t;",
        ".shared .u32 t[4]; cvt.u64.u32 %d, t;",
        // Parsing error; immediate addresses allowed only for .local.
        "ld.global.f32 %f0, [%d-4];",
        "ld.global.f32 %f0, [64];",
        // Unknown video selector: the declared register hides the special one.
        ".reg .u32 %tid; mov.u32 %r0, %tid.x;",
        // Unexpected instruction types.
        "and.u32 %r0, %r1, %r2;",
        "not.s32 %r0, %r1;",
        "shl.u32 %r0, %r1, 2;",
        "brev.u32 %r0, %r1;",
        "popc.u32 %r0, %r1;",
        "bfi.u32 %r0, %r1, %r2, 3, 4;",
        "selp.pred %p, %p, %p, %p;",
        "setp.eq.pred %p, %p, %p;",
        "cvt.b32.u32 %r0, %r1;",
        "cvta.global.s64 %d, %d;",
        "mov.u64 %d, {%r0, %r1};",
        // Illegal modifier, or one missing.
        "add.rn.u32 %r0, %r1, %r2;",
        "min.rn.f32 %f0, %f1, %f2;",
        "mad.f32 %f0, %f1, %f2, %f3;",
        "min.sat.f32 %f0, %f1, %f2;",
        "cvt.sat.s32.u16 %r0, %r1;",
        "setp.lt.ftz.s32 %p, %r0, %r1;",
        "ld.global.wb.f32 %f0, [%d];",
        "st.global.ca.f32 [%d], %f0;",
        "membar;",
        "membar.gpu;",
        "fence.acq_rel;",
        // Feature requires a later version.
        "bar.cta.sync 0;",
        "atom.shared::cta.add.u32 %r0, [%d], 1;",
    ] {
        assert!(!refusal(statement).is_empty());
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = Module::parse("x", &text);
    }

    #[test]
    fn no_sequence_of_its_own_words_makes_the_parser_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            ".entry", "k", "(", ")", "{", "}", ".reg", ".u32", ".f32", ".pred", "%r", "<", ">", "4",
            ";", ",", "[", "]", "ld.global.v4.f32", "mov.b64", "bra", "L", ":", "@", "!", "-", "+",
            "0f3F800000", "0x", "1e", ".const", ".shared", ".align", "0", "=", "|", "setp.lt.u32",
            ".param", ".extern", "bfi.b32", "shfl.sync.up.b32", "\"", "/*", "99999999999999999999",
            ".reqntid", "cvt.u32.u8", "bar.sync", "mov.b64 %r,", "{}", ".v4",
        ]), 0..60)
    ) {
        let _ = Module::parse("x", &words.join(" "));
        let _ = Module::parse("x", &format!(".entry k() {{ .reg .u32 %r<4>; {} }}", words.join(" ")));
    }
}
