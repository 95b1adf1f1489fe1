//! The device as a value.

use std::sync::{Arc, Mutex, OnceLock, TryLockError};

use crate::backend::{Backend, cpu::Cpu, meta::Meta};
use crate::{Error, ErrorKind, Result};

/// Where a tensor lives and its kernels run. Cheap to clone; two are equal if they are the same backend.
///
/// ```
/// use striate_tensor::{Device, Tensor};
/// let x = Tensor::<f32>::zeros([2, 3], &Device::meta())?;
/// let y = x.matmul(&Tensor::zeros([3, 5], x.device())?)?;
/// assert_eq!(y.shape(), [2, 5]); // known without computing anything
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Clone)]
pub struct Device(Arc<dyn Backend>);

impl Device {
    /// The processor that runs this program.
    pub fn cpu() -> Self {
        static CPU: OnceLock<Device> = OnceLock::new();
        CPU.get_or_init(|| Device(Arc::new(Cpu))).clone()
    }

    /// A device that holds shapes and no data: it runs any module for its output sizes. For counts of
    /// operations and memory, keep a [`Meta`] and use [`Device::from_backend`].
    pub fn meta() -> Self {
        static META: OnceLock<Device> = OnceLock::new();
        META.get_or_init(|| Device(Arc::new(Meta::new()))).clone()
    }

    /// Any other backend.
    pub fn from_backend(backend: Arc<dyn Backend>) -> Self {
        Device(backend)
    }

    /// The backend behind this device.
    pub fn backend(&self) -> &dyn Backend {
        &*self.0
    }

    /// Such as `cpu`.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// Whether tensors here have shapes only.
    pub fn is_meta(&self) -> bool {
        self.0.is_meta()
    }

    /// Waits until everything asked for has been computed.
    pub fn synchronize(&self) -> Result<()> {
        self.0.synchronize()
    }

    /// Does `work`, which computes on this device again and again. A processor's kernels run on the threads of rayon's pool,
    /// and a thread from outside would wake one and wait for each; here it does so once.
    /// [`Tensor::backward`](crate::Tensor::backward) and what runs a network do it by themselves.
    ///
    /// So `work` may run on another thread than its caller's: with other thread-locals, and with a stack of 2 MiB unless
    /// `RUST_MIN_STACK` says more. A thread that is a pool's already does it itself, and so does
    /// any while another's work is in. A program whose main thread trains had better make it one of the pool's before anything
    /// else, as `striate train` does: `rayon::ThreadPoolBuilder::new().use_current_thread().build_global()`.
    ///
    /// ```
    /// use striate_tensor::{Device, Tensor};
    /// let x = Tensor::<f32>::ones([100], &Device::cpu())?;
    /// let sum = x.device().enter(|| (0..10).try_fold(x.clone(), |sum, _| &sum + &x))?;
    /// assert_eq!(sum.to_vec()?, [11.0; 100]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        // A thread of the pool that waits for others takes up what comes from outside. If that were another's work, with locks that it
        // takes, it could wait for one that the work below it on the same stack holds: so one is in at a time.
        static ENTERED: Mutex<()> = Mutex::new(());
        if !self.0.is_threaded() {
            return work();
        }
        let _entered = match ENTERED.try_lock() {
            Ok(entered) => entered,
            // Work that panicked has left nothing behind here.
            Err(TryLockError::Poisoned(entered)) => entered.into_inner(),
            Err(TryLockError::WouldBlock) => return work(),
        };
        match rayon::current_thread_index() {
            Some(_) => work(),
            None => rayon::scope(|_| work()),
        }
    }

    /// Fails unless `other` is the same device.
    pub(crate) fn expect_same(&self, op: &str, other: &Device) -> Result<()> {
        if self == other {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Device,
            op,
            format!("expected tensors on one device, got {} and {}", self.name(), other.name()),
        ))
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Device {}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.name())
    }
}
