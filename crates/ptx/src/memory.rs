//! Device memory: allocations far apart, with every byte's initialisation known.
//!
//! An address carries the number of its allocation in its high bits. Numbers are never used
//! twice, so a pointer that runs off its allocation, or outlives it, never finds another one.

use std::collections::BTreeSet;

use crate::checks::Shadow;
use crate::error::MemoryError;

const SLOT_BITS: u32 = 36;
/// Allocations begin this far into their slot, so that a small negative index still names them.
const LEAD: u64 = 1 << 20;
const LARGEST: usize = 1 << 35;

/// The device memory of a simulated context.
#[derive(Debug, Default)]
pub struct Memory {
    slots: Vec<Option<Allocation>>,
    /// The numbers of the slots that hold something: most do not after a while.
    live: BTreeSet<usize>,
    used: usize,
    /// The time of the shadows, which no launch sets back.
    pub(crate) time: u32,
}

#[derive(Debug)]
pub(crate) struct Allocation {
    pub bytes: Vec<u8>,
    pub written: Vec<bool>,
    pub shadow: Shadow,
}

/// A number that can be copied to and from device memory.
pub trait Scalar: Copy + sealed::Bytes {}

mod sealed {
    pub trait Bytes: Sized {
        const SIZE: usize;
        fn push(self, out: &mut Vec<u8>);
        fn read(bytes: &[u8]) -> Self;
    }
}

macro_rules! scalars {
    ($($ty:ty),*) => {$(
        impl Scalar for $ty {}
        impl sealed::Bytes for $ty {
            const SIZE: usize = size_of::<$ty>();
            fn push(self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }
            fn read(bytes: &[u8]) -> Self {
                let mut all = [0; size_of::<$ty>()];
                all.copy_from_slice(bytes);
                Self::from_le_bytes(all)
            }
        }
    )*};
}
scalars!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

impl Memory {
    /// An empty memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reserves `len` bytes that nobody has written yet and returns their address.
    pub fn alloc(&mut self, len: usize) -> Result<u64, MemoryError> {
        let address = ((self.slots.len() as u64 + 1) << SLOT_BITS) + LEAD;
        if len > LARGEST {
            let found = format!("the largest allocation is {LARGEST} bytes");
            return Err(MemoryError::Range { address, len, found });
        }
        let allocation = Allocation {
            bytes: vec![0; len],
            written: vec![false; len],
            shadow: Shadow::default(),
        };
        self.live.insert(self.slots.len());
        self.used += len;
        self.slots.push(Some(allocation));
        Ok(address)
    }

    /// Gives an allocation back; `address` must be its first byte.
    pub fn free(&mut self, address: u64) -> Result<(), MemoryError> {
        let (allocation, offset) = self.find(address, 0)?;
        let bytes = allocation.bytes.len();
        if offset != 0 {
            let found = format!("{offset} bytes into an allocation, not its start");
            return Err(MemoryError::Range { address, len: 0, found });
        }
        if let Some(slot) = slot(address) {
            self.slots[slot] = None;
            self.live.remove(&slot);
            self.used -= bytes;
        }
        Ok(())
    }

