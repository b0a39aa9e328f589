//! What is done with each command.

/// The way a command takes. Commands that are not here are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The router answers itself.
    Hello,
    /// The router says yes: it keeps no such state.
    Acknowledge,
    /// Any shard gives the same answer.
    AnyShard,
    /// A mongod in the shard role runs it under this name as a mongos would.
    Cluster(&'static str),
    /// The command inside is renamed as [`Route::Cluster`] says.
    Explain,
    /// Goes where the cursor lives.
    GetMore,
    /// Goes where the cursors live.
    KillCursors,
    /// Counted through an aggregation.
    Count,
    /// The config server runs it under this name.
    Config(&'static str),
    /// The database's primary shard coordinates it under this name.
    Coordinated(&'static str),
    /// Takes more than one step.
    Admin(Admin),
}

/// Administrative commands that take more than one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admin {
    /// Makes a database known to the cluster.
    EnableSharding,
    /// Creates a sharded collection.
    ShardCollection,
    /// Creates a collection on the database's primary shard.
    Create,
    /// Drops a database.
    DropDatabase,
    /// Creates indexes on each shard that holds a part of the collection.
    CreateIndexes,
    /// Asks a shard that holds a part of the collection.
    ListIndexes,
    /// Asks the database's primary shard.
    ListCollections,
    /// Merges what all shards know.
    ListDatabases,
    /// Reads the shards' names from the config server.
    ListShards,
    /// Makes every shard forget its routing table.
    FlushRouterConfig,
}

impl Route {
    /// The way of the command of that name, or `None` when it is refused.
    pub fn of(command: &str) -> Option<Self> {
        Some(match command {
            "hello" | "isMaster" | "ismaster" => Self::Hello,
            "ping" | "endSessions" | "startSession" | "refreshSessions" | "killSessions" => Self::Acknowledge,
            "buildInfo" | "buildinfo" | "connectionStatus" | "serverStatus" | "getParameter" | "hostInfo"
            | "whatsmyuri" | "listCommands" => Self::AnyShard,
            "explain" => Self::Explain,
            "getMore" => Self::GetMore,
            "killCursors" => Self::KillCursors,
            "count" => Self::Count,
            "drop" => Self::Coordinated("_shardsvrDropCollection"),
            "collMod" => Self::Coordinated("_shardsvrCollMod"),
            "dropIndexes" | "deleteIndexes" => Self::Coordinated("_shardsvrDropIndexes"),
            _ => {
                return Self::of_cluster(command)
                    .or_else(|| Self::of_config(command))
                    .or_else(|| Self::of_admin(command));
            }
        })
    }

    /// The routed form of a command that `explain` can hold.
    pub fn cluster_name(command: &str) -> Option<&'static str> {
        match Self::of_cluster(command) {
            Some(Self::Cluster(name)) => Some(name),
            _ => None,
        }
    }

    fn of_cluster(command: &str) -> Option<Self> {
        Some(Self::Cluster(match command {
            "find" => "clusterFind",
            "insert" => "clusterInsert",
            "update" => "clusterUpdate",
            "delete" => "clusterDelete",
            "aggregate" => "clusterAggregate",
            _ => return None,
        }))
    }

    fn of_config(command: &str) -> Option<Self> {
        Some(Self::Config(match command {
            "addShard" | "addshard" => "_configsvrAddShard",
            "removeShard" | "removeshard" => "_configsvrRemoveShard",
            "addShardToZone" => "_configsvrAddShardToZone",
            "removeShardFromZone" => "_configsvrRemoveShardFromZone",
            "updateZoneKeyRange" => "_configsvrUpdateZoneKeyRange",
            "moveRange" => "_configsvrMoveRange",
            "balancerStart" => "_configsvrBalancerStart",
            "balancerStop" => "_configsvrBalancerStop",
            "balancerStatus" => "_configsvrBalancerStatus",
            _ => return None,
        }))
    }

    fn of_admin(command: &str) -> Option<Self> {
        Some(Self::Admin(match command {
            "enableSharding" => Admin::EnableSharding,
            "shardCollection" => Admin::ShardCollection,
            "create" => Admin::Create,
            "dropDatabase" => Admin::DropDatabase,
            "createIndexes" => Admin::CreateIndexes,
            "listIndexes" => Admin::ListIndexes,
            "listCollections" => Admin::ListCollections,
            "listDatabases" => Admin::ListDatabases,
            "listShards" => Admin::ListShards,
            "flushRouterConfig" => Admin::FlushRouterConfig,
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_one_shard_would_answer_wrongly() {
        for command in ["findAndModify", "distinct", "mapReduce", "commitTransaction", "collStats", "", "Insert"] {
            assert_eq!(Route::of(command), None, "{command}");
        }
    }

    #[test]
    fn renames_reads_and_writes() {
        assert_eq!(Route::of("insert"), Some(Route::Cluster("clusterInsert")));
        assert_eq!(Route::cluster_name("find"), Some("clusterFind"));
        assert_eq!(Route::cluster_name("drop"), None);
    }
}
