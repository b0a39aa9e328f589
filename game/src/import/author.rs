//! Our own format: from a tree to questions.

mod fields;
mod key;

use super::collect::{Collector, clean};
use super::node::{Node, Parsed, Value};
use super::{LIMIT_MS_DEFAULT, Mark, POINTS_DEFAULT};
use crate::quiz::TITLE_CHARS_MAX;
use fields::Fields;
use quiz_schemas::quiz::{Question, QuestionKind};

const ROOT_KEYS: [&str; 2] = ["title", "questions"];
const QUESTION_KEYS: [&str; 8] =
    ["type", "prompt", "options", "answer", "tolerance", "points", "seconds", "explanation"];

/// The words for the kinds of question.
pub(super) const KINDS: [(&str, QuestionKind); 7] = [
    ("single", QuestionKind::Single),
    ("multiple", QuestionKind::Multiple),
    ("true_false", QuestionKind::TrueFalse),
    ("text", QuestionKind::Text),
    ("number", QuestionKind::Number),
    ("order", QuestionKind::Order),
    ("poll", QuestionKind::Poll),
];

pub(super) fn read(parsed: Parsed, collector: &mut Collector) {
    match &parsed.root {
        Some(root) => read_root(root, collector),
        None if parsed.error.is_none() => {
            collector.problem(Mark { line: 1, column: None }, "the text is empty");
        }
        None => {}
    }
    if let Some((mark, reason)) = parsed.error {
        collector.problem(mark, reason);
    }
}

fn read_root(root: &Node, collector: &mut Collector) {
    let pairs = match &root.value {
        Value::List(questions) => return read_questions(questions, collector),
        Value::Map(pairs) => pairs,
        Value::Scalar { .. } | Value::Alias => {
            return collector.problem(root.mark, "a title and questions are expected");
        }
    };
    let mut fields = Fields::new(root.mark, pairs, &ROOT_KEYS);
    if let Some((mark, title)) = fields.text("title") {
        if title.chars().count() > TITLE_CHARS_MAX {
            fields.wrong(mark, format!("the title has more than {TITLE_CHARS_MAX} characters"));
        } else {
            collector.title(title);
        }
    }
    let questions = fields.required("questions");
    for (mark, reason) in fields.finish() {
        collector.problem(mark, reason);
    }
    match questions.map(|node| (node.mark, &node.value)) {
        Some((_, Value::List(questions))) => read_questions(questions, collector),
        Some((mark, _)) => collector.problem(mark, "questions must be a list"),
        None => {}
    }
}

fn read_questions(questions: &[Node], collector: &mut Collector) {
    for node in questions {
        if !collector.begin(node.mark) {
            break;
        }
        match read_question(node) {
            Ok(question) => collector.question(node.mark, question),
            Err(wrong) => {
                for (mark, reason) in wrong {
                    collector.problem(mark, reason);
                }
            }
        }
    }
    collector.end();
}

fn read_question(node: &Node) -> Result<Question, Vec<(Mark, String)>> {
    let Value::Map(pairs) = &node.value else {
        let reason = match node.value {
            Value::Alias => "an alias is not followed: write the question out",
            _ => "a question must have a type, a prompt and so on",
        };
        return Err(vec![(node.mark, reason.to_owned())]);
    };
    let mut fields = Fields::new(node.mark, pairs, &QUESTION_KEYS);
    let kind = read_kind(&mut fields);
    let prompt = fields.required_text("prompt").unwrap_or_default();
    let explanation = fields.text("explanation").map(|(_, text)| text).filter(|text| !text.is_empty());
    let points_max = read_points(&mut fields, kind);
    let limit_ms = read_limit_ms(&mut fields);
    // Without a kind nothing can be said of the options and the answer.
    let answer = kind.and_then(|kind| key::read(&mut fields, kind));
    let wrong = fields.finish();
    match (kind, answer) {
        (Some(kind), Some((options, key))) if wrong.is_empty() => {
            Ok(Question { kind, prompt, options, key, points_max, limit_ms, explanation })
        }
        _ => Err(wrong),
    }
}

fn read_kind(fields: &mut Fields<'_>) -> Option<QuestionKind> {
    let words = KINDS.map(|(word, _)| word);
    let node = fields.required("type")?;
    let word = fields.scalar(node)?;
    let kind = KINDS.iter().find(|(known, _)| *known == word).map(|&(_, kind)| kind);
    if kind.is_none() {
        let guess = fields::suggestion(&word, &words);
        fields.wrong(node.mark, format!("{word:?} is no type of question{guess}; there are {}", words.join(", ")));
    }
    kind
}

fn read_points(fields: &mut Fields<'_>, kind: Option<QuestionKind>) -> i32 {
    let default = if kind == Some(QuestionKind::Poll) { 0 } else { POINTS_DEFAULT };
    let Some((mark, number)) = fields.number("points") else { return default };
    match number {
        0.0 => 0,
        1.0 => 1_000,
        2.0 => 2_000,
        _ => {
            fields.wrong(mark, format!("points must be 0, 1 or 2 (times 1,000), not {number}"));
            default
        }
    }
}

fn read_limit_ms(fields: &mut Fields<'_>) -> i32 {
    let Some((_, seconds)) = fields.number("seconds") else { return LIMIT_MS_DEFAULT };
    // A cast saturates; what is out of range is told like that of any quiz.
    (seconds * 1_000.0).round() as i32
}

/// The text of a scalar node as it is shown.
fn shown(node: &Node) -> Option<String> {
    if let Value::Scalar { text, .. } = &node.value { Some(clean(text)) } else { None }
}
