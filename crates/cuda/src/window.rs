//! The windows of a convolution as columns, and back: `window.ptx`.

use striate_conv::{ConvShape, unfold};
use striate_tensor::Result;
use striate_tensor::backend::Storage;

use crate::backend::Cuda;
use crate::card::Arg;
use crate::memory::address;

impl Cuda {
    pub(crate) fn columns(&self, shape: &ConvShape, x: &Storage<f32>) -> Result<Storage<f32>> {
        let len = unfold::columns_len(shape);
        self.output(len, |out| self.windows("unfold", shape, ([address(x)?, out], len)))
    }

    pub(crate) fn planes(&self, shape: &ConvShape, columns: &Storage<f32>) -> Result<Storage<f32>> {
        let len = shape.input_len();
        self.output(len, |out| self.windows("refold", shape, ([address(columns)?, out], len)))
    }

    fn windows(&self, name: &str, shape: &ConvShape, (at, len): ([u64; 2], usize)) -> Result<()> {
        let spec = &shape.spec;
        let padding = spec.padding.map(|[before, _]| before);
        let mut args = at.map(Arg::from).to_vec();
        args.push(len.into());
        for sizes in [shape.input, shape.output, spec.kernel, spec.stride, spec.dilation, padding] {
            args.extend(sizes.map(Arg::from));
        }
        self.card.each(name, len, &args)
    }
}
