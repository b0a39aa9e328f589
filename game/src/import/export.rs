//! Questions to our own format.

use super::author::KINDS;
use quiz_schemas::quiz::{AnswerKey, Question, QuestionKind};
use std::fmt::Write;

/// The questions as a YAML text that [`super::import`] reads back to the same. Questions that cannot
/// be played are written as they are, and are told as problems when they are read.
#[must_use]
pub fn export_yaml(title: Option<&str>, questions: &[Question]) -> String {
    let mut out = String::new();
    if let Some(title) = title {
        line(&mut out, "", "title", &quoted(title));
    }
    out.push_str("questions:\n");
    if questions.is_empty() {
        out.push_str("  []\n");
    }
    for question in questions {
        export_question(&mut out, question);
    }
    out
}

fn export_question(out: &mut String, question: &Question) {
    let kind = KINDS.iter().find(|(_, kind)| *kind == question.kind).map_or("unknown", |(word, _)| word);
    line(out, "  - ", "type", kind);
    let mut field = |name: &str, value: &str| line(out, "    ", name, value);
    field("prompt", &quoted(&question.prompt));
    if !question.options.is_empty() {
        field("options", &list(question.options.iter().map(String::as_str)));
    }
    if let Some(answer) = answer(question) {
        field("answer", &answer);
    }
    if let AnswerKey::Number { tolerance, .. } = question.key
        && tolerance != 0.0
    {
        field("tolerance", &tolerance.to_string());
    }
    if question.kind != QuestionKind::Poll {
        field("points", &(question.points_max / 1_000).to_string());
    }
    field("seconds", &(f64::from(question.limit_ms) / 1_000.0).to_string());
    if let Some(explanation) = &question.explanation {
        field("explanation", &quoted(explanation));
    }
}

fn answer(question: &Question) -> Option<String> {
    match &question.key {
        AnswerKey::Single { correct, .. } | AnswerKey::Multiple { correct, .. } | AnswerKey::Order { correct } => {
            let right = correct.as_slice().iter().filter_map(|&at| question.options.get(usize::from(at)));
            let right: Vec<&str> = right.map(String::as_str).collect();
            let alone = question.kind == QuestionKind::Single || question.kind == QuestionKind::TrueFalse;
            Some(match right.as_slice() {
                [only] if alone => quoted(only),
                several => list(several.iter().copied()),
            })
        }
        AnswerKey::Text { accepted } => Some(list(accepted.iter().map(String::as_str))),
        AnswerKey::Number { value, .. } => Some(value.to_string()),
        AnswerKey::Poll { .. } => None,
    }
}

fn line(out: &mut String, indent: &str, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{indent}{name}: {value}");
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(quoted).collect();
    format!("[{}]", items.join(", "))
}

/// A double-quoted YAML text on one line, which is the same in JSON.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // What YAML does not print, or takes for a line end or a byte order mark.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
