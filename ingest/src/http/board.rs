use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use quiz_schemas::GameId;

use super::Problem;
use crate::clock::wall_us;
use crate::edge::Edge;
use crate::protocol::Board;
use crate::token::Holder;

/// `GET /v1/games/{game}/board`: the latest board, for the game's host.
pub(super) async fn board(
    State(edge): State<Arc<Edge>>,
    Path(game): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Board>, Problem> {
    let game = hosted(&edge, &headers, &game)?;
    let doc = edge.store.view(game).await.map_err(|error| {
        tracing::warn!(%game, %error, "a view cannot be loaded");
        Problem::unavailable()
    })?;
    let view = doc.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no_game"))?.view;
    let board = view.board.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no_board"))?;
    Ok(Json(Board::from(&board)))
}

/// The game of a path, when the request has the token of its host.
pub(super) fn hosted(edge: &Edge, headers: &HeaderMap, game: &str) -> Result<GameId, Problem> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let holder = bearer.and_then(|token| edge.signer().verify(token, wall_us()).ok());
    let Some(holder) = holder else {
        tracing::warn!(at = "http", reason = "token_invalid", "token_refused");
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "token_invalid"));
    };
    let game: GameId = game.parse().map_err(|_| Problem::new(StatusCode::NOT_FOUND, "no_game"))?;
    if holder != (Holder::Host { game }) {
        tracing::warn!(%game, at = "http", reason = "not_host", "token_refused");
        return Err(Problem::new(StatusCode::FORBIDDEN, "not_host"));
    }
    Ok(game)
}
