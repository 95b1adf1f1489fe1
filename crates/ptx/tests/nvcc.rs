//! Programs that NVIDIA's compiler made from `nvcc/programs.cu` (`nvcc -ptx -arch=compute_75`, CUDA
//! 13.5): an author who does not share our misreadings of the manual. Each must give what the CUDA
//! source says.

use striate_ptx::{Arg, Memory, Module, Scalar, Stats, Transfer};

/// A device with the programs loaded.
struct Device {
    module: Module,
    memory: Memory,
}

impl Device {
    fn new() -> Self {
        let module = Module::parse("programs.ptx", include_str!("nvcc/programs.ptx")).unwrap();
        Self { module, memory: Memory::new() }
    }

    fn upload<T: Scalar>(&mut self, values: &[T]) -> u64 {
        self.memory.upload(values).unwrap()
    }

    fn launch(&mut self, kernel: &str, [grid, block]: [[u32; 2]; 2], args: &[Arg]) -> Stats {
        let [grid, block] = [grid, block].map(|[x, y]| [x, y, 1]);
        let done = self.module.launch(&mut self.memory, kernel, grid, block, 0, args);
        done.unwrap_or_else(|error| panic!("{error}"))
    }

    fn download<T: Scalar>(&mut self, at: u64, count: usize) -> Vec<T> {
        self.memory.download(at, count).unwrap()
    }
}

/// Small whole numbers, whose sums are exact in any order.
fn whole(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * i * 7 + i * 3) % 23) as f32 - 11.0).collect()
}

#[test]
fn saxpy() {
    let mut device = Device::new();
    let (x, y) = (whole(1000), whole(1001)[1..].to_vec());
    let (at_x, at_y) = (device.upload(&x), device.upload(&y));
    let args = [1000_i32.into(), 2.5_f32.into(), at_x.into(), at_y.into()];
    device.launch("saxpy", [[3, 1], [96, 1]], &args);
    let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| 2.5 * x + y).collect();
    assert_eq!(device.download::<f32>(at_y, 1000), expected);
}

#[test]
fn sums_of_blocks() {
    let mut device = Device::new();
    let x = whole(1000);
    let (at_x, out) = (device.upload(&x), device.upload(&[f32::NAN; 4]));
    device.launch("sum", [[4, 1], [128, 1]], &[1000_i32.into(), at_x.into(), out.into()]);
    let part =
        |b: usize| x.iter().enumerate().filter(|(i, _)| i / 128 % 4 == b).map(|(_, x)| x).sum();
    let expected: Vec<f32> = (0..4).map(part).collect();
    assert_eq!(device.download::<f32>(out, 4), expected);
}

#[test]
fn histogram() {
    let mut device = Device::new();
    let x: Vec<u8> = (0..3000_u32).map(|i| (i * i / 7) as u8).collect();
    let (at_x, counts) = (device.upload(&x), device.upload(&[0_u32; 256]));
    device.launch("histogram", [[5, 1], [96, 1]], &[3000_i32.into(), at_x.into(), counts.into()]);
    let mut expected = [0_u32; 256];
    x.iter().for_each(|byte| expected[usize::from(*byte)] += 1);
    assert_eq!(device.download::<u32>(counts, 256), expected);
}

#[test]
fn transposition() {
    let mut device = Device::new();
    let (width, height) = (70, 45);
    let from: Vec<f32> = (0..width * height).map(|i| i as f32).collect();
    let (at, to) = (device.upload(&from), device.upload(&vec![0.0_f32; from.len()]));
    let args = [(width as i32).into(), (height as i32).into(), at.into(), to.into()];
    let stats = device.launch("transpose", [[3, 2], [32, 8]], &args);
    let expected: Vec<f32> =
        (0..from.len()).map(|i| from[i % height * width + i / height]).collect();
    assert_eq!(device.download::<f32>(to, from.len()), expected);
    // The padded tile has no bank conflicts.
    for transfer in [Transfer::SharedLoad, Transfer::SharedStore] {
        let traffic = stats.traffic_in(transfer, 0..=9999).unwrap();
        assert_eq!(traffic.pieces, traffic.requests);
    }
}

