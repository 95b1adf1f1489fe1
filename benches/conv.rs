//! The three convolution kernels, each on its own: forward, input gradient, weight gradient.
//!
//! `cargo bench --bench conv` times them on layers of the documents' networks and on a layer of VGG16, through the
//! slices of `striate-conv`, and on the first card, whose operands are already there and whose time is until it has
//! computed. Without a card it says SKIP. Throughput is in multiply-accumulates.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use striate::conv::{Buffer, ConvShape, ConvSpec, conv};
use striate::tensor::backend::Storage;
use striate::tensor::{Device, Float, Result};

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

/// The same three on a card.
fn bench_card(
    card: &Device,
    group: &mut BenchmarkGroup<WallTime>,
    (name, shape): (&str, &ConvShape),
) -> Result<()> {
    let kernels = <f32 as Float>::kernels(card.backend());
    let upload = |len| kernels.upload(Buffer::from_slice(&numbers(len)));
    let x = upload(shape.input_len())?;
    let w = upload(shape.weight_len())?;
    let g = upload(shape.output_len())?;
    let mut time = |kernel: &str, compute: &dyn Fn() -> Result<Storage<f32>>| {
        group.bench_function(BenchmarkId::new(format!("{kernel}, {}", card.name()), name), |b| {
            b.iter(|| compute().and_then(|_| card.synchronize()).expect("the card computes"));
        });
    };
    time("forward", &|| kernels.conv(shape, &x, &w, None));
    time("input gradient", &|| kernels.conv_input_gradient(shape, &g, &w));
    time("weight gradient", &|| kernels.conv_weight_gradient(shape, &x, &g));
    Ok(())
}

fn bench(criterion: &mut Criterion) {
    let card = striate_cuda::device(0);
    if let Err(error) = &card {
        println!("SKIP: no card's column: {error}");
    }
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
        if let Ok(card) = &card {
            bench_card(card, &mut group, (name, &shape)).expect("the card holds the layer");
        }
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
