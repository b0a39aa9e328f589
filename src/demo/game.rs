//! One bot game, step by step: join, ask, end, prove.

use std::sync::Arc;
use std::time::Duration;

use quiz_ingest::http::Created;
use quiz_ingest::limits::LANE_PLAYERS_MAX;
use quiz_ingest::protocol::{Board, Over, ServerMessage};
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{LaneKey, LaneNo, QuestionNo};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::bots::{Bot, Room};
use super::ledger::{self, Ledger};
use super::replay::{self, Replayed};
use super::report::{self, Latency, Row, Summary};
use super::stage::Pipeline;
use super::tally::{QuestionTally, Tally};
use crate::client::choices::choose;
use crate::client::create::create;
use crate::client::host::Host;
use crate::client::link::{Happening, LinkError, Way};
use crate::exit::{Exit, Failure};

/// Clients that connect at once.
const CONNECTS_AT_ONCE: usize = 64;
/// How long a client goes on without an edge, and how long a board may take beyond its question's
/// own time.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long all bots together may take to join.
const JOIN_WAIT: Duration = Duration::from_secs(60);
/// How long the store may take to hold what a board already shows.
const STORE_WAIT: Duration = Duration::from_secs(10);
/// How long bots may take to hear that the game is over.
const OVER_WAIT: Duration = Duration::from_secs(30);

/// Who plays what.
#[derive(Clone)]
pub struct Cast {
    /// The quiz.
    pub quiz: Arc<Quiz>,
    /// How many bots.
    pub players: u32,
    /// How many players the game is made for: decides its lanes.
    pub capacity: u32,
    /// Makes their choices.
    pub seed: u64,
}

/// A game under way.
pub struct Game {
    cast: Cast,
    created: Created,
    lanes: LaneNo,
    tally: Arc<Tally>,
    way: Way,
    host: Host,
    bots: JoinSet<Result<(), LinkError>>,
}

/// What was proved of a game.
pub struct Proof {
    /// In numbers.
    pub summary: Summary,
    /// By question.
    pub ledger: Ledger,
}

impl Proof {
    /// Whether nothing was lost, nothing counted twice, and the records say the same.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.ledger.balances() && self.summary.replay_matches
    }
}

impl Game {
    /// Creates the game.
    ///
    /// # Errors
    /// When the edge refuses it.
    pub async fn create(pipeline: &Pipeline, cast: Cast) -> Result<Self, Failure> {
        let way = Way::new(&pipeline.edges, CONNECTS_AT_ONCE, PATIENCE);
        let created = create(&way, &cast.quiz, cast.capacity).await?;
        let lanes = cast.capacity.div_ceil(LANE_PLAYERS_MAX as u32).max(1) as LaneNo;
        let tally = Arc::new(Tally::default());
        let hears = tally.clone();
        let host = Host::new(way.clone(), created.host_token.clone()).watched(Box::new(move |happening, _| {
            if let Happening::Heard { message, .. } = happening
                && let ServerMessage::Closed(stopped) = &**message
            {
                hears.closed(stopped.question, stopped.reason);
            }
        }));
        Ok(Self { cast, created, lanes, tally, way, host, bots: JoinSet::new() })
    }

    /// How the edge named it.
    #[must_use]
    pub fn created(&self) -> &Created {
        &self.created
    }

    /// What the bots see.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// The game's lanes.
    #[must_use]
    pub fn lane_keys(&self) -> Vec<LaneKey> {
        (0..self.lanes).map(|lane| LaneKey { game: self.created.game, lane }).collect()
    }

