//! What loads and stores cost a card: sectors of global memory and wavefronts of shared memory.
//!
//! A warp's load or store is one request. Global memory moves in sectors of 32 bytes, as many as
//! the request's bytes lie in. Shared memory has 32 banks of four bytes; a wavefront takes at most
//! one word from each, and lanes that want the same word share it. Requests of 8 and 16 bytes a
//! lane are served half a warp and a quarter of a warp at a time. This is the model of NVIDIA's
//! programming guide; where a card does better by joining halves, it is not counted.

use crate::instruction::{Instruction, LANES, Lanes, Op, Space};
use crate::warp::lanes;

const SECTOR: u64 = 32;
const BANKS: u64 = 32;
const WORD: u64 = 4;

/// What an instruction moves, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// From global memory, in sectors.
    GlobalLoad,
    /// To global memory, in sectors.
    GlobalStore,
    /// From shared memory, in wavefronts.
    SharedLoad,
    /// To shared memory, in wavefronts.
    SharedStore,
}

impl Transfer {
    fn of(space: Space, store: bool) -> Option<Self> {
        match (space, store) {
            (Space::Global, false) => Some(Self::GlobalLoad),
            (Space::Global, true) => Some(Self::GlobalStore),
            (Space::Shared, false) => Some(Self::SharedLoad),
            (Space::Shared, true) => Some(Self::SharedStore),
            _ => None,
        }
    }
}

/// The requests of one instruction of a kernel, or of many together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The instruction's line.
    pub line: u32,
    /// What it moves.
    pub transfer: Transfer,
    /// How often a warp executed it with at least one active lane.
    pub requests: u64,
    /// The sectors or wavefronts that this took.
    pub pieces: u64,
    /// The sectors or wavefronts that as many bytes take at best, if all are different.
    pub ideal: u64,
}

impl Traffic {
    /// Sectors or wavefronts per request.
    pub fn per_request(&self) -> f64 {
        self.pieces as f64 / self.requests as f64
    }

    /// No requests yet, by the direction that data move: loads first, then stores. An asynchronous
    /// copy makes both.
    pub(crate) fn of_instruction(instruction: &Instruction) -> [Option<Self>; 2] {
        let transfers = match &instruction.op {
            Op::Load(access) => [Transfer::of(access.space, false), None],
            Op::Store(access) => [None, Transfer::of(access.space, true)],
            Op::Matrices(_) => [Some(Transfer::SharedLoad), None],
            Op::Copy(_) => [Some(Transfer::GlobalLoad), Some(Transfer::SharedStore)],
            _ => [None, None],
        };
        transfers.map(|transfer| Some(Self::new(instruction.line, transfer?)))
    }

    fn new(line: u32, transfer: Transfer) -> Self {
        Self { line, transfer, requests: 0, pieces: 0, ideal: 0 }
    }

    /// Counts one request: the first byte that each active lane accesses, and how many.
    pub(crate) fn request(&mut self, addresses: &Lanes, active: u32, bytes: usize) {
        if active == 0 {
            return;
        }
        let shared = matches!(self.transfer, Transfer::SharedLoad | Transfer::SharedStore);
        let (pieces, width) = match shared {
            true => (wavefronts(addresses, active, bytes), WORD * BANKS),
            false => (sectors(addresses, active), SECTOR),
        };
        self.requests += 1;
        self.pieces += pieces;
        self.ideal += (u64::from(active.count_ones()) * bytes as u64).div_ceil(width);
    }

    /// Adds another's requests.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.pieces += other.pieces;
        self.ideal += other.ideal;
    }
}

/// The sectors that hold the lanes' bytes. Accesses are aligned and at most 16 bytes, so that each
/// lies in one.
fn sectors(addresses: &Lanes, active: u32) -> u64 {
    // Mostly they lie close together.
    let base = (addresses[active.trailing_zeros() as usize] / SECTOR) & !63;
    let (mut near, mut far) = (0_u64, Vec::new());
    for lane in lanes(active) {
        let sector = addresses[lane] / SECTOR;
        match sector.wrapping_sub(base) {
            bit @ 0..64 => near |= 1 << bit,
            _ => far.push(sector),
        }
    }
    far.sort_unstable();
    far.dedup();
    u64::from(near.count_ones()) + far.len() as u64
}

