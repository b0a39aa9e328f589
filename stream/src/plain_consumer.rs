//! A consumer that belongs to no group's balance: it reads where it is told to, and asks for offsets.

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use tracing::warn;

/// A consumer whose log says what is wrong, not that a partition has been read to its end.
pub(crate) type PlainConsumer = BaseConsumer<Plain>;

/// What the client's threads call.
pub(crate) struct Plain;

impl ClientContext for Plain {
    fn error(&self, err: KafkaError, reason: &str) {
        if err.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            warn!(%err, reason, "kafka consumer");
        }
    }
}

impl ConsumerContext for Plain {}

/// Makes one.
///
/// # Errors
/// When the options do not suit the client.
pub(crate) fn plain_consumer(config: &ClientConfig) -> KafkaResult<PlainConsumer> {
    config.create_with_context(Plain)
}
