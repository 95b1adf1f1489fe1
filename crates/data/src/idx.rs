//! IDX, the format of MNIST: a shape, then the elements.
//!
//! ```text
//! offset  bytes      content
//! 0       2          zero
//! 2       1          element type: 08 u8, 09 i8, 0b i16, 0c i32, 0d f32, 0e f64
//! 3       1          rank r
//! 4       4 r        dimensions, unsigned 32 bit
//! 4+4r    ...        elements, the last dimension fastest
//! ```
//!
//! All numbers are big-endian. Whether a file is compressed is seen from its first bytes (gzip: 1f
//! 8b), not from its name. A header is only believed as far as the file bears it out: at most one
//! byte more than it announces is read, and memory grows with what arrives.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use byteorder::{BigEndian, ByteOrder};
use flate2::bufread::MultiGzDecoder;

use crate::{DataError, Result};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An array as an IDX file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Idx {
    /// The dimensions; `[60000, 28, 28]` for MNIST's training images.
    pub shape: Vec<usize>,
    /// The elements, row-major; as many as the product of the dimensions.
    pub values: IdxValues,
}

/// The elements of an IDX file, by their type.
#[derive(Clone, Debug, PartialEq)]
pub enum IdxValues {
    /// Unsigned bytes: images and labels.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// 16-bit signed integers.
    I16(Vec<i16>),
    /// 32-bit signed integers.
    I32(Vec<i32>),
    /// 32-bit floating point.
    F32(Vec<f32>),
    /// 64-bit floating point.
    F64(Vec<f64>),
}

impl Idx {
    /// Reads the file at `path`, gzip or raw.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, its gzip stream is damaged, it is not IDX, or it holds fewer or
    /// more elements than its header says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display().to_string();
        let file = File::open(path).map_err(DataError::io(&name))?;
        Self::read(BufReader::new(file), &name)
    }

    /// Reads IDX, gzip or raw, to the end of `source`; errors call it `name`.
    ///
    /// ```
    /// use striate_data::idx::{Idx, IdxValues};
    ///
    /// let bytes = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9];
    /// let idx = Idx::read(&bytes[..], "labels")?;
    /// assert_eq!(idx.shape, [3]);
    /// assert_eq!(idx.values, IdxValues::U8(vec![7, 8, 9]));
    /// # Ok::<(), striate_data::DataError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Idx::open`].
    pub fn read(mut source: impl BufRead, name: &str) -> Result<Self> {
        let start = source.fill_buf().map_err(DataError::io(name))?;
        if start.starts_with(&GZIP) {
            parse(&mut MultiGzDecoder::new(source), name)
        } else {
            parse(&mut source, name)
        }
    }

    /// Shape and elements, if these are unsigned bytes and the rank is `rank`.
    pub(crate) fn into_bytes(self, rank: usize, name: &str) -> Result<(Vec<usize>, Vec<u8>)> {
        match self.values {
            IdxValues::U8(bytes) if self.shape.len() == rank => Ok((self.shape, bytes)),
            values => Err(DataError::content(
                name,
                format!("u8 elements of rank {rank}"),
                format!("{} elements of shape {:?}", values.type_name(), self.shape),
            )),
        }
    }
}

impl IdxValues {
    fn type_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
            Self::I16(_) => "i16",
            Self::I32(_) => "i32",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
        }
    }
}

/// How the elements of one type are read.
struct Element {
    size: usize,
    decode: fn(Vec<u8>) -> IdxValues,
}

impl Element {
    /// The element type that `code` stands for.
    fn of(code: u8) -> Option<Self> {
        let (size, decode): (usize, fn(Vec<u8>) -> IdxValues) = match code {
            0x08 => (1, IdxValues::U8),
            0x09 => (1, |b| IdxValues::I8(b.into_iter().map(|x| x as i8).collect())),
            0x0b => (2, |b| IdxValues::I16(convert(&b, BigEndian::read_i16_into))),
            0x0c => (4, |b| IdxValues::I32(convert(&b, BigEndian::read_i32_into))),
            0x0d => (4, |b| IdxValues::F32(convert(&b, BigEndian::read_f32_into))),
            0x0e => (8, |b| IdxValues::F64(convert(&b, BigEndian::read_f64_into))),
            _ => return None,
        };
        Some(Self { size, decode })
    }
}

fn convert<T: Copy + Default>(bytes: &[u8], read_into: fn(&[u8], &mut [T])) -> Vec<T> {
    let mut values = vec![T::default(); bytes.len() / size_of::<T>()];
    read_into(bytes, &mut values);
    values
}

fn parse(source: &mut dyn Read, name: &str) -> Result<Idx> {
    let header = read_part(source, name, "header", 4)?;
    let [zero, also_zero, code, rank] = [header[0], header[1], header[2], header[3]];
    if [zero, also_zero] != [0, 0] {
        return Err(DataError::Magic {
            file: name.to_owned(),
            found: [zero, also_zero, code, rank],
        });
    }
    let element =
        Element::of(code).ok_or_else(|| DataError::ElementType { file: name.to_owned(), code })?;
    let dimensions = read_part(source, name, "dimensions", 4 * usize::from(rank))?;
    let shape: Vec<usize> = convert(&dimensions, BigEndian::read_u32_into)
        .into_iter()
        .map(|dimension| dimension as usize)
        .collect();

    let bytes = shape
        .iter()
        .try_fold(element.size, |bytes, &dimension| bytes.checked_mul(dimension))
        .ok_or_else(|| DataError::Overflow { file: name.to_owned(), shape: shape.clone() })?;
    let data = read_part(source, name, "data", bytes)?;
    expect_end(source, name, bytes)?;
    let values = (element.decode)(data);
    Ok(Idx { shape, values })
}

/// Reads exactly `expected` bytes; the vector grows as they arrive.
fn read_part(
    source: &mut dyn Read,
    name: &str,
    part: &'static str,
    expected: usize,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(expected as u64).read_to_end(&mut bytes).map_err(DataError::io(name))?;
    if bytes.len() == expected {
        return Ok(bytes);
    }
    Err(DataError::Length {
        file: name.to_owned(),
        part,
        expected: expected as u64,
        found: bytes.len().to_string(),
    })
}

/// Refuses surplus bytes. Reaching the end also makes the gzip decoder compare its checksum.
fn expect_end(source: &mut dyn Read, name: &str, expected: usize) -> Result<()> {
    let surplus = source.take(1).read_to_end(&mut Vec::new());
    if surplus.map_err(DataError::io(name))? == 0 {
        return Ok(());
    }
    Err(DataError::Length {
        file: name.to_owned(),
        part: "data",
        expected: expected as u64,
        found: "more".to_owned(),
    })
}
