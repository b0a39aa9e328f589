//! The registry's topic.

use std::time::{Duration, Instant};

use quiz_schemas::Codec;
use quiz_schemas::topic::SCHEMAS_TOPIC;
use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::warn;

use super::ServerError;
use super::schemas::{Change, Schemas};
use crate::config::KafkaConfig;
use crate::plain_consumer::plain_consumer;
use crate::producer::{Producer, ProducerOptions};

/// How long reading the whole topic may take.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long creating the topic may take.
const CREATE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one poll lasts at most.
const POLL: Duration = Duration::from_millis(100);
/// As many replicas as the broker gives by default.
const REPLICAS_BY_DEFAULT: i32 = -1;
/// librdkafka wants a group id even of a consumer that joins none.
const GROUP_ID: &str = "quiz.registry";

pub(super) struct Log {
    config: KafkaConfig,
    producer: Producer,
}

fn failed(err: impl std::fmt::Display) -> ServerError {
    ServerError::Log(err.to_string())
}

impl Log {
    pub(super) async fn open(config: &KafkaConfig) -> Result<Self, ServerError> {
        if !config.embedded {
            create_topic(config).await?;
        }
        let producer = Producer::new(config, Codec::new().into(), ProducerOptions::default()).map_err(failed)?;
        Ok(Self { config: config.clone(), producer })
    }

    /// Appends and awaits the acknowledgement.
    pub(super) async fn append(&self, change: &Change) -> Result<(), ServerError> {
        let value = serde_json::to_vec(change).map_err(failed)?;
        let key = change.key();
        let ack = self.producer.append_raw(SCHEMAS_TOPIC, Some(key.as_bytes()), Some(&value), &[]);
        ack.await.map_err(failed)?;
        Ok(())
    }

    /// Reads the whole topic.
    pub(super) async fn read(&self) -> Result<Schemas, ServerError> {
        let config = self.config.clone();
        tokio::task::spawn_blocking(move || read(&config)).await.map_err(failed)?
    }
}

async fn create_topic(config: &KafkaConfig) -> Result<(), ServerError> {
    let admin: AdminClient<DefaultClientContext> = config.client().create().map_err(failed)?;
    let topic = NewTopic::new(SCHEMAS_TOPIC, 1, TopicReplication::Fixed(REPLICAS_BY_DEFAULT));
    let topic = topic.set("cleanup.policy", "compact");
    let options = AdminOptions::new().request_timeout(Some(CREATE_TIMEOUT)).operation_timeout(Some(CREATE_TIMEOUT));
    for created in admin.create_topics([&topic], &options).await.map_err(failed)? {
        match created {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(failed(code)),
        }
    }
    Ok(())
}

fn read(config: &KafkaConfig) -> Result<Schemas, ServerError> {
    let mut client = config.consumer();
    client.set("group.id", GROUP_ID).set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
    let consumer = plain_consumer(&client).map_err(failed)?;
    let mut all = TopicPartitionList::with_capacity(1);
    all.add_partition_offset(SCHEMAS_TOPIC, 0, Offset::Beginning).map_err(failed)?;
    consumer.assign(&all).map_err(failed)?;
    let mut schemas = Schemas::default();
    let started_at = Instant::now();
    while started_at.elapsed() < READ_TIMEOUT {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                // Nothing else writes here; what cannot be read would be schemas lost, ids handed out twice.
                let value = message.payload().unwrap_or_default();
                let unreadable = |err| ServerError::Log(format!("record {}: {err}", message.offset()));
                schemas.apply(serde_json::from_slice(value).map_err(unreadable)?);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(schemas),
            Some(Err(err)) => warn!(%err, "reading the registry's topic"),
            None => {}
        }
    }
    Err(failed("its end was not reached in time"))
}
