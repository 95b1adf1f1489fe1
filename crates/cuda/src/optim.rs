//! Optimizer steps: one launch for each parameter, in place where nobody else holds what changes.

use striate_tensor::Result;
use striate_tensor::backend::{Storage, Update};

use crate::backend::Cuda;
use crate::card::Arg;
use crate::memory::address;

type Store = Storage<f32>;

/// `N` addresses, zeros after those of what there is.
fn padded<const N: usize>(addresses: impl IntoIterator<Item = Result<u64>>) -> Result<[u64; N]> {
    let mut padded = [0; N];
    for (slot, address) in padded.iter_mut().zip(addresses) {
        *slot = address?;
    }
    Ok(padded)
}

impl Cuda {
    pub(crate) fn step(
        &self,
        rule: &Update,
        weight: &mut Store,
        grad: &Store,
        state: &mut [Store],
    ) -> Result<()> {
        let len = weight.len();
        let old: [u64; 4] =
            padded([address(weight), address(grad)].into_iter().chain(state.iter().map(address)))?;
        let changed = [weight].into_iter().chain(state);
        let new: [u64; 3] = padded(changed.map(|storage| self.replaced(storage)))?;
        let (name, states, numbers, flag) = match *rule {
            Update::Sgd { rate, momentum, gain, decay, nesterov } => {
                ("sgd", 1, vec![rate, momentum, gain, decay], Some(nesterov))
            }
            Update::Adam { step, root, betas: [b1, b2], eps, decay, shrink } => {
                let gains = [1.0 - b1, 1.0 - b2];
                (
                    "adam",
                    2,
                    [&[step, 1.0 / root, b1, b2], &gains[..], &[eps, decay, shrink]].concat(),
                    None,
                )
            }
            Update::RmsProp { rate, alpha, eps, momentum, decay } => {
                ("rms", 2, vec![rate, alpha, 1.0 - alpha, eps, momentum, decay], None)
            }
        };
        let addresses = old[..2 + states].iter().chain(&new[..1 + states]);
        let mut args: Vec<Arg> = addresses.copied().map(Arg::from).collect();
        args.push(len.into());
        args.extend(numbers.into_iter().map(Arg::from));
        args.extend(flag.map(|flag| Arg::from(usize::from(flag))));
        self.card.each(name, len, &args)
    }
}
