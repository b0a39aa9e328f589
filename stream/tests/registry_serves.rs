//! Goal: our registry answers as the Confluent API does, keeps what it acknowledged, and our client
//! tells an outage from an unknown id. Method: the server over the embedded cluster on a loopback
//! port, a plain HTTP client, and the library that speaks to any registry.

mod kit;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quiz_schemas::{Codec, Topic};
use quiz_stream::registry::server::{self, ServerError};
use quiz_stream::{EmbeddedCluster, RegisterError, ResolveError, SchemaSource};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const V1: &str = r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}"#;
const V2: &str =
    r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"y","type":"int","default":0}]}"#;
const BAD: &str = r#"{"type":"record","name":"A","fields":[{"name":"x","type":"string"}]}"#;

/// A running registry.
struct Registry {
    address: SocketAddr,
    http: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServerError>>,
}

impl Registry {
    async fn start(cluster: &EmbeddedCluster) -> Self {
        Self::start_on(cluster, "127.0.0.1:0").await
    }

    async fn start_on(cluster: &EmbeddedCluster, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let config = cluster.kafka_config("registry");
        let served = tokio::spawn(server::serve(listener, config, async { drop(stopped.await) }));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { address, http, stop, served }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn source(&self) -> SchemaSource {
        SchemaSource::registry(&[self.url()]).expect("a source")
    }

    async fn stop(self) {
        self.stop.send(()).expect("it serves");
        drop(self.http);
        self.served.await.expect("no panic").expect("served");
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let content_type = response.headers()["content-type"].to_str().expect("text").to_string();
        assert_eq!(content_type, "application/vnd.schemaregistry.v1+json");
        (status, response.json().await.expect("json"))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.http.get(format!("{}{path}", self.url()))).await
    }

    async fn post(&self, path: &str, schema: &str) -> (u16, Value) {
        let body = json!({"schema": schema, "schemaType": "AVRO"}).to_string();
        self.send(self.http.post(format!("{}{path}", self.url())).body(body)).await
    }

    async fn put(&self, path: &str, level: &str) -> (u16, Value) {
        let body = json!({"compatibility": level}).to_string();
        self.send(self.http.put(format!("{}{path}", self.url())).body(body)).await
    }
}

fn error_code(answer: &(u16, Value)) -> (u16, u64) {
    assert!(answer.1["message"].is_string(), "{answer:?}");
    (answer.0, answer.1["error_code"].as_u64().expect("a code"))
}

#[tokio::test]
async fn versions_are_registered_found_and_listed() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let registry = Registry::start(&cluster).await;
    assert_eq!(registry.get("/subjects").await, (200, json!([])));
    assert_eq!(registry.get("/schemas/types").await, (200, json!(["AVRO"])));
    assert_eq!(registry.post("/subjects/s-value/versions", V1).await, (200, json!({"id": 1})));
    assert_eq!(registry.post("/subjects/s-value/versions", V2).await, (200, json!({"id": 2})));
    assert_eq!(registry.post("/subjects/s-value/versions", V1).await, (200, json!({"id": 1})), "again is the same");
    assert_eq!(registry.post("/subjects/t-value/versions", V2).await, (200, json!({"id": 2})), "one schema, one id");
    assert_eq!(registry.get("/subjects").await, (200, json!(["s-value", "t-value"])));
    assert_eq!(registry.get("/subjects/s-value/versions").await, (200, json!([1, 2])));
    let v1 = json!({"subject": "s-value", "version": 1, "id": 1, "schema": V1});
    let v2 = json!({"subject": "s-value", "version": 2, "id": 2, "schema": V2});
    assert_eq!(registry.get("/subjects/s-value/versions/1").await, (200, v1));
    for latest in ["2", "latest", "-1"] {
        assert_eq!(registry.get(&format!("/subjects/s-value/versions/{latest}")).await, (200, v2.clone()));
    }
    assert_eq!(registry.post("/subjects/s-value", V2).await, (200, v2));
    assert_eq!(registry.get("/schemas/ids/2").await, (200, json!({"schema": V2})));
    assert_eq!(registry.get("/schemas/ids/2?deleted=true").await.0, 200);
    let uses = json!([{"subject": "s-value", "version": 2}, {"subject": "t-value", "version": 1}]);
    assert_eq!(registry.get("/schemas/ids/2/versions").await, (200, uses));
    let text = registry.http.get(format!("{}/subjects/s-value/versions/1/schema", registry.url())).send().await;
    assert_eq!(text.expect("an answer").text().await.expect("text"), V1);
    registry.stop().await;
}

