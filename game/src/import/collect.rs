//! What was read so far, within bounds.

use super::{Imported, Mark, PROBLEMS_MAX, Problem, QUESTIONS_READ_MAX};
use crate::quiz::{self, QuizFlaw};
use quiz_schemas::quiz::{Question, Quiz};
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Collector {
    imported: Imported,
    /// Questions begun, good and bad.
    read: usize,
    /// The number of the question that is being read.
    current: Option<usize>,
    /// Prompt and options of each good question, with its number.
    seen: HashMap<(String, Vec<String>), usize>,
}

impl Collector {
    pub(super) fn title(&mut self, title: String) {
        self.imported.title = Some(title);
    }

    /// Begins a question; false when no more are read.
    pub(super) fn begin(&mut self, mark: Mark) -> bool {
        self.current = None;
        if self.read == QUESTIONS_READ_MAX {
            self.problem(mark, format!("only the first {QUESTIONS_READ_MAX} questions are read"));
            return false;
        }
        self.read += 1;
        self.current = Some(self.read);
        true
    }

    /// Ends the question: from here on problems are about the text.
    pub(super) fn end(&mut self) {
        self.current = None;
    }

    pub(super) fn problem(&mut self, mark: Mark, reason: impl Into<String>) {
        let reason = match self.imported.problems.len() {
            0..PROBLEMS_MAX => reason.into(),
            PROBLEMS_MAX => "there are more problems, which are not told".to_owned(),
            _ => return,
        };
        let problem = Problem { line: mark.line, column: mark.column, question: self.current, reason };
        self.imported.problems.push(problem);
    }

    /// Takes a question that was read without a problem, unless it cannot be played.
    pub(super) fn question(&mut self, mark: Mark, question: Question) {
        let (question, flaws) = flaws(question);
        let mut good = flaws.is_empty();
        for flaw in flaws {
            self.problem(mark, flaw.to_string());
        }
        if let Some((first, again)) = repeated(&question.options) {
            self.problem(mark, format!("option {} is the same as option {}", again + 1, first + 1));
            good = false;
        }
        if !good {
            return;
        }
        let number = self.current.unwrap_or_default();
        let first = *self.seen.entry((question.prompt.clone(), question.options.clone())).or_insert(number);
        if first == number {
            self.imported.questions.push(question);
        } else {
            self.problem(mark, format!("the same as question {first}"));
        }
    }

    pub(super) fn finish(self) -> Imported {
        self.imported
    }
}

/// What keeps a question from being played, by the rules that a quiz is held to when it is used.
fn flaws(question: Question) -> (Question, Vec<QuizFlaw>) {
    let quiz = Quiz { id: "import".into(), version: 1, title: "import".into(), questions: vec![question] };
    let flaws = quiz::validate(&quiz).err().unwrap_or_default().into_iter().map(|problem| problem.flaw).collect();
    let question = quiz.questions.into_iter().next().expect("the quiz was made of one question");
    (question, flaws)
}

fn repeated(options: &[String]) -> Option<(usize, usize)> {
    let again = |(at, option): (usize, &String)| {
        options[..at].iter().position(|earlier| earlier == option).map(|first| (first, at))
    };
    options.iter().enumerate().take(quiz_schemas::quiz::OPTIONS_MAX).find_map(again)
}

/// A text as it is shown: without control characters, trimmed. Line ends are kept.
pub(super) fn clean(text: &str) -> String {
    let text: String = text
        .chars()
        .filter_map(|c| match c {
            '\n' => Some('\n'),
            '\t' => Some(' '),
            c => (!c.is_control()).then_some(c),
        })
        .collect();
    text.trim().to_owned()
}
