//! Moodle GIFT: questions apart by blank lines, answers in braces.
//!
//! Read: choice, several right choices (`%50%`), true/false, short answer, number, the missing word.
//! Not read, and told: matching, essays, descriptions, and what is worth a part of the points beside
//! a right answer, since no kind of question here pays so. Feedback is dropped, but for that of the
//! whole question (`####`), which becomes the explanation.

mod answers;
mod text;

use super::collect::Collector;
use super::{LIMIT_MS_DEFAULT, Mark, POINTS_DEFAULT};
use quiz_schemas::quiz::Question;
use text::{Ch, Markup};

/// Why a question is not imported, and on which line.
type Bad = (usize, String);

/// The most characters of one question, answers and feedback included.
const BLOCK_CHARS_MAX: usize = 64 * 1024;

fn bad<T>(line: usize, reason: impl Into<String>) -> Result<T, Bad> {
    Err((line, reason.into()))
}

pub(super) fn read(text: &str, collector: &mut Collector) {
    let mut block = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with("//") || trimmed.to_ascii_uppercase().starts_with("$CATEGORY") {
            continue;
        }
        if !trimmed.is_empty() {
            // One character more says that it is too long; the rest of it is not kept.
            if block.len() <= BLOCK_CHARS_MAX {
                text::push_line(&mut block, line, at + 1, BLOCK_CHARS_MAX + 1);
            }
            continue;
        }
        if !read_block(&block, collector) {
            return;
        }
        block.clear();
    }
    read_block(&block, collector);
    collector.end();
}

/// Reads one question; false when no more are read.
fn read_block(block: &[Ch], collector: &mut Collector) -> bool {
    let Some(first) = text::trim(block).first() else { return true };
    let mark = Mark { line: first.line, column: None };
    if !collector.begin(mark) {
        return false;
    }
    if block.len() > BLOCK_CHARS_MAX {
        collector.problem(mark, format!("the question has more than {BLOCK_CHARS_MAX} characters"));
        return true;
    }
    match question(text::trim(block)) {
        Ok(question) => collector.question(mark, question),
        Err((line, reason)) => collector.problem(Mark { line, column: None }, reason),
    }
    true
}

fn question(block: &[Ch]) -> Result<Question, Bad> {
    let (markup, body) = text::markup(without_name(block)?);
    let line = block.first().map_or(1, |first| first.line);
    let parts = parts(body, line)?;
    let prompt = prompt(&parts, markup);
    let answers = answers::read(parts.answers, markup, parts.line)?;
    Ok(Question {
        kind: answers.kind,
        prompt,
        options: answers.options,
        key: answers.key,
        points_max: POINTS_DEFAULT,
        limit_ms: LIMIT_MS_DEFAULT,
        explanation: answers.explanation,
    })
}

/// The block without its `::name::`.
fn without_name(block: &[Ch]) -> Result<&[Ch], Bad> {
    if !text::starts_with(block, "::") {
        return Ok(block);
    }
    match text::find(&block[2..], "::") {
        Some(end) => Ok(&block[2 + end + 2..]),
        None => bad(block[0].line, "the question's name is not closed by \"::\""),
    }
}

/// What stands before, in and behind the braces, which open on `line`.
struct Parts<'a> {
    before: &'a [Ch],
    line: usize,
    answers: &'a [Ch],
    after: &'a [Ch],
}

fn parts(body: &[Ch], line: usize) -> Result<Parts<'_>, Bad> {
    let Some(open) = text::find(body, "{") else {
        let closed = text::find(body, "}").map(|at| body[at].line);
        return match closed {
            Some(line) => bad(line, "a brace is closed that was not opened"),
            None => bad(line, "there are no answers in braces: a description is not a question"),
        };
    };
    let (before, rest) = (&body[..open], &body[open + 1..]);
    if let Some(at) = text::find(before, "}") {
        return bad(before[at].line, "a brace is closed that was not opened");
    }
    let Some(close) = text::find(rest, "}") else {
        return bad(body[open].line, "the braces are not closed before the next blank line");
    };
    let (answers, after) = (&rest[..close], &rest[close + 1..]);
    if let Some(at) = text::find(answers, "{") {
        return bad(answers[at].line, "a brace is opened inside of braces");
    }
    if let Some(again) = after.iter().find(|ch| !ch.escaped && matches!(ch.c, '{' | '}')) {
        return bad(again.line, "there are braces behind the answers");
    }
    Ok(Parts { before, line: body[open].line, answers, after })
}

/// The prompt; answers in its middle are a gap to fill.
fn prompt(parts: &Parts<'_>, markup: Markup) -> String {
    let (before, after) = (text::shown(parts.before, markup), text::shown(parts.after, markup));
    if after.is_empty() {
        return before;
    }
    let space = if after.starts_with(char::is_alphanumeric) { " " } else { "" };
    format!("{before} _____{space}{after}").trim_start().to_owned()
}
