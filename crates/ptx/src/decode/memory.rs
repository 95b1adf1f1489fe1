//! Instructions that address memory: loads, stores and atomic operations.

use super::{Decoded, Decoder};
use crate::alu::atomic;
use crate::instruction::{Access, Op, Reg, Space, Type};
use crate::names::{Operand, Symbol};

impl Decoder<'_> {
    /// The state space named, or the generic one, which here is that of global addresses.
    fn space(&mut self) -> Decoded<Space> {
        if self.newer("shared::cta", 7.8)? {
            return Ok(Space::Shared);
        }
        let spaces = [
            ("param", Space::Param),
            ("const", Space::Const),
            ("global", Space::Global),
            ("shared", Space::Shared),
        ];
        Ok(self.choose(&spaces).unwrap_or(Space::Global))
    }

    pub(super) fn access(&mut self, store: bool) -> Decoded<Op> {
        let ty = self.ty()?;
        let space = self.space()?;
        let count = self.choose(&[("v2", 2), ("v4", 4)]).unwrap_or(1);
        let hints: &[_] = match store {
            true => &["wb", "cg", "cs", "wt", "weak", "volatile"],
            false => &["ca", "cg", "cs", "cv", "lu", "weak", "volatile"],
        };
        hints.iter().for_each(|hint| {
            self.flag(hint);
        });
        if !store && space == Space::Global {
            self.flag("nc");
        }
        if ty == Type::PRED || ty.bytes() * count > 16 {
            return self.fail("at most 16 bytes, and no predicates, move at once");
        }
        if store && matches!(space, Space::Param | Space::Const) {
            return self.fail("this space cannot be written");
        }
        if store {
            let (base, offset) = self.address(space)?;
            let (regs, reg_bits) = self.elements(ty, count, true)?;
            return Ok(Op::Store(Access { space, ty, regs, reg_bits, base, offset }));
        }
        let (regs, reg_bits) = self.elements(ty, count, false)?;
        let (base, offset) = self.address(space)?;
        Ok(Op::Load(Access { space, ty, regs, reg_bits, base, offset }))
    }

    fn elements(
        &mut self,
        ty: Type,
        count: usize,
        store: bool,
    ) -> Decoded<(Vec<Option<Reg>>, u32)> {
        let elements = match self.next()? {
            Operand::Vector(parts) => parts,
            single => vec![single],
        };
        if elements.len() != count {
            return self.fail(&format!("{} registers for {count} elements", elements.len()));
        }
        let mut reg_bits = ty.bits;
        let mut regs = Vec::new();
        for element in &elements {
            match element {
                Operand::Reg(_, declared) => reg_bits = declared.bits,
                Operand::Sink if !store => {
                    regs.push(None);
                    continue;
                }
                _ if !store => return self.fail("a load needs registers"),
                _ => {}
            }
            regs.push(Some(self.value(element, ty, true)?));
        }
        Ok((regs, reg_bits))
    }

    /// A register and an offset from it, for an address in a space.
    pub(super) fn address(&mut self, space: Space) -> Decoded<(Reg, i64)> {
        let Operand::Address(base, offset) = self.next()? else {
            return self.fail("expected an address in brackets");
        };
        let reg = match *base {
            Operand::Symbol(symbol) => {
                let named = match symbol {
                    Symbol::At(space, _) => space,
                    Symbol::DynamicShared => Space::Shared,
                };
                if named != space {
                    return self.fail("the symbol lies in another space");
                }
                self.names.symbol(symbol)?
            }
            Operand::Reg(reg, ty) if ty.bits == 64 && !ty.is_float() => reg,
            Operand::Reg(reg, ty) if ty.bits == 32 && !ty.is_float() && space != Space::Global => {
                reg
            }
            Operand::Word(word) => return self.fail(&format!("`{word}` is not declared")),
            _ => return self.fail("this cannot be the base of an address"),
        };
        Ok((reg, offset))
    }

    /// `atom` and `red` on integers: floating-point sums would depend on the order of threads.
    pub(super) fn atomic(&mut self, returns: bool) -> Decoded<Op> {
        let ty = self.ty()?;
        let space = self.space()?;
        for hint in ["relaxed", "acquire", "release", "acq_rel", "cta", "gpu", "sys"] {
            self.flag(hint);
        }
        let name = if self.mods.is_empty() { "" } else { self.mods.remove(0) };
        if ty.is_float() {
            return self
                .fail("sums of floating-point numbers would depend on the order of threads");
        }
        let only_atom = !returns && matches!(name, "cas" | "exch");
        let Some(run) = atomic(name, ty).filter(|_| !only_atom) else {
            return self.fail("this operation is not supported for the type");
        };
        if matches!(space, Space::Param | Space::Const) {
            return self.fail("this space cannot be written");
        }
        let dst = if returns { Some(self.dst(ty)?) } else { None };
        let (base, offset) = self.address(space)?;
        let first = self.src(ty)?;
        let second = if name == "cas" { self.src(ty)? } else { first };
        let regs = vec![Some(first)];
        let access = Access { space, ty, regs, reg_bits: ty.bits, base, offset };
        Ok(Op::Atomic { access, run, dst, src: [first, second] })
    }
}
