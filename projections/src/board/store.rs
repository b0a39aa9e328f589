//! The store as the consumer loop sees it.

use super::BoardProjection;
use quiz_store::{Store, Write};
use quiz_stream::{StateStore, StoreUnavailable};
use std::sync::Arc;

/// The projection's store: it reads nothing from it, since its state is rebuilt from the log.
#[derive(Clone)]
pub struct BoardStore(Arc<dyn Store>);

impl BoardStore {
    /// Writes to `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

#[async_trait::async_trait]
impl StateStore<BoardProjection> for BoardStore {
    async fn load(&self, keys: &[()]) -> Result<Vec<()>, StoreUnavailable> {
        Ok(keys.to_vec())
    }

    async fn write(&self, writes: &[Write]) -> Result<(), StoreUnavailable> {
        self.0.write_all(writes).await.map_err(|err| StoreUnavailable(err.to_string()))
    }
}
