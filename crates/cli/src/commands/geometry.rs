//! A convolution on the command line.

use striate::conv::{ConvShape, ConvSpec};

use super::size;
use crate::Failure;

/// The sizes of one square convolution.
#[derive(clap::Args)]
pub struct Geometry {
    /// Images
    #[arg(long, default_value_t = 4, value_parser = size)]
    batch: usize,
    /// Input channels
    #[arg(long, default_value_t = 64, value_parser = size)]
    inputs: usize,
    /// Output channels
    #[arg(long, default_value_t = 64, value_parser = size)]
    outputs: usize,
    /// Height and width of the input
    #[arg(long, default_value_t = 56, value_parser = size)]
    size: usize,
    /// Height and width of the kernel
    #[arg(long, default_value_t = 3, value_parser = size)]
    kernel: usize,
    /// Stride
    #[arg(long, default_value_t = 1, value_parser = size)]
    stride: usize,
    /// Padding on each side
    #[arg(long, default_value_t = 1, value_parser = size)]
    padding: usize,
    /// Dilation
    #[arg(long, default_value_t = 1, value_parser = size)]
    dilation: usize,
    /// Groups of channels
    #[arg(long, default_value_t = 1, value_parser = size)]
    groups: usize,
    /// The transposed convolution
    #[arg(long)]
    pub transposed: bool,
}

impl Geometry {
    /// The direct convolution, or that of which this is the transposed one.
    pub fn shape(&self) -> Result<ConvShape, Failure> {
        let &Self {
            batch,
            inputs,
            outputs,
            size,
            kernel,
            stride,
            padding,
            dilation,
            groups,
            transposed,
        } = self;
        let spec = ConvSpec::new([kernel; 2])
            .stride([stride; 2])
            .padding([padding; 2])
            .dilation([dilation; 2])
            .groups(groups);
        let input = [batch, inputs, size, size];
        let fits = |channels: usize| groups > 0 && channels.is_multiple_of(groups);
        if batch == 0 || !fits(inputs) || !fits(outputs) {
            return Err(format!(
                "expected images, and channels that {groups} groups divide; got {batch} images, {inputs} to {outputs} channels"
            )
            .into());
        }
        Ok(match transposed {
            false => ConvShape::conv(&spec, &input, &[outputs, inputs / groups, kernel, kernel])?,
            true => {
                ConvShape::transposed(&spec, &input, &[inputs, outputs / groups, kernel, kernel])?
            }
        })
    }
}
