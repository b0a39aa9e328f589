//! `load`: many players in many games against running edges. An open loop: answers leave when their
//! schedule says, whatever the system does; latencies count from then.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, timeout};

use crate::cli::LoadArgs;
use crate::client::link::Way;
use crate::exit::{Exit, Failure};
use crate::serve::runtime;
use crate::telemetry;

pub mod game;
pub mod log;
pub mod measure;
pub mod options;
pub mod pace;
pub mod player;
pub mod quiz;
pub mod report;

use game::{Around, Game, Step};
use log::{FLUSH_INTERVAL, Log, write_beside};
use measure::Meter;
use options::{PATIENCE, Run};
use report::{Report, answered, fanned_out, idled, joined};

/// Clients that connect at once.
const CONNECTS_AT_ONCE: usize = 1_024;

/// Runs the command. Exit code 0 when all games came to their end and every player heard of it.
///
/// # Errors
/// When what is asked for cannot be, or no edge takes the games.
pub fn run(args: LoadArgs) -> Result<ExitCode, Failure> {
    telemetry::logs("error,rdkafka=off,librdkafka=off");
    let run = Arc::new(Run::new(&args)?);
    runtime()?.block_on(async {
        let began = Instant::now();
        let log = args.log.as_ref().map(|dir| Log::open(dir, began).map(Arc::new)).transpose()?;
        let mut load = Load::new(&args, run, log, began)?;
        let code = load.until_end(&args).await?;
        load.finish();
        Ok(code)
    })
}

struct Load {
    around: Around,
    began: Instant,
    report: Report,
    games: Vec<Game>,
    files: BTreeMap<&'static str, PathBuf>,
    ok: bool,
    flusher: Option<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn new(args: &LoadArgs, run: Arc<Run>, log: Option<Arc<Log>>, began: Instant) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        let flusher = log.clone().map(|log| {
            tokio::spawn(async move {
                let mut ticks = interval(FLUSH_INTERVAL);
                loop {
                    ticks.tick().await;
                    log.flush();
                }
            })
        });
        if let (Some(log), Some(dir)) = (&log, &args.log) {
            let quiz = write_beside(dir, "quiz", &*run.quiz)?;
            log.write(
                "run",
                json!({ "pid": std::process::id(), "seed": args.seed, "quiz": quiz, "edges": args.edges,
                    "tokens": log::beside(dir, "tokens"), "args": std::env::args().collect::<Vec<_>>() }),
            );
            files.insert("log", log.path().to_path_buf());
            files.insert("quiz", quiz);
        }
        let way = Way::new(&args.edges, CONNECTS_AT_ONCE, PATIENCE);
        let around = Around { run, way, seed: args.seed, resends: args.resend, meter: Arc::new(Meter::default()), log };
        Ok(Self { around, began, report: Report::new(!args.json), games: Vec::new(), files, ok: false, flusher })
    }

    /// Plays, unless it takes too long or a signal comes first.
    async fn until_end(&mut self, args: &LoadArgs) -> Result<ExitCode, Failure> {
        let failed = |err: std::io::Error| Failure::new(Exit::Failed, format!("signals cannot be caught: {err}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let limit = self.around.run.timeout;
        let played = tokio::select! {
            played = timeout(limit, self.play(args)) => played,
            _ = terminate.recv() => return Ok(ExitCode::from(130)),
            _ = interrupt.recv() => return Ok(ExitCode::from(130)),
        };
        let in_time = played.is_ok();
        match played {
            Ok(result) => result?,
            Err(_) => self.report.complain(&format!("given up after {} s (--timeout-s)", limit.as_secs())),
        }
        self.ok = in_time && self.games.iter().all(|game| game.failure().is_none() && game.ending().2);
        Ok(if self.ok { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed as u8) })
    }

    async fn play(&mut self, args: &LoadArgs) -> Result<(), Failure> {
        self.create(args).await?;
        let meter = self.around.meter.clone();
        let began = Instant::now();
        self.step(Step::Join(began)).await;
        self.report.line(joined(&meter, began.elapsed(), self.around.run.players.iter().sum()));
        let began = Instant::now();
        let before = meter.counts().0;
        self.step(Step::Idle(self.around.run.idle)).await;
        self.report.line(idled(&meter, began.elapsed(), &before));
        let began = Instant::now();
        let before = meter.counts().0;
        self.step(Step::Play).await;
        self.report.line(answered(&meter, began.elapsed(), &before));
        self.report.line(fanned_out(&meter));
        Ok(())
    }

    async fn create(&mut self, args: &LoadArgs) -> Result<(), Failure> {
        let mut first = 0;
        let creations = self.around.run.players.clone().into_iter().enumerate().map(|(no, players)| {
            let creation = Game::create(self.around.clone(), no as u32, players, first);
            first += players;
            creation
        });
        self.games = futures::future::try_join_all(creations).await?;
        if let Some(dir) = &args.log {
            let tokens: BTreeMap<String, &str> = self
                .games
                .iter()
                .map(|game| (game.created().game.to_string(), game.created().host_token.as_str()))
                .collect();
            self.files.insert("tokens", write_beside(dir, "tokens", &tokens)?);
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) {
        futures::future::join_all(self.games.iter_mut().map(|game| game.step(step))).await;
        for failure in self.games.iter().filter_map(Game::failure) {
            self.report.complain(&failure.message);
        }
    }

    /// The last line, and the end of the log.
    fn finish(mut self) {
        let (counts, refused) = self.around.meter.counts();
        let games: Vec<Value> = self.games.iter().map(report::game).collect();
        let totals = json!({ "counts": counts, "refused": refused });
        self.report.line(json!({
            "phase": "total",
            "ok": self.ok,
            "seconds": self.began.elapsed().as_secs_f64(),
            "seed": self.around.seed,
            "games": games,
            "files": self.files,
            "totals": totals,
        }));
        if let Some(flusher) = self.flusher.take() {
            flusher.abort();
        }
        if let Some(log) = &self.around.log {
            log.write("done", json!({ "ok": self.ok, "totals": totals }));
            log.flush();
        }
    }
}
