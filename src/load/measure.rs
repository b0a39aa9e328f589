//! What the clients of a process see, as they see it. Latencies are measured from when something
//! should have begun, so that a system which stalls is charged for all that had to wait, not only
//! for what it was sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quiz_ingest::protocol::ErrorCode;
use quiz_schemas::{GameId, QuestionNo};
use tokio::time::Instant;

use super::clock::Clock;
use super::figures::{Counts, Figures, Latency, Passage};
use crate::client::socket::{Closing, Traffic};

/// Clients are spread over so many locks, so that two threads rarely want the same one.
const SLOTS: u32 = 4;

/// One question of one game, on its way out.
#[derive(Default)]
struct Round {
    asked_us: Option<u64>,
    first_us: Option<u64>,
    last_us: Option<u64>,
    closed_us: Option<u64>,
    /// Deliveries and boards that came before this process was told what the host knew, at most one a player.
    early_us: Vec<u64>,
    early_boards_us: Vec<u64>,
}

#[derive(Default)]
struct Rounds {
    delivery: Latency,
    board: Latency,
    by_question: BTreeMap<(GameId, QuestionNo), Round>,
}

#[derive(Default)]
struct Slot {
    counts: Counts,
    refused: BTreeMap<&'static str, u64>,
    lost: BTreeMap<&'static str, u64>,
    join: Latency,
    ack: Latency,
    reconnect: Latency,
}

/// What all clients of a process see. Each client says with `who` it is which one it is.
pub struct Meter {
    clock: Clock,
    slots: Vec<Mutex<Slot>>,
    rounds: Mutex<Rounds>,
    traffic: Arc<Traffic>,
}

impl Meter {
    /// A meter of clients whose sockets count in `traffic`.
    #[must_use]
    pub fn new(traffic: Arc<Traffic>) -> Self {
        let slots = (0..SLOTS).map(|_| Mutex::default()).collect();
        Self { clock: Clock::default(), slots, rounds: Mutex::default(), traffic }
    }

