//! A consumer that belongs to no group's balance: it reads where it is told to, and asks for offsets.

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use tracing::warn;

use crate::client_log::ClientLog;

/// A consumer whose log says what is wrong, not that a partition has been read to its end.
pub(crate) type PlainConsumer = BaseConsumer<Plain>;

/// What the client's threads call.
#[derive(Default)]
pub(crate) struct Plain {
    /// What it says.
    pub(crate) log: ClientLog,
}

impl ClientContext for Plain {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, line: &str) {
        self.log.take(level, fac, line);
    }

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
    config.create_with_context(Plain::default())
}
