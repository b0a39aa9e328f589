use super::Event;
use crate::quiz::Quiz;
use crate::topic::Topic;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// One record of `quiz.quizzes.v1`, keyed by quiz and version: a published version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuizzesRecord {
    /// When it was published, µs since 1970.
    pub published_at_us: i64,
    /// The quiz with its keys.
    pub quiz: Quiz,
}

impl Event for QuizzesRecord {
    const TOPIC: Topic = Topic::Quizzes;
    fn key(&self) -> SmolStr {
        smol_str::format_smolstr!("{}/{}", self.quiz.id, self.quiz.version)
    }
}
