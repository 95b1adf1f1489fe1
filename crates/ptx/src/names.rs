//! The names of a kernel while it is read: registers, symbols, labels, and the registers made for
//! constants and special values.

use std::collections::HashMap;

use crate::instruction::{Kernel, Reg, Space, Special, Type};

/// More registers than this are surely a mistake in the text.
const MOST_REGISTERS: usize = 1 << 16;

/// As many as the shadow of memory can tell apart.
const MOST_INSTRUCTIONS: usize = 1 << 16;

/// An operand as written, its names looked up.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Reg(Reg, Type),
    Negated(Reg, Type),
    Int(u64),
    Float(f64),
    Symbol(Symbol),
    Special(Special),
    Address(Box<Operand>, i64),
    Vector(Vec<Operand>),
    Pair(Box<Operand>, Box<Operand>),
    Sink,
    /// A word that names nothing declared so far: a label, if anything.
    Word(String),
}

/// What a symbol stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Symbol {
    At(Space, u64),
    /// The shared memory whose size the launch decides.
    DynamicShared,
}

#[derive(Default)]
pub(crate) struct Names {
    pub kernel: Kernel,
    pub symbols: HashMap<String, Symbol>,
    /// The compute capability that the module asks for, times ten, if it says so.
    pub target: Option<u32>,
    /// The version of PTX that the module is written in, if it says so.
    pub version: Option<f64>,
    /// Whether approximate instructions are rounded once.
    pub exact: bool,
    scopes: Vec<HashMap<String, (Reg, Type)>>,
    constants: HashMap<u64, Reg>,
    specials: HashMap<Special, Reg>,
    dynamic: Option<Reg>,
    labels: HashMap<String, usize>,
    /// For each label by number: where it is, once known, and the line that first used it.
    places: Vec<(Option<usize>, u32)>,
}

impl Names {
    pub fn new(kernel: Kernel, symbols: HashMap<String, Symbol>) -> Self {
        Self { kernel, symbols, scopes: vec![HashMap::new()], ..Self::default() }
    }

    pub fn open(&mut self) {
        self.scopes.push(HashMap::new());
    }

    /// Leaves a scope and says whether the kernel goes on.
    pub fn close(&mut self) -> bool {
        self.scopes.pop();
        !self.scopes.is_empty()
    }

    fn fresh(&mut self) -> Result<Reg, String> {
        if self.kernel.registers >= MOST_REGISTERS {
            return Err(format!("more than {MOST_REGISTERS} registers"));
        }
        self.kernel.registers += 1;
        Ok(self.kernel.registers as Reg - 1)
    }

    /// Declares one register, or `count` numbered ones.
    pub fn declare(&mut self, name: &str, ty: Type, count: Option<u64>) -> Result<(), String> {
        let names: Box<dyn Iterator<Item = String>> = match count {
            None => Box::new(std::iter::once(name.to_owned())),
            Some(count) => Box::new((0..count).map(|i| format!("{name}{i}"))),
        };
        for name in names {
            let reg = self.fresh()?;
            let scope = self.scopes.last_mut().ok_or("a register outside a kernel")?;
            if scope.insert(name.clone(), (reg, ty)).is_some() {
                return Err(format!("register `{name}` is declared twice"));
            }
        }
        Ok(())
    }

    /// What a word in an operand stands for.
    pub fn lookup(&self, word: &str) -> Result<Operand, String> {
        if word == "_" {
            return Ok(Operand::Sink);
        }
        if let Some((hidden, _)) = word.split_once('.')
            && self.scopes.iter().any(|scope| scope.contains_key(hidden))
        {
            return Err(format!("`{word}`: the declared register `{hidden}` has no parts"));
        }
        if let Some((reg, ty)) = self.scopes.iter().rev().find_map(|scope| scope.get(word)) {
            return Ok(Operand::Reg(*reg, *ty));
        }
        if let Some(symbol) = self.symbols.get(word) {
            return Ok(Operand::Symbol(*symbol));
        }
        Ok(match special(word) {
            Some(Ok(special)) => Operand::Special(special),
            Some(Err(value)) => Operand::Int(value),
            None => Operand::Word(word.to_owned()),
        })
    }

