//! How long a client that lost its edge waits before it tries again.

use std::time::Duration;

use super::choices::Dice;

/// The most that the first wait may be, ms; it doubles with each try.
pub const BACKOFF_MS_MIN: u64 = 400;
/// The most that any wait may be before what the edge asks for is added, ms.
pub const BACKOFF_MS_MAX: u64 = 10_000;
/// The longest wait that an edge may ask for, ms.
pub const HINT_MS_MAX: u64 = 60_000;

/// Waits with full jitter: anything from nothing to the whole of a bound that doubles, so that a
/// room which lost its edge does not come back in one instant.
pub struct Backoff {
    tries: u32,
    dice: Dice,
}

impl Backoff {
    /// The first wait is still to come.
    #[must_use]
    pub fn new(dice: Dice) -> Self {
        Self { tries: 0, dice }
    }

    /// The next wait. It is never shorter than what the edge asked for.
    pub fn next(&mut self, hint: Option<Duration>) -> Duration {
        let bound_ms = (BACKOFF_MS_MIN << self.tries.min(16)).min(BACKOFF_MS_MAX);
        self.tries += 1;
        let jitter = Duration::from_millis(self.dice.below(bound_ms + 1));
        hint.unwrap_or_default().min(Duration::from_millis(HINT_MS_MAX)) + jitter
    }

    /// An edge has let us in: the next loss starts from a short wait again.
    pub fn settled(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: waits are spread over the whole of a bound that doubles up to its maximum, and honour
    /// a hint. Method: many seeds, and the bound computed from the number of the try alone.
    #[test]
    fn waits_fill_a_bound_that_doubles() {
        for tries in 0..12_u32 {
            let bound = (400_u128 * 2_u128.pow(tries)).min(10_000);
            let waits = (0..400).map(|seed| {
                let mut backoff = Backoff::new(Dice::new(seed, 0, 0));
                (0..tries).for_each(|_| _ = backoff.next(None));
                backoff.next(None).as_millis()
            });
            let waits: Vec<u128> = waits.collect();
            assert!(waits.iter().all(|wait| *wait <= bound), "try {tries}");
            assert!(waits.iter().min() < Some(&(bound / 10)), "try {tries} starts near nothing");
            assert!(waits.iter().max() > Some(&(bound * 9 / 10)), "try {tries} goes up to {bound}");
        }
    }

    #[test]
    fn a_hint_is_honoured_and_bounded() {
        let hint = Duration::from_secs(2);
        for seed in 0..100 {
            let wait = Backoff::new(Dice::new(seed, 0, 0)).next(Some(hint));
            assert!((hint..=hint + Duration::from_millis(BACKOFF_MS_MIN)).contains(&wait));
        }
        let absurd = Backoff::new(Dice::new(1, 0, 0)).next(Some(Duration::from_secs(1_000_000)));
        assert!(absurd <= Duration::from_millis(HINT_MS_MAX + BACKOFF_MS_MIN));
    }

    #[test]
    fn a_client_that_got_in_starts_anew() {
        let mut backoff = Backoff::new(Dice::new(7, 0, 0));
        (0..10).for_each(|_| _ = backoff.next(None));
        backoff.settled();
        assert!(backoff.next(None) <= Duration::from_millis(BACKOFF_MS_MIN));
    }
}
