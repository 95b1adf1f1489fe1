//! Unfolding against the definition, and folding as its adjoint.

use striate_conv::unfold::{columns_len, fold, unfold};
use striate_conv::{ConvShape, ConvSpec, conv};

use crate::common::{dot, for_each_product, integers, volume};

fn shapes() -> Vec<ConvShape> {
    let plane = ConvSpec::new([3, 2]);
    let specs = [
        plane,
        plane.padding_sides([[1, 2], [0, 1]]),
        plane.stride([2, 3]).padding([2, 1]),
        plane.dilation([1, 3]).padding([1, 3]),
        plane.stride([3, 1]).dilation([2, 2]),
    ];
    let plane_shapes = specs.map(|spec| ConvShape::windows(&spec, &[2, 3, 7, 6]).unwrap());
    let line = ConvShape::windows(&ConvSpec::new([4]).stride([2]), &[3, 2, 9]).unwrap();
    let spec = ConvSpec::new([2, 3, 1]).padding([1, 1, 0]).stride([2, 1, 2]);
    let volume = ConvShape::windows(&spec, &[1, 2, 4, 3, 5]).unwrap();
    plane_shapes.into_iter().chain([line, volume]).collect()
}

#[test]
fn unfolding_is_a_convolution_without_its_weights() {
    for shape in shapes() {
        let x = integers::<f64>(shape.input_len(), 1);
        let mut columns = vec![f64::NAN; columns_len(&shape)];
        unfold(&shape, &x, &mut columns);

        // Where `for_each_product` reads is where the definition says; everything else is padding.
        let rows = shape.weight_len();
        let outputs = volume(shape.output);
        let mut expected = vec![0.0; columns.len()];
        for_each_product(&shape, |input, row, output| {
            let (image, output) = (output / outputs, output % outputs);
            expected[(image * rows + row) * outputs + output] = x[input];
        });
        assert_eq!(columns, expected, "{shape:?}");

        let weight = integers::<f64>(rows, 2);
        let mut y = vec![f64::NAN; shape.output_len()];
        conv::forward(&shape, &x, &weight, None, &mut y);
        for (image, y) in y.chunks(outputs).enumerate() {
            for (output, &y) in y.iter().enumerate() {
                let column = (0..rows).map(|row| columns[(image * rows + row) * outputs + output]);
                assert_eq!(y, column.zip(&weight).map(|(x, w)| x * w).sum::<f64>());
            }
        }
    }
}

#[test]
fn folding_is_the_adjoint_of_unfolding() {
    for shape in shapes() {
        let x = integers::<f32>(shape.input_len(), 1);
        let columns = integers::<f32>(columns_len(&shape), 2);
        let (mut unfolded, mut folded) = (columns.clone(), x.clone());
        unfold(&shape, &x, &mut unfolded);
        fold(&shape, &columns, &mut folded);
        assert_eq!(dot(&unfolded, &columns), dot(&x, &folded), "{shape:?}");
    }
}

#[test]
fn folding_counts_how_many_windows_cover_a_cell() {
    let shape =
        ConvShape::windows(&ConvSpec::new([2]).stride([2]).padding([1]), &[1, 1, 4]).unwrap();
    let mut counts = [f32::NAN; 4];
    fold(&shape, &[1.0; 6], &mut counts);
    assert_eq!(counts, [1.0; 4]);
    let shape = ConvShape::windows(&ConvSpec::new([3]), &[1, 1, 5]).unwrap();
    let mut counts = [f32::NAN; 5];
    fold(&shape, &[1.0; 9], &mut counts);
    assert_eq!(counts, [1.0, 2.0, 3.0, 2.0, 1.0]);
}

#[test]
fn groups_do_not_matter_and_the_batch_may_be_empty() {
    let spec = ConvSpec::new([2]).groups(3);
    let shape = ConvShape::windows(&spec, &[0, 2, 4]).unwrap();
    assert_eq!((shape.spec.groups, columns_len(&shape)), (1, 0));
    unfold::<f32>(&shape, &[], &mut []);
    fold::<f32>(&shape, &[], &mut []);
}
