//! The roles of one test as processes of the real binary.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::process::signal;
use crate::stack::Servers;

/// How long a role may take to listen.
const LISTEN_WAIT: Duration = Duration::from_secs(60);
/// How long a role may take to drain before it is killed.
const DRAIN_WAIT: Duration = Duration::from_secs(15);
/// How long a busy process may take to tell its metrics, and the wait between two tries.
const METRICS_WAIT: Duration = Duration::from_secs(15);
const METRICS_RETRY: Duration = Duration::from_millis(200);
/// How much is shown of the log of a process that did not do what it should, lines.
const LAST_LINES: usize = 30;
/// The signals of a process that spoilt its own memory: SIGABRT, SIGBUS, SIGSEGV.
const CRASHES: [i32; 3] = [6, 7, 11];
/// The same on every edge of a test; it protects nothing.
const TOKEN_SECRET: &str = "a secret of the fault suite, of no use to anybody else";

/// How many of each role.
#[derive(Clone, Copy, Debug)]
pub struct Cluster {
    pub edges: u32,
    pub sessions: u32,
    pub scoring: u32,
    pub boards: u32,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { edges: 2, sessions: 1, scoring: 1, boards: 1 }
    }
}

/// One process.
pub struct Role {
    child: Child,
    pid: u32,
    /// Where players connect; edges only.
    pub listens: Option<SocketAddr>,
    /// Its admin port.
    pub admin: SocketAddr,
    log: PathBuf,
}

impl Role {
    /// How it ended by itself, and the last that it said; None while it is there, stopped or not.
    fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().expect("it is ours to wait for")?;
        Some(format!("ended with {status}:\n{}", self.last_words()))
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

/// All processes of a test; killed when dropped.
pub struct Fleet {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    roles: BTreeMap<String, Role>,
    starts: u32,
}

/// What is special about one process.
#[derive(Clone, Default)]
pub struct Special {
    /// More environment.
    pub environment: Vec<(String, String)>,
    /// The port to listen on, for a role that comes back.
    pub listen: Option<SocketAddr>,
}

impl Fleet {
    /// None yet, for the shared stack; their logs go to `folder`.
    pub fn new(folder: &Path) -> Self {
        Self::on(&Servers::shared(), folder)
    }

    /// None yet, for these servers; their logs go to `folder`.
    pub fn on(servers: &Servers, folder: &Path) -> Self {
        let settings =
            [("QUIZ_EDGE__TOKEN_SECRET", TOKEN_SECRET), ("QUIZ_EDGE__BOTS_WELCOME", "true"), ("RUST_LOG", "info")];
        let mut environment: BTreeMap<String, String> =
            settings.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        environment.extend(servers.settings().map(|(name, value)| (name.clone(), value.clone())));
        Self { folder: folder.to_path_buf(), environment, roles: BTreeMap::new(), starts: 0 }
    }

    /// Changes the environment of the processes that start from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_string(), value.to_string());
    }

    /// Starts a whole cluster: `ledger-1`, `sessions-1`, `scoring-1`, `board-1`, `edge-1` and so on.
    pub async fn start(&mut self, cluster: Cluster) {
        let Cluster { edges, sessions, scoring, boards } = cluster;
        let counts = [("ledger", 1), ("sessions", sessions), ("scoring", scoring), ("board", boards), ("edge", edges)];
        for (role, count) in counts {
            for number in 1..=count {
                self.role(role, number, Special::default()).await;
            }
        }
    }

    /// Starts one role and waits until it listens.
    pub async fn role(&mut self, role: &str, number: u32, special: Special) -> &Role {
        let name = format!("{role}-{number}");
        assert!(!self.roles.contains_key(&name), "{name} is running");
        self.starts += 1;
        let log = self.folder.join(format!("{name}.{}.log", self.starts));
        let errors = std::fs::File::create(&log).expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_quizstream"));
        command.args(["serve", role, "--instance", &name, "--admin-listen", "127.0.0.1:0"]);
        if role == "edge" {
            let listen = special.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
            command.args(["--listen", &listen.to_string()]);
        }
        command.envs(&self.environment).envs(special.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true);
        let mut child = command.spawn().expect("the binary starts");
        let pid = child.id().expect("it has not ended");
        let mut lines = BufReader::new(child.stdout.take().expect("it has an output")).lines();
        let (mut listens, mut admin) = (None, None);
        let heard = timeout(LISTEN_WAIT, async {
            while admin.is_none() || (role == "edge" && listens.is_none()) {
                let Ok(Some(line)) = lines.next_line().await else { return };
                let address = |prefix: &str| line.strip_prefix(prefix).and_then(|text| text.parse().ok());
                listens = listens.or_else(|| address("edge listens on "));
                admin = admin.or_else(|| address("admin listens on "));
            }
        });
        heard.await.unwrap_or_else(|_| panic!("{name} does not listen, see {}", self.folder.display()));
        let admin = admin.unwrap_or_else(|| panic!("{name} ended at once, see {}", self.folder.display()));
        // Whatever else it prints is read, so that it never blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.roles.entry(name).or_insert(Role { child, pid, listens, admin, log })
    }

