//! The bench: drives the pipeline's roles as processes on real servers, measures what each costs and how
//! long things take, and sets every figure beside the least that the same machine can do. It shares no
//! code with the pipeline.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

mod bench;
mod child;
mod cli;
mod error;
mod fleet;
mod floor;
mod latency;
mod ledger;
mod load;
mod machine;
mod process;
mod profiles;
mod report;
mod result;
mod scrape;
mod sizes;

use bench::Bench;
use cli::{Cli, Command, RunArgs};
use error::BenchError;
use floor::kafka::{KafkaSpec, measure};
use floor::{Floors, clients, echo, server};
use machine::Machine;
use profiles::Profile;
use result::{Findings, ProfileResult, RunResult};

/// The name of the page's generated part.
const PART: &str = "profiles";
/// What sets the seeds of a profile's runs apart; each load of a run adds to it.
const SEED_STEP: u64 = 1_000;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => {
            eprintln!("quiz-bench: no threads: {err}");
            return ExitCode::FAILURE;
        }
    };
    let asked = Cli::parse().command;
    let starts_processes = asked.starts_processes();
    let told = runtime.block_on(async {
        // Whoever is dropped ends the processes that it started.
        tokio::select! {
            told = command(asked) => told,
            () = asked_to_end(), if starts_processes => Err(BenchError::Interrupted),
        }
    });
    match told {
        Ok(code) => code,
        Err(err) => {
            eprintln!("quiz-bench: {err}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C, or for somebody who ends this process; for ever where neither can be heard.
async fn asked_to_end() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn command(command: Command) -> Result<ExitCode, BenchError> {
    match command {
        Command::Run(args) => return run(args).await,
        Command::Render { findings, page } => {
            let found = load(&findings)?
                .ok_or_else(|| BenchError::Usage(format!("{}: there is no such file", findings.display())))?;
            render(&found, &findings, &page)?;
        }
        Command::FloorKafka { bootstrap, rate, seconds, producers, keys, linger_ms } => {
            tell(&measure(&bootstrap, KafkaSpec { rate, seconds, producers, keys, linger_ms }).await?);
        }
        Command::FloorEcho { sockets, servers, rate, seconds } => {
            let mut stage = echo::Stage::up(&own()?, &std::env::temp_dir(), servers, sockets).await?;
            tell(&stage.crowd().await?);
            tell(&stage.echo(rate, seconds).await?);
            stage.down().await;
        }
        Command::EchoServer => server::serve().await?,
        Command::EchoClients { server, sockets } => clients::run(server, sockets).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(value: &impl Serialize) {
    println!("{}", serde_json::to_string(value).expect("numbers have a JSON form"));
}

fn own() -> Result<PathBuf, BenchError> {
    std::env::current_exe().map_err(|err| BenchError::file(Path::new("quiz-bench"), err))
}

/// Runs the profiles, and writes down after each what is known by then.
async fn run(args: RunArgs) -> Result<ExitCode, BenchError> {
    std::fs::create_dir_all(&args.logs).map_err(|err| BenchError::file(&args.logs, err))?;
    let bench = Bench {
        program: args.program.clone(),
        own: own()?,
        logs: args.logs.clone(),
        servers: args.servers.clone(),
        bootstrap: args.bootstrap.clone(),
        sizes: if args.quick { sizes::QUICK } else { sizes::FULL },
        floors: Mutex::new(Floors::default()),
        warm: std::sync::atomic::AtomicBool::new(false),
        alerts: std::sync::Arc::default(),
    };
    let earlier = load(&args.findings)?.unwrap_or_default();
    let mut found = Findings { machine: Machine::here(), ..Findings::default() };
    let profiles = if args.profiles.is_empty() { Profile::value_variants().to_vec() } else { args.profiles.clone() };
    for profile in profiles {
        found.profiles.push(runs(&bench, profile, &args).await);
        found.floors = bench.floors.lock().await.clone();
        let mut all = found.clone().after(earlier.clone());
        all.profiles.sort_by_key(|profile| Profile::from_str(&profile.name, true).ok());
        save(&all, &args.findings)?;
        render(&all, &args.findings, &args.page)?;
    }
    for profile in found.profiles.iter().filter(|profile| profile.middle().is_none_or(RunResult::misses)) {
        eprintln!("quiz-bench: {} misses; see {}", profile.name, args.page.display());
    }
    if found.lost_something() {
        eprintln!("quiz-bench: an answer was lost, or books do not balance");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// All runs of a profile. One that cannot be measured is told as a run that failed: the others go on.
async fn runs(bench: &Bench, profile: Profile, args: &RunArgs) -> ProfileResult {
    let mut runs = Vec::new();
    for no in 1..=args.runs {
        eprintln!("quiz-bench: {} {no} of {}", profile.name(), args.runs);
        let run = profile.run(bench, u64::from(no) * SEED_STEP).await;
        let run = run.unwrap_or_else(|err| RunResult { failure: Some(err.to_string()), ..RunResult::default() });
        for figure in &run.figures {
            eprintln!("quiz-bench:   {} {:.3} {}", figure.name, figure.value, figure.unit);
        }
        if let Some(failure) = &run.failure {
            eprintln!("quiz-bench:   it failed: {failure}");
        }
        eprintln!("quiz-bench:   alerts {}", run.alerts.map_or("unknown".into(), |alerts| alerts.to_string()));
        runs.push(run);
    }
    ProfileResult {
        name: profile.name(),
        what: profile.what(bench),
        commit: args.commit.clone(),
        command: args.told_as.clone(),
        date: args.date.clone(),
        runs,
    }
}

/// What was found earlier; none when there is no such file.
fn load(path: &Path) -> Result<Option<Findings>, BenchError> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|err| BenchError::file(path, err.into())),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(BenchError::file(path, err)),
    }
}

fn save(found: &Findings, path: &Path) -> Result<(), BenchError> {
    let text = serde_json::to_string_pretty(found).expect("findings have only string keys");
    write(path, &(text + "\n"))
}

/// Writes the pictures beside the findings, and the page's generated part.
fn render(found: &Findings, findings: &Path, page: &Path) -> Result<(), BenchError> {
    let folder = findings.parent().unwrap_or(Path::new("."));
    for plot in found.profiles.iter().filter_map(ProfileResult::middle).flat_map(|run| &run.plots) {
        write(&folder.join(format!("{}.svg", plot.file)), &report::svg::draw(plot))?;
    }
    // The page stands beside the folder, or in it.
    let pictures = if page.parent() == Some(folder) { "." } else { "bench" };
    let part = report::markdown::page(found, pictures);
    let old = std::fs::read_to_string(page).map_err(|err| BenchError::file(page, err))?;
    let new = report::marks::replace(&old, PART, &part)
        .ok_or_else(|| BenchError::Usage(format!("{} has no part <!-- generated: {PART} -->", page.display())))?;
    write(page, &new)
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|err| BenchError::file(dir, err))?;
    }
    std::fs::write(path, text).map_err(|err| BenchError::file(path, err))
}
