//! The commands that the README and the book print.

use std::fs;
use std::path::{Path, PathBuf};

/// A command as it is printed, without the word `striate`.
pub struct Command {
    /// The page that prints it.
    pub page: PathBuf,
    /// Its arguments.
    pub words: Vec<String>,
    /// Whether it stands in a block, as something to do, and not in a sentence.
    pub in_block: bool,
}

/// The README and all pages of the book.
pub fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> =
        docs.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

/// All commands of a page, in order.
pub fn commands(page: &Path) -> Vec<Command> {
    let text = fs::read_to_string(page).unwrap();
    let mut commands = Vec::new();
    // Every second part of the text stands between fences.
    for (number, part) in text.split("```").enumerate() {
        let in_block = number % 2 == 1;
        let indented = part.lines().find(|line| !in_block && line.starts_with("    "));
        assert_eq!(indented, None, "{}: a block without fences", page.display());
        let printed: Vec<String> = match in_block {
            // What a command does may stand behind it, after a gap.
            true => part.lines().map(|line| line.split("  ").next().unwrap().to_owned()).collect(),
            false => part.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        };
        let printed = printed.iter().filter_map(|command| command.strip_prefix("striate "));
        commands.extend(printed.map(|command| Command {
            page: page.to_owned(),
            words: command.split_whitespace().map(str::to_owned).collect(),
            in_block,
        }));
    }
    commands
}
