//! The roles: each wires its crate to Kafka, the store and a shutdown.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use quiz_ingest::pulse::Pulse;
use quiz_ingest::{EdgeConfig, EdgeSetup};
use quiz_projections::board::{BoardProjection, BoardStore};
use quiz_projections::ledger::{LedgerProjection, LedgerStore, RangeLog};
use quiz_schemas::{Codec, Topic};
use quiz_store::Store;
use quiz_stream::group::{GroupSetup, run_group};
use quiz_stream::producer::{JOINS_LINGER_TIMES, LINGER_MS_MAX};
use quiz_stream::{KafkaConfig, Processor, Producer, ProducerOptions, RangeReader, SchemaSource, StateStore, Tail};
use quiz_workers::scoring::{LaneStore, ScoringWorker};
use quiz_workers::session::{NoStore, SessionWorker};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::Role;
use crate::exit::{Exit, Failure, unavailable};

/// An edge gives up on an append early enough to say "retry" within 2 s.
const EDGE_DELIVERY_TIMEOUT_MS: u32 = 1_800;
/// Joins and games that one address may make where bots are welcome, for each second or minute.
const BOTS_PER_S: u32 = 100_000;
/// How long Kafka may take to answer before an edge gives up starting.
const START_WAIT: Duration = Duration::from_secs(60);
/// How long Kafka may take to answer a readiness check.
pub const KAFKA_CHECK_WAIT: Duration = Duration::from_secs(2);

/// What every role but the registry stands on.
#[derive(Clone)]
pub struct Parts {
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// Reads and writes records.
    pub codec: Arc<Codec>,
    /// The registry.
    pub schemas: SchemaSource,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The process's name; unique among those that run.
    pub instance: String,
}

/// What an edge needs besides.
pub struct EdgeParts {
    /// Where players connect.
    pub listener: TcpListener,
    /// Its admin port.
    pub admin: TcpListener,
    /// Its name in records.
    pub id: String,
    /// Signs tokens.
    pub token_secret: String,
    /// Origins that may connect besides our own.
    pub allowed_origins: Vec<String>,
    /// Whether a client that names no origin may connect.
    pub allow_missing_origin: bool,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// The most sockets at once.
    pub connections_max: usize,
    /// How long an answer may wait for company while there are many, ms.
    pub linger_ms: u32,
    /// Lifts the limits on joins and games from one address: for demos and load tests on one machine.
    pub bots_welcome: bool,
    /// Echoes on sockets without a subprotocol, for conformance suites.
    pub conformance: bool,
}

/// The schema registry.
///
/// # Errors
/// When Kafka refuses, or the port breaks.
pub async fn registry(listener: TcpListener, kafka: KafkaConfig, shutdown: CancellationToken) -> Result<(), Failure> {
    quiz_stream::registry::server::serve(listener, kafka, shutdown.cancelled_owned())
        .await
        .map_err(|err| Failure::new(Exit::Failed, format!("the registry: {err}")))
}

/// The producer that the workers of a process share.
///
/// # Errors
/// When its client cannot be made.
pub fn worker_producer(parts: &Parts) -> Result<Producer, Failure> {
    // What a batch of records comes to is appended together: a linger lets it go as one.
    producer(parts, ProducerOptions::default())
}

fn producer(parts: &Parts, options: ProducerOptions) -> Result<Producer, Failure> {
    Producer::new(&parts.kafka, parts.codec.clone(), options)
        .map_err(|err| Failure::new(Exit::Failed, format!("no producer: {err}")))
}

