//! The decoded form of a kernel: what the executor runs.
//!
//! Every source operand is a register. A constant, a symbol's address or a special register such
//! as `%tid.x` is a register that is filled before the first instruction, so that the executor has
//! one kind of operand only. An arithmetic instruction holds the function that computes all 32
//! lanes of a warp; it was looked up at load, where an unknown combination was refused.

use std::fmt;

use crate::alu::Update;
use crate::matrix::{Product, Rows};

/// The lanes of a warp.
pub(crate) const LANES: usize = 32;

/// One register of all lanes. A value narrower than 64 bits is kept zero-extended.
pub(crate) type Lanes = [u64; LANES];

/// Computes one result for all lanes from up to three registers.
pub(crate) type WarpFn = fn([&Lanes; 3]) -> Lanes;

/// A register's index in the kernel's register file.
pub(crate) type Reg = u32;

/// The class of a PTX type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Bits,
    Unsigned,
    Signed,
    Float,
    Predicate,
}

/// A fundamental PTX type, such as `.u32` or `.f64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Type {
    pub class: Class,
    pub bits: u32,
}

impl Type {
    pub const U32: Self = Self { class: Class::Unsigned, bits: 32 };
    pub const B32: Self = Self { class: Class::Bits, bits: 32 };
    pub const F32: Self = Self { class: Class::Float, bits: 32 };
    pub const U64: Self = Self { class: Class::Unsigned, bits: 64 };
    pub const PRED: Self = Self { class: Class::Predicate, bits: 1 };

    /// The type named by a modifier, `u32` for `.u32`; half precision is not among them.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "pred" {
            return Some(Self::PRED);
        }
        let class = match name.get(..1)? {
            "b" => Class::Bits,
            "u" => Class::Unsigned,
            "s" => Class::Signed,
            "f" => Class::Float,
            _ => return None,
        };
        let bits = match (class, name.get(1..)?) {
            (Class::Float, "32") | (_, "32") => 32,
            (Class::Float, "64") | (_, "64") => 64,
            (Class::Bits | Class::Unsigned | Class::Signed, "8") => 8,
            (Class::Bits | Class::Unsigned | Class::Signed, "16") => 16,
            _ => return None,
        };
        Some(Self { class, bits })
    }

    /// Bytes in memory; a predicate has none.
    pub fn bytes(self) -> usize {
        self.bits as usize / 8
    }

    /// Whether this integer type has every value of another.
    pub fn includes(self, other: Self) -> bool {
        let signed = |ty: Self| ty.class == Class::Signed;
        match (signed(self), signed(other)) {
            (false, true) => false,
            (true, false) => self.bits > other.bits,
            _ => self.bits >= other.bits,
        }
    }

    pub fn is_float(self) -> bool {
        self.class == Class::Float
    }

    /// Whether a register declared `self` may stand where an instruction says `asked`.
    pub fn fits(self, asked: Self) -> bool {
        let integer = |t: Self| matches!(t.class, Class::Unsigned | Class::Signed);
        let same = self.class == asked.class || (integer(self) && integer(asked));
        let untyped = self.class == Class::Bits || asked.class == Class::Bits;
        let predicate = |t: Self| t.class == Class::Predicate;
        self.bits == asked.bits && predicate(self) == predicate(asked) && (same || untyped)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.class {
            Class::Bits => "b",
            Class::Unsigned => "u",
            Class::Signed => "s",
            Class::Float => "f",
            Class::Predicate => return f.write_str(".pred"),
        };
        write!(f, ".{letter}{}", self.bits)
    }
}

/// A state space that instructions address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Param,
    Const,
    Global,
    Shared,
}

/// A register whose value depends on the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Special {
    Thread(usize),
    BlockSize(usize),
    Block(usize),
    GridSize(usize),
    Lane,
    Warp,
    LaneMaskLess,
    LaneMaskLessEqual,
    LaneMaskEqual,
    LaneMaskGreater,
    LaneMaskGreaterEqual,
}

/// How a second predicate joins a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    And,
    Or,
    Xor,
}

/// Where a shuffle reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a vote asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
}

/// A predicate and whether it is negated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub reg: Reg,
    pub negated: bool,
}

/// `[base + offset]` with the element type, one register per vector element.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub space: Space,
    pub ty: Type,
    pub regs: Vec<Option<Reg>>,
    /// The width of the destination registers, which may exceed the element's.
    pub reg_bits: u32,
    pub base: Reg,
    pub offset: i64,
}

impl Access {
    /// The bytes that one thread moves.
    pub fn bytes(&self) -> usize {
        self.ty.bytes() * self.regs.len()
    }
}

/// A `cp.async`: where to and from, as register and offset.
#[derive(Clone, Debug)]
pub(crate) struct AsyncCopy {
    pub to: (Reg, i64),
    pub from: (Reg, i64),
    pub bytes: usize,
    /// The bytes to read, if not all; zeros follow them.
    pub read: Option<Reg>,
}

/// A rounding mode of `cvt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    Nearest,
    Zero,
    Down,
    Up,
}

/// The conversion that a `cvt` makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversion {
    pub to: Type,
    pub from: Type,
    pub rounding: Rounding,
    /// `.rni` and its like: the result is a whole number.
    pub whole: bool,
    pub saturate: bool,
    pub reg_bits: u32,
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Alu {
        run: WarpFn,
        dst: Reg,
        src: [Reg; 3],
        flush: bool,
        saturate: bool,
    },
    Convert {
        how: Conversion,
        dst: Reg,
        src: Reg,
    },
    Compare {
        run: WarpFn,
        dst: Reg,
        other: Option<Reg>,
        src: [Reg; 2],
        join: Option<(Join, Guard)>,
        flush: bool,
    },
    Pack {
        dst: Reg,
        parts: Vec<Reg>,
        bits: u32,
    },
    Unpack {
        parts: Vec<Option<Reg>>,
        src: Reg,
        bits: u32,
    },
    Load(Access),
    Store(Access),
    /// Replaces a value in memory by a function of it and up to two registers.
    Atomic {
        access: Access,
        run: Update,
        dst: Option<Reg>,
        src: [Reg; 2],
    },
    Copy(AsyncCopy),
    CopyCommit,
    /// Waits for all groups of copies but the last few, or for everything.
    CopyWait {
        but: Option<u64>,
    },
    Product(Product),
    Matrices(Rows),
    Branch {
        target: usize,
    },
    Barrier {
        id: u64,
    },
    WarpBarrier {
        members: Reg,
    },
    Shuffle {
        how: Shuffle,
        dst: Reg,
        inside: Option<Reg>,
        src: Reg,
        lane: Reg,
        clamp: Reg,
        members: Reg,
    },
    Vote {
        how: Vote,
        dst: Reg,
        src: Guard,
        members: Reg,
    },
    ActiveMask {
        dst: Reg,
    },
    Fence,
    Exit,
}

/// An operation, the predicate that guards it and the line it came from.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub op: Op,
    pub guard: Option<Guard>,
    pub line: u32,
}

/// A kernel parameter and its place in the parameter space.
#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub name: String,
    pub offset: usize,
    pub bytes: usize,
}

/// A kernel ready to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kernel {
    pub name: String,
    pub params: Vec<Param>,
    pub registers: usize,
    pub constants: Vec<(Reg, u64)>,
    pub specials: Vec<(Reg, Special)>,
    /// Bytes of shared memory declared in the text, without the dynamic part.
    pub static_shared: usize,
    pub code: Vec<Instruction>,
    /// `.reqntid` or `.maxntid`, as the number of threads.
    pub max_threads: Option<u64>,
}
