//! Topics: creating them, and telling where the cluster's differ from the table in `quiz_schemas`.
//!
//! The table is the truth. What is missing is created; an option that differs is changed only when
//! asked; a number of partitions that differs is never touched, since it decides where every key
//! lives: that needs a human.

mod cluster;

use std::collections::BTreeMap;

use quiz_schemas::topic::DLQ_RETENTION_DAYS;
use quiz_schemas::{Cleanup, Topic};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Serialize;

use crate::config::KafkaConfig;

/// The largest batch that a broker takes, bytes: a record, its key and the batch's framing.
const BATCH_BYTES_MAX: usize = quiz_schemas::codec::RECORD_BYTES_MAX + 48_588;
/// Milliseconds in a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// What `apply` may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApplyOptions {
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Replicas of topics that are created.
    pub replication_factor: i32,
    /// Also change the options of existing topics that differ.
    pub alter: bool,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { dry_run: false, replication_factor: 1, alter: false }
    }
}

/// What a topic is, or should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each partition has.
    pub replication_factor: i32,
    /// The options that we care for. Empty where the cluster does not tell (the embedded one).
    pub config: BTreeMap<String, String>,
}

/// Where a topic differs from the table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Difference {
    /// There is no such topic.
    Missing {
        /// What it should be.
        wanted: TopicDescription,
    },
    /// An option has another value.
    Option {
        /// Its name.
        option: String,
        /// The value on the cluster, if any.
        found: Option<String>,
        /// The value in the table.
        wanted: String,
    },
    /// It has another number of partitions.
    Partitions {
        /// On the cluster.
        found: i32,
        /// In the table.
        wanted: i32,
    },
}

/// What became of a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It was removed.
    Done,
    /// It would be removed without `dry_run`.
    Planned,
    /// It would be removed with `alter`.
    NotAsked,
    /// It is never removed here.
    NeedsHuman,
}

/// One difference and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TopicChange {
    /// The topic.
    pub topic: String,
    /// Where it differs.
    pub difference: Difference,
    /// What became of it.
    pub action: Action,
}

/// Why topics could not be described or changed.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// The cluster did not answer, or the client could not be made.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The cluster refused a change.
    #[error("topic {topic}: the cluster says {code}")]
    Refused {
        /// The topic.
        topic: String,
        /// What it said.
        code: RDKafkaErrorCode,
    },
    /// Only the cluster's own process can add topics to the embedded one.
    #[error("topic {0} is missing on the embedded cluster")]
    Embedded(String),
}

/// The topics that there should be: each of the table, and its dead-letter topic.
#[must_use]
pub fn wanted(replication_factor: i32) -> Vec<TopicDescription> {
    let described = |name: &str, partitions, cleanup| TopicDescription {
        name: name.to_string(),
        partitions,
        replication_factor,
        config: config(cleanup, replication_factor),
    };
    let mut topics = Vec::with_capacity(Topic::ALL.len() * 2);
    for topic in Topic::ALL {
        let spec = topic.spec();
        topics.push(described(spec.name, spec.partitions, spec.cleanup));
        topics.push(described(spec.dlq, spec.partitions, Cleanup::DeleteAfterDays(DLQ_RETENTION_DAYS)));
    }
    topics
}

fn config(cleanup: Cleanup, replication_factor: i32) -> BTreeMap<String, String> {
    // With three replicas, acks=all outlives the loss of any one; with fewer there is none to spare.
    let insync = if replication_factor >= 3 { 2 } else { 1 };
    let mut config = BTreeMap::from([
        ("message.timestamp.type".to_string(), "LogAppendTime".to_string()),
        ("min.insync.replicas".to_string(), insync.to_string()),
        ("max.message.bytes".to_string(), BATCH_BYTES_MAX.to_string()),
    ]);
    match cleanup {
        Cleanup::Compact => {
            config.insert("cleanup.policy".to_string(), "compact".to_string());
        }
        Cleanup::DeleteAfterDays(days) => {
            config.insert("cleanup.policy".to_string(), "delete".to_string());
            config.insert("retention.ms".to_string(), (u64::from(days) * DAY_MS).to_string());
        }
    }
    config
}

/// Where `found` differs from the table, in the table's order. Topics outside the table do not count.
#[must_use]
pub fn differences(found: &[TopicDescription], replication_factor: i32) -> Vec<(String, Difference)> {
    let mut differences = Vec::new();
    for wanted in wanted(replication_factor) {
        let name = wanted.name.clone();
        let Some(found) = found.iter().find(|found| found.name == name) else {
            differences.push((name, Difference::Missing { wanted }));
            continue;
        };
        if found.partitions != wanted.partitions {
            let (found, wanted) = (found.partitions, wanted.partitions);
            differences.push((name.clone(), Difference::Partitions { found, wanted }));
        }
        // How far an existing topic is replicated is the operator's choice; its floor goes with it.
        let mut options = wanted.config;
        if found.replication_factor != replication_factor {
            options.remove("min.insync.replicas");
        }
        if found.config.is_empty() {
            options.clear();
        }
        for (option, wanted) in options {
            let found = found.config.get(&option);
            if found != Some(&wanted) {
                let found = found.cloned();
                differences.push((name.clone(), Difference::Option { option, found, wanted }));
            }
        }
    }
    differences
}

/// What is done about a difference.
fn decide(difference: &Difference, options: &ApplyOptions) -> Action {
    match difference {
        Difference::Partitions { .. } => Action::NeedsHuman,
        Difference::Option { .. } if !options.alter => Action::NotAsked,
        _ if options.dry_run => Action::Planned,
        _ => Action::Done,
    }
}

/// Our topics as they are on the cluster.
///
/// # Errors
/// When the cluster does not answer.
pub async fn describe(config: &KafkaConfig) -> Result<Vec<TopicDescription>, TopicsError> {
    cluster::Admin::connect(config)?.describe().await
}

/// Makes the cluster's topics as the table says, as far as `options` allow, and tells every
/// difference that there was. Nothing to do yields an empty list; so does a second call.
///
/// # Errors
/// When the cluster does not answer or refuses; changes made before that stay.
pub async fn apply(config: &KafkaConfig, options: &ApplyOptions) -> Result<Vec<TopicChange>, TopicsError> {
    let admin = cluster::Admin::connect(config)?;
    let found = admin.describe().await?;
    let changes: Vec<TopicChange> = differences(&found, options.replication_factor)
        .into_iter()
        .map(|(topic, difference)| {
            let action = decide(&difference, options);
            TopicChange { topic, difference, action }
        })
        .collect();
    admin.carry_out(&changes).await?;
    Ok(changes)
}
