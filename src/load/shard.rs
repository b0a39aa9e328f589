//! A child of a run that has a share of its players. It does what its stdin says and reports on its
//! stdout; when its stdin ends, because its parent is through or is dead, so does it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufRead, AsyncWrite, BufReader, stdin, stdout};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::log::Log;
use super::options::Run;
use super::orders::{self, Order, Report};
use super::squad::{self, Around};
use super::{CONNECTS_AT_ONCE, threads};
use crate::cli::LoadArgs;
use crate::exit::{Exit, Failure};

/// How much longer than its parent a child goes on when nothing ends it.
const CHILD_SLACK: Duration = Duration::from_secs(120);
/// Orders that wait while the players are busy.
const ORDERS_MAX: usize = 64;

/// Runs share `no` of `of` of the players.
///
/// # Errors
/// When the log cannot be written, or the parent says what is no order.
pub fn run(args: &LoadArgs, run: Run, (no, of): (u32, u32)) -> Result<ExitCode, Failure> {
    let runtime = threads(of)?;
    let result = runtime.block_on(async {
        let failed = |err: std::io::Error| Failure::new(Exit::Failed, format!("a process of players: {err}"));
        // Ctrl-C reaches the whole group: the parent decides what it means.
        let _ignored = signal(SignalKind::interrupt()).map_err(failed)?;
        let log = args.log.as_ref().map(|dir| Log::open(dir, Instant::now()).map(Arc::new)).transpose()?;
        let flusher = log.as_ref().map(Log::flushing);
        if let Some(log) = &log {
            log.write("shard", json!({ "pid": std::process::id(), "number": no, "of": of, "seed": run.seed }));
        }
        let limit = run.timeout + CHILD_SLACK;
        let gate = Arc::new(Semaphore::new((CONNECTS_AT_ONCE / of as usize).max(1)));
        let around = Around::new(Arc::new(run), gate, log.clone());
        let served = timeout(limit, serve(around, BufReader::new(stdin()), stdout())).await;
        if let Some(flusher) = flusher {
            flusher.abort();
        }
        if let Some(log) = &log {
            log.flush();
        }
        match served {
            Ok(Ok(())) => Ok(ExitCode::SUCCESS),
            Ok(Err(err)) => Err(failed(err)),
            Err(_) => Err(Failure::new(Exit::Failed, "a process of players outlived its run")),
        }
    });
    // A read of stdin that nobody ends may be under way; it must not hold the process.
    runtime.shutdown_background();
    result
}

/// Follows orders until the run is through.
async fn serve(
    around: Around,
    mut from: impl AsyncBufRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let log = around.log.as_ref().map(|log| log.path().to_path_buf());
    orders::write(&mut to, &Report::Ready { log }).await?;
    let (orders_to, orders) = mpsc::channel(ORDERS_MAX);
    let (reports_to, mut reports) = mpsc::channel(1);
    let players = squad::play(around, orders, reports_to);
    let telling = async {
        while let Some(report) = reports.recv().await {
            orders::write(&mut to, &report).await?;
        }
        Ok::<(), std::io::Error>(())
    };
    let hearing = async move {
        loop {
            let Some(order) = orders::read(&mut from).await? else {
                return Err(std::io::Error::other("its parent is gone"));
            };
            let last = order == Order::Leave;
            if orders_to.send(order).await.is_err() || last {
                return Ok::<(), std::io::Error>(());
            }
        }
    };
    // When the parent is gone there is no use in waiting for the players; when it lets them go, they go.
    tokio::try_join!(hearing, telling, async {
        players.await;
        Ok(())
    })
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::io::{AsyncWriteExt, duplex, split};

    use super::*;
    use crate::cli::{Cli, Command};

    fn around() -> Around {
        let words = ["quizstream", "load", "--edges", "127.0.0.1:1", "--players", "4", "--processes", "2"];
        let Command::Load(args) = Cli::parse_from(words).command else { panic!("load was asked for") };
        let run = Run::new(&args, None).unwrap_or_else(|failure| panic!("{}", failure.message));
        Around::new(Arc::new(run), Arc::new(Semaphore::new(1)), None)
    }

    /// Goal: a child tells what it is asked, ends well when it is let go, and with an error when its
    /// parent dies. Method: play the parent at the other end of its pipes.
    #[tokio::test]
    async fn a_child_ends_with_its_parent() {
        for says_goodbye in [true, false] {
            let (ours, theirs) = duplex(4_096);
            let (their_in, their_out) = split(theirs);
            let child = tokio::spawn(serve(around(), BufReader::new(their_in), their_out));
            let (our_in, mut our_out) = split(ours);
            let mut our_in = BufReader::new(our_in);
            let ready: Option<Report> = orders::read(&mut our_in).await.expect("a line");
            assert_eq!(ready, Some(Report::Ready { log: None }));
            orders::write(&mut our_out, &Order::Tell).await.expect("the child reads");
            let told: Option<Report> = orders::read(&mut our_in).await.expect("a line");
            assert!(matches!(told, Some(Report::Told(figures)) if figures.counts.sent == 0));
            if says_goodbye {
                orders::write(&mut our_out, &Order::Leave).await.expect("the child reads");
                child.await.expect("no panic").expect("it was let go");
            } else {
                our_out.shutdown().await.expect("the pipe closes");
                assert!(child.await.expect("no panic").is_err());
            }
        }
    }
}
