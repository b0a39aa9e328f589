//! What the pipeline keeps: one narrow interface, MongoDB and an embedded file behind it, and one
//! conformance suite that both pass. Every document here can be rebuilt from the topics (I3).

mod batch;
mod collection;
mod config;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod documents;
pub mod embedded;
pub mod mongo;
mod telemetry;

use async_trait::async_trait;
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, QuestionNo};

pub use collection::Collection;
pub use config::{StoreConfig, open};
pub use documents::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, PinDoc, StandingsDoc, ViewDoc, Write};

/// The most writes in one call of [`Store::write`].
pub const WRITES_MAX: usize = 50_000;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It did not answer, or answered that it cannot now. The call may or may not have had its
    /// effect; all calls are idempotent, so try again.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What it holds does not read as what it should be.
    #[error("the store holds a bad document: {0}")]
    Corrupt(String),
    /// It refuses the call as it stands: more than [`WRITES_MAX`] writes, a document that its
    /// schema forbids, credentials that do not do. To try again unchanged does not help.
    #[error("the store refuses the call: {0}")]
    Refused(String),
}

/// The store. Every call names the full shard key (I10), is bounded, and is safe to repeat.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes all writes, in no order, each idempotent: an answer is inserted once, and a versioned
    /// document replaces an older version only. Returns when a majority has them.
    ///
    /// # Errors
    /// When not all are made for sure.
    async fn write(&self, writes: &[Write]) -> Result<(), StoreError>;

    /// Makes any number of writes, [`WRITES_MAX`] at a time, in their order as far as that goes.
    ///
    /// # Errors
    /// When not all are made for sure.
    async fn write_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        for some in writes.chunks(WRITES_MAX) {
            self.write(some).await?;
        }
        Ok(())
    }

    /// The lanes' snapshots, in the order of the keys.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn lanes(&self, keys: &[LaneKey]) -> Result<Vec<Option<LaneDoc>>, StoreError>;

    /// A game's view, as its latest durable results leave it.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn view(&self, game: GameId) -> Result<Option<ViewDoc>, StoreError>;

    /// The board after a question.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn board(&self, game: GameId, question: QuestionNo) -> Result<Option<BoardDoc>, StoreError>;

    /// The personal standings of a lane's players after the latest question.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn standings(&self, lane: LaneKey) -> Result<Option<StandingsDoc>, StoreError>;

    /// A lane's stored answers to one question, by player.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn answers(&self, lane: LaneKey, question: QuestionNo) -> Result<Vec<AnswerDoc>, StoreError>;

    /// How many answers of a lane to one question are stored.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn answers_count(&self, lane: LaneKey, question: QuestionNo) -> Result<i64, StoreError>;

    /// A player's stored answer to one question.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn answer(
        &self,
        lane: LaneKey,
        question: QuestionNo,
        player: PlayerId,
    ) -> Result<Option<AnswerDoc>, StoreError>;

    /// The books of a game's questions, in their order.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn ledgers(&self, game: GameId) -> Result<Vec<LedgerDoc>, StoreError>;

    /// Reserves a PIN: true when it was free, or is held by the same game already.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn reserve_pin(&self, pin: &PinDoc) -> Result<bool, StoreError>;

    /// Who holds a PIN. An expired one is held by nobody.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn pin(&self, pin: Pin, now_us: i64) -> Result<Option<PinDoc>, StoreError>;

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    async fn ping(&self) -> Result<(), StoreError>;
}
