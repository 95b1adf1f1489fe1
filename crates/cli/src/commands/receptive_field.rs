//! `striate receptive-field`: what a cell of each map sees of the picture.

use std::path::PathBuf;

use serde_json::{Value, json};
use striate::nn::{LayerField, ReceptiveField, Window, atomic_write, closed_form};
use striate::prelude::*;

use super::{entry, print, size, svg_file};
use crate::Failure;
use crate::draw::fields::{Panel, fields_svg};

/// Follow receptive fields through a network, layer by layer
///
/// For each layer with windows: the size of a cell's field, the jump from one cell's to the next one's, the centre of
/// the first cell's (0 is the centre of the first pixel), and whether it has holes. Below, the closed form.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network's name, as `striate models` lists it
    #[arg(required_unless_present = "layers", conflicts_with = "layers")]
    model: Option<String>,
    /// Layers instead of a network, such as 3,2s2,3p1d2: kernel, then stride, padding and dilation; 3x5 where rows and
    /// columns differ
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', value_parser = layer)]
    layers: Option<Vec<ConvSpec<2>>>,
    /// Draw the field of a cell, layer by layer, as SVG
    #[arg(long, value_name = "FILE", value_parser = svg_file())]
    draw: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let (name, net) = match (&arguments.model, arguments.layers) {
        (Some(model), _) => (model.as_str(), (entry(model)?.build)(&Init::seed(1))?),
        (None, layers) => ("the layers", row(layers.unwrap_or_default())?),
    };
    let field = ReceptiveField::of(&*net)?;
    if field.layers.is_empty() {
        return Err(format!("{name} has no layer with windows over a map").into());
    }
    match arguments.json {
        true => print(serde_json::to_string_pretty(&as_json(name, &field))?)?,
        false => print_table(&field)?,
    }
    arguments.draw.map_or(Ok(()), |out| {
        atomic_write(&out, drawing(name, &field)?.as_bytes())?;
        match arguments.json {
            true => Ok(()),
            false => print(format_args!("{}: {} fields", out.display(), field.layers.len())),
        }
    })
}

/// One layer of `--layers`.
fn layer(text: &str) -> Result<ConvSpec<2>, String> {
    let wrong = || format!("expected a layer such as 3, 3x5, 2s2 or 3p1d2, got {text:?}");
    let first = text.find(|c: char| c.is_ascii_lowercase() && c != 'x').unwrap_or(text.len());
    let (kernel, mut rest) = text.split_at(first);
    let mut spec = ConvSpec::new(pair(kernel)?);
    while let Some(letter) = rest.chars().next() {
        let end = rest[1..].find(|c: char| c.is_ascii_lowercase() && c != 'x');
        let (value, after) = rest[1..].split_at(end.unwrap_or(rest.len() - 1));
        spec = match letter {
            's' => spec.stride(pair(value)?),
            'p' => spec.padding(pair(value)?),
            'd' => spec.dilation(pair(value)?),
            _ => return Err(wrong()),
        };
        rest = after;
    }
    Ok(spec)
}

/// `3`, for both axes, or `3x5`.
fn pair(text: &str) -> Result<[usize; 2], String> {
    let (rows, columns) = text.split_once('x').unwrap_or((text, text));
    Ok([size(rows)?, size(columns)?])
}

/// Convolutions one after another; windows need no weights.
fn row(layers: Vec<ConvSpec<2>>) -> Result<Box<dyn Module>, Failure> {
    let start: Sequential = Sequential::new(&Init::seed(1).on(&Device::meta()));
    let mut layers = layers.into_iter();
    let net = layers.try_fold(start, |net, spec| net.then(|at| Conv2d::new(at, 1, 1, spec)))?;
    Ok(Box::new(net))
}

/// `3`, or `3x5` where the axes differ.
fn by_axis<T: ToString>(values: impl Iterator<Item = T>) -> String {
    let mut values: Vec<String> = values.map(|value| value.to_string()).collect();
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        values.truncate(1);
    }
    values.join("x")
}

/// What is not its default, as in `3 stride 2 padding 1`; a layer without windows adds branches.
pub fn describe(windows: &[Window]) -> String {
    if windows.is_empty() {
        return "sum of branches".into();
    }
    let of = |value: fn(&Window) -> usize| by_axis(windows.iter().map(value));
    let mut text = of(|window| window.kernel);
    let others = [
        ("stride", of(|window| window.stride), "1"),
        ("padding", of(|window| window.padding), "0"),
        ("dilation", of(|window| window.dilation), "1"),
    ];
    for (name, value, _) in others.into_iter().filter(|(_, value, default)| value != default) {
        text += &format!(" {name} {value}");
    }
    text
}

