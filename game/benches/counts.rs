//! The hot loops of the pure steps, each run once over the same items each time, so that their
//! instructions can be counted: `scripts/counts` does. Time on a busy machine says little; a count
//! says whether a change made a step dearer.
//!
//! `--list` names the steps, `--step NAME` runs one and prints how many items it went over. Only what
//! is inside [`measured`] is to be counted: the script tells the counter its name.

use std::hint::black_box;
use std::process::ExitCode;

use quiz_game::board::{BOARD_ROWS, Reports, Roster};
use quiz_game::lane::Lane;
use quiz_schemas::events::{
    AnswerSubmitted, AnswersBody, AnswersRecord, LaneClosed, LaneCounts, LaneOpened, LaneScored, PlayerScore,
    ScoresRecord, Verdict,
};
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{Codec, GameId, LaneKey, PlayerId, Position, SubmissionId};

/// Answers that are encoded and decoded.
const RECORDS: u64 = 10_000;
/// Players of a full lane, and the questions that they answer.
const LANE_PLAYERS: u64 = 2_000;
const LANE_QUESTIONS: u16 = 5;
/// Players of a board, in the lanes that they have.
const BOARD_PLAYERS: u64 = 20_000;
const BOARD_LANES: u16 = 10;

/// A step: its name, and what gives the number of items that it went over.
type Step = (&'static str, fn() -> u64);

const STEPS: &[Step] = &[
    ("encode_answer_picks", || encode(|n| Response::Picks(Picks::one((n % 4) as u8)))),
    ("encode_answer_text", || encode(|n| Response::Text(format!("an answer {n}")))),
    ("decode_answer_picks", || decode(|n| Response::Picks(Picks::one((n % 4) as u8)))),
    ("decode_answer_text", || decode(|n| Response::Text(format!("an answer {n}")))),
    ("lane_apply_picks", || {
        let key = AnswerKey::Single { options: 4, correct: Picks::one(2) };
        lane(&key, |n| Response::Picks(Picks::one((n % 4) as u8)))
    }),
    ("lane_apply_text", || {
        let texts = ["zurich", "Zürich", "Geneva", "  ZUERICH "];
        let key = AnswerKey::Text { accepted: vec!["Zürich".into(), "Zuerich".into()] };
        lane(&key, |n| Response::Text(texts[(n % 4) as usize].into()))
    }),
    ("lane_apply_number", || {
        lane(&AnswerKey::Number { value: 8848.86, tolerance: 10.0 }, |n| Response::Number(8840.0 + (n % 20) as f64))
    }),
    ("board_spread", || board(|n| (n.wrapping_mul(7_919) % 40_000) as i64)),
    ("board_tied", || board(|_| 1_000)),
];

/// What is counted. Its name is all that the script knows of this program.
#[inline(never)]
fn measured(run: &mut dyn FnMut()) {
    black_box(run)();
}

/// Spreads numbers as random ids are spread.
fn spread(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn answer(question: u16, n: u64, response: Response) -> AnswerSubmitted {
    AnswerSubmitted {
        question,
        player: PlayerId::from_bits(spread(n)),
        submission: SubmissionId::from_bits(spread(n + LANE_PLAYERS * u64::from(question))),
        response,
        received_at_us: 1_790_000_000_000_000 + n as i64,
        elapsed_us: (1_000_000 + n * 8_191 % 19_000_000) as i64,
        edge: "edge-1".into(),
    }
}

fn answers(response: impl Fn(u64) -> Response) -> Vec<AnswersRecord> {
    let game = GameId::from_bits(spread(7));
    (0..RECORDS).map(|n| AnswersRecord { game, lane: 3, body: answer(11, n, response(n)).into() }).collect()
}

fn encode(response: impl Fn(u64) -> Response) -> u64 {
    let (codec, records) = (Codec::with_fixed_ids(), answers(response));
    let mut out = Vec::with_capacity(256);
    measured(&mut || {
        for record in &records {
            out.clear();
            codec.encode_into(record, &mut out).expect("it encodes");
            black_box(&out);
        }
    });
    RECORDS
}

fn decode(response: impl Fn(u64) -> Response) -> u64 {
    let codec = Codec::with_fixed_ids();
    let values: Vec<Vec<u8>> =
        answers(response).iter().map(|record| codec.encode(record).expect("it encodes")).collect();
    measured(&mut || {
        for value in &values {
            black_box(codec.decode::<AnswersRecord>(value).expect("it decodes"));
        }
    });
    RECORDS
}

fn lane(key: &AnswerKey, response: impl Fn(u64) -> Response) -> u64 {
    let mut log: Vec<AnswersBody> = Vec::new();
    for question in 0..LANE_QUESTIONS {
        let opened = LaneOpened {
            question,
            key: key.clone(),
            points_max: 1000,
            limit_us: 20_000_000,
            rule: "speed-v1".into(),
            streaks: true,
            opened_at_us: 0,
        };
        log.push(opened.into());
        // Another order for each question, as players are not equally fast each time.
        let order = (0..LANE_PLAYERS).map(|n| (n * 7 + u64::from(question) * 331) % LANE_PLAYERS);
        log.extend(order.map(|n| answer(question, n, response(n)).into()));
        log.push(LaneClosed { question, closed_at_us: 0 }.into());
    }
    let mut lane = Lane::new();
    measured(&mut || {
        for body in &log {
            black_box(lane.apply(body));
        }
    });
    LANE_PLAYERS * u64::from(LANE_QUESTIONS)
}

fn board(total: impl Fn(u64) -> i64) -> u64 {
    let game = GameId::from_bits(1);
    let mut roster = Roster::default();
    let mut rows = vec![Vec::new(); usize::from(BOARD_LANES)];
    for n in 0..BOARD_PLAYERS {
        let player = PlayerId::from_bits(spread(n));
        let lane = LaneKey::of(game, player, BOARD_LANES).lane;
        roster.admit(player, &format!("player {n}"), lane, 0);
        let (verdict, points, streak) = (Verdict::Correct, 900, 1);
        let total = total(n);
        let score = PlayerScore { player, verdict, points, total, streak, elapsed_us: 1, elapsed_total_us: 1 };
        rows[usize::from(lane)].push(score);
    }
    let mut reports = Reports::default();
    for (lane, outcomes) in rows.into_iter().enumerate() {
        let (lane, question, position, counts) = (lane as u16, 0, Position::default(), LaneCounts::default());
        let body = LaneScored { part: 0, parts: 1, distribution: vec![], outcomes }.into();
        let record = ScoresRecord { game, lane, question, position, counts, body };
        reports.take(&record, 0).expect("the report is well formed");
    }
    reports.settle(0);
    measured(&mut || {
        let standing = reports.standing(&roster, 1);
        black_box((standing.top(BOARD_ROWS), standing.outcomes(BOARD_LANES)));
    });
    BOARD_PLAYERS
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--step", wanted] => match STEPS.iter().find(|(name, _)| *name == wanted) {
            Some((_, step)) => {
                println!("{}", step());
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("counts: there is no step {wanted}");
                ExitCode::from(2)
            }
        },
        ["--list"] => {
            STEPS.iter().for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        // `cargo bench` runs it so: each step once, to see that it works.
        _ => {
            STEPS.iter().for_each(|(name, step)| println!("{name}: {} items", step()));
            ExitCode::SUCCESS
        }
    }
}
