//! How long a client that lost its edge waits before it tries again.

use std::time::Duration;

use super::choices::Dice;

/// The most that the first wait may be, ms; it doubles with each try.
pub const BACKOFF_MS_MIN: u64 = 400;
/// The most that any wait may be before what the edge asks for is added, ms.
pub const BACKOFF_MS_MAX: u64 = 10_000;
/// The longest wait that an edge may ask for, ms.
pub const HINT_MS_MAX: u64 = 60_000;

/// What an edge asks of those whom it sends away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hint {
    /// Not to come back before: `Retry-After`, `retry_after_ms`.
    pub least: Duration,
    /// To draw the next wait from nothing to this: the wait that a close reason names.
    pub spread: Option<Duration>,
}

impl Hint {
    /// Not to come back before `least`.
    #[must_use]
    pub fn after(least: Duration) -> Self {
        Self { least, spread: None }
    }
}

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

    /// The next wait, as the edge asked for it.
    pub fn next(&mut self, hint: Hint) -> Duration {
        let doubled_ms = (BACKOFF_MS_MIN << self.tries.min(16)).min(BACKOFF_MS_MAX);
        let spread_ms = hint.spread.map(|spread| u64::try_from(spread.as_millis()).unwrap_or(HINT_MS_MAX));
        let bound_ms = spread_ms.unwrap_or(doubled_ms).min(HINT_MS_MAX);
        self.tries += 1;
        let jitter = Duration::from_millis(self.dice.below(bound_ms + 1));
        hint.least.min(Duration::from_millis(HINT_MS_MAX)) + jitter
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
                (0..tries).for_each(|_| _ = backoff.next(Hint::default()));
                backoff.next(Hint::default()).as_millis()
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
            let wait = Backoff::new(Dice::new(seed, 0, 0)).next(Hint::after(hint));
            assert!((hint..=hint + Duration::from_millis(BACKOFF_MS_MIN)).contains(&wait));
        }
        let absurd = Backoff::new(Dice::new(1, 0, 0)).next(Hint::after(Duration::from_secs(1_000_000)));
        assert!(absurd <= Duration::from_millis(HINT_MS_MAX + BACKOFF_MS_MIN));
    }

    #[test]
    fn a_spread_is_the_bound_of_one_wait() {
        let hint = Hint { least: Duration::ZERO, spread: Some(Duration::from_secs(5)) };
        let waits: Vec<u128> =
            (0..400).map(|seed| Backoff::new(Dice::new(seed, 0, 0)).next(hint).as_millis()).collect();
        assert!(waits.iter().all(|wait| *wait <= 5_000));
        assert!(waits.iter().min() < Some(&500) && waits.iter().max() > Some(&4_500));
        let absurd = Hint { least: Duration::ZERO, spread: Some(Duration::MAX) };
        assert!(Backoff::new(Dice::new(1, 0, 0)).next(absurd) <= Duration::from_millis(HINT_MS_MAX));
    }

    #[test]
    fn a_client_that_got_in_starts_anew() {
        let mut backoff = Backoff::new(Dice::new(7, 0, 0));
        (0..10).for_each(|_| _ = backoff.next(Hint::default()));
        backoff.settled();
        assert!(backoff.next(Hint::default()) <= Duration::from_millis(BACKOFF_MS_MIN));
    }
}
