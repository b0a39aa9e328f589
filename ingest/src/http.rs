//! HTTP: the socket's upgrade, games, boards, pages; and the admin port.

mod admin;
mod board;
mod create;
mod pages;
mod problem;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use tower_http::timeout::TimeoutLayer;

use crate::edge::Edge;
use crate::limits::{BODY_BYTES_MAX, REQUEST_WAIT_MS};

pub(crate) use admin::{AdminState, router as admin_router};
pub use create::{CreateRequest, CreateSettings, Created};
pub use problem::Problem;

/// The players' and hosts' port.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let wait = Duration::from_millis(REQUEST_WAIT_MS);
    let api = Router::new()
        .route("/v1/games", post(create::create))
        .route("/v1/games/{game}/board", get(board::board))
        .route("/", get(pages::player))
        .route("/host", get(pages::host))
        .route("/asyncapi.yaml", get(pages::asyncapi))
        .route("/openapi.yaml", get(pages::openapi))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, wait));
    Router::new()
        .route("/v1/ws", any(upgrade::upgrade))
        .merge(api)
        .fallback(get(pages::asset))
        .method_not_allowed_fallback(|| async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed") })
        .with_state(edge)
}
