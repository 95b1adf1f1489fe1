//! Reads a module: its directives, constant arrays, shared arrays and kernels.
//!
//! Whatever is not understood is refused with its file and line; nothing is skipped that could
//! change a result.

use std::collections::HashMap;

use crate::decode::decode;
use crate::error::ParseError;
use crate::instruction::{Guard, Instruction, Kernel, Op, Param, Space, Type};
use crate::lexer::{Located, Token, lex};
use crate::names::{Names, Operand, Symbol};

/// Static shared memory beyond this is an error on every card.
const STATIC_SHARED: usize = 48 << 10;
const CONSTANTS: usize = 64 << 10;
const PARAMS: usize = 4 << 10;

/// A loaded PTX file.
#[derive(Clone, Debug, Default)]
pub struct Module {
    pub(crate) file: String,
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) constants: Vec<u8>,
    /// The compute capability asked for, times ten.
    pub(crate) target: Option<u32>,
    /// Each constant's name, offset and bytes.
    pub(crate) globals: Vec<(String, usize, usize)>,
}

impl Module {
    /// Loads PTX text; `file` is the name that errors and faults give.
    ///
    /// Approximate instructions such as `ex2.approx` will be wrong by as much as NVIDIA documents,
    /// so that a kernel which stands that here stands it on a card.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        Self::load(file, text, false)
    }

    /// The same, but approximate instructions are computed in double precision and rounded once.
    pub fn parse_exact(file: &str, text: &str) -> Result<Self, ParseError> {
        Self::load(file, text, true)
    }

    fn load(file: &str, text: &str, exact: bool) -> Result<Self, ParseError> {
        let tokens = lex(file, text)?;
        let module = Self { file: file.into(), ..Self::default() };
        let (symbols, version) = (HashMap::new(), None);
        let mut parser = Parser { module, tokens, at: 0, symbols, shared: 0, version, exact };
        match parser.module() {
            Ok(()) => Ok(parser.module),
            Err((line, message)) => Err(ParseError { file: file.into(), line, message }),
        }
    }

    /// The names of the module's kernels, in the order of the text.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.kernels.iter().map(|kernel| kernel.name.as_str())
    }
}

type Parsed<T> = Result<T, (u32, String)>;

struct Parser {
    module: Module,
    tokens: Vec<Located>,
    at: usize,
    symbols: HashMap<String, Symbol>,
    /// Bytes of shared arrays declared outside kernels.
    shared: usize,
    version: Option<f64>,
    exact: bool,
}

/// `.align`, type, name and size of a declared array.
struct Array {
    align: usize,
    ty: Type,
    name: String,
    /// `None` for `[]`.
    bytes: Option<usize>,
}

impl Parser {
    fn line(&self) -> u32 {
        let last = self.at.min(self.tokens.len().saturating_sub(1));
        self.tokens.get(last).map_or(1, |token| token.line)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err((self.line(), message.into()))
    }

