//! The rate is raised in steps until acks or scoring fall behind.

use super::unanswered;
use crate::bench::{Bench, OFFERED_SHARE, lanes, steady_load};
use crate::error::BenchError;
use crate::fleet::Fleet;
use crate::ledger::Books;
use crate::load::{Played, play};
use crate::result::{Curve, Figure, Plot, RunResult, Target};
use crate::sizes::KNEE_STEP;

const EDGES: u32 = 2;
const SCORING: u32 = 2;
/// What gives first, ms and s.
const ACK_P99_MS_MAX: f64 = 100.0;
const BEHIND_S_MAX: f64 = 1.0;
/// How often a rate is looked at before it counts as one that gives.
const LOOKS: u32 = 2;
/// What is asked for.
const TARGET: f64 = 20_000.0;

struct Step {
    target: f64,
    offered: f64,
    played: Played,
    books: Books,
}

impl Step {
    fn holds(&self) -> bool {
        self.played.games().1.is_none()
            && self.offered >= self.target * OFFERED_SHARE
            && self.played.ack().p99 <= ACK_P99_MS_MAX
            && self.played.behind_s() <= BEHIND_S_MAX
    }
}

/// One run.
pub async fn run(bench: &Bench, seed: u64) -> Result<RunResult, BenchError> {
    let (players, games) = bench.sizes.steady;
    let fleet = bench.fleet(EDGES, SCORING).await?;
    bench.warm_up_steady(&fleet, (players, games), bench.sizes.knee_from, seed).await?;
    let mut steps: Vec<Step> = Vec::new();
    let mut target = bench.sizes.knee_from;
    while target <= bench.sizes.knee_to && holds_once(bench, &fleet, target, seed, &mut steps).await? {
        target *= KNEE_STEP;
    }
    fleet.down().await;
    finish(bench, steps, lanes(players, games)).await
}

/// Whether a rate holds in one of its looks. One second of a noisy machine is enough for a step to give, and would end the search.
async fn holds_once(
    bench: &Bench,
    fleet: &Fleet,
    target: f64,
    seed: u64,
    steps: &mut Vec<Step>,
) -> Result<bool, BenchError> {
    for _ in 0..LOOKS {
        let step = look(bench, fleet, target, seed + steps.len() as u64).await?;
        let holds = step.holds();
        steps.push(step);
        if holds {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn look(bench: &Bench, fleet: &Fleet, target: f64, seed: u64) -> Result<Step, BenchError> {
    let (players, games) = bench.sizes.steady;
    let spec = steady_load(players, games, target, bench.sizes.knee_step_s, seed);
    let played = play(&fleet.ground(), std::slice::from_ref(&spec)).await?;
    let offered = played.offered_per_s();
    let (ack, behind) = (played.ack(), played.behind_s());
    eprintln!(
        "quiz-bench: knee: {target:.0}/s asked for, {offered:.0}/s offered, ack p99 {:.1} ms, scoring {behind:.2} s behind",
        ack.p99
    );
    let books = bench.books(&played, spec.questions).await?;
    Ok(Step { target, offered, played, books })
}

/// The knee is the last step that held: its figures count.
async fn finish(bench: &Bench, steps: Vec<Step>, keys: u32) -> Result<RunResult, BenchError> {
    let held = steps.iter().rposition(Step::holds);
    let gave_last = steps.last().filter(|step| !step.holds());
    let Some(counts) = held.or(steps.len().checked_sub(1)).map(|at| &steps[at]) else {
        return Err(BenchError::Usage("the search for the knee has no step".into()));
    };
    let knee = held.map_or(0.0, |at| steps[at].offered);
    let kafka = bench.kafka_floor(counts.offered.round(), bench.sizes.floor_s, EDGES, keys).await?;
    let echo = bench.echo_floor(counts.offered.round()).await?;
    let (ack, board) = (counts.played.ack(), counts.played.board());
    let mut figures = vec![
        Figure::new("knee", knee, "answers/s").target(Target::AtLeast(TARGET)),
        Figure::new("ack p99 at the knee", ack.p99, "ms").over(Some(kafka.ack_ms.p99 + echo.sent_ms.p99)),
        Figure::new("ack p50 at the knee", ack.p50, "ms").over(Some(kafka.ack_ms.p50 + echo.sent_ms.p50)),
        Figure::new("close to board p99 at the knee", board.p99, "ms"),
        Figure::new("scoring behind at the knee, at most", counts.played.behind_s(), "s"),
        unanswered(&counts.played),
    ];
    let mut notes = counts.played.notes([]);
    notes.extend(gave_then_held(&steps));
    match gave_last {
        Some(gave) => {
            figures.push(Figure::new("offered in the step behind the knee", gave.offered, "answers/s"));
            figures.push(Figure::new("ack p99 behind the knee", gave.played.ack().p99, "ms"));
            figures.push(Figure::new("scoring behind, behind the knee", gave.played.behind_s(), "s"));
            if let Some(failure) = gave.played.games().1 {
                notes.push(format!("behind the knee: {failure}"));
            }
        }
        None => notes.push("no rate gave: the search ended at its highest rate".into()),
    }
    Ok(RunResult {
        figures,
        answers: counts.played.counts().2,
        roles: counts.played.used(),
        books: steps.iter().fold(Books::default(), |sum, step| sum.and(step.books)),
        alerts: None,
        failure: None,
        notes,
        plots: vec![plot(&steps)],
    })
}

/// Of each rate that held in its second look only: what its first showed.
fn gave_then_held(steps: &[Step]) -> impl Iterator<Item = String> {
    steps.windows(2).filter(|pair| pair[0].target == pair[1].target && pair[1].holds()).map(|pair| {
        let failure = pair[0].played.games().1.map_or_else(String::new, |failure| format!(", {failure}"));
        format!(
            "{:.0}/s held in its second look (ack p99 {:.0} ms); in its first, ack p99 {:.0} ms, scoring {:.2} s behind{failure}",
            pair[1].target,
            pair[1].played.ack().p99,
            pair[0].played.ack().p99,
            pair[0].played.behind_s()
        )
    })
}

fn plot(steps: &[Step]) -> Plot {
    let curve = |name: &str, of: &dyn Fn(&Played) -> f64| {
        let points = steps.iter().map(|step| (step.offered, of(&step.played))).collect();
        Curve { name: name.into(), points }
    };
    Plot {
        file: "knee".into(),
        title: "ack and board over the offered rate".into(),
        x: "answers/s offered over the whole time".into(),
        y: "ms".into(),
        log: true,
        curves: vec![
            curve("ack p50", &|played| played.ack().p50),
            curve("ack p99", &|played| played.ack().p99),
            curve("close to board p99", &|played| played.board().p99),
        ],
    }
}
