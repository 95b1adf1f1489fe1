//! Views as kernels walk them: six axes at most, sizes and strides as words.

use striate_tensor::{Layout, Result};

use crate::card::{Arg, error};

/// Axes that a kernel walks.
const AXES: usize = 6;

/// The shape and the strides of views of one shape, as the kernels that walk views take them. Neighbouring axes that lie
/// in all views as one are one.
pub(crate) fn walk(op: &str, layouts: &[&Layout]) -> Result<Vec<Arg>> {
    let mut shape: Vec<usize> = Vec::new();
    let mut strides: Vec<Vec<isize>> = vec![Vec::new(); layouts.len()];
    for (axis, &size) in layouts[0].shape.iter().enumerate().filter(|(_, size)| **size != 1) {
        let of_axis: Vec<isize> = layouts.iter().map(|layout| layout.strides[axis]).collect();
        let joins = |(strides, stride): (&Vec<isize>, &isize)| {
            strides.last().is_some_and(|last| *last == stride * size as isize)
        };
        if strides.iter().zip(&of_axis).all(joins) {
            shape.last_mut().into_iter().for_each(|last| *last *= size);
            for (strides, stride) in strides.iter_mut().zip(of_axis) {
                strides.last_mut().into_iter().for_each(|last| *last = stride);
            }
        } else {
            shape.push(size);
            strides.iter_mut().zip(of_axis).for_each(|(strides, stride)| strides.push(stride));
        }
    }
    let Some(missing) = AXES.checked_sub(shape.len()) else {
        let given = &layouts[0].shape;
        return Err(error(op, format!("expected a view of {AXES} axes at most, got {given:?}")));
    };
    let mut args: Vec<Arg> = vec![Arg::Word(1); missing];
    args.extend(shape.iter().map(|size| Arg::from(*size)));
    for (strides, layout) in strides.iter().zip(layouts) {
        args.extend(vec![Arg::Signed(0); missing]);
        args.extend(strides.iter().map(|stride| Arg::Signed(*stride as i32)));
        args.push(Arg::Signed(layout.offset as i32));
    }
    Ok(args)
}
