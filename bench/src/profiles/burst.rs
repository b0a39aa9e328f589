//! One big game whose players answer as soon as they see the question.

use super::unanswered;
use crate::bench::{Bench, lanes, load};
use crate::error::BenchError;
use crate::load::{Asking, LoadSpec, Pace, play};
use crate::result::{Figure, RunResult, Target};

const EDGES: u32 = 2;
const SCORING: u32 = 2;
const QUESTIONS: u32 = 3;
const WARM_UP_SPREAD_S: f64 = 4.0;
/// All records of the floor are due within this time, s.
const FLOOR_S: f64 = 0.2;
/// The last answer is acknowledged by then, ms.
const ACKED_MS_MAX: f64 = 3_000.0;
/// The last question is delivered by then, ms: all answers fall into that time.
const BURST_MS_MAX: f64 = 2_000.0;

/// One run.
pub async fn run(bench: &Bench, seed: u64) -> Result<RunResult, BenchError> {
    let players = bench.sizes.burst_players;
    let keys = lanes(players, 1);
    let kafka = bench.kafka_floor(f64::from(players) / FLOOR_S, FLOOR_S, EDGES, keys).await?;
    let crowd = bench.crowd_floor(players, EDGES).await?;
    let fleet = bench.fleet(EDGES, SCORING).await?;
    let sources = |spec| LoadSpec { sources: true, asking: Asking::PauseMs(2_000), ..spec };
    let warm = sources(load(players, 1, 1, Pace::Rate(f64::from(players) / WARM_UP_SPREAD_S), seed ^ 0xff));
    bench.warm_up(&fleet, &warm).await?;
    let spec = sources(load(players, 1, QUESTIONS, Pace::Burst, seed));
    let played = play(&fleet.ground(), std::slice::from_ref(&spec)).await?;
    let books = bench.books(&played, QUESTIONS).await?;
    fleet.down().await;
    let ((first, last), ack) = (played.fan_out(), played.ack());
    let floor = |quantile: f64| Some(quantile + crowd.last_ms);
    let figures = vec![
        Figure::new("last ack", ack.max, "ms").over(floor(kafka.ack_ms.max)).target(Target::AtMost(ACKED_MS_MAX)),
        Figure::new("ack p99", ack.p99, "ms").over(floor(kafka.ack_ms.p99)),
        Figure::new("ack p50", ack.p50, "ms").over(floor(kafka.ack_ms.p50)),
        Figure::new("last delivery of a question", last.max, "ms")
            .over(Some(crowd.last_ms))
            .target(Target::AtMost(BURST_MS_MAX)),
        Figure::new("first delivery of a question", first.max, "ms").over(Some(crowd.first_ms)),
        Figure::new("close to board p99", played.board().p99, "ms"),
        Figure::new("sockets that broke", played.reconnects() as f64, "").target(Target::AtMost(0.0)),
        unanswered(&played),
    ];
    let notes = played.notes([
        "the floor of an ack is a burst of as many records into Kafka, and one text to as many sockets before it",
    ]);
    Ok(RunResult { notes, ..played.result(figures, books) })
}
