//! Every kernel of the tests, with one thing broken at a time: each barrier removed, each wait one
//! group short, each address one element off. None may go unnoticed: it ends in a fault or, where it
//! stays inside its arrays, in another result.

use striate_ptx::{Arg, LaunchError, Memory, Module};

/// A kernel with the launch that its arrays fit exactly.
struct Subject {
    text: &'static str,
    kernel: &'static str,
    blocks: u32,
    threads: u32,
    /// The numbers in each array.
    arrays: &'static [usize],
}

const SUBJECTS: [Subject; 4] = [
    Subject {
        text: include_str!("ptx/reverse.ptx"),
        kernel: "reverse",
        blocks: 2,
        threads: 64,
        arrays: &[128, 128],
    },
    Subject {
        text: include_str!("ptx/count.ptx"),
        kernel: "reverse",
        blocks: 3,
        threads: 64,
        arrays: &[1, 1],
    },
    Subject {
        text: include_str!("ptx/pipeline.ptx"),
        kernel: "sum",
        blocks: 1,
        threads: 32,
        arrays: &[256, 32],
    },
    Subject {
        text: include_str!("ptx/product.ptx"),
        kernel: "product8",
        blocks: 1,
        threads: 32,
        arrays: &[128, 64, 128, 128],
    },
];

impl Subject {
    fn run(&self, text: &str) -> Result<Vec<Vec<f32>>, LaunchError> {
        let module = Module::parse("k.ptx", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut memory = Memory::new();
        let mut upload = |count: &usize| {
            let values: Vec<f32> = (0..*count).map(|i| (i * i % 61) as f32).collect();
            memory.upload(&values).unwrap()
        };
        let arrays: Vec<u64> = self.arrays.iter().map(&mut upload).collect();
        let args: Vec<Arg> = arrays.iter().map(|at| Arg::from(*at)).collect();
        let (grid, block) = ([self.blocks, 1, 1], [self.threads, 1, 1]);
        module.launch(&mut memory, self.kernel, grid, block, 0, &args)?;
        let read = |(at, count): (&u64, &usize)| memory.download(*at, *count).unwrap();
        Ok(arrays.iter().zip(self.arrays).map(read).collect())
    }

    /// Runs the kernel with each line replaced in turn by what `break_line` makes of it, and
    /// gives the number of faults and of other results.
    fn mutate(&self, break_line: impl Fn(&str) -> Option<String>) -> (usize, usize) {
        let right = self.run(self.text).unwrap();
        let lines: Vec<&str> = self.text.lines().collect();
        let start = lines.iter().position(|line| line.contains(self.kernel)).unwrap();
        let (mut faults, mut wrong) = (0, 0);
        for (i, line) in lines.iter().enumerate().skip(start) {
            let Some(broken) = break_line(line) else { continue };
            let mut text = lines.clone();
            text[i] = &broken;
            match self.run(&text.join("\n")) {
                Err(LaunchError::Fault(_)) => faults += 1,
                Ok(result) if result != right => wrong += 1,
                other => panic!("`{line}` as `{broken}` (line {}) gave {other:?}", i + 1),
            }
        }
        (faults, wrong)
    }
}

fn mutants(break_line: impl Fn(&str) -> Option<String>) -> [(usize, usize); 4] {
    SUBJECTS.each_ref().map(|subject| subject.mutate(&break_line))
}

#[test]
fn every_barrier_is_needed() {
    let removed = |line: &str| line.contains("bar.sync").then(String::new);
    assert_eq!(mutants(removed), [(1, 0), (2, 0), (2, 0), (0, 0)]);
}

#[test]
fn every_wait_must_reach_its_group() {
    let late = |line: &str| {
        line.contains("wait_group").then(|| line.replace("wait_group 1", "wait_group 2"))
    };
    assert_eq!(mutants(late), [(0, 0), (0, 0), (1, 0), (0, 0)]);
    let removed = |line: &str| line.contains("wait_group").then(String::new);
    assert_eq!(mutants(removed), [(0, 0), (0, 0), (1, 0), (0, 0)]);
}

#[test]
fn every_address_is_exact() {
    let memory = ["ld.global", "st.global", "ld.shared", "st.shared", "red.", "cp.async.ca"];
    for offset in ["+4", "+-4"] {
        let off = |line: &str| {
            memory
                .iter()
                .any(|access| line.contains(access))
                .then(|| line.replacen(']', &format!("{offset}]"), 1))
        };
        let [reverse, count, pipeline, product] = mutants(off);
        assert_eq!([reverse, count, pipeline], [(4, 0), (4, 0), (4, 0)], "off by {offset}");
        // Only the lanes in a corner leave their matrix.
        assert_eq!(product.0 + product.1, 14, "off by {offset}");
    }
}
