//! Administrative commands: the steps that a mongos takes with the config server and the shards.

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};

use crate::cursors::Home;
use crate::error::{Result, RouterError};
use crate::route::{Admin, Route};
use crate::session::{Session, Way};
use crate::topology::Target;

/// Fields of a client's command that mean nothing, or harm, in a command of the router's own.
const CLIENT_FIELDS: [&str; 5] = ["lsid", "txnNumber", "$clusterTime", "$readPreference", "writeConcern"];
/// Options of `shardCollection` that its internal form takes.
const SHARD_OPTIONS: [&str; 7] = [
    "unique",
    "numInitialChunks",
    "presplitHashedZones",
    "implicitlyCreateIndex",
    "enforceUniquenessCheck",
    "collation",
    "timeseries",
];

/// Where a database lives: its primary shard and the version that coordinated commands must carry.
struct Database {
    primary: Target,
    version: Bson,
}

impl Session {
    /// Runs a command that is more than a renamed one.
    pub(crate) async fn administer(&mut self, route: Route, command: Document) -> Result<Document> {
        match route {
            Route::Count => self.count(&command).await,
            Route::Config(name) => self.ask(Way::Only(Target::Config), &config_command(command, name)).await,
            Route::Coordinated(name) => self.coordinate(command, name).await,
            Route::Admin(admin) => self.run_admin(admin, command).await,
            _ => Err(RouterError::not_routed(&first_name(&command))),
        }
    }

    async fn run_admin(&mut self, admin: Admin, command: Document) -> Result<Document> {
        match admin {
            Admin::EnableSharding => self.enable_sharding(&command).await,
            Admin::ShardCollection => self.shard_collection(&command).await,
            Admin::Create => self.create(command).await,
            Admin::DropDatabase => self.drop_database(&command).await,
            Admin::CreateIndexes => self.create_indexes(command).await,
            Admin::ListIndexes => self.list_indexes(command).await,
            Admin::ListCollections => self.list_collections(command).await,
            Admin::ListDatabases => self.list_databases(command).await,
            Admin::ListShards => self.list_shards().await,
            Admin::FlushRouterConfig => self.flush_router_config().await,
        }
    }

    /// A count over all shards; the plain command would count documents that are being moved twice.
    async fn count(&mut self, command: &Document) -> Result<Document> {
        let mut pipeline = vec![doc! {"$match": command.get_document("query").cloned().unwrap_or_default()}];
        for (option, stage) in [("skip", "$skip"), ("limit", "$limit")] {
            let number = command.get(option).and_then(as_i64).unwrap_or(0).saturating_abs();
            if number > 0 {
                pipeline.push(doc! {stage: number});
            }
        }
        pipeline.push(doc! {"$count": "n"});
        let mut aggregate = doc! {"clusterAggregate": text(command, "count")?, "pipeline": pipeline, "cursor": {}};
        for option in ["hint", "collation", "maxTimeMS", "readConcern", "comment", "$db"] {
            copy_field(command, option, &mut aggregate);
        }
        let reply = self.ask(Way::Entry, &aggregate).await?;
        let n = first_batch(&reply).next().and_then(|row| row.get("n").cloned()).unwrap_or(Bson::Int32(0));
        Ok(doc! {"n": n, "ok": 1.0})
    }

    async fn coordinate(&mut self, command: Document, name: &str) -> Result<Document> {
        let db = text(&command, "$db")?.to_owned();
        let Some(database) = self.database(&db).await? else {
            if command.contains_key("drop") {
                return Ok(doc! {"ok": 1.0});
            }
            return Err(namespace_not_found(&db));
        };
        let mut renamed = rename(command, name);
        renamed.insert("databaseVersion", database.version);
        renamed.insert("writeConcern", doc! {"w": "majority"});
        self.ask(Way::Only(database.primary), &renamed).await
    }

    async fn enable_sharding(&mut self, command: &Document) -> Result<Document> {
        let db = text(command, "enableSharding")?;
        let mut create = doc! {"_configsvrCreateDatabase": db, "writeConcern": {"w": "majority"}, "$db": "admin"};
        if let Some(primary) = command.get("primaryShard") {
            create.insert("primaryShardId", primary.clone());
        }
        self.ask(Way::Only(Target::Config), &create).await?;
        Ok(doc! {"ok": 1.0})
    }

    async fn shard_collection(&mut self, command: &Document) -> Result<Document> {
        let namespace = text(command, "shardCollection")?;
        let (db, collection) = namespace
            .split_once('.')
            .ok_or_else(|| RouterError::bad_value(format!("{namespace} is not of the form database.collection")))?;
        let database = self.ensure_database(db).await?;
        let mut create = doc! {"_shardsvrCreateCollection": collection};
        create.insert("shardKey", command.get("key").cloned().unwrap_or(Bson::Null));
        for option in SHARD_OPTIONS {
            copy_field(command, option, &mut create);
        }
        create.insert("databaseVersion", database.version);
        create.insert("writeConcern", doc! {"w": "majority"});
        create.insert("$db", db);
        self.ask(Way::Only(database.primary), &create).await?;
        Ok(doc! {"collectionsharded": namespace, "ok": 1.0})
    }

