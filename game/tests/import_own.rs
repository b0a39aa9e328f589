//! Goal: our own format reads well, tells what is wrong and where, and survives a round trip.
//! Method: fixtures with every problem once, and random questions through export and import.

use proptest::prelude::*;
use quiz_game::import::{DEPTH_MAX, Format, Imported, PROBLEMS_MAX, QUESTIONS_READ_MAX, TEXT_BYTES_MAX};
use quiz_game::import::{export_yaml, import};
use quiz_game::quiz;
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz};

const DEMO: &str = include_str!("../../samples/demo.yaml");
const BROKEN: &str = include_str!("../fixtures/broken.yaml");

fn picks(items: &[u8]) -> Picks {
    Picks::new(items).expect("few picks")
}

fn only(imported: Imported) -> Question {
    assert_eq!(imported.problems, vec![]);
    assert_eq!(imported.questions.len(), 1);
    imported.questions.into_iter().next().expect("one question")
}

#[test]
fn the_demo_is_read_whole_and_can_be_played() {
    let demo = import(Format::Yaml, DEMO);
    assert_eq!(demo.problems, vec![]);
    assert_eq!(demo.questions.len(), 10);
    for kind in [
        QuestionKind::Single,
        QuestionKind::Multiple,
        QuestionKind::TrueFalse,
        QuestionKind::Text,
        QuestionKind::Number,
        QuestionKind::Order,
        QuestionKind::Poll,
    ] {
        assert!(demo.questions.iter().any(|question| question.kind == kind), "{kind:?}");
    }
    assert!(demo.questions.iter().all(|question| (8_000..=20_000).contains(&question.limit_ms)));
    let quiz = Quiz { id: "demo".into(), version: 1, title: demo.title.unwrap(), questions: demo.questions };
    assert_eq!(quiz::validate(&quiz), Ok(()));
}

#[test]
fn every_kind_reads_as_it_says() {
    let read = |text: &str| only(import(Format::Yaml, &format!("questions:\n  - prompt: Why?\n{text}")));
    let single = read("    type: single\n    options: [a, b, c]\n    answer: 3\n    points: 2\n    seconds: 7.5");
    assert_eq!(single.key, AnswerKey::Single { options: 3, correct: picks(&[2]) });
    assert_eq!((single.points_max, single.limit_ms, single.explanation), (2_000, 7_500, None));
    // A text that is a number is an option before it is a place.
    let numbers = read("    type: single\n    options: [3, 1, 2]\n    answer: 2");
    assert_eq!(numbers.key, AnswerKey::Single { options: 3, correct: picks(&[2]) });
    let multiple = read("    type: multiple\n    options: [a, b, c]\n    answer: [C, a]");
    assert_eq!(multiple.key, AnswerKey::Multiple { options: 3, correct: picks(&[0, 2]) });
    assert_eq!((multiple.points_max, multiple.limit_ms), (1_000, 20_000));
    let order = read("    type: order\n    options: [a, b, c]\n    answer: [b, c, a]");
    assert_eq!(order.key, AnswerKey::Order { correct: picks(&[1, 2, 0]) });
    let poll = read("    type: poll\n    options: [yes, no]");
    assert_eq!((poll.key, poll.points_max), (AnswerKey::Poll { options: 2 }, 0));
    assert_eq!(poll.options, ["yes", "no"], "words stay words");
    let text = read("    type: text\n    answer: [Zürich, 1989]");
    assert_eq!(text.key, AnswerKey::Text { accepted: vec!["Zürich".into(), "1989".into()] });
    let number = read("    type: number\n    answer: -2.5e3\n    tolerance: 10");
    assert_eq!(number.key, AnswerKey::Number { value: -2_500.0, tolerance: 10.0 });
    for (answer, right) in [("true", 0), ("no", 1), ("False", 1)] {
        let question = read(&format!("    type: true_false\n    answer: {answer}"));
        assert_eq!(question.key, AnswerKey::Single { options: 2, correct: picks(&[right]) }, "{answer}");
        assert_eq!(question.options, ["True", "False"]);
    }
}

