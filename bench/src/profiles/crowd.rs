//! Very many sockets: how fast they come, what they hold, and how long one question takes to all.

use super::memory;
use crate::bench::{Bench, load};
use crate::error::BenchError;
use crate::floor::CrowdFloor;
use crate::ledger::Books;
use crate::load::{Asking, LoadSpec, Pace, Played, play};
use crate::machine::files_max;
use crate::result::{Curve, Figure, Plot, RunResult, Target};

const SCORING: u32 = 2;
/// Joins/s offered.
const CONNECT_RATE: f64 = 4_200.0;
/// Joins/s that are asked for.
const CONNECT_TARGET: f64 = 3_000.0;
/// Memory of an edge for each socket that does nothing, bytes.
const SOCKET_BYTES_MAX: f64 = 9.0 * 1024.0;
/// How long everybody thinks at least, s: the question is with all by then, and its delivery is what is measured.
const THINK_S: f64 = 10.0;
/// Answers/s at most behind that, and over how long they are spread at least, s.
const ANSWER_RATE: f64 = 2_000.0;
const SPREAD_S: f64 = 10.0;
/// The most sockets of a crowd that is asked [`QUESTIONS`] times; a bigger one is asked once.
pub(super) const ASKED_OFTEN_MAX: u32 = 10_000;
/// How often it is asked; the middle one counts, as the floor's does.
pub(super) const QUESTIONS: u32 = 3;
/// Between a board and the next question, ms: the board is with all by then.
const PAUSE_MS: u64 = 5_000;
/// The most players of one game.
const GAME_PLAYERS: u32 = 20_000;
/// Files of an edge beside its sockets: room that it keeps for plain connections, and its own.
const EDGE_FILES: usize = 1_200;
/// How many times the floor the last delivery may take: of each part.
const FLOOR_TIMES: [f64; 3] = [1.25, 1.15, 2.0];

struct Part {
    sockets: u32,
    edges: u32,
    played: Played,
    books: Books,
    floor: CrowdFloor,
}

impl Part {
    fn socket_bytes(&self) -> f64 {
        let (begun, rested) = (self.played.begun.rss_kib("edge"), self.played.rested.rss_kib("edge"));
        rested.saturating_sub(begun) as f64 * 1024.0 / self.played.joined().0.max(1) as f64
    }

    /// Until the first and until the last has a question, ms: of the middle question of one game that is asked
    /// often, of all games of a crowd that is asked once.
    fn delivery_ms(&self) -> (f64, f64) {
        let (first, last) = self.played.fan_out();
        if questions(self.sockets) > 1 { (first.p50, last.p50) } else { (first.max, last.max) }
    }
}

/// How often a crowd of so many is asked.
fn questions(sockets: u32) -> u32 {
    if sockets <= ASKED_OFTEN_MAX { QUESTIONS } else { 1 }
}

/// One run.
pub async fn run(bench: &Bench, seed: u64) -> Result<RunResult, BenchError> {
    for (sockets, edges) in bench.sizes.crowd {
        check_files(sockets.div_ceil(edges) as usize + EDGE_FILES, files_max())?;
    }
    let mut parts = Vec::new();
    for (sockets, edges) in bench.sizes.crowd {
        parts.push(part(bench, sockets, edges, seed).await?);
    }
    let Some(last) = parts.last() else { return Err(BenchError::Usage("the crowd has no parts".into())) };
    let mut figures = vec![
        Figure::new("edge memory per idle socket", last.socket_bytes() / 1024.0, "KiB")
            .over(Some(last.floor.socket_bytes / 1024.0))
            .target(Target::AtMost(SOCKET_BYTES_MAX / 1024.0)),
        Figure::new("sockets joined", last.played.joined().0 as f64, "")
            .target(Target::AtLeast(f64::from(last.sockets))),
        Figure::new("joins", last.played.joined().1, "/s").target(Target::AtLeast(CONNECT_TARGET)),
        Figure::new("join p99", last.played.join_latency().p99, "ms"),
        Figure::new("sockets that broke", last.played.reconnects() as f64, "").target(Target::AtMost(0.0)),
    ];
    for (part, times) in parts.iter().zip(FLOOR_TIMES) {
        let (first_ms, last_ms) = part.delivery_ms();
        let name = |what: &str| format!("{what} delivery of one question, {} on {}", part.sockets, part.edges);
        figures.push(
            Figure::new(&name("last"), last_ms, "ms").over(Some(part.floor.last_ms)).target(Target::FloorTimes(times)),
        );
        figures.push(Figure::new(&name("first"), first_ms, "ms").over(Some(part.floor.first_ms)));
        figures.push(
            Figure::new(&name("first to last"), (last_ms - first_ms).max(0.0), "ms")
                .over(Some(part.floor.last_ms - part.floor.first_ms)),
        );
        if questions(part.sockets) > 1 {
            let slowest = part.played.fan_out().1.max;
            figures.push(Figure::new(&name("slowest last"), slowest, "ms").over(Some(part.floor.last_ms)));
        }
    }
    let notes = last.played.notes([
        "a delivery counts from the host's command, which passes Kafka twice before the first socket hears of it; the floor's counts from the command to its server",
        &format!("nobody answers for {THINK_S:.0} s, as nobody answers the floor"),
        &format!(
            "a delivery is that of the middle one of {QUESTIONS} questions, as the floor's is of five texts; crowds of more than {ASKED_OFTEN_MAX} are asked once"
        ),
    ]);
    Ok(RunResult {
        figures,
        answers: last.played.counts().2,
        roles: last.played.used(),
        books: parts.iter().fold(Books::default(), |sum, part| sum.and(part.books)),
        alerts: None,
        failure: parts.iter().find_map(|part| part.played.games().1),
        notes,
        plots: plots(&parts),
    })
}

