//! `striate show sliding`: the cases of convolution arithmetic as windows that move.

use std::path::{Path, PathBuf};

use striate::models::arithmetic::{CASES, Case, Kind};
use striate::nn::atomic_write;

use super::super::print;
use crate::draw::sliding::{Sliding, sliding_svg};
use crate::{Failure, named};

/// A window sliding over its input, as an animation; without a case, all of document 3's
#[derive(clap::Args)]
pub struct Arguments {
    /// The number of a case, as `striate arithmetic` lists them, from 1
    #[arg(value_parser = clap::value_parser!(u64).range(1..=CASES.len() as u64))]
    case: Option<u64>,
    /// Draw one position only, counted from 0, instead of an animation
    #[arg(long, value_name = "POSITION")]
    still: Option<usize>,
    /// The folder to write to
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

impl Arguments {
    pub fn draw(&self) -> Result<(), Failure> {
        let cases = match self.case {
            Some(number) => number as usize - 1..number as usize,
            None => 0..CASES.len(),
        };
        std::fs::create_dir_all(&self.out).map_err(named(&self.out))?;
        cases.into_iter().try_for_each(|case| sliding(case, self.still, &self.out))
    }
}

/// Draws case `index`, with the output size that its geometry gives.
fn sliding(index: usize, still: Option<usize>, folder: &Path) -> Result<(), Failure> {
    let case: &Case = &CASES[index];
    let output = case.summary()?.rows[0].output[1];
    let scene = Sliding {
        title: format!("{}: output {output} = {}", case.name, case.formula),
        input: case.input,
        kernel: case.kernel,
        stride: case.stride,
        padding: case.padding,
        dilation: case.dilation,
        transposed: case.kind == Kind::Transposed,
        output,
    };
    let out = folder.join(format!("sliding-{}.svg", index + 1));
    atomic_write(&out, sliding_svg(&scene, still)?.as_bytes())?;
    print(format_args!("{}: {}", out.display(), case.name))
}
