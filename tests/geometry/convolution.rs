//! One axis in full.

use striate::tensor::gradcheck::gradcheck;
use striate::tensor::{ConvSpec, Result, Tensor};

use crate::common::{hash, hash_tensor};
use crate::naive::{self, Array};
use crate::{assert_close, inner};

/// Which of the two convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Direct,
    Transposed,
}

/// A convolution with the sizes of its operands.
#[derive(Clone, Debug)]
pub struct Problem<const N: usize> {
    pub form: Form,
    pub spec: ConvSpec<N>,
    pub batch: usize,
    /// Channels of the input and of the output in one group.
    pub channels: [usize; 2],
    pub size: [usize; N],
}

impl<const N: usize> Problem<N> {
    /// Input, weight and bias.
    pub fn operands(&self) -> [Tensor<f64>; 3] {
        let groups = self.spec.groups;
        let [inputs, outputs] = self.channels;
        let leading = match self.form {
            Form::Direct => [outputs * groups, inputs],
            Form::Transposed => [inputs * groups, outputs],
        };
        [
            hash_tensor("input", [&[self.batch, inputs * groups], &self.size[..]].concat()),
            hash_tensor("weight", [&leading, &self.spec.kernel[..]].concat()),
            hash_tensor("bias", [outputs * groups]),
        ]
    }

    pub fn run(&self, [x, w, b]: [&Tensor<f64>; 3]) -> Result<Tensor<f64>> {
        match self.form {
            Form::Direct => x.conv(w, Some(b), &self.spec),
            Form::Transposed => x.conv_transpose(w, Some(b), &self.spec),
        }
    }

    /// The result by definition, without the bias.
    pub fn expected(&self) -> Option<Array> {
        let [x, w, _] = self.operands();
        let by_definition = match self.form {
            Form::Direct => naive::conv,
            Form::Transposed => naive::conv_transpose,
        };
        by_definition(&Array::of(&x), &Array::of(&w), &self.spec.lift())
    }
}

/// What stands between a tracked leaf and the operand that the convolution sees.
pub type Prepare = fn(&Tensor<f64>) -> Result<Tensor<f64>>;

/// Holds a problem to its definition and to the adjoint identities. `prepare` is its own inverse.
pub fn check<const N: usize>(problem: &Problem<N>, prepare: Prepare) {
    let what = format!("{problem:?}");
    let leaves = problem.operands().map(|operand| prepare(&operand).unwrap().tracked());
    let [x, w, b] = leaves.each_ref().map(|leaf| prepare(leaf).unwrap());
    let y = problem.run([&x, &w, &b]);
    let Some(expected) = problem.expected() else {
        assert!(y.is_err(), "{what}: should be refused");
        return;
    };
    let y = y.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(Array::of(&y).shape, expected.shape, "{what}");
    let biases = b.to_vec().unwrap();
    let positions = y.len() / (problem.batch * biases.len());
    let channel = |i: usize| i / positions % biases.len();
    let unbiased: Vec<f64> =
        y.to_vec().unwrap().iter().enumerate().map(|(i, y)| y - biases[channel(i)]).collect();
    assert_close(&unbiased, &expected.data, &what);

    let g = hash_tensor::<f64>("gradient", y.shape());
    let gradients = y.backward_with(&g).unwrap();
    let [dx, dw, db] = leaves.each_ref().map(|leaf| gradients.get(leaf).unwrap());
    let weighted = expected.data.iter().zip(g.to_vec().unwrap()).map(|(y, g)| y * g).sum::<f64>();
    assert_close(&[inner(&leaves[0], dx), inner(&leaves[1], dw)], &[weighted; 2], &what);
    let mut sums = vec![0.0; biases.len()];
    g.to_vec().unwrap().iter().enumerate().for_each(|(i, g)| sums[channel(i)] += g);
    assert_close(&db.to_vec().unwrap(), &sums, &what);
}

/// Channels of a group, a different pair from one geometry to the next; one of each is a depthwise convolution.
const CHANNELS: [[usize; 2]; 4] = [[1, 1], [2, 1], [1, 2], [2, 3]];

/// All problems over one axis with `output_padding` below `limit`.
fn small(form: Form, limit: usize) -> impl Iterator<Item = Problem<1>> {
    let axes = [7, 4, 3, 3, 3, 3, 2, limit];
    (0..axes.iter().product()).map(move |number: usize| {
        let mut rest = number;
        let [size, kernel, stride, before, after, dilation, groups, added] = axes.map(|count| {
            let digit = rest % count;
            rest /= count;
            digit
        });
        let spec = ConvSpec::new([kernel + 1])
            .stride([stride + 1])
            .padding_sides([[before, after]])
            .dilation([dilation + 1])
            .groups(groups + 1)
            .output_padding([added]);
        let channels = CHANNELS[hash("channels", number) as usize % CHANNELS.len()];
        Problem { form, spec, batch: 1 + number % 2, channels, size: [size + 1] }
    })
}

fn check_form(form: Form, limit: usize) {
    let (mut accepted, mut refused) = (0, 0);
    for (number, problem) in small(form, limit).enumerate() {
        check(&problem, |operand| Ok(operand.clone()));
        let exists = problem.expected().is_some();
        if exists {
            accepted += 1
        } else {
            refused += 1
        }
        if exists && hash("differences", number).is_multiple_of(32) {
            gradcheck(&problem.operands(), |operands| {
                problem.run([&operands[0], &operands[1], &operands[2]])
            })
            .unwrap_or_else(|failure| panic!("{problem:?}: {failure}"));
        }
    }
    assert!(accepted > 3000 && refused > 300, "{accepted} accepted, {refused} refused");
}

#[test]
fn every_small_convolution() {
    check_form(Form::Direct, 1);
}

#[test]
fn every_small_transposed_convolution() {
    check_form(Form::Transposed, 3);
}
