//! The binary as a library, so that tests and load tools drive the same parts.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub mod admin;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod exit;
pub mod load;
pub mod quiz;
pub mod serve;
pub mod telemetry;
pub mod topics;

use cli::{Cli, Command, ConfigCommand};
use exit::Failure;

/// Parses the command line, runs it, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let file = cli.config.as_ref();
    match cli.command {
        Command::Serve(args) => serve::run(file, args)?,
        Command::Demo(args) => return demo::run(args),
        Command::Load(args) => return load::run(args),
        Command::Quiz(command) => return quiz::run(file, command),
        Command::Topics(command) => return topics::run(file, command),
        Command::Admin(command) => return admin::run(file, command),
        Command::Config(ConfigCommand::Print { redact, sources, json }) => config::print(file, redact, sources, json)?,
        Command::Config(ConfigCommand::Check) => config::check(file)?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "quizstream", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}
