//! The board projection: sessions and scores in, results, boards, standings and views out.
//!
//! It reads two topics of one partition number, and the two interleave as they like: after a
//! rebalance a lane's report may be read before the record that began its game, or a question's
//! successor before its last report. Per game, session records are folded in their order, and what
//! follows a settled question waits for that question's board. So the durable results of a game come
//! in the same order in every replay, but for lobby changes and refusals around a board, and a board
//! holds the same rows: it looks at who was in the game when its question closed.
//!
//! *Memory.* A partition's state is that of its live games. Bounds, each with a counter that tells
//! when it costs something: [`ROWS_HELD_MAX`], [`WAITING_RECORDS_MAX`], [`UNCLAIMED_GAMES_MAX`]; and
//! [`OVER_GAMES_MAX`], [`FINISHED_GAMES_MAX`], which cost only time.

mod finished;
mod game;
mod metric;
mod outbox;
mod partition;
mod store;

pub use metric::Metric;
pub use partition::Partition;
pub use store::BoardStore;

use quiz_schemas::events::{ScoresBody, ScoresRecord};
use quiz_schemas::{AnyEvent, Position, Topic};
use quiz_store::Write;
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record};

/// How often at most the hosts of a game are told how many have answered, µs.
pub const COUNTED_INTERVAL_US: i64 = 200_000;
/// How long a count may wait for others to be taken in one batch with it, µs.
pub const COUNT_PATIENCE_US: i64 = 50_000;
/// The most rows of reports that a partition holds for boards that are not published yet. When it
/// bites, boards are skipped; later ones are exact all the same, since totals are absolute.
pub const ROWS_HELD_MAX: usize = 4_000_000;
/// The most session records that wait for one game's board. When it bites, the board is skipped.
pub const WAITING_RECORDS_MAX: usize = 20_000;
/// The most games whose reports are held though the record that began them has not been read.
pub const UNCLAIMED_GAMES_MAX: usize = 4_096;
/// A report whose game is not known is dropped when the sessions topic has been read this far past
/// the report's time, µs: a game begins before its lanes report, so it is one that is over. The margin
/// is for brokers whose clocks differ.
pub const UNCLAIMED_MARGIN_US: i64 = 60_000_000;
/// How many finished games a partition remembers, so that what straggles in is dropped at once.
pub const OVER_GAMES_MAX: usize = 10_000;
/// The most games that are over and younger than the oldest live one, that are told apart for the
/// commit point of scores. When it bites, the oldest two count as one and a successor reads more.
pub const FINISHED_GAMES_MAX: usize = 10_000;
/// The most rows in one record of outcomes: it must stay within a record's size.
pub const OUTCOME_ROWS_MAX: usize = 10_000;

/// The rules of group `quiz.board`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoardProjection;

impl Processor for BoardProjection {
    type State = Partition;
    type Key = ();
    type Doc = ();
    type Write = Write;

    fn group(&self) -> GroupSpec {
        GroupSpec {
            id: "quiz.board",
            reads: &[Topic::Sessions, Topic::Scores],
            restores_from: None,
            delivery: Delivery::AtLeastOnce,
        }
    }

    fn start(&self, _partition: i32) -> Partition {
        Partition::default()
    }

    fn apply(&self, state: &mut Partition, batch: &[Record], now_us: i64) -> Output<Write> {
        state.apply(batch, now_us)
    }

    /// A count is told to hosts every [`COUNTED_INTERVAL_US`] only.
    fn patience_us(&self, event: &AnyEvent) -> i64 {
        let is_count = |scores: &ScoresRecord| matches!(scores.body, ScoresBody::LaneCounted(_));
        if matches!(event, AnyEvent::Scores(scores) if is_count(scores)) { COUNT_PATIENCE_US } else { 0 }
    }

    fn next_tick_us(&self, state: &Partition) -> Option<i64> {
        state.next_tick_us()
    }

    fn tick(&self, state: &mut Partition, now_us: i64) -> Output<Write> {
        state.tick(now_us)
    }

    /// A view is that of the end of its batch, and a game's results and its view come of the same
    /// batches: so all that stands up to the batch's last result is in the view.
    fn appended(&self, write: &mut Write, positions: &[Position]) {
        if let Write::View(view) = write {
            view.cursor = positions.iter().copied().max_by_key(|position| position.offset);
        }
    }

    fn commit_point(&self, state: &Partition, topic: Topic, next: i64) -> i64 {
        state.commit_point(topic, next)
    }
}