    async fn create(&mut self, command: Document) -> Result<Document> {
        let database = self.ensure_database(text(&command, "$db")?).await?;
        self.ask(Way::Only(database.primary), &with_majority(strip(command))).await
    }

    async fn drop_database(&mut self, command: &Document) -> Result<Document> {
        let db = text(command, "$db")?;
        if let Some(database) = self.database(db).await? {
            let drop = doc! {
                "_shardsvrDropDatabase": 1, "databaseVersion": database.version,
                "writeConcern": {"w": "majority"}, "$db": db,
            };
            self.ask(Way::Only(database.primary), &drop).await?;
        }
        Ok(doc! {"dropped": db, "ok": 1.0})
    }

    async fn create_indexes(&mut self, command: Document) -> Result<Document> {
        let db = text(&command, "$db")?.to_owned();
        let namespace = format!("{db}.{}", text(&command, "createIndexes")?);
        self.ensure_database(&db).await?;
        let command = with_majority(strip(command));
        let mut replies = Document::new();
        for target in self.owners(&db, &namespace).await? {
            let reply = self.ask(Way::Only(target), &command).await?;
            replies.insert(self.shared.cluster.set(target).name.clone(), reply);
        }
        Ok(doc! {"raw": replies, "ok": 1.0})
    }

    async fn list_indexes(&mut self, command: Document) -> Result<Document> {
        let db = text(&command, "$db")?.to_owned();
        let namespace = format!("{db}.{}", text(&command, "listIndexes")?);
        let owners = self.owners(&db, &namespace).await?;
        let target = *owners.first().ok_or_else(|| namespace_not_found(&namespace))?;
        self.ask_for_cursor(target, &strip(command)).await
    }

    async fn list_collections(&mut self, command: Document) -> Result<Document> {
        let db = text(&command, "$db")?.to_owned();
        match self.home_of(&db).await? {
            Some(target) => self.ask_for_cursor(target, &strip(command)).await,
            None => {
                let cursor = doc! {"id": 0_i64, "ns": format!("{db}.$cmd.listCollections"), "firstBatch": []};
                Ok(doc! {"cursor": cursor, "ok": 1.0})
            }
        }
    }

    /// Databases of all shards with their sizes added up; `admin` and `config` are the config server's.
    async fn list_databases(&mut self, command: Document) -> Result<Document> {
        let command = strip(command);
        let mut merged: BTreeMap<String, Document> = BTreeMap::new();
        for target in [self.all_shards(), vec![Target::Config]].concat() {
            let reply = self.ask(Way::Only(target), &command).await?;
            for found in reply.get_array("databases").into_iter().flatten().filter_map(Bson::as_document) {
                let name = found.get_str("name").unwrap_or_default();
                let of_config = matches!(name, "admin" | "config");
                if name != "local" && of_config == (target == Target::Config) {
                    merge_database(merged.entry(name.to_owned()).or_default(), found);
                }
            }
        }
        let databases: Vec<Document> = merged.into_values().collect();
        let size: i64 = databases.iter().filter_map(|found| found.get("sizeOnDisk").and_then(as_i64)).sum();
        Ok(doc! {"databases": databases, "totalSize": size, "ok": 1.0})
    }

    async fn list_shards(&mut self) -> Result<Document> {
        let reply = self.read_config("shards", doc! {}).await?;
        Ok(doc! {"shards": first_batch(&reply).cloned().collect::<Vec<_>>(), "ok": 1.0})
    }

    async fn flush_router_config(&mut self) -> Result<Document> {
        for target in self.all_shards() {
            self.ask(Way::Only(target), &doc! {"flushRouterConfig": 1, "$db": "admin"}).await?;
        }
        Ok(doc! {"flushed": true, "ok": 1.0})
    }

    async fn database(&mut self, db: &str) -> Result<Option<Database>> {
        let reply = self.read_config("databases", doc! {"_id": db}).await?;
        let Some(found) = first_batch(&reply).next() else { return Ok(None) };
        let primary = self.shard_target(found.get_str("primary").unwrap_or_default())?;
        Ok(Some(Database { primary, version: found.get("version").cloned().unwrap_or(Bson::Null) }))
    }

    async fn ensure_database(&mut self, db: &str) -> Result<Database> {
        if let Some(database) = self.database(db).await? {
            return Ok(database);
        }
        self.enable_sharding(&doc! {"enableSharding": db}).await?;
        self.database(db).await?.ok_or_else(|| namespace_not_found(db))
    }

    /// The replica set that knows a database's collections.
    async fn home_of(&mut self, db: &str) -> Result<Option<Target>> {
        if matches!(db, "admin" | "config") {
            return Ok(Some(Target::Config));
        }
        Ok(self.database(db).await?.map(|database| database.primary))
    }

