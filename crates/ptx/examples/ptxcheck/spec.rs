//! The specification of a launch, as a TOML file gives it. Numbers are read as doubles, which hold
//! whole numbers up to 2^53.

#![allow(clippy::unnecessary_cast, reason = "one text serves all types of numbers")]

use serde::Deserialize;
use striate_ptx::{Arg, Memory, Scalar};

/// A launch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Fields")]
pub struct Spec {
    /// The kernel's name.
    pub kernel: String,
    /// The blocks along x, y and z; what is left out is one.
    pub grid: Vec<u32>,
    /// The threads of a block, likewise.
    pub block: Vec<u32>,
    /// The bytes of dynamic shared memory.
    pub shared: usize,
    /// The arguments in order.
    pub args: Vec<Argument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    kernel: String,
    grid: Vec<u32>,
    block: Vec<u32>,
    #[serde(default)]
    shared: usize,
    #[serde(default)]
    args: Vec<Argument>,
}

impl TryFrom<Fields> for Spec {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let Fields { kernel, grid, block, shared, args } = fields;
        if grid.len().max(block.len()) > 3 {
            return Err("a grid and a block have at most three sizes".into());
        }
        for (i, arg) in args.iter().enumerate() {
            if arg.count.is_some() == arg.value.is_some() {
                return Err(format!("argument {i} needs either `value` or `count`"));
            }
        }
        Ok(Self { kernel, grid, block, shared, args })
    }
}

/// A scalar, or an array that is passed by its address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// The type of the scalar or of the array's numbers.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The scalar.
    pub value: Option<f64>,
    /// The length of the array.
    pub count: Option<usize>,
    /// What the array holds at first.
    pub fill: Option<Fill>,
    /// What the array must begin with at last.
    #[serde(default)]
    pub expect: Vec<f64>,
    /// How far it may be from that.
    #[serde(default)]
    pub tolerance: f64,
    /// How many of the array's numbers to print at last.
    #[serde(default)]
    pub show: usize,
}

/// The first content of an array.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Fill {
    /// The same number everywhere.
    Number(f64),
    /// Another number everywhere.
    Pattern(Pattern),
}

/// A rule for the first content of an array.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// Each number is its index.
    Index,
    /// Numbers from -1 to 1 (whole types: from their whole range), the same in every run.
    Random,
}

/// The types of numbers.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// Evaluates an expression with `$t` standing for the type of numbers.
macro_rules! with_type {
    ($kind:expr, $t:ident => $e:expr) => {
        match $kind {
            Kind::U8 => {
                type $t = u8;
                $e
            }
            Kind::I8 => {
                type $t = i8;
                $e
            }
            Kind::U16 => {
                type $t = u16;
                $e
            }
            Kind::I16 => {
                type $t = i16;
                $e
            }
            Kind::U32 => {
                type $t = u32;
                $e
            }
            Kind::I32 => {
                type $t = i32;
                $e
            }
            Kind::U64 => {
                type $t = u64;
                $e
            }
            Kind::I64 => {
                type $t = i64;
                $e
            }
            Kind::F32 => {
                type $t = f32;
                $e
            }
            Kind::F64 => {
                type $t = f64;
                $e
            }
        }
    };
}

impl Kind {
    fn bytes(self) -> usize {
        with_type!(self, T => size_of::<T>())
    }

    fn random(self, bits: u64) -> f64 {
        match self {
            Self::F32 | Self::F64 => (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0,
            _ => with_type!(self, T => (bits as T) as f64),
        }
    }

    /// The first numbers of an array.
    pub fn download(self, memory: &mut Memory, at: u64, count: usize) -> Result<Vec<f64>, String> {
        fn widened<T: Scalar>(
            values: Result<Vec<T>, striate_ptx::MemoryError>,
            widen: fn(T) -> f64,
        ) -> Result<Vec<f64>, String> {
            values
                .map(|all| all.into_iter().map(widen).collect())
                .map_err(|error| error.to_string())
        }
        with_type!(self, T => widened(memory.download::<T>(at, count), |value| value as f64))
    }
}

impl Argument {
    /// The argument for the launch and, for an array, its address.
    pub fn place(&self, memory: &mut Memory) -> Result<(Arg, Option<u64>), String> {
        if let Some(value) = self.value {
            return Ok((with_type!(self.kind, T => Arg::from(value as T)), None));
        }
        let count = self.count.unwrap_or_default();
        let address = match &self.fill {
            None => memory.alloc(count.saturating_mul(self.kind.bytes())),
            Some(fill) => {
                let values = self.first(fill, count);
                with_type!(self.kind, T => {
                    let values: Vec<T> = values.map(|value| value as T).collect();
                    memory.upload(&values)
                })
            }
        };
        let address = address.map_err(|error| error.to_string())?;
        Ok((address.into(), Some(address)))
    }

    fn first(&self, fill: &Fill, count: usize) -> impl Iterator<Item = f64> {
        // Marsaglia's xorshift64.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        (0..count).map(move |i| match fill {
            Fill::Number(value) => *value,
            Fill::Pattern(Pattern::Index) => i as f64,
            Fill::Pattern(Pattern::Random) => {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                self.kind.random(state)
            }
        })
    }
}
