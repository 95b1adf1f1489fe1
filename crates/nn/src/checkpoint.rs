//! State dicts and checkpoints.
//!
//! A state is the named tensors of a network under PyTorch's names, in safetensors, so either side reads the
//! other's. A checkpoint is a state with more tensors (an optimizer's) and JSON beside them in the header.
//! Loading is strict: every expected entry must be there, with its shape, and no other. Writing is atomic: a
//! reader sees the old file or the new one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use striate_tensor::{DType, Device, Error, ErrorKind, Float, Result, Tensor};

use crate::{Module, Parameter, atomic_write};

/// Named tensors.
pub type State<T = f32> = BTreeMap<String, Tensor<T>>;

/// The parameters and running values of a module, by path.
pub fn state<T: Float>(module: &dyn Module<T>) -> State<T> {
    let parameters = module.parameters();
    let parameters = parameters.iter().map(|p| (p.path().to_owned(), p.tensor().detach()));
    let running = module.running();
    let running = running.iter().map(|r| (r.path().to_owned(), r.tensor()));
    parameters.chain(running).collect()
}

/// Sets the parameters and running values of a module from a state. Strict: fails, changing nothing, with a list
/// of what is missing, unexpected or misshapen.
pub fn load_state<T: Float>(module: &dyn Module<T>, state: &State<T>) -> Result<()> {
    let (parameters, running) = (module.parameters(), module.running());
    expect_own_paths(&parameters)?;
    let mut expected: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    expected.extend(parameters.iter().map(|p| (p.path(), p.shape().to_vec())));
    let shapes = running.iter().map(|r| (r.path(), r.tensor().shape().to_vec()));
    expected.extend(shapes.collect::<Vec<_>>());
    check("load_state", &expected, state)?;
    for parameter in &parameters {
        let device = parameter.tensor().device().clone();
        parameter.set(&state[parameter.path()].to_device(&device)?)?;
    }
    for value in &running {
        let device = value.tensor().device().clone();
        value.set(&state[value.path()].to_device(&device)?)?;
    }
    Ok(())
}

/// Fails if two parameters stand at one path: a state could hold only one of them.
pub(crate) fn expect_own_paths<T: Float>(parameters: &[Parameter<T>]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for parameter in parameters {
        let other = seen.insert(parameter.path(), parameter.id());
        if other.is_some_and(|other| other != parameter.id()) {
            let message =
                format!("expected a path for each parameter, two are called {}", parameter.path());
            return Err(Error::new(ErrorKind::Data, "state", message));
        }
    }
    Ok(())
}

/// Fails with a list unless `state` has exactly the `expected` entries with their shapes.
pub(crate) fn check<T: Float>(
    op: &str,
    expected: &BTreeMap<&str, Vec<usize>>,
    state: &State<T>,
) -> Result<()> {
    let missing = expected.keys().filter(|name| !state.contains_key(**name));
    let unexpected = state.keys().filter(|name| !expected.contains_key(name.as_str()));
    let misshapen = expected.iter().filter_map(|(name, shape)| {
        let found = state.get(*name)?.shape();
        (found != shape).then(|| format!("{name} (expected {shape:?}, got {found:?})"))
    });
    let lists = [
        ("missing", missing.map(|name| name.to_string()).collect::<Vec<_>>()),
        ("unexpected", unexpected.cloned().collect()),
        ("misshapen", misshapen.collect()),
    ];
    let problems: Vec<String> = lists
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {}", names.join(", ")))
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Data, op, problems.join("; "))),
    }
}

/// Tensors and JSON texts in one safetensors file.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint<T: Float = f32> {
    /// Named tensors.
    pub tensors: State<T>,
    /// Named texts, kept in the header's metadata.
    pub texts: BTreeMap<String, String>,
}

/// The suffix under which PyTorch keeps a whole number of type i64, and so do the files written here.
const COUNTER: &str = "num_batches_tracked";

impl<T: Float> Checkpoint<T> {
    /// A module's state alone.
    pub fn of(module: &dyn Module<T>) -> Self {
        Checkpoint { tensors: state(module), texts: BTreeMap::new() }
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut parts = Vec::new();
        for (name, tensor) in &self.tensors {
            let values = tensor.to_vec()?;
            let (dtype, bytes) = match (name.ends_with(COUNTER), T::DTYPE) {
                (true, _) => (Dtype::I64, bytes(&values, |x| (x.to_f64() as i64).to_le_bytes())),
                (_, DType::F64) => (Dtype::F64, bytes(&values, |x| x.to_f64().to_le_bytes())),
                _ => (Dtype::F32, bytes(&values, |x| (x.to_f64() as f32).to_le_bytes())),
            };
            parts.push((name, tensor.shape().to_vec(), dtype, bytes));
        }
        let views = parts.iter().map(|(name, shape, dtype, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let texts = self.texts.clone().into_iter().collect();
        serialize(views, Some(texts)).map_err(unreadable)
    }

    /// Reads a file's bytes; f16, bf16, f32, f64, i64 and u8 entries are converted.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let texts = header.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let mut tensors = State::new();
        for (name, view) in file.iter() {
            let data = view.data();
            let values: Vec<T> = match view.dtype() {
                Dtype::F32 => numbers(data, |b| f32::from_le_bytes(b).into()),
                Dtype::F64 => numbers(data, f64::from_le_bytes),
                Dtype::F16 => numbers(data, |b| half(u16::from_le_bytes(b))),
                Dtype::BF16 => {
                    numbers(data, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16).into())
                }
                Dtype::I64 => numbers(data, |b| i64::from_le_bytes(b) as f64),
                Dtype::U8 => numbers(data, |[byte]: [u8; 1]| byte.into()),
                other => {
                    let known = "f16, bf16, f32, f64, i64 or u8";
                    let message = format!("expected {known} in {name}, got {other:?}");
                    return Err(unreadable(message));
                }
            };
            tensors.insert(name.to_owned(), Tensor::from_vec(values, view.shape(), device)?);
        }
        let texts = texts.into_iter().collect();
        Ok(Checkpoint { tensors, texts })
    }

    /// Writes the file, atomically.
    pub fn save(&self, path: &Path) -> Result<()> {
        atomic_write(path, &self.to_bytes()?)
    }

    /// Reads the file.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let named = |message: String| {
            Error::new(ErrorKind::Data, "load", format!("{}: {message}", path.display()))
        };
        let bytes = fs::read(path).map_err(|error| named(error.to_string()))?;
        Self::from_bytes(&bytes, device).map_err(|error| named(error.message().to_owned()))
    }
}

fn unreadable(error: impl ToString) -> Error {
    Error::new(ErrorKind::Data, "checkpoint", error.to_string())
}

fn bytes<T: Copy, const N: usize>(values: &[T], f: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| f(value)).collect()
}

/// A number of 16 bits as IEEE 754 has it: sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 0x1f, bits & 0x3ff);
    let fraction = f64::from(fraction) / 1024.0;
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-14),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

fn numbers<T: Float, const N: usize>(data: &[u8], f: impl Fn([u8; N]) -> f64) -> Vec<T> {
    let (chunks, _) = data.as_chunks::<N>();
    chunks.iter().map(|&chunk| T::from_f64(f(chunk))).collect()
}
