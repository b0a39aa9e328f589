//! What a run says: one JSON line a phase on stdout, and a line for people on stderr.

use std::time::Duration;

use serde_json::{Value, json};

use super::game::Game;
use super::measure::{Counts, Meter, Quantiles};

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

/// The phase in which everybody comes in.
#[must_use]
pub fn joined(meter: &Meter, took: Duration, players: u32) -> Value {
    let (counts, _) = meter.counts();
    let join = meter.join();
    json!({ "phase": "join", "seconds": seconds(took), "offered": players, "joined": join.count,
        "errors": counts.errors, "reconnects": counts.reconnects, "join_ms": join })
}

/// The phase in which nobody does anything: sockets must stay.
#[must_use]
pub fn idled(meter: &Meter, took: Duration, before: &Counts) -> Value {
    let (counts, _) = meter.counts();
    json!({ "phase": "idle", "seconds": seconds(took), "errors": counts.errors - before.errors,
        "reconnects": counts.reconnects - before.reconnects, "silent": counts.silent - before.silent })
}

/// The phase in which questions are asked and answered.
#[must_use]
pub fn answered(meter: &Meter, took: Duration, before: &Counts) -> Value {
    let (counts, refused) = meter.counts();
    let Counts { offered, sent, resent, acked, unavailable, deferred, unknown, taken, stale, .. } = counts;
    json!({ "phase": "answer", "seconds": seconds(took), "offered": offered, "sent": sent, "resent": resent,
        "acked": acked, "refused": counts.refused, "refused_by_code": refused, "unavailable": unavailable,
        "deferred": deferred, "taken": taken, "unknown": unknown, "stale": stale,
        "errors": counts.errors - before.errors, "reconnects": counts.reconnects - before.reconnects,
        "silent": counts.silent - before.silent, "ack_ms": meter.ack(), "reconnect_ms": meter.reconnect() })
}

/// How questions and boards went out.
#[must_use]
pub fn fanned_out(meter: &Meter) -> Value {
    let fan_out = meter.fan_out();
    json!({ "phase": "fan_out", "questions": fan_out.first.count, "deliveries": fan_out.all.count,
        "first_ms": fan_out.first, "last_ms": fan_out.last, "all_ms": fan_out.all,
        "close_to_board_ms": fan_out.close_to_board })
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
