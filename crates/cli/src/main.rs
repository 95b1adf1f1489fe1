//! The `striate` command: train, look, ask.
//!
//! Each command is a file in [`commands`]: its arguments, and one function that does it. Whatever goes wrong ends
//! as one line on standard error and exit code 2.

mod commands;
mod data;
mod draw;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Convolutional networks in pure Rust: train them, look inside, check their arithmetic.
#[derive(Parser)]
#[command(name = "striate", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(commands::train::Arguments),
    Evaluate(commands::evaluate::Arguments),
    Predict(commands::predict::Arguments),
    Summary(commands::summary::Arguments),
    Models(commands::models::Arguments),
    Arithmetic(commands::arithmetic::Arguments),
    Show(commands::show::Arguments),
    Devices(commands::devices::Arguments),
}

/// What a command fails with: any error, shown as one line.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if cfg!(debug_assertions) && matches!(arguments.command, Command::Train(_)) {
        eprintln!("note: this is a debug build; `cargo run --release` trains faster");
    }
    let result = match arguments.command {
        Command::Train(arguments) => commands::train::run(arguments),
        Command::Evaluate(arguments) => commands::evaluate::run(arguments),
        Command::Predict(arguments) => commands::predict::run(arguments),
        Command::Summary(arguments) => commands::summary::run(arguments),
        Command::Models(arguments) => commands::models::run(arguments),
        Command::Arithmetic(arguments) => commands::arithmetic::run(arguments),
        Command::Show(arguments) => commands::show::run(arguments),
        Command::Devices(arguments) => commands::devices::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("striate: {}", error.to_string().replace('\n', " "));
            ExitCode::from(2)
        }
    }
}
