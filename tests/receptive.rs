//! Receptive fields against the networks themselves: by the support of the gradient of one output cell, and, with
//! the documents' networks as they stand, by lighting single columns of the input.
//!
//! Weights are positive and biases zero, so that no two paths cancel and a ReLU changes nothing.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use striate::models::CATALOGUE;
use striate::nn::layers::*;
use striate::nn::{Field, Init, LayerField, Module, Pass, ReceptiveField, Window};
use striate::tensor::{ConvSpec, Device, PoolSpec, Result, Tensor};

/// A cell whose field lies within the input, and an input that is large enough for it and for its neighbours.
fn inner(field: &Field) -> (usize, usize) {
    let cell = (-field.first).max(0) as usize / field.jump + 1;
    let first = (field.first + (cell * field.jump) as i64) as usize;
    (cell, first + 2 * field.size() + field.jump)
}

/// Which pixels of an axis of `length` a cell sees.
fn seen(field: &Field, cell: usize, length: usize) -> Vec<bool> {
    let first = field.first + (cell * field.jump) as i64;
    let pixel = |at: usize| field.seen.get(usize::try_from(at as i64 - first).ok()?).copied();
    (0..length).map(|at| pixel(at).unwrap_or_default()).collect()
}

/// The rows and columns in which the gradient of one cell of the last map is not zero anywhere are those of its field;
/// behind layers in a row, so are the pixels.
fn gradient_has_the_fields_support(net: &dyn Module<f64>) -> Result<()> {
    let ones = |shape: &[usize]| Tensor::ones(shape.to_vec(), &Device::cpu());
    for parameter in net.parameters() {
        parameter.set(&ones(parameter.shape())?)?;
    }
    let field = ReceptiveField::of(net)?;
    let [rows, columns] = &field.layers.last().expect("a layer").fields[..] else {
        panic!("expected two axes");
    };
    let [(row, height), (column, width)] = [inner(rows), inner(columns)];
    let x = ones(&[1, 1, height, width])?.tracked();
    let map = net.forward(&x, &Pass::evaluate())?;
    let cell = map.slice(2, row..row + 1, 1)?.slice(3, column..column + 1, 1)?;
    let gradient = cell.sum(.., false)?.backward()?.get(&x).expect("a gradient").to_vec()?;
    let support: Vec<bool> = gradient.iter().map(|gradient| *gradient != 0.0).collect();
    let (rows, columns) = (seen(rows, row, height), seen(columns, column, width));
    let hit = |mut row: std::slice::Chunks<bool>, at: usize| row.any(|pixels| pixels[at]);
    assert!((0..width).all(|at| hit(support.chunks(width), at) == columns[at]), "{}", net.kind());
    assert!(support.chunks(width).map(|row| row.contains(&true)).eq(rows.iter().copied()));
    if field.windows(0).is_some() {
        let pixels = rows.iter().flat_map(|row| columns.iter().map(move |column| row & column));
        assert!(support.iter().copied().eq(pixels), "{}", net.kind());
    }
    Ok(())
}

/// A layer with one channel: a convolution, or the mean in the place of a maximum.
fn layer(init: &Init, pooled: bool, [rows, columns]: [Window; 2]) -> Result<Box<dyn Module<f64>>> {
    let both = |value: fn(&Window) -> usize| [value(&rows), value(&columns)];
    let (kernel, stride) = (both(|w| w.kernel), both(|w| w.stride));
    let (padding, dilation) = (both(|w| w.padding), both(|w| w.dilation));
    if pooled {
        return Ok(Box::new(AvgPool::new(
            init,
            PoolSpec::new(kernel).stride(stride).padding(padding),
        )));
    }
    let spec = ConvSpec::new(kernel).stride(stride).padding(padding).dilation(dilation);
    Ok(Box::new(Conv2d::new(init, 1, 1, spec)?))
}

/// Layers of any type in a row.
struct Row(Vec<Box<dyn Module<f64>>>);

impl Module<f64> for Row {
    fn path(&self) -> &str {
        ""
    }
    fn kind(&self) -> &'static str {
        "Row"
    }
    fn children(&self) -> Vec<&dyn Module<f64>> {
        self.0.iter().map(|module| &**module).collect()
    }
    fn compute(&self, x: &Tensor<f64>, pass: &Pass<f64>) -> Result<Tensor<f64>> {
        self.0.iter().try_fold(x.clone(), |x, module| module.forward(&x, pass))
    }
}

