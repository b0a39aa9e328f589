//! Roles as processes of their own, started from this binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::cli::DemoArgs;
use crate::exit::{Exit, Failure};

/// How long a role may take to listen.
const LISTEN_WAIT: Duration = Duration::from_secs(60);
/// How long a role may take to drain before it is killed.
const DRAIN_WAIT: Duration = Duration::from_secs(12);

/// Child processes; killed when dropped.
pub struct Processes {
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    children: Vec<(String, Child)>,
}

impl Processes {
    /// None yet; all will use these servers and one token secret.
    pub fn new(program: &Path, brokers: &str, mongo: &str, registry: &str) -> Self {
        let secret: String = std::iter::repeat_with(|| format!("{:016x}", rand::random::<u64>())).take(4).collect();
        let environment = vec![
            ("QUIZ_KAFKA__BOOTSTRAP_SERVERS", brokers.to_string()),
            ("QUIZ_MONGO__URI", mongo.to_string()),
            ("QUIZ_REGISTRY__URL", registry.to_string()),
            ("QUIZ_EDGE__TOKEN_SECRET", secret),
            ("QUIZ_EDGE__BOTS_WELCOME", "true".to_string()),
        ];
        Self { program: program.to_path_buf(), environment, children: Vec::new() }
    }

    /// Starts the roles that `args` asks for; returns where the edges listen.
    ///
    /// # Errors
    /// When a process does not start.
    pub async fn start(&mut self, args: &DemoArgs) -> Result<Vec<SocketAddr>, Failure> {
        for (role, count) in [("sessions", 1), ("scoring", args.scoring), ("board", args.boards), ("ledger", 1)] {
            for number in 1..=count {
                self.role(role, number, None).await?;
            }
        }
        let mut edges = Vec::new();
        for number in 1..=args.edges {
            let listen = if number == 1 { args.listen } else { SocketAddr::new(args.listen.ip(), 0) };
            edges.push(self.role("edge", number, Some(listen)).await?);
        }
        Ok(edges)
    }

    /// Kills one of them, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn kill(&mut self, name: &str) -> Result<(), Failure> {
        let missing = || Failure::new(Exit::NotFound, format!("no process {name} was started"));
        let at = self.children.iter().position(|(of, _)| of == name).ok_or_else(missing)?;
        let (_, mut child) = self.children.swap_remove(at);
        child.kill().await.map_err(|err| Failure::new(Exit::Failed, format!("{name} cannot be killed: {err}")))
    }

    /// Starts a role and waits until it listens on its admin port, or as an edge; returns where.
    ///
    /// # Errors
    /// When it does not.
    pub async fn role(&mut self, role: &str, number: u16, listen: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
        let name = format!("{role}-{number}");
        let failed = |err: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("{name} did not start: {err}"));
        let mut command = Command::new(&self.program);
        command.args(["serve", role, "--instance", &format!("demo-{name}"), "--admin-listen", "127.0.0.1:0"]);
        if let Some(listen) = listen {
            command.args(["--listen", &listen.to_string()]);
        }
        command.envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|err| failed(&err))?;
        let stdout = child.stdout.take().ok_or_else(|| failed(&"it has no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let wanted = if listen.is_some() { "edge listens on " } else { "admin listens on " };
        let listens = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(addr) = line.strip_prefix(wanted).and_then(|addr| addr.parse().ok()) {
                    return Some(addr);
                }
            }
            None
        };
        let addr = timeout(LISTEN_WAIT, listens)
            .await
            .ok()
            .flatten()
            .ok_or_else(|| failed(&"it does not listen").hint("its own words stand above"))?;
        // Whatever else it prints is read, so that it never blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.children.push((name, child));
        Ok(addr)
    }

    /// Their names and process ids.
    pub fn names(&self) -> Vec<String> {
        self.children.iter().map(|(name, child)| format!("{name} ({})", child.id().unwrap_or(0))).collect()
    }

    /// The process id of one of them, while it runs.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.children.iter().find(|(of, _)| of == name).and_then(|(_, child)| child.id())
    }

    /// Waits until one of them ends.
    pub async fn ended(&mut self) -> Failure {
        let waits = self.children.iter_mut().map(|(name, child)| {
            Box::pin(async move {
                let status = child.wait().await;
                Failure::new(
                    Exit::Failed,
                    format!("{name} ended: {}", status.map_or_else(|err| err.to_string(), |s| s.to_string())),
                )
            })
        });
        futures::future::select_all(waits).await.0
    }

    /// Asks them to drain, waits, and kills who does not.
    pub async fn stop(mut self) {
        for (_, child) in &self.children {
            if let Some(pid) = child.id() {
                // std has no way to send SIGTERM without unsafe code; kill(1) is everywhere.
                let _ = Command::new("kill").arg(pid.to_string()).status().await;
            }
        }
        for (name, child) in &mut self.children {
            if timeout(DRAIN_WAIT, child.wait()).await.is_err() {
                tracing::warn!(%name, "it did not drain in time and is killed");
                let _ = child.kill().await;
            }
        }
    }
}
