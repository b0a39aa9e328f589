//! Moments that two processes of one machine can compare: the system's monotonic clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Readings of both clocks that are tried: the tightest pair counts, so that a process which loses
/// its core between the two readings is not wrong for the whole run.
const READINGS: u32 = 8;

/// Turns this process's instants into µs of the machine's monotonic clock, and back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    at: Instant,
    us: u64,
}

impl Default for Clock {
    fn default() -> Self {
        let reading = |_| {
            let before = Instant::now();
            let us = monotonic_us();
            (before.elapsed(), Self { at: before, us })
        };
        let tightest = (0..READINGS).map(reading).min_by_key(|(took, _)| *took);
        tightest.expect("there is more than one reading").1
    }
}

impl Clock {
    /// An instant, µs of the machine's monotonic clock.
    #[must_use]
    pub fn us(&self, at: Instant) -> u64 {
        let ahead = at.saturating_duration_since(self.at).as_micros();
        let behind = self.at.saturating_duration_since(at).as_micros();
        let micros = |span| u64::try_from(span).unwrap_or(u64::MAX);
        self.us.saturating_add(micros(ahead)).saturating_sub(micros(behind))
    }

    /// The instant of a time that another process of this machine told.
    #[must_use]
    pub fn instant(&self, us: u64) -> Instant {
        let behind = Duration::from_micros(self.us.saturating_sub(us));
        let ahead = Duration::from_micros(us.saturating_sub(self.us));
        self.at.checked_sub(behind).unwrap_or(self.at) + ahead
    }
}

fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000 + now.tv_nsec / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what one process tells as µs is the same instant in another. Method: two clocks, as two
    /// processes have them; a moment goes through both. Their readings are µs apart at most unless
    /// all eight of one were torn apart, so a second is far from what can happen.
    #[test]
    fn two_clocks_of_a_machine_agree() {
        let (ours, theirs) = (Clock::default(), Clock::default());
        let now = Instant::now();
        for ms in [0, 1, 250, 60_000] {
            let at = now + Duration::from_millis(ms);
            let there = theirs.instant(ours.us(at));
            let apart = there.saturating_duration_since(at).max(at.saturating_duration_since(there));
            assert!(apart < Duration::from_secs(1), "{apart:?} apart");
            assert_eq!(ours.us(ours.instant(ours.us(at))), ours.us(at));
        }
        assert!(ours.us(now + Duration::from_millis(5)) - ours.us(now) == 5_000);
    }
}
