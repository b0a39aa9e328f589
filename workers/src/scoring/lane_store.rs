//! The store as the scoring worker's loop sees it.

use std::sync::Arc;

use async_trait::async_trait;
use quiz_schemas::LaneKey;
use quiz_store::{Store, StoreError, Write};
use quiz_stream::{StateStore, StoreUnavailable};

use super::{ScoringWorker, StoredLane};

/// Loads lanes, and writes what a batch led to. The loop writes the snapshots last
/// ([`Processor::seals`](quiz_stream::Processor::seals)).
pub struct LaneStore {
    store: Arc<dyn Store>,
}

impl LaneStore {
    /// Over any store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
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

    async fn write(&self, writes: &[Write]) -> Result<(), StoreUnavailable> {
        self.store.write_all(writes).await.map_err(unavailable)
    }
}

fn unavailable(err: StoreError) -> StoreUnavailable {
    StoreUnavailable(err.to_string())
}