#[tokio::test]
async fn what_is_missing_or_wrong_has_the_codes_of_the_api() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let registry = Registry::start(&cluster).await;
    registry.post("/subjects/s/versions", V1).await;
    for (path, expected) in [
        ("/subjects/none/versions", (404, 40401)),
        ("/subjects/none/versions/1", (404, 40401)),
        ("/subjects/s/versions/7", (404, 40402)),
        ("/subjects/s/versions/0", (422, 42202)),
        ("/subjects/s/versions/first", (422, 42202)),
        ("/schemas/ids/9", (404, 40403)),
        ("/schemas/ids/9/versions", (404, 40403)),
        ("/config/s", (404, 40408)),
        ("/nothing", (404, 404)),
    ] {
        assert_eq!(error_code(&registry.get(path).await), expected, "{path}");
    }
    for (path, schema, expected) in [
        ("/subjects/none", V1, (404, 40401)),
        ("/subjects/s", V2, (404, 40403)),
        ("/subjects/s", "{", (422, 42201)),
        ("/subjects/s/versions", "{", (422, 42201)),
        ("/subjects/s/versions", BAD, (409, 409)),
        ("/compatibility/subjects/none/versions/latest", V1, (404, 40401)),
        ("/compatibility/subjects/s/versions/9", V1, (404, 40402)),
        ("/compatibility/subjects/s/versions/1", "{", (422, 42201)),
    ] {
        assert_eq!(error_code(&registry.post(path, schema).await), expected, "{path} {schema}");
    }
    assert_eq!(error_code(&registry.put("/config", "SIDEWAYS").await), (422, 42203));
    let protobuf = json!({"schema": "x", "schemaType": "PROTOBUF"}).to_string();
    let request = registry.http.post(format!("{}/subjects/s/versions", registry.url()));
    assert_eq!(error_code(&registry.send(request.body(protobuf)).await), (422, 42201));
    let request = registry.http.post(format!("{}/subjects/s/versions", registry.url())).body("no json");
    assert_eq!(error_code(&registry.send(request).await), (400, 400));
    registry.stop().await;
}

#[tokio::test]
async fn compatibility_is_checked_and_its_level_can_be_set() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let registry = Registry::start(&cluster).await;
    assert_eq!(registry.get("/config").await, (200, json!({"compatibilityLevel": "FULL_TRANSITIVE"})));
    registry.post("/subjects/s/versions", V1).await;
    for path in ["/compatibility/subjects/s/versions/latest", "/compatibility/subjects/s/versions"] {
        assert_eq!(registry.post(path, V2).await, (200, json!({"is_compatible": true})));
        let (status, answer) = registry.post(path, BAD).await;
        assert_eq!((status, &answer["is_compatible"]), (200, &json!(false)));
    }
    assert_eq!(registry.put("/config/s", "NONE").await, (200, json!({"compatibility": "NONE"})));
    assert_eq!(registry.get("/config/s").await, (200, json!({"compatibilityLevel": "NONE"})));
    assert_eq!(registry.post("/subjects/s/versions", BAD).await, (200, json!({"id": 2})));
    assert_eq!(registry.put("/config", "BACKWARD").await, (200, json!({"compatibility": "BACKWARD"})));
    let answer = registry.get("/config/t?defaultToGlobal=true").await;
    assert_eq!(answer, (200, json!({"compatibilityLevel": "BACKWARD"})));
    registry.stop().await;
}

#[tokio::test]
async fn what_was_answered_survives_a_restart_and_ids_go_on() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let registry = Registry::start(&cluster).await;
    registry.post("/subjects/s/versions", V1).await;
    registry.put("/config/s", "NONE").await;
    registry.post("/subjects/s/versions", BAD).await;
    registry.stop().await;
    let registry = Registry::start(&cluster).await;
    assert_eq!(registry.get("/schemas/ids/2").await, (200, json!({"schema": BAD})));
    assert_eq!(registry.get("/config/s").await, (200, json!({"compatibilityLevel": "NONE"})));
    assert_eq!(registry.post("/subjects/s/versions", V2).await, (200, json!({"id": 3})));
    registry.stop().await;
}

