//! An edge on real sockets, with the embedded cluster and the embedded store; the rest of the
//! pipeline is a script that answers joins and says what the test tells it to.
#![allow(dead_code)]

pub mod client;
pub mod described;
pub mod script;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use quiz_ingest::http::Created;
use quiz_ingest::pulse::Pulse;
use quiz_ingest::{EdgeConfig, EdgeError, EdgeSetup};
use quiz_schemas::events::{EdgeTallied, TalliesBody};
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz};
use quiz_schemas::{AnyEvent, Codec, Topic};
use quiz_store::Store;
use quiz_store::embedded::EmbeddedStore;
use quiz_stream::{EmbeddedCluster, Producer, ProducerOptions, Record, SchemaSource, Tail, cluster_id};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use client::Client;
pub use script::Script;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const SECRET: [u8; 32] = [42; 32];

/// Everything around a test.
pub struct Rig {
    pub cluster: Arc<EmbeddedCluster>,
    pub codec: Arc<Codec>,
    pub store: Arc<dyn Store>,
    pub script: Script,
    pub edge: RunningEdge,
    _dir: tempfile::TempDir,
}

/// An edge that runs.
pub struct RunningEdge {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub stop: CancellationToken,
    pub done: JoinHandle<Result<(), EdgeError>>,
    pub pulse: Arc<Pulse>,
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(configure: impl FnOnce(&mut EdgeConfig)) -> Self {
        let cluster = Arc::new(EmbeddedCluster::start().expect("an embedded cluster"));
        let codec = Arc::new(Codec::with_fixed_ids());
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(dir.path()).await.expect("a store"));
        let script = Script::start(&cluster, &codec, &store).await;
        let mut config = EdgeConfig::new(SECRET);
        config.drain_window = Duration::from_millis(100);
        configure(&mut config);
        let edge = start_edge(&cluster, &codec, &store, config, "edge-1").await;
        Self { cluster, codec, store, script, edge, _dir: dir }
    }

    /// Another edge of the same cluster.
    pub async fn another_edge(&self) -> RunningEdge {
        start_edge(&self.cluster, &self.codec, &self.store, EdgeConfig::new(SECRET), "edge-2").await
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.edge.address).await
    }

    /// Creates a game over HTTP; the script opens its lobby.
    pub async fn create(&self) -> Created {
        let body = serde_json::json!({ "quiz": quiz() });
        let response = reqwest::Client::new()
            .post(format!("http://{}/v1/games", self.edge.address))
            .json(&body)
            .send()
            .await
            .expect("the edge answers");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert_eq!(status, 201, "{text}");
        serde_json::from_str(&text).expect("a created game")
    }
}

pub async fn start_edge(
    cluster: &EmbeddedCluster,
    codec: &Arc<Codec>,
    store: &Arc<dyn Store>,
    config: EdgeConfig,
    name: &str,
) -> RunningEdge {
    metrics();
    let kafka = cluster.kafka_config(name);
    // As the binary has it.
    let options = ProducerOptions { delivery_timeout_ms: 1_800, ..ProducerOptions::default() };
    let producer = Producer::new(&kafka, Arc::clone(codec), options).expect("a producer");
    producer.ready(PATIENCE).await.expect("the cluster answers");
    let (tail, results) =
        Tail::start(&kafka, Arc::clone(codec), SchemaSource::fixed(), Topic::Results).expect("a tail");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let admin_listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, admin) = (listener.local_addr().unwrap(), admin_listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let pulse = Arc::new(Pulse::new(Instant::now()));
    let setup = EdgeSetup {
        pulse: Arc::clone(&pulse),
        listener,
        admin_listener,
        config,
        producer,
        tail,
        results,
        store: Arc::clone(store),
        metrics_render: Arc::new(|| metrics().render()),
        kafka_check: Arc::new(|| Box::pin(async { Ok(()) })),
        edge_id: name.into(),
        epoch: quiz_ingest::epoch_of(&cluster_id(&kafka, PATIENCE).await.expect("the cluster has an id")),
    };
    let done = tokio::spawn(quiz_ingest::serve(setup, stop.clone()));
    until_ready(admin).await;
    RunningEdge { address, admin, stop, done, pulse }
}

/// What the edges of this process have measured.
fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| PrometheusBuilder::new().install_recorder().expect("the process has none yet"))
}

/// What a counter without labels stands at.
pub fn counter(name: &str) -> u64 {
    let page = metrics().render();
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_default()
}

/// What an edge told of its answers, if the record is that.
pub fn tallied(record: &Record) -> Option<EdgeTallied> {
    let AnyEvent::Tallies(tallies) = &record.event else { return None };
    if let TalliesBody::EdgeTallied(tallied) = &tallies.body { Some(tallied.clone()) } else { None }
}

async fn until_ready(admin: SocketAddr) {
    let ready = async {
        while reqwest::get(format!("http://{admin}/readyz")).await.expect("the admin port answers").status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("the edge comes up in time");
}

/// Two questions: one with four options, one with a text.
pub fn quiz() -> Quiz {
    let single = Question {
        kind: QuestionKind::Single,
        prompt: "Which?".into(),
        options: (0..4).map(|n| format!("option {n}")).collect(),
        key: AnswerKey::Single { options: 4, correct: Picks::one(2) },
        points_max: 1000,
        limit_ms: 20_000,
        explanation: Some("because".into()),
    };
    let text = Question {
        kind: QuestionKind::Text,
        prompt: "Who?".into(),
        options: Vec::new(),
        key: AnswerKey::Text { accepted: vec!["Ada".into()] },
        points_max: 1000,
        limit_ms: 20_000,
        explanation: None,
    };
    Quiz { id: "sample".into(), version: 1, title: "A sample".into(), questions: vec![single, text] }
}
