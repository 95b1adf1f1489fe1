//! Turns an opcode and its operands into an operation, or says why it cannot.
//!
//! Here stands what computes and what steers; [`memory`] has the instructions that address memory,
//! and [`tensor`] those that came with `sm_80`.

mod memory;
mod tensor;

use crate::alu;
use crate::instruction::{
    Class, Conversion, Guard, Join, Op, Reg, Rounding, Shuffle, Type, Vote, WarpFn,
};
use crate::names::{Names, Operand};
use crate::parse::float_bits;

type Decoded<T> = Result<T, String>;

/// Decodes one instruction.
pub(crate) fn decode(
    opcode: &str,
    operands: &[Operand],
    names: &mut Names,
    line: u32,
) -> Decoded<Op> {
    let mut parts = opcode.split('.');
    let name = parts.next().unwrap_or_default();
    let (mods, operands) = (parts.collect(), operands.iter());
    let mut d = Decoder { opcode, name, mods, operands, names, line };
    let op = d.op(name)?;
    if let Some(left) = d.mods.first() {
        return Err(format!("`{opcode}`: modifier `.{left}` is not supported"));
    }
    match d.operands.next() {
        Some(_) => Err(format!("`{opcode}` has too many operands")),
        None => Ok(op),
    }
}

struct Decoder<'a> {
    opcode: &'a str,
    /// The opcode up to its first modifier.
    name: &'a str,
    mods: Vec<&'a str>,
    operands: std::slice::Iter<'a, Operand>,
    names: &'a mut Names,
    line: u32,
}

