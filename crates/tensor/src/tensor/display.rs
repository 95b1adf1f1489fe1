//! Printing as numpy 2 does: nested brackets, one column for the decimal points, the fewest digits that tell each number from
//! its neighbours and at most eight places, an exponent where sizes differ too much, long axes abbreviated, long lines broken.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Element, Tensor};
use striate_conv::DType;

/// From this many elements on, long axes show their ends only.
const SUMMARISE: usize = 1000;
/// How many elements of an abbreviated axis are shown at each end.
const EDGE: usize = 3;
/// Places behind the decimal point.
const PLACES: usize = 8;
/// Columns of a line.
const LINE: usize = 75;

impl<T: Element> fmt::Display for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(values) = self.to_vec() else {
            let (dtype, device) = (self.dtype(), self.device().name());
            return write!(f, "<{dtype} {:?} on {device}>", self.shape());
        };
        match (self.shape(), &values[..]) {
            (_, []) => f.write_str("[]"),
            ([], [value]) => f.write_str(&scalar(*value)),
            (shape, values) => f.write_str(&Printer::new(shape, values).axis(0, 0)),
        }
    }
}

impl<T: Element> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dtype, device) = (self.dtype(), self.device().name());
        write!(f, "Tensor({dtype} {:?} on {device})", self.shape())
    }
}

/// A tensor's shape, and the texts of the elements that are shown, all of one width.
struct Printer<'a> {
    shape: &'a [usize],
    edge: Option<usize>,
    texts: BTreeMap<usize, String>,
}

impl<'a> Printer<'a> {
    fn new<T: Element>(shape: &'a [usize], values: &[T]) -> Self {
        let edge = (values.len() > SUMMARISE).then_some(EDGE);
        let mut printer = Printer { shape, edge, texts: BTreeMap::new() };
        let mut places = vec![0];
        for (axis, size) in shape.iter().enumerate() {
            let indices: Vec<usize> = printer.shown(axis).into_iter().flatten().collect();
            let below = |place: &usize| place * size;
            places = places
                .iter()
                .flat_map(|place| indices.iter().map(move |index| below(place) + index))
                .collect();
        }
        let chosen: Vec<T> = places.iter().map(|&place| values[place]).collect();
        printer.texts = places.into_iter().zip(texts(&chosen)).collect();
        printer
    }

    /// The indices of an axis, with a gap where some are left out.
    fn shown(&self, axis: usize) -> Vec<Option<usize>> {
        let size = self.shape[axis];
        match self.edge {
            Some(edge) if size > 2 * edge => {
                let ends = [0..edge, size - edge..size].map(|range| range.map(Some));
                let [first, last] = ends;
                first.chain([None]).chain(last).collect()
            }
            _ => (0..size).map(Some).collect(),
        }
    }

    /// The sub-tensor that starts at element `from`, `axis` axes deep.
    fn axis(&self, axis: usize, from: usize) -> String {
        let step: usize = self.shape[axis + 1..].iter().product();
        let left = self.shape.len() - axis;
        let part = |index: Option<usize>| match index {
            None => "...".to_owned(),
            Some(i) if left == 1 => self.texts[&(from + i)].clone(),
            Some(i) => self.axis(axis + 1, from + i * step),
        };
        let parts: Vec<String> = self.shown(axis).into_iter().map(part).collect();
        let indent = " ".repeat(axis + 1);
        match left {
            1 => format!("[{}]", wrapped(&parts, &indent, LINE - self.shape.len().min(LINE))),
            _ => format!("[{}]", parts.join(&format!("{}{indent}", "\n".repeat(left - 1)))),
        }
    }
}