fn wavefronts(addresses: &Lanes, active: u32, bytes: usize) -> u64 {
    let group = (LANES * WORD as usize / bytes.max(WORD as usize)).max(1);
    let groups = (0..LANES).step_by(group);
    let mask = (1_u64 << group) - 1;
    groups.map(|first| conflicts(addresses, active & (mask << first) as u32, bytes)).sum()
}

/// The most different words that a group of lanes wants from one bank.
fn conflicts(addresses: &Lanes, group: u32, bytes: usize) -> u64 {
    let words = (bytes as u64).div_ceil(WORD);
    // At first as if each bank were asked for one word.
    let (mut taken, mut word_of) = (0_u32, [0; BANKS as usize]);
    for lane in lanes(group) {
        let first = addresses[lane] / WORD;
        for word in first..first + words {
            let bank = (word % BANKS) as usize;
            if taken >> bank & 1 == 1 && word_of[bank] != word {
                return busiest(addresses, group, words);
            }
            taken |= 1 << bank;
            word_of[bank] = word;
        }
    }
    u64::from(taken != 0)
}

fn busiest(addresses: &Lanes, group: u32, words: u64) -> u64 {
    let first = lanes(group).map(|lane| addresses[lane] / WORD);
    let mut wanted: Vec<u64> = first.flat_map(|word| word..word + words).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut banks = [0; BANKS as usize];
    wanted.iter().for_each(|word| banks[(word % BANKS) as usize] += 1);
    banks.into_iter().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(transfer: Transfer, bytes: usize, at: impl Fn(u64) -> Option<u64>) -> (u64, u64) {
        let mut traffic = Traffic::new(1, transfer);
        let active =
            (0..32).filter(|lane| at(*lane).is_some()).fold(0, |all, lane| all | 1 << lane);
        let addresses = std::array::from_fn(|lane| at(lane as u64).unwrap_or_default());
        traffic.request(&addresses, active, bytes);
        (traffic.pieces, traffic.ideal)
    }

    #[test]
    fn sectors_are_those_that_hold_the_bytes() {
        let load = |bytes, at: fn(u64) -> Option<u64>| count(Transfer::GlobalLoad, bytes, at);
        assert_eq!(load(4, |i| Some(256 + 4 * i)), (4, 4));
        assert_eq!(load(4, |i| Some(256 + 16 + 4 * i)), (5, 4), "not aligned to a sector");
        assert_eq!(load(16, |i| Some(16 * i)), (16, 16));
        assert_eq!(load(4, |i| Some(128 * i)), (32, 4), "a column");
        assert_eq!(load(4, |_| Some(64)), (1, 4), "a broadcast");
        assert_eq!(load(4, |i| (i < 8).then_some(4 * i)), (1, 1));
        assert_eq!(load(4, |i| Some((i << 40) + 4 * i)), (32, 4), "far apart");
        assert_eq!(load(4, |_| None), (0, 0));
    }

    #[test]
    fn wavefronts_are_the_words_of_the_busiest_bank() {
        let load = |bytes, at: fn(u64) -> Option<u64>| count(Transfer::SharedLoad, bytes, at);
        assert_eq!(load(4, |i| Some(4 * i)), (1, 1));
        assert_eq!(load(4, |i| Some(8 * i)), (2, 1), "every other bank");
        assert_eq!(load(4, |i| Some(128 * i)), (32, 1), "a column");
        assert_eq!(load(4, |i| Some(132 * i)), (1, 1), "a padded column");
        assert_eq!(load(4, |_| Some(4)), (1, 1), "a broadcast");
        assert_eq!(load(1, Some), (1, 1), "bytes of one word");
        assert_eq!(load(8, |i| Some(8 * i)), (2, 2));
        assert_eq!(load(16, |i| Some(16 * i)), (4, 4));
        assert_eq!(load(16, |i| Some(128 * i)), (32, 4));
        assert_eq!(load(16, |i| (i < 8).then_some(16 * i)), (1, 1));
    }
}
