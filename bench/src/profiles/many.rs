//! Very many small games at once: what one of them costs must not depend on how many there are.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use super::unanswered;
use crate::bench::{Bench, load};
use crate::error::BenchError;
use crate::fleet::Fleet;
use crate::ledger::Books;
use crate::load::{Asking, LoadSpec, Pace, Played, play};
use crate::process::{RoleUse, Snapshot};
use crate::result::{Curve, Figure, Plot, RunResult, Target};
use crate::sizes::{LOAD_GAMES_MAX, MANY_PLAYERS};

const EDGES: u32 = 2;
const SCORING: u32 = 2;
const QUESTIONS: u32 = 5;
const SPREAD_S: f64 = 2.0;
/// Players/s of all games together.
const CONNECT_RATE: f64 = 1_500.0;
/// How long a look lasts at what doing nothing costs.
const IDLE: Duration = Duration::from_secs(5);
/// Roles that have just started may have games of the run before to go through: it is looked until so many looks in
/// a row show no less,
const IDLE_LOOKS: u32 = 4;
/// and no more often than this.
const IDLE_LOOKS_MAX: u32 = 30;
/// What counts as less: this part of the least so far.
const IDLE_FALLS: f64 = 0.9;
/// The least that a game is taken to cost, s: none is for nothing.
const GAME_CPU_S_MIN: f64 = 0.001;
/// Who has less of a game's cost is not told, ms.
const TOLD_MS_MIN: f64 = 0.05;
/// The dearest game costs at most so many times the cheapest.
const FLAT: f64 = 1.25;

/// What a number of games cost.
struct Part {
    games: u32,
    played: Played,
    books: Books,
    /// Processor time of roles and servers for each game, s: in all, and beside what idling costs.
    cpu_s: f64,
    cpu_above_idle_s: f64,
    /// What idling costs, processor seconds a second.
    idle_cores: f64,
    /// What each role and server used.
    used: Vec<RoleUse>,
}

/// One run.
pub async fn run(bench: &Bench, seed: u64) -> Result<RunResult, BenchError> {
    let mut parts = Vec::new();
    for games in bench.sizes.many {
        let fleet = bench.fleet(EDGES, SCORING).await?;
        parts.push(part(bench, &fleet, games, seed).await?);
        fleet.down().await;
    }
    let costs: Vec<f64> = parts.iter().map(|part| part.cpu_above_idle_s.max(GAME_CPU_S_MIN)).collect();
    let (least, most) =
        costs.iter().fold((f64::MAX, 0.0), |(least, most), cost| (f64::min(least, *cost), f64::max(most, *cost)));
    let Some(last) = parts.last() else { return Err(BenchError::Usage("there are no games".into())) };
    let mut figures = vec![Figure::new("dearest game ÷ cheapest", most / least, "×").target(Target::AtMost(FLAT))];
    for part in &parts {
        let name = |what: &str| format!("{what}, {} games", part.games);
        figures.push(Figure::new(&name("CPU per game above idling"), part.cpu_above_idle_s * 1000.0, "ms"));
        figures.push(Figure::new(&name("CPU per game"), part.cpu_s * 1000.0, "ms"));
        figures.push(Figure::new(&name("idling before"), part.idle_cores, "cores"));
        figures.push(Figure::new(&name("ack p99"), part.played.ack().p99, "ms"));
        figures.push(Figure::new(&name("close to board p99"), part.played.board().p99, "ms"));
    }
    figures.push(unanswered(&last.played));
    let mut notes =
        last.played.notes(["creation, joins, five questions and the end; roles and servers, without the load client"]);
    notes.extend(parts.iter().map(|part| whose(part.games, &part.used)));
    let points = parts.iter().map(|part| (f64::from(part.games), part.cpu_above_idle_s * 1000.0)).collect();
    Ok(RunResult {
        figures,
        answers: last.played.counts().2,
        roles: last.played.used(),
        books: parts.iter().fold(Books::default(), |sum, part| sum.and(part.books)),
        alerts: None,
        failure: parts.iter().find_map(|part| part.played.games().1),
        notes,
        plots: vec![Plot {
            file: "many".into(),
            title: "processor time per game above idling".into(),
            x: "games at once".into(),
            y: "ms".into(),
            log: false,
            curves: vec![Curve { name: "CPU per game".into(), points }],
        }],
    })
}

