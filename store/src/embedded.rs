//! The embedded store: one file of this process, for a demo or a small room.
//!
//! It keeps the same documents under the same rules as MongoDB does. All writes go through one
//! thread, which puts everything that waits into one transaction and syncs it to disk before it
//! answers ([`redb::Durability::Immediate`]): a write that was reported done survives a power
//! loss, and the cost of the sync is shared by all who wait. Reads see the last transaction.

mod tables;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, QuestionNo};
use redb::{Database, ReadTransaction, ReadableDatabase};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::batch::Batch;
use crate::documents::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, PinDoc, StandingsDoc, ViewDoc, Write};
use crate::telemetry::{count_failures, count_writes, record_write};
use crate::{Collection, Store, StoreError};
use tables::{Change, decode, table};
use writer::Writer;

/// The file's name in the store's directory.
pub const FILE_NAME: &str = "quizstream.redb";

/// The most bytes of the file kept in memory.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// The most reads under way; more wait.
const READS_IN_FLIGHT_MAX: usize = 16;

/// The embedded store. Closes its file when it is dropped, after what waits is written.
pub struct EmbeddedStore {
    database: Arc<Database>,
    writer: Writer,
    reads: Semaphore,
}

impl EmbeddedStore {
    /// Opens the store in `dir`; makes both when they are missing. One process at a time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file cannot be opened, [`StoreError::Corrupt`] when it
    /// is not such a file or of a later format.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        let dir = dir.to_owned();
        let database = blocking(move || {
            std::fs::create_dir_all(&dir)
                .map_err(|error| StoreError::Unavailable(format!("{}: {error}", dir.display())))?;
            let database =
                Database::builder().set_cache_size(CACHE_BYTES_MAX).create(dir.join(FILE_NAME)).map_err(failure)?;
            tables::prepare(&database)?;
            Ok(Arc::new(database))
        })
        .await?;
        let writer = Writer::start(Arc::clone(&database))?;
        Ok(Self { database, writer, reads: Semaphore::new(READS_IN_FLIGHT_MAX) })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _permit = self.reads.acquire().await.map_err(|_| closed())?;
        let database = Arc::clone(&self.database);
        blocking(move || {
            let transaction = database.begin_read().map_err(failure)?;
            work(&transaction)
        })
        .await
    }

    async fn read_one<T: DeserializeOwned + Send + 'static>(
        &self,
        collection: Collection,
        key: Vec<u8>,
    ) -> Result<Option<T>, StoreError> {
        self.read(move |transaction| get(transaction, collection, &key)).await
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn write(&self, writes: &[Write]) -> Result<(), StoreError> {
        let started = Instant::now();
        let batch = Batch::of(writes)?;
        let changes = Change::of_batch(&batch)?;
        if changes.is_empty() {
            return Ok(());
        }
        let mut asked: Vec<(Collection, u64)> = Vec::new();
        for run in changes.chunk_by(|a, b| a.collection == b.collection) {
            asked.push((run[0].collection, run.len() as u64));
        }
        let outcome = self.writer.write(changes).await;
        match &outcome {
            Ok(tallies) => {
                for &(collection, mut tally) in tallies {
                    if collection == Collection::Answers {
                        tally.duplicate += batch.answers_repeated;
                    }
                    count_writes(collection, tally);
                }
            }
            Err(_) => asked.iter().for_each(|&(collection, count)| count_failures(collection, count)),
        }
        record_write(started.elapsed());
        outcome.map(|_| ())
    }

    async fn lanes(&self, keys: &[LaneKey]) -> Result<Vec<Option<LaneDoc>>, StoreError> {
        let keys: Vec<Vec<u8>> = keys.iter().map(|&lane| tables::lane_key(lane)).collect();
        self.read(move |transaction| keys.iter().map(|key| get(transaction, Collection::Lanes, key)).collect()).await
    }

    async fn view(&self, game: GameId) -> Result<Option<ViewDoc>, StoreError> {
        self.read_one(Collection::Views, tables::game_key(game)).await
    }

    async fn board(&self, game: GameId, question: QuestionNo) -> Result<Option<BoardDoc>, StoreError> {
        self.read_one(Collection::Boards, tables::board_key(game, question)).await
    }

    async fn standings(&self, lane: LaneKey) -> Result<Option<StandingsDoc>, StoreError> {
        self.read_one(Collection::Standings, tables::lane_key(lane)).await
    }

    async fn answers(&self, lane: LaneKey, question: QuestionNo) -> Result<Vec<AnswerDoc>, StoreError> {
        let (first, last) = tables::answer_range(lane, question);
        self.read(move |transaction| {
            let answers = transaction.open_table(table(Collection::Answers)).map_err(failure)?;
            let range = answers.range(first.as_slice()..=last.as_slice()).map_err(failure)?;
            range
                .map(|entry| {
                    let (_, value) = entry.map_err(failure)?;
                    decode(Collection::Answers, value.value().1)
                })
                .collect()
        })
        .await
    }

    async fn answers_count(&self, lane: LaneKey, question: QuestionNo) -> Result<i64, StoreError> {
        let (first, last) = tables::answer_range(lane, question);
        self.read(move |transaction| {
            let answers = transaction.open_table(table(Collection::Answers)).map_err(failure)?;
            let range = answers.range(first.as_slice()..=last.as_slice()).map_err(failure)?;
            Ok(i64::try_from(range.count()).unwrap_or(i64::MAX))
        })
        .await
    }

    async fn answer(
        &self,
        lane: LaneKey,
        question: QuestionNo,
        player: PlayerId,
    ) -> Result<Option<AnswerDoc>, StoreError> {
        self.read_one(Collection::Answers, tables::answer_key(lane, question, player)).await
    }

    async fn ledgers(&self, game: GameId) -> Result<Vec<LedgerDoc>, StoreError> {
        let (first, last) = (tables::board_key(game, QuestionNo::MIN), tables::board_key(game, QuestionNo::MAX));
        self.read(move |transaction| {
            let ledgers = transaction.open_table(table(Collection::Ledgers)).map_err(failure)?;
            let range = ledgers.range(first.as_slice()..=last.as_slice()).map_err(failure)?;
            let found = range.map(|entry| decode(Collection::Ledgers, entry.map_err(failure)?.1.value().1));
            found.collect()
        })
        .await
    }

    async fn reserve_pin(&self, pin: &PinDoc) -> Result<bool, StoreError> {
        self.writer.reserve(pin.clone(), now_us()).await
    }

    async fn pin(&self, pin: Pin, now_us: i64) -> Result<Option<PinDoc>, StoreError> {
        let found: Option<PinDoc> = self.read_one(Collection::Pins, tables::pin_key(pin)).await?;
        Ok(found.filter(|doc| doc.expires_at_us > now_us))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // The writer's answer comes after all that waits before it, so this tells of a stuck disk too.
        self.writer.write(Vec::new()).await.map(|_| ())
    }
}

fn get<T: DeserializeOwned>(
    transaction: &ReadTransaction,
    collection: Collection,
    key: &[u8],
) -> Result<Option<T>, StoreError> {
    let opened = transaction.open_table(table(collection)).map_err(failure)?;
    let found = opened.get(key).map_err(failure)?;
    found.map(|value| decode(collection, value.value().1)).transpose()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| closed())?
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

fn failure(error: impl Into<redb::Error>) -> StoreError {
    let error = error.into();
    match error {
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) | redb::Error::TableTypeMismatch { .. } => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
