//! What the bots saw, by question: the clients' own record, one side of the ledger.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use quiz_schemas::events::StopReason;
use quiz_schemas::{PlayerId, Position, QuestionNo, SubmissionId};

/// The longest latency that is told apart, µs; longer ones count as this.
const LATENCY_US_MAX: u64 = 60_000_000;

/// An answer that a bot saw acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acked {
    /// The idempotency key.
    pub submission: SubmissionId,
    /// Where the edge says it stands.
    pub position: Position,
}

/// One question.
pub struct QuestionTally {
    /// Answers sent, resends not counted again.
    pub sent: u64,
    /// Acknowledged, by player.
    pub acked: BTreeMap<PlayerId, Acked>,
    /// Errors in place of an ack, resends not counted.
    pub refused: u64,
    /// Send → ack, µs.
    pub ack_us: Histogram<u64>,
    /// Close → board, µs.
    pub board_us: Histogram<u64>,
    closed_at: Option<(Instant, StopReason)>,
}

impl Default for QuestionTally {
    fn default() -> Self {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are constants that fit");
        Self {
            sent: 0,
            acked: BTreeMap::new(),
            refused: 0,
            ack_us: histogram(),
            board_us: histogram(),
            closed_at: None,
        }
    }
}

/// A bot's own standing as the edge last told it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// After which question.
    pub question: QuestionNo,
    /// Points over the game.
    pub total: i64,
    /// Rank, from 1.
    pub rank: i32,
}

/// Everything the bots saw.
#[derive(Default)]
pub struct Tally {
    questions: Mutex<BTreeMap<QuestionNo, QuestionTally>>,
    standings: Mutex<BTreeMap<PlayerId, Standing>>,
    reconnects: Mutex<u64>,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(LATENCY_US_MAX).clamp(1, LATENCY_US_MAX)
}

impl Tally {
    /// Reads or changes a question's tally.
    pub fn question<T>(&self, question: QuestionNo, change: impl FnOnce(&mut QuestionTally) -> T) -> T {
        let mut questions = self.questions.lock().expect("no bot panics while it holds the lock");
        change(questions.entry(question).or_default())
    }

    /// All questions, in order.
    pub fn each<T>(&self, mut read: impl FnMut(QuestionNo, &QuestionTally) -> T) -> Vec<T> {
        let questions = self.questions.lock().expect("no bot panics while it holds the lock");
        questions.iter().map(|(no, tally)| read(*no, tally)).collect()
    }

    /// An answer leaves for the first time.
    pub fn sent(&self, question: QuestionNo) {
        self.question(question, |tally| tally.sent += 1);
    }

    /// An ack came `elapsed` after its answer was last sent.
    pub fn acked(&self, question: QuestionNo, player: PlayerId, acked: Acked, elapsed: Duration) {
        self.question(question, |tally| {
            if tally.acked.insert(player, acked).is_none() {
                tally.ack_us.saturating_record(micros(elapsed));
            }
        });
    }

    /// The host sees a question close: that starts the clock of its board. Bots may hear it with the board.
    pub fn closed(&self, question: QuestionNo, reason: StopReason) {
        self.question(question, |tally| tally.closed_at.get_or_insert((Instant::now(), reason)).0);
    }

    /// A board came. The grace between the stop and the close marker is no one's delay and is
    /// taken off.
    pub fn board(&self, question: QuestionNo, grace: Duration) {
        self.question(question, |tally| {
            let Some((at, reason)) = tally.closed_at else { return };
            let grace = if reason == StopReason::AllAnswered { Duration::ZERO } else { grace };
            tally.board_us.saturating_record(micros(at.elapsed().saturating_sub(grace)));
        });
    }

    /// A bot's own standing.
    pub fn standing(&self, player: PlayerId, standing: Standing) {
        self.standings.lock().expect("no bot panics while it holds the lock").insert(player, standing);
    }

    /// The bots' standings.
    pub fn standings(&self) -> BTreeMap<PlayerId, Standing> {
        self.standings.lock().expect("no bot panics while it holds the lock").clone()
    }

    /// A bot had to come back.
    pub fn reconnected(&self) {
        *self.reconnects.lock().expect("no bot panics while it holds the lock") += 1;
    }

    /// How often bots had to come back.
    pub fn reconnects(&self) -> u64 {
        *self.reconnects.lock().expect("no bot panics while it holds the lock")
    }
}
