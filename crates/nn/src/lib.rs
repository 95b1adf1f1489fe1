//! Layers, optimizers, schedules, summaries, checkpoints and a training loop.
//!
//! - A [`Module`] is a function of a tensor with named, shared parameters. Its path (`features.3`) is given
//!   when it is made, and serves errors, state dicts, hooks and random keys alike.
//! - A [`Pass`] is a value: training or evaluation, seed and step, hooks. There is no global or thread-local state,
//!   so two threads can run one network in two modes.
//! - An [`Init`] says where and how parameters are born: seed, device, path, distribution.
//! - Gradients are values, too: `optimizer.step(&loss.backward()?)`.

mod atomic;
mod checkpoint;
mod fuse;
mod init;
pub mod layers;
mod lr_finder;
mod module;
pub mod optim;
mod parameter;
mod pass;
mod receptive;
pub mod schedule;
mod smooth;
mod summary;
mod train;

pub use atomic::atomic_write;
pub use checkpoint::{Checkpoint, State, load_state, state};
pub use init::{Distribution, Init};
pub use lr_finder::{LrCurve, LrFinder};
pub use module::{Module, ModuleExt};
pub use parameter::{Parameter, RunningValue};
pub use pass::{Mode, Pass, Visit};
pub use receptive::{
    Field, FieldTrace, LayerField, ReceptiveField, Window, closed_form, effective_field,
    receptive_field_size, receptive_fields,
};
pub use smooth::Smoothed;
pub use summary::{Row, Summary, grouped};
pub use train::{Epoch, Evaluation, Loss, Step, Trainer, evaluate};
