//! Quizzes that people wrote. Promises: any text is questions and problems; a question that is taken can
//! be played, and survives our own format; a problem has a line of the text.

use std::str;

use quiz_game::import::{Format, PROBLEMS_MAX, export_yaml, import};
use quiz_game::quiz::{QUESTIONS_MAX, validate};
use quiz_schemas::quiz::Quiz;

/// The first byte chooses the format, the rest is the text.
pub fn run(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let format = [Format::Yaml, Format::Json, Format::Gift][usize::from(*first) % 3];
    let imported = import(format, text);
    // YAML ends a line at a carriage return, too.
    let lines = text.chars().filter(|c| matches!(c, '\n' | '\r')).count() + 1;
    assert!(imported.problems.len() <= PROBLEMS_MAX + 1);
    for problem in &imported.problems {
        assert!((1..=lines).contains(&problem.line), "{problem:?} of {lines} lines");
    }
    let questions: Vec<_> = imported.questions.into_iter().take(QUESTIONS_MAX).collect();
    if questions.is_empty() {
        return;
    }
    let again = import(Format::Yaml, &export_yaml(imported.title.as_deref(), &questions));
    assert_eq!((&again.questions, &again.problems), (&questions, &Vec::new()), "our own format reads back");
    let quiz = Quiz { id: "fuzz".into(), version: 1, title: "fuzz".into(), questions };
    assert_eq!(validate(&quiz), Ok(()), "what is imported can be played");
}
