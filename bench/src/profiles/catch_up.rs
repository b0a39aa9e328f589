//! Scoring workers are stopped for a while under load, and start again: how long until they are level,
//! and whether acknowledgements feel it.
//!
//! A game that waits for a board asks nothing, so a load of many questions would stop by itself. The load is
//! therefore one long question: each player answers once, and there are many players.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::traces::Traces;
use super::unanswered;
use crate::bench::{Bench, load};
use crate::error::BenchError;
use crate::fleet::Fleet;
use crate::latency::wall_us;
use crate::ledger::Books;
use crate::load::{LoadSpec, Pace, Played, play, total};
use crate::process::Roster;
use crate::result::{Curve, Figure, Plot, RunResult, Target};
use crate::sizes::{FULL, QUICK};

const SCORING: u32 = 2;
/// Players of each game: a lane each.
const GAME_PLAYERS: u32 = 2_000;
const CONNECT_RATE: f64 = 3_000.0;
/// How much slower acknowledgements may be while scoring is away, and while it catches up.
const ACK_TIMES_MAX: f64 = 1.2;
/// How long scoring may take until it is level again, s.
const DRAIN_MAX_S: f64 = 30.0;
/// Behind the first answer the question is on its way to the rest for this long, s: no time to compare with.
const SETTLE_S: f64 = 5.0;
// Or there is nothing to compare with.
const _: () = assert!(FULL.catch_up_s.0 > SETTLE_S && QUICK.catch_up_s.0 > SETTLE_S);
/// Scoring is level when it is behind by no more than the load of this time, s.
const LEVEL_S: f64 = 1.0;
/// The least that counts as behind, records: what is always under way.
const LEVEL_RECORDS: f64 = 50.0;
/// Between two looks at the counters.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the first answer may take to come.
const FIRST_WAIT: Duration = Duration::from_secs(180);

/// When what happened.
#[derive(Clone, Copy)]
struct Times {
    /// The first answers, wall clock µs.
    first_us: i64,
    /// Scoring workers were asked to end, wall clock µs.
    stopped_us: i64,
    /// They were started again, wall clock µs.
    back_us: i64,
    /// The same, on the clock of the samples.
    back: std::time::Instant,
}

/// One run.
pub async fn run(bench: &Bench, seed: u64) -> Result<RunResult, BenchError> {
    let (players, edges) = bench.sizes.catch_up;
    let (before_s, away_s, behind_s) = bench.sizes.catch_up_s;
    let dir = bench.logs.join(format!("catch-up-{seed}"));
    let mut fleet = bench.fleet(edges, SCORING).await?;
    bench.warm_up(&fleet, &load(400, 4, 3, Pace::Rate(400.0), seed ^ 0xff)).await?;
    let rate = f64::from(players) / (before_s + away_s + behind_s);
    let spec = LoadSpec {
        connect_rate: CONNECT_RATE,
        sources: true,
        log: Some(dir.clone()),
        ..load(players, players.div_ceil(GAME_PLAYERS), 1, Pace::Rate(rate), seed)
    };
    let ground = fleet.ground();
    let (played, times) =
        tokio::join!(play(&ground, std::slice::from_ref(&spec)), outage(&mut fleet, &ground.roster, before_s, away_s));
    let (played, times) = (played?, times?);
    let books = bench.books(&played, 1).await?;
    fleet.down().await;
    let traces = Traces::read(&dir)?;
    // Some ten thousand lines that have been read.
    let _ = std::fs::remove_dir_all(&dir);
    Ok(finish(&played, times, &traces, rate, books))
}

/// Waits for the first answers, then takes the scoring workers away for a while.
async fn outage(fleet: &mut Fleet, roster: &Roster, before_s: f64, away_s: f64) -> Result<Times, BenchError> {
    let acked = || total(roster, "edge", "quiz_answers_acked_total", "");
    let (earlier, deadline) = (acked().await, Instant::now() + FIRST_WAIT);
    while acked().await <= earlier {
        if Instant::now() > deadline {
            return Err(BenchError::Late { what: "the first answer".into(), wait_s: FIRST_WAIT.as_secs() });
        }
        sleep(LOOK_EVERY).await;
    }
    let first_us = wall_us();
    sleep(Duration::from_secs_f64(before_s)).await;
    let stopped_us = wall_us();
    fleet.stop("scoring").await;
    sleep(Duration::from_secs_f64(away_s)).await;
    let (back_us, back) = (wall_us(), std::time::Instant::now());
    for _ in 0..SCORING {
        fleet.add("scoring").await?;
    }
    Ok(Times { first_us, stopped_us, back_us, back })
}

fn finish(played: &Played, times: Times, traces: &Traces, rate: f64, books: Books) -> RunResult {
    let away = traces.acks(times.stopped_us, times.back_us);
    let mut backlog = backlog(played, times.back);
    backlog.insert(0, (0.0, away.count as f64));
    let level = (rate * LEVEL_S).max(LEVEL_RECORDS);
    let drained_s = backlog.iter().find(|(at, records)| *at > 0.0 && *records <= level).map(|(at, _)| *at);
    let level_us = times.back_us + (drained_s.unwrap_or(0.0) * 1e6) as i64;
    let before = traces.acks(times.first_us + (SETTLE_S * 1e6) as i64, times.stopped_us);
    let drain = traces.acks(times.back_us, level_us);
    let figures = vec![
        Figure::new("time to drain", drained_s.unwrap_or(f64::MAX), "s").target(Target::AtMost(DRAIN_MAX_S)),
        Figure::new("answers acknowledged while scoring was away", away.count as f64, ""),
        Figure::new("offered", rate, "answers/s"),
        Figure::new("ack p99 while scoring was away", away.p99, "ms")
            .over(Some(before.p99))
            .target(Target::FloorTimes(ACK_TIMES_MAX)),
        Figure::new("ack p50 while scoring was away", away.p50, "ms").over(Some(before.p50)),
        Figure::new("ack p99 while it caught up", drain.p99, "ms")
            .over(Some(before.p99))
            .target(Target::FloorTimes(ACK_TIMES_MAX)),
        Figure::new("ack p50 while it caught up", drain.p50, "ms").over(Some(before.p50)),
        unanswered(played),
    ];
    let mut notes = played
        .notes(["the floor of an ack is the same figure before scoring was away, once everybody had the question"]);
    if drained_s.is_none() {
        notes.push("scoring was not seen level again".into());
    }
    RunResult {
        figures,
        answers: played.counts().2,
        // Workers that were stopped have taken what they used with them.
        roles: Vec::new(),
        books,
        alerts: None,
        failure: played.games().1.or_else(|| drained_s.is_none().then(|| "scoring did not become level".into())),
        notes,
        plots: vec![Plot {
            file: "catch-up".into(),
            title: "answers acknowledged and not scored".into(),
            x: "s since the scoring workers came back".into(),
            y: "records".into(),
            log: false,
            curves: vec![Curve { name: "behind".into(), points: backlog }],
        }],
    }
}

/// How many records scoring was behind, by s since it came back. New workers begin to count at 0, and
/// what they read again they count again; so it is told from the end: what they had still to do, minus
/// what was still to be acknowledged.
fn backlog(played: &Played, back: std::time::Instant) -> Vec<(f64, f64)> {
    let Some(last) = played.samples.last() else { return Vec::new() };
    let behind = |sample: &crate::load::Sample| {
        let at = sample.snapshot.at.checked_duration_since(back)?.as_secs_f64();
        Some((at, ((last.scored - sample.scored) - (last.acked - sample.acked)).max(0.0)))
    };
    played.samples.iter().filter_map(behind).collect()
}
