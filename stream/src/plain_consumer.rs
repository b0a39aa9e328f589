//! A consumer that belongs to no group's balance: it reads where it is told to, and asks for offsets.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use tracing::{error, warn};

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

/// Ends a client that is no longer of use, on a thread of its own: that may take as long as a broken client likes.
pub(crate) fn close_aside(old: impl Send + 'static, of: &str) {
    if let Err(err) = thread::Builder::new().name(format!("close {of}")).spawn(move || drop(old)) {
        warn!(%err, of, "no thread for the end of an old client");
    }
}

/// The shortest time between two clients.
const REPLACE_EVERY: Duration = Duration::from_secs(1);

/// A plain consumer for one job after another, each of which assigns anew: between two of them it is replaced when it has
/// lost sight of a leader.
pub(crate) struct LastingConsumer {
    config: ClientConfig,
    consumer: PlainConsumer,
    made_at: Instant,
    /// Whose it is, for the log.
    of: &'static str,
}

impl LastingConsumer {
    /// Makes the first one.
    ///
    /// # Errors
    /// When the options do not suit the client.
    pub(crate) fn new(config: ClientConfig, of: &'static str) -> KafkaResult<Self> {
        let consumer = plain_consumer(&config)?;
        Ok(Self { config, consumer, made_at: Instant::now(), of })
    }

    /// The client as it is.
    pub(crate) fn get(&self) -> &PlainConsumer {
        &self.consumer
    }

    /// Whether the client reads some partition no more, and may be replaced.
    pub(crate) fn is_lost(&self) -> bool {
        self.consumer.context().log.lost_a_leader() && self.made_at.elapsed() >= REPLACE_EVERY
    }

    /// Replaces the client when it is lost.
    ///
    /// # Errors
    /// When the new one cannot be made; the old one stays.
    pub(crate) fn renew(&mut self) -> KafkaResult<()> {
        if !self.is_lost() {
            return Ok(());
        }
        let consumer = plain_consumer(&self.config)?;
        error!(of = self.of, "a consumer has lost sight of a leader; it is replaced");
        self.made_at = Instant::now();
        close_aside(std::mem::replace(&mut self.consumer, consumer), self.of);
        Ok(())
    }
}