    /// The shards that hold a part of a collection: those of its chunks, or its database's primary shard.
    async fn owners(&mut self, db: &str, namespace: &str) -> Result<Vec<Target>> {
        let reply = self.read_config("collections", doc! {"_id": namespace}).await?;
        let Some(uuid) = first_batch(&reply).next().and_then(|found| found.get("uuid").cloned()) else {
            return Ok(self.home_of(db).await?.into_iter().collect());
        };
        let pipeline =
            vec![doc! {"$match": {"uuid": uuid}}, doc! {"$group": {"_id": "$shard"}}, doc! {"$sort": {"_id": 1}}];
        let chunks = doc! {
            "aggregate": "chunks", "pipeline": pipeline, "cursor": {},
            "readConcern": {"level": "majority"}, "$db": "config",
        };
        let reply = self.ask(Way::Only(Target::Config), &chunks).await?;
        first_batch(&reply).map(|shard| self.shard_target(shard.get_str("_id").unwrap_or_default())).collect()
    }

    async fn read_config(&mut self, collection: &str, filter: Document) -> Result<Document> {
        let find = doc! {
            "find": collection, "filter": filter, "readConcern": {"level": "majority"}, "$db": "config",
        };
        self.ask(Way::Only(Target::Config), &find).await
    }

    async fn ask_for_cursor(&mut self, target: Target, command: &Document) -> Result<Document> {
        let reply = self.ask(Way::Only(target), command).await?;
        let id = reply.get_document("cursor").ok().and_then(|cursor| cursor.get_i64("id").ok()).unwrap_or(0);
        if id != 0 {
            self.shared.cursors.opened(id, Home { target, cluster: false });
        }
        Ok(reply)
    }

    fn all_shards(&self) -> Vec<Target> {
        self.shared.cluster.shards_from(0)
    }

    fn shard_target(&self, name: &str) -> Result<Target> {
        self.shared.cluster.shard_named(name).ok_or_else(|| RouterError::Refused {
            code: 70,
            name: "ShardNotFound",
            text: format!("shard {name} was not given to this router"),
        })
    }
}

fn config_command(command: Document, name: &str) -> Document {
    let mut renamed = rename(command, name);
    // The balancer's commands refuse a write concern, and all others on the config server need majority.
    if !name.starts_with("_configsvrBalancer") {
        renamed = with_majority(renamed);
    }
    renamed.insert("$db", "admin");
    renamed
}

fn rename(command: Document, name: &str) -> Document {
    let mut fields = strip(command).into_iter();
    let mut renamed = Document::new();
    if let Some((_, value)) = fields.next() {
        renamed.insert(name, value);
    }
    renamed.extend(fields);
    renamed
}

fn strip(command: Document) -> Document {
    command.into_iter().filter(|(name, _)| !CLIENT_FIELDS.contains(&name.as_str())).collect()
}

fn with_majority(mut command: Document) -> Document {
    command.insert("writeConcern", doc! {"w": "majority"});
    command
}

fn copy_field(from: &Document, name: &str, to: &mut Document) {
    if let Some(value) = from.get(name) {
        to.insert(name, value.clone());
    }
}

fn merge_database(merged: &mut Document, found: &Document) {
    copy_field(found, "name", merged);
    let size = [&*merged, found].iter().filter_map(|part| part.get("sizeOnDisk").and_then(as_i64)).sum::<i64>();
    if found.contains_key("sizeOnDisk") {
        let empty = merged.get_bool("empty").unwrap_or(true) && found.get_bool("empty").unwrap_or(true);
        merged.insert("sizeOnDisk", size);
        merged.insert("empty", empty);
    }
}

fn text<'a>(command: &'a Document, field: &str) -> Result<&'a str> {
    command.get_str(field).map_err(|_| RouterError::bad_value(format!("{field} must be a string")))
}

fn first_name(command: &Document) -> String {
    command.keys().next().cloned().unwrap_or_default()
}

fn first_batch(reply: &Document) -> impl Iterator<Item = &Document> {
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    batch.into_iter().flatten().filter_map(Bson::as_document)
}

fn as_i64(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

fn namespace_not_found(namespace: &str) -> RouterError {
    RouterError::Refused { code: 26, name: "NamespaceNotFound", text: format!("ns not found: {namespace}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_for_the_config_server() {
        let command = doc! {"addShard": "a/h:1", "lsid": {"id": 1}, "writeConcern": {"w": 1}, "$db": "admin"};
        assert_eq!(
            config_command(command, "_configsvrAddShard"),
            doc! {"_configsvrAddShard": "a/h:1", "$db": "admin", "writeConcern": {"w": "majority"}}
        );
        let status = config_command(doc! {"balancerStatus": 1, "$db": "admin"}, "_configsvrBalancerStatus");
        assert_eq!(status, doc! {"_configsvrBalancerStatus": 1, "$db": "admin"});
    }

    #[test]
    fn adds_up_a_database_over_shards() {
        let mut merged = Document::new();
        merge_database(&mut merged, &doc! {"name": "q", "sizeOnDisk": 3_i64, "empty": false});
        merge_database(&mut merged, &doc! {"name": "q", "sizeOnDisk": 4_i64, "empty": true});
        assert_eq!(merged, doc! {"name": "q", "sizeOnDisk": 7_i64, "empty": false});
    }
}
