//! Processes of players, as their parent has them.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::crowd::Desk;
use super::orders::{self, Order, Report};
use crate::exit::{Exit, Failure};

/// How long a process may take to end once its last word came, or none can come.
const EXIT_WAIT: Duration = Duration::from_secs(10);

/// A process of players that has ended.
#[derive(Debug)]
pub struct Gone {
    /// Which, from 1, of how many, and its number in the system.
    pub name: String,
    /// How; none when it did not end by itself.
    pub status: Option<ExitStatus>,
    /// What was wrong with its last word.
    pub error: Option<String>,
}

impl Gone {
    /// Whether it did all that it was told.
    #[must_use]
    pub fn well(&self) -> bool {
        self.error.is_none() && self.status.is_some_and(|status| status.success())
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let how =
            self.status.map_or("was killed, for it did not end".to_string(), |status| format!("ended ({status})"));
        let why = self.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
        format!("{} {how}{why}", self.name)
    }
}

/// Starts process `no` of `of`: this program with this command line, and its share as one more
/// argument. It follows `orders`, and ends when there are none any more.
///
/// # Errors
/// When it cannot be started.
pub fn start(
    (no, of): (u32, u32),
    orders: mpsc::Receiver<Order>,
    desk: Desk,
    gone: mpsc::Sender<Gone>,
) -> Result<(), Failure> {
    let failed = |err: std::io::Error| Failure::new(Exit::Failed, format!("a process of players cannot start: {err}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).arg("--shard").arg(format!("{no}/{of}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    let pid = child.id().unwrap_or_default();
    let name = format!("process {} of {of} of the players (pid {pid})", no + 1);
    if let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) {
        let feeding = tokio::spawn(feed(stdin, orders));
        tokio::spawn(async move {
            let (status, error) = watch(child, stdout, desk).await;
            // From here on nobody can give it orders, and so nobody waits for what it says to them.
            feeding.abort();
            _ = feeding.await;
            _ = gone.send(Gone { name, status, error }).await;
        });
    }
    Ok(())
}

/// Passes orders on. Dropping the pipe at the end tells the process to end.
async fn feed(mut stdin: ChildStdin, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        // One that does not take it is dead or dying: whoever reads from it learns how.
        if orders::write(&mut stdin, &order).await.is_err() {
            return;
        }
    }
}

/// Passes reports on until there are no more, and says how the process ended.
async fn watch(mut child: Child, stdout: ChildStdout, desk: Desk) -> (Option<ExitStatus>, Option<String>) {
    let mut stdout = BufReader::new(stdout);
    let error = loop {
        match orders::read::<Report>(&mut stdout).await {
            Ok(Some(report)) => desk.take(report).await,
            Ok(None) => break None,
            Err(err) => break Some(format!("what it told cannot be read: {err}")),
        }
    };
    let status = timeout(EXIT_WAIT, child.wait()).await.ok().and_then(Result::ok);
    if status.is_none() {
        // It is ours and has no use any more; what it had written to its log is there.
        _ = child.kill().await;
    }
    (status, error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn an_end_is_told_with_its_code() {
        let gone = |status, error: Option<&str>| Gone {
            name: "process 2 of 4 of the players (pid 77)".into(),
            status,
            error: error.map(String::from),
        };
        assert!(gone(Some(ExitStatus::from_raw(0)), None).well());
        let failed = gone(Some(ExitStatus::from_raw(3 << 8)), None);
        assert!(!failed.well());
        assert_eq!(failed.words(), "process 2 of 4 of the players (pid 77) ended (exit status: 3)");
        let killed = gone(Some(ExitStatus::from_raw(9)), Some("a line is cut off"));
        assert!(killed.words().ends_with("ended (signal: 9 (SIGKILL)): a line is cut off"), "{}", killed.words());
        assert!(!gone(None, None).well());
    }
}
