use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Problem;
use crate::edge::Edge;
use crate::limits::READY_WAIT_MS;
use crate::serve::{KafkaCheck, MetricsRender};

/// What the admin port looks at.
#[derive(Clone)]
pub(crate) struct AdminState {
    pub(crate) edge: Arc<Edge>,
    pub(crate) metrics: MetricsRender,
    pub(crate) kafka: KafkaCheck,
}

/// The admin port.
pub(crate) fn router(state: AdminState) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(render_metrics))
        .route("/version", get(version))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not_found") })
        .with_state(state)
}

#[derive(Deserialize)]
struct Verbosity {
    verbose: Option<String>,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Check {
    fn new(name: &'static str, why: Option<String>) -> Self {
        Self { name, ok: why.is_none(), why }
    }
}

/// Whether new players may be sent here. Not whether MongoDB answers: an edge without it goes on
/// taking answers, and to send its players elsewhere would help nobody.
async fn readyz(State(state): State<AdminState>, Query(query): Query<Verbosity>) -> Response {
    let checks = checks(&state).await;
    let status = if checks.iter().all(|check| check.ok) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if query.verbose.is_some() {
        return (status, axum::Json(checks)).into_response();
    }
    match checks.iter().find(|check| !check.ok) {
        None => (status, "ok\n".to_string()).into_response(),
        Some(check) => (status, format!("{}\n", check.name)).into_response(),
    }
}

async fn checks(state: &AdminState) -> Vec<Check> {
    let edge = &state.edge;
    let when = |is: bool, why: &str| is.then(|| why.to_string());
    let kafka = match timeout(Duration::from_millis(READY_WAIT_MS), (state.kafka)()).await {
        Ok(answer) => answer.err(),
        Err(_) => Some("no answer in time".to_string()),
    };
    vec![
        Check::new("started", when(!edge.started.load(Ordering::Acquire), "not everything has come up")),
        Check::new("not_draining", when(edge.draining.is_cancelled(), "the edge is going away")),
        Check::new("not_full", when(edge.is_full(), "all sockets are taken")),
        Check::new("kafka", kafka),
    ]
}

async fn startupz(State(state): State<AdminState>) -> Response {
    if state.edge.started.load(Ordering::Acquire) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response()
    }
}

async fn render_metrics(State(state): State<AdminState>) -> Response {
    let mut response = (state.metrics)().into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn version(State(state): State<AdminState>) -> Response {
    let body = serde_json::json!({ "version": state.edge.config.version, "edge": state.edge.around.edge });
    axum::Json(body).into_response()
}