    pub fn constant(&mut self, bits: u64) -> Result<Reg, String> {
        if let Some(reg) = self.constants.get(&bits) {
            return Ok(*reg);
        }
        let reg = self.fresh()?;
        self.constants.insert(bits, reg);
        self.kernel.constants.push((reg, bits));
        Ok(reg)
    }

    pub fn special(&mut self, special: Special) -> Result<Reg, String> {
        if let Some(reg) = self.specials.get(&special) {
            return Ok(*reg);
        }
        let reg = self.fresh()?;
        self.specials.insert(special, reg);
        self.kernel.specials.push((reg, special));
        Ok(reg)
    }

    pub fn symbol(&mut self, symbol: Symbol) -> Result<Reg, String> {
        match (symbol, self.dynamic) {
            (Symbol::At(_, address), _) => self.constant(address),
            (Symbol::DynamicShared, Some(reg)) => Ok(reg),
            (Symbol::DynamicShared, None) => {
                let reg = self.fresh()?;
                self.dynamic = Some(reg);
                Ok(reg)
            }
        }
    }

    /// The number of a label, which may come later in the text.
    pub fn label(&mut self, name: &str, line: u32) -> usize {
        let next = self.places.len();
        let number = *self.labels.entry(name.to_owned()).or_insert(next);
        if number == next {
            self.places.push((None, line));
        }
        number
    }

    /// Says that a label stands before the next instruction.
    pub fn place(&mut self, name: &str, line: u32) -> Result<(), String> {
        let (at, number) = (self.kernel.code.len(), self.label(name, line));
        match self.places[number].0.replace(at) {
            None => Ok(()),
            Some(_) => Err(format!("label `{name}` stands twice")),
        }
    }

    /// Ends the kernel: branches get their targets and dynamic shared memory its place.
    pub fn finish(mut self) -> Result<Kernel, (u32, String)> {
        use crate::instruction::Op;
        for (name, number) in &self.labels {
            if let (None, line) = self.places[*number] {
                return Err((line, format!("label `{name}` stands nowhere in the kernel")));
            }
        }
        for instruction in &mut self.kernel.code {
            if let Op::Branch { target } = &mut instruction.op {
                *target = self.places[*target].0.unwrap_or_default();
            }
        }
        if self.kernel.code.len() > MOST_INSTRUCTIONS {
            let line = self.kernel.code[MOST_INSTRUCTIONS].line;
            return Err((line, format!("more than {MOST_INSTRUCTIONS} instructions")));
        }
        self.kernel.static_shared = self.kernel.static_shared.next_multiple_of(16);
        if let Some(reg) = self.dynamic {
            self.kernel.constants.push((reg, self.kernel.static_shared as u64));
        }
        Ok(self.kernel)
    }
}

/// A special register, or the value of one that is always the same.
fn special(word: &str) -> Option<Result<Special, u64>> {
    let (name, axis) = word.split_once('.').unwrap_or((word, ""));
    let axis = match axis {
        "x" => 0,
        "y" => 1,
        "z" => 2,
        "" => 3,
        _ => return None,
    };
    let scalar = axis == 3;
    Some(Ok(match name {
        "%tid" if !scalar => Special::Thread(axis),
        "%ntid" if !scalar => Special::BlockSize(axis),
        "%ctaid" if !scalar => Special::Block(axis),
        "%nctaid" if !scalar => Special::GridSize(axis),
        "%laneid" if scalar => Special::Lane,
        "%warpid" if scalar => Special::Warp,
        "%lanemask_lt" if scalar => Special::LaneMaskLess,
        "%lanemask_le" if scalar => Special::LaneMaskLessEqual,
        "%lanemask_eq" if scalar => Special::LaneMaskEqual,
        "%lanemask_gt" if scalar => Special::LaneMaskGreater,
        "%lanemask_ge" if scalar => Special::LaneMaskGreaterEqual,
        "WARP_SZ" if scalar => return Some(Err(32)),
        _ => return None,
    }))
}
