//! Sums and extremes over any axes: `reduce.ptx`.

use striate_tensor::backend::{Memory, Reduce, Storage, View};
use striate_tensor::{Layout, Result};

use crate::backend::Cuda;
use crate::card::{Arg, THREADS};
use crate::memory::address;

type Store = Storage<f32>;

/// Blocks that fill a card; a constant, for the bits of a sum shall not depend on the card at hand.
pub(crate) const BLOCKS: usize = 256;
/// Elements that one thread adds by itself.
const SHORT: usize = 32;
/// The same where neighbouring threads read neighbouring elements, and results that make that worth it.
const DEEP: usize = 1024;
const MANY: usize = 8192;
/// Elements that are worth a block of their own.
const PART: usize = 2048;

/// Axes that are both reduced or both kept, as one: two groups of each kind at most.
#[derive(Clone, Copy, Debug)]
struct Fold {
    /// Sizes and strides of the outer and the inner group.
    kept: [(usize, usize); 2],
    reduced: [(usize, usize); 2],
}

/// Neighbouring axes of one kind as one, without those of size one.
fn groups(shape: &[usize], reduced: &[bool]) -> Vec<(usize, bool)> {
    let mut groups: Vec<(usize, bool)> = Vec::new();
    for (&size, &reduced) in shape.iter().zip(reduced).filter(|(size, _)| **size != 1) {
        match groups.last_mut() {
            Some((joined, kind)) if *kind == reduced => *joined *= size,
            _ => groups.push((size, reduced)),
        }
    }
    groups
}

impl Fold {
    /// `None` if there are more groups.
    fn new(shape: &[usize], reduced: &[bool]) -> Option<Self> {
        let groups = groups(shape, reduced);
        let mut stride = 1;
        let mut of_kind = [Vec::new(), Vec::new()];
        for &(size, reduced) in groups.iter().rev() {
            of_kind[usize::from(reduced)].push((size, stride));
            stride *= size;
        }
        let [kept, reduced] = of_kind.map(|mut pairs| {
            pairs.resize(pairs.len().max(2), (1, 0));
            <[_; 2]>::try_from(pairs).ok().map(|[inner, outer]| [outer, inner])
        });
        Some(Self { kept: kept?, reduced: reduced? })
    }

    fn results(&self) -> usize {
        self.kept[0].0 * self.kept[1].0
    }

    fn count(&self) -> usize {
        self.reduced[0].0 * self.reduced[1].0
    }

    /// What both kernels are told after the sizes.
    fn args(&self, op: Reduce) -> [Arg; 7] {
        let code = match op {
            Reduce::Sum => 0,
            Reduce::Max => 1,
            Reduce::Min => 2,
        };
        let ([(_, k0), (r1, k1)], [(_, x0), (e1, x1)]) = (self.kept, self.reduced);
        [code, r1, k0, k1, e1, x0, x1].map(Arg::from)
    }

    fn run(&self, cuda: &Cuda, op: Reduce, x: u64) -> Result<Store> {
        let (results, count) = (self.results(), self.count());
        let side_by_side = self.kept[1].1 == 1 && results >= MANY && count <= DEEP;
        if count <= SHORT || side_by_side {
            return cuda.output(results, |out| {
                let mut args = [x, out].map(Arg::from).to_vec();
                args.extend([count, results].map(Arg::from));
                args.extend(self.args(op));
                cuda.card.each("short", results, &args)
            });
        }
        let parts = (BLOCKS / results.max(1)).min(count / PART).max(1);
        let chunk = count.div_ceil(parts);
        let parts = count.div_ceil(chunk);
        let folded = cuda.output(parts * results, |out| {
            let mut args = [x, out].map(Arg::from).to_vec();
            args.extend([count, chunk].map(Arg::from));
            args.extend(self.args(op));
            cuda.card.launch("fold", [results, parts, 1], THREADS, &args)
        })?;
        if parts == 1 {
            return Ok(folded);
        }
        let rest = Self { kept: [(1, 0), (results, 1)], reduced: [(1, 0), (parts, results)] };
        rest.run(cuda, op, address(&folded)?)
    }
}

impl Cuda {
    /// The reduction of the marked axes of a dense tensor.
    pub(crate) fn fold(
        &self,
        op: Reduce,
        x: &Store,
        (shape, reduced): (&[usize], &[bool]),
    ) -> Result<Store> {
        if let Some(fold) = Fold::new(shape, reduced) {
            return fold.run(self, op, address(x)?);
        }
        // With the reduced axes last there is one group of each kind.
        let mut order: Vec<usize> = (0..shape.len()).collect();
        order.sort_by_key(|&axis| reduced[axis]);
        let layout = Layout::dense(shape).permute(&order);
        let sorted: Store = self.copy(View::new(x, &layout))?;
        let reduced: Vec<bool> = order.iter().map(|&axis| reduced[axis]).collect();
        self.fold(op, &sorted, (&layout.shape, &reduced))
    }
}
