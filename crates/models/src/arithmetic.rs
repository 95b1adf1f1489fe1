//! Convolution arithmetic: the ten cases of the third document, each a layer that is built and run.
//!
//! Sizes come from [`ConvSpec`] and [`PoolSpec`]; the formula beside each case is what they come to there.

use striate_nn::layers::{Conv2d, ConvTranspose2d, MaxPool};
use striate_nn::{Init, Module, Summary};
use striate_tensor::{ConvSpec, Device, PoolSpec, Result};

/// Which layer a case builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A convolution.
    Convolution,
    /// A transposed convolution.
    Transposed,
    /// Max pooling.
    Pooling,
}

/// One square layer on a square input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What the case shows.
    pub name: &'static str,
    /// The size of the output in terms of input `i`, kernel `k`, stride `s`, padding `p`, dilation `d`.
    pub formula: &'static str,
    /// The layer.
    pub kind: Kind,
    /// Input size.
    pub input: usize,
    /// Kernel size.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Padding on each side.
    pub padding: usize,
    /// Dilation.
    pub dilation: usize,
    /// What is added to one side of a transposed output.
    pub output_padding: usize,
    /// Output channels; there is one input channel.
    pub channels: usize,
}

const fn case(name: &'static str, formula: &'static str, sizes: [usize; 4]) -> Case {
    let [input, kernel, stride, padding] = sizes;
    Case {
        name,
        formula,
        kind: Kind::Convolution,
        input,
        kernel,
        stride,
        padding,
        dilation: 1,
        output_padding: 0,
        channels: 1,
    }
}

const STRIDED: &str = "floor((i + 2p - k) / s) + 1";
const TRANSPOSED: &str = "s (i - 1) + d (k - 1) + 1 - 2p + output padding";

/// The cases of the document, in its order.
pub const CASES: [Case; 10] = [
    case("no padding, unit stride", "i - k + 1", [4, 3, 1, 0]),
    case("padding, unit stride", "i - k + 2p + 1", [5, 4, 1, 2]),
    case("half padding", "i, with p = floor(k / 2) and odd k", [5, 3, 1, 1]),
    Case { channels: 32, ..case("full padding", "i + k - 1, with p = k - 1", [5, 3, 1, 2]) },
    case("stride", STRIDED, [5, 3, 2, 1]),
    case("stride, the same output from one more", STRIDED, [6, 3, 2, 1]),
    Case { kind: Kind::Pooling, ..case("max pooling", STRIDED, [28, 3, 2, 0]) },
    Case { kind: Kind::Transposed, ..case("transposed", TRANSPOSED, [2, 3, 1, 0]) },
    Case { kind: Kind::Transposed, ..case("transposed, stride 2", TRANSPOSED, [2, 3, 2, 0]) },
    Case {
        dilation: 2,
        ..case("dilated", "floor((i + 2p - k - (k - 1) (d - 1)) / s) + 1", [7, 3, 1, 0])
    },
];

impl Case {
    /// A case of a user's own.
    pub fn new(kind: Kind, [input, kernel, stride, padding]: [usize; 4]) -> Self {
        let formula = match kind {
            Kind::Transposed => TRANSPOSED,
            _ => "floor((i + 2p - d (k - 1) - 1) / s) + 1",
        };
        Case { kind, ..case("given", formula, [input, kernel, stride, padding]) }
    }

    /// The geometry, for the convolutions.
    pub fn spec(&self) -> ConvSpec<2> {
        ConvSpec::new([self.kernel; 2])
            .stride([self.stride; 2])
            .padding([self.padding; 2])
            .dilation([self.dilation; 2])
            .output_padding([self.output_padding; 2])
    }

    /// The layer of the case.
    pub fn layer(&self, init: &Init) -> Result<Box<dyn Module>> {
        let channels = self.channels;
        Ok(match self.kind {
            Kind::Convolution => Box::new(Conv2d::new(init, 1, channels, self.spec())?),
            Kind::Transposed => Box::new(ConvTranspose2d::new(init, 1, channels, self.spec())?),
            Kind::Pooling => {
                let spec = PoolSpec::new([self.kernel; 2])
                    .stride([self.stride; 2])
                    .padding([self.padding; 2])
                    .dilation([self.dilation; 2]);
                Box::new(MaxPool::new(init, spec))
            }
        })
    }

    /// The sizes of the case's layer on its input.
    pub fn summary(&self) -> Result<Summary> {
        // Sizes need no weights.
        let layer = self.layer(&Init::seed(1).on(&Device::meta()))?;
        Summary::new(&*layer, &[1, self.input, self.input])
    }
}
