//! What all profiles share: programs, servers, sizes, floors, and the way to play one load.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use crate::error::BenchError;
use crate::fleet::{Fleet, Formation};
use crate::floor::echo::Stage;
use crate::floor::kafka::{self, KafkaSpec};
use crate::floor::{CrowdFloor, EchoFloor, Floors, KafkaFloor};
use crate::ledger::{Alerts, Books, books};
use crate::load::{Asking, LoadSpec, Pace, Played, play};
use crate::sizes::{LANE_PLAYERS_MAX, LINGER_MS, Sizes};

/// Joins/s unless a profile measures them.
pub const CONNECT_RATE: f64 = 2_000.0;
/// How long everybody sits in the lobby before the questions.
pub const IDLE_MS: u64 = 1_000;
/// How long a host looks at a board where questions follow their forerunners' boards.
pub const PAUSE_MS: u64 = 20;
/// What counts as the rate asked for: this share of it. Less has a system that keeps games waiting.
pub const OFFERED_SHARE: f64 = 0.97;
/// Players, games and answers/s of a load that warms up servers on which many come and few answer.
const WARM_UP_CROWD: (u32, u32, f64) = (1_000, 20, 1_000.0);
/// The longest cycle of questions of a warm-up, s.
const WARM_UP_CYCLE_S_MAX: f64 = 2.0;
/// What is left of a cycle for close, board and the next question: this share, at most so much, s. The
/// answers are spread over the rest.
const BOARD_SHARE: f64 = 0.3;
const BOARD_S_MAX: f64 = 1.0;

/// A bench on servers that are up.
pub struct Bench {
    /// The quizstream binary.
    pub program: PathBuf,
    /// This binary, for the floor's processes.
    pub own: PathBuf,
    /// Where processes' words go.
    pub logs: PathBuf,
    /// Name and process id of each server.
    pub servers: Vec<(String, u32)>,
    /// Where Kafka is.
    pub bootstrap: String,
    /// How big things are.
    pub sizes: Sizes,
    /// What was measured of the machine alone; each once.
    pub floors: Mutex<Floors>,
    /// Whether the servers have had a steady load.
    pub warm: AtomicBool,
    /// What the ledgers of the fleets that were taken down have found wrong since it was asked last.
    pub alerts: Arc<Alerts>,
}

impl Bench {
    /// Starts roles.
    ///
    /// # Errors
    /// When one does not become ready.
    pub async fn fleet(&self, edges: u32, scoring: u32) -> Result<Fleet, BenchError> {
        Fleet::start(&self.program, &self.logs, &self.servers, Formation { edges, scoring }, &self.alerts).await
    }

    /// A short load of the given shape, whose figures are thrown away: the broker's JIT, connections and
    /// caches are then at work.
    ///
    /// # Errors
    /// When the load client does not start.
    pub async fn warm_up(&self, fleet: &Fleet, spec: &LoadSpec) -> Result<(), BenchError> {
        let played = play(&fleet.ground(), std::slice::from_ref(spec)).await?;
        if let (_, Some(failure)) = played.games() {
            eprintln!("quiz-bench: the warm-up: {failure}");
        }
        Ok(())
    }

    /// Warms up with a load like one that offers `target` answers/s.
    ///
    /// # Errors
    /// When the load client does not start.
    pub async fn warm_up_steady(
        &self,
        fleet: &Fleet,
        (players, games): (u32, u32),
        target: f64,
        seed: u64,
    ) -> Result<(), BenchError> {
        let target = target.max(f64::from(players) / WARM_UP_CYCLE_S_MAX);
        self.warm.store(true, Ordering::Relaxed);
        self.warm_up(fleet, &steady_load(players, games, target, self.sizes.warm_up_s, seed ^ 0xff)).await
    }

    /// Warms up the servers, unless an earlier profile has.
    ///
    /// # Errors
    /// When the load client does not start.
    pub async fn warm_up_servers(&self, fleet: &Fleet, seed: u64) -> Result<(), BenchError> {
        if self.warm.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (players, games, rate) = WARM_UP_CROWD;
        self.warm_up_steady(fleet, (players, games), rate, seed).await
    }

    /// The books of all games of a load.
    ///
    /// # Errors
    /// When they cannot be asked for.
    pub async fn books(&self, played: &Played, questions: u32) -> Result<Books, BenchError> {
        books(&self.program, &played.games().0, questions).await
    }

