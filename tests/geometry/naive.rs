//! What convolution and pooling are, cell by cell, over three axes: the definitions, with no regard for speed.
//!
//! One and two axes are three with leading ones. Nothing here comes from the engine but the fields of its
//! specifications; sizes and refusals are derived anew. `None` means that there is no such result.

use striate::tensor::{ConvSpec, PoolSpec, Tensor};

/// An array `[batch, channels, depth, height, width]`, or a weight.
#[derive(Clone)]
pub struct Array {
    pub shape: [usize; 5],
    pub data: Vec<f64>,
}

impl Array {
    /// The values of a tensor of three, four or five axes.
    pub fn of(tensor: &Tensor<f64>) -> Self {
        let mut shape = [1; 5];
        shape[..2].copy_from_slice(&tensor.shape()[..2]);
        let spatial = &tensor.shape()[2..];
        shape[5 - spatial.len()..].copy_from_slice(spatial);
        let data = tensor.to_vec().unwrap();
        Array { shape, data }
    }

    pub fn zeros(shape: [usize; 5]) -> Self {
        let data = vec![0.0; shape.iter().product()];
        Array { shape, data }
    }

    fn position(&self, index: [usize; 5]) -> usize {
        (0..5).fold(0, |at, axis| at * self.shape[axis] + index[axis])
    }

    fn get(&self, index: [usize; 5]) -> f64 {
        self.data[self.position(index)]
    }

    fn add(&mut self, index: [usize; 5], value: f64) {
        let at = self.position(index);
        self.data[at] += value;
    }

    fn spatial(&self) -> [usize; 3] {
        [self.shape[2], self.shape[3], self.shape[4]]
    }
}

/// All indices below `sizes`, the last axis fastest.
fn indices<const N: usize>(sizes: [usize; N]) -> impl Iterator<Item = [usize; N]> {
    (0..sizes.iter().product()).map(move |flat: usize| {
        let mut rest = flat;
        let mut index = [0; N];
        for axis in (0..N).rev() {
            (index[axis], rest) = (rest % sizes[axis], rest / sizes[axis]);
        }
        index
    })
}

/// The cell `window s + tap d - p` of an axis, if there is one.
fn cell(
    window: usize,
    [stride, dilation, padding]: [usize; 3],
    tap: usize,
    size: usize,
) -> Option<usize> {
    (window * stride + tap * dilation).checked_sub(padding).filter(|&cell| cell < size)
}

/// The cell of every axis.
fn cells(
    spec: &ConvSpec<3>,
    window: [usize; 3],
    tap: [usize; 3],
    sizes: [usize; 3],
) -> Option<[usize; 3]> {
    let mut found = [0; 3];
    for axis in 0..3 {
        let steps = [spec.stride[axis], spec.dilation[axis], spec.padding[axis][0]];
        found[axis] = cell(window[axis], steps, tap[axis], sizes[axis])?;
    }
    Some(found)
}

/// The sizes that `size(axis)` gives, if each is above zero.
fn sizes(size: impl Fn(usize) -> isize) -> Option<[usize; 3]> {
    let sizes = [0, 1, 2].map(|axis| size(axis).max(0) as usize);
    (!sizes.contains(&0)).then_some(sizes)
}

fn extent(spec: &ConvSpec<3>, axis: usize) -> isize {
    (spec.dilation[axis] * (spec.kernel[axis] - 1) + 1) as isize
}

/// The direct convolution of `x` with the weight `w`.
pub fn conv(x: &Array, w: &Array, spec: &ConvSpec<3>) -> Option<Array> {
    let output = sizes(|axis| {
        let [before, after] = spec.padding[axis];
        let room = (x.spatial()[axis] + before + after) as isize - extent(spec, axis);
        // Rounds towards minus infinity: a window that does not fit leaves no output.
        room.div_euclid(spec.stride[axis] as isize) + 1
    })?;
    let [out_channels, inputs, taps @ ..] = w.shape;
    let outputs = out_channels / spec.groups;
    let mut y = Array::zeros([x.shape[0], out_channels, output[0], output[1], output[2]]);
    for [b, o, p, q, r] in indices(y.shape) {
        for [c, s, t, u] in indices([inputs, taps[0], taps[1], taps[2]]) {
            if let Some([i, j, k]) = cells(spec, [p, q, r], [s, t, u], x.spatial()) {
                let from = [b, o / outputs * inputs + c, i, j, k];
                y.add([b, o, p, q, r], x.get(from) * w.get([o, c, s, t, u]));
            }
        }
    }
    Some(y)
}

