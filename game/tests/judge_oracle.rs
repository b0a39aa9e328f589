//! Goal: a response is judged as a person with the key would.
//! Method: random keys and responses against an oracle that works with lists and with numbers in
//! thousandths; texts by what folding must not and must change.

use proptest::prelude::*;
use quiz_game::judge::{BadKey, Judgement, PreparedKey, TEXT_CHARS_MAX, fits, fold, judge};
use quiz_schemas::quiz::{AnswerKey, Picks, QuestionKind, Response};

fn picks(items: &[u8]) -> Picks {
    Picks::new(items).expect("at most 12")
}

fn items() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(0..13u8, 0..=12), prop::collection::vec(0..4u8, 0..5)]
}

/// A list of distinct numbers below `options`, shuffled.
fn shuffled(options: u8) -> impl Strategy<Value = Vec<u8>> {
    Just((0..options).collect::<Vec<u8>>()).prop_shuffle()
}

fn sorted(list: &[u8]) -> Vec<u8> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list
}

/// Whether the picks are different options out of `options`.
fn are_options(list: &[u8], options: u8) -> bool {
    (0..options).filter(|option| list.contains(option)).count() == list.len()
}

proptest! {
    #[test]
    fn a_single_choice((options, correct) in (2..=12u8).prop_flat_map(|n| (Just(n), shuffled(n), 1..=n))
        .prop_map(|(n, all, take)| (n, sorted(&all[..usize::from(take)]))), given in items())
    {
        let key = AnswerKey::Single { options, correct: picks(&correct) };
        let expected = match given[..] {
            [pick] if pick >= options => Judgement::Misfit,
            [pick] if correct.contains(&pick) => Judgement::Correct,
            [_] => Judgement::Wrong,
            _ => Judgement::Misfit,
        };
        let response = Response::Picks(picks(&given));
        prop_assert_eq!(judge(&key, &response), expected);
        let vote = judge(&AnswerKey::Poll { options }, &response);
        let counted = if expected == Judgement::Misfit { Judgement::Misfit } else { Judgement::Counted };
        prop_assert_eq!(vote, counted);
        for kind in [QuestionKind::Single, QuestionKind::Poll, QuestionKind::TrueFalse] {
            prop_assert_eq!(fits(kind, options.into(), &response), expected != Judgement::Misfit);
        }
    }

    #[test]
    fn a_multiple_choice((options, correct) in (2..=12u8).prop_flat_map(|n| (Just(n), shuffled(n), 1..=n))
        .prop_map(|(n, all, take)| (n, sorted(&all[..usize::from(take)]))), given in items())
    {
        let key = AnswerKey::Multiple { options, correct: picks(&correct) };
        let mut score = 0i32;
        for pick in &given {
            score += if correct.contains(pick) { 1 } else { -1 };
        }
        let possible = correct.len() as u8;
        let expected = if given.is_empty() || !are_options(&given, options) {
            Judgement::Misfit
        } else if sorted(&given) == correct {
            Judgement::Correct
        } else if score <= 0 {
            Judgement::Wrong
        } else {
            Judgement::Partial { earned: score as u8, possible }
        };
        let response = Response::Picks(picks(&given));
        prop_assert_eq!(judge(&key, &response), expected);
        prop_assert_eq!(fits(QuestionKind::Multiple, options.into(), &response), expected != Judgement::Misfit);
    }

    #[test]
    fn an_order((correct, given) in (2..=12u8).prop_flat_map(|n| (shuffled(n), prop_oneof![shuffled(n), items()]))) {
        let key = AnswerKey::Order { correct: picks(&correct) };
        let possible = correct.len() as u8;
        let response = Response::Picks(picks(&given));
        let got = judge(&key, &response);
        if sorted(&given) != (0..possible).collect::<Vec<u8>>() {
            prop_assert_eq!(got, Judgement::Misfit);
        } else {
            let mut in_place = 0;
            for at in 0..given.len() {
                in_place += u8::from(given[at] == correct[at]);
            }
            let expected = match in_place {
                0 => Judgement::Wrong,
                all if all == possible => Judgement::Correct,
                earned => Judgement::Partial { earned, possible },
            };
            prop_assert_eq!(got, expected);
        }
        prop_assert_eq!(fits(QuestionKind::Order, correct.len(), &response), got != Judgement::Misfit);
    }

    /// Numbers as people type them, with up to three decimals, compared exactly in thousandths.
    #[test]
    fn a_number_within_its_tolerance(
        value in -2_000_000_000..2_000_000_000i64,
        tolerance in prop_oneof![Just(0i64), 0..5_000i64, 0..1_000_000_000i64],
        off in prop_oneof![-1..=1i64, -5_000..5_000i64],
        below in any::<bool>(),
    ) {
        let given = if below { value - tolerance + off } else { value + tolerance + off };
        let decimal = |thousandths: i64| -> f64 {
            let sign = if thousandths < 0 { "-" } else { "" };
            let abs = thousandths.abs();
            format!("{sign}{}.{:03}", abs / 1000, abs % 1000).parse().unwrap()
        };
        let key = AnswerKey::Number { value: decimal(value), tolerance: decimal(tolerance) };
        let expected = if (given - value).abs() <= tolerance { Judgement::Correct } else { Judgement::Wrong };
        prop_assert_eq!(judge(&key, &Response::Number(decimal(given))), expected);
    }

    #[test]
    fn folding_twice_is_folding_once(text in any::<String>()) {
        let once = fold(&text);
        prop_assert_eq!(fold(&once), once.clone());
        prop_assert_eq!(once.trim(), once.as_str());
    }

    #[test]
    fn case_accents_and_blanks_do_not_matter(words in prop::collection::vec("[a-zA-ZäöüßéèñçøåŁžА-я0-9]{1,8}", 1..5)) {
        let plain = words.join(" ");
        let loud: String = words.iter().map(|word| word.to_uppercase()).collect::<Vec<_>>().join("  \t");
        let accented: String = plain.chars().flat_map(|c| if c == ' ' { vec![c] } else { vec![c, '\u{301}'] }).collect();
        prop_assert_eq!(fold(&loud), fold(&plain));
        prop_assert_eq!(fold(&accented), fold(&plain));
        let key = AnswerKey::Text { accepted: vec!["something else".into(), plain] };
        let prepared = PreparedKey::new(&key).unwrap();
        prop_assert_eq!(prepared.judge(&Response::Text(format!(" {loud}\n"))), Judgement::Correct);
        prop_assert_eq!(prepared.judge(&Response::Text(format!("{loud}x"))), Judgement::Wrong);
    }

    /// The short way for ASCII is the long way.
    #[test]
    fn ascii_folds_as_all_text_does(text in "[ -~\t\n]{0,40}") {
        // A character that folds away sends the text the long way.
        prop_assert_eq!(fold(&text), fold(&format!("{text}\u{200b}")));
    }

    /// Goal: whatever comes, judging answers, and only a kind's own responses fit.
    #[test]
    fn a_response_of_another_kind_is_a_misfit(text in any::<String>(), number in any::<f64>(), given in items()) {
        let responses = [Response::Text(text), Response::Number(number), Response::Picks(picks(&given))];
        let keys = [
            AnswerKey::Text { accepted: vec!["a".into()] },
            AnswerKey::Number { value: 1.0, tolerance: 0.5 },
            AnswerKey::Single { options: 12, correct: Picks::one(0) },
            AnswerKey::Multiple { options: 12, correct: Picks::one(0) },
            AnswerKey::Order { correct: picks(&[1, 0]) },
            AnswerKey::Poll { options: 12 },
        ];
        for (at, key) in keys.iter().enumerate() {
            for (of, response) in responses.iter().enumerate() {
                let judgement = judge(key, response);
                prop_assert!(at.min(2) == of || judgement == Judgement::Misfit, "{key:?} {response:?}");
            }
        }
        prop_assert!(responses.iter().all(|response| !fits(QuestionKind::Unknown, 4, response)));
    }
}

