//! The players: `quizstream load` as a process of its own, and what its log says while it runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a condition of the injection may take to come.
const CONDITION_WAIT: Duration = Duration::from_secs(60);
/// How long a whole run may take.
const RUN_WAIT: Duration = Duration::from_secs(150);
/// How often the log is looked at; it is written every 50 ms.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Who plays.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub players: u32,
    pub games: u32,
    pub questions: u32,
    /// As `--think-ms`.
    pub think_ms: &'static str,
    /// How long a question is open.
    pub limit_ms: u32,
    /// More arguments.
    pub more: Vec<String>,
}

impl Default for Plan {
    /// Profile S, shortened to what one fault needs.
    fn default() -> Self {
        Self {
            seed: 1,
            players: 400,
            games: 4,
            questions: 6,
            think_ms: "100..2000",
            limit_ms: 15_000,
            more: Vec::new(),
        }
    }
}

/// How big a run is: the factor on players, from `QUIZSTREAM_FAULTS_PROFILE` (S, M or L), and the seed.
fn profile() -> (u32, u64) {
    let factor = match std::env::var("QUIZSTREAM_FAULTS_PROFILE").as_deref() {
        Ok("M" | "L") => 5,
        Ok("S") | Err(_) => 1,
        Ok(other) => panic!("there is no profile {other}: S, M and L are"),
    };
    let seed = std::env::var("QUIZSTREAM_FAULTS_SEED").ok().map_or(1, |seed| seed.parse().expect("a seed is a number"));
    (factor, seed)
}

impl Plan {
    /// The plan in the size and with the seed that the environment asks for.
    pub fn sized(self) -> Self {
        let (factor, seed) = profile();
        Self { players: self.players * factor, seed, ..self }
    }
}

/// What the log has said so far.
#[derive(Clone, Default, Debug)]
pub struct Progress {
    /// (event, question) -> lines; question -1 for those without.
    counts: BTreeMap<(String, i64), u64>,
    /// (edge, event) -> lines.
    by_edge: BTreeMap<(String, String), u64>,
    lanes: BTreeMap<String, Lane>,
    pin: Option<String>,
}

/// What is known of a game's answers; of a game that has one lane.
#[derive(Clone, Copy, Default, Debug)]
pub struct Lane {
    /// Of `quiz.answers.v1`.
    pub partition: i64,
    /// Answers that have a receipt.
    pub acked: u64,
}

impl Progress {
    /// The games with acknowledged answers.
    pub fn lanes(&self) -> &BTreeMap<String, Lane> {
        &self.lanes
    }

    /// Lines of an event about a question.
    pub fn of(&self, event: &str, question: i64) -> u64 {
        self.counts.get(&(event.to_string(), question)).copied().unwrap_or(0)
    }

    /// Lines of an event.
    pub fn all(&self, event: &str) -> u64 {
        self.counts.iter().filter(|((of, _), _)| of == event).map(|(_, count)| count).sum()
    }

    /// Lines of an event at an edge.
    pub fn at(&self, edge: SocketAddr, event: &str) -> u64 {
        self.by_edge.get(&(edge.to_string(), event.to_string())).copied().unwrap_or(0)
    }

    fn take(&mut self, line: &Value) {
        let event = line["event"].as_str().unwrap_or_default().to_string();
        let question = line["question"].as_i64().unwrap_or(-1);
        if let Some(edge) = line["edge"].as_str() {
            *self.by_edge.entry((edge.to_string(), event.clone())).or_default() += 1;
        }
        if let (true, Some(game), Some(partition)) =
            (event == "acked", line["game"].as_str(), line["position"][0].as_i64())
        {
            let lane = self.lanes.entry(game.to_string()).or_default();
            *lane = Lane { partition, acked: lane.acked + 1 };
        }
        if self.pin.is_none() {
            self.pin = line["pin"].as_str().map(String::from);
        }
        if event == "applied" && line["player"].is_null() {
            match line["kind"].as_str() {
                Some("board") => *self.counts.entry(("board-of-host".to_string(), -1)).or_default() += 1,
                Some("question") => *self.counts.entry(("question-of-host".to_string(), question)).or_default() += 1,
                _ => {}
            }
        }
        *self.counts.entry((event, question)).or_default() += 1;
    }
}

