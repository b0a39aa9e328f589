//! The embedded cluster: librdkafka's in-process broker, one node, its log in memory.
//!
//! It speaks the Kafka protocol on a loopback port, so producers and consumers are the same as
//! against a real cluster. What it lacks (`tests/embedded_limits.rs` holds each to be so):
//! aborted and open transactions are read like committed ones; offsets sent within a transaction
//! are forgotten; a transactional id fences nobody; records keep the producer's time; a partition
//! keeps 5 MiB whatever its retention; there are no admin requests; the first member of a group
//! waits 3 s for others.

use std::time::Duration;

use quiz_schemas::Topic;
use quiz_schemas::topic::SCHEMAS_TOPIC;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::config::KafkaConfig;

/// Why there is no embedded cluster, or it did not do as told.
#[derive(Debug, thiserror::Error)]
#[error("embedded cluster: {0}")]
pub struct EmbeddedError(#[from] KafkaError);

impl EmbeddedError {
    /// The library's code, when it gave one.
    #[must_use]
    pub fn code(&self) -> Option<RDKafkaErrorCode> {
        match &self.0 {
            KafkaError::MockCluster(code) => Some(*code),
            other => other.rdkafka_error_code(),
        }
    }
}

/// A running embedded cluster with all topics; it is gone when this is dropped.
pub struct EmbeddedCluster {
    /// The client that owns the cluster. A cluster that belongs to a client, unlike a bare
    /// `MockCluster`, can be sent to and used from any thread.
    owner: BaseProducer<DefaultProducerContext>,
}

const BROKERS: i32 = 1;
const BROKER_ID: i32 = 1;

impl EmbeddedCluster {
    /// Starts one broker with every topic and its dead-letter topic.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn start() -> Result<Self, EmbeddedError> {
        let owner: BaseProducer = ClientConfig::new()
            .set("test.mock.num.brokers", BROKERS.to_string())
            .set("client.id", "embedded-cluster")
            .set("log_level", "3")
            .create()?;
        let cluster = Self { owner };
        for topic in Topic::ALL {
            let spec = topic.spec();
            cluster.create_topic(spec.name, spec.partitions)?;
            cluster.create_topic(spec.dlq, spec.partitions)?;
        }
        cluster.create_topic(SCHEMAS_TOPIC, 1)?;
        Ok(cluster)
    }

    fn mock(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.owner.client().mock_cluster().expect("the owner was made with test.mock.num.brokers")
    }

    /// `host:port` of the broker.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.mock().bootstrap_servers()
    }

    /// How a client reaches it.
    #[must_use]
    pub fn kafka_config(&self, client_id: &str) -> KafkaConfig {
        KafkaConfig { bootstrap_servers: self.bootstrap_servers(), client_id: client_id.to_string(), embedded: true }
    }

    /// Creates another topic.
    ///
    /// # Errors
    /// When it exists already.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), EmbeddedError> {
        Ok(self.mock().create_topic(name, partitions, BROKERS)?)
    }

    /// Makes the next requests of one kind fail, the first with the first error and so on. For tests.
    pub fn request_errors(&self, request: RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
        self.mock().request_errors(request, errors);
    }

    /// Forgets what [`EmbeddedCluster::request_errors`] has left. For tests.
    pub fn clear_request_errors(&self, request: RDKafkaApiKey) {
        self.mock().clear_request_errors(request);
    }

    /// Cuts the broker's connections and takes no new ones. For tests.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn broker_down(&self) -> Result<(), EmbeddedError> {
        Ok(self.mock().broker_down(BROKER_ID)?)
    }

    /// Undoes [`EmbeddedCluster::broker_down`]. For tests.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn broker_up(&self) -> Result<(), EmbeddedError> {
        Ok(self.mock().broker_up(BROKER_ID)?)
    }

    /// Makes every response take this long. For tests.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn round_trip(&self, delay: Duration) -> Result<(), EmbeddedError> {
        Ok(self.mock().broker_round_trip_time(BROKER_ID, delay)?)
    }
}