    fn of(&self, name: &str) -> &Role {
        self.roles.get(name).unwrap_or_else(|| panic!("no {name} is running"))
    }

    /// Where players connect.
    pub fn edges(&self) -> Vec<SocketAddr> {
        self.roles.values().filter_map(|role| role.listens).collect()
    }

    /// Where players connect, and the admin port of the same edge.
    pub fn edges_with_admin(&self) -> Vec<(SocketAddr, SocketAddr)> {
        self.roles.values().filter_map(|role| Some((role.listens?, role.admin))).collect()
    }

    /// Where an edge listens.
    pub fn listens(&self, name: &str) -> SocketAddr {
        self.of(name).listens.expect("it is an edge")
    }

    /// The end of a process's log.
    pub fn last_words(&self, name: &str) -> String {
        self.of(name).last_words()
    }

    /// A process's id.
    pub fn pid(&self, name: &str) -> u32 {
        self.of(name).pid
    }

    /// Whether a process is there, stopped or not.
    pub fn runs(&mut self, name: &str) -> bool {
        self.roles.get_mut(name).is_some_and(|role| role.ended().is_none())
    }

    /// Takes a process out of the fleet, which is still there: a test that ends one would otherwise pass, or fail for
    /// no reason that can be seen, when it had ended before.
    fn take(&mut self, name: &str) -> Role {
        let mut role = self.roles.remove(name).unwrap_or_else(|| panic!("no {name} is running"));
        if let Some(how) = role.ended() {
            panic!("{name} {how}");
        }
        role
    }

    /// Kills a process, as a crash would, and waits until it is gone.
    pub async fn kill(&mut self, name: &str) {
        self.take(name).child.kill().await.expect("it is ours to kill");
    }

    /// Starts again what crashed, under its name and at its address, as a supervisor does; how many did.
    /// Only what died of a fault of memory: a panic is told by the test that meets it.
    pub async fn revive(&mut self) -> u32 {
        let mut crashed = Vec::new();
        for (name, role) in &mut self.roles {
            let ended = role.child.try_wait().expect("it is ours to wait for");
            if ended.and_then(|status| status.signal()).is_some_and(|signal| CRASHES.contains(&signal)) {
                crashed.push((name.clone(), role.listens));
            }
        }
        for (name, listen) in &crashed {
            self.roles.remove(name);
            let (role, number) = name.rsplit_once('-').expect("a role and its number");
            let number = number.parse().expect("a number");
            self.role(role, number, Special { listen: *listen, ..Special::default() }).await;
        }
        u32::try_from(crashed.len()).expect("a fleet is small")
    }

    /// Asks a process to drain, and returns how it ended and how long it took.
    pub async fn drain(&mut self, name: &str) -> (ExitStatus, Duration) {
        let mut role = self.take(name);
        let began = Instant::now();
        signal(role.pid, "-TERM");
        let status = timeout(DRAIN_WAIT, role.child.wait()).await.expect("it drains in time").expect("it is ours");
        (status, began.elapsed())
    }

    /// Asks all to drain; who does not in time is killed.
    pub async fn stop(mut self) {
        for name in self.roles.keys().cloned().collect::<Vec<_>>() {
            if self.runs(&name) {
                signal(self.pid(&name), "-CONT");
                signal(self.pid(&name), "-TERM");
            }
        }
        for role in self.roles.values_mut() {
            if timeout(DRAIN_WAIT, role.child.wait()).await.is_err() {
                let _ = role.child.kill().await;
            }
        }
    }

    /// What a process answers at a path of its admin port: status and text.
    pub async fn ask(&self, name: &str, path: &str) -> Option<(u16, String)> {
        let url = format!("http://{}{path}", self.of(name).admin);
        let answer = timeout(Duration::from_secs(3), reqwest::get(url)).await.ok()?.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// Imbalances that the pipeline's own ledger has found; None when it does not answer.
    pub async fn imbalances(&self) -> Option<f64> {
        self.ask("ledger-1", "/metrics").await?;
        Some(self.metric("ledger-1", "quiz_ledger_imbalances_total", &[]).await)
    }

    /// A metric of a process: the sum over its labels of those series whose line has all of `having`.
    pub async fn metric(&self, name: &str, metric: &str, having: &[&str]) -> f64 {
        let began = Instant::now();
        let text = loop {
            if let Some((_, text)) = self.ask(name, "/metrics").await {
                break text;
            }
            assert!(began.elapsed() < METRICS_WAIT, "{name} tells no metrics");
            sleep(METRICS_RETRY).await;
        };
        text.lines()
            .filter(|line| line.starts_with(metric) && line[metric.len()..].starts_with([' ', '{']))
            .filter(|line| having.iter().all(|part| line.contains(part)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            // Not `sum`, whose nothing is -0.
            .fold(0.0, |all, one| all + one)
    }
}
