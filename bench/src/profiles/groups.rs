//! Scoring workers come while a load goes on: a rebalance stops a partition, and the games whose lanes
//! are in it wait for their boards.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::traces::Traces;
use super::unanswered;
use crate::bench::{Bench, steady_load};
use crate::error::BenchError;
use crate::fleet::Fleet;
use crate::latency::wall_us;
use crate::load::{LoadSpec, play, total};
use crate::process::Roster;
use crate::result::{Curve, Figure, Plot, RunResult, Target};

const EDGES: u32 = 2;
/// How many workers come at each change.
const ARRIVALS: [u32; 2] = [1, 2];
/// The longest wait for a board that is asked for, s.
const PAUSE_S_MAX: f64 = 1.0;
/// How long the first answer may take to come.
const FIRST_WAIT: Duration = Duration::from_secs(120);
/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One run.
pub async fn run(bench: &Bench, seed: u64) -> Result<RunResult, BenchError> {
    let (players, games) = bench.sizes.groups;
    let step_s = bench.sizes.groups_s;
    let dir = bench.logs.join(format!("groups-{seed}"));
    let mut fleet = bench.fleet(EDGES, 1).await?;
    bench.warm_up_steady(&fleet, (players, games), bench.sizes.groups_rate, seed).await?;
    let seconds = step_s * (ARRIVALS.len() + 1) as f64;
    let spec = steady_load(players, games, bench.sizes.groups_rate, seconds, seed);
    let spec = LoadSpec { log: Some(dir.clone()), ..spec };
    let ground = fleet.ground();
    let (played, times) =
        tokio::join!(play(&ground, std::slice::from_ref(&spec)), arrivals(&mut fleet, &ground.roster, step_s));
    let (played, times) = (played?, times?);
    let books = bench.books(&played, spec.questions).await?;
    fleet.down().await;
    let traces = Traces::read(&dir)?;
    // Some hundred thousand lines that have been read.
    let _ = std::fs::remove_dir_all(&dir);
    let (first, changed) = (times[0], times[1]);
    let longest = |from, to| traces.waits(from, to).iter().map(|(_, wait)| *wait).fold(0.0, f64::max);
    let calm_s = longest(first, changed);
    let figures = vec![
        Figure::new("longest wait for a board while workers come", longest(changed, i64::MAX), "s")
            .over(Some(calm_s))
            .target(Target::AtMost(PAUSE_S_MAX)),
        Figure::new("offered over the whole time", played.offered_per_s(), "answers/s"),
        Figure::new("ack p99", played.ack().p99, "ms"),
        Figure::new("close to board p99", played.board().p99, "ms"),
        unanswered(&played),
    ];
    let points: Vec<(f64, f64)> = traces.waits(first, i64::MAX);
    Ok(RunResult {
        notes: played.notes([
            "the wait of a question from its last acknowledgement to its first board; the floor is the longest with one worker, before others came",
        ]),
        plots: vec![Plot {
            file: "groups".into(),
            title: "wait for a board while 1, 2, 4 scoring workers run".into(),
            x: "s".into(),
            y: "s".into(),
            log: false,
            curves: vec![Curve { name: "wait for a board".into(), points }],
        }],
        ..played.result(figures, books)
    })
}

/// Waits for the first answers, then lets workers come. Returns when the first answers came and each
/// change began, wall clock µs.
async fn arrivals(fleet: &mut Fleet, roster: &Roster, step_s: f64) -> Result<Vec<i64>, BenchError> {
    let acked = || total(roster, "edge", "quiz_answers_acked_total", "");
    let (earlier, deadline) = (acked().await, Instant::now() + FIRST_WAIT);
    while acked().await <= earlier {
        if Instant::now() > deadline {
            return Err(BenchError::Late { what: "the first answer".into(), wait_s: FIRST_WAIT.as_secs() });
        }
        sleep(LOOK_EVERY).await;
    }
    let mut times = vec![wall_us()];
    for count in ARRIVALS {
        sleep(Duration::from_secs_f64(step_s)).await;
        times.push(wall_us());
        for _ in 0..count {
            fleet.add("scoring").await?;
        }
    }
    Ok(times)
}
