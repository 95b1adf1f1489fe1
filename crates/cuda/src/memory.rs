//! What moves data, for every element type.

use std::any::{Any, TypeId};
use std::sync::Arc;

use striate_conv::Buffer;
use striate_tensor::backend::{Memory, Pick, Storage, View};
use striate_tensor::{Element, Layout, Result};

use crate::backend::Cuda;
use crate::card::{Arg, Block};
use crate::views::walk;

/// A storage's block. Storages share it; what changes one that is shared writes a new block.
pub(crate) type Shared = Arc<Block>;

pub(crate) fn address<T: Element>(storage: &Storage<T>) -> Result<u64> {
    Ok(storage.data::<Shared>()?.address)
}

impl Cuda {
    /// Memory for `len` elements that `write` fills, given its address.
    pub(crate) fn output<T: Element>(
        &self,
        len: usize,
        write: impl FnOnce(u64) -> Result<()>,
    ) -> Result<Storage<T>> {
        let block = self.card.alloc(len, size_of::<T>())?;
        if len > 0 {
            write(block.address)?;
        }
        Ok(Storage::new(len, Arc::new(block)))
    }

    /// Where a storage's next values go, element by element: its memory, or new memory if that is shared. What was there
    /// before is still to be read at its old address.
    pub(crate) fn replaced<T: Element>(&self, storage: &mut Storage<T>) -> Result<u64> {
        let len = storage.len();
        let block = storage.data_mut::<Shared>()?;
        if Arc::get_mut(block).is_none() {
            *block = Arc::new(self.card.alloc(len, size_of::<T>())?);
        }
        Ok(block.address)
    }
}

/// The code of a type in `widen` and `narrow`.
fn code<T: Element>() -> usize {
    let types = [TypeId::of::<f32>(), TypeId::of::<f64>(), TypeId::of::<i64>()];
    types.iter().position(|id| *id == TypeId::of::<T>()).unwrap_or(types.len())
}

/// The bytes of an element, the first the lowest.
fn bits<T: Element>(value: T) -> u64 {
    let any: &dyn Any = &value;
    if let Some(value) = any.downcast_ref::<f32>() {
        u64::from(value.to_bits())
    } else if let Some(value) = any.downcast_ref::<i64>() {
        value.cast_unsigned()
    } else if let Some(value) = any.downcast_ref::<bool>() {
        u64::from(*value)
    } else {
        value.as_f64().to_bits()
    }
}

impl<T: Element> Memory<T> for Cuda {
    fn upload(&self, data: Buffer<T>) -> Result<Storage<T>> {
        Ok(Storage::new(data.len(), Arc::new(self.card.upload(&data)?)))
    }

    fn download(&self, x: &Storage<T>) -> Result<Buffer<T>> {
        let mut data = Buffer::for_overwrite(x.len());
        self.card.download(x.data::<Shared>()?, &mut data)?;
        Ok(data)
    }

    fn fill(&self, len: usize, value: T) -> Result<Storage<T>> {
        self.output(len, |out| {
            let bytes = size_of::<T>().into();
            self.card.each("fill", len, &[out.into(), len.into(), bytes, bits(value).into()])
        })
    }

    fn assign(&self, storage: &mut Storage<T>, target: &Layout, source: View<T>) -> Result<()> {
        if address(storage)? == address(source.storage)?
            || Arc::get_mut(storage.data_mut::<Shared>()?).is_none()
        {
            let whole = Layout::dense(&[storage.len()]);
            *storage = self.copy(View::new(storage, &whole))?;
        }
        self.shift(source, (address(storage)?, target))
    }

    fn copy(&self, source: View<T>) -> Result<Storage<T>> {
        let target = Layout::dense(&source.layout.shape);
        self.output(source.layout.len(), |out| self.shift(source, (out, &target)))
    }

    fn pick(&self, pick: &Pick, x: &Storage<T>, index: &Storage<i64>) -> Result<Storage<T>> {
        self.output(pick.len(), |out| {
            let mut args: Vec<Arg> =
                [address(x)?, address(index)?, out, self.card.bad()].map(Arg::from).to_vec();
            let sizes = [pick.len(), pick.from.axis, pick.count, pick.from.inner];
            args.extend(sizes.map(Arg::from));
            args.extend([usize::from(pick.elementwise), size_of::<T>()].map(Arg::from));
            self.card.each("pick", pick.len(), &args)
        })
    }

    fn widen(&self, x: &Storage<T>) -> Result<Storage<f64>> {
        self.output(x.len(), |out| self.convert::<T>("widen", [address(x)?, out], x.len()))
    }

    fn narrow(&self, x: &Storage<f64>) -> Result<Storage<T>> {
        self.output(x.len(), |out| self.convert::<T>("narrow", [address(x)?, out], x.len()))
    }
}

impl Cuda {
    /// Writes what `source` visits to where a layout points.
    fn shift<T: Element>(&self, source: View<T>, (to, target): (u64, &Layout)) -> Result<()> {
        let len = target.len();
        let from = address(source.storage)?;
        let mut args: Vec<Arg> = vec![from.into(), to.into(), len.into(), size_of::<T>().into()];
        args.extend(walk("copy", &[source.layout, target])?);
        self.card.each("move", len, &args)
    }

    fn convert<T: Element>(&self, name: &str, [x, out]: [u64; 2], len: usize) -> Result<()> {
        self.card.each(name, len, &[x.into(), out.into(), len.into(), code::<T>().into()])
    }
}