#[test]
fn every_problem_is_told_with_its_place_and_the_rest_goes_on() {
    let imported = import(Format::Yaml, BROKEN);
    assert_eq!(imported.title.as_deref(), Some("Things that go wrong"));
    let prompts: Vec<&str> = imported.questions.iter().map(|question| question.prompt.as_str()).collect();
    assert_eq!(prompts, ["Good one?", "Anchored", "Good too"]);
    let told: Vec<(usize, Option<usize>, Option<usize>, &str)> =
        imported.problems.iter().map(|p| (p.line, p.column, p.question, p.reason.as_str())).collect();
    let expect = [
        (2, Some(1), None, "the key \"author\" is not known"),
        (9, Some(5), Some(2), "the key \"promt\" is not known; did you mean \"prompt\"?"),
        (8, Some(5), Some(2), "the key \"prompt\" is missing"),
        (
            12,
            Some(11),
            Some(3),
            "\"singel\" is no type of question; did you mean \"single\"?; there are single, multiple, true_false, \
             text, number, order, poll",
        ),
        (19, Some(13), Some(4), "the answer \"c\" is none of the options"),
        (22, Some(5), Some(5), "the key \"prompt\" is there twice, first on line 21"),
        (27, Some(13), Some(6), "answer must be a number, not \"seven\""),
        (31, Some(13), Some(7), "the answer must name every option, in the right order"),
        (35, Some(13), Some(8), "a poll has no right answer"),
        (38, Some(14), Some(9), "this type of question has no options"),
        (44, Some(13), Some(10), "points must be 0, 1 or 2 (times 1,000), not 3"),
        (45, Some(5), Some(11), "the time limit is 100 ms, 1000 to 240000 are allowed"),
        (50, Some(5), Some(12), "a question must have a type, a prompt and so on"),
        (55, Some(5), Some(14), "an alias is not followed: write the question out"),
    ];
    for (told, expect) in told.iter().zip(&expect) {
        assert_eq!(told, expect);
    }
    assert_eq!(told.len(), expect.len());
}

#[test]
fn json_is_the_same_shape() {
    let text = r#"{"title": "Emoji \ud83d\ude00", "questions": [
        {"type": "single", "prompt": "a\/b?", "options": ["x", "y"], "answer": 2, "seconds": 5},
        {"type": "number", "prompt": "n?", "answer": 1.5e1, "explanation": null}
    ]}"#;
    let imported = import(Format::Json, text);
    assert_eq!(imported.problems, vec![]);
    assert_eq!(imported.title.as_deref(), Some("Emoji 😀"));
    assert_eq!(imported.questions[0].prompt, "a/b?");
    assert_eq!(imported.questions[1].key, AnswerKey::Number { value: 15.0, tolerance: 0.0 });
    let list = import(Format::Json, r#"[{"type": "poll", "prompt": "p", "options": ["a", "b"]}]"#);
    assert_eq!(list.questions.len(), 1);
}

#[test]
fn a_text_that_breaks_off_keeps_what_was_whole() {
    for (format, text, line) in [
        (Format::Json, "[{\"type\":\"poll\",\"prompt\":\"p\",\"options\":[\"a\",\"b\"]},\n{\"type\": oops}]", 2),
        (Format::Json, "{\"questions\":\n[{\"type\":\"poll\",\"prompt\":\"p\",\"options\":[\"a\",\"b\"]},{\"ty", 2),
        (
            Format::Yaml,
            "questions:\n- {type: poll, prompt: p, options: [a, b]}\n- type: poll\n  prompt: \"not closed\n",
            0,
        ),
    ] {
        let imported = import(format, text);
        assert_eq!(imported.questions.len(), 1, "{text}");
        assert_eq!(imported.problems.len(), 1, "{text}");
        if line > 0 {
            assert_eq!(imported.problems[0].line, line, "{text}");
        }
    }
}

