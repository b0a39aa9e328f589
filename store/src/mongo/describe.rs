//! Where the documents are, for a person and for tests. Not on a game's path: it asks every shard.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::{MongoStore, field_i64};
use crate::{Collection, StoreError};

/// How a collection lies on the shards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollectionReport {
    /// Which.
    pub collection: Collection,
    /// Its shard key as JSON, if it is sharded.
    pub shard_key: Option<String>,
    /// The shards, by name, that own a chunk or hold a document. For a collection that is not
    /// sharded, the one that holds it, without a name when the server is a plain replica set.
    pub shards: Vec<ShardShare>,
}

/// What one shard has of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ShardShare {
    /// The shard's name.
    pub shard: String,
    /// Chunks that it owns.
    pub chunks: i64,
    /// Documents that it holds.
    pub documents: i64,
    /// Their size before compression, in bytes.
    pub bytes: i64,
}

impl MongoStore {
    /// How every collection lies on the shards; those that do not exist are left out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn describe_layout(&self) -> Result<Vec<CollectionReport>, StoreError> {
        let sharded = self.is_sharded().await?;
        let listed = async { self.database.list_collection_names().await };
        let names = self.within(listed).await?;
        let mut reports = Vec::new();
        for collection in Collection::ALL {
            if !names.iter().any(|name| name == collection.name()) {
                continue;
            }
            let mut shares = BTreeMap::new();
            let shard_key = if sharded { self.chunks(collection, &mut shares).await? } else { None };
            self.sizes(collection, &mut shares).await?;
            let shards = shares.into_iter().map(|(shard, share)| ShardShare { shard, ..share }).collect();
            reports.push(CollectionReport { collection, shard_key, shards });
        }
        Ok(reports)
    }

    /// Adds the chunks of `collection` to `shares`; its key, if it is sharded.
    async fn chunks(
        &self,
        collection: Collection,
        shares: &mut BTreeMap<String, ShardShare>,
    ) -> Result<Option<String>, StoreError> {
        let collections = self.config().collection::<Document>("collections");
        let Some(found) = self.find_one(&collections, doc! { "_id": self.namespace(collection) }).await? else {
            return Ok(None);
        };
        let Some(uuid) = found.get("uuid") else {
            return Err(StoreError::Corrupt("config.collections without a uuid".into()));
        };
        let pipeline =
            [doc! { "$match": { "uuid": uuid } }, doc! { "$group": { "_id": "$shard", "chunks": { "$sum": 1 } } }];
        for group in self.aggregate(&self.config().collection("chunks"), pipeline.to_vec()).await? {
            let shard = group.get_str("_id").unwrap_or_default().to_owned();
            shares.entry(shard).or_default().chunks += field_i64(&group, "chunks")?;
        }
        Ok(Some(found.get_document("key").map(ToString::to_string).unwrap_or_default()))
    }

    async fn sizes(&self, collection: Collection, shares: &mut BTreeMap<String, ShardShare>) -> Result<(), StoreError> {
        let pipeline = vec![doc! { "$collStats": { "storageStats": {} } }];
        for found in self.aggregate(&self.collection(collection), pipeline).await? {
            let shard = found.get_str("shard").unwrap_or_default().to_owned();
            let stats = found.get_document("storageStats").cloned().unwrap_or_default();
            let share = shares.entry(shard).or_default();
            share.documents += field_i64(&stats, "count")?;
            share.bytes += field_i64(&stats, "size")?;
        }
        Ok(())
    }

    async fn aggregate(
        &self,
        collection: &mongodb::Collection<Document>,
        pipeline: Vec<Document>,
    ) -> Result<Vec<Document>, StoreError> {
        // Statistics take no read concern but "local".
        let aggregate = collection
            .aggregate(pipeline)
            .read_concern(mongodb::options::ReadConcern::local())
            .max_time(self.options.command_timeout);
        self.within(async { aggregate.await?.try_collect().await }).await
    }
}
