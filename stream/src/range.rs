//! Reads a range of one partition, from an offset to the log's present end, beside whatever else reads it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quiz_schemas::{Codec, DecodeError, Topic};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::runtime::Handle;

use crate::config::KafkaConfig;
use crate::offsets;
use crate::plain_consumer::{PlainConsumer, plain_consumer};
use crate::processor::Record;
use crate::registry::{ResolveError, SchemaSource};

/// How long a poll lasts at most.
const POLL: Duration = Duration::from_millis(50);
/// How long the broker may take to say where a partition begins and ends, or to end open transactions.
const LOOK_UP: Duration = Duration::from_secs(8);
/// A read that brings nothing for so long has failed.
const IDLE: Duration = Duration::from_secs(8);
/// librdkafka wants a group id even of a consumer that joins none.
const GROUP_ID: &str = "quiz.range";

/// Why a range was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The broker did not answer, or not with all that there is; try again.
    #[error("the range of {topic} cannot be read: {reason}")]
    Kafka {
        /// The topic.
        topic: Topic,
        /// What the client said.
        reason: String,
    },
    /// The registry does not say how a record is to be read; try again.
    #[error("the schema of a record cannot be asked for: {0}")]
    Registry(String),
}

/// Reads ranges. Each read has a consumer of its own, which joins no group and commits nothing.
#[derive(Clone)]
pub struct RangeReader {
    kafka: KafkaConfig,
    codec: Arc<Codec>,
    schemas: SchemaSource,
}

impl RangeReader {
    /// Reads with this codec, and asks `schemas` for what it does not know.
    #[must_use]
    pub fn new(kafka: KafkaConfig, codec: Arc<Codec>, schemas: SchemaSource) -> Self {
        Self { kafka, codec, schemas }
    }

    /// Those committed records of the partition that `keep` picks, in their order, from `from` (its
    /// start, when that is lower or below 0) to where the log ends as the call begins, open transactions
    /// awaited. A record that cannot be decoded is left out: it has effect nowhere (I11). Needs a Tokio
    /// runtime.
    ///
    /// # Errors
    /// See [`RangeError`].
    pub async fn read(
        &self,
        topic: Topic,
        partition: i32,
        from: i64,
        keep: impl Fn(&Record) -> bool + Send + 'static,
    ) -> Result<Vec<Record>, RangeError> {
        let reading = Reading { reader: self.clone(), topic, partition, runtime: Handle::current() };
        let read = tokio::task::spawn_blocking(move || reading.run(from, keep)).await;
        read.unwrap_or_else(|err| Err(RangeError::Kafka { topic, reason: err.to_string() }))
    }
}

struct Reading {
    reader: RangeReader,
    topic: Topic,
    partition: i32,
    runtime: Handle,
}

impl Reading {
    fn run(&self, from: i64, keep: impl Fn(&Record) -> bool) -> Result<Vec<Record>, RangeError> {
        let consumer = self.consumer("read_committed")?;
        let (start, end) = self.bounds(&consumer)?;
        let mut next = from.max(start);
        let mut kept = Vec::new();
        if next >= end {
            return Ok(kept);
        }
        let mut assignment = TopicPartitionList::new();
        let assigned = assignment
            .add_partition_offset(self.topic.name(), self.partition, Offset::Offset(next))
            .and_then(|()| consumer.assign(&assignment));
        assigned.map_err(|err| self.kafka(&err))?;
        let mut moved_at = Instant::now();
        while next < end {
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    moved_at = Instant::now();
                    if message.offset() >= end {
                        break;
                    }
                    kept.extend(self.record(&message)?.filter(&keep));
                    next = message.offset() + 1;
                }
                // What is left is control records.
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(err)) if moved_at.elapsed() > IDLE => return Err(self.kafka(&err)),
                None if moved_at.elapsed() > IDLE => return Err(self.kafka(&"nothing comes")),
                Some(Err(_)) | None => {}
            }
        }
        Ok(kept)
    }

    /// Where to begin at the earliest, and where to end.
    fn bounds(&self, committed: &PlainConsumer) -> Result<(i64, i64), RangeError> {
        let log = self.consumer("read_uncommitted")?;
        offsets::decided_range(&log, committed, self.topic, self.partition, LOOK_UP).map_err(|err| self.kafka(&err))
    }

    fn record(&self, message: &BorrowedMessage<'_>) -> Result<Option<Record>, RangeError> {
        let value = message.payload().unwrap_or_default();
        let mut decoded = self.reader.codec.decode_any(self.topic, value);
        if let Err(DecodeError::UnknownSchema(id)) = decoded {
            let learned = self.runtime.block_on(self.reader.schemas.learn(&self.reader.codec, id));
            if let Err(ResolveError::Unavailable(reason)) = learned {
                return Err(RangeError::Registry(reason));
            }
            decoded = self.reader.codec.decode_any(self.topic, value);
        }
        let appended_at_us = offsets::appended_at_us(message.timestamp());
        let (topic, partition, offset) = (self.topic, self.partition, message.offset());
        Ok(decoded.ok().map(|event| Record { topic, partition, offset, appended_at_us, event }))
    }

    fn consumer(&self, isolation: &str) -> Result<PlainConsumer, RangeError> {
        let mut config: ClientConfig = self.reader.kafka.consumer();
        config
            .set("group.id", GROUP_ID)
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", isolation)
            .set("enable.partition.eof", "true");
        plain_consumer(&config).map_err(|err| self.kafka(&err))
    }

    fn kafka(&self, err: &dyn std::fmt::Display) -> RangeError {
        RangeError::Kafka { topic: self.topic, reason: err.to_string() }
    }
}