#[test]
fn bombs_are_refused() {
    for (format, text) in [
        (Format::Json, "[".repeat(100_000)),
        (Format::Json, "{\"a\":".repeat(100_000)),
        (Format::Yaml, "[".repeat(100_000)),
        (Format::Yaml, "- ".repeat(DEPTH_MAX + 2)),
        (Format::Yaml, "a: &a [x, x]\nb: &b [*a, *a]\nquestions: [*b, *b]".to_owned()),
        (Format::Yaml, "x".repeat(TEXT_BYTES_MAX + 1)),
        (Format::Yaml, String::new()),
        (Format::Yaml, "---\na: 1\n---\nb: 2".to_owned()),
        (Format::Json, "nul".to_owned()),
        (Format::Json, "[1,]".to_owned()),
        (Format::Json, "{\"a\" 1}".to_owned()),
        (Format::Json, "\"\\ud800x\"".to_owned()),
        (Format::Json, "{} {}".to_owned()),
    ] {
        let imported = import(format, &text);
        assert!(imported.questions.is_empty());
        assert!(!imported.problems.is_empty(), "{:.40}", text);
    }
}

#[test]
fn no_more_questions_and_problems_than_the_bounds() {
    let many = format!("[{}]", vec!["1"; QUESTIONS_READ_MAX + 10].join(","));
    let imported = import(Format::Json, &many);
    assert_eq!(imported.problems.len(), PROBLEMS_MAX + 1);
    assert_eq!(imported.problems[PROBLEMS_MAX].reason, "there are more problems, which are not told");
}

#[test]
fn a_format_is_known_by_its_name_or_its_look() {
    for (path, text, format) in [
        ("a/b.yaml", "", Some(Format::Yaml)),
        ("B.YML", "", Some(Format::Yaml)),
        ("x.json", "", Some(Format::Json)),
        ("x.gift", "", Some(Format::Gift)),
        ("x.gift.txt", "", Some(Format::Gift)),
        ("x.txt", DEMO, Some(Format::Yaml)),
        ("x.txt", "{\"questions\": [{\"prompt\": 1}]}", Some(Format::Json)),
        ("x", "Is it? {TRUE}", Some(Format::Gift)),
        ("x", "Is it? {\n =yes ~no}", Some(Format::Gift)),
        ("x.txt", "Dear diary", None),
        ("x", "", None),
    ] {
        assert_eq!(Format::from_path_and_text(path, text), format, "{path} {text:.30}");
    }
}

#[test]
fn options_that_are_too_long_or_too_many_are_problems() {
    let long = "x".repeat(quiz::OPTION_CHARS_MAX + 1);
    let many = (0..13).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    for options in [format!("[{long}, b]"), format!("[{many}]"), "[a]".into(), "[a, a]".into(), "[a, '']".into()] {
        let text = format!("questions:\n- {{type: poll, prompt: p, options: {options}}}");
        let imported = import(Format::Yaml, &text);
        assert!(imported.questions.is_empty() && imported.problems.len() == 1, "{:?}", imported.problems);
    }
}

fn shown_text(chars_max: usize) -> impl Strategy<Value = String> {
    let tame = "[a-z0-9:#&*!|>'\"%@`{}\\[\\],?~=. \\-é漢]{1,30}";
    let wild = proptest::collection::vec(any::<char>(), 1..40).prop_map(|chars| chars.into_iter().collect::<String>());
    prop_oneof![tame, wild].prop_filter_map("a text that is shown as it is", move |text| {
        let text: String = text.chars().filter(|c| !c.is_control()).take(chars_max).collect();
        let text = text.trim().to_owned();
        (!text.is_empty() && !quiz_game::judge::fold(&text).is_empty()).then_some(text)
    })
}

fn options() -> impl Strategy<Value = Vec<String>> {
    prop::collection::hash_set(shown_text(40), 2..=6).prop_map(|set| set.into_iter().collect())
}

