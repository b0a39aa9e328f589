//! The id of a cluster: it names the incarnation of the log that offsets are of.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};

use crate::config::KafkaConfig;

/// Asks the cluster for its id. The same for as long as the cluster's metadata live: a cluster that is
/// made anew, an embedded one too, has another.
///
/// # Errors
/// When no broker answers within `timeout`, or none says.
pub async fn cluster_id(config: &KafkaConfig, timeout: Duration) -> Result<String, KafkaError> {
    let client: BaseProducer<DefaultProducerContext> = config.client().create()?;
    let asked = tokio::task::spawn_blocking(move || client.client().fetch_cluster_id(timeout));
    let missing = KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut);
    asked.await.map_err(|_| KafkaError::Canceled)?.ok_or(missing)
}