    fn wrap<T>(&self, result: Result<T, String>) -> Parsed<T> {
        result.map_err(|message| (self.line(), message))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|located| &located.token)
    }

    fn eat(&mut self, punct: char) -> bool {
        let found = self.peek() == Some(&Token::Punct(punct));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, punct: char) -> Parsed<()> {
        if self.eat(punct) { Ok(()) } else { self.fail(format!("expected `{punct}` here")) }
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w == word);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self) -> Parsed<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            _ => self.fail("expected a name here"),
        }
    }

    fn int(&mut self) -> Parsed<u64> {
        match self.peek() {
            Some(Token::Int(value)) => {
                let value = *value;
                self.at += 1;
                Ok(value)
            }
            _ => self.fail("expected a whole number here"),
        }
    }

    fn module(&mut self) -> Parsed<()> {
        while self.peek().is_some() {
            let directive = self.word()?;
            match directive.as_str() {
                ".version" => {
                    self.version = match self.peek() {
                        Some(Token::Float(version)) => Some(*version),
                        _ => return self.fail("a version is a number such as 7.0"),
                    };
                    self.at += 1;
                }
                ".address_size" => self.at += 1,
                ".target" => self.target()?,
                ".visible" | ".weak" => {}
                ".extern" => self.external()?,
                ".const" => self.constant()?,
                ".shared" => {
                    let mut used = self.shared;
                    let symbol = self.shared_array(&mut used)?;
                    self.shared = used;
                    self.symbols.insert(symbol.0, symbol.1);
                }
                ".entry" => self.kernel()?,
                _ => {
                    self.at -= 1;
                    return self.fail(format!("`{directive}` is not supported outside a kernel"));
                }
            }
        }
        Ok(())
    }

    /// `sm_70` or `sm_90a`, and words that say nothing about instructions.
    fn target(&mut self) -> Parsed<()> {
        loop {
            let word = self.word()?;
            if let Some(number) = word.strip_prefix("sm_") {
                let number = number.trim_end_matches(['a', 'f']).parse();
                let Ok(number) = number else { return self.fail(format!("`{word}`: no target")) };
                self.module.target = Some(number);
            }
            if !self.eat(',') {
                return Ok(());
            }
        }
    }

    fn external(&mut self) -> Parsed<()> {
        if !self.eat_word(".shared") {
            return self.fail("only `.extern .shared` is supported");
        }
        let array = self.array()?;
        if array.bytes.is_some() {
            return self.fail("an `.extern .shared` array has no size: write `[]`");
        }
        self.symbols.insert(array.name, Symbol::DynamicShared);
        self.expect(';')
    }

    fn array(&mut self) -> Parsed<Array> {
        let mut align = None;
        if self.eat_word(".align") {
            let value = self.int()?;
            if !value.is_power_of_two() || value > 256 {
                return self.fail("an alignment is a power of two up to 256");
            }
            align = Some(value as usize);
        }
        let ty = self.memory_type()?;
        let name = self.word()?;
        let mut bytes = Some(ty.bytes());
        while self.eat('[') {
            if self.eat(']') {
                bytes = None;
                continue;
            }
            let count = usize::try_from(self.int()?).unwrap_or(usize::MAX);
            bytes = bytes.map(|bytes| bytes.saturating_mul(count));
            self.expect(']')?;
        }
        Ok(Array { align: align.unwrap_or(ty.bytes()), ty, name, bytes })
    }

    fn memory_type(&mut self) -> Parsed<Type> {
        let word = self.word()?;
        match word.strip_prefix('.').and_then(Type::parse) {
            Some(ty) if ty.bits >= 8 => Ok(ty),
            _ => self.fail(format!("`{word}` is not a type that memory can hold")),
        }
    }

    fn shared_array(&mut self, used: &mut usize) -> Parsed<(String, Symbol)> {
        let array = self.array()?;
        let Some(bytes) = array.bytes else { return self.fail("a shared array needs a size") };
        let offset = used.next_multiple_of(array.align);
        *used = offset.saturating_add(bytes);
        if *used > STATIC_SHARED {
            return self.fail(format!(
                "{used} bytes of static shared memory; the limit is {STATIC_SHARED}: use `.extern .shared`"
            ));
        }
        self.expect(';')?;
        Ok((array.name, Symbol::At(Space::Shared, offset as u64)))
    }

    fn constant(&mut self) -> Parsed<()> {
        let array = self.array()?;
        let mut values = Vec::new();
        if self.eat('=') {
            let list = self.eat('{');
            loop {
                let negative = self.eat('-');
                let bits = match self.peek() {
                    Some(Token::Int(v)) if !array.ty.is_float() => {
                        if negative {
                            v.wrapping_neg()
                        } else {
                            *v
                        }
                    }
                    Some(Token::Float(v)) if array.ty.is_float() => {
                        float_bits(if negative { -v } else { *v }, array.ty.bits)
                    }
                    _ => return self.fail(format!("expected a {} constant", array.ty)),
                };
                self.at += 1;
                values.extend_from_slice(&bits.to_le_bytes()[..array.ty.bytes()]);
                if !list || !self.eat(',') {
                    break;
                }
            }
            if list {
                self.expect('}')?;
            }
        }
        let bytes = array.bytes.unwrap_or(values.len());
        let offset = self.module.constants.len().next_multiple_of(array.align);
        if values.len() > bytes || offset.saturating_add(bytes) > CONSTANTS {
            return self.fail(format!("too many bytes in constant `{}`", array.name));
        }
        values.resize(bytes, 0);
        self.module.constants.resize(offset, 0);
        self.module.constants.extend(values);
        self.module.globals.push((array.name.clone(), offset, bytes));
        self.symbols.insert(array.name, Symbol::At(Space::Const, offset as u64));
        self.expect(';')
    }

    fn kernel(&mut self) -> Parsed<()> {
        let name = self.word()?;
        if self.module.kernels.iter().any(|kernel| kernel.name == name) {
            return self.fail(format!("kernel `{name}` is defined twice"));
        }
        let kernel = Kernel { name, static_shared: self.shared, ..Kernel::default() };
        let mut names = Names::new(kernel, self.symbols.clone());
        (names.target, names.version) = (self.module.target, self.version);
        names.exact = self.exact;
        if self.eat('(') && !self.eat(')') {
            loop {
                self.param(&mut names)?;
                if !self.eat(',') {
                    break;
                }
            }
            self.expect(')')?;
        }
        self.bounds(&mut names)?;
        self.expect('{')?;
        while self.statement(&mut names)? {}
        let line = self.line();
        names.kernel.code.push(Instruction { op: Op::Exit, guard: None, line });
        let kernel = names.finish()?;
        self.module.kernels.push(kernel);
        Ok(())
    }

    fn param(&mut self, names: &mut Names) -> Parsed<()> {
        if !self.eat_word(".param") {
            return self.fail("expected `.param`");
        }
        let mut align = None;
        if self.eat_word(".align") {
            align = Some(self.int()?);
        }
        let ty = self.memory_type()?;
        for hint in [".ptr", ".global"] {
            self.eat_word(hint);
        }
        if self.eat_word(".align") {
            self.int()?;
        }
        let name = self.word()?;
        let mut bytes = ty.bytes();
        if self.eat('[') {
            bytes = bytes.saturating_mul(usize::try_from(self.int()?).unwrap_or(usize::MAX));
            self.expect(']')?;
        }
        let align = align.unwrap_or(ty.bytes() as u64).clamp(1, 128) as usize;
        let end = names.kernel.params.last().map_or(0, |p| p.offset + p.bytes);
        let offset = end.next_multiple_of(align);
        if offset.saturating_add(bytes) > PARAMS {
            return self.fail(format!("parameters take more than {PARAMS} bytes"));
        }
        names.symbols.insert(name.clone(), Symbol::At(Space::Param, offset as u64));
        names.kernel.params.push(Param { name, offset, bytes });
        Ok(())
    }

    fn bounds(&mut self, names: &mut Names) -> Parsed<()> {
        loop {
            if self.eat_word(".maxntid") || self.eat_word(".reqntid") {
                let mut threads = self.int()?;
                while self.eat(',') {
                    threads = threads.saturating_mul(self.int()?);
                }
                names.kernel.max_threads = Some(threads);
            } else if self.eat_word(".minnctapersm") || self.eat_word(".maxnreg") {
                self.int()?;
            } else {
                return Ok(());
            }
        }
    }

    /// One declaration, label or instruction; false at the kernel's closing brace.
    fn statement(&mut self, names: &mut Names) -> Parsed<bool> {
        let line = self.line();
        if self.eat('{') {
            names.open();
            return Ok(true);
        }
        if self.eat('}') {
            return Ok(names.close());
        }
        let guard = if self.eat('@') { Some(self.guard(names)?) } else { None };
        let word = self.word()?;
        if guard.is_none() && self.eat(':') {
            let placed = names.place(&word, line);
            return self.wrap(placed).map(|()| true);
        }
        match word.as_str() {
            ".reg" => self.registers(names)?,
            ".shared" => {
                let mut used = names.kernel.static_shared;
                let (name, symbol) = self.shared_array(&mut used)?;
                names.kernel.static_shared = used;
                names.symbols.insert(name, symbol);
            }
            ".pragma" => {
                self.at += 1;
                self.expect(';')?;
            }
            _ => {
                let operands = self.operands(names)?;
                let op = decode(&word, &operands, names, line).map_err(|m| (line, m))?;
                self.expect(';')?;
                names.kernel.code.push(Instruction { op, guard, line });
            }
        }
        Ok(true)
    }

    fn guard(&mut self, names: &mut Names) -> Parsed<Guard> {
        let negated = self.eat('!');
        let word = self.word()?;
        match self.wrap(names.lookup(&word))? {
            Operand::Reg(reg, Type::PRED) => Ok(Guard { reg, negated }),
            _ => self.fail(format!("`{word}` is not a predicate register")),
        }
    }

    fn registers(&mut self, names: &mut Names) -> Parsed<()> {
        let word = self.word()?;
        let Some(ty) = word.strip_prefix('.').and_then(Type::parse) else {
            return self.fail(format!("`{word}` is not a register type"));
        };
        loop {
            let name = self.word()?;
            let mut count = None;
            if self.eat('<') {
                count = Some(self.int()?);
                self.expect('>')?;
            }
            let declared = names.declare(&name, ty, count);
            self.wrap(declared)?;
            if !self.eat(',') {
                return self.expect(';');
            }
        }
    }

    fn operands(&mut self, names: &Names) -> Parsed<Vec<Operand>> {
        let mut operands = Vec::new();
        if self.peek() == Some(&Token::Punct(';')) {
            return Ok(operands);
        }
        loop {
            let operand = self.operand(names)?;
            if self.eat('|') {
                let second = self.operand(names)?;
                operands.push(Operand::Pair(operand.into(), second.into()));
            } else {
                operands.push(operand);
            }
            if !self.eat(',') {
                return Ok(operands);
            }
        }
    }

    fn operand(&mut self, names: &Names) -> Parsed<Operand> {
        if self.eat('[') {
            return self.address(names);
        }
        if self.eat('{') {
            let mut parts = vec![self.simple(names)?];
            while self.eat(',') {
                parts.push(self.simple(names)?);
            }
            self.expect('}')?;
            return Ok(Operand::Vector(parts));
        }
        self.simple(names)
    }

    /// A register, name or number with its sign.
    fn simple(&mut self, names: &Names) -> Parsed<Operand> {
        let negative = self.eat('-');
        let negated = !negative && self.eat('!');
        let operand = match self.peek() {
            Some(Token::Int(v)) => Operand::Int(if negative { v.wrapping_neg() } else { *v }),
            Some(Token::Float(v)) => Operand::Float(if negative { -v } else { *v }),
            Some(Token::Word(word)) if !negative => self.wrap(names.lookup(word))?,
            _ => return self.fail("expected an operand here"),
        };
        self.at += 1;
        match (negated, operand) {
            (false, operand) => Ok(operand),
            (true, Operand::Reg(reg, ty)) => Ok(Operand::Negated(reg, ty)),
            (true, _) => self.fail("only a predicate register can be negated with `!`"),
        }
    }

    fn address(&mut self, names: &Names) -> Parsed<Operand> {
        let base = self.simple(names)?;
        let mut offset = 0_i64;
        if self.eat('+') {
            let negative = self.eat('-');
            let value = self.int()? as i64;
            offset = if negative { value.wrapping_neg() } else { value };
        }
        self.expect(']')?;
        Ok(Operand::Address(base.into(), offset))
    }
}

/// The bits of a floating-point constant at a width.
pub(crate) fn float_bits(value: f64, bits: u32) -> u64 {
    if bits == 32 { u64::from((value as f32).to_bits()) } else { value.to_bits() }
}