/// Goal: nothing is answered that is not in the log, and a failed write leaves no trace that a
/// later one trips over. Method: take the broker away during a write.
#[tokio::test]
async fn a_write_that_the_log_does_not_take_is_not_answered() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let registry = Registry::start(&cluster).await;
    registry.post("/subjects/s/versions", V1).await;
    cluster.broker_down().expect("down");
    assert_eq!(error_code(&registry.post("/subjects/s/versions", V2).await), (500, 50001));
    assert_eq!(registry.get("/subjects/s/versions").await, (200, json!([1])));
    cluster.broker_up().expect("up");
    assert_eq!(registry.post("/subjects/s/versions", V2).await, (200, json!({"id": 2})));
    registry.stop().await;
}

#[tokio::test]
async fn registrations_at_the_same_time_agree() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let registry = Registry::start(&cluster).await;
    let mut answers = Vec::new();
    for n in 0..40 {
        let path = format!("/subjects/s{}/versions", n % 8);
        let schema = if n % 2 == 0 { V1 } else { V2 };
        let body = json!({ "schema": schema }).to_string();
        let request = registry.http.post(format!("{}{path}", registry.url())).body(body);
        answers.push((schema, tokio::spawn(async move { request.send().await?.json::<Value>().await })));
    }
    let mut ids = std::collections::BTreeMap::new();
    for (schema, answer) in answers {
        let answer = answer.await.expect("no panic").expect("an answer");
        let id = answer["id"].as_u64().expect("an id");
        assert_eq!(*ids.entry(schema).or_insert(id), id);
    }
    assert_eq!(ids.len(), 2);
    registry.stop().await;
}

#[tokio::test]
async fn this_build_registers_and_another_reads_what_it_writes() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let registry = Registry::start(&cluster).await;
    // Another schema first, so that ids are not the fixed ones.
    registry.post("/subjects/other/versions", V1).await;
    let (writer, reader) = (Codec::new(), Codec::new());
    for _ in 0..2 {
        registry.source().register_all(&writer).await.expect("registered");
    }
    let value = writer.encode(&kit::answer(1, 0, 7)).expect("encoded");
    let decoded = registry.source().decode(&reader, Topic::Answers, &value).await.expect("no outage");
    assert_eq!(decoded.expect("decodes"), kit::answer(1, 0, 7).into());
    let err = registry.source().resolve(99).await.expect_err("no such schema");
    assert!(matches!(err, ResolveError::NotFound(99)), "{err:?}");
    let mut unknown = value.clone();
    unknown[1..5].copy_from_slice(&99u32.to_be_bytes());
    let decoded = registry.source().decode(&reader, Topic::Answers, &unknown).await.expect("no outage");
    assert_eq!(decoded.expect_err("a bad record").reason(), "unknown_schema");
    registry.stop().await;
}

#[tokio::test]
async fn a_build_that_does_not_fit_is_refused() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let registry = Registry::start(&cluster).await;
    registry.post("/subjects/quiz.joins.v1-value/versions", V1).await;
    let err = registry.source().register_all(&Codec::new()).await.expect_err("another schema is there");
    assert!(matches!(err, RegisterError::Refused { topic: Topic::Joins, .. }), "{err:?}");
    registry.stop().await;
}

/// Goal: an outage is no verdict, and it is over when it is over: nothing about it is remembered.
#[tokio::test]
async fn a_registry_restart_is_an_outage_and_nothing_more() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let registry = Registry::start(&cluster).await;
    let (address, source) = (registry.address.to_string(), registry.source());
    source.register_all(&Codec::new()).await.expect("registered");
    registry.stop().await;
    let asked = Instant::now();
    let err = source.resolve(1).await.expect_err("nobody answers");
    assert!(matches!(err, ResolveError::Unavailable(_)), "{err:?}");
    assert!(asked.elapsed() < Duration::from_secs(6));
    let err = source.register_all(&Codec::new()).await.expect_err("nobody answers");
    assert!(matches!(err, RegisterError::Unavailable(_)), "{err:?}");
    let registry = Registry::start_on(&cluster, &address).await;
    assert_eq!(source.resolve(1).await.expect("it is back"), Topic::ALL[0].spec().schema);
    registry.stop().await;
}

/// Method: something that is no registry answers every request with a page.
#[tokio::test]
async fn an_answer_that_is_not_a_registrys_is_an_outage() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let page = axum::Router::new().fallback(|| async { (axum::http::StatusCode::NOT_FOUND, "<html>") });
    let serving = tokio::spawn(async move { axum::serve(listener, page).await });
    let source = SchemaSource::registry(&[url]).expect("a source");
    let err = source.resolve(1).await.expect_err("not a registry");
    assert!(matches!(err, ResolveError::Unavailable(_)), "{err:?}");
    serving.abort();
}
