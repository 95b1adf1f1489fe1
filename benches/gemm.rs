//! Matrix products of square and of convolution-like shapes: ours on all threads and on one, and matrixmultiply's.
//!
//! `cargo bench --bench gemm`. Throughput is in multiply-accumulates.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use striate::conv::gemm::{Matrix, Update, gemm, reference};

/// `[m, k, n]`: squares, and output channels x taps x outputs of layers of the documents' networks.
const SHAPES: [[usize; 3]; 6] = [
    [512, 512, 512],
    [1024, 1024, 1024],
    [64, 576, 50176],
    [512, 4608, 784],
    [32, 400, 19600],
    [16, 25, 78400],
];

fn bench(criterion: &mut Criterion) {
    for [m, k, n] in SHAPES {
        let numbers = |len: usize| (0..len).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        let (a, b): (Vec<f32>, Vec<f32>) = (numbers(m * k), numbers(k * n));
        let (a, b) = (Matrix::row_major(&a, [m, k]), Matrix::row_major(&b, [k, n]));
        let mut c = vec![0.0; m * n];
        let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
        let name = format!("{m}x{k}x{n}");
        let mut group = criterion.benchmark_group("gemm");
        group.throughput(Throughput::Elements((m * k * n) as u64)).sample_size(10);
        group.bench_function(BenchmarkId::new("striate", &name), |bencher| {
            bencher.iter(|| gemm(black_box(a), b, Update::Overwrite, &mut c));
        });
        group.bench_function(BenchmarkId::new("striate, one thread", &name), |bencher| {
            single.install(|| bencher.iter(|| gemm(black_box(a), b, Update::Overwrite, &mut c)));
        });
        group.bench_function(BenchmarkId::new("matrixmultiply, one thread", &name), |bencher| {
            bencher.iter(|| reference(black_box(a), b, Update::Overwrite, &mut c));
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
