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
