use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use quiz_schemas::events::TalliesRecord;
use quiz_schemas::{GameId, QuestionNo};
use tokio::time::{Instant, sleep, sleep_until};

use super::Shared;
use crate::clock::wall_us;
use crate::deliveries::ResultWrites;
use crate::limits::TALLY_DELAY_MS;
use crate::tallies::GameTallies;
use crate::telemetry;

/// Tells the books of one game: when a question closes, and again when they change after that. Tells with them when
/// the question's results were written to the sockets.
pub(super) struct Teller {
    shared: Arc<Shared>,
    game: GameId,
    books: Arc<GameTallies>,
    closed: Option<QuestionNo>,
    due: Option<Instant>,
    /// When the sockets have had time to write the last results.
    results_due: Option<Instant>,
    /// A telling under way; there is one at a time.
    telling: Option<BoxFuture<'static, bool>>,
}

impl Teller {
    pub(super) fn new(shared: Arc<Shared>, game: GameId) -> Self {
        let books = shared.tallies.of(game);
        Self { shared, game, books, closed: None, due: None, results_due: None, telling: None }
    }

    /// Takes note of the latest question that is closed.
    pub(super) fn closed(&mut self, question: Option<QuestionNo>) {
        if let Some(closed) = question.filter(|question| Some(*question) > self.closed) {
            self.closed = question;
            self.books.close(closed);
            self.due = Some(Instant::now());
        }
    }

    /// Has the writes of a result told in a moment.
    pub(super) fn watch(&mut self, result: Option<Arc<ResultWrites>>) {
        if let Some(result) = result {
            self.books.watch(result);
            self.results_due = Some(Instant::now() + Duration::from_millis(TALLY_DELAY_MS));
        }
    }

    /// Does the next thing there is to do. May be dropped and called again at any time.
    pub(super) async fn turn(&mut self) {
        if let Some(telling) = &mut self.telling {
            telling.await;
            self.telling = None;
            return;
        }
        let due = self.due.into_iter().chain(self.results_due).min();
        tokio::select! {
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.tell_news(),
            () = self.books.changed(), if self.due.is_none() => {
                self.due = Some(Instant::now() + Duration::from_millis(TALLY_DELAY_MS));
            }
        }
    }

    fn tell_news(&mut self) {
        let now = Instant::now();
        self.due = self.due.filter(|due| *due > now);
        self.results_due = self.results_due.filter(|due| *due > now);
        let news = self.books.news(&self.shared.edge, wall_us());
        if !news.is_empty() {
            self.telling = Some(tell(Arc::clone(&self.shared), Arc::clone(&self.books), news).boxed());
        }
    }

    /// Tells what is left when the game is let go. The books of a game that is over are put away then.
    pub(super) async fn finish(mut self, over: bool) {
        if let Some(telling) = self.telling.take() {
            telling.await;
        }
        tell_rest(&self.shared, &self.books, over).await;
        if over {
            self.shared.tallies.put_away(self.game);
        }
    }
}

/// Tells what is left, again and again until the log has it: there is no later time to do so. When it is the
/// `last`, that is told, too.
pub(super) async fn tell_rest(shared: &Arc<Shared>, books: &Arc<GameTallies>, last: bool) {
    loop {
        let rest = books.all(&shared.edge, wall_us(), last);
        if rest.is_empty() || tell(Arc::clone(shared), Arc::clone(books), rest).await {
            return;
        }
        sleep(Duration::from_millis(TALLY_DELAY_MS)).await;
    }
}

/// False when some of it has to be told again.
async fn tell(shared: Arc<Shared>, books: Arc<GameTallies>, records: Vec<TalliesRecord>) -> bool {
    let acks: Vec<_> = records.iter().map(|record| shared.producer.append(record)).collect();
    let (mut all, mut failed, mut why) = (true, 0u32, "");
    for (record, told) in records.iter().zip(join_all(acks).await) {
        let Err(error) = told else { continue };
        telemetry::tally_untold();
        (failed, why) = (failed + 1, error.reason());
        // What the log refuses for good it would refuse again.
        if error.is_retriable() {
            books.untold(&record.body);
            all = false;
        }
    }
    if failed > 0 {
        // One line for all: while the broker is away every game says so again and again.
        tracing::warn!(game = %books.game(), records = failed, reason = why, "the books were not told");
    }
    all
}
