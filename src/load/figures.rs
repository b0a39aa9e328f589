//! What was measured, as numbers that add up: one process tells its own to another as a JSON line.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use hdrhistogram::Histogram;
use quiz_schemas::{GameId, QuestionNo};
use serde::{Deserialize, Serialize};

use crate::client::socket::Flow;

/// The longest latency that is told apart, µs; longer ones count as this.
const LATENCY_US_MAX: u64 = 300_000_000;

/// A latency, µs. Its JSON is the buckets that have something in them, each with its count: as exact
/// as the histogram itself, so adding two that came as JSON is adding what was recorded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(into = "Vec<(u64, u64)>", from = "Vec<(u64, u64)>")]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are constants that fit"))
    }
}

impl From<Latency> for Vec<(u64, u64)> {
    fn from(latency: Latency) -> Self {
        latency.0.iter_recorded().map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value())).collect()
    }
}

impl From<Vec<(u64, u64)>> for Latency {
    fn from(buckets: Vec<(u64, u64)>) -> Self {
        let mut latency = Self::default();
        buckets.into_iter().for_each(|(us, count)| latency.0.saturating_record_n(us, count));
        latency
    }
}

impl AddAssign<&Latency> for Latency {
    fn add_assign(&mut self, other: &Latency) {
        self.0.add(&other.0).expect("all latencies have the same bounds");
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&mut self, span: Duration) {
        self.record_us(u64::try_from(span.as_micros()).unwrap_or(LATENCY_US_MAX));
    }

    /// Counts one, µs.
    pub fn record_us(&mut self, us: u64) {
        self.0.saturating_record(us.max(1));
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
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Answers that were due, whether or not there was a socket for them.
    pub offered: u64,
    /// Answers that left, resends not counted again.
    pub sent: u64,
    /// Resends.
    pub resent: u64,
    /// Answers acknowledged.
    pub acked: u64,
    /// Acknowledged answers whose player was told a verdict on them.
    pub scored: u64,
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

impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        // Taken apart, so that a new count cannot be forgotten here.
        #[rustfmt::skip]
        let Counts { offered, sent, resent, acked, scored, refused, unavailable, deferred, unknown, taken,
            errors, reconnects, silent, stale } = other;
        self.offered += offered;
        self.sent += sent;
        self.resent += resent;
        self.acked += acked;
        self.scored += scored;
        self.refused += refused;
        self.unavailable += unavailable;
        self.deferred += deferred;
        self.unknown += unknown;
        self.taken += taken;
        self.errors += errors;
        self.reconnects += reconnects;
        self.silent += silent;
        self.stale += stale;
    }
}

fn add(sum: &mut BTreeMap<String, u64>, other: &BTreeMap<String, u64>) {
    for (name, count) in other {
        *sum.entry(name.clone()).or_default() += count;
    }
}

impl AddAssign<&Flow> for Flow {
    fn add_assign(&mut self, other: &Flow) {
        let Flow { messages_in, messages_out, bytes_in, bytes_out } = other;
        self.messages_in += messages_in;
        self.messages_out += messages_out;
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
    }
}

/// A question on its way to one process's players. Times are µs of the machine's monotonic clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Passage {
    /// Of which game.
    pub game: GameId,
    /// Which question.
    pub question: QuestionNo,
    /// When the host asked for it.
    pub asked_us: Option<u64>,
    /// When the first player of the process had it.
    pub first_us: Option<u64>,
    /// When the last one had.
    pub last_us: Option<u64>,
}

/// What was measured.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// How often what happened.
    pub counts: Counts,
    /// Answers refused for good, by code.
    pub refused: BTreeMap<String, u64>,
    /// Sockets that went while their players or hosts wanted to stay, by why: the edge's word, `broken` or `silent`.
    pub lost: BTreeMap<String, u64>,
    /// What went through the sockets.
    pub flow: Flow,
    /// From when a player should have begun to join to its seat.
    pub join: Latency,
    /// From when an answer should have left to its receipt.
    pub ack: Latency,
    /// From the loss of a socket to the seat at another.
    pub reconnect: Latency,
    /// From the host's command to a question at a player.
    pub delivery: Latency,
    /// From the first `closed` that a process saw to a board at a player of it, without the grace.
    pub board: Latency,
    /// The questions.
    pub passages: Vec<Passage>,
}

impl AddAssign<&Figures> for Figures {
    fn add_assign(&mut self, other: &Figures) {
        let Figures { counts, refused, lost, flow, join, ack, reconnect, delivery, board, passages } = other;
        self.counts += counts;
        add(&mut self.refused, refused);
        add(&mut self.lost, lost);
        self.flow += flow;
        self.join += join;
        self.ack += ack;
        self.reconnect += reconnect;
        self.delivery += delivery;
        self.board += board;
        self.passages.extend(passages.iter().cloned());
    }
}

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

