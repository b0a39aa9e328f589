//! Goal: a quiz that can be played is let through, and every flaw is told where it is.
//! Method: a good quiz with one thing broken at a time.

use quiz_game::judge::BadKey;
use quiz_game::quiz::*;
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz};

fn question(kind: QuestionKind, options: usize, key: AnswerKey) -> Question {
    let points_max = if kind == QuestionKind::Poll { 0 } else { 1000 };
    let options = (0..options).map(|n| format!("option {n}")).collect();
    Question { kind, prompt: "Which?".into(), options, key, points_max, limit_ms: 20_000, explanation: None }
}

fn single() -> Question {
    question(QuestionKind::Single, 4, AnswerKey::Single { options: 4, correct: Picks::one(2) })
}

fn text(accepted: &[&str]) -> Question {
    let accepted = accepted.iter().map(|text| text.to_string()).collect();
    question(QuestionKind::Text, 0, AnswerKey::Text { accepted })
}

fn order(items: &[u8]) -> AnswerKey {
    AnswerKey::Order { correct: Picks::new(items).expect("few") }
}

fn all_kinds() -> Vec<Question> {
    vec![
        single(),
        question(QuestionKind::TrueFalse, 2, AnswerKey::Single { options: 2, correct: Picks::one(1) }),
        question(QuestionKind::Multiple, 12, AnswerKey::Multiple { options: 12, correct: Picks::one(11) }),
        text(&["Zürich", "Zurich"]),
        question(QuestionKind::Number, 0, AnswerKey::Number { value: -1.5, tolerance: 0.0 }),
        question(QuestionKind::Order, 3, order(&[2, 0, 1])),
        question(QuestionKind::Poll, 2, AnswerKey::Poll { options: 2 }),
    ]
}

fn quiz(questions: Vec<Question>) -> Quiz {
    Quiz { id: "sample".into(), version: 1, title: "A sample".into(), questions }
}

fn flaws(quiz: &Quiz) -> Vec<(Option<usize>, QuizFlaw)> {
    let problems = validate(quiz).err().unwrap_or_default();
    problems.into_iter().map(|problem| (problem.question, problem.flaw)).collect()
}

#[test]
fn a_quiz_of_all_kinds_can_be_played() {
    assert_eq!(validate(&quiz(all_kinds())), Ok(()));
    assert_eq!(validate(&quiz(vec![single(); QUESTIONS_MAX])), Ok(()));
}

#[test]
fn a_flaw_of_a_question_is_told_with_its_number() {
    type Break = fn(&mut Question);
    let cases: Vec<(Break, QuizFlaw)> = vec![
        (|q| q.prompt = " \n".into(), QuizFlaw::PromptBlank),
        (|q| q.prompt = "ü".repeat(1_001), QuizFlaw::PromptLong(1_001)),
        (|q| q.explanation = Some("x".repeat(1_001)), QuizFlaw::ExplanationLong(1_001)),
        (|q| q.options[3] = "\t".into(), QuizFlaw::OptionBlank(3)),
        (|q| q.options[0] = "ü".repeat(301), QuizFlaw::OptionLong(0)),
        (|q| q.points_max = 500, QuizFlaw::Points(500)),
        (|q| q.points_max = -1000, QuizFlaw::Points(-1000)),
        (|q| q.limit_ms = 999, QuizFlaw::Limit(999)),
        (|q| q.limit_ms = 240_001, QuizFlaw::Limit(240_001)),
        (|q| q.kind = QuestionKind::Unknown, QuizFlaw::KindUnknown),
        (|q| q.key = AnswerKey::Poll { options: 4 }, QuizFlaw::KeyMisfit),
        (|q| q.key = AnswerKey::Single { options: 3, correct: Picks::one(0) }, QuizFlaw::KeyMisfit),
        (|q| q.key = AnswerKey::Single { options: 4, correct: Picks::one(4) }, QuizFlaw::Key(BadKey::Correct)),
        (|q| q.key = AnswerKey::Single { options: 4, correct: Picks::default() }, QuizFlaw::Key(BadKey::Correct)),
        (|q| *q = text(&[]), QuizFlaw::Key(BadKey::Accepted(0))),
        (|q| *q = text(&["a", "  "]), QuizFlaw::Key(BadKey::AcceptedText)),
        (|q| *q = text(&["a"; 51]), QuizFlaw::Key(BadKey::Accepted(51))),
        (
            |q| *q = question(QuestionKind::Text, 2, AnswerKey::Text { accepted: vec!["a".into()] }),
            QuizFlaw::OptionsUnexpected(2),
        ),
        (
            |q| *q = question(QuestionKind::Number, 0, AnswerKey::Number { value: f64::NAN, tolerance: 0.0 }),
            QuizFlaw::Key(BadKey::Number),
        ),
        (
            |q| *q = question(QuestionKind::TrueFalse, 3, AnswerKey::Single { options: 3, correct: Picks::one(0) }),
            QuizFlaw::OptionsTrueFalse(3),
        ),
        (|q| *q = question(QuestionKind::Poll, 1, AnswerKey::Poll { options: 1 }), QuizFlaw::Options(1)),
        (|q| *q = question(QuestionKind::Poll, 13, AnswerKey::Poll { options: 13 }), QuizFlaw::Options(13)),
        (|q| *q = question(QuestionKind::Order, 3, order(&[0, 1, 1])), QuizFlaw::Key(BadKey::Order)),
        (|q| *q = question(QuestionKind::Order, 3, order(&[0, 1])), QuizFlaw::KeyMisfit),
        (
            |q| {
                *q = question(QuestionKind::Poll, 2, AnswerKey::Poll { options: 2 });
                q.points_max = 1000;
            },
            QuizFlaw::PointsOfPoll(1000),
        ),
    ];
    for (spoil, flaw) in cases {
        let mut bad = quiz(all_kinds());
        bad.questions.insert(2, single());
        spoil(&mut bad.questions[2]);
        assert_eq!(flaws(&bad), [(Some(2), flaw)]);
    }
}