/// Words with blanks between, in lines of at most `width`, all but the first of them indented.
fn wrapped(words: &[String], indent: &str, width: usize) -> String {
    let (mut text, mut column) = (String::new(), indent.len());
    for (i, word) in words.iter().enumerate() {
        if i > 0 && column + 1 + word.len() > width {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text += indent;
            column = indent.len();
        } else if i > 0 {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += word.len();
    }
    text
}

/// Elements as texts of one width.
fn texts<T: Element>(values: &[T]) -> Vec<String> {
    let texts: Vec<String> = match T::DTYPE {
        DType::F32 | DType::F64 => floats(values),
        DType::I64 => values.iter().map(T::to_string).collect(),
        DType::Bool => values.iter().map(|&value| truth(value)).collect(),
    };
    // A blank stands for the sign even where no mask element is false.
    let least = if T::DTYPE == DType::Bool { " True".len() } else { 0 };
    let width = texts.iter().map(String::len).max().unwrap_or(0).max(least);
    texts.into_iter().map(|text| format!("{text:>width$}")).collect()
}

fn truth<T: Element>(value: T) -> String {
    if value.as_f64() == 0.0 { "False".into() } else { "True".into() }
}

/// A number without axes stands alone, as Python prints it.
fn scalar<T: Element>(value: T) -> String {
    let number = value.as_f64();
    let (dtype, size) = (T::DTYPE, number.abs());
    let limit = if dtype == DType::F32 { 1e6 } else { 1e16 };
    match dtype {
        DType::I64 => value.to_string(),
        DType::Bool => truth(value),
        _ if !number.is_finite() => special(number),
        _ if size == 0.0 || (1e-4..limit).contains(&size) => {
            let text = shortest(value);
            if text.contains('.') { text } else { text + ".0" }
        }
        _ => {
            let Scientific { whole, places, exponent } = Scientific::of(value, usize::MAX);
            let point = if places.is_empty() { "" } else { "." };
            format!("{whole}{point}{places}e{}", signed(exponent, 2))
        }
    }
}

fn floats<T: Element>(values: &[T]) -> Vec<String> {
    let finite: Vec<T> = values.iter().copied().filter(|x| x.as_f64().is_finite()).collect();
    let sizes = finite.iter().map(|x| x.as_f64().abs()).filter(|x| *x > 0.0);
    let (low, high) =
        sizes.fold((f64::INFINITY, 0.0f64), |(low, high), x| (low.min(x), high.max(x)));
    let limit = if T::DTYPE == DType::F32 { 1e6 } else { 1e8 };
    let text: Box<dyn Fn(T) -> String> = if high >= limit || low < 1e-4 || high / low > 1e3 {
        let parts = || finite.iter().map(|&x| Scientific::of(x, PLACES));
        let places = parts().map(|x| x.places.len()).max().unwrap_or(0);
        let exponent = parts().map(|x| x.exponent.unsigned_abs().to_string().len()).max();
        let digits = exponent.unwrap_or(0).max(2);
        Box::new(move |x| {
            let text = format!("{:.places$e}", x.as_f64());
            let (number, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let point = if places == 0 { "." } else { "" };
            format!("{number}{point}e{}", signed(exponent.parse().unwrap_or(0), digits))
        })
    } else {
        let places = finite.iter().map(|&x| positional(x).1.len()).max().unwrap_or(0);
        Box::new(move |x| {
            let (whole, behind) = positional(x);
            format!("{whole}.{behind:places$}")
        })
    };
    let print = |&x: &T| if x.as_f64().is_finite() { text(x) } else { special(x.as_f64()) };
    values.iter().map(print).collect()
}

/// How numpy writes what is not a finite number.
fn special(x: f64) -> String {
    match x {
        f64::INFINITY => "inf".into(),
        f64::NEG_INFINITY => "-inf".into(),
        _ => "nan".into(),
    }
}

/// The fewest digits that tell a number from its neighbours.
fn shortest<T: Element>(value: T) -> String {
    let text = value.to_string();
    let places = decimals(&text);
    even(value, text, format!("{:.places$}", value.as_f64()))
}

/// How many digits stand behind the decimal point of a number's text.
fn decimals(text: &str) -> usize {
    let digits = text.split('e').next().unwrap_or(text);
    digits.split_once('.').map_or(0, |(_, places)| places.len())
}

/// `rounded`, which has as many digits as the shortest text of `value`, if that is a text of it, too. Where two are equally
/// near, it is the one that ends evenly, which numpy prints, and Rust's is the larger.
fn even<T: Element>(value: T, shortest: String, rounded: String) -> String {
    let number = match T::DTYPE {
        DType::F32 => rounded.parse().map(f32::into),
        _ => rounded.parse::<f64>(),
    };
    if number == Ok(value.as_f64()) { rounded } else { shortest }
}

/// What stands before and behind the decimal point.
fn positional<T: Element>(value: T) -> (String, String) {
    let split = |text: String| {
        let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
        (whole.to_owned(), places.trim_end_matches('0').to_owned())
    };
    match split(shortest(value)) {
        (_, places) if places.len() > PLACES => split(format!("{:.PLACES$}", value.as_f64())),
        parts => parts,
    }
}

/// A number's digits and its power of ten.
struct Scientific {
    whole: String,
    places: String,
    exponent: i32,
}

impl Scientific {
    fn of<T: Element>(value: T, places: usize) -> Self {
        let split = |text: String| {
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
            let places = places.trim_end_matches('0').to_owned();
            Scientific { whole: whole.into(), places, exponent: exponent.parse().unwrap_or(0) }
        };
        let number = value.as_f64();
        let text = match T::DTYPE {
            DType::F32 => format!("{:e}", number as f32),
            _ => format!("{number:e}"),
        };
        let digits = decimals(&text);
        let shortest = split(even(value, text, format!("{number:.digits$e}")));
        match shortest.places.len() > places {
            true => split(format!("{number:.places$e}")),
            false => shortest,
        }
    }
}

/// An exponent with its sign and at least `digits` digits.
fn signed(exponent: i32, digits: usize) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{:0>digits$}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use crate::{Device, Tensor};

    #[test]
    fn a_tensor_without_data_says_so() {
        let tensor = Tensor::<f32>::zeros([2, 3], &Device::meta()).unwrap();
        assert_eq!(tensor.to_string(), "<f32 [2, 3] on meta>");
    }
}
