//! How many answers a core scores: whole games of 20 questions with 2,000 players in one lane,
//! markers and reports included. The target is 1,000,000 answers a second a core.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quiz_game::lane::{Lane, LaneEffect};
use quiz_schemas::events::{AnswerSubmitted, AnswersBody, LaneClosed, LaneOpened};
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{PlayerId, SubmissionId};
use std::hint::black_box;

const PLAYERS: u64 = 2_000;
const QUESTIONS: u16 = 20;

/// Spreads numbers as random ids are spread.
fn spread(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A game's records in one lane; `response` gives the nth player's answer.
fn game(key: &AnswerKey, response: impl Fn(u64) -> Response) -> Vec<AnswersBody> {
    let mut log = Vec::new();
    for question in 0..QUESTIONS {
        log.push(
            LaneOpened {
                question,
                key: key.clone(),
                points_max: 1000,
                limit_us: 20_000_000,
                rule: "speed-v1".into(),
                streaks: true,
                opened_at_us: 0,
            }
            .into(),
        );
        for n in 0..PLAYERS {
            // Another order for each question, as players are not equally fast each time.
            let n = (n * 7 + u64::from(question) * 331) % PLAYERS;
            log.push(
                AnswerSubmitted {
                    question,
                    player: PlayerId::from_bits(spread(n)),
                    submission: SubmissionId::from_bits(spread(n + PLAYERS * u64::from(question))),
                    response: response(n),
                    received_at_us: 1_790_000_000_000_000,
                    elapsed_us: (1_000_000 + n * 8_191 % 19_000_000) as i64,
                    edge: "edge-1".into(),
                }
                .into(),
            );
        }
        log.push(LaneClosed { question, closed_at_us: 0 }.into());
    }
    log
}

fn picks(items: &[u8]) -> Picks {
    Picks::new(items).expect("few")
}

fn games() -> Vec<(&'static str, Vec<AnswersBody>)> {
    let single = AnswerKey::Single { options: 4, correct: picks(&[2]) };
    let multiple = AnswerKey::Multiple { options: 6, correct: picks(&[0, 2, 5]) };
    let text = AnswerKey::Text { accepted: vec!["Zürich".into(), "Zuerich".into()] };
    let number = AnswerKey::Number { value: 8848.86, tolerance: 10.0 };
    let texts = ["zurich", "Zürich", "Geneva", "  ZUERICH "];
    vec![
        ("single", game(&single, |n| Response::Picks(Picks::one((n % 4) as u8)))),
        ("multiple", game(&multiple, |n| Response::Picks(picks(&[0, (1 + n % 3) as u8, 5])))),
        ("text", game(&text, |n| Response::Text(texts[(n % 4) as usize].into()))),
        ("number", game(&number, |n| Response::Number(8840.0 + (n % 20) as f64))),
    ]
}

fn lane(c: &mut Criterion) {
    let mut group = c.benchmark_group("lane.apply");
    group.throughput(Throughput::Elements(PLAYERS * u64::from(QUESTIONS)));
    for (name, log) in games() {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut lane = Lane::new();
                let mut scored = 0u64;
                for body in &log {
                    scored += u64::from(matches!(black_box(lane.apply(body)), LaneEffect::Scored(_)));
                }
                assert_eq!(scored, PLAYERS * u64::from(QUESTIONS));
                lane
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lane);
criterion_main!(benches);
