//! What a run measures. Latencies are measured from when something should have begun, so that a
//! system which stalls is charged for all that had to wait, not only for what it was sent.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;
use quiz_game::session::CLOSE_GRACE_MS;
use quiz_ingest::protocol::ErrorCode;
use quiz_schemas::events::StopReason;
use quiz_schemas::{GameId, QuestionNo};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The longest latency that is told apart, µs; longer ones count as this.
const LATENCY_US_MAX: u64 = 300_000_000;

/// A latency, µs.
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are constants that fit"))
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&mut self, span: Duration) {
        self.0.saturating_record(u64::try_from(span.as_micros()).unwrap_or(LATENCY_US_MAX).max(1));
    }

    /// In numbers.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        let ms = |us: u64| us as f64 / 1000.0;
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        Quantiles { count: self.0.len(), p50: at(0.50), p99: at(0.99), p999: at(0.999), max: ms(self.0.max()) }
    }
}

/// A latency in numbers, ms.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many were counted.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// How often something happened.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Answers that were due, whether or not there was a socket for them.
    pub offered: u64,
    /// Answers that left, resends not counted again.
    pub sent: u64,
    /// Resends.
    pub resent: u64,
    /// Answers acknowledged.
    pub acked: u64,
    /// Answers refused for good.
    pub refused: u64,
    /// Times an edge asked for an answer again, with `unavailable`.
    pub unavailable: u64,
    /// Times it did with another code.
    pub deferred: u64,
    /// Times an answer's socket went before a word on it.
    pub unknown: u64,
    /// Times an edge said that it has an answer and the log not yet.
    pub taken: u64,
    /// Players that lost their seat for good, and games that could not be played.
    pub errors: u64,
    /// Sockets that came back.
    pub reconnects: u64,
    /// Sockets given up because they were silent.
    pub silent: u64,
    /// Messages dropped because they had been applied.
    pub stale: u64,
}

/// One question of one game, on its way out.
#[derive(Default)]
struct Round {
    asked: Option<Instant>,
    first: Option<Duration>,
    last: Option<Duration>,
    closed: Option<(Instant, StopReason)>,
}

#[derive(Default)]
struct Seen {
    counts: Counts,
    refused: BTreeMap<&'static str, u64>,
    join: Latency,
    ack: Latency,
    reconnect: Latency,
    delivery: Latency,
    board: Latency,
    rounds: BTreeMap<(GameId, QuestionNo), Round>,
}

/// What all clients of a process see.
#[derive(Default)]
pub struct Meter(Mutex<Seen>);

/// The question fan-out in numbers, all from the host's command on.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct FanOut {
    /// To the first player of each question.
    pub first: Quantiles,
    /// To the last player of each question.
    pub last: Quantiles,
    /// To every player of every question.
    pub all: Quantiles,
    /// From `closed` to `board` at every player, without the grace that a deadline has.
    pub close_to_board: Quantiles,
}