#[test]
fn blur_with_constant_weights() {
    let mut device = Device::new();
    let (width, height) = (37_usize, 21_usize);
    let from = whole(width * height);
    let (at, to) = (device.upload(&from), device.upload(&vec![0.0_f32; from.len()]));
    let args = [(width as i32).into(), (height as i32).into(), at.into(), to.into()];
    device.launch("blur", [[3, 3], [16, 8]], &args);
    let weights = [1.0, 2.0, 1.0];
    let mut expected = vec![0.0_f32; from.len()];
    for (i, value) in expected.iter_mut().enumerate() {
        let (x, y) = (i % width, i / width);
        for (dy, wy) in weights.iter().enumerate() {
            for (dx, wx) in weights.iter().enumerate() {
                let (x, y) = ((x + dx).wrapping_sub(1), (y + dy).wrapping_sub(1));
                if x < width && y < height {
                    *value += wx * wy * from[y * width + x] / 16.0;
                }
            }
        }
    }
    assert_eq!(device.download::<f32>(to, from.len()), expected);
}

#[test]
fn softmax() {
    let mut device = Device::new();
    let (rows, columns) = (3, 77);
    let from: Vec<f32> = whole(rows * columns).iter().map(|x| x * 0.7).collect();
    let (at, to) = (device.upload(&from), device.upload(&vec![0.0_f32; from.len()]));
    let args = [(columns as i32).into(), at.into(), to.into()];
    device.launch("softmax", [[rows as u32, 1], [32, 1]], &args);
    let got = device.download::<f32>(to, from.len());
    for (row, got) in from.chunks(columns).zip(got.chunks(columns)) {
        let total: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
        for (x, got) in row.iter().zip(got) {
            let expected = f64::from(*x).exp() / total;
            assert!((f64::from(*got) / expected - 1.0).abs() < 1e-6, "{got} for {expected}");
        }
    }
}

/// The kernel `integers`, line by line.
fn integers(a: i32, b: i32) -> i64 {
    let (wide_a, wide_b) = (i64::from(a), i64::from(b));
    let mut r = wide_a.wrapping_mul(wide_b);
    r ^= i64::from(a.wrapping_div(if b == 0 { 1 } else { b })) << 7;
    r = r.wrapping_add(i64::from(a as u32 % 10));
    let first_set = if a == 0 { 0 } else { a.trailing_zeros() + 1 };
    r = r.wrapping_sub(i64::from(a.count_ones() + b.leading_zeros() + first_set));
    r ^= i64::from((b as u32).reverse_bits()) << 20;
    r = r.wrapping_add(i64::from(i32::from(a as i16) * i32::from(b as i8)));
    // The difference is unsigned, as the maximum is.
    r = r.wrapping_add(i64::from((a.min(b) as u32).wrapping_sub((a as u32).max(7))));
    r ^= (r >> 13) ^ (r as u64 >> 40) as i64;
    let high = i64::from(((wide_a * wide_b) >> 32) as i32);
    let unsigned = (u64::from(a as u32) * u64::from(b as u32)) >> 32;
    r = r.wrapping_add(high.wrapping_add(unsigned as i64));
    r.wrapping_add(r % 1_000_003)
}

#[test]
fn whole_numbers_of_every_width() {
    let mut device = Device::new();
    let edges = [0, 1, -1, i32::MAX, i32::MIN, 255, -256, 0x1234_5678, -77, 10];
    let pairs: Vec<(i32, i32)> = edges
        .iter()
        .flat_map(|a| edges.iter().map(|b| (*a, *b)))
        // C++ leaves this division undefined.
        .filter(|pair| *pair != (i32::MIN, -1))
        .collect();
    let x: Vec<i32> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    let (at, out) = (device.upload(&x), device.upload(&vec![0_i64; pairs.len()]));
    device.launch("integers", [[1, 1], [pairs.len() as u32, 1]], &[at.into(), out.into()]);
    for ((a, b), got) in pairs.iter().zip(device.download::<i64>(out, pairs.len())) {
        assert_eq!(got, integers(*a, *b), "{a} and {b}");
    }
}
