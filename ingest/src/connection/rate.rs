use crate::limits::{RATE_BURST, RATE_PER_S};

const INTERVAL_MS: u64 = 1000 / RATE_PER_S;
const TOLERANCE_MS: u64 = INTERVAL_MS * (RATE_BURST - 1);

/// The generic cell rate algorithm: sixteen bytes a socket instead of a bucket with a clock.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// When the bucket is full again.
    full_ms: u64,
    refused: u32,
}

impl Rate {
    /// Counts a frame; false when it is over the rate.
    pub(super) fn admit(&mut self, now_ms: u64) -> bool {
        if self.full_ms <= now_ms {
            self.full_ms = now_ms;
            self.refused = 0;
        }
        if self.full_ms > now_ms + TOLERANCE_MS {
            self.refused += 1;
            return false;
        }
        self.full_ms += INTERVAL_MS;
        true
    }

    /// Frames refused since the bucket was last full.
    pub(super) fn refused(&self) -> u32 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut rate = Rate::default();
        let passed = (0..100).filter(|_| rate.admit(1000)).count() as u64;
        assert_eq!(passed, RATE_BURST);
        assert_eq!(rate.refused(), 100 - RATE_BURST as u32);
        let passed = (0..1000u64).filter(|ms| rate.admit(1000 + ms)).count() as u64;
        assert!((RATE_PER_S - 1..=RATE_PER_S + 1).contains(&passed), "{passed}");
        assert!(rate.refused() > 900);
        assert!(rate.admit(100_000));
        assert_eq!(rate.refused(), 0);
    }
}
