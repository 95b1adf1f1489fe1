//! `receipt.csv`: which bits the network had after every epoch, and what computed them.
//!
//! Training is deterministic, so whoever has the data and the configuration comes to the same bits, and a digest of them
//! is enough to say so. One thing besides the configuration decides over bits: kernels for other vectors add in another
//! order, so the receipt names them.
//!
//! The digest is SHA-256 over the state dict, its entries in the byte order of their names. Each entry is the name's
//! length and the name, the number of its dimensions and each of them, then the values row by row. Numbers are little-endian,
//! lengths and dimensions as u64, values as f32.

use std::path::Path;

use sha2::{Digest, Sha256};
use striate::nn::{State, atomic_write};
use striate::prelude::*;

use super::read_rows;
use crate::Failure;
use crate::commands::data::digest::hexadecimal;

const HEADER: &str = "epoch,kernels,sha256";

/// One line of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The epoch that has ended; 0 is before the first.
    pub epoch: u64,
    /// What computed: see [`kernels`].
    pub kernels: String,
    /// The digest of the network's state, 64 hexadecimal digits.
    pub sha256: String,
}

impl Line {
    /// The line of `net` as it is after `epoch` on `device`.
    pub fn new(epoch: u64, net: &dyn Module, device: &Device) -> Result<Self, Failure> {
        let sha256 = digest(&striate::nn::state(net))?;
        Ok(Line { epoch, kernels: kernels(device), sha256 })
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(',');
        let epoch = fields.next()?.parse().ok()?;
        let kernels = fields.next().filter(|kernels| !kernels.is_empty())?.to_owned();
        let hexadecimal = |text: &&str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sha256 = fields.next().filter(|text| text.len() == 64).filter(hexadecimal)?;
        fields.next().is_none().then(|| Line { epoch, kernels, sha256: sha256.to_lowercase() })
    }
}

/// What a receipt calls the kernels of a device: the vector instructions of a processor, or the card.
pub fn kernels(device: &Device) -> String {
    match device.name().as_str() {
        "cpu" => striate::conv::simd::level_name().to_owned(),
        card => card.to_owned(),
    }
}

/// The digest of a state, in hexadecimal digits.
pub fn digest(state: &State) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    let length = |hash: &mut Sha256, length: usize| hash.update((length as u64).to_le_bytes());
    for (name, tensor) in state {
        length(&mut hash, name.len());
        hash.update(name);
        length(&mut hash, tensor.rank());
        tensor.shape().iter().for_each(|&size| length(&mut hash, size));
        let values = tensor.to_vec()?;
        hash.update(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }
    Ok(hexadecimal(hash))
}

/// Writes the receipt.
pub fn write(path: &Path, lines: &[Line]) -> Result<(), Failure> {
    let row = |line: &Line| format!("{},{},{}\n", line.epoch, line.kernels, line.sha256);
    let rows: String = lines.iter().map(row).collect();
    Ok(atomic_write(path, format!("{HEADER}\n{rows}").as_bytes())?)
}

/// Reads a receipt. Fails, naming the line, if it is none.
pub fn read(path: &Path) -> Result<Vec<Line>, Failure> {
    read_rows(path, [HEADER, "an epoch, kernels and 64 hexadecimal digits"], Line::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes written out by hand.
    #[test]
    fn the_digest_is_of_the_documented_bytes() {
        let tensor = |values: Vec<f32>, shape: &[usize]| {
            Tensor::from_vec(values, shape, &Device::cpu()).unwrap()
        };
        let state: State = [
            ("b".to_owned(), tensor(vec![1.0, -2.0], &[1, 2])),
            ("a.x".to_owned(), tensor(vec![0.5], &[])),
        ]
        .into();
        let mut bytes = Vec::new();
        bytes.extend([3, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(b"a.x");
        bytes.extend([0; 8]);
        bytes.extend([0, 0, 0, 0x3f]);
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(b"b");
        bytes.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        let mut expected = Sha256::new();
        expected.update(&bytes);
        assert_eq!(digest(&state).unwrap(), hexadecimal(expected));
    }
}