/// The transposed convolution: every input cell adds the kernel, scaled, around its window.
pub fn conv_transpose(x: &Array, w: &Array, spec: &ConvSpec<3>) -> Option<Array> {
    let output = sizes(|axis| {
        let reach = ((x.spatial()[axis] - 1) * spec.stride[axis]) as isize + extent(spec, axis);
        reach + spec.output_padding[axis] as isize
            - spec.padding[axis].iter().sum::<usize>() as isize
    })?;
    let undecided = |axis: usize| spec.stride[axis].max(spec.dilation[axis]);
    if (0..3).any(|axis| spec.output_padding[axis] >= undecided(axis)) {
        return None;
    }
    let [in_channels, outputs, taps @ ..] = w.shape;
    let inputs = in_channels / spec.groups;
    let channels = outputs * spec.groups;
    let mut y = Array::zeros([x.shape[0], channels, output[0], output[1], output[2]]);
    for [b, c, p, q, r] in indices(x.shape) {
        for [o, s, t, u] in indices([outputs, taps[0], taps[1], taps[2]]) {
            if let Some([i, j, k]) = cells(spec, [p, q, r], [s, t, u], output) {
                let to = [b, c / inputs * outputs + o, i, j, k];
                y.add(to, x.get([b, c, p, q, r]) * w.get([c, o, s, t, u]));
            }
        }
    }
    Some(y)
}

/// One output of a pooling: which cells of the plane it sees, in order, and how many taps lie within the
/// padded input.
pub struct Window {
    pub cells: Vec<usize>,
    pub within_padding: usize,
}

/// The windows of a plane of sliding pooling, if every one sees a cell and padding is at most half the kernel.
pub fn sliding(spec: &PoolSpec<3>, input: [usize; 3]) -> Option<([usize; 3], Vec<Window>)> {
    let output = sizes(|axis| {
        let (stride, padding) = (spec.stride[axis] as isize, spec.padding[axis] as isize);
        let size = input[axis] as isize;
        let extent = (spec.dilation[axis] * (spec.kernel[axis] - 1) + 1) as isize;
        let slack = if spec.ceil_mode { stride - 1 } else { 0 };
        let count = (size + 2 * padding - extent + slack).div_euclid(stride) + 1;
        // PyTorch: the last window starts inside the input or the padding before it.
        count - isize::from(spec.ceil_mode && (count - 1) * stride >= size + padding)
    })?;
    if (0..3).any(|axis| spec.padding[axis] > spec.kernel[axis] / 2) {
        return None;
    }
    let window = |place: [usize; 3]| {
        let steps = |axis: usize| [spec.stride[axis], spec.dilation[axis], spec.padding[axis]];
        let mut window = Window { cells: Vec::new(), within_padding: 0 };
        for tap in indices(spec.kernel) {
            let at = |axis| cell(place[axis], steps(axis), tap[axis], input[axis]);
            if let (Some(i), Some(j), Some(k)) = (at(0), at(1), at(2)) {
                window.cells.push((i * input[1] + j) * input[2] + k);
            }
            let padded = |axis: usize| {
                let [stride, dilation, padding] = steps(axis);
                place[axis] * stride + tap[axis] * dilation < input[axis] + 2 * padding
            };
            window.within_padding += usize::from((0..3).all(padded));
        }
        window
    };
    let windows: Vec<Window> = indices(output).map(window).collect();
    let blind = windows.iter().any(|window| window.cells.is_empty());
    (!blind).then_some((output, windows))
}

/// The windows of a plane of adaptive pooling: cells `floor(o I / O) .. ceil((o + 1) I / O)`.
pub fn adaptive(output: [usize; 3], input: [usize; 3]) -> Vec<Window> {
    let range = |axis: usize, o: usize| {
        o * input[axis] / output[axis]..((o + 1) * input[axis]).div_ceil(output[axis])
    };
    let seen = |place: [usize; 3]| {
        let inside =
            |cell: &[usize; 3]| (0..3).all(|axis| range(axis, place[axis]).contains(&cell[axis]));
        let cells = indices(input).enumerate().filter(|(_, cell)| inside(cell));
        Window { cells: cells.map(|(flat, _)| flat).collect(), within_padding: 0 }
    };
    indices(output).map(seen).collect()
}
