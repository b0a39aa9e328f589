//! The pipeline as processes whose every word is kept, so that a test can look at what they said,
//! what they measure and how much memory they hold.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};

const START_WAIT: Duration = Duration::from_secs(60);
const STOP_WAIT: Duration = Duration::from_secs(15);
/// Between two looks at something that is waited for.
pub const LOOK: Duration = Duration::from_millis(20);

/// Two of these tests at once would measure each other.
static ONE_AT_A_TIME: AsyncMutex<()> = AsyncMutex::const_new(());

/// A server's address from the environment.
///
/// # Panics
/// When it is missing: a test on real servers has no meaning without them.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: start the servers with `scripts/stack up` and `eval \"$(scripts/stack env)\"`")
    })
}

/// The seed of this run: `HOSTILE_SEED`, or a new one.
pub fn seed() -> u64 {
    std::env::var("HOSTILE_SEED").ok().map_or_else(|| rand::rng().random(), |text| text.parse().expect("a number"))
}

/// A process of ours.
pub struct Role {
    child: Child,
    /// Its process id.
    pub pid: u32,
    /// Where it listens, if it is an edge.
    pub listens: Option<SocketAddr>,
    /// Its admin port.
    pub admin: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
}

impl Role {
    /// Starts `quizstream` with these arguments, by `wrapper` if there is one, and waits until it listens.
    async fn start(wrapper: &[&str], roles: &[&str], environment: &[(&str, String)]) -> Self {
        let program = env!("CARGO_BIN_EXE_quizstream");
        let mut words: Vec<&str> = wrapper.to_vec();
        words.extend([program, "serve"]);
        words.extend(roles);
        words.extend(["--admin-listen", "127.0.0.1:0"]);
        let is_edge = roles.contains(&"edge");
        if is_edge {
            words.extend(["--listen", "0.0.0.0:0"]);
        }
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).envs(environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the process starts");
        let said = Arc::new(Mutex::new(Vec::new()));
        keep(child.stdout.take().expect("it is piped"), &said);
        keep(child.stderr.take().expect("it is piped"), &said);
        let pid = child.id().expect("it runs");
        let unset = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut role = Self { child, pid, listens: None, admin: unset, said };
        role.admin = role.address("admin listens on ").await;
        if is_edge {
            let port = role.address("edge listens on ").await.port();
            role.listens = Some(SocketAddr::from(([127, 0, 0, 1], port)));
        }
        role.ready().await;
        role
    }

    async fn address(&self, prefix: &str) -> SocketAddr {
        let deadline = Instant::now() + START_WAIT;
        loop {
            let found = self.said().iter().find_map(|line| line.strip_prefix(prefix)?.parse().ok());
            match found {
                Some(address) => return address,
                None if Instant::now() > deadline => panic!("it does not listen: {:?}", self.said()),
                None => sleep(LOOK).await,
            }
        }
    }

    async fn ready(&self) {
        let deadline = Instant::now() + START_WAIT;
        while self.ask("/readyz").await.0 != 200 {
            assert!(Instant::now() < deadline, "it does not become ready: {:?}", self.said());
            sleep(LOOK).await;
        }
    }

    /// Status and body of a page of the admin port; 0 when it does not answer.
    pub async fn ask(&self, path: &str) -> (u16, String) {
        match reqwest::get(format!("http://{}{path}", self.admin)).await {
            Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
            Err(_) => (0, String::new()),
        }
    }

    /// Every line that it has printed.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().expect("nobody panics with it").clone()
    }

    /// Lines that hold this word.
    pub fn said_of(&self, word: &str) -> usize {
        self.said().iter().filter(|line| line.contains(word)).count()
    }

    /// Starts to watch how much memory it holds.
    pub fn watch(&self) -> Watch {
        Watch::of(self.pid)
    }

    async fn stop(mut self) {
        let _ = Command::new("kill").arg(self.pid.to_string()).status().await;
        let ended = timeout(STOP_WAIT, self.child.wait()).await;
        assert!(ended.is_ok(), "it does not drain: {:?}", self.said().last());
        let panics: Vec<_> = self.said().into_iter().filter(|line| line.contains("panicked")).collect();
        assert!(panics.is_empty(), "it panicked: {panics:?}");
    }
}

fn keep(output: impl AsyncRead + Unpin + Send + 'static, said: &Arc<Mutex<Vec<String>>>) {
    let said = Arc::clone(said);
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.lock().expect("nobody panics with it").push(line);
        }
    });
}

fn memory_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux tells");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// How much memory a process holds at its most, from now on.
pub struct Watch {
    pid: u32,
    before_kib: u64,
}

impl Watch {
    /// Starts to watch a process of this user.
    pub fn of(pid: u32) -> Self {
        // Sets the peak that the kernel keeps back to what is held now.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the process is ours");
        Self { pid, before_kib: memory_kib(pid, "VmRSS:") }
    }

    /// By how much the memory grew at its most, KiB.
    pub fn grown_kib(&self) -> u64 {
        memory_kib(self.pid, "VmHWM:").saturating_sub(self.before_kib)
    }
}

/// How the pipeline of a test is brought up.
#[derive(Default)]
pub struct Setup<'a> {
    /// Settings of the edge besides the defaults.
    pub edge: &'a [(&'a str, &'a str)],
    /// What starts the edge.
    pub wrapper: &'a [&'a str],
    /// What is logged, if not the default.
    pub logs: Option<&'a str>,
}

/// An edge, and one process with all workers.
pub struct World {
    /// The edge.
    pub edge: Role,
    /// Session worker, scoring worker, projections.
    pub workers: Role,
    /// What the edge signs with.
    pub secret: String,
    _alone: MutexGuard<'static, ()>,
}

impl World {
    /// Brings it up on the servers that the environment names.
    pub async fn up(setup: Setup<'_>) -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        for variable in ["QUIZ_KAFKA__BOOTSTRAP_SERVERS", "QUIZ_MONGO__URI", "QUIZ_REGISTRY__URL"] {
            server(variable);
        }
        let secret = format!("a secret of the hostile tests {:032x}", rand::rng().random::<u128>());
        let logs: Vec<_> = setup.logs.map(|logs| ("RUST_LOG", logs.to_string())).into_iter().collect();
        let mut environment = logs.clone();
        environment.push(("QUIZ_EDGE__TOKEN_SECRET", secret.clone()));
        environment.extend(setup.edge.iter().map(|(key, value)| (*key, (*value).to_string())));
        let workers = Role::start(&[], &["sessions", "scoring", "board"], &logs).await;
        let edge = Role::start(setup.wrapper, &["edge"], &environment).await;
        Self { edge, workers, secret, _alone: alone }
    }

    /// Where the edge listens.
    pub fn at(&self) -> SocketAddr {
        self.edge.listens.expect("an edge listens")
    }

    /// Takes it down in order; nothing of it may have panicked.
    pub async fn down(self) {
        self.edge.stop().await;
        self.workers.stop().await;
    }
}

/// Asks an edge for a game; what it answers.
pub async fn create(edge: SocketAddr, body: &Value) -> (u16, Value) {
    let response = reqwest::Client::new().post(format!("http://{edge}/v1/games")).json(body).send();
    let response = response.await.expect("the edge answers");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}
