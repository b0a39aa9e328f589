//! Whether a quiz can be played, and what of a question players see.

use quiz_schemas::codec::RECORD_BYTES_MAX;
use quiz_schemas::events::QuestionView;
use quiz_schemas::quiz::{AnswerKey, OPTIONS_MAX, Question, QuestionKind, Quiz};

use crate::judge::{ACCEPTED_MAX, BadKey, PreparedKey};

/// The most questions in a quiz.
pub const QUESTIONS_MAX: usize = 200;
/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 300;
/// The longest prompt, in characters.
pub const PROMPT_CHARS_MAX: usize = 1_000;
/// The longest explanation, in characters.
pub const EXPLANATION_CHARS_MAX: usize = 1_000;
/// The fewest options of a question that has options.
pub const OPTIONS_MIN: usize = 2;
/// The longest option, in characters.
pub const OPTION_CHARS_MAX: usize = 300;
/// What a right answer at once may pay.
pub const POINTS: [i32; 3] = [0, 1000, 2000];
/// The shortest time to answer, ms. People need 5 s and more; demonstrations and tests less.
pub const LIMIT_MS_MIN: i32 = 1_000;
/// The longest time to answer, ms.
pub const LIMIT_MS_MAX: i32 = 240_000;
/// The most that a quiz's texts have together, bytes: it must fit one record, with what is around it.
pub const QUIZ_BYTES_MAX: usize = 800_000;

/// What a question's record has beside its texts, at most: a length before each, numbers, indices.
const QUESTION_FRAME_BYTES: usize = 3 * (ACCEPTED_MAX + OPTIONS_MAX) + 64;
const _: () = assert!(QUIZ_BYTES_MAX + QUESTIONS_MAX * QUESTION_FRAME_BYTES + 1_000 < RECORD_BYTES_MAX);

/// What keeps a quiz from being played.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}{flaw}", .question.map(|no| format!("question {}: ", no + 1)).unwrap_or_default())]
pub struct QuizProblem {
    /// The question's index, from 0; none when the quiz as a whole is meant.
    pub question: Option<usize>,
    /// What is wrong.
    pub flaw: QuizFlaw,
}

/// What is wrong with a quiz or a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum QuizFlaw {
    /// The title is blank.
    #[error("the title is blank")]
    TitleBlank,
    /// The title has more than [`TITLE_CHARS_MAX`] characters.
    #[error("the title has {0} characters, at most 300 are allowed")]
    TitleLong(usize),
    /// No question.
    #[error("there is no question")]
    NoQuestions,
    /// More than [`QUESTIONS_MAX`] questions.
    #[error("there are {0} questions, at most 200 are allowed")]
    TooManyQuestions(usize),
    /// All texts together have more than [`QUIZ_BYTES_MAX`] bytes.
    #[error("all texts together have {0} bytes, at most 800000 are allowed")]
    TooLarge(usize),
    /// A kind that this build does not know.
    #[error("the kind of question is not known")]
    KindUnknown,
    /// The prompt is blank.
    #[error("the prompt is blank")]
    PromptBlank,
    /// The prompt has more than [`PROMPT_CHARS_MAX`] characters.
    #[error("the prompt has {0} characters, at most 1000 are allowed")]
    PromptLong(usize),
    /// The explanation has more than [`EXPLANATION_CHARS_MAX`] characters.
    #[error("the explanation has {0} characters, at most 1000 are allowed")]
    ExplanationLong(usize),
    /// Not [`OPTIONS_MIN`] to [`OPTIONS_MAX`] options.
    #[error("there are {0} options, 2 to 12 are allowed")]
    Options(usize),
    /// A true/false question has exactly two options.
    #[error("there are {0} options, true/false has 2")]
    OptionsTrueFalse(usize),
    /// A text or number question has no options.
    #[error("there are {0} options, this kind of question has none")]
    OptionsUnexpected(usize),
    /// An option is blank.
    #[error("option {} is blank", .0 + 1)]
    OptionBlank(usize),
    /// An option has more than [`OPTION_CHARS_MAX`] characters.
    #[error("option {} has more than 300 characters", .0 + 1)]
    OptionLong(usize),
    /// Points other than [`POINTS`].
    #[error("{0} points, 0, 1000 or 2000 are allowed")]
    Points(i32),
    /// A poll pays nothing.
    #[error("a poll has {0} points, only 0 is allowed")]
    PointsOfPoll(i32),
    /// Not [`LIMIT_MS_MIN`] to [`LIMIT_MS_MAX`].
    #[error("the time limit is {0} ms, 1000 to 240000 are allowed")]
    Limit(i32),
    /// The key is one of another kind of question, or of another number of options.
    #[error("the answer key does not fit the kind of question and its options")]
    KeyMisfit,
    /// The key by itself is bad.
    #[error("the answer key is bad: {0}")]
    Key(BadKey),
}

