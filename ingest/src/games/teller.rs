use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use quiz_schemas::events::{TalliesBody, TalliesRecord};
use quiz_schemas::{GameId, QuestionNo};
use tokio::time::{Instant, sleep_until};

use super::Shared;
use crate::clock::wall_us;
use crate::limits::TALLY_DELAY_MS;
use crate::tallies::GameTallies;
use crate::telemetry;

/// Tells the books of one game: when a question closes, and again when they change after that.
pub(super) struct Teller {
    shared: Arc<Shared>,
    game: GameId,
    books: Arc<GameTallies>,
    closed: Option<QuestionNo>,
    due: Option<Instant>,
    /// A telling under way; there is one at a time.
    telling: Option<BoxFuture<'static, ()>>,
}

impl Teller {
    pub(super) fn new(shared: Arc<Shared>, game: GameId) -> Self {
        let books = shared.tallies.of(game);
        Self { shared, game, books, closed: None, due: None, telling: None }
    }

    /// Takes note of the latest question that is closed.
    pub(super) fn closed(&mut self, question: Option<QuestionNo>) {
        if let Some(closed) = question.filter(|question| Some(*question) > self.closed) {
            self.closed = question;
            self.books.close(closed);
            self.due = Some(Instant::now());
        }
    }

    /// Does the next thing there is to do. May be dropped and called again at any time.
    pub(super) async fn turn(&mut self) {
        if let Some(telling) = &mut self.telling {
            telling.await;
            self.telling = None;
        } else if let Some(due) = self.due {
            sleep_until(due).await;
            self.due = None;
            let news = self.books.news(&self.shared.edge, wall_us());
            if !news.is_empty() {
                self.telling = Some(tell(Arc::clone(&self.shared), Arc::clone(&self.books), news).boxed());
            }
        } else {
            self.books.changed().await;
            self.due = Some(Instant::now() + Duration::from_millis(TALLY_DELAY_MS));
        }
    }

    /// Tells what is left when the game is let go. The books of a game that is over are put away.
    pub(super) async fn finish(mut self, over: bool) {
        if let Some(telling) = self.telling.take() {
            telling.await;
        }
        let rest = self.books.all(&self.shared.edge, wall_us(), over);
        tell(Arc::clone(&self.shared), Arc::clone(&self.books), rest).await;
        if over {
            self.shared.tallies.put_away(self.game);
        }
    }
}

async fn tell(shared: Arc<Shared>, books: Arc<GameTallies>, records: Vec<TalliesRecord>) {
    let acks: Vec<_> = records.iter().map(|record| shared.producer.append(record)).collect();
    for (record, told) in records.iter().zip(join_all(acks).await) {
        let TalliesBody::EdgeTallied(tallied) = &record.body else { continue };
        if let Err(error) = told {
            telemetry::tally_untold();
            tracing::warn!(reason = error.reason(), question = tallied.question, "the books were not told");
            books.untold(tallied.question);
        }
    }
}
