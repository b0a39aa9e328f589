//! The admin port of a process without an edge: health, metrics, version. (An edge brings its own.)
//! A process is ready while it is not draining and Kafka answers its producer; MongoDB is not asked,
//! for a worker waits for it and goes on. A registry alone has no producer: its own port says more.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use quiz_stream::Producer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::roles::KAFKA_CHECK_WAIT;
use crate::exit::{Exit, Failure};

/// Serves it until `shutdown`.
///
/// # Errors
/// When the port breaks.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    producer: Option<Producer>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let version = serde_json::json!({ "name": "quizstream", "version": env!("CARGO_PKG_VERSION") }).to_string();
    let draining = shutdown.clone();
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move || ready(producer.clone(), draining.clone())))
        .route("/startupz", get(|| async { "ok\n" }))
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/version", get(move || async move { version }));
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .map_err(|err| Failure::new(Exit::Failed, format!("the admin port broke: {err}")))
}

async fn ready(producer: Option<Producer>, draining: CancellationToken) -> (StatusCode, String) {
    if draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into());
    }
    match producer {
        None => (StatusCode::OK, "ok\n".into()),
        Some(producer) => match producer.check(KAFKA_CHECK_WAIT).await {
            Ok(()) => (StatusCode::OK, "ok\n".into()),
            Err(err) => (StatusCode::SERVICE_UNAVAILABLE, format!("kafka: {err}\n")),
        },
    }
}
