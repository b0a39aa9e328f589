//! The store in MongoDB: a mongos in front of shards, or a plain replica set.
//!
//! Everything is a single-document write of majority concern. A later write wins by a guard in the
//! filter, so no findAndModify and no transaction is needed, and a write may be sent any number of
//! times in any order (I5). Each filter names the full shard key (I10); [`filter`] has them all.

mod describe;
mod failure;
pub mod filter;
mod layout;
mod pins;
mod shape;
mod validators;
mod write;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use mongodb::bson::{Document, doc};
use mongodb::options::{
    ClientOptions, CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Database};
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, QuestionNo};
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::documents::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, PinDoc, StandingsDoc, ViewDoc, Write};
use crate::telemetry::record_write;
use crate::{Collection, Store, StoreError};

pub use describe::{CollectionReport, ShardShare};
pub use layout::LayoutChange;

use failure::{timed_out, unavailable};

/// The most lane snapshots asked for at the same time by one call.
const READS_IN_FLIGHT_MAX: usize = 32;

/// Documents in one reply of the server to [`Store::answers`].
const ANSWERS_READ_BATCH: u32 = 5_000;

/// How to talk to MongoDB. What the URI says of the pool, TLS, credentials and hosts counts; write
/// concern, read concern and read preference are the store's own, since its rules rest on them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MongoOptions {
    /// Shows up in the server's logs and `currentOp`.
    pub app_name: String,
    /// The most connections to one server, unless the URI tells.
    pub pool_size_max: u32,
    /// How long to wait for a TCP and TLS connection.
    pub connect_timeout: Duration,
    /// How long to wait for a usable server.
    pub server_selection_timeout: Duration,
    /// How long the server waits for the majority before it reports that it has not got it.
    pub majority_timeout: Duration,
    /// How long one command may take on the wire and in the server, all in all.
    pub command_timeout: Duration,
}

impl Default for MongoOptions {
    fn default() -> Self {
        Self {
            app_name: "quizstream".into(),
            pool_size_max: 32,
            connect_timeout: Duration::from_secs(2),
            server_selection_timeout: Duration::from_secs(2),
            majority_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_secs(10),
        }
    }
}

/// The store in MongoDB. Cheap to clone: clones share the connections.
#[derive(Clone, Debug)]
pub struct MongoStore {
    client: Client,
    database: Database,
    options: MongoOptions,
}

impl MongoStore {
    /// Connects and asks whether the server answers. Does not touch the layout:
    /// [`MongoStore::apply_layout`] does.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the URI or the credentials are bad, [`StoreError::Unavailable`]
    /// when no server answers in time.
    pub async fn connect(uri: &str, database: &str, options: MongoOptions) -> Result<Self, StoreError> {
        let mut client = ClientOptions::parse(uri).await.map_err(failure::of)?;
        client.app_name = Some(options.app_name.clone());
        client.connect_timeout = Some(options.connect_timeout);
        client.server_selection_timeout = Some(options.server_selection_timeout);
        client.max_pool_size = client.max_pool_size.or(Some(options.pool_size_max));
        client.retry_writes = Some(client.retry_writes.unwrap_or(true));
        client.retry_reads = Some(client.retry_reads.unwrap_or(true));
        client.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        // What a majority has acknowledged is what a later reader must see, and nothing that a new
        // primary could take back.
        client.read_concern = Some(ReadConcern::majority());
        client.write_concern = Some(majority(&options));
        let client = Client::with_options(client).map_err(failure::of)?;
        let store = Self { database: client.database(database), client, options };
        store.ping().await?;
        Ok(store)
    }

    /// The database's name.
    #[must_use]
    pub fn database_name(&self) -> &str {
        self.database.name()
    }

    fn collection<T: Send + Sync>(&self, collection: Collection) -> mongodb::Collection<T> {
        self.database.collection(collection.name())
    }

    /// Bounds `call` in time. The driver has no limit of its own on a server that took a command
    /// and says nothing.
    async fn within<T>(&self, call: impl IntoFuture<Output = mongodb::error::Result<T>>) -> Result<T, StoreError> {
        match tokio::time::timeout(self.options.command_timeout, call.into_future()).await {
            Ok(outcome) => outcome.map_err(failure::of),
            Err(_) => Err(timed_out(self.options.command_timeout)),
        }
    }

    async fn run(&self, database: &Database, command: Document) -> Result<Document, StoreError> {
        self.within(database.run_command(command)).await
    }

    async fn find_one<T>(&self, collection: &mongodb::Collection<T>, filter: Document) -> Result<Option<T>, StoreError>
    where
        T: DeserializeOwned + Send + Sync,
    {
        self.within(collection.find_one(filter).max_time(self.options.command_timeout)).await
    }

    fn command_timeout_ms(&self) -> i64 {
        millis(self.options.command_timeout)
    }