    /// The bytes of all live allocations.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Copies bytes to the device.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let (allocation, offset) = self.find(address, bytes.len())?;
        allocation.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        allocation.written[offset..offset + bytes.len()].fill(true);
        Ok(())
    }

    /// Copies bytes to the host; each must have been written by someone.
    pub fn read(&mut self, address: u64, len: usize) -> Result<Vec<u8>, MemoryError> {
        let (allocation, offset) = self.find(address, len)?;
        match allocation.written[offset..offset + len].iter().position(|written| !written) {
            Some(at) => Err(MemoryError::Uninitialised { address: address + at as u64 }),
            None => Ok(allocation.bytes[offset..offset + len].to_vec()),
        }
    }

    /// Fills a range with repetitions of a pattern, whose length must divide the range's.
    pub fn fill(&mut self, address: u64, len: usize, pattern: &[u8]) -> Result<(), MemoryError> {
        let (allocation, offset) = self.find(address, len)?;
        let range = &mut allocation.bytes[offset..offset + len];
        match pattern {
            [byte] => range.fill(*byte),
            [] => {}
            _ => {
                range.chunks_mut(pattern.len()).for_each(|c| c.copy_from_slice(&pattern[..c.len()]))
            }
        }
        allocation.written[offset..offset + len].fill(true);
        Ok(())
    }

    /// Copies inside the device. Bytes that nobody has written stay so at their new place.
    pub fn copy(&mut self, to: u64, from: u64, len: usize) -> Result<(), MemoryError> {
        let (source, offset) = self.find(from, len)?;
        let bytes = source.bytes[offset..offset + len].to_vec();
        let written = source.written[offset..offset + len].to_vec();
        let (target, offset) = self.find(to, len)?;
        target.bytes[offset..offset + len].copy_from_slice(&bytes);
        target.written[offset..offset + len].copy_from_slice(&written);
        Ok(())
    }

    /// Reserves room for the values, copies them there and returns their address.
    pub fn upload<T: Scalar>(&mut self, values: &[T]) -> Result<u64, MemoryError> {
        let bytes = bytes_of(values);
        let address = self.alloc(bytes.len())?;
        self.write(address, &bytes)?;
        Ok(address)
    }

    /// Copies `count` values from the device.
    pub fn download<T: Scalar>(
        &mut self,
        address: u64,
        count: usize,
    ) -> Result<Vec<T>, MemoryError> {
        let bytes = self.read(address, count.saturating_mul(T::SIZE))?;
        Ok(bytes.chunks_exact(T::SIZE).map(T::read).collect())
    }

    fn find(&mut self, address: u64, len: usize) -> Result<(&mut Allocation, usize), MemoryError> {
        self.locate(address, len).map_err(|found| MemoryError::Range { address, len, found })
    }

    /// The allocation that holds all of a range, and where the range begins in it; or what is
    /// there instead.
    pub(crate) fn locate(
        &mut self,
        address: u64,
        len: usize,
    ) -> Result<(&mut Allocation, usize), String> {
        let slot = slot(address).and_then(|slot| self.slots.get_mut(slot));
        let Some(slot) = slot else { return Err("no allocation was ever there".into()) };
        let Some(allocation) = slot else { return Err("the allocation there was freed".into()) };
        let size = allocation.bytes.len();
        let within = address & ((1 << SLOT_BITS) - 1);
        if within < LEAD {
            return Err(format!("{} bytes before a {size}-byte allocation", LEAD - within));
        }
        let offset = (within - LEAD) as usize;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            let place = match offset.checked_sub(size) {
                Some(past) => format!("{past} bytes past the end"),
                None => {
                    format!("it crosses the end by {} bytes", offset.saturating_add(len) - size)
                }
            };
            return Err(format!("{place} of a {size}-byte allocation"));
        }
        Ok((allocation, offset))
    }

    /// Makes the shadow of every allocation fit a kernel's smallest access.
    pub(crate) fn prepare(&mut self, granule: usize) {
        let late = self.time > u32::MAX / 2;
        if late {
            self.time = 0;
        }
        for slot in &self.live {
            let Some(allocation) = &mut self.slots[*slot] else { continue };
            if late {
                allocation.shadow.clear();
            }
            allocation.shadow.prepare(allocation.bytes.len(), granule);
        }
    }
}

/// The values' bytes, little end first.
pub(crate) fn bytes_of<T: Scalar>(values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * T::SIZE);
    values.iter().for_each(|value| value.push(&mut bytes));
    bytes
}

fn slot(address: u64) -> Option<usize> {
    (address >> SLOT_BITS).checked_sub(1).map(|slot| slot as usize)
}
