//! The `striate` command: train, look, ask.
//!
//! Each command is a file in [`commands`]: its arguments, and one function that does it. Whatever goes wrong ends
//! as one line on standard error and exit code 2. Training that Ctrl-C
//! ended has exit code 130, and `verify` has 1 for bits that differ.

mod answers;
mod commands;
mod data;
mod draw;
mod report;
mod run;
mod training;

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  striate train mnist-cnn                                 leaves the folder runs/mnist-cnn
  striate evaluate runs/mnist-cnn
  striate predict runs/mnist-cnn digit.png
  striate show activations runs/mnist-cnn --layer conv1
  striate arithmetic conv --input 5 --kernel 4 --padding 2";

/// Convolutional networks in pure Rust: train them, look inside, check their arithmetic.
#[derive(Parser)]
#[command(name = "striate", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(commands::train::Arguments),
    LrFind(commands::lr_find::Arguments),
    Photos(commands::photos::Arguments),
    Compare(commands::compare::Arguments),
    Runs(commands::runs::Arguments),
    Verify(commands::verify::Arguments),
    Report(commands::report::Arguments),
    Evaluate(commands::evaluate::Arguments),
    Predict(commands::predict::Arguments),
    Summary(commands::summary::Arguments),
    Models(commands::models::Arguments),
    Arithmetic(commands::arithmetic::Arguments),
    Pooling(commands::pooling::Arguments),
    ReceptiveField(commands::receptive_field::Arguments),
    Show(commands::show::Arguments),
    Data(commands::data::Arguments),
    Devices(commands::devices::Arguments),
    Explain(commands::explain::Arguments),
    Bench(commands::bench::Arguments),
}

/// What a command fails with: any error, shown as one line.
type Failure = Box<dyn std::error::Error>;

/// A command that ends early, or with a verdict, and has an exit code of its own to say so.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Ended {
    code: u8,
    message: String,
}

/// Puts before an error the name of the file that it is about.
fn named<E: Display>(path: &Path) -> impl Fn(E) -> Failure + '_ {
    move |error| format!("{}: {error}", path.display()).into()
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => match complaint(&error) {
            Some(complaint) => return fail(&complaint, 2),
            None => error.exit(),
        },
    };
    if let Err(message) = kernels_are_as_asked() {
        return fail(&message, 2);
    }
    let result = match arguments.command {
        Command::Train(arguments) => commands::train::run(arguments),
        Command::LrFind(arguments) => commands::lr_find::run(arguments),
        Command::Photos(arguments) => commands::photos::run(arguments),
        Command::Compare(arguments) => commands::compare::run(arguments),
        Command::Runs(arguments) => commands::runs::run(arguments),
        Command::Report(arguments) => commands::report::run(arguments),
        Command::Verify(arguments) => commands::verify::run(arguments),
        Command::Evaluate(arguments) => commands::evaluate::run(arguments),
        Command::Predict(arguments) => commands::predict::run(arguments),
        Command::Summary(arguments) => commands::summary::run(arguments),
        Command::Models(arguments) => commands::models::run(arguments),
        Command::Arithmetic(arguments) => commands::arithmetic::run(arguments),
        Command::Pooling(arguments) => commands::pooling::run(arguments),
        Command::ReceptiveField(arguments) => commands::receptive_field::run(arguments),
        Command::Show(arguments) => commands::show::run(arguments),
        Command::Data(arguments) => commands::data::run(arguments),
        Command::Devices(arguments) => commands::devices::run(arguments),
        Command::Explain(arguments) => commands::explain::run(arguments),
        Command::Bench(arguments) => commands::bench::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.downcast_ref().map_or(2, |ended: &Ended| ended.code);
            fail(&error.to_string(), code)
        }
    }
}

/// That the library uses the kernels which the environment asks for. It takes its own where there are no such.
fn kernels_are_as_asked() -> Result<(), String> {
    let asked = std::env::var_os("STRIATE_KERNEL").unwrap_or_default();
    match asked.is_empty() || asked == striate::conv::simd::level_name() {
        true => Ok(()),
        false => Err(format!(
            "STRIATE_KERNEL={}: expected portable, avx2 or avx512, and a processor that has it",
            asked.display()
        )),
    }
}

/// Says why the command ends, in one line.
fn fail(message: &str, code: u8) -> ExitCode {
    // A failure to say so can be told to nobody.
    let _ = writeln!(std::io::stderr(), "striate: {}", message.replace('\n', " "));
    ExitCode::from(code)
}

/// What is wrong with the arguments, without the usage that the parser prints below; none if help was asked for, or
/// nothing at all.
fn complaint(error: &clap::Error) -> Option<String> {
    use clap::error::ErrorKind::*;
    if matches!(
        error.kind(),
        DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        return None;
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let paragraphs = text.split("\n\n").map(str::trim);
    let own =
        paragraphs.take_while(|text| !text.starts_with("Usage:") && !text.starts_with("For more"));
    let lines = own.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    Some(lines.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
#[path = "../tests/cli/book/commands.rs"]
mod book;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    /// What the README and the book print is understood; `tests/cli/book.rs` runs what can be run.
    #[test]
    fn every_printed_command_is_parsed() {
        let commands: Vec<_> = book::pages().iter().flat_map(|page| book::commands(page)).collect();
        let in_blocks = commands.iter().filter(|command| command.in_block).count();
        assert!(0 < in_blocks && in_blocks < commands.len());
        for book::Command { page, words, in_block } in commands {
            // Letters that stand for numbers.
            let words = words.iter().map(|word| match word.as_str() {
                "N" | "S" => "1",
                word => word,
            });
            let words: Vec<&str> = std::iter::once("striate").chain(words).collect();
            match Arguments::try_parse_from(&words) {
                Ok(_) => {}
                // A sentence may name a command without its arguments.
                Err(error) if !in_block && error.kind() == ErrorKind::MissingRequiredArgument => {}
                Err(error) => panic!("{}: {words:?}: {error}", page.display()),
            }
        }
    }
}
