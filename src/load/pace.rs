//! When each player answers: a schedule that does not wait for the system (an open loop).

use std::time::Duration;

use crate::client::choices::Dice;

/// Sets the times apart from the choices, which come of the same seed.
const SALT: u64 = 0x7061_6365;

/// How answers are spread over a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// Uniformly over this time after a player sees the question. From a rate R over all games it
    /// is players / R; many players' independent uniform times are a Poisson stream.
    Spread(Duration),
    /// After a think time between two bounds.
    Think(Duration, Duration),
    /// As soon as the question is seen.
    Burst,
}

impl Pace {
    /// The pace at which `players` in all offer `rate` answers/s while their questions are open.
    #[must_use]
    pub fn at_rate(players: u32, rate: f64) -> Self {
        Self::Spread(Duration::from_secs_f64(f64::from(players) / rate))
    }

    /// The longest that a player may wait.
    #[must_use]
    pub fn longest(self) -> Duration {
        match self {
            Pace::Spread(span) => span,
            Pace::Think(_, most) => most,
            Pace::Burst => Duration::ZERO,
        }
    }

    /// How long a player waits with its answer to a question.
    #[must_use]
    pub fn wait(self, seed: u64, player: u32, question: u16) -> Duration {
        let share = Dice::new(seed ^ SALT, player, question).share();
        match self {
            Pace::Spread(span) => span.mul_f64(share),
            Pace::Think(least, most) => least + (most.saturating_sub(least)).mul_f64(share),
            Pace::Burst => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the rate asked for is the rate offered, evenly. Method: count the answers that fall
    /// into each tenth of the span.
    #[test]
    fn a_rate_is_offered_evenly() {
        let pace = Pace::at_rate(10_000, 1_000.0);
        assert_eq!(pace.longest(), Duration::from_secs(10));
        let mut tenths = [0; 10];
        for player in 0..10_000 {
            tenths[pace.wait(5, player, 3).as_secs() as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }

    #[test]
    fn a_think_time_keeps_its_bounds_and_comes_of_the_seed() {
        let (least, most) = (Duration::from_millis(200), Duration::from_millis(900));
        let pace = Pace::Think(least, most);
        let waits = |seed| (0..500).map(|player| pace.wait(seed, player, 1)).collect::<Vec<_>>();
        assert!(waits(1).iter().all(|wait| (least..=most).contains(wait)));
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
        assert_eq!(Pace::Burst.wait(1, 2, 3), Duration::ZERO);
    }
}
