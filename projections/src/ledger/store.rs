//! What the ledger compares with: the store, and the answers topic itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use quiz_schemas::events::{AnswersRecord, Imbalance, LedgerState};
use quiz_schemas::{AnyEvent, LaneKey, Topic};
use quiz_store::{LedgerDoc, Store, StoreError, Write};
use quiz_stream::{RangeReader, StateStore, StoreUnavailable};

use super::audit::Replay;
use super::metric::Metric;
use super::{Doc, Key, LaneAudit, LaneQuestion, LedgerProjection};

/// The lanes' records, as the log has them.
#[async_trait]
pub trait LaneLog: Send + Sync + 'static {
    /// The records of `lanes` in `partition` of the answers topic, from the offset `from` (below 0:
    /// from its start) to its present end, in their order.
    ///
    /// # Errors
    /// When not all of them could be read.
    async fn read(&self, partition: i32, from: i64, lanes: &[LaneKey]) -> Result<Vec<AnswersRecord>, StoreUnavailable>;
}

/// The lanes' records in Kafka.
#[derive(Clone)]
pub struct RangeLog(RangeReader);

impl RangeLog {
    /// Reads with `reader`.
    #[must_use]
    pub fn new(reader: RangeReader) -> Self {
        Self(reader)
    }
}

#[async_trait]
impl LaneLog for RangeLog {
    async fn read(&self, partition: i32, from: i64, lanes: &[LaneKey]) -> Result<Vec<AnswersRecord>, StoreUnavailable> {
        let lanes = lanes.to_vec();
        let is_wanted = move |record: &quiz_stream::Record| match &record.event {
            AnyEvent::Answers(answers) => lanes.contains(&answers.lane_key()),
            _ => false,
        };
        let read = self.0.read(Topic::Answers, partition, from, is_wanted).await;
        let records = read.map_err(|err| StoreUnavailable(err.to_string()))?.into_iter();
        Ok(records
            .filter_map(|record| if let AnyEvent::Answers(answers) = record.event { Some(answers) } else { None })
            .collect())
    }
}

/// Reads of one load that are under way at once. One after the other, those of a thousand games take longer than
/// a load may on a store that is busy, and are made anew.
const READS_IN_FLIGHT_MAX: usize = 16;

/// The ledger's store.
#[derive(Clone)]
pub struct LedgerStore {
    store: Arc<dyn Store>,
    log: Arc<dyn LaneLog>,
}

impl LedgerStore {
    /// Over any store, with the log that the lanes were scored from.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, log: Arc<dyn LaneLog>) -> Self {
        Self { store, log }
    }

    /// Reads each partition once, and plays each lane's records through its rules.
    async fn audits(&self, keys: &[Key]) -> Result<BTreeMap<LaneQuestion, LaneAudit>, StoreUnavailable> {
        let mut partitions: BTreeMap<i32, (i64, Vec<LaneQuestion>)> = BTreeMap::new();
        for key in keys {
            if let Key::Audit { at, partition, from } = *key {
                let (first, wanted) = partitions.entry(partition).or_insert((from, Vec::new()));
                *first = from.min(*first);
                wanted.push(at);
            }
        }
        let mut audits = BTreeMap::new();
        for (partition, (from, wanted)) in partitions {
            let lanes: Vec<LaneKey> = wanted.iter().map(|at| at.lane).collect();
            let records = self.log.read(partition, from, &lanes).await?;
            for at in wanted {
                let mut replay = Replay::new(at.question);
                records.iter().filter(|record| record.lane_key() == at.lane).for_each(|record| replay.take(record));
                let stored = self.store.answers(at.lane, at.question).await.map_err(unavailable)?;
                audits.insert(at, replay.finish(stored.into_iter().map(|answer| answer.submission)));
                Metric::LanesAudited.count(1);
            }
        }
        Ok(audits)
    }

    fn read(&self, key: Key, audits: &mut BTreeMap<LaneQuestion, LaneAudit>) -> BoxFuture<'_, Result<Doc, StoreError>> {
        match key {
            Key::Books(game) => async move { Ok(Doc::Books(game, self.store.ledgers(game).await?)) }.boxed(),
            Key::Count(at) => {
                async move { Ok(Doc::Count(at, self.store.answers_count(at.lane, at.question).await?)) }.boxed()
            }
            Key::Audit { at, .. } => {
                let audit = audits.remove(&at).unwrap_or_default();
                async move { Ok(Doc::Audit(at, audit)) }.boxed()
            }
        }
    }
}

#[async_trait]
impl StateStore<LedgerProjection> for LedgerStore {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Doc>, StoreUnavailable> {
        let mut audits = self.audits(keys).await?;
        let reads: Vec<_> = keys.iter().map(|key| self.read(*key, &mut audits)).collect();
        stream::iter(reads).buffered(READS_IN_FLIGHT_MAX).try_collect().await.map_err(unavailable)
    }

    async fn write(&self, writes: &[Write]) -> Result<(), StoreUnavailable> {
        self.store.write_all(writes).await.map_err(unavailable)?;
        for write in writes {
            if let Write::Ledger(doc) = write {
                tell_of(doc);
            }
        }
        Ok(())
    }
}

/// The alert: a metric, and one line with the answers. A telling that is repeated after a crash
/// alerts again.
fn tell_of(doc: &LedgerDoc) {
    let LedgerDoc { game, question, ledger } = doc;
    Metric::questions(ledger.state);
    Metric::EdgesSilent.count(ledger.edges.silent.unsigned_abs());
    if ledger.state != LedgerState::Imbalanced {
        return;
    }
    let kinds =
        [(Imbalance::Lost, ledger.lost), (Imbalance::Unstored, ledger.unstored), (Imbalance::Phantom, ledger.phantom)];
    for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
        Metric::imbalances(kind, count.unsigned_abs());
    }
    if kinds.iter().all(|(_, count)| *count == 0) {
        Metric::imbalances(Imbalance::Miscounted, 1);
    }
    let suspects: Vec<String> =
        ledger.suspects.iter().map(|suspect| format!("{} {}", suspect.kind.reason(), suspect.submission)).collect();
    tracing::error!(
        %game, question, lost = ledger.lost, unstored = ledger.unstored, phantom = ledger.phantom, ?suspects,
        "the books of a question do not balance"
    );
}

fn unavailable(err: StoreError) -> StoreUnavailable {
    StoreUnavailable(err.to_string())
}