/// What the catalogue's networks see, those that have a map.
fn catalogue() -> impl Iterator<Item = (&'static str, Box<dyn Module>, ReceptiveField)> {
    let fields = CATALOGUE.iter().map(|entry| {
        let net = (entry.build)(&Init::seed(1)).unwrap();
        let field = ReceptiveField::of(&*net).unwrap();
        (entry.name, net, field)
    });
    fields.filter(|(_, _, field)| !field.layers.is_empty())
}

/// Sizes, and whether there are holes, of the documents.
#[test]
fn the_documents_networks_have_their_fields() {
    let listed = [
        ("vgg4", 46),
        ("vgg4-dilation", 31),
        ("vgg4-dilation-same", 31),
        ("vgg4-large-filter", 21),
        ("dogs-vgg", 76),
        ("dogs-vgg-he", 76),
        ("vgg16", 212),
        ("vgg16-imagenet", 212),
        ("mnist-cnn", 16),
        ("mnist-net", 40),
        ("mnist-net-free", 40),
    ];
    let found: Vec<(&str, ReceptiveField)> = catalogue().map(|(name, _, f)| (name, f)).collect();
    for (name, size) in listed {
        let (_, field) = found.iter().find(|(found, _)| *found == name).expect(name);
        for axis in 0..2 {
            let last = &field.layers.last().unwrap().fields[axis];
            assert_eq!((last.size(), last.has_holes()), (size, false), "{name}");
            assert_eq!(field.closed_form_size(axis), Some(size), "{name}");
        }
    }
}

#[test]
fn the_catalogues_gradients_have_their_fields_support() {
    // Layers in a row can be made again with means; branches are tried below, with the networks as they are.
    let rows = catalogue().filter(|(_, _, field)| field.windows(0).is_some());
    for (name, _, field) in rows {
        let again = |LayerField { kind, windows, .. }: &LayerField| {
            layer(&Init::seed(1), kind == "MaxPool2d", [windows[0], windows[1]])
        };
        let layers = field.layers.iter().map(again).collect::<Result<_>>().unwrap();
        gradient_has_the_fields_support(&Row(layers)).expect(name);
    }
}

/// The networks as they are, max pooling and all: a cell answers if and only if a lit column or row is in its field.
#[test]
fn the_catalogues_cells_answer_to_their_fields() {
    // Winograd's transforms round, and what should stay dark would not be dark.
    striate::conv::conv::allow_winograd(false);
    for (name, net, field) in catalogue() {
        for parameter in net.parameters() {
            let shape = parameter.shape();
            let fan_in: usize = shape.iter().skip(1).product();
            let value = match parameter.path().ends_with("bias") {
                true => 0.0,
                // The scales of batch norm stay 1.
                false => 1.0 / fan_in as f32,
            };
            parameter.set(&Tensor::full(shape.to_vec(), value, &Device::cpu()).unwrap()).unwrap();
        }
        let last = field.layers.last().unwrap();
        let (cell, length) = inner(&last.fields[1]);
        let expected = seen(&last.fields[1], cell, length);
        let edge = |at: usize| at > 0 && expected[at] != expected[at - 1];
        let probed =
            |&at: &usize| at.is_multiple_of(length / 8) || edge(at) || edge((at + 1) % length);
        for at in (0..length).filter(probed) {
            for turned in [false, true] {
                let lit = lit(&*net, &last.path, [at, length, cell], turned).unwrap();
                assert_eq!(lit, expected[at], "{name}, pixel {at}, turned {turned}");
            }
        }
    }
    striate::conv::conv::allow_winograd(true);
}

/// Whether a cell of the map at `path` answers to a column of light in an input of `length` columns, or, `turned`, to a
/// row.
fn lit(net: &dyn Module, path: &str, [at, length, cell]: [usize; 3], turned: bool) -> Result<bool> {
    let colours = net.parameters()[0].shape()[1];
    // Any height that every network can work with; all of a column is lit.
    let (height, device) = (32, Device::cpu());
    let light = (0..colours * height * length).map(|i| f32::from(u8::from(i % length == at)));
    let mut x = Tensor::from_vec(light.collect(), [1, colours, height, length], &device)?;
    if turned {
        x = x.transpose(2, 3)?;
    }
    let map: Arc<Mutex<Option<Tensor>>> = Arc::default();
    let kept = map.clone();
    let pass = Pass::evaluate().hook(path, move |visit| {
        *kept.lock().unwrap() = Some(visit.output.clone());
        Ok(())
    });
    // A linear layer behind the map may refuse another size than the network's own, and is not asked.
    let _ = net.forward(&x, &pass);
    let map = map.lock().unwrap().take().expect("the map");
    let axis = if turned { 2 } else { 3 };
    Ok(map.slice(axis, cell..cell + 1, 1)?.sum(.., false)?.item()? > 0.0)
}

