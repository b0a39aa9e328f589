//! A process that is started, listened to and ended.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::error::BenchError;

/// Lines that wait to be read.
const LINES_MAX: usize = 1_024;
/// How long a process may take to end when it is asked to.
const END_WAIT: Duration = Duration::from_secs(20);

/// A process of ours; killed when dropped.
pub struct Running {
    name: String,
    /// Its process id.
    pub pid: u32,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Running {
    /// Starts it. What it says on stderr goes to `log`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, BenchError> {
        let stderr = File::options().create(true).append(true).open(log).map_err(|err| BenchError::file(log, err))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
        let mut child = command.spawn().map_err(|err| BenchError::process(name, err))?;
        let pid = child.id().ok_or_else(|| BenchError::process(name, "it ended at once"))?;
        let stdout = child.stdout.take().ok_or_else(|| BenchError::process(name, "it has no output"))?;
        let stdin = child.stdin.take();
        let (sender, lines) = mpsc::channel(LINES_MAX);
        tokio::spawn(async move {
            let mut stdout = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = stdout.next_line().await {
                // Who does not listen any more must not block the process on a full pipe.
                let _ = sender.send(line).await;
            }
        });
        Ok(Self { name: name.to_string(), pid, child, stdin, lines })
    }

    /// The next line that it says; none when it will say no more. It has then ended, or is about to.
    pub async fn line(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// The rest of the first line that begins so.
    ///
    /// # Errors
    /// When it does not say so in time.
    pub async fn says(&mut self, prefix: &str, wait: Duration) -> Result<String, BenchError> {
        let told = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(rest) = line.strip_prefix(prefix) {
                    return Some(rest.to_string());
                }
            }
            None
        };
        let late = || BenchError::Late { what: format!("{prefix:?} of {}", self.name), wait_s: wait.as_secs() };
        let ended = BenchError::process(&self.name, format!("it ended before it said {prefix:?}; see its log"));
        timeout(wait, told).await.map_err(|_| late())?.ok_or(ended)
    }

    /// Says a line to it.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn tell(&mut self, line: &str) -> Result<(), BenchError> {
        let stdin = self.stdin.as_mut().ok_or_else(|| BenchError::process(&self.name, "it has no input"))?;
        let told = stdin.write_all(format!("{line}\n").as_bytes()).await;
        told.map_err(|err| BenchError::process(&self.name, err))
    }

    /// Listens no more to what it says.
    pub fn ignore(&mut self) {
        self.lines.close();
        while self.lines.try_recv().is_ok() {}
    }

    /// Waits until it has ended; whether it did well.
    pub async fn ended(mut self) -> bool {
        self.child.wait().await.is_ok_and(|status| status.success())
    }

    /// Asks it to end, waits, and kills it when it does not.
    pub async fn stop(mut self) {
        // std has no way to send SIGTERM without unsafe code; kill(1) is everywhere.
        let _ = Command::new("kill").arg(self.pid.to_string()).stderr(Stdio::null()).status().await;
        if timeout(END_WAIT, self.child.wait()).await.is_err() {
            eprintln!("quiz-bench: {} did not end when asked to, and is killed", self.name);
            let _ = self.child.kill().await;
        }
    }
}
