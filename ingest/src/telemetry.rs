//! The edge's metrics, each named once. No ids as labels.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::protocol::{Close, ErrorCode};

/// Answers that reached the edge as well-formed messages.
pub(crate) fn answer_received() {
    counter!("quiz_answers_received_total").increment(1);
}

/// An answer was acknowledged, so long after its receipt.
pub(crate) fn answer_acked(after: Duration) {
    counter!("quiz_answers_acked_total").increment(1);
    histogram!("quiz_answer_ack_seconds").record(after.as_secs_f64());
}

/// An answer was refused.
pub(crate) fn answer_refused(code: ErrorCode) {
    counter!("quiz_answers_refused_total", "code" => code.as_str()).increment(1);
}

/// How many sockets are open.
pub(crate) fn connections(open: usize) {
    gauge!("quiz_ws_connections").set(open as f64);
}

/// The edge closed a socket.
pub(crate) fn evicted(close: Close) {
    counter!("quiz_ws_evictions_total", "reason" => close.reason()).increment(1);
}

/// A mailbox was full (I9).
pub(crate) fn mailbox_overflowed() {
    counter!("quiz_edge_mailbox_overflows_total").increment(1);
}

/// How many games are held.
pub(crate) fn games_held(games: usize) {
    gauge!("quiz_edge_games").set(games as f64);
}

/// How a join, resume or host ended: `joined`, `hosting` or an error code.
pub(crate) fn join(result: &'static str) {
    counter!("quiz_joins_total", "result" => result).increment(1);
}

/// An answer came with a proof.
pub(crate) fn proof_seen(good: bool) {
    counter!("quiz_edge_proofs_total", "result" => if good { "good" } else { "refused" }).increment(1);
}

/// An answer to a closed question was looked for in the store.
pub(crate) fn looked_up(result: &'static str) {
    counter!("quiz_edge_answer_lookups_total", "result" => result).increment(1);
}

/// A client that came back with a cursor: was told what it missed, or a snapshot.
pub(crate) fn resumed(recovered: bool) {
    counter!("quiz_edge_resumes_total", "result" => if recovered { "recovered" } else { "snapshot" }).increment(1);
}

/// A telling of the edge's books did not get into the log.
pub(crate) fn tally_untold() {
    counter!("quiz_edge_tallies_untold_total").increment(1);
}

/// It is not measured when a result is written to sockets: there are too many (I9).
pub(crate) fn result_unmeasured() {
    counter!("quiz_edge_results_unmeasured_total").increment(1);
}

/// A connection was not taken in.
pub(crate) fn connection_refused(reason: &'static str) {
    counter!("quiz_edge_connections_refused_total", "reason" => reason).increment(1);
}

/// The whole edge stood still and woke up.
pub(crate) fn woke() {
    counter!("quiz_edge_pauses_total").increment(1);
}

/// A result could not be decoded.
pub(crate) fn results_poisoned(reason: &'static str) {
    counter!("quiz_edge_results_poisoned_total", "reason" => reason).increment(1);
}

/// A game was asked for over HTTP.
pub(crate) fn game_created(result: &'static str) {
    counter!("quiz_games_created_total", "result" => result).increment(1);
}

/// A record did not get into the log.
pub(crate) fn append_failed(reason: &'static str) {
    counter!("quiz_edge_append_failures_total", "reason" => reason).increment(1);
}
