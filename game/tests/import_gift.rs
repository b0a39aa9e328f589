//! Goal: GIFT files are read as Moodle means them, and what is not read is told. Method: fixtures
//! with one of everything, good and bad, and the outcome of each.

use quiz_game::import::{Format, Imported, import};
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind};

fn picks(items: &[u8]) -> Picks {
    Picks::new(items).expect("few picks")
}

fn single(options: u8, correct: &[u8]) -> AnswerKey {
    AnswerKey::Single { options, correct: picks(correct) }
}

fn moodle() -> Vec<Question> {
    let Imported { title, questions, problems } = import(Format::Gift, include_str!("../fixtures/moodle.gift.txt"));
    assert_eq!(problems, vec![]);
    assert_eq!(title, None);
    questions
}

#[test]
fn one_of_everything_is_read() {
    let questions = moodle();
    let expect = [
        (QuestionKind::Single, "Which river flows through Vienna & Budapest?", single(3, &[1])),
        (QuestionKind::TrueFalse, "The Danube ends in the Black Sea.", single(2, &[0])),
        (QuestionKind::TrueFalse, "The Rhine ends in the Baltic Sea.", single(2, &[1])),
        (
            QuestionKind::Multiple,
            "Which of these rivers rise in the Alps?",
            AnswerKey::Multiple { options: 4, correct: picks(&[0, 1]) },
        ),
        (
            QuestionKind::Text,
            "The capital of Hungary is _____ on the Danube.",
            AnswerKey::Text { accepted: vec!["Budapest".into(), "budapest".into(), "Buda-Pest".into()] },
        ),
        (
            QuestionKind::Number,
            "How many countries does the Danube touch?",
            AnswerKey::Number { value: 10.0, tolerance: 0.5 },
        ),
        (QuestionKind::Number, "A number from one to five:", AnswerKey::Number { value: 3.0, tolerance: 2.0 }),
        (QuestionKind::Number, "Two and a half times two?", AnswerKey::Number { value: 5.0, tolerance: 0.0 }),
        (QuestionKind::Single, "Escapes: what is 2 \\+ 2 = {4}? # ~", single(2, &[0])),
        (QuestionKind::Single, "Two lines\nin one prompt, and a wrapped one.", single(2, &[0])),
        (QuestionKind::Single, "Either will do", single(3, &[0, 1])),
    ];
    for (question, (kind, prompt, key)) in questions.iter().zip(&expect) {
        assert_eq!((&question.kind, question.prompt.as_str(), &question.key), (kind, *prompt, key));
    }
    assert_eq!(questions.len(), expect.len());
}

#[test]
fn feedback_goes_and_the_general_one_is_the_explanation() {
    let questions = moodle();
    assert_eq!(questions[0].options, ["Rhine", "Danube", "Elbe"]);
    assert_eq!(questions[0].explanation.as_deref(), Some("It flows through four capitals."));
    assert_eq!(questions[3].options, ["Rhine", "Rh\\ône", "Thames", "Volga"]);
    assert_eq!(questions[8].options, ["four: 4", "five \\ 5"]);
    assert!(questions.iter().skip(1).all(|question| question.explanation.is_none()));
}

#[test]
fn what_is_not_read_is_told_and_the_rest_goes_on() {
    let imported = import(Format::Gift, include_str!("../fixtures/broken.gift.txt"));
    let prompts: Vec<&str> = imported.questions.iter().map(|question| question.prompt.as_str()).collect();
    assert_eq!(prompts, ["Good one?", "Good again?", "Last good"]);
    let told: Vec<(usize, Option<usize>, &str)> =
        imported.problems.iter().map(|p| (p.line, p.question, p.reason.as_str())).collect();
    let expect = [
        (4, Some(2), "matching pairs are not read"),
        (8, Some(3), "an essay cannot be judged"),
        (10, Some(4), "there are no answers in braces: a description is not a question"),
        (12, Some(5), "the braces are not closed before the next blank line"),
        (18, Some(7), "no option is marked as right by \"=\""),
        (20, Some(8), "an answer that is worth a part of the points is not read beside a right one"),
        (22, Some(9), "a brace is closed that was not opened"),
        (24, Some(10), "there are braces behind the answers"),
        (26, Some(11), "a brace is opened inside of braces"),
        (28, Some(12), "an answer with \"*\" for any text is not read"),
        (30, Some(13), "\"about five\" is not a number or a range of numbers"),
        (32, Some(14), "the question's name is not closed by \"::\""),
        (34, Some(15), "there is a text before the first \"=\" or \"~\""),
        (36, Some(16), "no answer is marked by \"=\" or \"~\""),
        (38, Some(17), "the same as question 1"),
        (40, Some(18), "option 2 is the same as option 1"),
        (42, Some(19), "the prompt is blank"),
    ];
    for (told, expect) in told.iter().zip(&expect) {
        assert_eq!(told, expect);
    }
    assert_eq!(told.len(), expect.len());
}

#[test]
fn the_ends_of_a_range_are_inside_it() {
    for (from, to) in [("0.1", "0.3"), ("-7.3", "19.9"), ("5", "5"), ("1e-9", "3e9")] {
        let imported = import(Format::Gift, &format!("n? {{#{from}..{to}}}"));
        let AnswerKey::Number { value, tolerance } = imported.questions[0].key else { panic!("a number") };
        for end in [from, to] {
            let end: f64 = end.parse().unwrap();
            assert!((end - value).abs() <= tolerance, "{from}..{to}");
        }
    }
    for text in ["n? {#5..1}", "n? {#1..}", "n? {#..}", "n? {#}", "n? {#inf}", "n? {#1:-1}", "n? {#=1 =2}"] {
        let imported = import(Format::Gift, text);
        assert!(imported.questions.is_empty() && imported.problems.len() == 1, "{text}");
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = include_str!("../fixtures/moodle.gift.txt");
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(import(Format::Gift, &windows), import(Format::Gift, text));
}