impl Meter {
    fn with<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.0.lock().expect("nobody panics while it holds the lock"))
    }

    /// Counts something.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.with(|seen| change(&mut seen.counts));
    }

    /// An answer was refused for good.
    pub fn refused(&self, code: ErrorCode) {
        self.with(|seen| {
            seen.counts.refused += 1;
            *seen.refused.entry(code.as_str()).or_default() += 1;
        });
    }

    /// A player has its seat, `took` after it should have begun to ask for it.
    pub fn joined(&self, took: Duration) {
        self.with(|seen| seen.join.record(took));
    }

    /// An answer is in the log, `took` after it should have left.
    pub fn acked(&self, took: Duration) {
        self.with(|seen| {
            seen.counts.acked += 1;
            seen.ack.record(took);
        });
    }

    /// A socket is back, `took` after it went.
    pub fn reconnected(&self, took: Duration) {
        self.with(|seen| {
            seen.counts.reconnects += 1;
            seen.reconnect.record(took);
        });
    }

    /// The host asks for a question now.
    pub fn asked(&self, game: GameId, question: QuestionNo, now: Instant) {
        self.with(|seen| seen.rounds.entry((game, question)).or_default().asked = Some(now));
    }

    /// A question reached a player as it was opened.
    pub fn delivered(&self, game: GameId, question: QuestionNo, now: Instant) {
        self.with(|seen| {
            let round = seen.rounds.entry((game, question)).or_default();
            let Some(took) = round.asked.map(|at| now - at) else { return };
            round.first.get_or_insert(took);
            round.last = Some(took);
            seen.delivery.record(took);
        });
    }

    /// A player learned that a question takes no more answers.
    pub fn closed(&self, game: GameId, question: QuestionNo, reason: StopReason, now: Instant) {
        self.with(|seen| {
            let round = seen.rounds.entry((game, question)).or_default();
            round.closed.get_or_insert((now, reason));
        });
    }

    /// A board reached a player as it was published. The grace before it is no one's delay and is
    /// taken off.
    pub fn board(&self, game: GameId, question: QuestionNo, now: Instant) {
        self.with(|seen| {
            let closed = seen.rounds.get(&(game, question)).and_then(|round| round.closed);
            let Some((at, reason)) = closed else { return };
            let grace = if reason == StopReason::AllAnswered { 0 } else { CLOSE_GRACE_MS };
            let grace = Duration::from_millis(u64::try_from(grace).unwrap_or(0));
            seen.board.record((now - at).saturating_sub(grace));
        });
    }

    /// The counts so far, and what was refused by code.
    #[must_use]
    pub fn counts(&self) -> (Counts, BTreeMap<&'static str, u64>) {
        self.with(|seen| (seen.counts.clone(), seen.refused.clone()))
    }

    /// From when a player should have begun to join to its seat.
    #[must_use]
    pub fn join(&self) -> Quantiles {
        self.with(|seen| seen.join.quantiles())
    }

    /// From when an answer should have left to its receipt.
    #[must_use]
    pub fn ack(&self) -> Quantiles {
        self.with(|seen| seen.ack.quantiles())
    }

    /// From the loss of a socket to the seat at another.
    #[must_use]
    pub fn reconnect(&self) -> Quantiles {
        self.with(|seen| seen.reconnect.quantiles())
    }

    /// The fan-out of all questions.
    #[must_use]
    pub fn fan_out(&self) -> FanOut {
        self.with(|seen| {
            let (mut first, mut last) = (Latency::default(), Latency::default());
            for round in seen.rounds.values() {
                round.first.into_iter().for_each(|took| first.record(took));
                round.last.into_iter().for_each(|took| last.record(took));
            }
            FanOut {
                first: first.quantiles(),
                last: last.quantiles(),
                all: seen.delivery.quantiles(),
                close_to_board: seen.board.quantiles(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a stall is charged to all who had to wait through it. Method: answers due every ms
    /// over a second that all get their ack at its end, which a closed loop would count as one.
    #[test]
    fn a_stall_is_charged_to_everyone_who_waited() {
        let meter = Meter::default();
        (0..1_000).for_each(|due_ms| meter.acked(Duration::from_millis(1_000 - due_ms)));
        let ack = meter.ack();
        assert_eq!((ack.count, meter.counts().0.acked), (1_000, 1_000));
        assert!((499.0..502.0).contains(&ack.p50) && (989.0..992.0).contains(&ack.p99), "{ack:?}");
    }

    #[test]
    fn the_fan_out_has_a_first_and_a_last_delivery() {
        let (meter, game, began) = (Meter::default(), GameId::from_bits(1), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        meter.delivered(game, 0, at(0));
        meter.asked(game, 0, at(0));
        [20, 50, 100].into_iter().for_each(|ms| meter.delivered(game, 0, at(ms)));
        meter.closed(game, 0, StopReason::Deadline, at(100));
        meter.closed(game, 0, StopReason::Deadline, at(150));
        meter.board(game, 0, at(440));
        let fan_out = meter.fan_out();
        assert_eq!((fan_out.first.count, fan_out.last.count, fan_out.all.count), (1, 1, 3));
        assert!((19.9..20.1).contains(&fan_out.first.max) && (99.9..100.1).contains(&fan_out.last.max));
        assert!((39.9..40.1).contains(&fan_out.close_to_board.max), "the grace of 300 ms is no delay");
    }
}
