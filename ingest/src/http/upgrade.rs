use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{OnFailedUpgrade, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Problem, conformance};
use crate::config::EdgeConfig;
use crate::door::ConnectionPlace;
use crate::edge::Edge;
use crate::limits::{READ_BUFFER_BYTES, WRITE_BUFFER_BYTES, WRITE_BUFFER_BYTES_MAX};
use crate::protocol::{FRAME_BYTES_MAX, SUBPROTOCOL};
use crate::socket;

/// When a client that found the edge full or leaving may try again, s.
const RETRY_AFTER_S: u32 = 2;

/// `GET /v1/ws`.
pub(super) async fn upgrade(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(connection): Extension<ConnectionPlace>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(rejection.into_response().status(), "not_a_websocket").detail("this is a WebSocket endpoint")
    })?;
    if edge.config.conformance && upgrade.requested_protocols().next().is_none() {
        return Ok(conformance::echo(upgrade));
    }
    if !upgrade.requested_protocols().any(|offered| offered == SUBPROTOCOL) {
        let detail = format!("ask for the subprotocol {SUBPROTOCOL}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "subprotocol_required").detail(detail));
    }
    if !is_welcome(&headers, &edge.config) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "origin_refused"));
    }
    if edge.draining.is_cancelled() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining").retry_after(RETRY_AFTER_S));
    }
    let Some(place) = edge.seat() else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "edge_full").retry_after(RETRY_AFTER_S));
    };
    let address = edge.address(peer.ip(), &headers);
    let tracked = edge.sockets.token();
    let response = buffered(upgrade)
        .protocols([SUBPROTOCOL])
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .on_upgrade(move |socket| {
            let served = socket::serve(edge, socket, address, connection.inflow(), place);
            // In a task of its own, which is half as large as that of the upgrade and lives as long as the socket.
            tokio::spawn(async move {
                served.await;
                // The connection's place at the door is the socket's for as long as it lives.
                drop((tracked, connection));
            });
            ready(())
        });
    Ok(response)
}

/// With the buffers that all sockets of an edge have.
pub(super) fn buffered<F: OnFailedUpgrade>(upgrade: WebSocketUpgrade<F>) -> WebSocketUpgrade<F> {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
}

/// Whether a page of this origin may connect: a browser sends a user's requests from any page that
/// the user visits, and says from which.
fn is_welcome(headers: &HeaderMap, config: &EdgeConfig) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return config.allow_missing_origin;
    };
    let Ok(origin) = origin.to_str() else { return false };
    if config.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let from = origin.split_once("://").and_then(|(_, authority)| authority.parse::<Authority>().ok());
    matches!((host, from), (Some(host), Some(from)) if host == from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_ours_or_listed() {
        let mut config = EdgeConfig::new([1; 32]);
        config.allowed_origins = vec!["https://school.example".into()];
        let welcome = |origin: Option<&str>, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            is_welcome(&headers, &config)
        };
        assert!(welcome(None, "quiz.example"));
        assert!(welcome(Some("https://quiz.example"), "quiz.example"));
        assert!(welcome(Some("http://Quiz.example:8080"), "quiz.example:8080"));
        assert!(welcome(Some("https://school.example"), "quiz.example"));
        assert!(!welcome(Some("https://evil.example"), "quiz.example"));
        assert!(!welcome(Some("https://quiz.example:444"), "quiz.example"));
        assert!(!welcome(Some("https://quiz.example.evil.example"), "quiz.example"));
        assert!(!welcome(Some("null"), "quiz.example"));
    }
}