/// What stands above the columns of [`cells`].
pub const COLUMNS: [&str; 6] = ["layer", "window", "size", "jump", "centre", "holes"];

/// A layer's row in a table of fields.
pub fn cells(layer: &LayerField) -> [String; 6] {
    let fields = &layer.fields;
    [
        format!("{} {}", layer.path, layer.kind),
        describe(&layer.windows),
        by_axis(fields.iter().map(|field| field.size())),
        by_axis(fields.iter().map(|field| field.jump)),
        by_axis(fields.iter().map(|field| field.centre())),
        by_axis(fields.iter().map(|field| if field.has_holes() { "yes" } else { "no" })),
    ]
}

/// What is said below the table: the closed form, once for all axes that agree, and which layer sees the whole map.
pub fn remarks(field: &ReceptiveField) -> Vec<String> {
    let last = field.layers.last().map_or(&[][..], |layer| &layer.fields);
    let terms: Vec<Option<String>> = (0..last.len()).map(|axis| terms(field, axis)).collect();
    let own = terms.iter().enumerate().filter(|(axis, t)| *axis == 0 || **t != terms[0]);
    let mut remarks: Vec<String> = own
        .map(|(axis, terms)| match terms {
            Some(terms) => format!("closed form: {terms} = {}", last[axis].size()),
            None => "the closed form is for layers in a row; here there are branches".into(),
        })
        .collect();
    if let Some([path, kind]) = &field.whole {
        remarks.push(format!("{path} {kind} sees the whole map, and so does what comes after"));
    }
    remarks
}

/// A picture of the fields, layer by layer.
pub fn drawing(name: &str, field: &ReceptiveField) -> Result<String, Failure> {
    let panels: Vec<Panel> = field.layers.iter().map(panel).collect::<Result<_, _>>()?;
    Ok(fields_svg(&format!("{name}: what a cell of each map sees"), &panels)?)
}

fn print_table(field: &ReceptiveField) -> Result<(), Failure> {
    let rows = field.layers.iter().map(cells);
    let rows: Vec<[String; 6]> = [COLUMNS.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    for [layer, window, numbers @ ..] in &rows {
        let numbers = numbers.iter().zip(&widths[2..]).map(|(n, w)| format!("  {n:>w$}"));
        let (numbers, [layers, windows, ..]) = (numbers.collect::<String>(), widths);
        print(format_args!("{layer:<layers$}  {window:<windows$}{numbers}"))?;
    }
    remarks(field).iter().try_for_each(print)
}

/// `1 + 2 + 1 + 2·2`: the closed form with its numbers.
fn terms(field: &ReceptiveField, axis: usize) -> Option<String> {
    let term = |[reach, strides]: &[usize; 2]| match strides {
        1 => reach.to_string(),
        _ => format!("{reach}·{strides}"),
    };
    let terms = closed_form(&field.windows(axis)?);
    Some([vec!["1".to_owned()], terms.iter().map(term).collect()].concat().join(" + "))
}

fn as_json(name: &str, field: &ReceptiveField) -> Value {
    let layers = field.layers.iter().map(|layer| {
        let axes = layer.fields.iter().enumerate().map(|(axis, field)| {
            let window = layer.windows.get(axis).map(|window| {
                json!({
                    "kernel": window.kernel,
                    "stride": window.stride,
                    "padding": window.padding,
                    "dilation": window.dilation,
                })
            });
            json!({
                "window": window,
                "size": field.size(),
                "jump": field.jump,
                "centre": field.centre(),
                "holes": field.has_holes(),
            })
        });
        json!({ "path": layer.path, "kind": layer.kind, "axes": axes.collect::<Vec<_>>() })
    });
    let axes = field.layers.last().map_or(0, |layer| layer.fields.len());
    json!({
        "model": name,
        "layers": layers.collect::<Vec<_>>(),
        "closed_form": (0..axes).map(|axis| field.closed_form_size(axis)).collect::<Vec<_>>(),
        "sees_the_whole_map": field.whole.as_ref().map(|[path, _]| path),
    })
}

fn panel(layer: &LayerField) -> Result<Panel, Failure> {
    let [rows, columns] = &layer.fields[..] else {
        return Err("expected maps with two axes to draw".into());
    };
    let size = by_axis(layer.fields.iter().map(|field| field.size()));
    Ok(Panel {
        name: format!("{} {}", layer.path, layer.kind),
        caption: format!("{} → field {size}", describe(&layer.windows)),
        seen: [rows.seen.clone(), columns.seen.clone()],
    })
}