#[test]
fn branches_see_what_either_sees() {
    let windows = |kernel, padding, dilation| [Window { kernel, stride: 1, padding, dilation }; 2];
    let init = Init::seed(1).at("block");
    // Two taps four apart, and the pixel between them by the shortcut.
    let body = || layer(&init, false, windows(3, 4, 4)).unwrap();
    let plain = Residual::new(&init, Row(vec![body()]));
    let field = ReceptiveField::of(&plain).unwrap();
    let sum = field.layers.last().unwrap();
    assert_eq!((sum.path.as_str(), sum.kind.as_str()), ("block", "Residual"));
    assert_eq!((sum.fields[0].size(), sum.fields[0].first), (9, -4));
    assert_eq!(field.closed_form_size(0), None);
    gradient_has_the_fields_support(&plain).unwrap();
    let wide = Residual::new(&init, Row(vec![body()]))
        .shortcut(Row(vec![layer(&init, false, windows(5, 2, 1)).unwrap()]));
    gradient_has_the_fields_support(&wide).unwrap();
    let strided = [Window { kernel: 3, stride: 2, padding: 1, dilation: 1 }; 2];
    let uneven = Residual::new(&init, Row(vec![layer(&init, false, strided).unwrap()]));
    let error = ReceptiveField::of(&uneven).unwrap_err().to_string();
    assert_eq!(error, "receptive_field in block: expected branches with one jump, got [2, 1]");
}

#[test]
fn layers_that_cannot_be_followed_are_named() -> Result<()> {
    let init = Init::seed(1);
    let net: Sequential = Sequential::new(&init)
        .then(|at| Conv2d::new(at, 1, 1, ConvSpec::new([3, 3])))?
        .then(|at| ConvTranspose2d::new(at, 1, 1, ConvSpec::new([3, 3])))?;
    assert_eq!(
        ReceptiveField::of(&net).unwrap_err().to_string(),
        "receptive_field in 1: expected layers that say what they see, got ConvTranspose2d"
    );
    let net: Sequential = Sequential::new(&init)
        .then(|at| Conv2d::new(at, 1, 1, ConvSpec::new([3, 3])))?
        .then(|at| Conv1d::new(at, 1, 1, ConvSpec::new([3])))?;
    assert_eq!(
        ReceptiveField::of(&net).unwrap_err().to_string(),
        "receptive_field in 1: expected a layer over 2 axes, got one over 1"
    );
    // Behind a layer that sees everything, nothing is followed.
    let net: Sequential = Sequential::new(&init)
        .then(|at| Conv2d::new(at, 1, 4, ConvSpec::new([3, 3])))?
        .then(|at| GroupNorm::new(at, 2, 4))?
        .then(|at| ConvTranspose2d::new(at, 4, 1, ConvSpec::new([3, 3])))?;
    let field = ReceptiveField::of(&net)?;
    assert_eq!(field.whole, Some(["1".to_owned(), "GroupNorm".to_owned()]));
    assert_eq!(field.layers.len(), 1);
    Ok(())
}

fn window() -> impl Strategy<Value = Window> {
    (1usize..5, 1usize..4, 0usize..4, 1usize..4).prop_map(|(kernel, stride, padding, dilation)| {
        // Pooling takes no more than half its kernel.
        Window { kernel, stride, padding: padding.min(kernel / 2), dilation }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gradients_of_any_layers_have_their_fields_support(
        layers in proptest::collection::vec((any::<bool>(), [window(), window()]), 1..4)
    ) {
        let layers = layers.into_iter().map(|(pooled, mut windows)| {
            if pooled {
                // The mean has no dilation.
                windows.iter_mut().for_each(|window| window.dilation = 1);
            }
            layer(&Init::seed(1), pooled, windows)
        });
        let net = Row(layers.collect::<Result<_>>().unwrap());
        let field = ReceptiveField::of(&net).unwrap();
        for axis in 0..2 {
            let size = field.layers.last().unwrap().fields[axis].size();
            prop_assert_eq!(field.closed_form_size(axis), Some(size));
        }
        gradient_has_the_fields_support(&net).unwrap();
    }
}
