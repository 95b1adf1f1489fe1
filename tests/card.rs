//! Networks on a card: the same steps as on the processor, on the interpreter or, with `STRIATE_CUDA=real`, on a card.

#[path = "common/card.rs"]
mod card;

use card::card;
use striate::prelude::*;
use striate::tensor::ops::Normalization;
use striate::tensor::random::{Key, Purpose};
use striate::tensor::{ConvSpec, ErrorKind};

/// Images of a step. The random numbers are the same on every device.
const BATCH: usize = 4;

/// The losses of three steps of training, and the parameters after them.
fn three_steps(device: &Device, name: &str, rule: Sgd) -> Result<Vec<Vec<f32>>> {
    let entry = models::CATALOGUE.iter().find(|entry| entry.name == name).unwrap();
    let net = (entry.build)(&Init::seed(1))?;
    net.to_device(device)?;
    let mut optimizer = Optimizer::new(&*net, rule);
    let shape = [&[BATCH], entry.input].concat();
    let mut losses = Vec::new();
    for step in 0..3 {
        let key = Key::new(1, Purpose::Other(1)).step(step);
        let x = Tensor::uniform(shape.clone(), (-1.0, 1.0), &key, device)?;
        let labels = Tensor::from_vec(vec![0, 3, 9, 5], [BATCH], device)?;
        let loss = net.forward(&x, &Pass::train(1, step))?.cross_entropy(&labels)?;
        optimizer.step(&loss.backward()?)?;
        losses.push(loss.to_vec()?[0]);
    }
    let mut results = vec![losses];
    for parameter in net.parameters() {
        results.push(parameter.tensor().to_vec()?);
    }
    Ok(results)
}

/// Sums are taken in another order and exponentials are approximate: a step's parameters differ by a few units in the last
/// place of its gradients, and those of three steps by a little more.
const ALLOWED: f32 = 2e-4;

fn trains_as_on_the_processor(name: &str) -> Result<()> {
    let Some(card) = card(striate_cuda::device) else { return Ok(()) };
    let rule = || Sgd::new(0.05).momentum(0.9);
    let expected = three_steps(&Device::cpu(), name, rule())?;
    let found = three_steps(&card, name, rule())?;
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let largest = expected.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        for (found, expected) in found.iter().zip(expected) {
            let difference = (found - expected).abs();
            assert!(difference <= ALLOWED * largest, "{name}, result {i}: {found}, {expected}");
        }
    }
    Ok(())
}

#[test]
fn mnist_mlp() -> Result<()> {
    trains_as_on_the_processor("mnist-mlp")
}

#[test]
fn mnist_cnn() -> Result<()> {
    trains_as_on_the_processor("mnist-cnn")
}

#[test]
fn vgg4() -> Result<()> {
    trains_as_on_the_processor("vgg4")
}

#[test]
fn adam_steps_as_on_the_processor() -> Result<()> {
    let Some(card) = card(striate_cuda::device) else { return Ok(()) };
    let run = |device: &Device| {
        let layer: Linear = Linear::new(&Init::seed(1), 7, 5)?;
        Module::<f32>::to_device(&layer, device)?;
        let mut optimizer = Optimizer::new(&layer, Adam::new(1e-2));
        let key = Key::new(1, Purpose::Other(1));
        let x = Tensor::uniform([3, 7], (-1.0, 1.0), &key, device)?;
        for step in 0..3 {
            let y = layer.forward(&x, &Pass::train(1, step))?;
            optimizer.step(&(&y * &y)?.sum([0, 1], false)?.backward()?)?;
        }
        layer.own_parameters()[0].tensor().to_vec()
    };
    for (found, expected) in run(&card)?.iter().zip(run(&Device::cpu())?) {
        assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
    }
    Ok(())
}

/// In f64 a card holds numbers and moves them, and what it does not compute it names.
#[test]
fn what_a_card_lacks_it_names() -> Result<()> {
    let Some(card) = card(striate_cuda::device) else { return Ok(()) };
    let key = Key::new(1, Purpose::Other(1));
    let drawn = Tensor::<f64>::uniform([2, 3], (0.0, 1.0), &key, &Device::cpu())?;
    let x = Tensor::<f64>::uniform([2, 3], (0.0, 1.0), &key, &card)?;
    assert_eq!(x.to_vec()?, drawn.to_vec()?);
    assert_eq!(x.transpose(0, 1)?.to_vec()?, drawn.transpose(0, 1)?.to_vec()?);
    assert_eq!(x.cast::<f32>()?.to_vec()?, drawn.cast::<f32>()?.to_vec()?);

    let images = x.reshape([1, 1, 2, 3])?;
    let weight = Tensor::<f64>::ones([1, 1, 1, 1], &card)?;
    let (point, labels) = (ConvSpec::new([1, 1]), Tensor::from_vec(vec![0, 2], [2], &card)?);
    let calls: [(&str, Result<Tensor<f64>>); 11] = [
        ("unary", x.exp()),
        ("binary", &x + &x),
        ("reduce", x.sum([0], false)),
        ("matmul", x.matmul(&x.transpose(0, 1)?)),
        ("matmul_then", x.linear(&x, None)),
        ("conv", images.conv(&weight, None, &point)),
        ("conv_relu", images.conv_relu(&weight, None, &point)),
        ("conv_input_gradient", images.conv_transpose(&weight, None, &point)),
        ("log_softmax", x.log_softmax(1)),
        ("log_softmax", x.cross_entropy(&labels)),
        ("channel_moments", x.batch_norm(None, Normalization::Batch, 0.0).map(|(y, _)| y)),
    ];
    for (name, call) in calls {
        let error = call.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (
                ErrorKind::Device,
                format!(
                    "{name}: expected f32, which is what cuda computes in, got f64: cast to f32, or move to \
                     the cpu"
                )
            )
        );
    }
    Ok(())
}

#[test]
fn an_index_outside_its_axis_is_an_error_when_results_are_read() -> Result<()> {
    let Some(card) = card(striate_cuda::device) else { return Ok(()) };
    let x = Tensor::<f32>::ones([3, 2], &card)?;
    let index = Tensor::from_vec(vec![1, 3], [2], &card)?;
    let picked = x.index_select(0, &index)?;
    let error = picked.to_vec().unwrap_err();
    assert_eq!(error.to_string(), "index: expected indices below the axis's size");
    assert_eq!(x.to_vec()?, [1.0; 6]);
    Ok(())
}

#[test]
fn a_card_that_is_not_there_is_an_error() {
    if card(striate_cuda::device).is_none() {
        return;
    }
    let error = striate_cuda::device(99).unwrap_err().to_string();
    assert!(error.starts_with("cuda: expected a card with the number 99, found "), "{error}");
}

/// Every block of PTX in docs/kernels.md stands, line for line, in the kernel file that the text before it named last.
#[test]
fn the_document_on_kernels_quotes_them() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let document = read("docs/kernels.md");
    let mut parts = document.split("```ptx\n");
    let mut before = parts.next().unwrap();
    let (mut file, mut quotes) = (None, 0);
    for part in parts {
        let mut named = before.split('`').filter(|word| word.ends_with(".ptx"));
        file = named.next_back().map(|name| read(&format!("kernels/{name}"))).or(file);
        let (quote, after) = part.split_once("```").expect("a block ends");
        assert!(file.as_ref().is_some_and(|text| text.contains(quote)), "not there:\n{quote}");
        (before, quotes) = (after, quotes + 1);
    }
    assert!(quotes > 0);
}
