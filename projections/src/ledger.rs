//! The ledger: sessions, scores and the edges' tallies in, each question's books out.
//!
//! Three parties count the same answers and none of them looks at the others: the edges what they
//! acknowledged, the lanes what they read from the log, the store what it holds. A question's books
//! close when all its lanes have announced that their answers are stored and every edge that took
//! part has told its tally. When counts and digests agree, the sets are the same and nothing needs to
//! be compared; else the answers themselves are: the edges' submission ids against the log, and the
//! log, judged again by the lane's rules, against the store.
//!
//! An edge that tells nothing in [`EDGE_WAIT_US`] is silent, dead most likely: then the log decides.
//! What it had appended is `unclaimed`, which is no imbalance.
//!
//! *Memory.* A partition's state is that of its live games: per question and edge the acked ids until the
//! books agree, eight bytes each, at most [`IDS_MAX`] of them; and where each player is. Once they agree,
//! the log is known to hold what the edges acknowledged, and is read should the books be opened again. A
//! game that is over is forgotten [`LINGER_US`] after its last record, one that nothing began after
//! [`UNBEGUN_US`].

mod audit;
mod books;
mod game;
mod metric;
mod partition;
mod presence;
mod store;

pub use audit::LaneAudit;
pub use metric::Metric;
pub use partition::Partition;
pub use store::{LaneLog, LedgerStore, RangeLog};

use quiz_schemas::{GameId, LaneKey, QuestionNo, Topic};
use quiz_store::{LedgerDoc, Write};
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record};

/// The group's id on the broker.
pub const GROUP: &str = "quiz.ledger";
/// How long an edge that took part may take to tell its tally, µs since the last news of the question.
pub const EDGE_WAIT_US: i64 = 10_000_000;
/// How long books that do not balance, though everybody has told, may wait for news, µs: an edge tells
/// what changed within a second.
pub const SETTLE_US: i64 = 3_000_000;
/// How long a game that is over and has closed books is kept for late tallies, µs.
pub const LINGER_US: i64 = 60_000_000;
/// How long records of a game wait for the record that began it, µs.
pub const UNBEGUN_US: i64 = 30_000_000;
/// How long a game that is over is kept though some books are open, µs.
pub const OVER_US_MAX: i64 = 3_600_000_000;
/// The most games of one partition. When it bites, the one that was quiet longest is forgotten.
pub const GAMES_MAX: usize = 5_000;
/// The most submission ids held for one partition. When it bites, those of closed books go first; an
/// edge without ids counts like a silent one, should its books be opened again.
pub const IDS_MAX: usize = 8_000_000;

// An edge that is late must not be taken for one whose word is known and wrong.
const _: () = assert!(SETTLE_US < EDGE_WAIT_US);

/// A question in one lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LaneQuestion {
    /// The lane.
    pub lane: LaneKey,
    /// The question.
    pub question: QuestionNo,
}

/// What the ledger asks the store for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// The books of a game as they were told last.
    Books(GameId),
    /// How many answers are stored.
    Count(LaneQuestion),
    /// The answers themselves, in the log and in the store.
    Audit {
        /// Which.
        at: LaneQuestion,
        /// The lane's partition of the answers topic.
        partition: i32,
        /// From where to read it; below 0 when the question's beginning is not known.
        from: i64,
    },
}

/// What the store answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Doc {
    /// To [`Key::Books`].
    Books(GameId, Vec<LedgerDoc>),
    /// To [`Key::Count`].
    Count(LaneQuestion, i64),
    /// To [`Key::Audit`].
    Audit(LaneQuestion, LaneAudit),
}

/// How long the broker may gather records, ms.
const GATHER_MS: u32 = 200;

/// The rules of group `quiz.ledger`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerProjection;

impl Processor for LedgerProjection {
    type State = Partition;
    type Key = Key;
    type Doc = Doc;
    type Write = Write;

    fn group(&self) -> GroupSpec {
        GroupSpec {
            id: GROUP,
            reads: &[Topic::Sessions, Topic::Scores, Topic::Tallies],
            restores_from: None,
            delivery: Delivery::AtLeastOnce,
        }
    }

    /// Nobody waits for books.
    fn gather_ms(&self) -> u32 {
        GATHER_MS
    }

    fn start(&self, _partition: i32) -> Partition {
        Partition::default()
    }

    fn needs(&self, state: &Partition, batch: &[Record]) -> Vec<Key> {
        state.needs(batch)
    }

    fn supply(&self, state: &mut Partition, docs: Vec<Doc>) {
        state.supply(docs);
    }

    fn apply(&self, state: &mut Partition, batch: &[Record], now_us: i64) -> Output<Write> {
        state.apply(batch, now_us)
    }

    fn next_tick_us(&self, state: &Partition) -> Option<i64> {
        state.next_tick_us()
    }

    fn tick(&self, state: &mut Partition, now_us: i64) -> Output<Write> {
        state.tick(now_us)
    }

    fn commit_point(&self, state: &Partition, topic: Topic, next: i64) -> i64 {
        state.commit_point(topic, next)
    }
}
