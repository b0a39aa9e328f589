//! The admin port of a process without an edge: health, metrics, version. (An edge brings its own.)

use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure};

/// Serves it until `shutdown`.
///
/// # Errors
/// When the port breaks.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let version = serde_json::json!({ "name": "quizstream", "version": env!("CARGO_PKG_VERSION") }).to_string();
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
        .route("/startupz", get(|| async { "ok\n" }))
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/version", get(move || async move { version }));
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .map_err(|err| Failure::new(Exit::Failed, format!("the admin port broke: {err}")))
}