#[test]
fn folding_twice_is_folding_once_for_every_character() {
    // Above the second plane there is nothing that folds.
    for c in char::MIN..='\u{1ffff}' {
        let once = fold(&format!("a{c}b"));
        assert_eq!(fold(&once), once, "{c:?}");
    }
}

#[test]
fn texts_and_numbers_that_are_no_answers_are_misfits() {
    let text = AnswerKey::Text { accepted: vec!["a".into()] };
    for (typed, judgement) in [
        ("".to_string(), Judgement::Misfit),
        (" \t".to_string(), Judgement::Misfit),
        ("ü".repeat(TEXT_CHARS_MAX), Judgement::Wrong),
        ("ü".repeat(TEXT_CHARS_MAX + 1), Judgement::Misfit),
        ("x".repeat(1_000_000), Judgement::Misfit),
        ("Á".to_string(), Judgement::Correct),
    ] {
        assert_eq!(judge(&text, &Response::Text(typed.clone())), judgement, "{} bytes", typed.len());
        assert_eq!(fits(QuestionKind::Text, 0, &Response::Text(typed)), judgement != Judgement::Misfit);
    }
    let number = AnswerKey::Number { value: 0.7, tolerance: 0.1 };
    for (typed, judgement) in [
        (0.8, Judgement::Correct),
        (0.6, Judgement::Correct),
        (0.8000001, Judgement::Wrong),
        (f64::MAX, Judgement::Wrong),
        (f64::NAN, Judgement::Misfit),
        (f64::INFINITY, Judgement::Misfit),
        (f64::NEG_INFINITY, Judgement::Misfit),
    ] {
        assert_eq!(judge(&number, &Response::Number(typed)), judgement, "{typed}");
        assert_eq!(fits(QuestionKind::Number, 0, &Response::Number(typed)), judgement != Judgement::Misfit);
    }
    let exact = AnswerKey::Number { value: 0.1, tolerance: 0.0 };
    assert_eq!(judge(&exact, &Response::Number(0.1)), Judgement::Correct);
    assert_eq!(judge(&exact, &Response::Number(0.1 + f64::EPSILON)), Judgement::Wrong);
}

