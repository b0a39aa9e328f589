//! An edge's books: what became of the answers that it took, by game and question, for the ledger.
//!
//! The numbers are absolute and of this process only. A telling that is lost is made again; a later one
//! says all that an earlier one did.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quiz_schemas::events::{EdgeTallied, SubmissionList, TALLY_SUBMISSIONS_MAX, TalliesBody, TalliesRecord};
use quiz_schemas::{EdgeId, GameId, QuestionNo, SubmissionId, submission_digest};
use tokio::sync::Notify;

use crate::connection::Tally;
use crate::deliveries::{Deliveries, ResultWrites};
use crate::limits::{TALLIED_GAMES_MAX, TALLIED_QUESTIONS_MAX};

/// What became of the answers to one question.
#[derive(Debug, Default)]
struct Counts {
    acked: Vec<SubmissionId>,
    /// Of all of them, see [`EdgeTallied::digest`].
    digest: i64,
    repeated: i64,
    refused: i64,
    unavailable: i64,
    /// Appends of which nobody knows yet what became of them.
    under_way: i64,
    /// Of the last telling.
    version: i32,
    /// Whether there is something that was not told.
    changed: bool,
    /// Whether it was told as the last.
    last: bool,
}

#[derive(Debug, Default)]
struct Books {
    questions: BTreeMap<QuestionNo, Counts>,
    /// The latest question that takes no more answers.
    closed: Option<QuestionNo>,
}

impl Books {
    /// A question's counts, for which the oldest question's make room; none for one that is older still.
    fn counts(&mut self, question: QuestionNo) -> Option<&mut Counts> {
        let full = self.questions.len() >= TALLIED_QUESTIONS_MAX;
        if full && !self.questions.contains_key(&question) {
            match self.questions.first_key_value() {
                Some((&oldest, _)) if oldest < question => self.questions.remove(&oldest),
                _ => return None,
            };
        }
        Some(self.questions.entry(question).or_default())
    }
}

/// The books of one game.
#[derive(Debug)]
pub struct GameTallies {
    game: GameId,
    books: Mutex<Books>,
    deliveries: Mutex<Deliveries>,
    late: Notify,
}

impl GameTallies {
    /// Empty books.
    #[must_use]
    pub fn new(game: GameId) -> Self {
        Self { game, books: Mutex::default(), deliveries: Mutex::default(), late: Notify::new() }
    }

