//! The copies of the kernels for tensor cores, which run ahead of the products: one thing broken at a time must be caught, by
//! the interpreter's checks or by the result.

use striate_ptx::{FaultKind, LaunchError, Module};

use super::geometry::Shape;
use super::{Kernel, conv, gemm, text};

type Outcome = Result<Vec<f32>, LaunchError>;

/// What stands in a kernel, what breaks it, and the fault that it must end in; where there is none, another result gives
/// it away.
type Break = (&'static str, &'static str, Option<fn(&FaultKind) -> bool>);

const RACE: fn(&FaultKind) -> bool = |kind| matches!(kind, FaultKind::Race(_));
const COPY: fn(&FaultKind) -> bool = |kind| matches!(kind, FaultKind::AsyncCopy(_));
const UNWRITTEN: fn(&FaultKind) -> bool = |kind| matches!(kind, FaultKind::Uninitialised);
const OUTSIDE: fn(&FaultKind) -> bool = |kind| matches!(kind, FaultKind::OutOfBounds(_));

/// What all of them have.
const COMMON: [Break; 6] = [
    ("wait_group 1; bar.sync 0;", "wait_group 1;", Some(RACE)),
    ("cp.async.wait_group 1;", "cp.async.wait_group 2;", Some(COPY)),
    ("cp.async.wait_group 1;", "", Some(COPY)),
    ("cp.async.commit_group;", "", Some(COPY)),
    ("mov.s32 %tile, -2;", "mov.s32 %tile, -1;", Some(UNWRITTEN)),
    ("cvt.rna.tf32.f32", "mov.b32", None),
];

fn check(name: &'static str, run: impl Fn(&Kernel) -> Outcome, own: &[Break]) {
    let sound = text(&format!("{name}.ptx"));
    let run = |text: &str| run(&Kernel::new(name, Module::parse("k.ptx", text).unwrap()));
    let expected = run(&sound).unwrap();
    for (right, wrong, fault) in COMMON.iter().chain(own) {
        assert!(sound.contains(right), "{name}: {right}");
        match run(&sound.replace(right, wrong)) {
            Err(LaunchError::Fault(found)) => {
                let meant = fault.is_some_and(|fault| fault(&found.kind));
                assert!(meant, "{name}: {wrong} for {right}: {found}");
            }
            Ok(found) => {
                assert!(fault.is_none() && found != expected, "{name}: {wrong} for {right}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_part_of_the_products_pipeline_is_needed() {
    let own: [Break; 2] = [
        ("%stage, 49152;", "%stage, 32768;", Some(COPY)),
        ("max.s32 %some, %some, 0; min.s32 %some, %some, 4;", "mov.s32 %some, 4;", Some(OUTSIDE)),
    ];
    check("gemm_tf32", gemm::deep, &own);
}

#[test]
fn every_part_of_the_convolutions_pipeline_is_needed() {
    // Several tiles, and more k than the table holds at once.
    let shape = Shape::new(1, [20, 6], [1, 9, 10], [1, 3, 3]).padding([0, 1, 1]);
    let run = |kernel: &Kernel| conv::forward(kernel, shape, (None, false)).map(|(y, _)| y);
    let own: [Break; 4] = [
        ("%stage, 36864;", "%stage, 24576;", Some(COPY)),
        ("[%v], {%shift, %need};\n  bar.sync 0;", "[%v], {%shift, %need};", Some(RACE)),
        ("selp.u32 %need, %need, 0x80000000, %inside;", "", Some(OUTSIDE)),
        ("setp.eq.u32 %p, %t, 0; selp.u32 %t, 4, 0, %p;", "mov.u32 %t, 4;", Some(OUTSIDE)),
    ];
    check("conv_tf32", run, &own);
}
