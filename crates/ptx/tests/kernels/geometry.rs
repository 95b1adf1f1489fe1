//! Convolutions as the kernels see them: a [`Map`] from results and taps to the cells they read.

use striate_ptx::Arg;

use super::{Kernel, Sum, numbers};

/// A convolution over three axes; the padding is the one before the input.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub batch: usize,
    pub groups: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub input: [usize; 3],
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub padding: [usize; 3],
    pub dilation: [usize; 3],
    pub output: [usize; 3],
}

/// What every kernel of `conv.ptx` and `conv_weight.ptx` is told, in the order of their parameters.
#[derive(Clone, Copy, Debug)]
pub struct Map {
    pub batch: usize,
    pub groups: usize,
    pub rows: usize,
    pub depth: usize,
    pub source: [usize; 3],
    pub target: [usize; 3],
    pub taps: [usize; 3],
    pub scale: [usize; 3],
    pub step: [isize; 3],
    pub origin: [isize; 3],
    pub plane: usize,
    pub start: usize,
    pub place: [usize; 3],
    pub weight: [usize; 4],
    pub weight_tap: [usize; 3],
}

/// Elements from one to the next along each axis of a dense volume.
fn strides([_, height, width]: [usize; 3]) -> [usize; 3] {
    [height * width, width, 1]
}

pub fn volume(size: [usize; 3]) -> usize {
    size.iter().product()
}

impl Shape {
    /// One group, stride and dilation 1, no padding.
    pub fn new(batch: usize, channels: [usize; 2], input: [usize; 3], kernel: [usize; 3]) -> Self {
        let [in_channels, out_channels] = channels;
        let plain = Self {
            batch,
            groups: 1,
            in_channels,
            out_channels,
            input,
            kernel,
            stride: [1; 3],
            padding: [0; 3],
            dilation: [1; 3],
            output: input,
        };
        plain.sized()
    }

    pub fn stride(self, stride: [usize; 3]) -> Self {
        Self { stride, ..self }.sized()
    }

    pub fn padding(self, padding: [usize; 3]) -> Self {
        Self { padding, ..self }.sized()
    }

    pub fn dilation(self, dilation: [usize; 3]) -> Self {
        Self { dilation, ..self }.sized()
    }

    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// The output of an input that is padded equally on both sides.
    fn sized(mut self) -> Self {
        for axis in 0..3 {
            let padded = self.input[axis] + 2 * self.padding[axis];
            let extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            self.output[axis] = padded.saturating_sub(extent) / self.stride[axis] + 1;
        }
        self
    }

    pub fn in_group(&self) -> usize {
        self.in_channels / self.groups
    }

