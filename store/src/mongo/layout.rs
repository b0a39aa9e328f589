//! The layout: sharding, collections with their validators, shard keys, indexes. Applying it twice
//! changes nothing the second time.

use std::fmt;
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::validators::validator;
use super::{MongoStore, failure};
use crate::{Collection, StoreError};

/// Chunks that a new hashed collection gets on each shard. All writes of a game go to as many chunks
/// as it has lanes; with a few on each shard the balancer can even out later shards without a split.
const CHUNKS_PER_SHARD: i64 = 4;

/// How long one step may take. Sharding a collection moves chunks and builds indexes; a step that is
/// cut off goes on in the cluster and keeps the next one waiting.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// The server's code for "there is no such collection".
const NAMESPACE_NOT_FOUND: i32 = 26;

/// One step that brings the database to the layout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LayoutChange {
    /// The server is a plain replica set: nothing is sharded, everything else is the same.
    NotSharded,
    /// The database is known to the cluster.
    ShardingEnabled {
        /// Which.
        database: String,
    },
    /// A collection exists, with its validator.
    Created {
        /// Which.
        collection: Collection,
    },
    /// A collection has another validator than before.
    ValidatorReplaced {
        /// Which.
        collection: Collection,
    },
    /// A collection is sharded.
    Sharded {
        /// Which.
        collection: Collection,
        /// By which key, as JSON.
        key: String,
        /// Into how many chunks.
        chunks: i64,
    },
    /// An index exists.
    IndexCreated {
        /// On which collection.
        collection: Collection,
        /// Its name.
        index: &'static str,
    },
}

impl fmt::Display for LayoutChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSharded => write!(f, "not sharded: the server is a plain replica set"),
            Self::ShardingEnabled { database } => write!(f, "enable sharding of database {database}"),
            Self::Created { collection } => write!(f, "create collection {collection}"),
            Self::ValidatorReplaced { collection } => write!(f, "replace the validator of {collection}"),
            Self::Sharded { collection, key, chunks } => {
                write!(f, "shard {collection} by {key} into {chunks} chunks")
            }
            Self::IndexCreated { collection, index } => write!(f, "create index {index} on {collection}"),
        }
    }
}

/// An index beyond the one of the shard key.
struct Index {
    collection: Collection,
    name: &'static str,
    keys: Document,
    expire_after_seconds: Option<i32>,
}

fn shard_key(collection: Collection) -> Document {
    match collection {
        Collection::Answers => doc! { "lane": "hashed", "player": 1 },
        Collection::Lanes | Collection::Standings => doc! { "lane": "hashed" },
        Collection::Views | Collection::Boards | Collection::Ledgers => doc! { "game": "hashed" },
        Collection::Pins => doc! { "_id": "hashed" },
    }
}

fn indexes() -> [Index; 2] {
    [
        Index {
            collection: Collection::Answers,
            name: "lane_question_player",
            keys: doc! { "lane": 1, "question": 1, "player": 1 },
            expire_after_seconds: None,
        },
        Index {
            collection: Collection::Pins,
            name: "expires_at_ttl",
            keys: doc! { "expires_at": 1 },
            expire_after_seconds: Some(0),
        },
    ]
}

impl MongoStore {
    /// Brings the database to the layout, or with `dry_run` tells only what that would change. The
    /// changes are in the order in which they are made; none when it is there already, but
    /// [`LayoutChange::NotSharded`] is told each time.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when a collection is sharded by another key: that needs a migration.
    /// After any error, call again: what is done stays.
    pub async fn apply_layout(&self, dry_run: bool) -> Result<Vec<LayoutChange>, StoreError> {
        let mut patient = self.clone();
        patient.options.command_timeout = patient.options.command_timeout.max(STEP_TIMEOUT);
        let sharded = patient.is_sharded().await?;
        let mut changes = Vec::new();
        if sharded {
            patient.enable_sharding(dry_run, &mut changes).await?;
        } else {
            changes.push(LayoutChange::NotSharded);
        }
        patient.create_collections(dry_run, &mut changes).await?;
        if sharded {
            patient.shard_collections(dry_run, &mut changes).await?;
        }
        patient.create_indexes(dry_run, &mut changes).await?;
        Ok(changes)
    }

    /// Whether a mongos answers.
    pub(super) async fn is_sharded(&self) -> Result<bool, StoreError> {
        let hello = self.run(&self.admin(), doc! { "hello": 1 }).await?;
        Ok(hello.get_str("msg") == Ok("isdbgrid"))
    }

    pub(super) fn admin(&self) -> mongodb::Database {
        self.client.database("admin")
    }

    pub(super) fn config(&self) -> mongodb::Database {
        self.client.database("config")
    }

