//! Goal: a schema that the registry does not have is the record's own fault, and to the dead-letter topic it goes; a
//! registry that is away is nobody's fault, and is waited for (I11). Method: a stub registry that answers, fails,
//! hangs or has no such schema, as told; a member on the embedded cluster. Control: the stub was asked.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

mod kit;

#[path = "simulation/counting.rs"]
mod counting;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use counting::{Counting, Snapshot, Write};
use quiz_schemas::codec::FRAME_BYTES;
use quiz_schemas::{LaneKey, Topic};
use quiz_stream::group::{GroupSetup, run_group};
use quiz_stream::{EmbeddedCluster, SchemaSource, StateStore, StoreUnavailable};
use tokio_util::sync::CancellationToken;

/// Ids that the registry has besides those of this build: the first answers' schema under other names.
const KNOWN: std::ops::Range<u32> = 900..910;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    Answers,
    Fails,
    Hangs,
}

struct Stub {
    mode: Mutex<Mode>,
    asked: AtomicU64,
}

async fn schema(State(stub): State<Arc<Stub>>, Path(id): Path<u32>) -> Response {
    stub.asked.fetch_add(1, Ordering::Relaxed);
    let mode = *stub.mode.lock().unwrap();
    match mode {
        Mode::Hangs => std::future::pending().await,
        Mode::Fails => (StatusCode::INTERNAL_SERVER_ERROR, "it burns").into_response(),
        Mode::Answers if KNOWN.contains(&id) => {
            axum::Json(serde_json::json!({ "schema": Topic::Answers.spec().schema })).into_response()
        }
        Mode::Answers => {
            let body = serde_json::json!({ "error_code": 40403, "message": "Schema not found" });
            (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
        }
    }
}

impl Stub {
    async fn start(mode: Mode) -> (Arc<Self>, String) {
        let stub = Arc::new(Self { mode: Mutex::new(mode), asked: AtomicU64::new(0) });
        let router = Router::new().route("/schemas/ids/{id}", get(schema)).with_state(Arc::clone(&stub));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (stub, url)
    }

    fn becomes(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

#[derive(Default)]
struct Store(Mutex<BTreeSet<u64>>);

#[async_trait]
impl StateStore<Counting> for Store {
    async fn load(&self, keys: &[LaneKey]) -> Result<Vec<(LaneKey, Option<Snapshot>)>, StoreUnavailable> {
        Ok(keys.iter().map(|lane| (*lane, None)).collect())
    }

    async fn write(&self, writes: &[Write]) -> Result<(), StoreUnavailable> {
        let answers = writes.iter().filter_map(|write| match write {
            Write::Answer { submission, .. } => Some(*submission),
            Write::Snapshot { .. } => None,
        });
        self.0.lock().unwrap().extend(answers);
        Ok(())
    }
}

impl Store {
    async fn has(&self, count: usize) -> Duration {
        let started = Instant::now();
        while self.0.lock().unwrap().len() < count {
            assert!(started.elapsed() < kit::DEADLINE, "{} of {count} are stored", self.0.lock().unwrap().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        started.elapsed()
    }
}

/// The `n`th answer of a lane, as a writer wrote it whose schema has `id`.
fn framed(lane: u16, n: u64, id: u32) -> (String, Vec<u8>) {
    let answer = kit::answer(1, lane, n);
    let mut bytes = kit::codec().encode(&answer).unwrap();
    bytes[1..FRAME_BYTES].copy_from_slice(&id.to_be_bytes());
    (answer.lane_key().to_string(), bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_waited_for_and_an_unknown_schema_is_dead() {
    const LOST: u64 = 7;
    let cluster = EmbeddedCluster::start().unwrap();
    let producer = kit::producer(&cluster).await;
    let store = Arc::new(Store::default());
    // A cold start: the member finds its registry hanging.
    let (stub, url) = Stub::start(Mode::Hangs).await;
    let shutdown = CancellationToken::new();
    let setup = GroupSetup {
        kafka: cluster.kafka_config("registry"),
        codec: kit::codec(),
        schemas: SchemaSource::registry(&[url]).unwrap(),
        producer: producer.clone(),
        instance: "one".into(),
    };
    let processor = Counting { seals: true, announces_again: true };
    let running = tokio::spawn(run_group(processor, Arc::clone(&store) as _, setup, shutdown.clone()));
    let append = async |lane: u16, n: u64, id: u32| {
        let (key, bytes) = framed(lane, n, id);
        producer.append_raw(Topic::Answers.name(), Some(key.as_bytes()), Some(&bytes), &[]).await.unwrap();
    };
    let mut count = 0;
    for (round, mode) in (0u32..).zip([Mode::Hangs, Mode::Fails]) {
        stub.becomes(mode);
        let asked = stub.asked.load(Ordering::Relaxed);
        append(0, u64::from(round) * 10, KNOWN.start + round).await;
        append(0, u64::from(round) * 10 + 1, Topic::Answers.index() as u32 + 1).await;
        // A lane of another partition, with a schema that is known, does not wait.
        append(1, 100 + u64::from(round), Topic::Answers.index() as u32 + 1).await;
        count += 1;
        store.has(count).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(store.0.lock().unwrap().len(), count, "{mode:?}: nobody can read it yet");
        assert!(stub.asked.load(Ordering::Relaxed) > asked, "the fault bit");
        stub.becomes(Mode::Answers);
        count += 2;
        let resumed = store.has(count).await;
        println!("fault=registry-{mode:?} resumed_s={:.1}", resumed.as_secs_f64());
        assert!(resumed < Duration::from_secs(5), "{mode:?}: {resumed:?}");
    }
    // No such schema: each of the records is dead, once, and its neighbours go on.
    for n in 0..LOST {
        append(0, 50 + n, 4_000 + n as u32).await;
    }
    append(0, 99, KNOWN.start).await;
    store.has(count + 1).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
    // Dead letters are acknowledged before what follows them is stored: all are there, and no more.
    assert_eq!(kit::ends(&cluster.kafka_config("reader"), Topic::Answers.spec().dlq, 24), LOST as i64);
}