    /// The floor of an append at this rate, measured once.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn kafka_floor(
        &self,
        rate: f64,
        seconds: f64,
        producers: u32,
        keys: u32,
    ) -> Result<KafkaFloor, BenchError> {
        let mut floors = self.floors.lock().await;
        let same =
            |floor: &&KafkaFloor| (floor.rate - rate).abs() < 0.5 && (floor.producers, floor.keys) == (producers, keys);
        if let Some(known) = floors.kafka.iter().find(same) {
            return Ok(known.clone());
        }
        eprintln!("quiz-bench: floor: appending {rate:.0} records/s");
        let spec = KafkaSpec { rate, seconds, producers, keys, linger_ms: LINGER_MS };
        let floor = kafka::measure(&self.bootstrap, spec).await?;
        floors.kafka.push(floor.clone());
        Ok(floor)
    }

    /// The floor of an answer that comes back at this rate, measured once.
    ///
    /// # Errors
    /// When its processes do not come up.
    pub async fn echo_floor(&self, rate: f64) -> Result<EchoFloor, BenchError> {
        let mut floors = self.floors.lock().await;
        if let Some(known) = floors.echo.iter().find(|floor| (floor.rate - rate).abs() < 0.5) {
            return Ok(known.clone());
        }
        eprintln!("quiz-bench: floor: echoing {rate:.0} texts/s");
        let mut stage = Stage::up(&self.own, &self.logs, 1, self.sizes.echo_sockets).await?;
        let floor = stage.echo(rate, self.sizes.floor_s).await?;
        stage.down().await;
        floors.echo.push(floor.clone());
        Ok(floor)
    }

    /// The floor of a crowd, measured once.
    ///
    /// # Errors
    /// When its processes do not come up.
    pub async fn crowd_floor(&self, sockets: u32, servers: u32) -> Result<CrowdFloor, BenchError> {
        let mut floors = self.floors.lock().await;
        if let Some(known) = floors.crowd.iter().find(|floor| (floor.sockets, floor.servers) == (sockets, servers)) {
            return Ok(known.clone());
        }
        eprintln!("quiz-bench: floor: one text to {sockets} sockets");
        let mut stage = Stage::up(&self.own, &self.logs, servers, sockets).await?;
        let floor = stage.crowd().await?;
        stage.down().await;
        floors.crowd.push(floor.clone());
        Ok(floor)
    }
}

/// A load of one process, with what most profiles ask for.
pub fn load(players: u32, games: u32, questions: u32, pace: Pace, seed: u64) -> LoadSpec {
    LoadSpec {
        players,
        games,
        questions,
        pace,
        connect_rate: CONNECT_RATE,
        idle_ms: IDLE_MS,
        asking: Asking::PauseMs(PAUSE_MS),
        seed,
        sources: false,
        log: None,
    }
}

/// The load that offers `target` answers/s over `seconds`, evenly: each player answers once in a cycle, and
/// games that know nothing of each other are at different points of theirs.
pub fn steady_load(players: u32, games: u32, target: f64, seconds: f64, seed: u64) -> LoadSpec {
    let cycle_s = f64::from(players) / target;
    let spread_s = cycle_s - (cycle_s * BOARD_SHARE).min(BOARD_S_MAX);
    let questions = (seconds / cycle_s).round().clamp(1.0, 200.0) as u32;
    let asking = Asking::EveryMs((cycle_s * 1_000.0).round() as u64);
    LoadSpec { asking, ..load(players, games, questions, Pace::Rate(f64::from(players) / spread_s), seed) }
}

/// The lanes of all games together.
pub fn lanes(players: u32, games: u32) -> u32 {
    games * (players / games.max(1)).div_ceil(LANE_PLAYERS_MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_load_offers_what_is_asked_for() {
        let spec = steady_load(10_000, 10, 10_000.0, 60.0, 1);
        assert_eq!((spec.questions, spec.asking), (60, Asking::EveryMs(1_000)));
        let Pace::Rate(rate) = spec.pace else { panic!("it has a rate") };
        assert!((rate - 10_000.0 / 0.7).abs() < 1e-6, "{rate}");
        assert!((spec.stagger_s() - 0.9).abs() < 1e-9);
        let slow = steady_load(10_000, 10, 1_000.0, 60.0, 1);
        assert_eq!((slow.questions, slow.asking), (6, Asking::EveryMs(10_000)));
        let Pace::Rate(rate) = slow.pace else { panic!("it has a rate") };
        assert!((rate - 10_000.0 / 9.0).abs() < 1e-6, "a second is enough for a board: {rate}");
    }

    #[test]
    fn lanes_are_those_of_all_games() {
        assert_eq!((lanes(10_000, 10), lanes(20_000, 1), lanes(15, 3)), (10, 10, 3));
    }
}
