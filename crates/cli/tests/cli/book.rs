//! The book: what it tells its readers to type works, and its links lead somewhere.
//!
//! Every command that stands in a block is run, page by page, in a folder of its own: what an earlier command leaves is
//! there for a later one. Data sets are small ones, and training takes one epoch. What cannot be run here (a card, the
//! network, digests of files that are not there, minutes of benchmarks) is only parsed, as commands in sentences are;
//! that is tested where the parser is, in `main.rs`.

mod commands;

use super::*;

/// The folders that commands are run with.
struct Desk {
    /// The sets `mnist` and `cifar10`, as if they had been fetched.
    home: TempDir,
    photos: TempDir,
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
        let here = tempfile::tempdir().unwrap();
        image::GrayImage::new(28, 28).save(here.path().join("digit.png")).unwrap();
        Desk { home, photos: photos::kennel(), here }
    }

    /// The arguments with something small for what stands for the reader's own, or nothing if they cannot be run.
    fn arguments(&self, words: &[String]) -> Option<Vec<String>> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["bench", ..] | ["data", "fetch" | "verify", ..] => return None,
            _ if words.iter().any(|word| word.starts_with("cuda")) => return None,
            _ => {}
        }
        let fresh = |value: &str| match value {
            "DIR" if words[0] == "train" => "runs/mnist-cnn".to_owned(),
            "DIR" => text(self.photos.path()).to_owned(),
            "FILE" => photos::weights(&self.here),
            "FEATURES" => "features.safetensors".to_owned(),
            value => value.to_owned(),
        };
        let mut arguments: Vec<String> = words.iter().map(|word| fresh(word)).collect();
        let mut set = |name: &str, value: &str| match arguments
            .iter()
            .position(|argument| argument == name)
        {
            Some(at) => arguments[at + 1] = value.into(),
            None => arguments.extend([name.to_owned(), value.into()]),
        };
        match words[..] {
            ["train", model, ..] => {
                set("--epochs", "1");
                set("--data", if model.starts_with("mnist") { "mnist" } else { "cifar10" });
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
            ["show", "dead-logits", ..] => {
                set("--seeds", "1");
                set("--images", "10");
            }
            _ => {}
        }
        Some(arguments)
    }

    fn run(&self, page: &Path, words: &[String]) {
        let Some(arguments) = self.arguments(words) else { return };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = command(&arguments);
        command.env("XDG_DATA_HOME", self.home.path()).current_dir(&self.here);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {arguments:?}: {stderr}", page.display());
    }
}

/// Runs what `page` has in blocks.
fn run_page(page: &str) {
    let (desk, page) =
        (Desk::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page));
    let commands = commands::commands(&page);
    let commands: Vec<_> = commands.iter().filter(|command| command.in_block).collect();
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
                if commands::commands(&page).iter().any(|command| command.in_block) {
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