/// A run of players.
pub struct Load {
    child: Child,
    /// Where its log is.
    pub folder: PathBuf,
    plan: Plan,
    log: Option<File>,
    rest: Vec<u8>,
    progress: Progress,
}

impl Load {
    /// Starts the players against these edges.
    pub fn start(folder: &Path, edges: &[SocketAddr], plan: Plan) -> Self {
        let edges: Vec<String> = edges.iter().map(ToString::to_string).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_quizstream"));
        command.args(["load", "--json", "--edges", &edges.join(","), "--think-ms", plan.think_ms]);
        for (name, value) in [
            ("--seed", plan.seed),
            ("--players", u64::from(plan.players)),
            ("--games", u64::from(plan.games)),
            ("--questions", u64::from(plan.questions)),
            ("--limit-ms", u64::from(plan.limit_ms)),
            ("--timeout-s", RUN_WAIT.as_secs() - 10),
        ] {
            command.args([name, &value.to_string()]);
        }
        if !plan.more.iter().any(|more| more == "--connect-rate") {
            command.args(["--connect-rate", "400"]);
        }
        command.arg("--log").arg(folder).args(&plan.more);
        let errors = File::create(folder.join("load.log")).expect("a log file");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true);
        let child = command.spawn().expect("the binary starts");
        Self { child, folder: folder.to_path_buf(), plan, log: None, rest: Vec::new(), progress: Progress::default() }
    }

    /// Reads what has been written since the last call.
    pub fn progress(&mut self) -> &Progress {
        if self.log.is_none() {
            let pid = self.child.id().expect("it has not been waited for");
            self.log = File::open(self.folder.join(format!("client-{pid}.jsonl"))).ok();
        }
        if let Some(log) = &mut self.log {
            log.read_to_end(&mut self.rest).expect("a readable log");
            let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in self.rest[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                self.progress.take(&serde_json::from_slice(line).expect("each line is JSON"));
            }
            self.rest.drain(..whole);
        }
        &self.progress
    }

    /// Waits until the log says something.
    pub async fn until(&mut self, what: &str, mut holds: impl FnMut(&Progress) -> bool) {
        let began = Instant::now();
        while !holds(self.progress()) {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the players ended with {status} before {what}, see {}", self.folder.display());
            }
            assert!(began.elapsed() < CONDITION_WAIT, "{what} did not come: {:?}", self.progress);
            sleep(LOOK_EVERY).await;
        }
    }

    /// What is played.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Waits until all players have their receipt for a question.
    pub async fn all_acked(&mut self, question: i64) {
        self.acked(question, 1.0).await;
    }

    /// Waits until a share of all players have their receipt for a question.
    pub async fn acked(&mut self, question: i64, share: f64) {
        let enough = (f64::from(self.plan.players) * share) as u64;
        self.until("receipts", |progress| progress.of("acked", question) >= enough).await;
    }

    /// The PIN of the first game.
    pub fn pin(&mut self) -> String {
        self.progress().pin.clone().expect("a game was created")
    }

    /// Waits until half of all players have their receipt for a question.
    pub async fn half_acked(&mut self, question: i64) {
        self.acked(question, 0.5).await;
    }

    /// Waits until half of all players have their receipt for a question, and no game is behind it.
    pub async fn half_acked_by_all(&mut self, question: i64) {
        let games = u64::from(self.plan.games);
        self.until("games", |progress| progress.of("question-of-host", question) >= games).await;
        self.half_acked(question).await;
    }

    /// Waits until the games are over: whether all players heard the end, and the last line.
    pub async fn end(self) -> (bool, Value) {
        let (heard, mut lines) = self.end_with_lines().await;
        (heard, lines.pop().unwrap_or(Value::Null))
    }

    /// Like [`Load::end`], with the lines of all phases.
    pub async fn end_with_lines(mut self) -> (bool, Vec<Value>) {
        let mut text = String::new();
        let mut stdout = self.child.stdout.take().expect("it has an output");
        let read = timeout(RUN_WAIT, stdout.read_to_string(&mut text)).await;
        read.expect("the run ends in time").expect("UTF-8");
        let status = self.child.wait().await.expect("it is ours");
        (status.success(), text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}
