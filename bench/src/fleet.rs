//! The pipeline's roles as processes, as many of each as a profile asks for.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::child::Running;
use crate::error::BenchError;
use crate::ledger::Alerts;
use crate::load::total;
use crate::process::Roster;
use crate::scrape;

/// How long a role may take to listen, and then to be ready.
const START_WAIT: Duration = Duration::from_secs(60);
/// Between two looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The ledger gives an edge that told nothing ten seconds, and books that do not balance three: a ledger that
/// keeps up has told all it will when it has told nothing for so long,
const BOOKS_QUIET: Duration = Duration::from_secs(12);
/// which is waited for no longer than this.
const BOOKS_WAIT: Duration = Duration::from_secs(60);

/// How many of each role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Formation {
    /// Edges.
    pub edges: u32,
    /// Scoring workers.
    pub scoring: u32,
}

/// What a load needs of running roles.
#[derive(Clone)]
pub struct Ground {
    /// The quizstream binary.
    pub program: PathBuf,
    /// Where processes' words go.
    pub logs: PathBuf,
    /// Where players connect.
    pub edges: Vec<SocketAddr>,
    /// Who is watched: the roles and the servers.
    pub roster: Roster,
}

/// Running roles. There is one session worker, one board projection and one ledger projection.
pub struct Fleet {
    program: PathBuf,
    logs: PathBuf,
    secret: String,
    roster: Roster,
    members: Vec<Member>,
    numbers: u32,
    alerts: Arc<Alerts>,
}

struct Member {
    role: &'static str,
    process: Running,
    /// Where players connect, if it is an edge.
    listens: Option<SocketAddr>,
}

impl Fleet {
    /// Starts the roles and waits until each is ready. What the ledger finds wrong is added to `alerts` when
    /// they are taken down.
    ///
    /// # Errors
    /// When one does not become so.
    pub async fn start(
        program: &Path,
        logs: &Path,
        servers: &[(String, u32)],
        formation: Formation,
        alerts: &Arc<Alerts>,
    ) -> Result<Self, BenchError> {
        let mut fleet = Self {
            program: program.to_path_buf(),
            logs: logs.to_path_buf(),
            // It guards nothing: the games are made by this bench, on ports of this machine, and end with it.
            secret: format!("a secret of the bench, number {:032}", crate::latency::wall_us()),
            roster: Roster::of(servers),
            members: Vec::new(),
            numbers: 0,
            alerts: Arc::clone(alerts),
        };
        for role in ["sessions", "board", "ledger"] {
            fleet.add(role).await?;
        }
        for _ in 0..formation.scoring {
            fleet.add("scoring").await?;
        }
        for _ in 0..formation.edges {
            fleet.add("edge").await?;
        }
        Ok(fleet)
    }

    /// Starts one more of a role and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become so.
    pub async fn add(&mut self, role: &'static str) -> Result<(), BenchError> {
        self.numbers += 1;
        let name = format!("{role}-{}", self.numbers);
        let mut command = Command::new(&self.program);
        command.args(["serve", role, "--instance", &format!("bench-{name}"), "--admin-listen", "127.0.0.1:0"]);
        if role == "edge" {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.env("QUIZ_EDGE__TOKEN_SECRET", &self.secret).env("QUIZ_EDGE__BOTS_WELCOME", "true");
        let mut process = Running::start(&name, command, &self.log_file(&name))?;
        let admin = address(&name, &process.says("admin listens on ", START_WAIT).await?)?;
        let listens = match role {
            "edge" => Some(address(&name, &process.says("edge listens on ", START_WAIT).await?)?),
            _ => None,
        };
        process.ignore();
        ready(&name, admin).await?;
        self.roster.add(role, process.pid, Some(admin));
        self.members.push(Member { role, process, listens });
        Ok(())
    }

    /// Asks all of a role to drain, and waits until they are gone.
    pub async fn stop(&mut self, role: &str) {
        let (gone, stay) = std::mem::take(&mut self.members).into_iter().partition(|member| member.role == role);
        self.members = stay;
        end(gone, &self.roster).await;
    }

    /// Takes all down: edges first, which have clients, and whose last words the ledger takes in.
    pub async fn down(mut self) {
        self.stop("edge").await;
        self.until_books_are_quiet().await;
        for (_, admin) in self.roster.admins("ledger") {
            self.alerts.ask(admin).await;
        }
        end(std::mem::take(&mut self.members), &self.roster).await;
    }

    async fn until_books_are_quiet(&self) {
        let deadline = Instant::now() + BOOKS_WAIT;
        let mut told = None;
        while Instant::now() < deadline {
            let before = told.replace(total(&self.roster, "ledger", "quiz_ledger_questions_total", "").await);
            if told == before {
                break;
            }
            sleep(BOOKS_QUIET).await;
        }
    }

    /// What a load needs. Who comes and goes later is on its roster, too.
    pub fn ground(&self) -> Ground {
        Ground {
            program: self.program.clone(),
            logs: self.logs.clone(),
            edges: self.members.iter().filter_map(|member| member.listens).collect(),
            roster: self.roster.clone(),
        }
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

async fn end(members: Vec<Member>, roster: &Roster) {
    members.iter().for_each(|member| roster.remove(member.process.pid));
    futures::future::join_all(members.into_iter().map(|member| member.process.stop())).await;
}

fn address(name: &str, text: &str) -> Result<SocketAddr, BenchError> {
    text.trim().parse().map_err(|_| BenchError::process(name, format!("{text:?} is no address")))
}

async fn ready(name: &str, admin: SocketAddr) -> Result<(), BenchError> {
    let deadline = Instant::now() + START_WAIT;
    while !matches!(scrape::get(admin, "/readyz").await, Ok((200, _))) {
        if Instant::now() > deadline {
            return Err(BenchError::Late { what: format!("the readiness of {name}"), wait_s: START_WAIT.as_secs() });
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