/// Whether a quiz can be played. All problems are told, in the order of the questions.
///
/// # Errors
/// What keeps it from being played; never an empty list.
pub fn validate(quiz: &Quiz) -> Result<(), Vec<QuizProblem>> {
    let mut problems: Vec<QuizProblem> =
        quiz_flaws(quiz).into_iter().map(|flaw| QuizProblem { question: None, flaw }).collect();
    for (no, question) in quiz.questions.iter().enumerate().take(QUESTIONS_MAX) {
        problems.extend(question_flaws(question).into_iter().map(|flaw| QuizProblem { question: Some(no), flaw }));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// What players see of a question while it is open: all but its key and explanation (I8).
#[must_use]
pub fn question_view(question: &Question) -> QuestionView {
    QuestionView {
        kind: question.kind,
        prompt: question.prompt.clone(),
        options: question.options.clone(),
        points_max: question.points_max,
        limit_ms: question.limit_ms,
    }
}

fn quiz_flaws(quiz: &Quiz) -> Vec<QuizFlaw> {
    let mut flaws = Vec::new();
    if quiz.title.trim().is_empty() {
        flaws.push(QuizFlaw::TitleBlank);
    }
    let title_chars = quiz.title.chars().count();
    if title_chars > TITLE_CHARS_MAX {
        flaws.push(QuizFlaw::TitleLong(title_chars));
    }
    match quiz.questions.len() {
        0 => flaws.push(QuizFlaw::NoQuestions),
        1..=QUESTIONS_MAX => {}
        many => flaws.push(QuizFlaw::TooManyQuestions(many)),
    }
    let bytes = quiz.id.len() + quiz.title.len() + quiz.questions.iter().map(question_bytes).sum::<usize>();
    if bytes > QUIZ_BYTES_MAX {
        flaws.push(QuizFlaw::TooLarge(bytes));
    }
    flaws
}

fn question_bytes(question: &Question) -> usize {
    let options: usize = question.options.iter().map(String::len).sum();
    let accepted: usize = match &question.key {
        AnswerKey::Text { accepted } => accepted.iter().map(String::len).sum(),
        _ => 0,
    };
    question.prompt.len() + question.explanation.as_ref().map_or(0, String::len) + options + accepted
}

fn question_flaws(question: &Question) -> Vec<QuizFlaw> {
    let mut flaws = Vec::new();
    if question.prompt.trim().is_empty() {
        flaws.push(QuizFlaw::PromptBlank);
    }
    let prompt_chars = question.prompt.chars().count();
    if prompt_chars > PROMPT_CHARS_MAX {
        flaws.push(QuizFlaw::PromptLong(prompt_chars));
    }
    let explanation_chars = question.explanation.as_ref().map_or(0, |text| text.chars().count());
    if explanation_chars > EXPLANATION_CHARS_MAX {
        flaws.push(QuizFlaw::ExplanationLong(explanation_chars));
    }
    flaws.extend(option_flaws(question));
    if !POINTS.contains(&question.points_max) {
        flaws.push(QuizFlaw::Points(question.points_max));
    } else if question.kind == QuestionKind::Poll && question.points_max != 0 {
        flaws.push(QuizFlaw::PointsOfPoll(question.points_max));
    }
    if !(LIMIT_MS_MIN..=LIMIT_MS_MAX).contains(&question.limit_ms) {
        flaws.push(QuizFlaw::Limit(question.limit_ms));
    }
    flaws.extend(key_flaw(question));
    flaws
}

fn option_flaws(question: &Question) -> Vec<QuizFlaw> {
    let count = question.options.len();
    let mut flaws = Vec::new();
    match question.kind {
        QuestionKind::Unknown => flaws.push(QuizFlaw::KindUnknown),
        QuestionKind::Text | QuestionKind::Number if count > 0 => flaws.push(QuizFlaw::OptionsUnexpected(count)),
        QuestionKind::Text | QuestionKind::Number => {}
        QuestionKind::TrueFalse if count != 2 => flaws.push(QuizFlaw::OptionsTrueFalse(count)),
        _ if !(OPTIONS_MIN..=OPTIONS_MAX).contains(&count) => flaws.push(QuizFlaw::Options(count)),
        _ => {}
    }
    for (index, option) in question.options.iter().enumerate().take(OPTIONS_MAX) {
        if option.trim().is_empty() {
            flaws.push(QuizFlaw::OptionBlank(index));
        }
        if option.chars().count() > OPTION_CHARS_MAX {
            flaws.push(QuizFlaw::OptionLong(index));
        }
    }
    flaws
}

fn key_flaw(question: &Question) -> Option<QuizFlaw> {
    let count = question.options.len();
    let fits = match (question.kind, &question.key) {
        (QuestionKind::Single | QuestionKind::TrueFalse, AnswerKey::Single { options, .. })
        | (QuestionKind::Multiple, AnswerKey::Multiple { options, .. })
        | (QuestionKind::Poll, AnswerKey::Poll { options }) => usize::from(*options) == count,
        (QuestionKind::Order, AnswerKey::Order { correct }) => correct.as_slice().len() == count,
        (QuestionKind::Text, AnswerKey::Text { .. }) | (QuestionKind::Number, AnswerKey::Number { .. }) => true,
        // The kind is a flaw of its own.
        (QuestionKind::Unknown, _) => return None,
        _ => false,
    };
    if !fits {
        return Some(QuizFlaw::KeyMisfit);
    }
    match PreparedKey::new(&question.key) {
        // The number of options is a flaw of its own.
        Ok(_) | Err(BadKey::Options(_)) => None,
        Err(bad) => Some(QuizFlaw::Key(bad)),
    }
}
