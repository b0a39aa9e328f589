//! The quizstream binary. See `quizstream --help`.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

mod admin;
mod cli;
mod config;
mod demo;
mod exit;
mod quiz;
mod serve;
mod telemetry;
mod topics;

use cli::{Cli, Command, ConfigCommand};
use exit::Failure;

fn main() -> ExitCode {
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
