//! Administration without a shell: starting a replica set and running one command.

use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};

use crate::error::{Result, RouterError};
use crate::topology::ReplicaSet;
use crate::upstream::ask_once;

const ASK_MAX: Duration = Duration::from_secs(5);
const COMMAND_MAX: Duration = Duration::from_secs(60);
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// Five seconds in place of ten: step-down tests are quicker, and a busy machine still holds no needless elections.
const ELECTION_TIMEOUT_MS: i32 = 5_000;
const ALREADY_INITIALIZED: i32 = 23;

/// Initiates a replica set when it is new, and waits until it has a primary.
pub async fn initiate(set: &ReplicaSet, configsvr: bool, limit: Duration) -> Result<String> {
    let deadline = Instant::now() + limit;
    for member in &set.members {
        wait_for_member(member, deadline).await?;
    }
    let first = set.members.first().ok_or_else(|| RouterError::Argument("no members".into()))?;
    let command = doc! {"replSetInitiate": configuration(set, configsvr), "$db": "admin"};
    let reply = ask_once(first, &command, limit).await?;
    let ok = reply.get_f64("ok") == Ok(1.0) || reply.get_i32("code") == Ok(ALREADY_INITIALIZED);
    if !ok {
        return Err(RouterError::Server(reply));
    }
    while Instant::now() < deadline {
        if let Some(primary) = set.primary().await {
            return Ok(primary);
        }
        tokio::time::sleep(POLL_PAUSE).await;
    }
    Err(RouterError::NoPrimary { set: set.name.clone() })
}

/// Runs one command, given as extended JSON, and gives the reply as extended JSON.
pub async fn command(member: &str, db: &str, json: &str) -> Result<String> {
    let parsed: serde_json::Value =
        serde_json::from_str(json).map_err(|error| RouterError::Argument(format!("not JSON: {error}")))?;
    let parsed = Bson::try_from(parsed).map_err(|error| RouterError::Argument(format!("not BSON: {error}")))?;
    let Bson::Document(mut command) = parsed else {
        return Err(RouterError::Argument("a command is a JSON object".into()));
    };
    command.insert("$db", db);
    let reply = ask_once(member, &command, COMMAND_MAX).await?;
    if reply.get_f64("ok") == Ok(1.0) {
        Ok(Bson::Document(reply).into_relaxed_extjson().to_string())
    } else {
        Err(RouterError::Server(reply))
    }
}

async fn wait_for_member(member: &str, deadline: Instant) -> Result<()> {
    loop {
        match ask_once(member, &doc! {"hello": 1, "$db": "admin"}, ASK_MAX).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(POLL_PAUSE).await,
        }
    }
}

fn configuration(set: &ReplicaSet, configsvr: bool) -> Document {
    let members: Vec<Document> =
        (0_i32..).zip(&set.members).map(|(id, member)| doc! {"_id": id, "host": member}).collect();
    let mut configuration = doc! {
        "_id": &set.name, "members": members, "settings": {"electionTimeoutMillis": ELECTION_TIMEOUT_MS},
    };
    if configsvr {
        configuration.insert("configsvr", true);
    }
    configuration
}
