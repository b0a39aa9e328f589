//! The store as the scoring worker's loop sees it.

use std::sync::Arc;

use async_trait::async_trait;
use quiz_schemas::LaneKey;
use quiz_store::{Store, StoreError, WRITES_MAX, Write};
use quiz_stream::{StateStore, StoreUnavailable};

use super::{ScoringWorker, StoredLane};

/// Loads lanes, and writes answers before the snapshots that hold them.
pub struct LaneStore {
    store: Arc<dyn Store>,
}

impl LaneStore {
    /// Over any store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    async fn write_all(&self, writes: &[Write]) -> Result<(), StoreUnavailable> {
        for chunk in writes.chunks(WRITES_MAX) {
            self.store.write(chunk).await.map_err(unavailable)?;
        }
        Ok(())
    }
}

#[async_trait]
impl StateStore<ScoringWorker> for LaneStore {
    async fn load(&self, keys: &[LaneKey]) -> Result<Vec<StoredLane>, StoreUnavailable> {
        let docs = self.store.lanes(keys).await.map_err(unavailable)?;
        if docs.len() != keys.len() {
            return Err(StoreUnavailable(format!("asked for {} lanes, got {}", keys.len(), docs.len())));
        }
        Ok(keys.iter().zip(docs).map(|(&lane, doc)| StoredLane { lane, doc }).collect())
    }

    /// The store makes the writes of one call in no order. If a snapshot were there before an answer
    /// that it holds, and then the process died, the answer would be skipped for ever.
    async fn write(&self, writes: &[Write]) -> Result<(), StoreUnavailable> {
        let is_lane = |write: &Write| matches!(write, Write::Lane(_));
        if !writes.iter().any(is_lane) {
            return self.write_all(writes).await;
        }
        let (lanes, answers): (Vec<Write>, Vec<Write>) = writes.iter().cloned().partition(is_lane);
        self.write_all(&answers).await?;
        self.write_all(&lanes).await
    }
}

fn unavailable(err: StoreError) -> StoreUnavailable {
    StoreUnavailable(err.to_string())
}
