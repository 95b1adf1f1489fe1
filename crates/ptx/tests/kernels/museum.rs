//! The bugs of others' kernels, put into ours: each must be caught, by the interpreter's checks or by the result.
//!
//! Those of other frameworks' operations are in `tests/museum.rs`.

use striate_ptx::{Arg, FaultKind, LaunchError, Memory, Module};

use super::geometry::Shape;
use super::{Kernel, conv, gemm, numbers, text};

type Outcome = Result<Vec<f32>, LaunchError>;

struct Exhibit {
    /// Where it was reported, and what was wrong.
    thread: &'static str,
    bug: &'static str,
    file: &'static str,
    kernel: &'static str,
    /// What stands in the kernel, and what the bug makes of it.
    right: &'static str,
    wrong: &'static str,
    run: fn(Module) -> Outcome,
    /// The fault that it must end in; where there is none, another result gives it away.
    fault: Option<fn(&FaultKind) -> bool>,
}

const EXHIBITS: [Exhibit; 9] = [
    Exhibit {
        thread: "https://github.com/NVIDIA/apex/pull/1184",
        bug: "layer norm writes to shared memory for its next pass while some threads still read the last one's result",
        file: "norm.ptx",
        kernel: "moments",
        right: "TREE:\n  bar.sync 0; st.shared",
        wrong: "TREE:\n  st.shared",
        run: moments,
        fault: Some(|kind| matches!(kind, FaultKind::Race(_))),
    },
    Exhibit {
        thread: "https://github.com/JustVugg/colibri/pull/1098",
        bug: "a reduction's result is read with no barrier behind its last step",
        file: "norm.ptx",
        kernel: "moments",
        right: "bar.sync 0; mov.u32 %t, sums; ld.shared",
        wrong: "mov.u32 %t, sums; ld.shared",
        run: moments,
        fault: Some(|kind| matches!(kind, FaultKind::Race(_))),
    },
    Exhibit {
        thread: "https://github.com/ggml-org/llama.cpp/pull/13469",
        bug: "a barrier stands where only part of the warps come by",
        file: "norm.ptx",
        kernel: "moments",
        right: "  bar.sync 0;\n  setp.ge.u32 %c, %thread, %half; @%c bra NEXT;",
        wrong: "  setp.ge.u32 %c, %thread, %half; @%c bra NEXT; bar.sync 0;",
        run: moments,
        fault: Some(|kind| matches!(kind, FaultKind::DivergentBarrier(_) | FaultKind::Race(_))),
    },
    Exhibit {
        thread: "https://github.com/csarofeen/pytorch/pull/2457",
        bug: "copies are committed after the wait that should have them",
        file: "../crates/ptx/tests/ptx/pipeline.ptx",
        kernel: "sum",
        right: "cp.async.commit_group;\n  cp.async.wait_group 1;",
        wrong: "cp.async.wait_group 1;\n  cp.async.commit_group;",
        run: pipeline,
        fault: Some(|kind| matches!(kind, FaultKind::AsyncCopy(_))),
    },
    Exhibit {
        thread: "https://github.com/huggingface/candle/issues/3893",
        bug: "an operand that is a strided view is read as if it were dense",
        file: "gemm.ptx",
        kernel: "gemm",
        right: "ld.param.u32 %b_col, [b_col]; ld.param.u32 %b_row, [b_row];",
        wrong: "mov.u32 %b_col, 1; ld.param.u32 %b_row, [n];",
        run: |module| gemm::transposed(&Kernel::new("gemm", module)),
        fault: None,
    },
    Exhibit {
        thread: "https://github.com/tracel-ai/burn/issues/1877",
        bug: "every group's weight gradient is made of the first group's input",
        file: "conv_weight.ptx",
        kernel: "conv_weight",
        right: "add.u32 %t, %image, %group; mul.lo.u32 %t, %t, %depth;",
        wrong: "mul.lo.u32 %t, %image, %depth;",
        run: |module| {
            let kernel = Kernel::new("conv_weight", module);
            conv::weight_gradient(&kernel, grouped(), 1 << 20).map(|(found, _)| found)
        },
        fault: None,
    },
    Exhibit {
        thread: "https://github.com/tracel-ai/burn/pull/3415",
        bug: "a convolution in groups reads outside of its input",
        file: "conv.ptx",
        kernel: "conv",
        right: "selp.u32 %need, %need, 0x80000000, %inside;",
        wrong: "",
        run: |module| {
            let kernel = Kernel::new("conv", module);
            conv::forward(&kernel, grouped(), (None, false)).map(|(found, _)| found)
        },
        fault: Some(|kind| matches!(kind, FaultKind::OutOfBounds(_))),
    },
    Exhibit {
        thread: "https://github.com/huggingface/candle/pull/3507",
        bug: "a gradient overwrites what was there instead of adding to it",
        file: "reduce.ptx",
        kernel: "pick_gradient",
        right: "add.f32 %sum, %sum, %v; bra LOOP;",
        wrong: "mov.f32 %sum, %v; bra LOOP;",
        run: |module| pick(module, "pick_gradient", [5, 3], &[1, 2, 1, 0, 1]),
        fault: None,
    },
    Exhibit {
        thread: "https://github.com/tensorflow/tensorflow/issues/103997",
        bug: "an index from outside is believed",
        file: "reduce.ptx",
        kernel: "pick",
        right: "setp.lt.u64 %good, %index, %wide; @%good bra READ;",
        wrong: "setp.eq.u64 %good, %index, %index; @%good bra READ;",
        run: |module| pick(module, "pick", [3, 5], &[1, 2, -1_000_000, 0, 1]),
        fault: Some(|kind| matches!(kind, FaultKind::OutOfBounds(_))),
    },
];

