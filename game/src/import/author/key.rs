//! The options of a question and its right answer.

use super::fields::Fields;
use crate::import::node::{Node, Value};
use crate::judge::fold;
use quiz_schemas::quiz::{AnswerKey, OPTIONS_MAX, Picks, QuestionKind};

/// Options and key of a question of `kind`; none when something is wrong, which is noted then.
pub(super) fn read(fields: &mut Fields<'_>, kind: QuestionKind) -> Option<(Vec<String>, AnswerKey)> {
    if kind != QuestionKind::Number {
        fields.unexpected("tolerance", "only a number question has a tolerance");
    }
    match kind {
        QuestionKind::Text | QuestionKind::Number => {
            fields.unexpected("options", "this type of question has no options");
            let key = if kind == QuestionKind::Text { text(fields) } else { number(fields) };
            key.map(|key| (Vec::new(), key))
        }
        QuestionKind::Poll => {
            fields.unexpected("answer", "a poll has no right answer");
            let options = options(fields)?;
            let key = AnswerKey::Poll { options: options.len() as u8 };
            Some((options, key))
        }
        QuestionKind::TrueFalse => true_false(fields),
        QuestionKind::Single | QuestionKind::Multiple | QuestionKind::Order | QuestionKind::Unknown => {
            picked(fields, kind)
        }
    }
}

fn options(fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let node = fields.required("options")?;
    if !matches!(node.value, Value::List(_)) {
        fields.wrong(node.mark, "options must be a list".to_owned());
        return None;
    }
    let options: Vec<String> = fields.scalars(node)?.into_iter().map(|(_, text)| text).collect();
    if options.len() > OPTIONS_MAX {
        fields.wrong(node.mark, format!("there are {} options, at most {OPTIONS_MAX} are allowed", options.len()));
        return None;
    }
    Some(options)
}

fn picked(fields: &mut Fields<'_>, kind: QuestionKind) -> Option<(Vec<String>, AnswerKey)> {
    let options = options(fields);
    let answer = fields.required("answer")?;
    let options = options?;
    let mut right: Vec<u8> = Vec::new();
    for (node, text) in fields.scalars(answer)? {
        match place(node, &text, &options) {
            Ok(place) if right.contains(&place) => {
                fields.wrong(node.mark, format!("the answer names {text:?} twice"));
                return None;
            }
            Ok(place) => right.push(place),
            Err(reason) => {
                fields.wrong(node.mark, reason);
                return None;
            }
        }
    }
    if kind == QuestionKind::Order && right.len() != options.len() {
        fields.wrong(answer.mark, "the answer must name every option, in the right order".to_owned());
        return None;
    }
    if kind != QuestionKind::Order {
        right.sort_unstable();
    }
    // No more than the options, of which there are few enough.
    let correct = Picks::new(&right).ok()?;
    let count = options.len() as u8;
    let key = match kind {
        QuestionKind::Order => AnswerKey::Order { correct },
        QuestionKind::Multiple => AnswerKey::Multiple { options: count, correct },
        _ => AnswerKey::Single { options: count, correct },
    };
    Some((options, key))
}

/// The index of the option that an answer names: by its text, else by its text without regard to
/// case, else by its place from 1.
fn place(node: &Node, text: &str, options: &[String]) -> Result<u8, String> {
    if let Some(at) = options.iter().position(|option| option == text) {
        return Ok(at as u8);
    }
    let folded = fold(text);
    let mut alike = options.iter().enumerate().filter(|(_, option)| fold(option) == folded);
    if let (Some((at, _)), None) = (alike.next(), alike.next()) {
        return Ok(at as u8);
    }
    let is_number = matches!(node.value, Value::Scalar { quoted: false, .. });
    match text.parse::<usize>() {
        Ok(place) if is_number && (1..=options.len()).contains(&place) => Ok(place as u8 - 1),
        _ => Err(format!("the answer {text:?} is none of the options")),
    }
}

fn true_false(fields: &mut Fields<'_>) -> Option<(Vec<String>, AnswerKey)> {
    let options =
        if fields.get("options").is_some() { options(fields)? } else { vec!["True".to_owned(), "False".to_owned()] };
    let node = fields.required("answer")?;
    let text = fields.scalar(node)?;
    let word = match text.to_lowercase().as_str() {
        "true" | "yes" => Some(0),
        "false" | "no" => Some(1),
        _ => None,
    };
    match (place(node, &text, &options), word) {
        (Ok(right), _) | (Err(_), Some(right)) => {
            Some((options, AnswerKey::Single { options: 2, correct: Picks::one(right) }))
        }
        (Err(_), None) => {
            fields.wrong(node.mark, format!("the answer must be true or false, not {text:?}"));
            None
        }
    }
}

fn text(fields: &mut Fields<'_>) -> Option<AnswerKey> {
    let node = fields.required("answer")?;
    let accepted = fields.scalars(node)?.into_iter().map(|(_, text)| text).collect();
    Some(AnswerKey::Text { accepted })
}

fn number(fields: &mut Fields<'_>) -> Option<AnswerKey> {
    fields.required("answer")?;
    let value = fields.number("answer");
    let tolerance = fields.number("tolerance").map_or(0.0, |(_, tolerance)| tolerance);
    value.map(|(_, value)| AnswerKey::Number { value, tolerance })
}
