//! What all profiles share: programs, servers, sizes, floors, and the way to play one load.

use std::path::PathBuf;

use tokio::sync::Mutex;

use crate::error::BenchError;
use crate::fleet::{Fleet, Formation};
use crate::floor::echo::Stage;
use crate::floor::kafka::{self, KafkaSpec};
use crate::floor::{CrowdFloor, EchoFloor, Floors, KafkaFloor};
use crate::ledger::{Books, books};
use crate::load::{LoadSpec, Pace, Played, play};
use crate::sizes::{LANE_PLAYERS_MAX, LINGER_MS, Sizes};

/// Joins/s unless a profile measures them.
pub const CONNECT_RATE: f64 = 2_000.0;
/// How long everybody sits in the lobby before the questions.
pub const IDLE_MS: u64 = 1_000;
/// How long a host looks at a board in a steady load.
pub const PAUSE_MS: u64 = 20;
/// Questions of a warm-up, and of a calibration.
const WARM_UP_QUESTIONS: u32 = 8;
/// The longest cycle of questions that is calibrated with, s: what a question takes beside its answers
/// hardly depends on how slowly they come.
const CALIBRATION_CYCLE_S_MAX: f64 = 2.0;
/// The shortest time over which a question's answers are spread, s: below it a rate is no rate.
const SPREAD_S_MIN: f64 = 0.25;

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
}

impl Bench {
    /// Starts roles.
    ///
    /// # Errors
    /// When one does not become ready.
    pub async fn fleet(&self, edges: u32, scoring: u32) -> Result<Fleet, BenchError> {
        Fleet::start(&self.program, &self.logs, &self.servers, Formation { edges, scoring }).await
    }

    /// A short load of the given shape, whose figures are thrown away: the broker's JIT, connections and
    /// caches are then at work. Returns what a question takes beside the time over which its answers are spread, s.
    ///
    /// # Errors
    /// When the load client does not start.
    pub async fn warm_up(&self, fleet: &Fleet, spec: &LoadSpec) -> Result<f64, BenchError> {
        let played = play(&fleet.ground(), std::slice::from_ref(spec)).await?;
        if let (_, Some(failure)) = played.games() {
            eprintln!("quiz-bench: the warm-up: {failure}");
        }
        Ok(overhead_s(spec, &played))
    }

    /// What a question takes beside the time over which its answers are spread, s, at this pace and warm: a
    /// load that is thrown away warms up, and another measures.
    ///
    /// # Errors
    /// When the load client does not start.
    pub async fn calibrate(
        &self,
        fleet: &Fleet,
        (players, games): (u32, u32),
        target: f64,
        seed: u64,
    ) -> Result<f64, BenchError> {
        let warm = load(players, games, WARM_UP_QUESTIONS, Pace::Rate(f64::from(players)), seed ^ 0xff);
        let cold_s = self.warm_up(fleet, &warm).await?;
        let cycle_s = (f64::from(players) / target).min(CALIBRATION_CYCLE_S_MAX);
        let target = f64::from(players) / cycle_s;
        let spec = steady_load(players, games, target, cycle_s * f64::from(WARM_UP_QUESTIONS), cold_s, seed ^ 0xfe);
        self.warm_up(fleet, &spec).await
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
        pause_ms: PAUSE_MS,
        seed,
        sources: false,
        log: None,
    }
}

/// The load that really offers `target` answers/s over `seconds`, when each question takes `overhead_s`
/// beside the time over which its answers are spread: they are spread over less, so that the mean is right.
pub fn steady_load(players: u32, games: u32, target: f64, seconds: f64, overhead_s: f64, seed: u64) -> LoadSpec {
    let cycle_s = f64::from(players) / target;
    let spread_s = (cycle_s - overhead_s).max(SPREAD_S_MIN);
    let questions = (seconds / cycle_s).round().clamp(1.0, 200.0) as u32;
    load(players, games, questions, Pace::Rate(f64::from(players) / spread_s), seed)
}

/// What a question took beside the time over which its answers were spread, s.
fn overhead_s(spec: &LoadSpec, played: &Played) -> f64 {
    let spread_s = match spec.pace {
        Pace::Rate(rate) => f64::from(spec.players) / rate,
        Pace::Burst => 0.0,
    };
    (played.seconds() / f64::from(spec.questions.max(1)) - spread_s).max(0.0)
}

/// The lanes of all games together.
pub fn lanes(players: u32, games: u32) -> u32 {
    games * (players / games.max(1)).div_ceil(LANE_PLAYERS_MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_spread_so_that_the_mean_over_the_whole_time_is_right() {
        let spec = steady_load(10_000, 10, 10_000.0, 60.0, 0.2, 1);
        let Pace::Rate(rate) = spec.pace else { panic!("it has a rate") };
        assert!((rate - 12_500.0).abs() < 1e-6, "{rate}");
        assert_eq!(spec.questions, 60);
        let slow = steady_load(10_000, 10, 1_000.0, 60.0, 0.2, 1);
        assert_eq!(slow.questions, 6);
        let hopeless = steady_load(1_000, 10, 10_000.0, 60.0, 5.0, 1);
        assert_eq!(hopeless.pace, Pace::Rate(4_000.0), "spread over no less than a quarter of a second");
    }

    #[test]
    fn lanes_are_those_of_all_games() {
        assert_eq!((lanes(10_000, 10), lanes(20_000, 1), lanes(15, 3)), (10, 10, 3));
    }
}