/// Two groups whose last channels and positions are at the end of their arrays.
fn grouped() -> Shape {
    Shape::new(1, [10, 12], [1, 5, 7], [1, 3, 3]).groups(2)
}

fn moments(module: Module) -> Outcome {
    let mut memory = Memory::new();
    let x = memory.upload(&numbers(1, 600)).unwrap();
    let [mean, squares] = [0; 2].map(|_: u32| memory.alloc(4).unwrap());
    let mut args = [x, mean, squares].map(Arg::from).to_vec();
    args.extend([600_u32, 1, 600, 600].map(Arg::from));
    module.launch(&mut memory, "moments", [1; 3], [256, 1, 1], 0, &args)?;
    Ok([mean, squares].map(|at| memory.download::<f32>(at, 1).unwrap()[0]).to_vec())
}

fn pipeline(module: Module) -> Outcome {
    let mut memory = Memory::new();
    let from = memory.upload(&numbers(1, 256)).unwrap();
    let to = memory.alloc(4 * 32).unwrap();
    module.launch(&mut memory, "sum", [1; 3], [32, 1, 1], 0, &[from.into(), to.into()])?;
    Ok(memory.download(to, 32).unwrap())
}

/// Picks from `from` numbers, or adds to so many, at indices of which there are as many as there are `picked`.
fn pick(module: Module, kernel: &str, [read, written]: [usize; 2], indices: &[i64]) -> Outcome {
    let mut memory = Memory::new();
    let axis = if kernel == "pick" { read } else { written };
    let x = memory.upload(&numbers(1, read)).unwrap();
    let index = memory.upload(indices).unwrap();
    let (out, bad) = (memory.alloc(4 * written).unwrap(), memory.upload(&[0_u32]).unwrap());
    let mut args = [x, index, out, bad].map(Arg::from).to_vec();
    args.extend([written, axis, indices.len(), 1, 0].map(|word| Arg::from(word as u32)));
    if kernel == "pick" {
        args.push(4_u32.into());
    }
    module.launch(&mut memory, kernel, [1; 3], [256, 1, 1], 0, &args)?;
    Ok(memory.download(out, written).unwrap())
}

#[test]
fn bugs_of_others_kernels_are_caught_in_ours() {
    for exhibit in EXHIBITS {
        let Exhibit { thread, bug, file, kernel, right, wrong, run, fault } = exhibit;
        let text = text(file);
        let (head, body) = text.split_at(text.find(&format!(".entry {kernel}(")).unwrap());
        assert!(body.contains(right), "{thread}: `{right}` is not in {kernel}");
        let broken = format!("{head}{}", body.replacen(right, wrong, 1));
        let [sound, broken] = [&text, &broken].map(|text| run(Module::parse(file, text).unwrap()));
        let sound = sound.unwrap_or_else(|error| panic!("{thread}, before the bug: {error}"));
        let seen = match &broken {
            Err(LaunchError::Fault(found)) => fault.is_some_and(|fault| fault(&found.kind)),
            Err(LaunchError::Refused { .. }) => false,
            Ok(result) => fault.is_none() && *result != sound,
        };
        assert!(seen, "{thread}: {bug}: not caught, {broken:?}");
    }
}
