//! Random lives of a lane: openings, closings, answers, resends, late and foreign ones, misfits,
//! repeated and bad markers, snapshots.

use proptest::prelude::*;
use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{PlayerId, QuestionNo, SubmissionId};

/// What happens next; questions are named relative to the one that is due.
#[derive(Clone, Debug)]
pub enum Step {
    /// The due question opens.
    Open(LaneOpened),
    /// An open marker `back` questions before the due one: a repeat, or of a question too early.
    OpenOther { back: i8, marker: LaneOpened },
    /// The due question closes and the next is due.
    Close,
    /// A close marker of another question.
    CloseOther { back: i8 },
    /// An answer to the question `back` before the due one.
    Answer { back: i8, answer: AnswerSubmitted },
    /// The lane goes through its snapshot, if a snapshot can be taken.
    Restore,
    /// A kind of record that this build does not know.
    Unknown,
}

fn picks(items: &[u8]) -> Picks {
    Picks::new(items).expect("few")
}

fn key() -> impl Strategy<Value = AnswerKey> {
    prop_oneof![
        3 => Just(AnswerKey::Single { options: 4, correct: picks(&[2]) }),
        1 => Just(AnswerKey::Single { options: 2, correct: picks(&[0]) }),
        3 => Just(AnswerKey::Multiple { options: 4, correct: picks(&[0, 2, 3]) }),
        2 => Just(AnswerKey::Text { accepted: vec!["Ada".into(), "Bob".into()] }),
        2 => Just(AnswerKey::Number { value: 3.5, tolerance: 0.25 }),
        2 => Just(AnswerKey::Order { correct: picks(&[1, 2, 0]) }),
        2 => Just(AnswerKey::Poll { options: 3 }),
    ]
}

fn marker() -> impl Strategy<Value = LaneOpened> {
    let limit_us = prop_oneof![Just(20_000_000i64), Just(7_000_001), Just(300_000), 1..10_000_000i64];
    let points_max = prop_oneof![3 => Just(1000), 1 => Just(2000), 1 => Just(0), 1 => 0..3000i32];
    let flaw = prop_oneof![12 => Just(0u8), 4 => 1..5u8];
    (key(), limit_us, points_max, any::<bool>(), flaw).prop_map(|(key, limit_us, points_max, streaks, flaw)| {
        let bad_key = AnswerKey::Single { options: 13, correct: picks(&[1]) };
        LaneOpened {
            question: 0,
            key: if flaw == 1 { bad_key } else { key },
            points_max: if flaw == 2 { -1 } else { points_max },
            limit_us: if flaw == 3 { 0 } else { limit_us },
            rule: if flaw == 4 { "speed-v0".into() } else { "speed-v1".into() },
            streaks,
            opened_at_us: 0,
        }
    })
}

fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        4 => prop::sample::select(vec![0u8, 2, 2, 2, 3]).prop_map(|pick| Response::Picks(Picks::one(pick))),
        3 => prop::sample::select(vec![
            vec![0, 2, 3], vec![3, 0], vec![1, 2], vec![1], vec![0, 0], vec![0, 2, 3, 1], vec![], vec![1, 2, 0],
            vec![1, 0, 2], vec![0, 1, 2], vec![4], vec![11, 0],
        ]).prop_map(|items| Response::Picks(picks(&items))),
        2 => prop::sample::select(vec!["ada", " BOB ", "eve", "", "  "]).prop_map(|text| Response::Text(text.into())),
        2 => prop::sample::select(vec![3.5, 3.25, 3.75, 3.76, -3.5, f64::NAN, f64::INFINITY])
            .prop_map(Response::Number),
    ]
}

fn elapsed_us() -> impl Strategy<Value = i64> {
    prop_oneof![
        0..20_000_000i64,
        prop::sample::select(vec![-1, 0, 499_999, 500_000, 600_001, 20_300_000, 20_300_001, i64::MAX, i64::MIN]),
    ]
}

fn answer() -> impl Strategy<Value = AnswerSubmitted> {
    (0..5u64, 0..40u64, response(), elapsed_us()).prop_map(|(player, submission, response, elapsed_us)| {
        AnswerSubmitted {
            question: 0,
            player: PlayerId::from_bits(player << 40),
            submission: SubmissionId::from_bits(submission),
            response,
            received_at_us: 0,
            elapsed_us,
            edge: "edge-1".into(),
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let back = || prop_oneof![12 => Just(0i8), 3 => Just(1), 1 => Just(2), 1 => Just(-1)];
    prop_oneof![
        4 => marker().prop_map(Step::Open),
        1 => (-1..3i8, marker()).prop_map(|(back, marker)| Step::OpenOther { back, marker }),
        3 => Just(Step::Close),
        1 => (-1..3i8).prop_map(|back| Step::CloseOther { back }),
        20 => (back(), answer()).prop_map(|(back, answer)| Step::Answer { back, answer }),
        3 => Just(Step::Restore),
        1 => Just(Step::Unknown),
    ]
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..150)
}

/// The record that a step stands for when `due` is the question due; none for [`Step::Restore`].
pub fn record(step: Step, due: &mut QuestionNo) -> Option<AnswersBody> {
    let before = |back: i8| (i32::from(*due) - i32::from(back)).max(0) as QuestionNo;
    Some(match step {
        Step::Open(marker) => LaneOpened { question: *due, ..marker }.into(),
        Step::OpenOther { back, marker } => LaneOpened { question: before(back), ..marker }.into(),
        Step::Close => {
            *due += 1;
            LaneClosed { question: *due - 1, closed_at_us: 0 }.into()
        }
        Step::CloseOther { back } => LaneClosed { question: before(back), closed_at_us: 0 }.into(),
        Step::Answer { back, answer } => AnswerSubmitted { question: before(back), ..answer }.into(),
        Step::Unknown => AnswersBody::Unknown,
        Step::Restore => return None,
    })
}
