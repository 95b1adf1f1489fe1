//! The three convolution kernels, each on its own: forward, input gradient, weight gradient.
//!
//! `cargo bench --bench conv` times them on layers of the documents' networks and on a layer of VGG16, through the
//! slices of `striate-conv`. Throughput is in multiply-accumulates.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use striate::conv::{ConvShape, ConvSpec, conv};

/// Name, geometry, input `[batch, channels, height, width]`, output channels.
type Layer = (&'static str, ConvSpec<2>, [usize; 4], usize);

fn layers() -> [Layer; 5] {
    let square = |kernel, padding| ConvSpec::new([kernel; 2]).padding([padding; 2]);
    [
        ("1-16 k5 28 b100", square(5, 2), [100, 1, 28, 28], 16),
        ("16-32 k5 14 b100", square(5, 2), [100, 16, 14, 14], 32),
        ("24-32 k3 d4 30 b64", square(3, 1).dilation([4; 2]), [64, 24, 30, 30], 32),
        ("64-64 k3 56 b4", square(3, 1), [4, 64, 56, 56], 64),
        ("64-128 k3 s2 56 b4", square(3, 1).stride([2; 2]), [4, 64, 56, 56], 128),
    ]
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect()
}

fn bench(criterion: &mut Criterion) {
    for (name, spec, input, channels) in layers() {
        let weight = [channels, input[1], spec.kernel[0], spec.kernel[1]];
        let shape =
            ConvShape::conv(&spec, &input, &weight).expect("the geometries above are valid");
        let (x, w) = (numbers(shape.input_len()), numbers(shape.weight_len()));
        let g = numbers(shape.output_len());
        let (mut y, mut dx, mut dw) = (g.clone(), x.clone(), w.clone());
        let mut group = criterion.benchmark_group("conv");
        group.throughput(Throughput::Elements(shape.macs())).sample_size(10);
        group.bench_function(BenchmarkId::new("forward", name), |bencher| {
            bencher.iter(|| conv::forward(&shape, black_box(&x), &w, None, &mut y));
        });
        group.bench_function(BenchmarkId::new("input gradient", name), |bencher| {
            bencher.iter(|| conv::input_gradient(&shape, black_box(&g), &w, &mut dx));
        });
        group.bench_function(BenchmarkId::new("weight gradient", name), |bencher| {
            bencher.iter(|| conv::weight_gradient(&shape, black_box(&x), &g, &mut dw));
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