#[test]
fn a_flaw_of_the_quiz_is_told() {
    assert_eq!(flaws(&quiz(vec![])), [(None, QuizFlaw::NoQuestions)]);
    assert_eq!(flaws(&quiz(vec![single(); 201])), [(None, QuizFlaw::TooManyQuestions(201))]);
    let titled = |title: &str| Quiz { title: title.into(), ..quiz(all_kinds()) };
    assert_eq!(flaws(&titled(" ")), [(None, QuizFlaw::TitleBlank)]);
    assert_eq!(flaws(&titled(&"x".repeat(301))), [(None, QuizFlaw::TitleLong(301))]);
    let mut wordy = single();
    wordy.prompt = "\u{1f9e0}".repeat(PROMPT_CHARS_MAX);
    wordy.options = vec!["\u{1f9e0}".repeat(OPTION_CHARS_MAX); 4];
    let [(None, QuizFlaw::TooLarge(bytes))] = flaws(&quiz(vec![wordy; QUESTIONS_MAX]))[..] else {
        panic!("a quiz of 1.7 MB is too large")
    };
    assert!(bytes > QUIZ_BYTES_MAX);
}

#[test]
fn all_problems_are_told_at_once_and_in_words() {
    let mut bad = quiz(all_kinds());
    bad.questions[0].prompt.clear();
    bad.questions[0].points_max = 7;
    bad.questions[6].limit_ms = 0;
    let told: Vec<String> = validate(&bad).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "question 1: the prompt is blank",
            "question 1: 7 points, 0, 1000 or 2000 are allowed",
            "question 7: the time limit is 0 ms, 1000 to 240000 are allowed",
        ]
    );
    assert_eq!(validate(&quiz(vec![])).unwrap_err()[0].to_string(), "there is no question");
}

/// Goal: the largest quiz that is valid fits one record (I9), so nothing valid is refused later.
#[test]
fn the_largest_valid_quiz_fits_a_record() {
    use quiz_schemas::events::{CreateGame, GameSettings};
    use quiz_schemas::{AnyEvent, Codec, GameId, Pin, events::CommandsRecord};
    let accepted = vec!["x".repeat(14); 50];
    let mut wordy = question(QuestionKind::Text, 0, AnswerKey::Text { accepted });
    wordy.explanation = Some("\u{1f9e0}".repeat(500));
    wordy.prompt = "\u{1f9e0}".repeat(200);
    let mut largest = quiz(vec![wordy; QUESTIONS_MAX]);
    let spare = QUIZ_BYTES_MAX - largest.questions.len() * 3_500 - largest.title.len() - largest.id.len();
    for question in largest.questions.iter_mut().take(spare / 500) {
        question.prompt.push_str(&"y".repeat(500));
    }
    assert_eq!(validate(&largest), Ok(()));
    largest.title.push_str(&"z".repeat(spare % 500 + 1));
    assert!(validate(&largest).is_err(), "one byte more is too much");
    largest.title.pop();
    let settings =
        GameSettings { lanes: 1, capacity: 1, rule: "speed-v1".into(), streaks: true, auto_advance_ms: None };
    let event: AnyEvent = CommandsRecord {
        game: GameId::from_bits(1),
        at_us: i64::MAX,
        edge: "edge-1".into(),
        body: CreateGame { pin: Pin::from_index(1), quiz: largest, settings }.into(),
    }
    .into();
    assert!(Codec::with_fixed_ids().encode_any(&event).is_ok());
}

#[test]
fn players_see_no_key() {
    let mut question = single();
    question.explanation = Some("because".into());
    let view = question_view(&question);
    assert_eq!((view.kind, view.points_max, view.limit_ms), (QuestionKind::Single, 1000, 20_000));
    assert_eq!((view.prompt, view.options), (question.prompt, question.options));
}
