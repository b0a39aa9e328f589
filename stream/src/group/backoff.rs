//! One operation that is tried until it works.

use super::limits::{BACKOFF_MAX_US, BACKOFF_MIN_US};

/// Jitter for back-offs, from a seed that the driver brings.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Jitter from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, at least 0. SplitMix64.
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed % bound.max(1).cast_unsigned()).cast_signed()
    }
}

/// An operation's present try.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Try {
    /// May start.
    #[default]
    Ready,
    /// Under way.
    Running {
        /// Tries that failed before this one.
        failures: u32,
    },
    /// Failed; waits.
    Waiting {
        /// Tries that failed.
        failures: u32,
        /// When the next may start, steady µs.
        until_us: i64,
    },
}

impl Try {
    /// Whether it is under way.
    #[must_use]
    pub fn is_running(self) -> bool {
        matches!(self, Try::Running { .. })
    }

    /// Whether a try before the present one failed.
    #[must_use]
    pub fn has_failed(self) -> bool {
        matches!(self, Try::Running { failures: 1.. })
    }

    /// Starts the next try, if it may start now.
    pub fn start(&mut self, now_us: i64) -> bool {
        let failures = match *self {
            Try::Ready => 0,
            Try::Waiting { failures, until_us } if until_us <= now_us => failures,
            Try::Waiting { .. } | Try::Running { .. } => return false,
        };
        *self = Try::Running { failures };
        true
    }

    /// The try under way failed: waits twice as long as the last time, up to a bound, and up to half more.
    pub fn fail(&mut self, now_us: i64, jitter: &mut Jitter) {
        let failures = match *self {
            Try::Ready => 1,
            Try::Running { failures } | Try::Waiting { failures, .. } => failures.saturating_add(1),
        };
        let wait_us = (BACKOFF_MIN_US << (failures - 1).min(20)).min(BACKOFF_MAX_US);
        *self = Try::Waiting { failures, until_us: now_us + wait_us / 2 + jitter.below(wait_us / 2) };
    }

    /// When it wants to be looked at again, steady µs.
    #[must_use]
    pub fn wake_at_us(self) -> Option<i64> {
        match self {
            Try::Waiting { until_us, .. } => Some(until_us),
            Try::Ready | Try::Running { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits grow, stay within bounds, and no try starts before its wait is over.
    #[test]
    fn waits_grow_up_to_the_bound() {
        let mut jitter = Jitter::new(7);
        let mut attempt = Try::default();
        let mut now_us = 0;
        for failure in 0..40 {
            assert!(attempt.start(now_us));
            assert!(!attempt.start(now_us), "one try at a time");
            attempt.fail(now_us, &mut jitter);
            let wait_us = attempt.wake_at_us().unwrap() - now_us;
            let full_us = (BACKOFF_MIN_US << failure.min(20)).min(BACKOFF_MAX_US);
            assert!((full_us / 2..=full_us).contains(&wait_us), "failure {failure}: {wait_us}");
            assert!(!attempt.start(now_us + wait_us - 1));
            now_us += wait_us;
        }
    }
}
