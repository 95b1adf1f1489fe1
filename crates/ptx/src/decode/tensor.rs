//! Asynchronous copies, products of matrices, and how their registers are loaded.

use super::{Decoded, Decoder};
use crate::instruction::{AsyncCopy, Op, Reg, Space, Type};
use crate::matrix::{Product, Rows, round_tf32};
use crate::names::Operand;

impl Decoder<'_> {
    fn size(&mut self) -> Decoded<u64> {
        match self.next()? {
            Operand::Int(value) => Ok(value),
            _ => self.fail("expected a number"),
        }
    }

    /// `cp.async` in all its forms but those of barriers in memory.
    pub(super) fn copy(&mut self) -> Decoded<Op> {
        if !self.flag("async") {
            return self.fail("only `cp.async` is supported");
        }
        self.since(80)?;
        if self.flag("commit_group") {
            return Ok(Op::CopyCommit);
        }
        if self.flag("wait_all") {
            return Ok(Op::CopyWait { but: None });
        }
        if self.flag("wait_group") {
            return Ok(Op::CopyWait { but: Some(self.size()?) });
        }
        let near = self.flag("ca");
        let cached = near || self.flag("cg");
        let shared = self.flag("shared") || self.flag("shared::cta");
        if !(cached && shared && self.flag("global")) {
            return self
                .fail("only copies `.ca` or `.cg` from global to shared memory are supported");
        }
        for hint in ["L2::64B", "L2::128B", "L2::256B"] {
            self.newer(hint, 7.4)?;
        }
        let (to, from) = (self.address(Space::Shared)?, self.address(Space::Global)?);
        let bytes = match self.size()? {
            16 => 16,
            bytes @ (4 | 8) if near => bytes as usize,
            _ => return self.fail("a copy is of 16 bytes, or with `.ca` of 4 or 8"),
        };
        let read = match self.operands.len() {
            0 => None,
            _ => Some(self.src(Type::U32)?),
        };
        Ok(Op::Copy(AsyncCopy { to, from, bytes, read }))
    }

    pub(super) fn product(&mut self) -> Decoded<Op> {
        let form = std::mem::take(&mut self.mods).join(".");
        let (a, b) = match form.as_str() {
            "sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32" => (2, 1),
            "sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" => (4, 2),
            _ => return self.fail("only products m16n8k4 and m16n8k8 of tf32 are supported"),
        };
        self.since(80)?;
        let single = Type::F32;
        let (d, a) = (self.tile(4, single)?, self.tile(a, Type::B32)?);
        let (b, c) = (self.tile(b, Type::B32)?, self.tile(4, single)?);
        Ok(Op::Product(Product { d, a, b, c }))
    }

    /// `ldmatrix` as it serves products of tf32: transposed, it would part their halves.
    pub(super) fn matrices(&mut self) -> Decoded<Op> {
        let form = std::mem::take(&mut self.mods).join(".");
        let count = match form.as_str() {
            "sync.aligned.m8n8.x1.shared.b16" => 1,
            "sync.aligned.m8n8.x2.shared.b16" => 2,
            "sync.aligned.m8n8.x4.shared.b16" => 4,
            _ => return self.fail("only matrices m8n8 of b16 in shared memory, not transposed"),
        };
        self.since(75)?;
        let to = self.tile(count, Type::B32)?;
        Ok(Op::Matrices(Rows { to, from: self.address(Space::Shared)? }))
    }

    /// The registers of an operand in braces, each declared of exactly the type.
    fn tile(&mut self, count: usize, ty: Type) -> Decoded<Vec<Reg>> {
        let register = |part: &Operand| match part {
            Operand::Reg(reg, declared) if *declared == ty => Some(*reg),
            _ => None,
        };
        let registers = match self.next()? {
            Operand::Vector(parts) if parts.len() == count => parts.iter().map(register).collect(),
            _ => None,
        };
        match registers {
            Some(registers) => Ok(registers),
            None => self.fail(&format!("expected {count} {ty} registers in braces")),
        }
    }

    /// `cvt.rna.tf32.f32`, if it is that.
    pub(super) fn tf32_conversion(&mut self) -> Option<Decoded<Op>> {
        if self.mods != ["rna", "tf32", "f32"] {
            return None;
        }
        self.mods.clear();
        Some(self.since(80).and_then(|()| {
            let dst = match self.next()? {
                Operand::Reg(reg, Type::B32) => reg,
                _ => return self.fail("the result needs a .b32 register"),
            };
            let src = self.src(Type::F32)?;
            self.alu(Some(round_tf32), dst, [src; 3], false, false)
        }))
    }
}
