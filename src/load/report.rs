//! What a run says: one JSON line a phase on stdout, and a line for people on stderr.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::books::Books;
use super::figures::{Counts, Figures, Quantiles};
use super::game::Game;
use crate::client::socket::Flow;

/// Says things.
pub struct Report {
    people: bool,
    told: Vec<String>,
}

impl Report {
    /// With lines for people on stderr, or without.
    #[must_use]
    pub fn new(people: bool) -> Self {
        Self { people, told: Vec::new() }
    }

    /// A phase's line.
    pub fn line(&self, line: Value) {
        if self.people {
            eprintln!("{}", words(&line));
        }
        println!("{line}");
    }

    /// Something went wrong; told once.
    pub fn complain(&mut self, message: &str) {
        if self.told.iter().all(|told| told != message) {
            eprintln!("quizstream: {message}");
            self.told.push(message.to_string());
        }
    }
}

fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1000.0).round() / 1000.0
}

/// How many a second over a whole phase.
fn per_s(count: u64, span: Duration) -> f64 {
    if span.is_zero() { 0.0 } else { (count as f64 / span.as_secs_f64() * 10.0).round() / 10.0 }
}

/// Sockets that went since `before`, by why.
fn lost_since(figures: &Figures, before: &Figures) -> BTreeMap<String, u64> {
    let since = |(why, count): (&String, &u64)| {
        let new = count.saturating_sub(before.lost.get(why).copied().unwrap_or(0));
        (new > 0).then(|| (why.clone(), new))
    };
    figures.lost.iter().filter_map(since).collect()
}

/// The phase in which everybody comes in.
#[must_use]
pub fn joined(figures: &Figures, took: Duration, players: u32) -> Value {
    let join = figures.join.quantiles();
    json!({ "phase": "join", "seconds": seconds(took), "offered": players, "joined": join.count,
        "errors": figures.counts.errors, "reconnects": figures.counts.reconnects, "lost_by_reason": figures.lost,
        "join_ms": join })
}

/// The phase in which nobody does anything: sockets must stay.
#[must_use]
pub fn idled(figures: &Figures, took: Duration, before: &Figures) -> Value {
    let (counts, lost) = (&figures.counts, lost_since(figures, before));
    let before = &before.counts;
    json!({ "phase": "idle", "seconds": seconds(took), "errors": counts.errors - before.errors,
        "reconnects": counts.reconnects - before.reconnects, "silent": counts.silent - before.silent,
        "lost_by_reason": lost })
}

/// The phase in which questions are asked and answered.
#[must_use]
pub fn answered(figures: &Figures, took: Duration, before: &Figures) -> Value {
    let (counts, lost) = (&figures.counts, lost_since(figures, before));
    let before = &before.counts;
    json!({ "phase": "answer", "seconds": seconds(took), "offered": counts.offered, "sent": counts.sent,
        "offered_per_s": per_s(counts.offered, took), "sent_per_s": per_s(counts.sent, took),
        "resent": counts.resent, "acked": counts.acked, "scored": counts.scored, "refused": counts.refused,
        "refused_by_code": figures.refused, "unavailable": counts.unavailable, "deferred": counts.deferred,
        "taken": counts.taken, "unknown": counts.unknown, "stale": counts.stale,
        "errors": counts.errors - before.errors, "reconnects": counts.reconnects - before.reconnects,
        "silent": counts.silent - before.silent, "lost_by_reason": lost, "ack_ms": figures.ack.quantiles(),
        "reconnect_ms": figures.reconnect.quantiles() })
}

/// How questions and boards went out.
#[must_use]
pub fn fanned_out(figures: &Figures) -> Value {
    let fan_out = figures.fan_out();
    json!({ "phase": "fan_out", "questions": fan_out.first.count, "deliveries": fan_out.all.count,
        "first_ms": fan_out.first, "last_ms": fan_out.last, "all_ms": fan_out.all,
        "close_to_board_ms": fan_out.close_to_board })
}

/// What every answer came to, and what went through the sockets: fields of the last line.
#[must_use]
pub fn summed(figures: &Figures, books: &Books) -> Map<String, Value> {
    let Counts { offered, sent, acked, scored, .. } = figures.counts;
    let Flow { messages_in, messages_out, bytes_in, bytes_out } = figures.flow;
    let fields = json!({ "offered": offered, "sent": sent, "acked": acked, "scored": scored, "stored": books.stored,
        "ledger": books.states, "messages_in": messages_in, "messages_out": messages_out, "bytes_in": bytes_in,
        "bytes_out": bytes_out });
    if let Value::Object(fields) = fields { fields } else { Map::new() }
}

/// A game, as the last line has it.
#[must_use]
pub fn game(game: &Game) -> Value {
    let (players, ended, over) = game.ending();
    json!({ "game": game.created().game, "pin": game.created().pin, "players": players, "ended": ended,
        "over": over, "failure": game.failure().map(|failure| &failure.message) })
}

/// A phase's line in words.
fn words(line: &Value) -> String {
    let mut words = vec![format!("{:<8}", line["phase"].as_str().unwrap_or_default())];
    let Some(fields) = line.as_object() else { return String::new() };
    for (name, value) in fields {
        match value {
            Value::Number(_) | Value::Bool(_) => words.push(format!("{name} {value}")),
            Value::Object(_) => {
                if let Ok(Quantiles { p50, p99, max, .. }) = serde_json::from_value(value.clone()) {
                    words.push(format!("{name} p50 {p50:.1} p99 {p99:.1} max {max:.1}"));
                }
            }
            _ => {}
        }
    }
    words.join("  ")
}