    /// The clock that its times are told in.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    fn slot<T>(&self, who: u32, change: impl FnOnce(&mut Slot) -> T) -> T {
        let slot = &self.slots[(who % SLOTS) as usize];
        change(&mut slot.lock().expect("nobody panics while it holds the lock"))
    }

    fn rounds<T>(&self, change: impl FnOnce(&mut Rounds) -> T) -> T {
        change(&mut self.rounds.lock().expect("nobody panics while it holds the lock"))
    }

    /// Counts something.
    pub fn count(&self, who: u32, change: impl FnOnce(&mut Counts)) {
        self.slot(who, |slot| change(&mut slot.counts));
    }

    /// An answer was refused for good.
    pub fn refused(&self, who: u32, code: ErrorCode) {
        self.slot(who, |slot| {
            slot.counts.refused += 1;
            *slot.refused.entry(code.as_str()).or_default() += 1;
        });
    }

    /// A socket went whose client wanted to stay.
    pub fn lost(&self, who: u32, closing: &Closing, silent: bool) {
        let why = if silent { "silent" } else { closing.reason() };
        self.slot(who, |slot| {
            slot.counts.silent += u64::from(silent);
            *slot.lost.entry(why).or_default() += 1;
        });
    }

    /// A player has its seat, `took` after it should have begun to ask for it.
    pub fn joined(&self, who: u32, took: Duration) {
        self.slot(who, |slot| slot.join.record(took));
    }

    /// An answer is in the log, `took` after it should have left.
    pub fn acked(&self, who: u32, took: Duration) {
        self.slot(who, |slot| {
            slot.counts.acked += 1;
            slot.ack.record(took);
        });
    }

    /// A socket is back, `took` after it went.
    pub fn reconnected(&self, who: u32, took: Duration) {
        self.slot(who, |slot| {
            slot.counts.reconnects += 1;
            slot.reconnect.record(took);
        });
    }

    /// The host asked for a question at this time of the machine's monotonic clock, µs.
    pub fn asked(&self, game: GameId, question: QuestionNo, at_us: u64) {
        self.rounds(|rounds| {
            let Rounds { delivery, by_question, .. } = rounds;
            let round = by_question.entry((game, question)).or_default();
            round.asked_us = Some(at_us);
            for early_us in std::mem::take(&mut round.early_us) {
                delivery.record_us(early_us.saturating_sub(at_us));
            }
        });
    }

    /// A question reached a player as it was opened.
    pub fn delivered(&self, game: GameId, question: QuestionNo, now: Instant) {
        let now_us = self.clock.us(now);
        self.rounds(|rounds| {
            let Rounds { delivery, by_question, .. } = rounds;
            let round = by_question.entry((game, question)).or_default();
            round.first_us = Some(round.first_us.map_or(now_us, |first| first.min(now_us)));
            round.last_us = round.last_us.max(Some(now_us));
            match round.asked_us {
                Some(asked_us) => delivery.record_us(now_us.saturating_sub(asked_us)),
                None => round.early_us.push(now_us),
            }
        });
    }

    /// The host learned that a question takes no more answers: from this time of the machine's monotonic clock
    /// on, µs, its board is waited for. Players may hear it together with the board.
    pub fn closed(&self, game: GameId, question: QuestionNo, at_us: u64) {
        self.rounds(|rounds| {
            let Rounds { board, by_question, .. } = rounds;
            let round = by_question.entry((game, question)).or_default();
            let closed_us = *round.closed_us.get_or_insert(at_us);
            for early_us in std::mem::take(&mut round.early_boards_us) {
                board.record_us(early_us.saturating_sub(closed_us));
            }
        });
    }

    /// A board reached a player as it was published.
    pub fn board(&self, game: GameId, question: QuestionNo, now: Instant) {
        let now_us = self.clock.us(now);
        self.rounds(|rounds| {
            let Rounds { board, by_question, .. } = rounds;
            let round = by_question.entry((game, question)).or_default();
            match round.closed_us {
                Some(closed_us) => board.record_us(now_us.saturating_sub(closed_us)),
                None => round.early_boards_us.push(now_us),
            }
        });
    }

    /// All of it, so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures = Figures { flow: self.traffic.flow(), ..Figures::default() };
        for who in 0..SLOTS {
            self.slot(who, |slot| {
                figures.counts += &slot.counts;
                figures.join += &slot.join;
                figures.ack += &slot.ack;
                figures.reconnect += &slot.reconnect;
                for (code, count) in &slot.refused {
                    *figures.refused.entry((*code).to_string()).or_default() += count;
                }
                for (why, count) in &slot.lost {
                    *figures.lost.entry((*why).to_string()).or_default() += count;
                }
            });
        }
        self.rounds(|rounds| {
            figures.delivery = rounds.delivery.clone();
            figures.board = rounds.board.clone();
            let passage = |((game, question), round): (&(GameId, QuestionNo), &Round)| Passage {
                game: *game,
                question: *question,
                asked_us: round.asked_us,
                first_us: round.first_us,
                last_us: round.last_us,
            };
            figures.passages = rounds.by_question.iter().map(passage).collect();
        });
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Meter {
        Meter::new(Arc::default())
    }

    /// Goal: a stall is charged to all who had to wait through it. Method: answers due every ms
    /// over a second that all get their ack at its end, which a closed loop would count as one.
    #[test]
    fn a_stall_is_charged_to_everyone_who_waited() {
        let meter = meter();
        (0..1_000).for_each(|due_ms| meter.acked(due_ms, Duration::from_millis(1_000 - u64::from(due_ms))));
        let figures = meter.figures();
        let ack = figures.ack.quantiles();
        assert_eq!((ack.count, figures.counts.acked), (1_000, 1_000));
        assert!((499.0..502.0).contains(&ack.p50) && (989.0..992.0).contains(&ack.p99), "{ack:?}");
    }

    #[test]
    fn the_fan_out_has_a_first_and_a_last_delivery() {
        let (meter, game, began) = (meter(), GameId::from_bits(1), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        // One comes before this process is told that the host asked.
        meter.delivered(game, 0, at(20));
        meter.asked(game, 0, meter.clock().us(at(0)));
        [50, 100].into_iter().for_each(|ms| meter.delivered(game, 0, at(ms)));
        // One hears the board before this process is told that the host heard of the close.
        meter.board(game, 0, at(420));
        meter.closed(game, 0, meter.clock().us(at(400)));
        meter.board(game, 0, at(440));
        let fan_out = meter.figures().fan_out();
        assert_eq!((fan_out.first.count, fan_out.last.count, fan_out.all.count), (1, 1, 3));
        assert!((19.9..20.1).contains(&fan_out.first.max) && (99.9..100.1).contains(&fan_out.last.max));
        assert!((49.9..50.1).contains(&fan_out.all.p50), "{fan_out:?}");
        assert!((39.9..40.1).contains(&fan_out.close_to_board.max), "{fan_out:?}");
        assert_eq!(fan_out.close_to_board.count, 2);
    }

    #[test]
    fn what_clients_count_in_different_slots_is_one_sum() {
        let meter = meter();
        for who in 0..10 {
            meter.count(who, |counts| counts.sent += 1);
            meter.refused(who, ErrorCode::QuestionClosed);
            meter.lost(who, &Closing::default(), who < 3);
        }
        let figures = meter.figures();
        assert_eq!((figures.counts.sent, figures.counts.refused), (10, 10));
        assert_eq!(figures.refused["question_closed"], 10);
        assert_eq!((figures.lost["silent"], figures.lost["broken"], figures.counts.silent), (3, 7, 3));
    }
}
