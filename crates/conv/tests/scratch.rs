//! What an operation says that it holds beside its operands, against what it takes from the pool. The pool's figures are those of
//! the process, so this file is one test.

use striate_conv::buffer::{restart_high_water, stats};
use striate_conv::conv::{self, Algorithm, Operation};
use striate_conv::{Buffer, ConvShape, ConvSpec};

/// What the tasks of one thread may hold together.
const TASKS: usize = 24 << 20;

/// Bytes that an operation held at most, beside its operands and its result.
fn measured(operation: Operation, shape: &ConvShape) -> usize {
    let mut x = Buffer::filled(shape.input_len(), 1.0f32);
    let mut w = Buffer::filled(shape.weight_len(), 0.5);
    let mut y = Buffer::filled(shape.output_len(), 0.5);
    let before = stats().in_use;
    restart_high_water();
    match operation {
        Operation::Forward => conv::forward(shape, &x, &w, None, &mut y),
        Operation::InputGradient => conv::input_gradient(shape, &y, &w, &mut x),
        Operation::WeightGradient => conv::weight_gradient(shape, &x, &y, &mut w),
    }
    stats().high_water - before
}

#[test]
fn scratch_is_what_a_call_holds_beside_its_tasks() {
    let square = |size| ConvSpec::new([size, size]);
    let shapes = [
        (square(3).padding([1, 1]), [4, 64, 28, 28], 64),
        (square(3).padding([1, 1]), [8, 512, 14, 14], 256),
        (square(3), [16, 256, 5, 5], 512),
        (square(3), [32, 512, 3, 3], 10),
        (square(5).padding([2, 2]), [20, 16, 14, 14], 32),
        (square(3).padding([1, 1]), [32, 3, 32, 32], 16),
        (square(3).dilation([4, 4]), [8, 24, 30, 30], 32),
        (square(3).padding([1, 1]).stride([2, 2]), [2, 64, 28, 28], 128),
        (square(1), [2, 256, 14, 14], 512),
        (square(4).padding([1, 1]).stride([2, 2]), [4, 64, 56, 56], 128),
        (square(3).padding([1, 1]).groups(4), [4, 64, 14, 14], 64),
        (square(9).padding([4, 4]), [4, 32, 32, 32], 48),
    ];
    let mut seen = Vec::new();
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| {
        for (spec, [batch, inputs, height, width], outputs) in shapes {
            let weight = [outputs, inputs / spec.groups, spec.kernel[0], spec.kernel[1]];
            let shape = ConvShape::conv(&spec, &[batch, inputs, height, width], &weight).unwrap();
            for operation in Operation::ALL {
                let said = conv::scratch::<f32>(operation, &shape) * size_of::<f32>();
                let held = measured(operation, &shape);
                let what = format!("{} of {shape:?}: {said} said, {held} held", operation.name());
                assert!(held >= said, "{what}");
                // The pool rounds up by a quarter at the most.
                assert!(held <= said + said / 4 + TASKS, "{what}");
                seen.push(Algorithm::of::<f32>(operation, &shape));
            }
        }
    });
    // On processors without wide vectors some of them never pay.
    assert!(seen.contains(&Algorithm::Im2col) || seen.contains(&Algorithm::Indirect));
    let nothing = ConvShape::conv(&square(3), &[0, 2, 5, 5], &[3, 2, 3, 3]).unwrap();
    assert!(Operation::ALL.iter().all(|&op| conv::scratch::<f32>(op, &nothing) == 0));
}