    /// Whose they are.
    #[must_use]
    pub fn game(&self) -> GameId {
        self.game
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Nothing under the lock can leave the books half written.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what became of an answer. Only the newest questions have books: what comes to an older one
    /// is counted nowhere.
    pub fn count(&self, question: QuestionNo, tally: Tally) {
        let mut books = self.books();
        let Some(counts) = books.counts(question) else { return };
        match tally {
            Tally::Acked { player, submission } => {
                counts.acked.push(submission);
                counts.digest = counts.digest.wrapping_add(submission_digest(player, submission));
            }
            Tally::Repeated => counts.repeated += 1,
            Tally::Refused => counts.refused += 1,
            Tally::Unavailable => counts.unavailable += 1,
        }
        counts.changed = true;
        if books.closed.is_some_and(|closed| question <= closed) {
            self.late.notify_one();
        }
    }

    /// An answer is on its way to the log. Told before it is known what becomes of it, it counts as
    /// unavailable: it may be in the log.
    pub fn appending(&self, question: QuestionNo) {
        if let Some(counts) = self.books().counts(question) {
            counts.under_way += 1;
        }
    }

    /// It is known, and counted, what became of an answer that was on its way.
    pub fn appended(&self, question: QuestionNo) {
        let mut books = self.books();
        // The books of old questions may have been put away meanwhile.
        if let Some(counts) = books.questions.get_mut(&question) {
            counts.under_way -= 1;
            counts.changed = true;
        }
        if books.closed.is_some_and(|closed| question <= closed) {
            self.late.notify_one();
        }
    }

    /// Notes that all questions up to this one take no more answers.
    pub fn close(&self, question: QuestionNo) {
        let mut books = self.books();
        books.closed = books.closed.max(Some(question));
    }

    /// Waits until something changes that was told, or is to be.
    pub async fn changed(&self) {
        self.late.notified().await;
    }

    fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it told when this result was written to sockets.
    pub fn watch(&self, result: Arc<ResultWrites>) {
        self.deliveries().watch(result);
    }

    /// What is to be told of closed questions, and of results that were written.
    #[must_use]
    pub fn news(&self, edge: &EdgeId, at_us: i64) -> Vec<TalliesRecord> {
        let closed = self.books().closed;
        self.tell(edge, at_us, false, |question, counts| counts.changed && Some(question) <= closed)
    }

    /// What is to be told when the game is let go; `last` when this process counts nothing more.
    #[must_use]
    pub fn all(&self, edge: &EdgeId, at_us: i64, last: bool) -> Vec<TalliesRecord> {
        self.tell(edge, at_us, last, |_, counts| counts.changed || (last && !counts.last))
    }

    /// A telling did not get into the log: it is to be made again.
    pub fn untold(&self, telling: &TalliesBody) {
        match telling {
            TalliesBody::EdgeTallied(tallied) => {
                if let Some(counts) = self.books().questions.get_mut(&tallied.question) {
                    counts.changed = true;
                }
            }
            TalliesBody::EdgeDelivered(delivered) => self.deliveries().untold(delivered.question),
            TalliesBody::Unknown => return,
        }
        self.late.notify_one();
    }

    fn tell(
        &self,
        edge: &EdgeId,
        at_us: i64,
        last: bool,
        is_due: impl Fn(QuestionNo, &Counts) -> bool,
    ) -> Vec<TalliesRecord> {
        let record = |body: TalliesBody| TalliesRecord { game: self.game, edge: edge.clone(), at_us, body };
        let mut records = Vec::new();
        for (&question, counts) in &mut self.books().questions {
            if !is_due(question, counts) {
                continue;
            }
            counts.version += 1;
            counts.changed = false;
            counts.last |= last;
            records.extend(told(question, counts).into_iter().map(|tallied| record(tallied.into())));
        }
        records.extend(self.deliveries().news().into_iter().map(|delivered| record(delivered.into())));
        records
    }
}

/// A question's counts, in as many parts as its submissions need.
fn told(question: QuestionNo, counts: &Counts) -> Vec<EdgeTallied> {
    let parts = counts.acked.len().div_ceil(TALLY_SUBMISSIONS_MAX).max(1);
    let acked = count_of(counts.acked.len());
    let unavailable = counts.unavailable + counts.under_way;
    let whole = EdgeTallied {
        question,
        version: counts.version,
        received: acked + counts.repeated + counts.refused + unavailable,
        acked,
        repeated: counts.repeated,
        refused: counts.refused,
        unavailable,
        last: counts.last,
        part: 0,
        parts: i32::try_from(parts).unwrap_or(i32::MAX),
        submissions: SubmissionList::default(),
        digest: counts.digest,
    };
    let mut rest = counts.acked.as_slice();
    (0..whole.parts)
        .map(|part| {
            let (front, back) = rest.split_at(rest.len().min(TALLY_SUBMISSIONS_MAX));
            rest = back;
            EdgeTallied { part, submissions: SubmissionList(front.to_vec()), ..whole.clone() }
        })
        .collect()
}

fn count_of(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// The books of all games that this process has held. They outlive a game's task: a game that comes back
/// goes on counting.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<HashMap<GameId, Arc<GameTallies>>>);

impl Tallies {
    fn table(&self) -> MutexGuard<'_, HashMap<GameId, Arc<GameTallies>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The game's books.
    #[must_use]
    pub fn of(&self, game: GameId) -> Arc<GameTallies> {
        let mut table = self.table();
        if table.len() >= TALLIED_GAMES_MAX && !table.contains_key(&game) {
            // Books that nobody writes in were told when their game was let go.
            table.retain(|_, books| Arc::strong_count(books) > 1);
        }
        Arc::clone(table.entry(game).or_insert_with(|| Arc::new(GameTallies::new(game))))
    }

    /// Puts away the books of a game that is over and has been told.
    pub fn put_away(&self, game: GameId) {
        self.table().remove(&game);
    }

    /// All books.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<GameTallies>> {
        self.table().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
