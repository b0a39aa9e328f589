use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use quiz_schemas::QuestionNo;
use quiz_schemas::events::{Outcome, QuestionShown};
use tokio::time::Instant;

use super::mailbox::{Delivery, QuestionClock};
use crate::connection::Mark;
use crate::deliveries::ResultWrites;
use crate::fair_time::Greeted;
use crate::protocol::{OwnOutcome, QuestionMessage, ServerMessage};

/// The time at the edge. No wall clock: nothing that a player gets may depend on it.
#[derive(Clone, Copy, Debug)]
pub struct EdgeTime {
    /// Monotonic.
    pub mono: Instant,
    /// What the cluster's clock says, as far as this edge knows, µs since 1970.
    pub cluster_us: Option<i64>,
}

/// A question as one or all are told it.
pub(super) struct Question<'a> {
    pub(super) shown: &'a QuestionShown,
    /// How many the quiz has.
    pub(super) of: i32,
    pub(super) accepting: bool,
    /// The offset of its record, when it is told as that.
    pub(super) at: Option<i64>,
    /// For whom it is no news; their time runs from here.
    pub(super) greeted: Option<Greeted>,
    /// Whether the client is told, or the socket's machine only.
    pub(super) told: bool,
}

/// Encodes a message once, for all who are told it.
pub(super) fn encode(message: &ServerMessage, mark: Mark) -> Arc<Delivery> {
    result(message, mark, None)
}

/// Encodes a result once, for all who are told it; those to whom it is news say in `writes` when it was written.
pub(super) fn result(message: &ServerMessage, mark: Mark, writes: Option<Arc<ResultWrites>>) -> Arc<Delivery> {
    Arc::new(Delivery { text: Some(Utf8Bytes::from(message.to_json())), mark, clock: None, writes })
}

/// The question as it is now, with the time that is left, ms.
pub(super) fn question(question: &Question<'_>, left_ms: i64) -> Arc<Delivery> {
    let Question { shown, of, accepting, at, greeted, told } = *question;
    let view = &shown.view;
    let message = || {
        ServerMessage::Question(QuestionMessage {
            question: shown.question,
            of,
            kind: view.kind,
            prompt: view.prompt.clone(),
            options: view.options.clone(),
            points_max: view.points_max,
            limit_ms: view.limit_ms,
            left_ms,
            at,
        })
    };
    let text = told.then(|| Utf8Bytes::from(message().to_json()));
    let options = u8::try_from(view.options.len()).unwrap_or(u8::MAX);
    let live = greeted.is_none();
    let mark = Mark::Question { question: shown.question, kind: view.kind, options, accepting, live };
    let clock = Some(QuestionClock { question: shown.question, greeted });
    Arc::new(Delivery { text, mark, clock, writes: None })
}

/// A player's own outcome.
pub(super) fn outcome(
    question: QuestionNo,
    outcome: &Outcome,
    players: i32,
    at: Option<i64>,
    writes: Option<Arc<ResultWrites>>,
) -> Arc<Delivery> {
    let mut message = OwnOutcome::new(question, outcome, players);
    message.at = at;
    result(&ServerMessage::Outcome(message), Mark::Plain, writes)
}