/// A worker or projection: a member of its consumer group.
///
/// # Errors
/// When the member cannot go on.
pub async fn worker(role: Role, parts: Parts, producer: Producer, shutdown: CancellationToken) -> Result<(), Failure> {
    let store = parts.store.clone();
    match role {
        Role::Sessions => member(SessionWorker, Arc::new(NoStore), parts, producer, shutdown).await,
        Role::Scoring => member(ScoringWorker, Arc::new(LaneStore::new(store)), parts, producer, shutdown).await,
        Role::Board => member(BoardProjection, Arc::new(BoardStore::new(store)), parts, producer, shutdown).await,
        Role::Ledger => {
            let reader = RangeReader::new(parts.kafka.clone(), parts.codec.clone(), parts.schemas.clone());
            let store = LedgerStore::new(store, Arc::new(RangeLog::new(reader)));
            member(LedgerProjection, Arc::new(store), parts, producer, shutdown).await
        }
        Role::Edge | Role::Registry | Role::All => {
            Err(Failure::new(Exit::Failed, format!("{role:?} is not a member of a consumer group")))
        }
    }
}

async fn member<P: Processor>(
    processor: P,
    store: Arc<dyn StateStore<P>>,
    parts: Parts,
    producer: Producer,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let Parts { kafka, codec, schemas, instance, .. } = parts;
    let setup = GroupSetup { kafka, codec, schemas, producer, instance };
    run_group(processor, store, setup, shutdown).await.map_err(|err| Failure::new(Exit::Failed, err))
}

/// An edge.
///
/// # Errors
/// When its port breaks or Kafka's client cannot be made.
pub async fn edge(
    edge: EdgeParts,
    parts: Parts,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let failed = |err: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("the edge: {err}"));
    let options = ProducerOptions {
        linger_ms: 0,
        busy_linger_ms: edge.linger_ms,
        joins_linger_ms: edge.linger_ms.saturating_mul(JOINS_LINGER_TIMES).min(LINGER_MS_MAX),
        delivery_timeout_ms: EDGE_DELIVERY_TIMEOUT_MS,
        ..ProducerOptions::default()
    };
    let producer = producer(&parts, options)?;
    // Its first append must not wait for what a new client has to learn: players would be told to retry.
    producer.ready(START_WAIT).await.map_err(|err| {
        unavailable("Kafka", "kafka.bootstrap_servers says where it is; `quizstream topics apply` makes the topics")(
            err.to_string(),
        )
    })?;
    let cluster = quiz_stream::cluster_id(&parts.kafka, START_WAIT)
        .await
        .map_err(|err| unavailable("Kafka", "a cluster tells its id with its metadata")(err.to_string()))?;
    let (tail, results) = Tail::start(&parts.kafka, parts.codec.clone(), parts.schemas.clone(), Topic::Results)
        .map_err(|err| failed(&err))?;
    let mut config = EdgeConfig::new(edge.token_secret);
    config.allowed_origins = edge.allowed_origins;
    config.allow_missing_origin = edge.allow_missing_origin;
    config.trusted_proxies = edge.trusted_proxies;
    config.connections_max = edge.connections_max;
    config.conformance = edge.conformance;
    if edge.bots_welcome {
        config.joins_per_s_per_ip = BOTS_PER_S;
        config.joins_burst_per_ip = BOTS_PER_S;
        config.creations_per_min_per_ip = BOTS_PER_S;
        config.pins_per_min_per_ip = BOTS_PER_S;
    }
    let check = producer.clone();
    let setup = EdgeSetup {
        pulse: Arc::new(Pulse::new(Instant::now())),
        listener: edge.listener,
        admin_listener: edge.admin,
        config,
        producer,
        tail,
        results,
        store: parts.store,
        metrics_render: Arc::new(move || metrics.render()),
        kafka_check: Arc::new(move || {
            let producer = check.clone();
            Box::pin(async move { producer.check(KAFKA_CHECK_WAIT).await.map_err(|err| err.to_string()) })
        }),
        // An edge counts what it did since it began, so each process has a name of its own.
        edge_id: format!("{}-{:08x}", edge.id, rand::random::<u32>()).into(),
        epoch: quiz_ingest::epoch_of(&cluster),
    };
    quiz_ingest::serve(setup, shutdown).await.map_err(|err| failed(&err))
}