fn question() -> impl Strategy<Value = Question> {
    let picked = (options(), any::<u64>(), 0..4u8).prop_map(|(options, bits, kind)| {
        let count = options.len() as u8;
        let mut order: Vec<u8> = (0..count).collect();
        order.rotate_left((bits % u64::from(count)) as usize);
        let some: Vec<u8> = (0..count).filter(|at| bits >> (at + 8) & 1 == 1 || at + 1 == count).collect();
        let (kind, key) = match kind {
            0 => (QuestionKind::Single, AnswerKey::Single { options: count, correct: picks(&some) }),
            1 => (QuestionKind::Multiple, AnswerKey::Multiple { options: count, correct: picks(&some) }),
            2 => (QuestionKind::Order, AnswerKey::Order { correct: picks(&order) }),
            _ => (QuestionKind::Poll, AnswerKey::Poll { options: count }),
        };
        (kind, options, key)
    });
    let true_false = (shown_text(20), shown_text(20), 0..2u8)
        .prop_filter("two options", |(yes, no, _)| yes != no)
        .prop_map(|(yes, no, right)| {
            (QuestionKind::TrueFalse, vec![yes, no], AnswerKey::Single { options: 2, correct: Picks::one(right) })
        });
    let text = prop::collection::vec(shown_text(50), 1..4)
        .prop_map(|accepted| (QuestionKind::Text, vec![], AnswerKey::Text { accepted }));
    let number = (-1e12..1e12, prop_oneof![Just(0.0), 0.0..100.0])
        .prop_map(|(value, tolerance)| (QuestionKind::Number, vec![], AnswerKey::Number { value, tolerance }));
    let answer = prop_oneof![4 => picked, 1 => true_false, 1 => text, 1 => number];
    (answer, shown_text(200), prop::option::of(shown_text(200)), 0..3i32, 1_000..=240_000i32).prop_map(
        |((kind, options, key), prompt, explanation, points, limit_ms)| {
            let points_max = if kind == QuestionKind::Poll { 0 } else { points * 1_000 };
            Question { kind, prompt, options, key, points_max, limit_ms, explanation }
        },
    )
}

proptest! {
    #[test]
    fn questions_survive_export_and_import(
        title in prop::option::of(shown_text(80)),
        mut questions in prop::collection::vec(question(), 0..6),
    ) {
        let mut prompts = std::collections::HashSet::new();
        questions.retain(|question| prompts.insert(question.prompt.clone()));
        let text = export_yaml(title.as_deref(), &questions);
        let imported = import(Format::Yaml, &text);
        if questions.is_empty() {
            prop_assert!(imported.questions.is_empty());
        } else {
            prop_assert_eq!(&imported.problems, &vec![], "{}", text);
            prop_assert_eq!(&imported.questions, &questions, "{}", text);
        }
        prop_assert_eq!(imported.title, title);
        // Another YAML reader reads it too.
        prop_assert!(serde_yaml_ng::from_str::<serde_yaml_ng::Value>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        for format in [Format::Yaml, Format::Json, Format::Gift] {
            let _ = import(format, &text);
        }
        let _ = Format::from_path_and_text("x", &text);
    }

    #[test]
    fn no_text_of_the_languages_own_marks_panics(
        text in "([\\[\\]{}:,\"'\\-*&!|>%#~=\\\\/.?@\n \t]|title|questions|type|poll|T|TRUE|->|::|####|%50%|\\[html\\]|é|1){0,60}",
    ) {
        for format in [Format::Yaml, Format::Json, Format::Gift] {
            let _ = import(format, &text);
        }
    }

    #[test]
    fn a_good_text_with_a_hole_in_it_panics_nowhere(from: prop::sample::Index, length in 0usize..40) {
        for (format, text) in [
            (Format::Yaml, DEMO),
            (Format::Yaml, BROKEN),
            (Format::Gift, include_str!("../fixtures/moodle.gift.txt")),
        ] {
            let chars: Vec<char> = text.chars().collect();
            let from = from.index(chars.len());
            let rest = chars.iter().skip(from + length);
            let holed: String = chars[..from].iter().chain(rest).collect();
            let _ = import(format, &holed);
        }
    }

    #[test]
    fn json_agrees_with_another_reader(text in "[\\[\\]{}:,\"ab01.e\\-\\\\ nu]{0,12}|\\{\"[a-c]\":[0-9tf]{1,3}\\}|\\[(1|\"x\"|null|true|,){0,5}\\]") {
        // Duplicate keys and numbers out of range aside, what is JSON is JSON for both.
        let other = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        let ours = !import(Format::Json, &text).problems.iter().any(|problem| problem.reason.starts_with("not JSON"));
        prop_assert!(ours || !other, "{} is JSON", text);
    }
}
