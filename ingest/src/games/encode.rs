use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use quiz_schemas::QuestionNo;
use quiz_schemas::events::{Outcome, QuestionShown};
use tokio::time::Instant;

use super::mailbox::{Delivery, Greeted, QuestionClock};
use crate::connection::Mark;
use crate::protocol::{OwnOutcome, QuestionMessage, ServerMessage};

/// The two clocks of the edge.
#[derive(Clone, Copy, Debug)]
pub struct EdgeTime {
    /// Monotonic.
    pub mono: Instant,
    /// The wall clock, µs since 1970.
    pub wall_us: i64,
}

/// Encodes a message once, for all who are told it.
pub(super) fn encode(message: &ServerMessage, mark: Mark) -> Arc<Delivery> {
    Arc::new(Delivery { text: Some(Utf8Bytes::from(message.to_json())), mark, clock: None })
}

/// The question as it is now, with the time that is left.
pub(super) fn question(
    shown: &QuestionShown,
    of: i32,
    accepting: bool,
    greeted: Option<Instant>,
    now_us: i64,
) -> Arc<Delivery> {
    let view = &shown.view;
    let message = ServerMessage::Question(QuestionMessage {
        question: shown.question,
        of,
        kind: view.kind,
        prompt: view.prompt.clone(),
        options: view.options.clone(),
        points_max: view.points_max,
        limit_ms: view.limit_ms,
        left_ms: if accepting { ((shown.deadline_us - now_us) / 1000).clamp(0, i64::from(view.limit_ms)) } else { 0 },
        at: None,
    });
    let options = u8::try_from(view.options.len()).unwrap_or(u8::MAX);
    let mark = Mark::Question { question: shown.question, kind: view.kind, options, accepting };
    let greeted = greeted.map(|seen| Greeted { seen, opened_at_us: shown.opened_at_us });
    let clock = Some(QuestionClock { question: shown.question, greeted });
    Arc::new(Delivery { text: Some(Utf8Bytes::from(message.to_json())), mark, clock })
}

/// A player's own outcome.
pub(super) fn outcome(question: QuestionNo, outcome: &Outcome, players: i32) -> Arc<Delivery> {
    encode(&ServerMessage::Outcome(OwnOutcome::new(question, outcome, players)), Mark::Plain)
}
