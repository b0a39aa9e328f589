//! When the partition numbers of a member write to the store: in rounds, all that have something at once.

use super::limits::WRITE_INTERVAL_US;

/// The member's rounds of writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct WriteRounds {
    /// When the last began, steady µs.
    began_us: Option<i64>,
}

impl WriteRounds {
    /// Whether there is a round at `now_us`, which whoever asks is part of. One begins when the last has been for
    /// long enough; all that ask at the same time are in it.
    pub(super) fn join(&mut self, now_us: i64) -> bool {
        if self.began_us != Some(now_us) && now_us < self.next_us() {
            return false;
        }
        self.began_us = Some(now_us);
        true
    }

    /// When the next may begin, steady µs.
    pub(super) fn next_us(&self) -> i64 {
        self.began_us.map_or(i64::MIN / 2, |began_us| began_us + WRITE_INTERVAL_US)
    }
}