async fn part(bench: &Bench, sockets: u32, edges: u32, seed: u64) -> Result<Part, BenchError> {
    let floor = bench.crowd_floor(sockets, edges).await?;
    let fleet = bench.fleet(edges, SCORING).await?;
    bench.warm_up_servers(&fleet, seed).await?;
    let warm_players = (sockets / 20).clamp(20, 2_000);
    bench.warm_up(&fleet, &load(warm_players, 4, 2, Pace::Rate(f64::from(warm_players)), seed ^ 0xff)).await?;
    let games = sockets.div_ceil(GAME_PLAYERS);
    let spec = LoadSpec {
        connect_rate: CONNECT_RATE,
        idle_ms: bench.sizes.crowd_idle_ms,
        sources: true,
        asking: Asking::PauseMs(PAUSE_MS),
        ..load(sockets, games, questions(sockets), thinking(sockets), seed)
    };
    let played = play(&fleet.ground(), std::slice::from_ref(&spec)).await?;
    let books = bench.books(&played, spec.questions).await?;
    fleet.down().await;
    Ok(Part { sockets, edges, played, books, floor })
}

fn thinking(players: u32) -> Pace {
    let spread_s = (f64::from(players) / ANSWER_RATE).max(SPREAD_S);
    let ms = |seconds: f64| (seconds * 1_000.0) as u64;
    Pace::Think(ms(THINK_S), ms(THINK_S + spread_s))
}

fn check_files(wanted: usize, limit: Option<usize>) -> Result<(), BenchError> {
    match limit {
        Some(limit) if limit < wanted => Err(BenchError::Usage(format!(
            "an edge of this crowd needs {wanted} files, and a process may open {limit}: raise the limit (ulimit -n {wanted})"
        ))),
        _ => Ok(()),
    }
}

fn plots(parts: &[Part]) -> Vec<Plot> {
    let curve = |name: &str, of: &dyn Fn(&Part) -> f64| {
        let points = parts.iter().map(|part| (f64::from(part.sockets), of(part))).collect();
        Curve { name: name.into(), points }
    };
    let mut plots = vec![Plot {
        file: "crowd-delivery".into(),
        title: "last delivery of one question".into(),
        x: "sockets".into(),
        y: "ms".into(),
        log: false,
        curves: vec![curve("pipeline", &|part| part.delivery_ms().1), curve("floor", &|part| part.floor.last_ms)],
    }];
    if let Some(last) = parts.last() {
        plots.push(Plot {
            file: "crowd-memory".into(),
            title: "memory of all edges while the crowd comes".into(),
            x: "s".into(),
            y: "MiB".into(),
            log: false,
            curves: memory(&last.played, &["edge", "sessions", "board", "ledger"]),
        });
    }
    plots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_answers_while_the_question_goes_out() {
        assert_eq!(thinking(5_000), Pace::Think(10_000, 20_000));
        assert_eq!(thinking(100_000), Pace::Think(10_000, 60_000));
    }

    #[test]
    fn too_few_files_are_told_before_anything_is_opened() {
        assert!(check_files(18_000, Some(20_000)).is_ok() && check_files(18_000, None).is_ok());
        let told = check_files(18_000, Some(1_024)).expect_err("there are too few").to_string();
        assert!(told.contains("18000") && told.contains("1024") && told.contains("ulimit"), "{told}");
    }
}
