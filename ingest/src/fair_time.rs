//! The cluster's time, as this edge can tell it: what a player is timed by who did not see the
//! question live. No node's wall clock has a part in it.
//!
//! Kafka stamps each record with its own clock as it appends it. The edge sees such a stamp at the
//! latest when its own append is acknowledged, or when its tail reads the record. So the edge's
//! monotonic clock minus the stamp is the distance of the two clocks plus a delay, and the least
//! that was seen of late is the best guess: late by the shortest delay only, which is a few ms.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::CLOCK_HALF_WINDOW_MS;

/// Guesses what time it is by the clock that stamps the records of the log.
pub struct BrokerClock {
    origin: Instant,
    guess: Mutex<Option<Guess>>,
}

/// The least distances seen, µs: monotonic clock minus stamp. Two halves of a sliding window, so
/// that a broker's clock that is set back is followed within two halves.
struct Guess {
    half_began: Instant,
    least_us: i64,
    least_before_us: i64,
}

impl Guess {
    fn distance_us(&self) -> i64 {
        self.least_us.min(self.least_before_us)
    }
}

impl BrokerClock {
    /// A clock that does not know the time yet.
    #[must_use]
    pub fn new(origin: Instant) -> Self {
        Self { origin, guess: Mutex::new(None) }
    }

    /// An append of this edge was acknowledged at `at` with this stamp, µs.
    pub fn acked(&self, stamp_us: i64, at: Instant) {
        if stamp_us <= 0 {
            return;
        }
        let distance_us = self.mono_us(at).saturating_sub(stamp_us);
        let mut guess = self.guess.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Guess { half_began: at, least_us: distance_us, least_before_us: i64::MAX };
        let Some(guess) = guess.as_mut() else {
            *guess = Some(fresh);
            return;
        };
        let half = Duration::from_millis(CLOCK_HALF_WINDOW_MS);
        let age = at.saturating_duration_since(guess.half_began);
        if age >= 2 * half {
            *guess = fresh;
        } else if age >= half {
            *guess = Guess { least_before_us: guess.least_us, ..fresh };
        } else {
            guess.least_us = guess.least_us.min(distance_us);
        }
    }

    /// The tail read a record with this stamp at `at`. It may have been in the log for long, so it
    /// can make the guess better but never be one: only an acknowledgement is known to be fresh.
    pub fn read(&self, stamp_us: i64, at: Instant) {
        if stamp_us <= 0 {
            return;
        }
        let distance_us = self.mono_us(at).saturating_sub(stamp_us);
        if let Some(guess) = self.guess.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            guess.least_us = guess.least_us.min(distance_us);
        }
    }

    /// The cluster's time at `at`, µs since 1970; none before the first acknowledgement.
    #[must_use]
    pub fn now_us(&self, at: Instant) -> Option<i64> {
        let guess = self.guess.lock().unwrap_or_else(PoisonError::into_inner);
        guess.as_ref().map(|guess| self.mono_us(at).saturating_sub(guess.distance_us()))
    }

    fn mono_us(&self, at: Instant) -> i64 {
        i64::try_from(at.saturating_duration_since(self.origin).as_micros()).unwrap_or(i64::MAX)
    }
}

/// From when the time of a player runs who was greeted with a question that was open already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Greeted {
    /// When this edge first saw the question.
    pub seen: Instant,
    /// When the question was appended to the results, by the cluster's clock, µs since 1970; none
    /// when the edge has not found its record.
    pub appended_at_us: Option<i64>,
}

impl Greeted {
    /// How long the question has been open at `at`, µs, when the cluster's clock says `now_us`. None
    /// when the edge cannot tell yet: to guess would let a player gain time by a move to a new edge.
    #[must_use]
    pub fn elapsed_us(&self, at: Instant, now_us: Option<i64>) -> Option<i64> {
        let seen_us = i64::try_from(at.saturating_duration_since(self.seen).as_micros()).unwrap_or(i64::MAX);
        match self.appended_at_us {
            None => Some(seen_us),
            Some(appended_at_us) => now_us.map(|now_us| seen_us.max(now_us.saturating_sub(appended_at_us))),
        }
    }
}

#[cfg(test)]
mod tests;
