//! What each bot answers, and when: a function of the seed, the bot and the question alone.

use std::time::Duration;

use quiz_schemas::quiz::{AnswerKey, Picks, Question, Response};

/// The share of answers that a bot gets right, percent, from the dullest to the brightest.
const SKILL_PERCENT: std::ops::Range<u64> = 25..95;
/// The longest that a bot thinks, ms, however long the question's limit.
const THINK_MS_MAX: u64 = 1_800;
const THINK_MS_MIN: u64 = 120;

/// A stream of numbers that depends on nothing but its seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// A stream for one bot and question of a seeded run.
    pub fn new(seed: u64, bot: u32, question: u16) -> Self {
        let mut dice = Self(seed ^ (u64::from(bot) << 32) ^ (u64::from(question) << 16) ^ 0x9e37_79b9);
        dice.roll();
        dice
    }

    /// The next number of the stream.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    /// A number from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        self.below(1 << 24) as f64 / f64::from(1 << 24)
    }
}

/// A bot's answer to a question.
#[derive(Clone, PartialEq, Debug)]
pub struct Choice {
    /// What it answers.
    pub response: Response,
    /// How long it thinks first.
    pub think: Duration,
    /// The low 63 bits name the submission.
    pub submission_bits: u64,
}

/// What `bot` answers to `question`.
pub fn choose(seed: u64, bot: u32, no: u16, question: &Question) -> Choice {
    let mut dice = Dice::new(seed, bot, no);
    let skill = SKILL_PERCENT.start + Dice::new(seed, bot, u16::MAX).below(SKILL_PERCENT.end - SKILL_PERCENT.start);
    let right = dice.below(100) < skill;
    let response =
        if right { right_response(&question.key, &mut dice) } else { some_response(&question.key, &mut dice) };
    let think_ms_max = THINK_MS_MAX.min(u64::try_from(question.limit_ms).unwrap_or(0) / 2);
    let think = Duration::from_millis(THINK_MS_MIN + dice.below(think_ms_max.saturating_sub(THINK_MS_MIN)));
    Choice { response, think, submission_bits: dice.roll() }
}

fn picks(items: &[u8]) -> Response {
    Response::Picks(Picks::new(items).expect("a question has at most 12 options"))
}

fn right_response(key: &AnswerKey, dice: &mut Dice) -> Response {
    match key {
        AnswerKey::Single { correct, .. } => {
            let of = correct.as_slice();
            picks(&[of[dice.below(of.len() as u64) as usize]])
        }
        AnswerKey::Multiple { correct, .. } | AnswerKey::Order { correct } => Response::Picks(*correct),
        AnswerKey::Text { accepted } => Response::Text(accepted[dice.below(accepted.len() as u64) as usize].clone()),
        AnswerKey::Number { value, .. } => Response::Number(*value),
        AnswerKey::Poll { options } => picks(&[dice.below(u64::from(*options)) as u8]),
    }
}

fn some_response(key: &AnswerKey, dice: &mut Dice) -> Response {
    match key {
        AnswerKey::Single { options, .. } | AnswerKey::Poll { options } => {
            picks(&[dice.below(u64::from(*options)) as u8])
        }
        AnswerKey::Multiple { options, .. } => {
            let mut items: Vec<u8> = (0..*options).filter(|_| dice.below(2) == 0).collect();
            if items.is_empty() {
                items.push(dice.below(u64::from(*options)) as u8);
            }
            picks(&items)
        }
        AnswerKey::Order { correct } => {
            let mut items = correct.as_slice().to_vec();
            for at in (1..items.len()).rev() {
                items.swap(at, dice.below(at as u64 + 1) as usize);
            }
            picks(&items)
        }
        AnswerKey::Text { .. } => Response::Text(format!("guess {}", dice.below(40))),
        AnswerKey::Number { value, .. } => Response::Number(value + dice.below(40) as f64 - 20.0),
    }
}

/// A name for a bot; unique, for the number is in it.
pub fn nickname(bot: u32) -> String {
    const FIRST: [&str; 16] = [
        "Amber", "Brave", "Calm", "Daring", "Eager", "Fuzzy", "Gentle", "Happy", "Icy", "Jolly", "Keen", "Lucky",
        "Mellow", "Noble", "Quick", "Witty",
    ];
    const SECOND: [&str; 16] = [
        "Otter", "Panda", "Lynx", "Heron", "Koala", "Falcon", "Gecko", "Badger", "Fox", "Tapir", "Newt", "Puffin",
        "Raven", "Seal", "Toad", "Wren",
    ];
    let first = FIRST[(bot % 16) as usize];
    let second = SECOND[((bot / 16 + bot) % 16) as usize];
    format!("{first} {second} {bot}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quiz_schemas::quiz::QuestionKind;

    #[test]
    fn the_same_seed_makes_the_same_choices_and_another_makes_others() {
        let question = Question {
            kind: QuestionKind::Single,
            prompt: "?".into(),
            options: vec!["a".into(), "b".into(), "c".into(), "d".into()],
            key: AnswerKey::Single { options: 4, correct: Picks::one(1) },
            points_max: 1000,
            limit_ms: 8_000,
            explanation: None,
        };
        let all = |seed| (0..500).map(|bot| choose(seed, bot, 3, &question)).collect::<Vec<_>>();
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
        let right = all(1).iter().filter(|choice| choice.response == Response::Picks(Picks::one(1))).count();
        assert!((250..420).contains(&right), "{right} of 500 are right");
        assert!(all(1).iter().all(|choice| choice.think <= Duration::from_millis(THINK_MS_MAX)));
    }

    #[test]
    fn nicknames_are_unique() {
        let names: std::collections::HashSet<_> = (0..5_000).map(nickname).collect();
        assert_eq!(names.len(), 5_000);
    }
}
