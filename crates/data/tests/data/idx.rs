//! IDX: every type, raw and compressed, and everything that can be wrong with a file.

use std::fs;
use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use striate_data::{DataError, Idx, IdxValues, Result};

use crate::expect_error;

/// A file: the type's code, the dimensions, and the elements as they are.
pub fn encode(code: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|dimension| dimension.to_be_bytes()));
    bytes.extend(data);
    bytes
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes);
    written.and_then(|()| encoder.finish()).expect("memory takes all")
}

fn read(bytes: &[u8]) -> Result<Idx> {
    Idx::read(bytes, "the file")
}

#[test]
fn every_element_type_is_read_raw_and_compressed() {
    let cases = [
        (0x08, vec![1, 255], IdxValues::U8(vec![1, 255])),
        (0x09, vec![1, 255], IdxValues::I8(vec![1, -1])),
        (0x0b, vec![1, 2, 255, 254], IdxValues::I16(vec![258, -2])),
        (
            0x0c,
            [70_000i32.to_be_bytes(), (-3i32).to_be_bytes()].concat(),
            IdxValues::I32(vec![70_000, -3]),
        ),
        (
            0x0d,
            [1.5f32.to_be_bytes(), (-0.1f32).to_be_bytes()].concat(),
            IdxValues::F32(vec![1.5, -0.1]),
        ),
        (
            0x0e,
            [1e300f64.to_be_bytes(), (-0.1f64).to_be_bytes()].concat(),
            IdxValues::F64(vec![1e300, -0.1]),
        ),
    ];
    for (code, data, values) in cases {
        let shape = vec![1, 2, 1];
        let expected = Idx { shape, values };
        let bytes = encode(code, &[1, 2, 1], &data);
        assert_eq!(read(&bytes).unwrap(), expected);
        assert_eq!(read(&gzip(&bytes)).unwrap(), expected);
    }
}

#[test]
fn any_rank_is_read() {
    assert_eq!(read(&encode(8, &[], &[7])).unwrap().shape, []);
    assert_eq!(read(&encode(8, &[3, 0], &[])).unwrap().shape, [3, 0]);
    let six = read(&encode(8, &[1, 2, 1, 3, 1, 1], &[1; 6])).unwrap();
    assert_eq!(six.shape, [1, 2, 1, 3, 1, 1]);
}

/// As `cat a.gz b.gz` makes it, which gzip itself reads as one file.
#[test]
fn a_gzip_file_may_have_several_members() {
    let bytes = encode(8, &[5], &[1, 2, 3, 4, 5]);
    let joined = [gzip(&bytes[..9]), gzip(&bytes[9..])].concat();
    assert_eq!(read(&joined).unwrap(), read(&bytes).unwrap());
}

#[test]
fn what_is_not_idx_is_refused() {
    expect_error(read(b"PNG!"), &["the file", "00 00", "50, 4e, 47, 21"]);
    expect_error(read(&encode(0x0a, &[1], &[1])), &["the file", "not 0a"]);
    expect_error(read(&encode(0x0f, &[1], &[1])), &["the file", "not 0f"]);
}

#[test]
fn missing_and_surplus_bytes_are_refused() {
    let whole = encode(8, &[2, 3], &[1, 2, 3, 4, 5, 6]);
    let cut = |len| read(&whole[..len]);
    expect_error(cut(0), &["the file", "4 bytes of header", "found 0"]);
    expect_error(cut(3), &["the file", "4 bytes of header", "found 3"]);
    expect_error(cut(11), &["the file", "8 bytes of dimensions", "found 7"]);
    expect_error(cut(17), &["the file", "6 bytes of data", "found 5"]);
    let longer = [&whole[..], &[7]].concat();
    expect_error(read(&longer), &["the file", "6 bytes of data", "found more"]);
    expect_error(read(&gzip(&longer)), &["6 bytes of data", "found more"]);
    expect_error(read(&gzip(&whole[..17])), &["6 bytes of data", "found 5"]);
}

/// Memory for what these headers promise would end the process.
#[test]
fn a_lying_header_costs_nothing() {
    let exbibytes = encode(8, &[1 << 31, (1 << 31) - 1], &[1, 2, 3]);
    expect_error(read(&exbibytes), &["4611686016279904256 bytes", "found 3"]);
    expect_error(read(&gzip(&exbibytes)), &["found 3"]);

    let beyond = encode(0x0e, &[u32::MAX; 3], &[0; 64]);
    assert!(matches!(read(&beyond), Err(DataError::Overflow { .. })));
    expect_error(read(&[0, 0, 8, 255, 1]), &["1020 bytes of dimensions"]);
}

#[test]
fn damaged_compression_is_refused() {
    let packed = gzip(&encode(8, &[1000], &[9; 1000]));
    let io = |bytes: &[u8]| matches!(read(bytes), Err(DataError::Io { .. }));
    assert!((2..packed.len()).all(|len| io(&packed[..len])), "cut short");

    let mut checksum = packed.clone();
    let place = packed.len() - 6;
    checksum[place] ^= 1;
    assert!(io(&checksum), "a wrong checksum");
    assert!(io(&[&packed[..], b"surplus"].concat()), "surplus after it");
    expect_error(read(&packed[..20]), &["the file"]);
}

#[test]
fn a_file_is_named_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.gz");
    expect_error(Idx::open(&path), &["labels.gz"]);

    // The name says gzip, the content does not: the content counts.
    fs::write(&path, encode(8, &[2], &[3, 4])).unwrap();
    assert_eq!(Idx::open(&path).unwrap().values, IdxValues::U8(vec![3, 4]));
    fs::write(&path, encode(8, &[3], &[3, 4])).unwrap();
    expect_error(Idx::open(&path), &["labels.gz", "found 2"]);
}
