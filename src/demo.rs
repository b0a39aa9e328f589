//! `demo`: a whole game with bots over real sockets, and the proof that nothing was lost.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use quiz_game::import::{self, Format};
use quiz_ingest::protocol::{Board, Over};
use quiz_schemas::events::LaneCounts;
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{LaneKey, LaneNo, QuestionNo};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cli::DemoArgs;
use crate::exit::{Exit, Failure};
use crate::quiz;
use crate::serve::runtime;
use crate::telemetry;

mod bots;
mod choices;
mod host;
mod ledger;
mod processes;
mod replay;
mod report;
mod socket;
mod stage;
mod tally;

use bots::{Bot, JOINS_AT_ONCE, Room};
use host::Host;
use ledger::Ledger;
use replay::Replayed;
use report::{Console, Latency, Row, Summary};
use stage::Pipeline;
use tally::Tally;

/// The sample quiz.
const SAMPLE: &str = include_str!("../samples/demo.yaml");
/// How many bots may be missing from the lobby when the game starts: none.
const JOIN_WAIT: Duration = Duration::from_secs(60);
/// How long the store may take to hold what a board already shows.
const STORE_WAIT: Duration = Duration::from_secs(10);
/// Players that one lane is made for.
const LANE_PLAYERS: u32 = 2_000;

/// Runs the command.
///
/// # Errors
/// When the pipeline does not come up, or a role fails on the way.
pub fn run(args: DemoArgs) -> Result<ExitCode, Failure> {
    telemetry::logs("error");
    runtime()?.block_on(async {
        tokio::select! {
            result = play(&args) => result,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        }
    })
}

fn quiz(args: &DemoArgs) -> Result<Quiz, Failure> {
    let mut quiz = match &args.quiz {
        Some(file) => quiz::load(file)?,
        None => {
            let imported = import::import(Format::Yaml, SAMPLE);
            let title = imported.title.unwrap_or_else(|| "A sample quiz".into());
            Quiz { id: "demo".into(), version: 1, title, questions: imported.questions }
        }
    };
    let wanted = args.questions.map_or(DEMO_QUESTIONS_MAX, usize::from);
    quiz.questions.truncate(wanted);
    Ok(quiz)
}

/// Questions asked when `--questions` does not say.
const DEMO_QUESTIONS_MAX: usize = 10;

async fn play(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let quiz = Arc::new(quiz(args)?);
    let console = Console::new(quiz.questions.len());
    console.status("starting the pipeline");
    let (pipeline, mut guard) = stage::up(args).await?;
    console.line(format!("quizstream demo: {}", pipeline.description));
    console.line(format!("open http://{}/ to play, http://{}/host to host", pipeline.edges[0], pipeline.edges[0]));
    let game = Game::start(args, &pipeline, quiz).await?;
    let proof = async {
        let played = game.play(args, &pipeline, &console).await?;
        console.finish();
        game.prove(args, &pipeline, played).await
    };
    let proof = tokio::select! {
        proof = proof => proof?,
        failure = guard.failed() => return Err(failure),
    };
    let good = proof.show(args, &console)?;
    if args.keep {
        console.line(format!("staying up at http://{}/ until Ctrl-C", pipeline.edges[0]));
        return Err(guard.failed().await);
    }
    drop(pipeline);
    guard.down().await?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(Exit::Found as u8) })
}

/// A game under way.
struct Game {
    quiz: Arc<Quiz>,
    created: host::Created,
    lanes: LaneNo,
    tally: Arc<Tally>,
}

/// A game that was played.
struct Played {
    over: Over,
}

/// What was proved.
struct Proof {
    summary: Summary,
    ledger: Ledger,
}

impl Game {
    async fn start(args: &DemoArgs, pipeline: &Pipeline, quiz: Arc<Quiz>) -> Result<Self, Failure> {
        let created = host::create(pipeline.edges[0], &quiz, args.players).await?;
        let lanes = args.players.div_ceil(LANE_PLAYERS).max(1) as LaneNo;
        Ok(Self { quiz, created, lanes, tally: Arc::new(Tally::default()) })
    }

    fn lane_keys(&self) -> Vec<LaneKey> {
        (0..self.lanes).map(|lane| LaneKey { game: self.created.game, lane }).collect()
    }

