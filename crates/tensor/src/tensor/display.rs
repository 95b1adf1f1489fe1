//! Printing like numpy: nested brackets, one width for all numbers, long axes abbreviated.

use std::fmt;

use crate::{Element, Tensor};
use striate_conv::DType;

/// From this many elements on, long axes show their ends only.
const SUMMARISE: usize = 1000;
/// How many elements of an abbreviated axis are shown at each end.
const EDGE: usize = 3;

impl<T: Element> fmt::Display for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = match self.to_vec() {
            Ok(values) => values,
            Err(_) => {
                let (dtype, device) = (self.dtype(), self.device().name());
                return write!(f, "<{dtype} {:?} on {device}>", self.shape());
            }
        };
        if values.is_empty() {
            return write!(f, "[]");
        }
        let printer = Printer::new(self.shape(), &values);
        printer.axis(f, 0, 0)
    }
}

impl<T: Element> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dtype, device) = (self.dtype(), self.device().name());
        write!(f, "Tensor({dtype} {:?} on {device})", self.shape())
    }
}

struct Printer<'a> {
    shape: &'a [usize],
    texts: Vec<String>,
    width: usize,
    edge: Option<usize>,
}

impl<'a> Printer<'a> {
    fn new<T: Element>(shape: &'a [usize], values: &[T]) -> Self {
        let texts = texts(values);
        let width = texts.iter().map(String::len).max().unwrap_or(0);
        let edge = (values.len() > SUMMARISE).then_some(EDGE);
        Printer { shape, texts, width, edge }
    }

    /// Writes the sub-tensor that starts at element `from`, `axis` axes deep.
    fn axis(&self, f: &mut fmt::Formatter<'_>, axis: usize, from: usize) -> fmt::Result {
        if axis == self.shape.len() {
            return write!(f, "{:>width$}", self.texts[from], width = self.width);
        }
        let (size, step) = (self.shape[axis], self.shape[axis + 1..].iter().product::<usize>());
        let last = axis + 1 == self.shape.len();
        let separator = match last {
            true => " ".to_string(),
            false => "\n".repeat(self.shape.len() - axis - 1) + &" ".repeat(axis + 1),
        };
        let hidden = self.edge.filter(|edge| size > 2 * edge).map(|edge| edge..size - edge);
        write!(f, "[")?;
        for i in 0..size {
            match &hidden {
                Some(range) if i == range.start => write!(f, "{separator}...")?,
                Some(range) if range.contains(&i) => {}
                _ => {
                    if i > 0 {
                        write!(f, "{separator}")?;
                    }
                    self.axis(f, axis + 1, from + i * step)?;
                }
            }
        }
        write!(f, "]")
    }
}

/// Numbers as numpy writes them: the fewest digits that distinguish all of them, at most eight places;
/// scientific where magnitudes differ too much.
fn texts<T: Element>(values: &[T]) -> Vec<String> {
    if matches!(T::DTYPE, DType::I64 | DType::Bool) {
        return values.iter().map(T::to_string).collect();
    }
    let numbers: Vec<f64> = values.iter().map(|value| value.as_f64()).collect();
    let sizes = numbers.iter().map(|x| x.abs()).filter(|x| x.is_finite() && *x > 0.0);
    let (low, high) =
        sizes.fold((f64::INFINITY, 0.0f64), |(low, high), x| (low.min(x), high.max(x)));
    if high >= 1e8 || low < 1e-4 || high / low > 1e4 && low < 1e-3 {
        return numbers.iter().map(|x| special(*x).unwrap_or_else(|| format!("{x:.4e}"))).collect();
    }
    let places = values.iter().zip(&numbers).map(|(value, x)| match x.is_finite() {
        true => value.to_string().split_once('.').map_or(0, |(_, digits)| digits.len()),
        false => 0,
    });
    let places = places.max().unwrap_or(0).min(8);
    let whole = if places == 0 { "." } else { "" };
    numbers.iter().map(|x| special(*x).unwrap_or_else(|| format!("{x:.places$}{whole}"))).collect()
}

/// How numpy writes what is not a finite number.
fn special(x: f64) -> Option<String> {
    match x {
        x if x.is_nan() => Some("nan".into()),
        f64::INFINITY => Some("inf".into()),
        f64::NEG_INFINITY => Some("-inf".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Device, Tensor};

    fn print(values: Vec<f32>, shape: &[usize]) -> String {
        let tensor = Tensor::from_vec(values, shape, &Device::cpu()).unwrap();
        tensor.to_string()
    }

    #[test]
    fn prints_like_numpy() {
        assert_eq!(print(vec![1.5], &[]), "1.5");
        assert_eq!(print(vec![1.0, 2.0, -3.0], &[3]), "[ 1.  2. -3.]");
        assert_eq!(print(vec![1.0, 2.5, 3.0, 4.25], &[2, 2]), "[[1.00 2.50]\n [3.00 4.25]]");
        assert_eq!(print(vec![0.0, 1.0, 2.0, 3.0], &[2, 1, 2]), "[[[0. 1.]]\n\n [[2. 3.]]]");
        assert_eq!(print(vec![f32::NAN, f32::INFINITY], &[2]), "[nan inf]");
        assert_eq!(print(vec![], &[0]), "[]");
    }

    #[test]
    fn abbreviates_long_axes() {
        let long = print((0..2000).map(|i| i as f32).collect(), &[2000]);
        assert_eq!(long, "[   0.    1.    2. ... 1997. 1998. 1999.]");
    }

    #[test]
    fn a_tensor_without_data_says_so() {
        let tensor = Tensor::<f32>::zeros([2, 3], &Device::meta()).unwrap();
        assert_eq!(tensor.to_string(), "<f32 [2, 3] on meta>");
    }
}
