//! What C callers pass: pointers that may be null.
//!
//! These types stand in the signatures of the driver functions in place of pointers, have the
//! same layout, and can be made nowhere else. The functions are `unsafe`: their callers promise
//! what the driver's manual asks, namely that a pointer is null or valid for the sizes given.

use std::ffi::{CStr, c_char, c_void};

use super::failure::{Code, Done};

/// Where a result goes.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    pub(crate) fn set(self, value: T) -> Done {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE.into());
        }
        // SAFETY: not null, so valid for one `T` by the contract of the function it came through.
        unsafe { self.0.write(value) };
        Ok(())
    }
}

impl Out<c_char> {
    /// Writes as much of a text as there is room for, and the nul.
    pub(crate) fn text(self, text: &CStr, room: usize) -> Done {
        if self.0.is_null() || room == 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        let len = text.to_bytes().len().min(room - 1);
        // SAFETY: not null, so valid for `room` bytes by the contract of its function, of which
        // `len + 1` are written; the text has at least `len` bytes.
        unsafe {
            self.0.copy_from_nonoverlapping(text.as_ptr(), len);
            self.0.add(len).write(0);
        }
        Ok(())
    }
}

/// A text that ends with a nul.
#[repr(transparent)]
pub struct Text(*const c_char);

impl Text {
    pub(crate) fn get(&self) -> Done<String> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE.into());
        }
        // SAFETY: not null, so a text with a nul by the contract of its function.
        let text = unsafe { CStr::from_ptr(self.0) };
        Ok(text.to_string_lossy().into_owned())
    }
}

/// Host memory that a copy reads or writes.
#[repr(transparent)]
pub struct Host(*mut c_void);

impl Host {
    pub(crate) fn read(&self, len: usize) -> Done<Vec<u8>> {
        if len == 0 {
            return Ok(Vec::new());
        }
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE.into());
        }
        let mut bytes = vec![0; len];
        // SAFETY: not null, so valid for `len` bytes by the contract of its function; the copy's
        // target is a vector of that length.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(self.0.cast(), len) };
        Ok(bytes)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Done {
        if self.0.is_null() && !bytes.is_empty() {
            return Err(Code::INVALID_VALUE.into());
        }
        // SAFETY: not null, so valid for the bytes by the contract of its function.
        unsafe { self.0.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    pub(crate) fn address(&self) -> usize {
        self.0 as usize
    }
}

/// The pointers to a kernel's arguments.
#[repr(transparent)]
pub struct Arguments(*const Host);

impl Arguments {
    /// The bytes of one argument.
    pub(crate) fn get(&self, index: usize, bytes: usize) -> Done<Vec<u8>> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE.into());
        }
        // SAFETY: not null, so it has one pointer for each parameter of the kernel by the contract
        // of `cuLaunchKernel`, and `index` counts those.
        unsafe { &*self.0.add(index) }.read(bytes)
    }
}
