//! Reading quizzes that people wrote: our own YAML and JSON, and Moodle GIFT. Pure: text in,
//! questions and problems out. A bad question is a problem with its line and reason, and the rest
//! goes on.
//!
//! ```yaml
//! title: Rivers
//! questions:
//!   - type: single            # single, multiple, true_false, text, number, order or poll
//!     prompt: Which river flows through Vienna?
//!     options: [Rhine, Danube, Elbe]
//!     answer: Danube          # an option's text, or its place from 1; a list for multiple and order
//!     points: 1               # 0, 1 or 2 times 1,000; 1 when not given
//!     seconds: 20             # 20 when not given
//!     explanation: It flows through four capitals.
//! ```

mod author;
mod collect;
mod export;
mod format;
mod gift;
mod json;
mod node;
mod yaml;

pub use export::export_yaml;

use collect::Collector;
use quiz_schemas::quiz::Question;

/// The longest text that is read, bytes.
pub const TEXT_BYTES_MAX: usize = 2 << 20;
/// The most questions that are read from one text, good and bad.
pub const QUESTIONS_READ_MAX: usize = 10_000;
/// The most problems that are told; one more says that there were more.
pub const PROBLEMS_MAX: usize = 10_000;
/// How deep a YAML or JSON text may nest. Our format needs 4.
pub const DEPTH_MAX: usize = 16;
/// The most values and keys of a YAML or JSON text; a question has about 14. Without the bound a text of
/// two million zeros would become a tree that is a hundred times larger.
pub const VALUES_MAX: usize = 100_000;
/// Time to answer when the text gives none, ms.
pub const LIMIT_MS_DEFAULT: i32 = 20_000;
/// Points when the text gives none.
pub const POINTS_DEFAULT: i32 = 1_000;

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

/// A place in the text, line and column from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark {
    line: usize,
    column: Option<usize>,
}

/// Reads the questions of a text. Whatever the text is, it returns: with questions, problems, or both.
#[must_use]
pub fn import(format: Format, text: &str) -> Imported {
    let mut collector = Collector::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > TEXT_BYTES_MAX {
        let reason = format!("the text has {} bytes, at most {TEXT_BYTES_MAX} are read", text.len());
        collector.problem(Mark { line: 1, column: None }, reason);
        return collector.finish();
    }
    match format {
        Format::Yaml => author::read(yaml::parse(text), &mut collector),
        Format::Json => author::read(json::parse(text), &mut collector),
        Format::Gift => gift::read(text, &mut collector),
    }
    collector.finish()
}