#[test]
fn a_bad_key_is_refused_and_fits_nothing() {
    let text = |accepted: &[&str]| AnswerKey::Text { accepted: accepted.iter().map(|text| text.to_string()).collect() };
    for (key, bad) in [
        (AnswerKey::Single { options: 1, correct: Picks::one(0) }, BadKey::Options(1)),
        (AnswerKey::Single { options: 13, correct: Picks::one(0) }, BadKey::Options(13)),
        (AnswerKey::Single { options: 4, correct: picks(&[]) }, BadKey::Correct),
        (AnswerKey::Single { options: 4, correct: Picks::one(4) }, BadKey::Correct),
        (AnswerKey::Multiple { options: 4, correct: picks(&[1, 1]) }, BadKey::Correct),
        (AnswerKey::Multiple { options: 255, correct: picks(&[1]) }, BadKey::Options(255)),
        (AnswerKey::Order { correct: picks(&[0]) }, BadKey::Options(1)),
        (AnswerKey::Order { correct: picks(&[0, 2]) }, BadKey::Order),
        (AnswerKey::Poll { options: 0 }, BadKey::Options(0)),
        (text(&[]), BadKey::Accepted(0)),
        (text(&["a"; 51]), BadKey::Accepted(51)),
        (text(&["a", " \u{301} "]), BadKey::AcceptedText),
        (text(&[&"a".repeat(201)]), BadKey::AcceptedText),
        (AnswerKey::Number { value: f64::NAN, tolerance: 0.0 }, BadKey::Number),
        (AnswerKey::Number { value: 1.0, tolerance: f64::INFINITY }, BadKey::Number),
        (AnswerKey::Number { value: 1.0, tolerance: -0.5 }, BadKey::Number),
    ] {
        assert_eq!(PreparedKey::new(&key), Err(bad), "{key:?}");
        for response in [Response::Picks(Picks::one(0)), Response::Text("a".into()), Response::Number(1.0)] {
            assert_eq!(judge(&key, &response), Judgement::Misfit, "{key:?}");
        }
    }
}