    /// Lets all bots join, and waits for them.
    ///
    /// # Errors
    /// When one of them cannot.
    pub async fn join(&mut self) -> Result<(), Failure> {
        let room = Arc::new(Room {
            way: self.way.clone(),
            pin: self.created.pin,
            quiz: self.cast.quiz.clone(),
            seed: self.cast.seed,
            tally: self.tally.clone(),
        });
        let (joined, mut arrivals) = mpsc::channel(self.cast.players as usize);
        for no in 0..self.cast.players {
            self.bots.spawn(Bot::new(no, room.clone(), joined.clone()).play());
        }
        drop(joined);
        let deadline = Instant::now() + JOIN_WAIT;
        for arrived in 0..self.cast.players {
            let arrival = tokio::select! {
                arrival = arrivals.recv() => arrival,
                Some(ended) = self.bots.join_next() => {
                    let why = match ended {
                        Ok(Err(err)) => err.to_string(),
                        _ => "it ended before the game began".to_string(),
                    };
                    return Err(Failure::new(Exit::Failed, format!("a bot could not join: {why}")));
                }
                () = sleep_until(deadline) => None,
            };
            if arrival.is_none() {
                let message = format!("only {arrived} of {} bots could join", self.cast.players);
                return Err(Failure::new(Exit::Failed, message).hint("RUST_LOG=info shows what each role does"));
            }
        }
        Ok(())
    }

    /// Asks a question and waits for its board; then for the store to hold what the board shows.
    /// Returns the board and the number of stored answers.
    ///
    /// # Errors
    /// When the board does not come in time.
    pub async fn ask(&mut self, pipeline: &Pipeline, no: QuestionNo) -> Result<(Board, u64), Failure> {
        let limit_ms = self.cast.quiz.questions[usize::from(no)].limit_ms;
        let limit = Duration::from_millis(u64::try_from(limit_ms).unwrap_or(0));
        let board = self.host.ask(no, limit).await?;
        let stored = self.stored(pipeline, &board).await?;
        Ok((board, stored))
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

    /// Ends the game, and waits until every bot knows.
    ///
    /// # Errors
    /// When a bot lost its way, or the end does not come in time.
    pub async fn end(&mut self) -> Result<Over, Failure> {
        let over = self.host.end().await?;
        let deadline = Instant::now() + OVER_WAIT;
        loop {
            let ended = tokio::select! {
                ended = self.bots.join_next() => ended,
                () = sleep_until(deadline) => {
                    let message = format!("{} bots did not hear that the game is over", self.bots.len());
                    return Err(Failure::new(Exit::Failed, message));
                }
            };
            match ended {
                None => return Ok(over),
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(err))) => return Err(Failure::new(Exit::Failed, err)),
                Some(Err(err)) => return Err(Failure::new(Exit::Failed, format!("a bot panicked: {err}"))),
            }
        }
    }

    /// Closes the ledger and plays the records through the rules again.
    ///
    /// # Errors
    /// When the log or the store cannot be read.
    pub async fn prove(&self, pipeline: &Pipeline, over: &Over) -> Result<Proof, Failure> {
        let game = self.created.game;
        let replayed = replay::replay(pipeline, game, self.lanes).await?;
        let reported = replay::reported(pipeline, game).await?;
        let ledger =
            ledger::close(&self.tally, &replayed, &reported, pipeline.store.as_ref(), &self.lane_keys()).await?;
        let board = report::rows(over);
        let total = ledger.total();
        let mut all = QuestionTally::default();
        self.tally.each(|_, seen| {
            // Equal bounds: adding cannot fail.
            let _ = all.ack_us.add(&seen.ack_us);
            let _ = all.board_us.add(&seen.board_us);
        });
        let summary = Summary {
            players: self.cast.players,
            questions: self.cast.quiz.questions.len(),
            sent: total.sent,
            acked: total.acked,
            scored: total.scored,
            stored: total.stored,
            lost: total.lost,
            duplicates: total.duplicates,
            late: total.late,
            reconnects: self.tally.reconnects(),
            ack_ms: Latency::of(&all.ack_us),
            board_ms: Latency::of(&all.board_us),
            replay_matches: self.matches(&replayed, &board),
            seed: self.cast.seed,
            choices: self.fingerprint(),
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
        bots_match && rows_match && !board.is_empty() && told.len() == self.cast.players as usize
    }

    /// FNV-1a over the questions asked and each bot's choice.
    fn fingerprint(&self) -> String {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for (no, question) in self.cast.quiz.questions.iter().enumerate() {
            for bot in 0..self.cast.players {
                let choice = choose(self.cast.seed, bot, no as QuestionNo, question);
                for byte in format!("{no} {} {bot} {:?}\n", question.prompt, choice.response).bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
            }
        }
        format!("{hash:016x}")
    }
}
