//! `load`: many players in many games against running edges. An open loop: answers leave when their
//! schedule says, whatever the system does; latencies count from then.
//!
//! This process creates the games and hosts them. The players are here too, or split over children
//! of this process when they do not fit into one ([`files`], [`crowd`], [`shard`]).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Barrier, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use crate::cli::LoadArgs;
use crate::exit::{Exit, Failure};
use crate::telemetry;

pub mod books;
pub mod clock;
pub mod crowd;
pub mod figures;
pub mod files;
pub mod game;
pub mod log;
pub mod measure;
pub mod options;
pub mod orders;
pub mod pace;
pub mod player;
pub mod processes;
pub mod quiz;
pub mod report;
pub mod shard;
pub mod squad;

use books::Books;
use crowd::{Crowd, Seats};
use figures::Figures;
use game::{Game, Step};
use log::{Log, write_beside};
use options::Run;
use processes::Gone;
use report::{Report, answered, fanned_out, idled, joined, summed};
use squad::Around;

/// Clients that connect at once, over all processes.
const CONNECTS_AT_ONCE: usize = 1_024;
/// How long processes of players may take to end when they are let go.
const LEAVE_WAIT: Duration = Duration::from_secs(15);

/// Runs the command. Exit code 0 when all games came to their end and every player heard of it.
///
/// # Errors
/// When what is asked for cannot be, or no edge takes the games.
pub fn run(args: LoadArgs) -> Result<ExitCode, Failure> {
    telemetry::logs("error,rdkafka=off,librdkafka=off");
    let files = files::raise();
    let run = Run::new(&args, files)?;
    if let Some(part) = args.shard {
        return shard::run(&args, run, part);
    }
    threads(1)?.block_on(async {
        let began = Instant::now();
        let log = args.log.as_ref().map(|dir| Log::open(dir, began).map(Arc::new)).transpose()?;
        let gate = Arc::new(Semaphore::new(CONNECTS_AT_ONCE));
        let around = Around::new(Arc::new(run), gate, log);
        let (crowd, seats, mut gone) = Crowd::muster(&around).await?;
        let mut load = Load::new(&args, around, crowd, began)?;
        let ended = load.until_end(seats, &mut gone, &args).await?;
        Ok(load.finish(ended, gone).await)
    })
}

/// A runtime of one of `of` processes that share the machine.
fn threads(of: u32) -> Result<Runtime, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / of as usize).max(1))
        .enable_all()
        .build()
        .map_err(|err| Failure::new(Exit::Failed, format!("no threads: {err}")))
}

struct Load {
    around: Around,
    began: Instant,
    crowd: Crowd,
    report: Report,
    games: Vec<Game>,
    files: BTreeMap<&'static str, Value>,
    flusher: Option<tokio::task::JoinHandle<()>>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// All games came to an end, good or bad.
    Played,
    /// It was given up, and said why.
    GivenUp,
    /// A signal came.
    Signalled,
}

