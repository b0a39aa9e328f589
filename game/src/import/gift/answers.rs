//! What stands in the braces.

use super::text::{self, Ch, Markup};
use super::{Bad, bad};
use quiz_schemas::quiz::{AnswerKey, OPTIONS_MAX, Picks, QuestionKind};

pub(super) struct Answers {
    pub(super) kind: QuestionKind,
    pub(super) options: Vec<String>,
    pub(super) key: AnswerKey,
    pub(super) explanation: Option<String>,
}

/// One answer behind `=` or `~`.
struct Choice<'a> {
    line: usize,
    /// What it is worth, percent.
    weight: f64,
    text: &'a [Ch],
}

impl Choice<'_> {
    fn is_right(&self) -> bool {
        self.weight >= 100.0
    }

    fn is_partly_right(&self) -> bool {
        self.weight > 0.0 && !self.is_right()
    }
}

const PARTLY: &str = "an answer that is worth a part of the points is not read beside a right one";

/// Reads what stands in the braces that open on `line`.
pub(super) fn read(body: &[Ch], markup: Markup, line: usize) -> Result<Answers, Bad> {
    let (body, explanation) = match text::find(body, "####") {
        Some(at) => (&body[..at], text::shown(&body[at + 4..], markup)),
        None => (body, String::new()),
    };
    let body = text::trim(body);
    let (kind, options, key) = kind_and_key(body, markup, line)?;
    Ok(Answers { kind, options, key, explanation: (!explanation.is_empty()).then_some(explanation) })
}

type Key = (QuestionKind, Vec<String>, AnswerKey);

fn kind_and_key(body: &[Ch], markup: Markup, line: usize) -> Result<Key, Bad> {
    let line = body.first().map_or(line, |first| first.line);
    if body.is_empty() {
        return bad(line, "an essay cannot be judged");
    }
    if text::starts_with(body, "#") {
        return number(&body[1..], line);
    }
    if let Some(right) = true_or_false(body) {
        let options = vec!["True".to_owned(), "False".to_owned()];
        let key = AnswerKey::Single { options: 2, correct: Picks::one(right) };
        return Ok((QuestionKind::TrueFalse, options, key));
    }
    let has_wrong = text::find(body, "~").is_some();
    if !has_wrong && text::find(body, "->").is_some() {
        return bad(line, "matching pairs are not read");
    }
    let choices = choices(body)?;
    if has_wrong { picked(&choices, markup, line) } else { typed(&choices, markup, line) }
}

fn true_or_false(body: &[Ch]) -> Option<u8> {
    match text::shown(text::until(body, "#"), Markup::Plain).to_ascii_uppercase().as_str() {
        "T" | "TRUE" => Some(0),
        "F" | "FALSE" => Some(1),
        _ => None,
    }
}

fn choices(body: &[Ch]) -> Result<Vec<Choice<'_>>, Bad> {
    let is_marker = |ch: &Ch| !ch.escaped && matches!(ch.c, '=' | '~');
    let mut choices = Vec::new();
    let mut rest = body;
    match rest.iter().position(is_marker) {
        Some(0) => {}
        Some(_) => return bad(body[0].line, "there is a text before the first \"=\" or \"~\""),
        None => return bad(body[0].line, "no answer is marked by \"=\" or \"~\""),
    }
    while let Some((marker, behind)) = rest.split_first() {
        let end = behind.iter().position(is_marker).unwrap_or(behind.len());
        let (own, next) = behind.split_at(end);
        rest = next;
        // Some write "~=" for a right choice.
        if own.is_empty() && marker.c == '~' && !next.is_empty() {
            continue;
        }
        let (weight, own) = text::weight(own);
        let weight = weight.unwrap_or(if marker.c == '=' { 100.0 } else { 0.0 });
        choices.push(Choice { line: marker.line, weight, text: text::until(own, "#") });
    }
    Ok(choices)
}

/// Choices: one right, any of several right, or all of those with a weight.
fn picked(choices: &[Choice<'_>], markup: Markup, line: usize) -> Result<Key, Bad> {
    if choices.len() > OPTIONS_MAX {
        return bad(line, format!("there are {} options, at most {OPTIONS_MAX} are allowed", choices.len()));
    }
    let places = |is: fn(&Choice<'_>) -> bool| -> Vec<u8> {
        choices.iter().enumerate().filter(|(_, choice)| is(choice)).map(|(at, _)| at as u8).collect()
    };
    let (right, partly) = (places(|choice| choice.is_right()), places(|choice| choice.is_partly_right()));
    let picks = |places: &[u8]| Picks::new(places).expect("no more places than options");
    let options = choices.len() as u8;
    let (kind, key) = match (right.len(), partly.len()) {
        (0, 0) => return bad(line, "no option is marked as right by \"=\""),
        (_, 0) => (QuestionKind::Single, AnswerKey::Single { options, correct: picks(&right) }),
        (0, 1) => return bad(line, "the only right option is worth a part of the points"),
        (0, _) => (QuestionKind::Multiple, AnswerKey::Multiple { options, correct: picks(&partly) }),
        _ => return bad(choices[usize::from(partly[0])].line, PARTLY),
    };
    Ok((kind, choices.iter().map(|choice| text::shown(choice.text, markup)).collect(), key))
}

/// A short answer: any of the variants is right.
fn typed(choices: &[Choice<'_>], markup: Markup, line: usize) -> Result<Key, Bad> {
    if let Some(partly) = choices.iter().find(|choice| choice.is_partly_right()) {
        return bad(partly.line, PARTLY);
    }
    let right: Vec<&Choice<'_>> = choices.iter().filter(|choice| choice.is_right()).collect();
    if let Some(wild) = right.iter().find(|choice| choice.text.iter().any(|ch| ch.c == '*')) {
        return bad(wild.line, "an answer with \"*\" for any text is not read");
    }
    if right.is_empty() {
        return bad(line, "no answer is right");
    }
    let accepted = right.iter().map(|choice| text::shown(choice.text, markup)).collect();
    Ok((QuestionKind::Text, Vec::new(), AnswerKey::Text { accepted }))
}

fn number(body: &[Ch], line: usize) -> Result<Key, Bad> {
    let body = text::trim(body);
    let several = text::starts_with(body, "=") || text::starts_with(body, "~");
    let choices =
        if several { choices(body)? } else { vec![Choice { line, weight: 100.0, text: text::until(body, "#") }] };
    if let Some(partly) = choices.iter().find(|choice| choice.is_partly_right()) {
        return bad(partly.line, PARTLY);
    }
    let mut right = choices.iter().filter(|choice| choice.is_right());
    let (Some(only), None) = (right.next(), right.next()) else {
        return bad(line, "exactly one number, or one range, must be right");
    };
    let text: String = text::trim(only.text).iter().map(|ch| ch.c).collect();
    let key = interval(&text).ok_or_else(|| (only.line, format!("{text:?} is not a number or a range of numbers")))?;
    Ok((QuestionKind::Number, Vec::new(), key))
}

/// `3`, `3:0.2` or `1..5`.
fn interval(text: &str) -> Option<AnswerKey> {
    let parse = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    if let Some((from, to)) = text.split_once("..") {
        let (from, to) = (parse(from)?, parse(to)?);
        let value = from / 2.0 + to / 2.0;
        // Rounding may have moved the middle: both ends are inside all the same.
        let tolerance = (to - value).max(value - from);
        return (from <= to).then_some(AnswerKey::Number { value, tolerance });
    }
    let (value, tolerance) = text.split_once(':').unwrap_or((text, "0"));
    Some(AnswerKey::Number { value: parse(value)?, tolerance: parse(tolerance)? })
}
