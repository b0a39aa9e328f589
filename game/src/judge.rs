//! Judging a response against an answer key.
//!
//! Whether a response *fits* depends on the kind of question and the number of options alone, so an
//! edge, which has no key (I8), tells a player of a misfit by the same code that a lane refuses it by.

mod fold;

use quiz_schemas::quiz::{AnswerKey, OPTIONS_MAX, Picks, QuestionKind, Response};

pub use fold::fold;

/// The longest text that is an answer, or an accepted variant, in characters.
pub const TEXT_CHARS_MAX: usize = 200;
/// The most variants that one text key accepts.
pub const ACCEPTED_MAX: usize = 50;

/// How a response stands to the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Judgement {
    /// Right.
    Correct,
    /// Some of it right: `0 < earned < possible`.
    Partial {
        /// What was earned.
        earned: u8,
        /// What a right answer earns.
        possible: u8,
    },
    /// Wrong.
    Wrong,
    /// A vote in a poll: neither right nor wrong.
    Counted,
    /// It is no answer to such a question: an option out of range or picked twice, no pick, a text
    /// for a number, a text that is blank or too long, a number that is none.
    Misfit,
}

/// Why an answer key cannot be judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadKey {
    /// Not 2 to [`OPTIONS_MAX`] options.
    #[error("the key has {0} options, not 2 to 12")]
    Options(usize),
    /// No right option, one out of range, or one named twice.
    #[error("the right options are none, out of range or named twice")]
    Correct,
    /// The right order is not a permutation of the options.
    #[error("the right order is not a permutation of the options")]
    Order,
    /// No accepted text, or more than [`ACCEPTED_MAX`].
    #[error("the key accepts {0} texts, not 1 to 50")]
    Accepted(usize),
    /// An accepted text that is blank, or longer than [`TEXT_CHARS_MAX`].
    #[error("an accepted text is blank or has more than 200 characters")]
    AcceptedText,
    /// A value or tolerance that is not finite, or a tolerance below 0.
    #[error("the value or its tolerance is not a number to compare with")]
    Number,
}

/// Whether `response` is an answer to a question of `kind` with `options` options, right or wrong.
#[must_use]
pub fn fits(kind: QuestionKind, options: usize, response: &Response) -> bool {
    match (kind, response) {
        (QuestionKind::Single | QuestionKind::TrueFalse | QuestionKind::Poll, Response::Picks(picks)) => {
            picks.as_slice().len() == 1 && mask(*picks, options).is_some()
        }
        (QuestionKind::Multiple, Response::Picks(picks)) => mask(*picks, options).is_some_and(|mask| mask != 0),
        (QuestionKind::Order, Response::Picks(picks)) => is_permutation(*picks, options),
        (QuestionKind::Text, Response::Text(text)) => fold_response(text).is_some(),
        (QuestionKind::Number, Response::Number(number)) => number.is_finite(),
        _ => false,
    }
}

/// Judges one response. To judge many against the same key, prepare it once: [`PreparedKey`].
/// A key that cannot be judged by fits no response.
#[must_use]
pub fn judge(key: &AnswerKey, response: &Response) -> Judgement {
    PreparedKey::new(key).map_or(Judgement::Misfit, |prepared| prepared.judge(response))
}

/// An answer key, checked, with all that judging needs of it worked out.
#[derive(Clone, PartialEq, Debug)]
pub struct PreparedKey(Prepared);

#[derive(Clone, PartialEq, Debug)]
enum Prepared {
    Single { options: usize, correct: OptionSet },
    Multiple { options: usize, correct: OptionSet },
    Text { accepted: Vec<String> },
    Number { value: f64, tolerance: f64 },
    Order { correct: Picks },
    Poll { options: usize },
}

/// A set of options, one bit for each.
type OptionSet = u16;

impl PreparedKey {
    /// Checks and prepares a key.
    ///
    /// # Errors
    /// When no response could be judged by it.
    pub fn new(key: &AnswerKey) -> Result<Self, BadKey> {
        Ok(Self(match key {
            AnswerKey::Single { options, correct } => {
                let options = options_of(*options)?;
                Prepared::Single { options, correct: correct_of(*correct, options)? }
            }
            AnswerKey::Multiple { options, correct } => {
                let options = options_of(*options)?;
                Prepared::Multiple { options, correct: correct_of(*correct, options)? }
            }
            AnswerKey::Text { accepted } => Prepared::Text { accepted: accepted_of(accepted)? },
            AnswerKey::Number { value, tolerance } => {
                if !value.is_finite() || !tolerance.is_finite() || *tolerance < 0.0 {
                    return Err(BadKey::Number);
                }
                Prepared::Number { value: *value, tolerance: *tolerance }
            }
            AnswerKey::Order { correct } => {
                let options = correct.as_slice().len();
                if options < 2 {
                    return Err(BadKey::Options(options));
                }
                if !is_permutation(*correct, options) {
                    return Err(BadKey::Order);
                }
                Prepared::Order { correct: *correct }
            }
            AnswerKey::Poll { options } => Prepared::Poll { options: options_of(*options)? },
        }))
    }