impl Load {
    fn new(args: &LoadArgs, around: Around, crowd: Crowd, began: Instant) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        let flusher = around.log.as_ref().map(Log::flushing);
        if let (Some(log), Some(dir)) = (&around.log, &args.log) {
            let quiz = write_beside(dir, "quiz", &*around.run.quiz)?;
            log.write(
                "run",
                json!({ "pid": std::process::id(), "seed": args.seed, "quiz": quiz, "edges": args.edges,
                    "tokens": log::beside(dir, "tokens"), "args": std::env::args().collect::<Vec<_>>() }),
            );
            files.insert("log", json!(log.path()));
            files.insert("quiz", json!(quiz));
        }
        if !crowd.logs.is_empty() {
            files.insert("players", json!(crowd.logs));
        }
        Ok(Self { around, began, crowd, report: Report::new(!args.json), games: Vec::new(), files, flusher })
    }

    /// Plays, unless it takes too long, a signal comes first, or a process of players ends.
    async fn until_end(
        &mut self,
        seats: Vec<Seats>,
        gone: &mut mpsc::Receiver<Gone>,
        args: &LoadArgs,
    ) -> Result<Ended, Failure> {
        let failed = |err: std::io::Error| Failure::new(Exit::Failed, format!("signals cannot be caught: {err}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let limit = self.around.run.timeout;
        let why = tokio::select! {
            // A signal to the whole group ends the processes of players as well: it is the reason then.
            biased;
            _ = terminate.recv() => return Ok(Ended::Signalled),
            _ = interrupt.recv() => return Ok(Ended::Signalled),
            Some(gone) = gone.recv() => format!("{} before the run did", gone.words()),
            played = timeout(limit, self.play(seats, args)) => match played {
                Ok(result) => return result.map(|()| Ended::Played),
                Err(_) => format!("given up after {} s (--timeout-s)", limit.as_secs()),
            },
        };
        self.report.complain(&why);
        Ok(Ended::GivenUp)
    }

    async fn play(&mut self, seats: Vec<Seats>, args: &LoadArgs) -> Result<(), Failure> {
        self.create(seats, args.log.as_ref()).await?;
        let players = self.around.run.players.iter().sum();
        let began = Instant::now();
        self.step(Step::Join(began)).await;
        let took = began.elapsed();
        let figures = self.figures().await;
        self.report.line(joined(&figures, took, players));
        let before = figures;
        let began = Instant::now();
        self.step(Step::Idle(self.around.run.idle)).await;
        let took = began.elapsed();
        let figures = self.figures().await;
        self.report.line(idled(&figures, took, &before));
        let before = figures;
        let began = Instant::now();
        self.step(Step::Play(began)).await;
        let took = began.elapsed();
        let figures = self.figures().await;
        self.report.line(answered(&figures, took, &before));
        self.report.line(fanned_out(&figures));
        Ok(())
    }

    async fn create(&mut self, seats: Vec<Seats>, dir: Option<&PathBuf>) -> Result<(), Failure> {
        let creations = seats.into_iter().enumerate();
        let creations = creations.map(|(no, seats)| Game::create(self.around.clone(), no as u32, seats));
        self.games = futures::future::try_join_all(creations).await?;
        if let Some(dir) = dir {
            let tokens: BTreeMap<String, &str> = self
                .games
                .iter()
                .map(|game| (game.created().game.to_string(), game.created().host_token.as_str()))
                .collect();
            self.files.insert("tokens", json!(write_beside(dir, "tokens", &tokens)?));
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) {
        let others = Barrier::new(self.games.len());
        let steps = self.games.iter_mut().map(async |game| {
            game.step(step).await;
            game.wait_for(&others).await;
        });
        futures::future::join_all(steps).await;
        for failure in self.games.iter().filter_map(Game::failure) {
            self.report.complain(&failure.message);
        }
    }

    /// What hosts and players have measured so far.
    async fn figures(&mut self) -> Figures {
        let (mut figures, silent) = self.crowd.figures().await;
        if silent > 0 {
            self.report.complain(&format!("{silent} processes of players do not tell what they measured"));
        }
        figures += &self.around.meter.figures();
        figures
    }

    /// The last line, the end of the players' processes and of the log.
    async fn finish(mut self, ended: Ended, gone: mpsc::Receiver<Gone>) -> ExitCode {
        let took = self.began.elapsed();
        let figures = self.figures().await;
        self.crowd.leave().await;
        let left_well = self.all_left_well(gone).await;
        let played = ended == Ended::Played;
        let ended_well = self.games.iter().all(|game| game.failure().is_none() && game.ending().2);
        let ok = played && left_well && ended_well;
        let books = if played { self.books().await } else { Books::default() };
        let totals = json!({ "counts": figures.counts, "refused": figures.refused });
        let games: Vec<Value> = self.games.iter().map(report::game).collect();
        let mut line = json!({ "phase": "total", "ok": ok, "seconds": took.as_secs_f64(), "seed": self.around.run.seed,
            "processes": self.around.run.processes, "games": games, "files": self.files, "totals": totals });
        if let Value::Object(line) = &mut line {
            line.extend(summed(&figures, &books));
        }
        self.report.line(line);
        if let Some(flusher) = self.flusher.take() {
            flusher.abort();
        }
        if let Some(log) = &self.around.log {
            log.write("done", json!({ "ok": ok, "totals": totals }));
            log.flush();
        }
        match ended {
            Ended::Signalled => ExitCode::from(130),
            _ if ok => ExitCode::SUCCESS,
            _ => ExitCode::from(Exit::Failed as u8),
        }
    }

    /// Waits until the processes of players have written down all and ended. Whether all did well.
    async fn all_left_well(&mut self, mut gone: mpsc::Receiver<Gone>) -> bool {
        let deadline = Instant::now() + LEAVE_WAIT;
        let mut well = true;
        loop {
            match tokio::time::timeout_at(deadline, gone.recv()).await {
                Ok(Some(gone)) if gone.well() => {}
                Ok(Some(gone)) => {
                    self.report.complain(&gone.words());
                    well = false;
                }
                // Each says one thing; there is no more to hear when all have.
                Ok(None) => return well,
                Err(_) => {
                    self.report.complain("a process of players does not end");
                    return false;
                }
            }
        }
    }

    async fn books(&mut self) -> Books {
        let accounts: Vec<_> = self.games.iter().map(Game::account).collect();
        match books::look(&self.around.way, &accounts).await {
            Ok(books) => books,
            Err(failure) => {
                self.report.complain(&failure.message);
                Books::default()
            }
        }
    }
}
