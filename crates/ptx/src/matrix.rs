//! `mma.sync` on tf32: a warp multiplies two small matrices, whose elements lie in its lanes.
//!
//! A is 16 x K and B is K x 8, with K of 4 or 8; C and D are 16 x 8 in single precision. With
//! `g = lane / 4` and `t = lane % 4`, as the PTX manual draws it:
//!
//! | | registers of a lane |
//! |---|---|
//! | A | (g, t), (g + 8, t), and for K = 8 (g, t + 4), (g + 8, t + 4) |
//! | B | (t, g), and for K = 8 (t + 4, g) |
//! | C, D | (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1) |
//!
//! `ldmatrix` brings such registers from shared memory, four values of a row at a time: it moves matrices of eight rows of 16
//! bytes, of which lane `i` names row `i % 8` of matrix `i / 8`, and lane `4 g + t` receives word `t` of row `g` of each.
//!
//! Of A and B a card reads the sign, the exponent and ten bits of the fraction, and cuts off the
//! rest. In what order and how precisely it adds is not specified; here the sum is made in double
//! precision and rounded once.

use crate::instruction::{LANES, Lanes, Reg};

/// The operands of a product of matrices.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub d: Vec<Reg>,
    pub a: Vec<Reg>,
    pub b: Vec<Reg>,
    pub c: Vec<Reg>,
}

/// The operands of `ldmatrix`: a register for each matrix, and where its rows lie.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub to: Vec<Reg>,
    pub from: (Reg, i64),
}

impl Rows {
    /// The lanes that name rows.
    pub fn naming(&self) -> u32 {
        u32::MAX >> (LANES - 8 * self.to.len())
    }
}

/// A register's value as a tensor core reads it.
fn tf32(bits: u64) -> f64 {
    f32::from_bits(bits as u32 & 0xffff_e000).into()
}

/// `cvt.rna.tf32`: the nearest value with ten bits of fraction, ties away from zero.
pub(crate) fn round_tf32([bits, _, _]: [&Lanes; 3]) -> Lanes {
    bits.map(|bits| match f32::from_bits(bits as u32) {
        x if x.is_nan() => 0x7fff_ffff,
        x if x.is_infinite() => bits,
        _ => (bits + 0x1000) & 0xffff_e000,
    })
}

impl Product {
    /// The registers of D.
    pub fn compute(&self, regs: &[Lanes]) -> Vec<Lanes> {
        let at = |list: &[Reg], i: usize, lane: usize| regs[list[i] as usize][lane];
        let depth = 4 * self.b.len();
        let a = |row: usize, k: usize| tf32(at(&self.a, row / 8 + k / 4 * 2, row % 8 * 4 + k % 4));
        let b = |k: usize, column: usize| tf32(at(&self.b, k / 4, column * 4 + k % 4));
        let mut d = vec![[0; LANES]; self.d.len()];
        for (i, d) in d.iter_mut().enumerate() {
            for (lane, d) in d.iter_mut().enumerate() {
                let (row, column) = (lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2);
                let c = f64::from(f32::from_bits(at(&self.c, i, lane) as u32));
                let sum = (0..depth).map(|k| a(row, k) * b(k, column)).sum::<f64>() + c;
                let sum = sum as f32;
                *d = if sum.is_nan() { 0x7fff_ffff } else { sum.to_bits().into() };
            }
        }
        d
    }
}