    async fn play(&self, args: &DemoArgs, pipeline: &Pipeline, console: &Console) -> Result<Played, Failure> {
        console.line(format!("game {} with PIN {}: {} bots join", self.created.game, self.created.pin, args.players));
        console.status("bots join");
        let mut host = Host::new(pipeline.edges.clone(), self.created.host_token.clone());
        let mut bots = self.join(args, pipeline).await?;
        for (no, question) in self.quiz.questions.iter().enumerate() {
            let no = no as QuestionNo;
            console.status(question.prompt.chars().take(50).collect::<String>());
            let board = host.ask(no, Duration::from_millis(u64::try_from(question.limit_ms).unwrap_or(0))).await?;
            let stored = self.stored(pipeline, &board).await?;
            self.tally.question(no, |seen| {
                console.line(report::question_line(no, &question.prompt, seen, board.answered, stored));
            });
            console.step();
        }
        let over = host.end().await?;
        while let Some(ended) = bots.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(err)) => return Err(Failure::new(Exit::Failed, err)),
                Err(err) => return Err(Failure::new(Exit::Failed, format!("a bot panicked: {err}"))),
            }
        }
        Ok(Played { over })
    }

    async fn join(&self, args: &DemoArgs, pipeline: &Pipeline) -> Result<JoinSet<Result<(), bots::BotError>>, Failure> {
        let room = Arc::new(Room {
            edges: pipeline.edges.clone(),
            pin: self.created.pin,
            quiz: self.quiz.clone(),
            seed: args.seed,
            tally: self.tally.clone(),
            joins: Semaphore::new(JOINS_AT_ONCE),
        });
        let (joined, mut arrivals) = mpsc::channel(JOINS_AT_ONCE);
        let mut bots = JoinSet::new();
        for no in 0..args.players {
            bots.spawn(Bot::new(no, room.clone()).play(joined.clone()));
        }
        drop(joined);
        let deadline = Instant::now() + JOIN_WAIT;
        for arrived in 0..args.players {
            let arrival = tokio::select! {
                arrival = arrivals.recv() => arrival,
                Some(ended) = bots.join_next() => {
                    let why = match ended {
                        Ok(Err(err)) => err.to_string(),
                        _ => "it ended before the game began".to_string(),
                    };
                    return Err(Failure::new(Exit::Failed, format!("a bot could not join: {why}")));
                }
                () = tokio::time::sleep_until(deadline) => None,
            };
            if arrival.is_none() {
                return Err(Failure::new(Exit::Failed, format!("only {arrived} of {} bots could join", args.players))
                    .hint("RUST_LOG=info shows what each role does"));
            }
        }
        Ok(bots)
    }

    /// How many answers the store holds for the board's question, once it holds all that were judged.
    async fn stored(&self, pipeline: &Pipeline, board: &Board) -> Result<u64, Failure> {
        let deadline = Instant::now() + STORE_WAIT;
        loop {
            let players = ledger::stored(pipeline.store.as_ref(), &self.lane_keys(), board.question).await?;
            let stored = players.values().map(|count| u64::from(*count)).sum::<u64>();
            if stored as i64 >= board.answered || Instant::now() >= deadline {
                return Ok(stored);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn prove(&self, args: &DemoArgs, pipeline: &Pipeline, played: Played) -> Result<Proof, Failure> {
        let questions = self.quiz.questions.len() as QuestionNo;
        let replayed = replay::replay(pipeline, self.created.game, self.lanes, questions).await?;
        let reported: BTreeMap<QuestionNo, LaneCounts> =
            replay::reported(pipeline, self.created.game, self.lanes, questions).await?;
        let ledger =
            ledger::close(&self.tally, &replayed, &reported, pipeline.store.as_ref(), &self.lane_keys()).await?;
        let board = report::rows(&played.over);
        let total = ledger.total();
        let mut all_acks = tally::QuestionTally::default();
        self.tally.each(|_, seen| {
            // Equal bounds: adding cannot fail.
            let _ = all_acks.ack_us.add(&seen.ack_us);
            let _ = all_acks.board_us.add(&seen.board_us);
        });
        let summary = Summary {
            players: args.players,
            questions: self.quiz.questions.len(),
            sent: total.sent,
            acked: total.acked,
            scored: total.scored,
            stored: total.stored,
            lost: total.lost,
            duplicates: total.duplicates,
            late: total.late,
            reconnects: self.tally.reconnects(),
            ack_ms: Latency::of(&all_acks.ack_us),
            board_ms: Latency::of(&all_acks.board_us),
            replay_matches: self.matches(&replayed, &board),
            seed: args.seed,
            choices: self.fingerprint(args),
            board,
        };
        Ok(Proof { summary, ledger })
    }

    /// Whether the replayed game has the published board, and every bot was told its replayed rank.
    fn matches(&self, replayed: &Replayed, board: &[Row]) -> bool {
        let told = self.tally.standings();
        let standings = replayed.standings(told.keys().copied());
        let bots_match = told.iter().all(|(player, own)| standings.get(player) == Some(&(own.total, own.rank)));
        let mut best: Vec<(i64, i32)> = standings.values().copied().collect();
        best.sort_unstable_by_key(|(total, rank)| (*rank, -*total));
        let rows_match = board.iter().zip(&best).all(|(row, (total, rank))| row.points == *total && row.rank == *rank);
        bots_match && rows_match && !board.is_empty()
    }

    /// FNV-1a over the questions asked and each bot's choice.
    fn fingerprint(&self, args: &DemoArgs) -> String {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for (no, question) in self.quiz.questions.iter().enumerate() {
            for bot in 0..args.players {
                let choice = choices::choose(args.seed, bot, no as QuestionNo, question);
                for byte in format!("{no} {} {bot} {:?}\n", question.prompt, choice.response).bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
            }
        }
        format!("{hash:016x}")
    }
}

impl Proof {
    /// Shows the board and the ledger; true when all is well.
    fn show(&self, args: &DemoArgs, console: &Console) -> Result<bool, Failure> {
        let (summary, ledger) = (&self.summary, &self.ledger);
        let good = ledger.balances() && summary.replay_matches;
        console.line(report::board_table(&summary.board, 10));
        console.line(report::ledger_table(ledger));
        console.line(if summary.replay_matches {
            "the records, played again through the rules, give this board"
        } else {
            "the records, played again through the rules, do NOT give this board"
        });
        if args.json {
            let text = serde_json::to_string(summary).map_err(|err| Failure::new(Exit::Failed, err))?;
            println!("{text}");
        } else {
            println!(
                "{}: {} players, {} questions, {} acked, {} scored, {} stored, {} lost, {} duplicates",
                if good { "the ledger balances" } else { "THE LEDGER DOES NOT BALANCE" },
                summary.players,
                summary.questions,
                summary.acked,
                summary.scored,
                summary.stored,
                summary.lost,
                summary.duplicates
            );
        }
        Ok(good)
    }
}
