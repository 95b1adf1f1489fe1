//! What the main loops of the heavy kernels cost, held to the budget that each file states:
//!
//! `// loop: KERNEL SHARE FFMA, FLOP FLOP/byte, WAVEFRONTS wavefronts, SECTORS sectors`
//!
//! - The share of multiply-adds (on tensor cores HMMA) among the instructions issued, and floating-point operations for each byte that a thread
//!   loads from shared memory, in the worst of two generations of cards. NVIDIA's assembler says what instructions there
//!   are and, for it is given line numbers, which line of the kernel each came from; how often a line is reached is
//!   counted by the interpreter. So a branch that is taken once in 16 rounds counts a sixteenth.
//! - Wavefronts of shared memory and sectors of global memory, by how many times they are more than as many bytes take at best.
//!
//! The figures rank versions of a kernel and guard what was reached. They are no speed: they say nothing of latency.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use striate_ptx::{Stats, Transfer};

use super::ptxas::{assembler, required};
use super::{Kernel, conv, gemm, text};

const TARGETS: [&str; 2] = ["sm_86", "sm_90"];

/// A kernel with a main loop, and typical launches of it.
struct Subject {
    /// The kernel, which its file is named after.
    kernel: Kernel,
    /// Where the loop begins in the file; it ends at `DONE`.
    label: &'static str,
    launches: Vec<Stats>,
}

impl Subject {
    fn new(name: &'static str, label: &'static str, launch: fn(&Kernel) -> Vec<Stats>) -> Self {
        let kernel = Kernel::load(name, &file(name));
        Self { launches: launch(&kernel), kernel, label }
    }

    fn text(&self) -> String {
        text(&file(self.kernel.name))
    }
}

fn file(kernel: &str) -> String {
    format!("{kernel}.ptx")
}

fn subjects() -> [Subject; 5] {
    [
        Subject::new("gemm", "STORE:", gemm::interior),
        Subject::new("gemm_tf32", "LOOP:", gemm::interior),
        Subject::new("conv", "NEXT:", conv::typical_forward),
        Subject::new("conv_tf32", "LOOP:", conv::typical_forward),
        Subject::new("conv_weight", "NEXT:", conv::typical_weight_gradient),
    ]
}

/// Share of multiply-adds, operations a byte, wavefronts and sectors.
type Budget = [f64; 4];

fn budget(subject: &Subject) -> Budget {
    let text = subject.text();
    let line = text.lines().find_map(|line| {
        line.strip_prefix("// loop: ")?.strip_prefix(subject.kernel.name)?.strip_prefix(' ')
    });
    let line = line.unwrap_or_else(|| panic!("{} states no loop", subject.kernel.name));
    let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let [share, "FFMA" | "HMMA", flop, "FLOP/byte", wavefronts, "wavefronts", sectors, "sectors"] =
        words[..]
    else {
        panic!("`{line}` is not a budget")
    };
    [share, flop, wavefronts, sectors].map(|number| number.parse().unwrap())
}

/// The lines from a kernel's label to its `DONE`.
fn lines(subject: &Subject) -> std::ops::RangeInclusive<u32> {
    let text = subject.text();
    let entry = format!(".visible .entry {}(", subject.kernel.name);
    let mut lines = (1..).zip(text.lines()).skip_while(|(_, line)| !line.starts_with(&entry));
    let mut find = |label: &str| lines.find(|(_, line)| line.starts_with(label)).unwrap().0;
    find(subject.label)..=find("DONE:")
}

/// How many more pieces than at best the requests of the loop take.
fn waste(stats: &Stats, subject: &Subject, transfers: [Transfer; 2]) -> f64 {
    let requests = transfers.map(|transfer| stats.traffic_in(transfer, lines(subject)));
    let sum = |of: fn(&striate_ptx::Traffic) -> u64| requests.iter().flatten().map(of).sum::<u64>();
    sum(|t| t.pieces) as f64 / sum(|t| t.ideal) as f64
}