    /// How many options are counted in a distribution: none for a text, a number or an order.
    #[must_use]
    pub fn counted_options(&self) -> usize {
        match self.0 {
            Prepared::Single { options, .. } | Prepared::Multiple { options, .. } | Prepared::Poll { options } => {
                options
            }
            Prepared::Text { .. } | Prepared::Number { .. } | Prepared::Order { .. } => 0,
        }
    }

    /// Whether no answer is right or wrong.
    #[must_use]
    pub fn is_poll(&self) -> bool {
        matches!(self.0, Prepared::Poll { .. })
    }

    /// Judges a response.
    #[must_use]
    pub fn judge(&self, response: &Response) -> Judgement {
        self.judge_fitting(response).unwrap_or(Judgement::Misfit)
    }

    /// None for a misfit.
    fn judge_fitting(&self, response: &Response) -> Option<Judgement> {
        Some(match (&self.0, response) {
            (Prepared::Single { options, correct }, Response::Picks(picks)) => {
                right_or_wrong(one(*picks, *options)? & correct != 0)
            }
            (Prepared::Poll { options }, Response::Picks(picks)) => {
                one(*picks, *options)?;
                Judgement::Counted
            }
            (Prepared::Multiple { options, correct }, Response::Picks(picks)) => {
                let picked = mask(*picks, *options).filter(|picked| *picked != 0)?;
                let right = (picked & correct).count_ones() as u8;
                let wrong = (picked & !correct).count_ones() as u8;
                credit(right.saturating_sub(wrong), correct.count_ones() as u8)
            }
            (Prepared::Order { correct }, Response::Picks(picks)) => {
                let possible = correct.as_slice().len();
                if !is_permutation(*picks, possible) {
                    return None;
                }
                let in_place = picks.as_slice().iter().zip(correct.as_slice()).filter(|(ours, right)| ours == right);
                credit(in_place.count() as u8, possible as u8)
            }
            (Prepared::Text { accepted }, Response::Text(text)) => {
                let folded = fold_response(text)?;
                right_or_wrong(accepted.contains(&folded))
            }
            (Prepared::Number { value, tolerance }, Response::Number(number)) => {
                if !number.is_finite() {
                    return None;
                }
                right_or_wrong(is_near(*number, *value, *tolerance))
            }
            _ => return None,
        })
    }
}

fn right_or_wrong(right: bool) -> Judgement {
    if right { Judgement::Correct } else { Judgement::Wrong }
}

fn credit(earned: u8, possible: u8) -> Judgement {
    match earned {
        0 => Judgement::Wrong,
        _ if earned == possible => Judgement::Correct,
        _ => Judgement::Partial { earned, possible },
    }
}

/// The picks as a set; none when one is out of range or picked twice.
fn mask(picks: Picks, options: usize) -> Option<OptionSet> {
    let mut mask: OptionSet = 0;
    for &pick in picks.as_slice() {
        if usize::from(pick) >= options.min(OPTIONS_MAX) || mask & (1 << pick) != 0 {
            return None;
        }
        mask |= 1 << pick;
    }
    Some(mask)
}

/// The only pick as a set.
fn one(picks: Picks, options: usize) -> Option<OptionSet> {
    if picks.as_slice().len() == 1 { mask(picks, options) } else { None }
}

fn is_permutation(picks: Picks, options: usize) -> bool {
    options > 0 && picks.as_slice().len() == options && mask(picks, options).is_some()
}

fn options_of(options: u8) -> Result<usize, BadKey> {
    let options = usize::from(options);
    if (2..=OPTIONS_MAX).contains(&options) { Ok(options) } else { Err(BadKey::Options(options)) }
}

fn correct_of(correct: Picks, options: usize) -> Result<OptionSet, BadKey> {
    mask(correct, options).filter(|mask| *mask != 0).ok_or(BadKey::Correct)
}

fn accepted_of(accepted: &[String]) -> Result<Vec<String>, BadKey> {
    if accepted.is_empty() || accepted.len() > ACCEPTED_MAX {
        return Err(BadKey::Accepted(accepted.len()));
    }
    accepted.iter().map(|text| fold_response(text).ok_or(BadKey::AcceptedText)).collect()
}

/// The text as it is compared; none when it is too long, or nothing is left of it.
fn fold_response(text: &str) -> Option<String> {
    // No text of so few characters has more bytes: the length of a hostile one is not even counted.
    if text.len() > TEXT_CHARS_MAX * 4 || text.chars().count() > TEXT_CHARS_MAX {
        return None;
    }
    let folded = fold(text);
    if folded.is_empty() { None } else { Some(folded) }
}

/// Numbers are typed in decimal: 0.8 is 0.7 ± 0.1 although the nearest binary fractions are further
/// apart. So a tolerance has a slack of a few units in the last place; without a tolerance the
/// numbers must be the same.
fn is_near(number: f64, value: f64, tolerance: f64) -> bool {
    if tolerance == 0.0 {
        return number == value;
    }
    let slack = 4.0 * f64::EPSILON * number.abs().max(value.abs()).max(tolerance);
    (number - value).abs() <= tolerance + slack
}
