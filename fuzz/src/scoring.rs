//! Lanes. Promise: whatever is in the log, a lane does what the oracle of its tests says, which was written
//! from the policy table, and so does one that went through its snapshot.

use quiz_game::lane::Lane;
use quiz_schemas::events::{AnswerSubmitted, AnswersBody, LaneClosed, LaneOpened};
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{PlayerId, QuestionNo, SubmissionId};

use super::reader::Reader;

#[allow(dead_code)]
#[path = "../../game/tests/lane_oracle/oracle.rs"]
mod oracle;

/// Records that one life has at most: the oracle works everything out anew each time.
const RECORDS_MAX: usize = 200;

/// Each step is an opening, a closing, an answer or a snapshot.
pub fn run(data: &[u8]) {
    let mut reader = Reader(data);
    let (mut lane, mut oracle, mut due) = (Lane::new(), oracle::Oracle::default(), 0);
    for _ in 0..RECORDS_MAX {
        if reader.is_empty() {
            break;
        }
        let Some(body) = record(&mut reader, &mut due) else {
            if let Some(snapshot) = lane.snapshot() {
                lane = Lane::from_snapshot(snapshot);
            }
            continue;
        };
        assert_eq!(lane.apply(&body), oracle.apply(&body), "{body:?}");
        assert_eq!(lane.open(), oracle.open_question());
        for question in lane.open().into_iter().chain(lane.closed()) {
            assert_eq!(lane.counts(question), Some(oracle.counts(question)), "question {question}");
        }
    }
}

fn record(reader: &mut Reader<'_>, due: &mut QuestionNo) -> Option<AnswersBody> {
    let before = |due: QuestionNo, back: u8| due.saturating_sub(QuestionNo::from(back));
    Some(match reader.below(12) {
        0 | 1 => LaneOpened { question: *due, ..marker(reader) }.into(),
        2 => LaneOpened { question: before(*due + 1, reader.below(4)), ..marker(reader) }.into(),
        3 => {
            *due += 1;
            LaneClosed { question: *due - 1, closed_at_us: 0 }.into()
        }
        4 => LaneClosed { question: before(*due + 1, reader.below(4)), closed_at_us: 0 }.into(),
        5 => AnswersBody::Unknown,
        6 => return None,
        _ => {
            let back = [1, 1, 1, 1, 1, 0, 2, 3][usize::from(reader.below(8))];
            answer(before(*due + 1, back), reader).into()
        }
    })
}

fn picks(items: &[u8]) -> Picks {
    Picks::new(items).expect("few")
}

fn marker(reader: &mut Reader<'_>) -> LaneOpened {
    let key = match reader.below(8) {
        0 => AnswerKey::Single { options: 4, correct: picks(&[2]) },
        1 => AnswerKey::Single { options: 2, correct: picks(&[0]) },
        2 => AnswerKey::Multiple { options: 4, correct: picks(&[0, 2, 3]) },
        3 => AnswerKey::Text { accepted: vec!["Ada".into(), "Bob".into()] },
        4 => AnswerKey::Number { value: 3.5, tolerance: 0.25 },
        5 => AnswerKey::Order { correct: picks(&[1, 2, 0]) },
        6 => AnswerKey::Poll { options: 3 },
        _ => AnswerKey::Single { options: 13, correct: picks(&[1]) },
    };
    let limit_us = [20_000_000, 7_000_001, 300_000, 1, 0][usize::from(reader.below(5))];
    let points_max = [1000, 2000, 0, 2999, -1][usize::from(reader.below(5))];
    let flags = reader.byte();
    let rule = if flags & 6 == 6 { "speed-v0".into() } else { "speed-v1".into() };
    LaneOpened { question: 0, key, points_max, limit_us, rule, streaks: flags & 1 == 1, opened_at_us: 0 }
}

fn answer(question: QuestionNo, reader: &mut Reader<'_>) -> AnswerSubmitted {
    let response = match reader.below(3) {
        0 => {
            let items: Vec<u8> = (0..reader.below(6)).map(|_| reader.below(14)).collect();
            Response::Picks(picks(&items))
        }
        1 => Response::Text(["ada", " BOB ", "eve", "", "  "][usize::from(reader.below(5))].into()),
        _ => Response::Number([3.5, 3.25, 3.75, 3.76, -3.5, f64::NAN, f64::INFINITY][usize::from(reader.below(7))]),
    };
    let elapsed_us = match reader.below(4) {
        0 => reader.long(),
        1 => [-1, 0, 499_999, 500_000, 600_001, 20_300_000, 20_300_001, i64::MAX][usize::from(reader.below(8))],
        _ => i64::from(reader.byte()) * 100_000,
    };
    AnswerSubmitted {
        question,
        player: PlayerId::from_bits(u64::from(reader.below(5)) << 40),
        submission: SubmissionId::from_bits(u64::from(reader.below(40))),
        response,
        received_at_us: 0,
        elapsed_us,
        edge: "edge-1".into(),
    }
}