#[test]
fn the_loops_move_as_little_as_they_state() {
    for subject in subjects() {
        let [.., wavefronts, sectors] = budget(&subject);
        let worst = |transfers| {
            let each = subject.launches.iter().map(|stats| waste(stats, &subject, transfers));
            each.fold(0.0, f64::max)
        };
        let found = [
            worst([Transfer::SharedLoad, Transfer::SharedStore]),
            worst([Transfer::GlobalLoad, Transfer::GlobalStore]),
        ];
        for (found, stated) in found.into_iter().zip([wavefronts, sectors]) {
            let close = (found - stated).abs() < 0.005;
            assert!(close, "{}: {found:.2} and not {stated:.2}", subject.kernel.name);
        }
    }
}

/// An instruction of a card and the line that it was made of.
struct Machine {
    line: u32,
    text: String,
}

/// A kernel as its card will run it; what the labels stand before.
#[derive(Default)]
struct Assembled {
    code: Vec<Machine>,
    labels: HashMap<String, usize>,
}

/// The file with a line number before each line of instructions.
fn numbered(text: &str) -> String {
    let mut out = String::new();
    let mut body = false;
    for (number, line) in (1..).zip(text.lines()) {
        body = line == "{" || body && line != "}";
        let instruction = line.strip_prefix("  ").unwrap_or_default();
        if body && instruction.starts_with(|first: char| first == '@' || first.is_alphabetic()) {
            out += &format!(".loc 1 {number} 0\n");
        }
        out += line;
        out += "\n";
        if line.starts_with(".address_size") {
            out += ".file 1 \"kernel.ptx\"\n";
        }
    }
    out
}

fn assemble(tools: &Path, subject: &Subject, target: &str) -> Assembled {
    let folder = tempfile::tempdir().unwrap();
    let [source, cubin] = ["k.ptx", "k.cubin"].map(|name| folder.path().join(name));
    std::fs::write(&source, numbered(&subject.text())).unwrap();
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(Command::new(tools.join("ptxas"))
        .args(["-lineinfo", &format!("-arch={target}"), "-o"])
        .args([&cubin, &source]));
    parse(
        &run(Command::new(tools.join("nvdisasm")).args(["-c", "-g"]).arg(&cubin)),
        subject.kernel.name,
    )
}

fn parse(disassembly: &str, kernel: &str) -> Assembled {
    let begin = format!(".text.{kernel}:");
    let body = disassembly.lines().skip_while(|line| *line != begin).skip(1);
    let mut assembled = Assembled::default();
    let mut at = 0;
    for line in body.take_while(|line| !line.starts_with(".text.")) {
        if let Some(label) = line.strip_suffix(':').filter(|label| label.starts_with(".L")) {
            assembled.labels.insert(label.to_owned(), assembled.code.len());
        } else if let Some((_, number)) = line.split_once("\", line ") {
            at = number.split(' ').next().and_then(|number| number.parse().ok()).unwrap();
        } else if let Some((_, text)) = line.split_once("*/ ").filter(|(_, t)| t.contains(';')) {
            let text = text.split(';').next().unwrap_or_default().trim().to_owned();
            // What never runs fills room.
            if !text.starts_with("@!PT") {
                assembled.code.push(Machine { line: at, text });
            }
        }
    }
    assembled
}

impl Machine {
    /// Its name without a predicate.
    fn name(&self) -> &str {
        self.text.split(' ').find(|word| !word.starts_with('@')).unwrap_or_default()
    }

    fn target(&self) -> Option<&str> {
        let is_branch = ["BRA", "CALL"].iter().any(|name| self.name().starts_with(name));
        let (_, label) = self.text.split_once("`(").filter(|_| is_branch)?;
        label.split(')').next()
    }

    fn ends_block(&self) -> bool {
        self.target().is_some() || self.name() == "EXIT"
    }

