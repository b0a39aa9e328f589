//! A quiz made by a seed: every kind of question, so that every way of judging is exercised.

use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz};

use crate::client::choices::Dice;

/// The kinds, in the order in which they come round.
const KINDS: [QuestionKind; 7] = [
    QuestionKind::Single,
    QuestionKind::Multiple,
    QuestionKind::TrueFalse,
    QuestionKind::Text,
    QuestionKind::Number,
    QuestionKind::Order,
    QuestionKind::Poll,
];

/// A quiz of `questions` questions with `limit_ms` each.
#[must_use]
pub fn made(seed: u64, questions: u16, limit_ms: i32) -> Quiz {
    let questions = (0..questions).map(|no| question(seed, no, limit_ms)).collect();
    Quiz { id: format!("load-{seed}"), version: 1, title: format!("Load {seed}"), questions }
}

fn question(seed: u64, no: u16, limit_ms: i32) -> Question {
    let mut dice = Dice::new(seed, u32::MAX, no);
    let kind = KINDS[usize::from(no) % KINDS.len()];
    let count = match kind {
        QuestionKind::TrueFalse => 2,
        QuestionKind::Text | QuestionKind::Number => 0,
        _ => 3 + dice.below(3) as u8,
    };
    let key = key(kind, count, &mut dice);
    let options = (0..count).map(|option| format!("option {option} of {}", no + 1)).collect();
    let prompt = format!("Question {} of seed {seed}", no + 1);
    let points_max = if kind == QuestionKind::Poll { 0 } else { 1000 };
    Question { kind, prompt, options, key, points_max, limit_ms, explanation: None }
}

fn key(kind: QuestionKind, options: u8, dice: &mut Dice) -> AnswerKey {
    let picks = |items: &[u8]| Picks::new(items).expect("there are few options");
    match kind {
        QuestionKind::Multiple => {
            let mut right: Vec<u8> = (0..options).filter(|_| dice.below(2) == 0).collect();
            if right.is_empty() {
                right.push(dice.below(u64::from(options)) as u8);
            }
            AnswerKey::Multiple { options, correct: picks(&right) }
        }
        QuestionKind::Text => AnswerKey::Text { accepted: vec![format!("word {}", dice.below(40)), "anything".into()] },
        QuestionKind::Number => AnswerKey::Number { value: dice.below(1_000) as f64, tolerance: 5.0 },
        QuestionKind::Order => {
            let mut order: Vec<u8> = (0..options).collect();
            for at in (1..order.len()).rev() {
                order.swap(at, dice.below(at as u64 + 1) as usize);
            }
            AnswerKey::Order { correct: picks(&order) }
        }
        QuestionKind::Poll => AnswerKey::Poll { options },
        _ => AnswerKey::Single { options, correct: Picks::one(dice.below(u64::from(options)) as u8) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_made_quiz_can_be_played_and_comes_of_its_seed() {
        for seed in 0..200 {
            let quiz = made(seed, 14, 5_000);
            assert_eq!(quiz_game::quiz::validate(&quiz), Ok(()), "seed {seed}");
            assert_eq!(quiz, made(seed, 14, 5_000));
        }
        assert_ne!(made(1, 14, 5_000).questions, made(2, 14, 5_000).questions);
    }
}
