//! The replica sets behind the router and who leads each of them now.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::{Document, doc};
use tokio::task::JoinSet;

use crate::error::RouterError;
use crate::upstream::ask_once;

/// How long one member may take to say whether it leads.
const HELLO_MAX: Duration = Duration::from_secs(1);

/// A replica set: its name and the addresses of its members.
#[derive(Debug, Clone)]
pub struct ReplicaSet {
    /// Name of the set, which for a shard is also the shard's name.
    pub name: String,
    /// Addresses (`host:port`) of its members.
    pub members: Vec<String>,
    primary: Arc<Mutex<Option<String>>>,
}

impl ReplicaSet {
    /// A set of which no primary is known yet.
    pub fn new(name: impl Into<String>, members: Vec<String>) -> Self {
        Self { name: name.into(), members, primary: Arc::default() }
    }

    /// The primary: the one known, or else the one that the members name when asked once.
    pub async fn primary(&self) -> Option<String> {
        if let Some(known) = self.known_primary().clone() {
            return Some(known);
        }
        let found = self.ask_members().await;
        self.known_primary().clone_from(&found);
        found
    }

    /// Forgets the primary, when it is still this one, so that the next call asks again.
    pub fn forget_primary(&self, member: &str) {
        let mut known = self.known_primary();
        if known.as_deref() == Some(member) {
            *known = None;
        }
    }

    fn known_primary(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all members at once. Of two that both claim to lead, the one of the later election wins:
    /// the other has not noticed yet.
    async fn ask_members(&self) -> Option<String> {
        let mut asked = JoinSet::new();
        for member in &self.members {
            let member = member.clone();
            asked.spawn(async move {
                let hello = ask_once(&member, &doc! {"hello": 1, "$db": "admin"}, HELLO_MAX).await;
                (member, hello)
            });
        }
        let mut leader: Option<(bson::oid::ObjectId, String)> = None;
        while let Some(joined) = asked.join_next().await {
            let Ok((member, Ok(hello))) = joined else { continue };
            let Some(election) = election_of(&hello, &self.name) else { continue };
            if leader.as_ref().is_none_or(|(latest, _)| election > *latest) {
                leader = Some((election, member));
            }
        }
        leader.map(|(_, member)| member)
    }
}

fn election_of(hello: &Document, set: &str) -> Option<bson::oid::ObjectId> {
    let leads = hello.get_bool("isWritablePrimary").unwrap_or(false) && hello.get_str("setName") == Ok(set);
    leads.then(|| hello.get_object_id("electionId").ok()).flatten()
}

impl FromStr for ReplicaSet {
    type Err = RouterError;

    /// Parses `name/host:port,host:port`.
    fn from_str(text: &str) -> Result<Self, RouterError> {
        let (name, members) = text.split_once('/').unwrap_or(("", ""));
        let members: Vec<String> = members.split(',').map(str::to_owned).collect();
        let addresses_fit = members.iter().all(|member| {
            member.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        });
        if name.is_empty() || !addresses_fit {
            return Err(RouterError::Argument(format!("{text:?} is not of the form name/host:port,host:port")));
        }
        Ok(Self::new(name, members))
    }
}

/// Which replica set a command goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The config servers.
    Config,
    /// The shard of that number.
    Shard(usize),
}

/// The sharded cluster behind the router.
#[derive(Debug)]
pub struct Cluster {
    /// The config servers.
    pub config: ReplicaSet,
    /// The shards, of which there is at least one.
    pub shards: Vec<ReplicaSet>,
}

impl Cluster {
    /// The replica set of a target.
    pub fn set(&self, target: Target) -> &ReplicaSet {
        match target {
            Target::Config => &self.config,
            Target::Shard(number) => &self.shards[number],
        }
    }

    /// The shard of that name.
    pub fn shard_named(&self, name: &str) -> Option<Target> {
        self.shards.iter().position(|shard| shard.name == name).map(Target::Shard)
    }

    /// Every shard, beginning with number `first`.
    pub fn shards_from(&self, first: usize) -> Vec<Target> {
        (0..self.shards.len()).map(|step| Target::Shard((first + step) % self.shards.len())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_replica_sets() {
        let set: ReplicaSet = "a/127.0.0.1:1,localhost:2".parse().unwrap();
        assert_eq!((set.name.as_str(), set.members.len()), ("a", 2));
        for text in ["", "a", "a/", "/h:1", "a/h", "a/h:x", "a/h:1,", "a/h:70000"] {
            assert!(text.parse::<ReplicaSet>().is_err(), "{text}");
        }
    }

    /// A member that still says it leads a set of another name, or is only a secondary, is not followed.
    #[test]
    fn reads_who_leads() {
        let election = bson::oid::ObjectId::new();
        let hello =
            |primary: bool, set: &str| doc! {"isWritablePrimary": primary, "setName": set, "electionId": election};
        assert_eq!(election_of(&hello(true, "a"), "a"), Some(election));
        assert_eq!(election_of(&hello(false, "a"), "a"), None);
        assert_eq!(election_of(&hello(true, "b"), "a"), None);
    }

    #[tokio::test]
    async fn a_set_that_is_down_has_no_primary() {
        let set = ReplicaSet::new("a", vec!["127.0.0.1:1".to_owned()]);
        assert_eq!(set.primary().await, None);
    }

    #[test]
    fn starts_with_the_home_shard() {
        let shard = |name: &str| ReplicaSet::new(name, vec![]);
        let cluster = Cluster { config: shard("c"), shards: vec![shard("a"), shard("b")] };
        assert_eq!(cluster.shards_from(1), [Target::Shard(1), Target::Shard(0)]);
        assert_eq!(cluster.shard_named("b"), Some(Target::Shard(1)));
        assert_eq!(cluster.shard_named("x"), None);
    }
}