    /// Floating-point operations of a multiply-add for each thread: a warp multiplies 16 x 8 by 8 x 8 on tensor cores.
    fn flop(&self) -> f64 {
        match self.name() {
            "FFMA" => 2.0,
            "HMMA.1688.F32.TF32" => 64.0,
            _ => 0.0,
        }
    }

    /// Bytes that a thread loads from shared memory.
    fn shared_bytes(&self) -> f64 {
        match self.name() {
            "LDS.128" | "LDSM.16.M88.4" => 16.0,
            "LDS.64" => 8.0,
            name if name.starts_with("LDS") => 4.0,
            _ => 0.0,
        }
    }
}

impl Assembled {
    /// The instructions between the ends of the loop that has the most multiply-adds.
    fn main_loop(&self) -> std::ops::RangeInclusive<usize> {
        let back = self.code.iter().enumerate().filter_map(|(end, machine)| {
            let start = *self.labels.get(machine.target()?)?;
            (start <= end).then_some(start..=end)
        });
        let products = |range: &std::ops::RangeInclusive<usize>| {
            self.code[range.clone()].iter().filter(|m| m.flop() > 0.0).count()
        };
        back.max_by_key(products).expect("a loop")
    }

    /// How often each instruction of a range is issued: all of a block as often as the line that is reached most.
    fn issues(&self, range: std::ops::RangeInclusive<usize>, stats: &Stats) -> Vec<f64> {
        let reached: HashMap<u32, u64> = stats.issued.iter().copied().collect();
        let mut issues = Vec::new();
        let mut block = Vec::new();
        for at in range.clone() {
            block.push(reached.get(&self.code[at].line).copied().unwrap_or(0));
            let last = at == *range.end() || self.code[at].ends_block();
            if last || self.labels.values().any(|label| *label == at + 1) {
                let most = block.iter().copied().max().unwrap_or(0) as f64;
                issues.extend(block.drain(..).map(|_| most));
            }
        }
        issues
    }

    /// The share of multiply-adds among what is issued, and operations for each byte loaded from shared memory.
    fn figures(&self, stats: &Stats) -> [f64; 2] {
        let range = self.main_loop();
        let issues = self.issues(range.clone(), stats);
        let sum = |of: &dyn Fn(&Machine) -> f64| -> f64 {
            self.code[range.clone()].iter().zip(&issues).map(|(m, n)| of(m) * n).sum()
        };
        let products = sum(&|machine| f64::from(u8::from(machine.flop() > 0.0)));
        [products / issues.iter().sum::<f64>(), sum(&Machine::flop) / sum(&Machine::shared_bytes)]
    }
}

#[test]
fn the_loops_multiply_as_densely_as_they_state() {
    let tools = assembler().and_then(|path| Some(path.parent()?.to_owned()));
    let Some(tools) = tools.filter(|tools| tools.join("nvdisasm").is_file()) else {
        assert!(!required(), "STRIATE_REQUIRE_PTXAS=1, and there is no nvdisasm beside ptxas");
        println!("SKIP: no nvdisasm beside ptxas");
        return;
    };
    for subject in subjects() {
        let [share, flop, ..] = budget(&subject);
        let mut worst = [f64::INFINITY; 2];
        for target in TARGETS {
            let assembled = assemble(&tools, &subject, target);
            for stats in &subject.launches {
                let figures = assembled.figures(stats);
                println!("{} on {target}: {figures:.3?}", subject.kernel.name);
                worst = [0, 1].map(|i| figures[i].min(worst[i]));
            }
        }
        for (found, stated) in worst.into_iter().zip([share, flop]) {
            let kernel = subject.kernel.name;
            assert!(found >= stated - 1e-9, "{kernel}: {found:.3}, which was {stated} at least");
            assert!(found < stated + 0.01, "{kernel} reaches {found:.3}: state it for {stated}");
        }
    }
}