async fn part(bench: &Bench, fleet: &Fleet, games: u32, seed: u64) -> Result<Part, BenchError> {
    bench.warm_up_servers(fleet, seed).await?;
    bench.warm_up(fleet, &load(200, 20, 3, Pace::Rate(200.0), seed ^ 0xff)).await?;
    let idle_cores = idle_cores(fleet).await;
    let clients = games.div_ceil(LOAD_GAMES_MAX);
    let specs: Vec<LoadSpec> = (0..clients)
        .map(|no| {
            let games = games / clients + u32::from(no < games % clients);
            let players = games * MANY_PLAYERS;
            LoadSpec {
                connect_rate: CONNECT_RATE / f64::from(clients),
                asking: Asking::PauseMs(500),
                ..load(players, games, QUESTIONS, Pace::Rate(f64::from(players) / SPREAD_S), seed + u64::from(no))
            }
        })
        .collect();
    let played = play(&fleet.ground(), &specs).await?;
    let used = played.played.since(&played.begun);
    let used_s = sum_s(&used);
    let took_s = (played.played.at - played.begun.at).as_secs_f64();
    let books = bench.books(&played, QUESTIONS).await?;
    let each = |cpu_s: f64| cpu_s / f64::from(games);
    Ok(Part {
        games,
        books,
        cpu_s: each(used_s),
        cpu_above_idle_s: each((used_s - idle_cores * took_s).max(0.0)),
        idle_cores,
        used,
        played,
    })
}

/// What doing nothing costs, processor seconds a second, once nothing is left to be done.
async fn idle_cores(fleet: &Fleet) -> f64 {
    let (mut least, mut since_less) = (f64::MAX, 0);
    for _ in 0..IDLE_LOOKS_MAX {
        let before = fleet.ground().roster.snapshot();
        sleep(IDLE).await;
        let cores = cpu_s(&fleet.ground().roster.snapshot(), &before) / IDLE.as_secs_f64();
        since_less = if cores < least * IDLE_FALLS { 0 } else { since_less + 1 };
        least = least.min(cores);
        if since_less >= IDLE_LOOKS {
            break;
        }
    }
    least
}

/// Processor time of everybody but the load client, s.
fn cpu_s(now: &Snapshot, before: &Snapshot) -> f64 {
    sum_s(&now.since(before))
}

fn sum_s(used: &[RoleUse]) -> f64 {
    used.iter().filter(|role| !role.is_load_client()).map(|role| role.cpu_s).sum()
}

/// Who had how much of what a game cost, the most first.
fn whose(games: u32, used: &[RoleUse]) -> String {
    let mut costs: BTreeMap<&str, f64> = BTreeMap::new();
    for RoleUse { role, cpu_s, .. } in used.iter().filter(|role| !role.is_load_client()) {
        // Members of shards, the config server and the router are one database.
        let who = if role.starts_with("mongo-") { "MongoDB" } else { role };
        *costs.entry(who).or_default() += cpu_s * 1000.0 / f64::from(games);
    }
    let mut costs: Vec<(&str, f64)> = costs.into_iter().filter(|(_, ms)| *ms >= TOLD_MS_MIN).collect();
    costs.sort_by(|left, right| right.1.total_cmp(&left.1));
    let told: Vec<String> = costs.iter().map(|(who, ms)| format!("{who} {ms:.1}")).collect();
    format!("CPU per game, {games} games, ms: {}", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_game_s_cost_is_told_by_who_had_it() {
        let of = |(role, cpu_s): (&str, f64)| RoleUse { role: role.into(), cpu_s, ..RoleUse::default() };
        let used =
            [("edge", 2.0), ("kafka", 4.0), ("load", 9.0), ("mongo-a-0", 3.0), ("mongo-b-0", 2.5), ("redis", 0.0)];
        let told = whose(100, &used.map(of));
        assert_eq!(told, "CPU per game, 100 games, ms: MongoDB 55.0, kafka 40.0, edge 20.0");
        assert!((sum_s(&used.map(of)) - 11.5).abs() < 1e-9);
    }
}
