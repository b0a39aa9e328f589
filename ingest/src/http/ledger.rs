use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use quiz_schemas::events::{LedgerState, QuestionLedger};
use quiz_schemas::{GameId, QuestionNo};
use quiz_store::LedgerDoc;
use serde::{Deserialize, Serialize};

use super::Problem;
use super::board::hosted;
use crate::edge::Edge;

/// The books of a game, as far as they are kept.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GameLedger {
    /// The game.
    pub game: GameId,
    /// How its questions' books stand together.
    pub state: LedgerState,
    /// Its questions, in their order.
    pub questions: Vec<QuestionBooks>,
}

/// The books of one question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionBooks {
    /// Which.
    pub question: QuestionNo,
    /// What they say. No names and no players: submissions only.
    #[serde(flatten)]
    pub ledger: QuestionLedger,
}

impl GameLedger {
    /// Puts a game's stored books together: one question that does not balance spoils the game's, and
    /// while one is open, or there is none, so are the game's.
    #[must_use]
    pub fn of(game: GameId, docs: Vec<LedgerDoc>) -> Self {
        let questions: Vec<QuestionBooks> =
            docs.into_iter().map(|LedgerDoc { question, ledger, .. }| QuestionBooks { question, ledger }).collect();
        let any = |state| questions.iter().any(|books| books.ledger.state == state);
        let state = if any(LedgerState::Imbalanced) {
            LedgerState::Imbalanced
        } else if !questions.is_empty() && questions.iter().all(|books| books.ledger.state == LedgerState::Balanced) {
            LedgerState::Balanced
        } else {
            LedgerState::Open
        };
        Self { game, state, questions }
    }
}

/// `GET /v1/games/{game}/ledger`: the books of the game's questions, for its host.
pub(super) async fn ledger(
    State(edge): State<Arc<Edge>>,
    Path(game): Path<String>,
    headers: HeaderMap,
) -> Result<Json<GameLedger>, Problem> {
    let game = hosted(&edge, &headers, &game)?;
    let docs = edge.store.ledgers(game).await.map_err(|error| {
        tracing::warn!(%game, %error, "a ledger cannot be loaded");
        Problem::unavailable()
    })?;
    if docs.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_ledger"));
    }
    Ok(Json(GameLedger::of(game, docs)))
}
