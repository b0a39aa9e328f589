//! Which store to open.

use std::path::PathBuf;
use std::sync::Arc;

use crate::embedded::EmbeddedStore;
use crate::mongo::{MongoOptions, MongoStore};
use crate::{Store, StoreError};

/// Which store, and where it is.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// MongoDB: a mongos in front of shards, or a plain replica set.
    Mongo {
        /// `mongodb://…`; may hold credentials, so it is not shown by `Debug`.
        uri: String,
        /// The database.
        database: String,
    },
    /// A file of this process.
    Embedded {
        /// The directory that holds it; made when missing.
        dir: PathBuf,
    },
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mongo { database, .. } => f.debug_struct("Mongo").field("database", database).finish_non_exhaustive(),
            Self::Embedded { dir } => f.debug_struct("Embedded").field("dir", dir).finish(),
        }
    }
}

/// Opens the store. MongoDB is asked once whether it answers; its layout is not touched
/// ([`MongoStore::apply_layout`] does that).
///
/// # Errors
/// [`StoreError::Unavailable`] when it does not answer or another process has the file open,
/// [`StoreError::Refused`] for a bad URI, [`StoreError::Corrupt`] for a file that does not read.
pub async fn open(config: &StoreConfig) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match config {
        StoreConfig::Mongo { uri, database } => {
            Arc::new(MongoStore::connect(uri, database, MongoOptions::default()).await?)
        }
        StoreConfig::Embedded { dir } => Arc::new(EmbeddedStore::open(dir).await?),
    })
}