impl Decoder<'_> {
    fn fail<T>(&self, message: &str) -> Decoded<T> {
        Err(format!("`{}`: {message}", self.opcode))
    }

    /// Refuses an instruction that cards of the module's target do not have.
    fn since(&self, capability: u32) -> Decoded<()> {
        match self.names.target {
            Some(target) if target < capability => {
                self.fail(&format!("needs `.target sm_{capability}`, the module has sm_{target}"))
            }
            _ => Ok(()),
        }
    }

    /// Takes out a modifier that PTX has only had since a version.
    fn newer(&mut self, name: &str, version: f64) -> Decoded<bool> {
        match (self.flag(name), self.names.version) {
            (true, Some(written)) if written < version => {
                self.fail(&format!("`.{name}` needs `.version {version}`"))
            }
            (found, _) => Ok(found),
        }
    }

    /// Takes a modifier out if it is there.
    fn flag(&mut self, name: &str) -> bool {
        let found = self.mods.iter().position(|m| *m == name);
        found.map(|at| self.mods.remove(at)).is_some()
    }

    /// Takes the first modifier of a list that is there and gives its value.
    fn choose<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        choices.iter().find(|(name, _)| self.flag(name)).map(|(_, value)| *value)
    }

    /// Takes the last modifier, which is the type.
    fn ty(&mut self) -> Decoded<Type> {
        match self.mods.pop().and_then(Type::parse) {
            Some(ty) => Ok(ty),
            None => self.fail("this type or instruction is not supported"),
        }
    }

    fn next(&mut self) -> Decoded<Operand> {
        match self.operands.next() {
            Some(operand) => Ok(operand.clone()),
            None => self.fail("too few operands"),
        }
    }

    fn dst(&mut self, ty: Type) -> Decoded<Reg> {
        match self.next()? {
            Operand::Reg(reg, declared) if declared.fits(ty) => Ok(reg),
            Operand::Reg(_, declared) => {
                self.fail(&format!("a {declared} register where {ty} is written"))
            }
            _ => self.fail("the result needs a register"),
        }
    }

    fn src(&mut self, ty: Type) -> Decoded<Reg> {
        let operand = self.next()?;
        self.value(&operand, ty, false)
    }

    /// The register that holds an operand of the type; `wide` allows a wider register.
    fn value(&mut self, operand: &Operand, ty: Type, wide: bool) -> Decoded<Reg> {
        match operand {
            Operand::Reg(reg, declared) => {
                if declared.fits(ty) || (wide && holds(*declared, ty)) {
                    return Ok(*reg);
                }
                self.fail(&format!("a {declared} register where {ty} is read"))
            }
            Operand::Special(_) if !matches!(self.name, "mov" | "cvt") => {
                self.fail("a special register must be moved into a register first")
            }
            Operand::Symbol(_) if self.name != "mov" => {
                self.fail("an address must be moved into a register first")
            }
            Operand::Special(special) if Type::U32.fits(ty) => self.names.special(*special),
            Operand::Symbol(symbol) if ty.bits >= 32 && !ty.is_float() => {
                self.names.symbol(*symbol)
            }
            Operand::Int(value) if !ty.is_float() => {
                let mask = if ty.bits == 64 { !0 } else { (1 << ty.bits) - 1 };
                self.names.constant(value & mask)
            }
            Operand::Float(value)
                if ty.is_float() || (ty.class == Class::Bits && ty.bits >= 32) =>
            {
                self.names.constant(float_bits(*value, ty.bits))
            }
            Operand::Word(word) => self.fail(&format!("`{word}` is not declared")),
            _ => self.fail(&format!("an operand is not a {ty} value")),
        }
    }

    /// A predicate source, possibly negated.
    fn predicate(&mut self) -> Decoded<Guard> {
        match self.next()? {
            Operand::Negated(reg, Type::PRED) => Ok(Guard { reg, negated: true }),
            operand => Ok(Guard { reg: self.value(&operand, Type::PRED, false)?, negated: false }),
        }
    }

    fn op(&mut self, name: &str) -> Decoded<Op> {
        match name {
            "ld" | "st" => self.access(name == "st"),
            "cp" => self.copy(),
            "mma" => self.product(),
            "ldmatrix" => self.matrices(),
            "atom" | "red" => self.atomic(name == "atom"),
            "mov" => self.mov(),
            "cvta" => self.cvta(),
            "cvt" => self.cvt(),
            "setp" => self.setp(),
            "selp" => {
                let ty = self.ty()?;
                if ty == Type::PRED {
                    return self.fail("predicates cannot be selected");
                }
                let (dst, a, b) = (self.dst(ty)?, self.src(ty)?, self.src(ty)?);
                let c = self.src(Type::PRED)?;
                self.alu(alu::select(), dst, [a, b, c], false, false)
            }
            "bfi" => self.bfi(),
            "bra" => self.branch(),
            "bar" | "barrier" => self.barrier(name),
            "shfl" => self.shfl(),
            "vote" => self.vote(),
            "activemask" => {
                if self.ty()? != Type::B32 {
                    return self.fail("the result is .b32");
                }
                Ok(Op::ActiveMask { dst: self.dst(Type::B32)? })
            }
            "membar" => self.fence(&["cta", "gl", "sys"]),
            "fence" => {
                for order in ["sc", "acq_rel"] {
                    self.flag(order);
                }
                self.fence(&["cta", "gpu", "sys"])
            }
            "ret" | "exit" => {
                self.flag("uni");
                Ok(Op::Exit)
            }
            _ => self.arithmetic(name),
        }
    }

    fn fence(&mut self, levels: &[&str]) -> Decoded<Op> {
        match levels.iter().find(|level| self.flag(level)) {
            Some(_) => Ok(Op::Fence),
            None => self.fail(&format!("needs a level of {levels:?}")),
        }
    }

    fn alu(
        &self,
        run: Option<WarpFn>,
        dst: Reg,
        src: [Reg; 3],
        flush: bool,
        saturate: bool,
    ) -> Decoded<Op> {
        match run {
            Some(run) => Ok(Op::Alu { run, dst, src, flush, saturate }),
            None => self.fail("this instruction or type is not supported"),
        }
    }

    fn arithmetic(&mut self, name: &str) -> Decoded<Op> {
        let ty = self.ty()?;
        let (flush, saturate) = (self.flag("ftz"), self.flag("sat"));
        if (flush || saturate) && ty != (Type { class: Class::Float, bits: 32 }) {
            return self.fail("`.ftz` and `.sat` are supported for .f32 only");
        }
        if saturate && !matches!(name, "add" | "sub" | "mul" | "fma" | "mad") {
            return self.fail("`.sat` does not belong to this instruction");
        }
        let rounds = matches!(name, "add" | "sub" | "mul" | "fma" | "mad" | "div" | "rcp" | "sqrt");
        let nearest = rounds && ty.is_float() && self.flag("rn");
        let forms = ["lo", "hi", "wide", "approx", "full", "rz", "rm", "rp", "shiftamt"];
        let form = self.choose(&forms.map(|form| (form, form)));
        let name = match (name, form) {
            ("mad", None) if ty.is_float() => "fma".to_owned(),
            (_, Some(form)) => format!("{name}.{form}"),
            _ => name.to_owned(),
        };
        let needs_rounding = matches!(name.as_str(), "fma" | "div" | "rcp" | "sqrt");
        if ty.is_float() && needs_rounding && !nearest {
            return self.fail("a rounding is missing: `.rn` or `.approx`");
        }
        if name == "tanh.approx" {
            self.since(75)?;
        }
        let run = alu::arithmetic(&name, ty, self.names.exact);
        if run.is_none() {
            return self.fail("this instruction or type is not supported");
        }
        self.arithmetic_operands(&name, ty, run, flush, saturate)
    }

    fn arithmetic_operands(
        &mut self,
        name: &str,
        ty: Type,
        run: Option<WarpFn>,
        flush: bool,
        saturate: bool,
    ) -> Decoded<Op> {
        let wide = name.ends_with(".wide");
        let result = match name {
            "popc" | "clz" | "bfind" | "bfind.shiftamt" => Type::B32,
            _ if wide => Type { bits: ty.bits * 2, ..ty },
            _ => ty,
        };
        let dst = self.dst(result)?;
        let mut src = [self.src(ty)?; 3];
        for (i, src) in src.iter_mut().enumerate().take(alu::operands(name)).skip(1) {
            let small = matches!(name, "shl" | "shr" | "bfe");
            let ty = match () {
                () if small => Type::U32,
                () if wide && i == 2 => result,
                () => ty,
            };
            *src = self.src(ty)?;
        }
        self.alu(run, dst, src, flush, saturate)
    }

    /// `bfi` with a constant position and length, which is how kernels use it.
    fn bfi(&mut self) -> Decoded<Op> {
        let ty = self.ty()?;
        if ty.class != Class::Bits {
            return self.fail("a field is of .b32 or .b64");
        }
        let (dst, a, b) = (self.dst(ty)?, self.src(ty)?, self.src(ty)?);
        let (Operand::Int(at), Operand::Int(len)) = (self.next()?, self.next()?) else {
            return self.fail("the position and length must be constants");
        };
        let place = self.names.constant((at & 255) | ((len & 255) << 32))?;
        self.alu(alu::insert_field(ty), dst, [a, b, place], false, false)
    }

    fn mov(&mut self) -> Decoded<Op> {
        let ty = self.ty()?;
        let vector = self.operands.as_slice().iter().any(|o| matches!(o, Operand::Vector(_)));
        if vector && ty.class != Class::Bits {
            return self.fail("parts are packed into .b32 or .b64");
        }
        match self.operands.as_slice() {
            [Operand::Vector(parts), _] => {
                let (parts, bits) = (parts.clone(), ty.bits / parts.len().max(1) as u32);
                self.next()?;
                let parts = parts.iter().map(|p| self.part(p, bits)).collect::<Decoded<_>>()?;
                Ok(Op::Unpack { parts, src: self.src(ty)?, bits })
            }
            [_, Operand::Vector(parts)] => {
                let (parts, bits) = (parts.clone(), ty.bits / parts.len().max(1) as u32);
                let dst = self.dst(ty)?;
                self.next()?;
                let part_type = Type { class: Class::Bits, bits };
                let parts = parts
                    .iter()
                    .map(|p| self.value(p, part_type, false))
                    .collect::<Decoded<_>>()?;
                Ok(Op::Pack { dst, parts, bits })
            }
            _ => {
                let (dst, src) = (self.dst(ty)?, self.src(ty)?);
                self.alu(alu::arithmetic("mov", ty, true), dst, [src; 3], false, false)
            }
        }
    }

    fn part(&self, operand: &Operand, bits: u32) -> Decoded<Option<Reg>> {
        match operand {
            Operand::Sink => Ok(None),
            Operand::Reg(reg, ty) if ty.bits == bits => Ok(Some(*reg)),
            _ => self.fail(&format!("a part is not a {bits}-bit register")),
        }
    }

    /// Global addresses are generic addresses here; the other windows are not supported.
    fn cvta(&mut self) -> Decoded<Op> {
        self.flag("to");
        if !self.flag("global") {
            return self.fail("only global addresses can be converted");
        }
        let ty = self.ty()?;
        if ty != Type::U64 {
            return self.fail("addresses are of .u64");
        }
        let (dst, src) = (self.dst(Type::U64)?, self.src(Type::U64)?);
        self.alu(alu::arithmetic("mov", ty, true), dst, [src; 3], false, false)
    }

    fn cvt(&mut self) -> Decoded<Op> {
        if let Some(rounding) = self.tf32_conversion() {
            return rounding;
        }
        let (from, to) = (self.ty()?, self.ty()?);
        let saturate = self.flag("sat");
        let modes = [
            ("rn", (Rounding::Nearest, false)),
            ("rz", (Rounding::Zero, false)),
            ("rm", (Rounding::Down, false)),
            ("rp", (Rounding::Up, false)),
            ("rni", (Rounding::Nearest, true)),
            ("rzi", (Rounding::Zero, true)),
            ("rmi", (Rounding::Down, true)),
            ("rpi", (Rounding::Up, true)),
        ];
        let mode = self.choose(&modes);
        let wants_whole = to.is_float() && from == to || from.is_float() && !to.is_float();
        let narrows = to.is_float() && (!from.is_float() || to.bits < from.bits);
        match mode {
            None if narrows || (from.is_float() && !to.is_float()) => {
                return self.fail("a rounding mode is missing");
            }
            Some((_, true)) if !wants_whole => return self.fail("not a rounding to whole numbers"),
            Some((_, false)) if !narrows => return self.fail("this rounding mode does not fit"),
            _ => {}
        }
        if [from, to].iter().any(|ty| matches!(ty.class, Class::Bits | Class::Predicate)) {
            return self.fail("numbers are converted, not bits or predicates");
        }
        if saturate && !from.is_float() && !to.is_float() && to.includes(from) {
            return self.fail("`.sat` where every value fits");
        }
        let (rounding, whole) = mode.unwrap_or((Rounding::Nearest, false));
        let (dst, reg_bits) = match self.next()? {
            Operand::Reg(reg, declared) if declared.fits(to) || holds(declared, to) => {
                (reg, declared.bits)
            }
            _ => return self.fail(&format!("the result needs a register that holds {to}")),
        };
        let operand = self.next()?;
        if to.is_float() && matches!(operand, Operand::Special(_)) {
            return self.fail("a special register must be moved into a register first");
        }
        let src = self.value(&operand, from, true)?;
        let how = Conversion { to, from, rounding, whole, saturate, reg_bits };
        Ok(Op::Convert { how, dst, src })
    }

    fn setp(&mut self) -> Decoded<Op> {
        let ty = self.ty()?;
        let flush = ty == Type::F32 && self.flag("ftz");
        let join = self.choose(&[("and", Join::And), ("or", Join::Or), ("xor", Join::Xor)]);
        let name = if self.mods.is_empty() { "" } else { self.mods.remove(0) };
        let Some(run) = alu::compare(name, ty).filter(|_| ty != Type::PRED) else {
            return self.fail("this comparison is not supported for the type");
        };
        let (dst, other) = match self.next()? {
            Operand::Reg(dst, Type::PRED) => (dst, None),
            Operand::Pair(a, b) => match (*a, *b) {
                (Operand::Reg(dst, Type::PRED), Operand::Reg(other, Type::PRED)) => {
                    (dst, Some(other))
                }
                _ => return self.fail("the results must be predicates"),
            },
            _ => return self.fail("the result must be a predicate"),
        };
        let src = [self.src(ty)?, self.src(ty)?];
        let join = match join {
            Some(join) => Some((join, self.predicate()?)),
            None => None,
        };
        Ok(Op::Compare { run, dst, other, src, join, flush })
    }

    fn branch(&mut self) -> Decoded<Op> {
        self.flag("uni");
        match self.next()? {
            Operand::Word(label) => Ok(Op::Branch { target: self.names.label(&label, self.line) }),
            _ => self.fail("the target must be a label"),
        }
    }

    fn barrier(&mut self, name: &str) -> Decoded<Op> {
        self.newer("cta", 7.8)?;
        if !self.flag("sync") {
            return self.fail("only `.sync` barriers are supported");
        }
        if name == "barrier" && !self.flag("aligned") {
            return self.fail("only `.aligned` barriers are supported");
        }
        if self.flag("warp") {
            return Ok(Op::WarpBarrier { members: self.src(Type::B32)? });
        }
        match self.next()? {
            Operand::Int(id @ 0..16) => Ok(Op::Barrier { id }),
            _ => self.fail("the barrier must be a constant from 0 to 15"),
        }
    }

    fn shfl(&mut self) -> Decoded<Op> {
        let hows = [
            ("up", Shuffle::Up),
            ("down", Shuffle::Down),
            ("bfly", Shuffle::Butterfly),
            ("idx", Shuffle::Index),
        ];
        let (sync, how) = (self.flag("sync"), self.choose(&hows));
        let (true, Some(how)) = (sync, how) else { return self.fail("not a `shfl.sync` mode") };
        if self.ty()? != Type::B32 {
            return self.fail("a shuffle moves `.b32`");
        }
        let (dst, inside) = match self.next()? {
            Operand::Reg(dst, ty) if ty.fits(Type::B32) => (dst, None),
            Operand::Pair(a, b) => match (*a, *b) {
                (Operand::Reg(dst, ty), Operand::Reg(inside, Type::PRED)) if ty.fits(Type::B32) => {
                    (dst, Some(inside))
                }
                _ => return self.fail("the results must be a `.b32` and a predicate"),
            },
            _ => return self.fail("the result must be a `.b32` register"),
        };
        let [src, lane, clamp, members] = [(); 4].map(|()| self.src(Type::B32));
        let (src, lane, clamp, members) = (src?, lane?, clamp?, members?);
        Ok(Op::Shuffle { how, dst, inside, src, lane, clamp, members })
    }

    fn vote(&mut self) -> Decoded<Op> {
        let hows = [
            ("all", Vote::All),
            ("any", Vote::Any),
            ("uni", Vote::Uniform),
            ("ballot", Vote::Ballot),
        ];
        let (sync, how) = (self.flag("sync"), self.choose(&hows));
        let (true, Some(how)) = (sync, how) else { return self.fail("not a `vote.sync` mode") };
        let ty = if how == Vote::Ballot { Type::B32 } else { Type::PRED };
        if self.ty()? != ty {
            return self.fail(&format!("the result is {ty}"));
        }
        let (dst, src) = (self.dst(ty)?, self.predicate()?);
        Ok(Op::Vote { how, dst, src, members: self.src(Type::B32)? })
    }
}

/// Whether loads, stores and conversions may use a register wider than their type.
fn holds(declared: Type, ty: Type) -> bool {
    let integer = !ty.is_float() && !declared.is_float();
    integer && declared.class != Class::Predicate && declared.bits >= ty.bits
}
