//! A long load: messages through the edges, and whether anybody's memory grows.

use super::{memory, unanswered};
use crate::bench::{Bench, steady_load};
use crate::error::BenchError;
use crate::load::{Played, play};
use crate::result::{Figure, Plot, RunResult, Target};

const EDGES: u32 = 2;
const SCORING: u32 = 2;
const GAMES: u32 = 6;
const ROLES: [&str; 5] = ["edge", "sessions", "scoring", "board", "ledger"];
/// Messages a minute that are asked for.
const MESSAGES_PER_MIN: f64 = 1_000_000.0;
/// The mean of the last fifth of the time is at most so many times that of the second.
const GROWTH_MAX: f64 = 1.05;

/// One run.
pub async fn run(bench: &Bench, seed: u64) -> Result<RunResult, BenchError> {
    let (players, seconds) = bench.sizes.messages;
    let fleet = bench.fleet(EDGES, SCORING).await?;
    bench.warm_up_steady(&fleet, (players, GAMES), bench.sizes.messages_rate, seed).await?;
    let spec = steady_load(players, GAMES, bench.sizes.messages_rate, seconds, seed);
    let played = play(&fleet.ground(), std::slice::from_ref(&spec)).await?;
    let books = bench.books(&played, spec.questions).await?;
    fleet.down().await;
    let per_min =
        messages(&played, u64::from(players) * u64::from(spec.questions)) as f64 / played.seconds().max(0.001) * 60.0;
    let mut figures = vec![
        Figure::new("messages through the edges", per_min, "/min").target(Target::AtLeast(MESSAGES_PER_MIN)),
        Figure::new("for", played.seconds(), "s"),
        Figure::new("ack p99", played.ack().p99, "ms"),
        unanswered(&played),
    ];
    for curve in memory(&played, &ROLES) {
        let begin = (played.rested.at - played.begun.at).as_secs_f64();
        let points: Vec<f64> = curve.points.iter().filter(|(at, _)| *at >= begin).map(|(_, mib)| *mib).collect();
        let figure =
            Figure::new(&format!("memory of {} at the end ÷ at the beginning", curve.name), growth(&points), "×");
        figures.push(figure.target(Target::AtMost(GROWTH_MAX)));
    }
    Ok(RunResult {
        notes: played.notes(["memory: the mean of the last fifth of the time beside that of the second fifth"]),
        plots: vec![Plot {
            file: "messages-memory".into(),
            title: "memory over a long load".into(),
            x: "s".into(),
            y: "MiB".into(),
            log: false,
            curves: memory(&played, &ROLES),
        }],
        ..played.result(figures, books)
    })
}

/// What the load client counted; else what must have gone through: each question, answer, receipt,
/// close, board and outcome.
fn messages(played: &Played, rounds: u64) -> u64 {
    let totals = played.told.iter().filter_map(|told| told.total.as_ref());
    let counted: u64 = totals.map(|total| total.messages_in + total.messages_out).sum();
    let (_, sent, acked, refused) = played.counts();
    if counted > 0 { counted } else { sent + acked + refused + played.deliveries() + 3 * rounds }
}

/// The mean of the last fifth over that of the second; 1 when there is nothing to compare.
fn growth(points: &[f64]) -> f64 {
    let fifth = points.len() / 5;
    if fifth == 0 {
        return 1.0;
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let early = mean(&points[fifth..2 * fifth]);
    if early > 0.0 { mean(&points[points.len() - fifth..]) / early } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_seen_and_a_warm_up_is_not_growth() {
        let mut flat = vec![100.0; 50];
        flat[..5].fill(10.0);
        assert!((growth(&flat) - 1.0).abs() < 1e-9);
        let rising: Vec<f64> = (0..50).map(|at| 100.0 + f64::from(at)).collect();
        assert!(growth(&rising) > 1.2);
        assert!((growth(&[1.0, 2.0]) - 1.0).abs() < 1e-9);
    }
}
