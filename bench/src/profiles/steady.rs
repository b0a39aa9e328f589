//! A steady load: the rate is what is really offered over the whole time of each game, boards included.

use super::{memory, unanswered};
use crate::bench::{Bench, OFFERED_SHARE, lanes, steady_load};
use crate::error::BenchError;
use crate::load::play;
use crate::result::{Figure, Plot, RunResult, Target};

const EDGES: u32 = 2;
const SCORING: u32 = 2;

/// One run. `fast` says which targets it has.
pub async fn run(bench: &Bench, target: f64, fast: bool, seed: u64) -> Result<RunResult, BenchError> {
    let (players, games) = bench.sizes.steady;
    let kafka = bench.kafka_floor(target, bench.sizes.floor_s, EDGES, lanes(players, games)).await?;
    let echo = bench.echo_floor(target).await?;
    let fleet = bench.fleet(EDGES, SCORING).await?;
    bench.warm_up_steady(&fleet, (players, games), target, seed).await?;
    let spec = steady_load(players, games, target, bench.sizes.steady_s, seed);
    let played = play(&fleet.ground(), std::slice::from_ref(&spec)).await?;
    let books = bench.books(&played, spec.questions).await?;
    fleet.down().await;
    let (ack, board) = (played.ack(), played.board());
    let floor = |kafka: f64, echo: f64| Some(kafka + echo);
    let p50 = Figure::new("ack p50", ack.p50, "ms").over(floor(kafka.ack_ms.p50, echo.sent_ms.p50));
    let p99 = Figure::new("ack p99", ack.p99, "ms").over(floor(kafka.ack_ms.p99, echo.sent_ms.p99));
    let (p50, p99) = if fast {
        (p50, p99.target(Target::AtMost(50.0)))
    } else {
        (p50.target(Target::AtMost(1.5)), p99.target(Target::AtMost(10.0)))
    };
    let board_ms_max = 100.0 + f64::from(players / games) / 1_000.0;
    let figures = vec![
        p99,
        p50,
        Figure::new("ack p99.9", ack.p999, "ms").over(floor(kafka.ack_ms.p999, echo.sent_ms.p999)),
        Figure::new("offered over the whole time", played.offered_per_s(), "answers/s")
            .target(Target::AtLeast(target * OFFERED_SHARE)),
        Figure::new("close to board p99", board.p99, "ms").target(Target::AtMost(board_ms_max)),
        Figure::new("close to board p50", board.p50, "ms"),
        Figure::new("scoring behind, at most", played.behind_s(), "s").target(Target::AtMost(1.0)),
        unanswered(&played),
    ];
    let name = if fast { "steady" } else { "calm" };
    let plot = Plot {
        file: format!("{name}-memory"),
        title: format!("memory at {target:.0} answers/s"),
        x: "s".into(),
        y: "MiB".into(),
        log: false,
        curves: memory(&played, &["edge", "sessions", "scoring", "board", "ledger"]),
    };
    Ok(RunResult { plots: vec![plot], ..played.result(figures, books) })
}
