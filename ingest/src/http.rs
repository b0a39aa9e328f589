//! HTTP: the socket's upgrade, games, boards, pages; and the admin port.

mod admin;
mod board;
mod conformance;
mod create;
mod ledger;
mod pages;
mod problem;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures::StreamExt;
use tokio::time::timeout;

use crate::edge::Edge;
use crate::limits::{BODY_BYTES_MAX, DISCARD_BYTES_MAX, DISCARD_WAIT_MS, REQUEST_WAIT_MS};

pub(crate) use admin::{AdminState, router as admin_router};
pub use create::{CreateRequest, CreateSettings, Created};
pub use ledger::{GameLedger, QuestionBooks};
pub use problem::Problem;

/// The players' and hosts' port.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let api = Router::new()
        .route("/v1/games", post(create::create))
        .route("/v1/games/{game}/board", get(board::board))
        .route("/v1/games/{game}/ledger", get(ledger::ledger))
        .route("/", get(pages::player))
        .route("/host", get(pages::host))
        .route("/asyncapi.yaml", get(pages::asyncapi))
        .route("/openapi.yaml", get(pages::openapi))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(within_size))
        .layer(from_fn(within_time));
    Router::new()
        .route("/v1/ws", any(upgrade::upgrade))
        .merge(api)
        .fallback(get(pages::asset))
        .method_not_allowed_fallback(|| async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed") })
        .with_state(edge)
}

/// What announces a body that is too large is not waited for.
async fn within_size(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        // To close on a client that still writes would reset the connection and lose the answer.
        let _ = timeout(Duration::from_millis(DISCARD_WAIT_MS), discard(request.into_body())).await;
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large").into_response();
    }
    next.run(request).await
}

async fn discard(body: Body) {
    let mut data = body.into_data_stream();
    let mut left = DISCARD_BYTES_MAX;
    while let Some(Ok(bytes)) = data.next().await {
        left = left.saturating_sub(bytes.len());
        if left == 0 {
            return;
        }
    }
}

/// A slow request, or one whose body does not come, does not hold its place for ever (I9).
async fn within_time(request: Request, next: Next) -> Response {
    match timeout(Duration::from_millis(REQUEST_WAIT_MS), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout").into_response(),
    }
}