    fn write_concern(&self) -> Document {
        doc! { "w": "majority", "wtimeout": millis(self.options.majority_timeout) }
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn write(&self, writes: &[Write]) -> Result<(), StoreError> {
        let started = Instant::now();
        let batch = Batch::of(writes)?;
        let outcome = self.write_batch(&batch).await;
        record_write(started.elapsed());
        outcome
    }

    async fn lanes(&self, keys: &[LaneKey]) -> Result<Vec<Option<LaneDoc>>, StoreError> {
        // A worker that takes a lane over goes on from the snapshot and skips the log up to it, so it
        // must see the last one that its predecessor was told is written. Only a linearizable read
        // is safe from a primary that has been deposed and does not know it yet.
        let options = CollectionOptions::builder().read_concern(ReadConcern::linearizable()).build();
        let lanes: mongodb::Collection<shape::Lane> =
            self.database.collection_with_options(Collection::Lanes.name(), options);
        let lanes = &lanes;
        futures::stream::iter(keys.to_vec())
            .map(|key| async move { Ok(self.find_one(lanes, filter::lane(key)).await?.map(LaneDoc::from)) })
            .buffered(READS_IN_FLIGHT_MAX)
            .try_collect()
            .await
    }

    async fn view(&self, game: GameId) -> Result<Option<ViewDoc>, StoreError> {
        let views: mongodb::Collection<shape::View> = self.collection(Collection::Views);
        Ok(self.find_one(&views, filter::game(game)).await?.map(ViewDoc::from))
    }

    async fn board(&self, game: GameId, question: QuestionNo) -> Result<Option<BoardDoc>, StoreError> {
        let boards: mongodb::Collection<shape::Board> = self.collection(Collection::Boards);
        Ok(self.find_one(&boards, filter::board(game, question)).await?.map(BoardDoc::from))
    }

    async fn standings(&self, lane: LaneKey) -> Result<Option<StandingsDoc>, StoreError> {
        let standings: mongodb::Collection<shape::Standings> = self.collection(Collection::Standings);
        Ok(self.find_one(&standings, filter::lane(lane)).await?.map(StandingsDoc::from))
    }

    async fn answers(&self, lane: LaneKey, question: QuestionNo) -> Result<Vec<AnswerDoc>, StoreError> {
        let answers: mongodb::Collection<shape::Answer> = self.collection(Collection::Answers);
        let find = answers
            .find(filter::answers(lane, question))
            .sort(filter::answers_order())
            .batch_size(ANSWERS_READ_BATCH)
            .max_time(self.options.command_timeout);
        let found: Vec<shape::Answer> = self.within(async { find.await?.try_collect().await }).await?;
        found.into_iter().map(AnswerDoc::try_from).collect()
    }

    async fn answers_count(&self, lane: LaneKey, question: QuestionNo) -> Result<i64, StoreError> {
        let answers: mongodb::Collection<Document> = self.collection(Collection::Answers);
        let pipeline = [doc! { "$match": filter::answers(lane, question) }, doc! { "$count": "count" }];
        let counted = answers.aggregate(pipeline).max_time(self.options.command_timeout);
        let found: Vec<Document> = self.within(async { counted.await?.try_collect().await }).await?;
        found.first().map_or(Ok(0), |reply| field_i64(reply, "count"))
    }

    async fn answer(
        &self,
        lane: LaneKey,
        question: QuestionNo,
        player: PlayerId,
    ) -> Result<Option<AnswerDoc>, StoreError> {
        let answers: mongodb::Collection<shape::Answer> = self.collection(Collection::Answers);
        self.find_one(&answers, filter::answer(lane, question, player)).await?.map(AnswerDoc::try_from).transpose()
    }

    async fn ledgers(&self, game: GameId) -> Result<Vec<LedgerDoc>, StoreError> {
        let ledgers: mongodb::Collection<shape::Ledger> = self.collection(Collection::Ledgers);
        let find =
            ledgers.find(filter::ledgers(game)).sort(doc! { "question": 1 }).max_time(self.options.command_timeout);
        let found: Vec<shape::Ledger> = self.within(async { find.await?.try_collect().await }).await?;
        Ok(found.into_iter().map(LedgerDoc::from).collect())
    }

    async fn reserve_pin(&self, pin: &PinDoc) -> Result<bool, StoreError> {
        self.reserve(pin).await
    }

    async fn pin(&self, pin: Pin, now_us: i64) -> Result<Option<PinDoc>, StoreError> {
        Ok(self.holder(pin).await?.filter(|doc| doc.expires_at_us > now_us))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run(&self.database, doc! { "ping": 1 }).await.map(|_| ())
    }
}

fn majority(options: &MongoOptions) -> WriteConcern {
    let mut concern = WriteConcern::majority();
    concern.w_timeout = Some(options.majority_timeout);
    concern
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A count in a reply.
fn field_i64(reply: &Document, name: &str) -> Result<i64, StoreError> {
    // Servers answer counts as int, long or double, by version and size.
    match reply.get(name) {
        Some(mongodb::bson::Bson::Int32(value)) => Ok(i64::from(*value)),
        Some(mongodb::bson::Bson::Int64(value)) => Ok(*value),
        Some(mongodb::bson::Bson::Double(value)) => Ok(*value as i64),
        _ => Err(unavailable(format!("a reply without {name}"))),
    }
}

#[cfg(test)]
mod tests;
