//! Where Kafka is and who we are to it.

/// How to reach a Kafka cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KafkaConfig {
    /// `host:port,…`.
    pub bootstrap_servers: String,
    /// `service-instance`; shows up in the broker's logs and quotas.
    pub client_id: String,
    /// Whether the cluster is the embedded one, which lacks what real brokers have (topic
    /// configuration, transactional offsets, aborted-record filtering).
    pub embedded: bool,
}
