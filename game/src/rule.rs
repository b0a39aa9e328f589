//! Scoring rules: versioned values. A game pins one; a rule never changes, an edit makes the next one.

use crate::judge::Judgement;

/// An answer given within this time pays in full, µs.
pub const FULL_PAY_US: i64 = 500_000;
/// What each further right answer in a row adds, points.
pub const STREAK_STEP: i32 = 100;
/// The most that a streak adds, points.
pub const STREAK_BONUS_MAX: i32 = 500;

/// A scoring rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rule {
    /// Half of the points for being right, the other half for being fast.
    SpeedV1,
}

impl Rule {
    /// The rules that this build knows.
    pub const ALL: [Rule; 1] = [Rule::SpeedV1];

    /// The rule with this name and version. None when this build does not know it: a game must not
    /// be created under it, and a lane refuses its open marker
    /// ([`MarkerRefusal::UnknownRule`](crate::lane::MarkerRefusal::UnknownRule)).
    #[must_use]
    pub fn from_id(id: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|rule| rule.id() == id)
    }

    /// Its name and version, as settings and markers carry it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Rule::SpeedV1 => "speed-v1",
        }
    }

    /// Points for an answer, without any bonus. Integers only, so that every build and every replay
    /// pays the same. `elapsed_us` is clamped to `0..=limit_us`.
    ///
    /// A right answer pays `(1 − (t/T)/2) × points_max`, rounded half up; a partly right one pays
    /// its fraction of that number, again rounded half up.
    #[must_use]
    pub fn points(self, judgement: Judgement, elapsed_us: i64, limit_us: i64, points_max: i32) -> i32 {
        let Rule::SpeedV1 = self;
        match judgement {
            Judgement::Correct => speed(elapsed_us, limit_us, points_max),
            Judgement::Partial { earned, possible } => {
                let full = i128::from(speed(elapsed_us, limit_us, points_max));
                divide_half_up(full * i128::from(earned), i128::from(possible.max(1)))
            }
            Judgement::Wrong | Judgement::Counted | Judgement::Misfit => 0,
        }
    }
}

fn speed(elapsed_us: i64, limit_us: i64, points_max: i32) -> i32 {
    let limit_us = limit_us.max(1);
    let elapsed_us = elapsed_us.clamp(0, limit_us);
    if elapsed_us < FULL_PAY_US {
        return points_max;
    }
    // (1 − (t/T)/2) × p = p × (2T − t) / 2T
    let whole = 2 * i128::from(limit_us);
    divide_half_up(i128::from(points_max) * (whole - i128::from(elapsed_us)), whole)
}

/// `part / whole`, halves rounded up; both are ≥ 0 and `whole` is not 0.
fn divide_half_up(part: i128, whole: i128) -> i32 {
    let rounded = (2 * part + whole) / (2 * whole);
    i32::try_from(rounded).unwrap_or(i32::MAX)
}

/// What the `streak`-th right answer in a row adds: nothing for the first, [`STREAK_STEP`] more for
/// each one after it, [`STREAK_BONUS_MAX`] at most.
#[must_use]
pub fn streak_bonus(streak: i32) -> i32 {
    streak.saturating_sub(1).clamp(0, STREAK_BONUS_MAX / STREAK_STEP) * STREAK_STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORRECT: Judgement = Judgement::Correct;

    #[test]
    fn a_rule_is_found_by_its_id_only() {
        assert_eq!(Rule::from_id("speed-v1"), Some(Rule::SpeedV1));
        for id in ["", "speed", "speed-v2", "Speed-v1", "speed-v1 "] {
            assert_eq!(Rule::from_id(id), None, "{id}");
        }
    }

    #[test]
    fn speed_pays_as_published() {
        for (elapsed_us, limit_us, points_max, points) in [
            (2_000_000, 30_000_000, 1000, 967),
            (0, 30_000_000, 1000, 1000),
            (499_999, 1_000_000, 1000, 1000),
            (500_000, 1_000_000, 1000, 750),
            (30_000_000, 30_000_000, 1000, 500),
            (31_000_000, 30_000_000, 1000, 500),
            (-5, 30_000_000, 2000, 2000),
            (2_000_000, 30_000_000, 0, 0),
            // 1000 × (2T − t)/2T = 999.5: the half goes up.
            (1_000_000, 1_000_000_000, 1000, 1000),
            (1_000_001, 1_000_000_000, 1000, 999),
        ] {
            let paid = Rule::SpeedV1.points(CORRECT, elapsed_us, limit_us, points_max);
            assert_eq!(paid, points, "{elapsed_us} of {limit_us} at {points_max}");
        }
    }

    #[test]
    fn partial_credit_pays_its_fraction_and_wrong_nothing() {
        let pay = |judgement| Rule::SpeedV1.points(judgement, 2_000_000, 30_000_000, 1000);
        assert_eq!(pay(Judgement::Partial { earned: 1, possible: 2 }), 484);
        assert_eq!(pay(Judgement::Partial { earned: 2, possible: 3 }), 645);
        assert_eq!(pay(Judgement::Wrong), 0);
        assert_eq!(pay(Judgement::Counted), 0);
        assert_eq!(pay(Judgement::Misfit), 0);
    }

    #[test]
    fn a_streak_pays_from_the_second_on_and_is_capped() {
        let bonuses: Vec<i32> = (0..9).map(streak_bonus).collect();
        assert_eq!(bonuses, [0, 0, 100, 200, 300, 400, 500, 500, 500]);
        assert_eq!(streak_bonus(i32::MAX), 500);
        assert_eq!(streak_bonus(i32::MIN), 0);
    }
}