    pub(super) fn namespace(&self, collection: Collection) -> String {
        format!("{}.{collection}", self.database.name())
    }

    async fn enable_sharding(&self, dry_run: bool, changes: &mut Vec<LayoutChange>) -> Result<(), StoreError> {
        let database = self.database.name();
        let known = self.config().collection::<Document>("databases");
        if self.find_one(&known, doc! { "_id": database }).await?.is_some() {
            return Ok(());
        }
        if !dry_run {
            self.run(&self.admin(), doc! { "enableSharding": database }).await?;
        }
        changes.push(LayoutChange::ShardingEnabled { database: database.to_owned() });
        Ok(())
    }

    async fn create_collections(&self, dry_run: bool, changes: &mut Vec<LayoutChange>) -> Result<(), StoreError> {
        let there = self.existing_validators().await?;
        for collection in Collection::ALL {
            let wanted = validator(collection);
            let found = there.iter().find(|(name, _)| name == collection.name());
            let (command, change) = match found {
                None => ("create", LayoutChange::Created { collection }),
                Some((_, validator)) if *validator == wanted => continue,
                Some(_) => ("collMod", LayoutChange::ValidatorReplaced { collection }),
            };
            if !dry_run {
                let command = doc! {
                    command: collection.name(),
                    "validator": wanted,
                    "validationLevel": "strict",
                    "validationAction": "error",
                    "writeConcern": self.write_concern(),
                };
                self.run(&self.database, command).await?;
            }
            changes.push(change);
        }
        Ok(())
    }

    async fn existing_validators(&self) -> Result<Vec<(String, Document)>, StoreError> {
        let listed = async { self.database.list_collections().await?.try_collect::<Vec<_>>().await };
        let listed = self.within(listed).await?;
        Ok(listed.into_iter().map(|found| (found.name, found.options.validator.unwrap_or_default())).collect())
    }

    async fn shard_collections(&self, dry_run: bool, changes: &mut Vec<LayoutChange>) -> Result<(), StoreError> {
        let known = self.config().collection::<Document>("collections");
        let chunks = CHUNKS_PER_SHARD * self.shards().await?;
        for collection in Collection::ALL {
            let namespace = self.namespace(collection);
            let key = shard_key(collection);
            if let Some(found) = self.find_one(&known, doc! { "_id": &namespace }).await? {
                let found = found.get_document("key").cloned().unwrap_or_default();
                if !same_key(&found, &key) {
                    return Err(StoreError::Refused(format!("{namespace} is sharded by {found}, not by {key}")));
                }
                continue;
            }
            if !dry_run {
                let command = doc! { "shardCollection": &namespace, "key": key.clone(), "numInitialChunks": chunks };
                self.run(&self.admin(), command).await?;
            }
            changes.push(LayoutChange::Sharded { collection, key: key.to_string(), chunks });
        }
        Ok(())
    }

    async fn shards(&self) -> Result<i64, StoreError> {
        let shards = self.config().collection::<Document>("shards");
        let found: Vec<Document> = self.within(async { shards.find(doc! {}).await?.try_collect().await }).await?;
        Ok(i64::try_from(found.len()).unwrap_or(i64::MAX).max(1))
    }

    async fn create_indexes(&self, dry_run: bool, changes: &mut Vec<LayoutChange>) -> Result<(), StoreError> {
        for index in indexes() {
            let Index { collection, name, keys, expire_after_seconds } = index;
            if self.index_names(collection).await?.iter().any(|found| found == name) {
                continue;
            }
            if !dry_run {
                let mut model = doc! { "key": keys, "name": name };
                if let Some(seconds) = expire_after_seconds {
                    model.insert("expireAfterSeconds", seconds);
                }
                let command = doc! {
                    "createIndexes": collection.name(),
                    "indexes": [model],
                    "writeConcern": self.write_concern(),
                };
                self.run(&self.database, command).await?;
            }
            changes.push(LayoutChange::IndexCreated { collection, index: name });
        }
        Ok(())
    }

    async fn index_names(&self, collection: Collection) -> Result<Vec<String>, StoreError> {
        let collection = self.collection::<Document>(collection);
        let listed = async {
            match collection.list_indexes().await {
                Ok(cursor) => cursor.try_collect::<Vec<_>>().await,
                Err(error) if failure::has_code(&error, NAMESPACE_NOT_FOUND) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        let listed = self.within(listed).await?;
        Ok(listed.into_iter().filter_map(|index| index.options.and_then(|options| options.name)).collect())
    }
}

/// Whether two keys are the same, order counting and `1` being what any number of it says.
fn same_key(a: &Document, b: &Document) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((name_a, kind_a), (name_b, kind_b))| {
            name_a == name_b && (kind_a.as_str() == Some("hashed")) == (kind_b.as_str() == Some("hashed"))
        })
}
