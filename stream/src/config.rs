//! Where Kafka is and who we are to it.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

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

/// The largest response that a client takes from a broker, bytes.
const RESPONSE_BYTES_MAX: usize = 20_000_000;
/// The most that one fetch brings, bytes; leaves room for the framing in [`RESPONSE_BYTES_MAX`].
const FETCH_BYTES_MAX: usize = 16_000_000;
/// The most that one fetch brings of one partition, bytes.
const PARTITION_FETCH_BYTES_MAX: usize = 2_000_000;
/// Fetched bytes that wait in the client, KiB.
const FETCH_QUEUE_KBYTES_MAX: usize = 16_384;
/// Fetched records that wait in the client, for each partition.
const FETCH_QUEUE_RECORDS: usize = 10_000;
/// How long a broker may hold a fetch that has nothing to answer, ms. A consumer that is given another
/// partition asks for it when that is over.
const FETCH_WAIT_MS: u32 = 50;
/// The same for the embedded cluster, which does not wake fetches: how late a record may be seen.
const EMBEDDED_FETCH_WAIT_MS: u32 = 10;
/// What is enough for a broker that gathers records to answer at once, bytes.
const FETCH_GATHER_BYTES: u32 = 64 * 1024;

const _: () = assert!(FETCH_BYTES_MAX + 512 <= RESPONSE_BYTES_MAX);
const _: () = assert!(PARTITION_FETCH_BYTES_MAX <= FETCH_BYTES_MAX);
const _: () = assert!(PARTITION_FETCH_BYTES_MAX > quiz_schemas::codec::RECORD_BYTES_MAX);

impl KafkaConfig {
    /// A real cluster.
    #[must_use]
    pub fn new(bootstrap_servers: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self { bootstrap_servers: bootstrap_servers.into(), client_id: client_id.into(), embedded: false }
    }

    /// The same cluster under another client id.
    #[must_use]
    pub fn with_client_id(&self, client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), ..self.clone() }
    }

    /// The options that every client of ours has, each passed explicitly because the library's
    /// defaults are not ours and have changed between versions.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // Whatever our own log keeps: a client's warnings are read (see `client_log`).
        config.set_log_level(RDKafkaLogLevel::Info);
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", &self.client_id)
            .set("security.protocol", "plaintext")
            .set("allow.auto.create.topics", "false")
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true")
            .set("socket.timeout.ms", "10000")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "500")
            .set("topic.metadata.refresh.interval.ms", "60000")
            .set("topic.metadata.refresh.fast.interval.ms", "50")
            .set("receive.message.max.bytes", RESPONSE_BYTES_MAX.to_string())
            .set("statistics.interval.ms", "0")
            .set("enable.metrics.push", "false")
            .set("log.connection.close", "false");
        config
    }

    /// The options that every consumer of ours has, whether in a group or not: it reads only what
    /// is committed, in small steps, stores and commits nothing by itself. What a group needs on
    /// top (`group.id`, the assignor, the timeouts, `auto.offset.reset`) is its owner's to set.
    #[must_use]
    pub fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "false")
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", if self.embedded { EMBEDDED_FETCH_WAIT_MS } else { FETCH_WAIT_MS }.to_string())
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.error.backoff.ms", "50")
            .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
            .set("fetch.message.max.bytes", PARTITION_FETCH_BYTES_MAX.to_string())
            .set("queued.min.messages", FETCH_QUEUE_RECORDS.to_string())
            .set("queued.max.messages.kbytes", FETCH_QUEUE_KBYTES_MAX.to_string());
        config
    }

    /// As [`KafkaConfig::consumer`], for one whose broker may gather records for `gather_ms` before it
    /// answers; 0: it answers as soon as there is one.
    #[must_use]
    pub fn gathering_consumer(&self, gather_ms: u32) -> ClientConfig {
        let mut config = self.consumer();
        if gather_ms > 0 && !self.embedded {
            config
                .set("fetch.min.bytes", FETCH_GATHER_BYTES.to_string())
                .set("fetch.wait.max.ms", gather_ms.to_string());
        }
        config
    }
}
