//! The book: what it tells its readers to type works, and its links lead somewhere.
//!
//! Every command that stands in a block, and every one in a sentence that has options, is run, page by page, in a folder of
//! its own: what an earlier command leaves is there for a later one. Data sets are small ones, and training takes one epoch.
//! What cannot be run here (a card, the network, digests of files that are not there, minutes of benchmarks) is only parsed,
//! as names of commands in sentences are; that is tested where the parser is, in `main.rs`.

mod commands;

use super::*;

/// The folders that commands are run with.
struct Desk {
    /// The sets `mnist`, `cifar10`, `vgg16` and `dogs`, as if they had been fetched.
    home: TempDir,
    /// Where the commands of a page are run.
    here: TempDir,
}

impl Desk {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let sets = home.path().join("striate");
        fs::create_dir(&sets).unwrap();
        fs::rename(digits().keep(), sets.join("mnist")).unwrap();
        fs::rename(cifar::photos(16).keep(), sets.join("cifar10")).unwrap();
        fs::rename(photos::kennel().keep(), sets.join("dogs")).unwrap();
        fs::create_dir(sets.join("vgg16")).unwrap();
        let here = tempfile::tempdir().unwrap();
        fs::rename(photos::weights(&here), sets.join("vgg16/model.safetensors")).unwrap();
        image::GrayImage::new(28, 28).save(here.path().join("digit.png")).unwrap();
        Desk { home, here }
    }

    /// The folder or the file of a set.
    fn set(&self, path: &str) -> String {
        text(&self.home.path().join("striate").join(path)).to_owned()
    }

    /// The photos as an archive; the set is not there any more.
    fn archive(&self) -> String {
        let (dogs, archive) = (self.set("dogs"), self.here.path().join("dogs.zip"));
        data::zipped(Path::new(&dogs), &archive);
        fs::remove_dir_all(dogs).unwrap();
        text(&archive).to_owned()
    }

    /// The arguments with something small for what stands for the reader's own, or nothing if they cannot be run.
    fn arguments(&self, words: &[String]) -> Option<Vec<String>> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["data", "fetch", "dogs", ..] => {}
            ["bench", ..] | ["data", "fetch" | "verify", ..] => return None,
            _ if words.iter().any(|word| word.starts_with("cuda")) => return None,
            _ => {}
        }
        let fresh = |value: &str| match value {
            "DIR" if words[0] == "train" => "runs/mnist-cnn".to_owned(),
            "DIR" => self.set("dogs"),
            "FILE" if words[0] == "data" => self.archive(),
            "FILE" => self.set("vgg16/model.safetensors"),
            "FEATURES" => "features.safetensors".to_owned(),
            "MODEL" => "mnist-cnn".to_owned(),
            "RUN" => "runs/mnist-cnn".to_owned(),
            "N" | "S" => "1".to_owned(),
            value => value.to_owned(),
        };
        let mut arguments: Vec<String> = words.iter().map(|word| fresh(word)).collect();
        let on_digits = arguments.get(1).is_some_and(|model| model.starts_with("mnist"));
        let mut set = |name: &str, value: &str| match arguments
            .iter()
            .position(|argument| argument == name)
        {
            Some(at) => arguments[at + 1] = value.into(),
            None => arguments.extend([name.to_owned(), value.into()]),
        };
        match words[..] {
            ["train", ..] => {
                set("--epochs", "1");
                set("--data", if on_digits { "mnist" } else { "cifar10" });
            }
            ["compare", ..] => {
                set("--epochs", "1");
                set("--seeds", "1");
                set("--data", "mnist");
            }
            ["photos", ..] => {
                set("--epochs", "2");
                set("--side", "32");
                if words.contains(&"--unfreeze-after") {
                    set("--unfreeze-after", "1");
                }
            }
            ["lr-find", ..] => set("--steps", "6"),
            ["show", "erf", ..] => set("--images", "10"),
            ["show", "dead-logits", ..] => {
                set("--seeds", "1");
                set("--images", "10");
            }
            _ => {}
        }
        Some(arguments)
    }

    /// A checkout has the folders that the book's pictures go to, and those pictures that are looked at.
    fn lay_out(&self, arguments: &[&str]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for pair in arguments.windows(2).filter(|pair| pair[1].starts_with("docs/")) {
            let here = self.here.path().join(pair[1]);
            fs::create_dir_all(here.parent().unwrap()).unwrap();
            if !["--out", "--draw"].contains(&pair[0]) {
                fs::copy(root.join(pair[1]), here).unwrap();
            }
        }
    }

    fn run(&self, page: &Path, words: &[String]) {
        let Some(arguments) = self.arguments(words) else { return };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.lay_out(&arguments);
        let mut command = command(&arguments);
        command.env("XDG_DATA_HOME", self.home.path()).current_dir(&self.here);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {arguments:?}: {stderr}", page.display());
    }
}

/// Whether a command is something to do: in a sentence, one with options.
fn is_to_do(command: &commands::Command) -> bool {
    command.in_block || command.words.iter().any(|word| word.starts_with("--"))
}

/// Runs what `page` tells its readers to do.
fn run_page(page: &str) {
    let (desk, page) =
        (Desk::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page));
    let commands = commands::commands(&page);
    let commands: Vec<_> = commands.iter().filter(|command| is_to_do(command)).collect();
    assert!(!commands.is_empty(), "{}", page.display());
    commands.iter().for_each(|command| desk.run(&command.page, &command.words));
}

macro_rules! pages {
    ($($test:ident: $page:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            run_page($page);
        })*

        #[test]
        fn every_page_with_commands_is_run() {
            let run = [$($page),*];
            for page in commands::pages() {
                if commands::commands(&page).iter().any(is_to_do) {
                    assert!(run.iter().any(|run| page.ends_with(run)), "{}", page.display());
                }
            }
        }
    };
}

pages! {
    the_readmes_commands_run: "README.md",
    the_introductions_commands_run: "docs/introduction.md",
    document_1s_commands_run: "docs/downsampling.md",
    document_2s_commands_run: "docs/dog-breeds.md",
    document_3s_commands_run: "docs/mlp-cnn.md",
    document_4s_commands_run: "docs/cnn-part-2.md",
    the_commands_of_data_run: "docs/data.md",
    the_commands_of_the_results_run: "docs/results.md",
    the_commands_of_the_benchmarks_run: "docs/benchmarks.md",
}

#[test]
fn links_lead_to_files_and_the_summary_has_every_page() {
    let mut linked = Vec::new();
    for page in commands::pages() {
        let folder = page.parent().unwrap();
        for link in fs::read_to_string(&page).unwrap().split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap();
            if link.is_empty() || link.contains("://") {
                continue;
            }
            let path = folder.join(link);
            assert!(path.is_file(), "{}: {link}", page.display());
            if page.ends_with("SUMMARY.md") {
                linked.push(path);
            }
        }
    }
    for page in commands::pages() {
        if !page.ends_with("SUMMARY.md") && !page.ends_with("README.md") {
            assert!(linked.contains(&page), "{} is not in SUMMARY.md", page.display());
        }
    }
}