    pub fn out_group(&self) -> usize {
        self.out_channels / self.groups
    }

    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * volume(self.input)
    }

    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * volume(self.output)
    }

    pub fn weight_len(&self) -> usize {
        self.out_channels * self.in_group() * volume(self.kernel)
    }

    pub fn tensors(&self) -> [Vec<f32>; 3] {
        [self.input_len(), self.weight_len(), self.output_len()].map(|len| numbers(len as u64, len))
    }

    /// What a kernel reads of them.
    fn read_by(&self, kernel: &Kernel) -> [Vec<f32>; 3] {
        self.tensors().map(|tensor| tensor.into_iter().map(|x| kernel.reads(x)).collect())
    }

    /// The forward pass: output o reads o s + t d - p.
    pub fn forward(&self) -> Map {
        let taps = volume(self.kernel);
        Map {
            batch: self.batch,
            groups: self.groups,
            rows: self.out_group(),
            depth: self.in_group(),
            source: self.input,
            target: self.output,
            taps: self.kernel,
            scale: self.stride,
            step: self.dilation.map(usize::cast_signed),
            origin: self.padding.map(|p| -p.cast_signed()),
            plane: volume(self.output),
            start: 0,
            place: strides(self.output),
            weight: [self.out_group() * self.in_group() * taps, self.in_group() * taps, taps, 0],
            weight_tap: strides(self.kernel),
        }
    }

    /// The input gradient: one map for each residue of the input's cells modulo the stride, for the cells
    /// of one residue are reached by the same taps and need no division.
    pub fn gradients(&self) -> Vec<Map> {
        let [s0, s1, s2] = self.stride;
        let all = (0..s0).flat_map(|a| (0..s1).flat_map(move |b| (0..s2).map(move |c| [a, b, c])));
        all.filter_map(|residue| self.gradient(residue)).collect()
    }

    /// Cell i = r + j s is read by the outputs o = (i + p - t d) / s of the taps t that make it whole: the
    /// first such tap and each s / gcd(s, d) after it.
    fn gradient(&self, residue: [usize; 3]) -> Option<Map> {
        let taps = volume(self.kernel);
        let (tap_strides, cell_strides) = (strides(self.kernel), strides(self.input));
        let mut map = Map {
            rows: self.in_group(),
            depth: self.out_group(),
            source: self.output,
            scale: [1; 3],
            plane: volume(self.input),
            weight: [self.out_group() * self.in_group() * taps, taps, self.in_group() * taps, 0],
            ..self.forward()
        };
        for axis in 0..3 {
            let (stride, dilation) = (self.stride[axis], self.dilation[axis]);
            let cell = residue[axis] + self.padding[axis];
            let first =
                (0..stride).find(|t| (cell + t * (stride - 1) * dilation).is_multiple_of(stride));
            let every = stride / gcd(stride, dilation);
            map.target[axis] = self.input[axis].checked_sub(residue[axis])?.div_ceil(stride);
            let kernel = self.kernel[axis];
            map.taps[axis] = first.map_or(0, |t| kernel.saturating_sub(t).div_ceil(every));
            let first = first.unwrap_or(0);
            map.step[axis] = -(every * dilation / stride).cast_signed();
            let reach = cell.cast_signed() - (first * dilation).cast_signed();
            map.origin[axis] = reach.div_euclid(stride.cast_signed());
            map.start += residue[axis] * cell_strides[axis];
            map.place[axis] = stride * cell_strides[axis];
            map.weight[3] += first.min(kernel - 1) * tap_strides[axis];
            map.weight_tap[axis] = every * tap_strides[axis];
        }
        (volume(map.target) != 0).then_some(map)
    }

    /// Each tap of each output that reads a cell: `visit(output, weight, input)`, as indices.
    pub fn walk(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let at = |outer: usize, size: [usize; 3], [a, b, c]: [usize; 3]| {
            ((outer * size[0] + a) * size[1] + b) * size[2] + c
        };
        for image in 0..self.batch {
            for out in 0..self.out_channels {
                let group = out / self.out_group();
                for position in cells(self.output) {
                    for channel in 0..self.in_group() {
                        for tap in cells(self.kernel) {
                            let Some(cell) = self.cell(position, tap) else { continue };
                            let from = group * self.in_group() + channel;
                            visit(
                                at(image * self.out_channels + out, self.output, position),
                                at(out * self.in_group() + channel, self.kernel, tap),
                                at(image * self.in_channels + from, self.input, cell),
                            );
                        }
                    }
                }
            }
        }
    }

    fn cell(&self, position: [usize; 3], tap: [usize; 3]) -> Option<[usize; 3]> {
        let mut cell = [0; 3];
        for axis in 0..3 {
            let at = position[axis] * self.stride[axis] + tap[axis] * self.dilation[axis];
            cell[axis] = at.checked_sub(self.padding[axis])?;
            if cell[axis] >= self.input[axis] {
                return None;
            }
        }
        Some(cell)
    }

    /// Compares an output of the forward pass.
    pub fn check_forward(&self, kernel: &Kernel, found: &[f32], bias: Option<&[f32]>, relu: bool) {
        let [input, weight, _] = self.read_by(kernel);
        let mut sums = vec![Sum::default(); found.len()];
        if let Some(bias) = bias {
            for (index, sum) in sums.iter_mut().enumerate() {
                sum.add(bias[index / volume(self.output) % self.out_channels].into());
            }
        }
        self.walk(|o, w, i| sums[o].product(input[i], weight[w]));
        self.compare(kernel, &sums, found, relu);
    }

    pub fn check_input_gradient(&self, kernel: &Kernel, found: &[f32]) {
        let [_, weight, grad] = self.read_by(kernel);
        let mut sums = vec![Sum::default(); found.len()];
        self.walk(|o, w, i| sums[i].product(grad[o], weight[w]));
        self.compare(kernel, &sums, found, false);
    }

    pub fn check_weight_gradient(&self, kernel: &Kernel, found: &[f32]) {
        let [input, _, grad] = self.read_by(kernel);
        let mut sums = vec![Sum::default(); found.len()];
        self.walk(|o, w, i| sums[w].product(input[i], grad[o]));
        self.compare(kernel, &sums, found, false);
    }

    fn compare(&self, kernel: &Kernel, sums: &[Sum], found: &[f32], relu: bool) {
        for (index, (sum, found)) in sums.iter().zip(found).enumerate() {
            sum.check(relu, *found, || format!("{}: {self:?} at {index}", kernel.name));
        }
    }
}

impl Map {
    /// Positions of all images.
    pub fn positions(&self) -> usize {
        self.batch * volume(self.target)
    }

    /// Elements of the packed weights: whole tiles of 64 rows and 16 k.
    pub fn packed_len(&self) -> usize {
        let k = (self.depth * volume(self.taps)).next_multiple_of(16);
        self.groups * k * self.rows.next_multiple_of(64)
    }

    pub fn args(&self) -> Vec<Arg> {
        let word = |value: &usize| Arg::from(u32::try_from(*value).unwrap());
        let signed = |value: &isize| Arg::from(i32::try_from(*value).unwrap());
        let mut args: Vec<Arg> =
            [self.batch, self.groups, self.rows, self.depth].iter().map(word).collect();
        for part in [self.source, self.target, self.taps, self.scale] {
            args.extend(part.iter().map(word));
        }
        args.extend(self.step.iter().chain(&self.origin).map(signed));
        args.extend([self.plane, self.start].iter().chain(&self.place).map(word));
        args.extend(self.weight.iter().chain(&self.weight_tap).map(word));
        args
    }
}

fn cells([depth, height, width]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..depth).flat_map(move |a| (0..height).flat_map(move |b| (0..width).map(move |c| [a, b, c])))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