impl Figures {
    /// The fan-out of all questions, each over all processes that have players of its game.
    #[must_use]
    pub fn fan_out(&self) -> FanOut {
        let mut whole: BTreeMap<(GameId, QuestionNo), [Option<u64>; 3]> = BTreeMap::new();
        for Passage { game, question, asked_us, first_us, last_us } in &self.passages {
            let [asked, first, last] = whole.entry((*game, *question)).or_default();
            *asked = asked.or(*asked_us);
            *first = [*first, *first_us].into_iter().flatten().min();
            *last = (*last).max(*last_us);
        }
        let (mut first, mut last) = (Latency::default(), Latency::default());
        for passage in whole.into_values() {
            let [Some(asked_us), Some(first_us), Some(last_us)] = passage else { continue };
            first.record_us(first_us.saturating_sub(asked_us));
            last.record_us(last_us.saturating_sub(asked_us));
        }
        FanOut {
            first: first.quantiles(),
            last: last.quantiles(),
            all: self.delivery.quantiles(),
            close_to_board: self.board.quantiles(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn latency(all_us: &[u64]) -> Latency {
        let mut latency = Latency::default();
        all_us.iter().for_each(|us| latency.record_us(*us));
        latency
    }

    fn through_json(figures: &Figures) -> Figures {
        let line = serde_json::to_string(figures).expect("it can be told");
        assert!(!line.contains('\n'));
        serde_json::from_str(&line).expect("it can be read")
    }

    proptest! {
        /// Goal: figures that were told by several processes are those of one that saw everything.
        /// Method: record latencies in one histogram, and the same split over some, which go
        /// through JSON and are added.
        #[test]
        fn processes_add_up_exactly(
            all_us in prop::collection::vec(0..400_000_000_u64, 0..300),
            of in 1..6_usize,
        ) {
            let mut sum = Figures::default();
            for shard in 0..of {
                let own: Vec<u64> = all_us.iter().skip(shard).step_by(of).copied().collect();
                let counts = Counts { acked: own.len() as u64, ..Counts::default() };
                sum += &through_json(&Figures { counts, ack: latency(&own), ..Figures::default() });
            }
            let whole = latency(&all_us);
            prop_assert_eq!(sum.ack.quantiles(), whole.quantiles());
            prop_assert_eq!(Vec::from(sum.ack.clone()), Vec::from(whole));
            prop_assert_eq!(sum.counts.acked, all_us.len() as u64);
        }
    }

    /// Goal: no count is lost on the way. Method: every count another number, through JSON, twice added.
    #[test]
    fn every_count_is_told_and_added() {
        let mut fields = serde_json::to_value(Counts::default()).expect("an object");
        let object = fields.as_object_mut().expect("an object");
        object.values_mut().enumerate().for_each(|(no, value)| *value = (no as u64 + 1).into());
        let counts: Counts = serde_json::from_value(fields.clone()).expect("counts");
        let flow = Flow { messages_in: 1, messages_out: 2, bytes_in: 3, bytes_out: 4 };
        let refused = BTreeMap::from([("question_closed".to_string(), 7)]);
        let told = through_json(&Figures { counts, flow, refused, ..Figures::default() });
        let mut sum = told.clone();
        sum += &told;
        let doubled = serde_json::to_value(&sum.counts).expect("an object");
        for (name, value) in fields.as_object().expect("an object") {
            assert_eq!(doubled[name].as_u64(), value.as_u64().map(|count| count * 2), "{name}");
        }
        assert_eq!(sum.flow, Flow { messages_in: 2, messages_out: 4, bytes_in: 6, bytes_out: 8 });
        assert_eq!(sum.refused["question_closed"], 14);
    }

    #[test]
    fn a_question_has_one_first_and_one_last_player_over_all_processes() {
        let (game, question) = (GameId::from_bits(1), 3);
        let passage = |asked_us, first_us, last_us| Passage { game, question, asked_us, first_us, last_us };
        let mut sum = Figures::default();
        for passages in [
            // The host's process has no players; one has not been told yet when it was asked.
            vec![passage(Some(1_000_000), None, None)],
            vec![passage(None, Some(1_030_000), Some(1_090_000))],
            vec![passage(Some(1_000_000), Some(1_020_000), Some(1_050_000))],
        ] {
            sum += &through_json(&Figures { passages, ..Figures::default() });
        }
        let fan_out = sum.fan_out();
        assert_eq!((fan_out.first.count, fan_out.last.count), (1, 1));
        assert!((19.9..20.1).contains(&fan_out.first.max), "{fan_out:?}");
        assert!((89.9..90.1).contains(&fan_out.last.max), "{fan_out:?}");
    }
}
