//! Goal: `quizstream load` with its players split over processes is one run: every player plays once,
//! the figures are those of all, and no process outlives it. Method: the embedded pipeline in this
//! process, the binary against it, and what the clients' logs say compared with what stdout says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use quizstream::demo::stage::{self, Guard, Pipeline};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a condition may take to come.
const WAIT: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

async fn pipeline() -> (Pipeline, Guard) {
    let words = ["quizstream", "demo", "--edges", "2"];
    let cli = <quizstream::cli::Cli as clap::Parser>::parse_from(words);
    let quizstream::cli::Command::Demo(args) = cli.command else { panic!("a demo was asked for") };
    let program = Path::new(env!("CARGO_BIN_EXE_quizstream"));
    stage::up(&args, program).await.unwrap_or_else(|failure| panic!("{}", failure.message))
}

fn load(pipeline: &Pipeline, folder: &Path, arguments: &str) -> Child {
    let edges: Vec<String> = pipeline.edges.iter().map(ToString::to_string).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quizstream"));
    command.args(["load", "--json", "--edges", &edges.join(","), "--log"]).arg(folder);
    command.args(arguments.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("the binary starts")
}

/// The lines of the clients' logs, by file.
fn logs(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let logs = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
        (path.display().to_string(), lines)
    };
    logs.map(read).collect()
}

fn count(lines: &[Value], event: &str) -> u64 {
    lines.iter().filter(|line| line["event"] == event).count() as u64
}

/// The processes of players that have begun, once there are `of`.
async fn shards(folder: &Path, of: usize) -> Vec<u64> {
    let deadline = Instant::now() + WAIT;
    loop {
        let logs = logs(folder);
        let lines = logs.values().flatten();
        let pids: Vec<u64> =
            lines.filter(|line| line["event"] == "shard").filter_map(|line| line["pid"].as_u64()).collect();
        if pids.len() == of {
            return pids;
        }
        assert!(Instant::now() < deadline, "the processes of players do not begin: {pids:?}");
        sleep(LOOK_EVERY).await;
    }
}

async fn until_joined(folder: &Path, players: u64) {
    let deadline = Instant::now() + WAIT;
    while logs(folder).values().map(|lines| count(lines, "joined")).sum::<u64>() < players {
        assert!(Instant::now() < deadline, "the players do not join");
        sleep(LOOK_EVERY).await;
    }
}

async fn kill(pid: u64) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status().await.expect("kill runs");
    assert!(status.success());
}

async fn plays_as_one(pipeline: &Pipeline, games: u64, processes: u64) {
    const PLAYERS: u64 = 50;
    const QUESTIONS: u64 = 4;
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = format!(
        "--players {PLAYERS} --games {games} --questions {QUESTIONS} --processes {processes} --connect-rate 400 \
         --think-ms 50..400 --limit-ms 10000 --pause-ms 20 --timeout-s 60 --seed {}",
        games + processes
    );
    let child = load(pipeline, folder.path(), &arguments);
    let output = timeout(WAIT, child.wait_with_output()).await.expect("the run ends in time").expect("it is ours");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let phases: Vec<&str> = lines.iter().filter_map(|line| line["phase"].as_str()).collect();
    assert_eq!(phases, ["join", "idle", "answer", "fan_out", "total"], "each phase is told once");
    let [join, _, answer, fan_out, total] = &lines[..] else { panic!("five lines were told") };

    assert_eq!(join["joined"], PLAYERS);
    let answers = PLAYERS * QUESTIONS;
    for field in ["offered", "sent", "acked", "scored"] {
        assert_eq!((&answer[field], &total[field]), (&answers.into(), &answers.into()), "{field}");
    }
    assert_eq!(total["stored"], answers);
    assert_eq!(answer["ack_ms"]["count"], answers);
    let rate = answer["offered_per_s"].as_f64().expect("a number") * answer["seconds"].as_f64().expect("a number");
    assert!((rate - answers as f64).abs() < answers as f64 / 20.0, "{answer}");
    assert_eq!(total["ledger"]["balanced"], games * QUESTIONS, "{total}");
    assert_eq!((&total["ledger"]["open"], &total["ledger"]["imbalanced"]), (&0.into(), &0.into()));
    assert_eq!(fan_out["questions"], games * QUESTIONS);
    assert_eq!(fan_out["deliveries"], answers);
    let (first, last) = (&fan_out["first_ms"]["max"], &fan_out["last_ms"]["max"]);
    assert!(first.as_f64() > Some(0.0) && first.as_f64() <= last.as_f64(), "{fan_out}");
    // Each player hears at least a greeting, and of each question four things; it says hello and answers.
    let messages = |field: &str| total[field].as_u64().expect("a number");
    assert!(messages("messages_in") >= PLAYERS * (1 + QUESTIONS * 4), "{total}");
    assert!(messages("messages_out") >= PLAYERS + answers, "{total}");
    assert!(messages("bytes_in") > messages("messages_in") && messages("bytes_out") > messages("messages_out"));

    in_the_logs(folder.path(), processes, PLAYERS, answers);
}

/// The processes have shares of the players that are apart, and the logs have all that was told.
fn in_the_logs(folder: &Path, processes: u64, players: u64, answers: u64) {
    let logs = logs(folder);
    assert_eq!(logs.len() as u64, processes + 1, "one of each process, and the hosts'");
    let mut seen: Vec<u64> = Vec::new();
    for lines in logs.values() {
        if count(lines, "run") == 1 {
            assert_eq!((count(lines, "joined"), count(lines, "done")), (0, 1), "the hosts' process has no players");
            continue;
        }
        assert_eq!((count(lines, "shard"), count(lines, "done")), (1, 0));
        let own = lines.iter().filter(|line| line["event"] == "joined").filter_map(|line| line["no"].as_u64());
        let own: Vec<u64> = own.collect();
        assert!(own.len() as u64 >= players / processes, "a fair share");
        assert_eq!(count(lines, "ended"), own.len() as u64);
        seen.extend(own);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..players).collect::<Vec<_>>(), "each player once");
    assert_eq!(logs.values().map(|lines| count(lines, "acked")).sum::<u64>(), answers);
}

#[tokio::test(flavor = "multi_thread")]
async fn split_players_play_as_one_crowd() {
    let (pipeline, guard) = pipeline().await;
    // One game that is spread, and more games than processes of which one is cut.
    plays_as_one(&pipeline, 1, 2).await;
    plays_as_one(&pipeline, 3, 2).await;
    drop(pipeline);
    guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
}

const WAITING: &str = "--players 20 --games 2 --processes 2 --connect-rate 400 --idle-ms 100000 --timeout-s 120";

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_a_process_is_told_with_its_code() {
    let (pipeline, _guard) = pipeline().await;
    let folder = tempfile::tempdir().expect("a folder");
    let child = load(&pipeline, folder.path(), WAITING);
    let pids = shards(folder.path(), 2).await;
    until_joined(folder.path(), 20).await;
    kill(pids[0]).await;
    let output = timeout(WAIT, child.wait_with_output()).await.expect("the run ends in time").expect("it is ours");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("(pid {})", pids[0])) && told.contains("signal: 9"), "{told}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let total: Value = serde_json::from_str(text.lines().last().expect("a last line")).expect("JSON");
    assert_eq!((&total["phase"], &total["ok"]), (&"total".into(), &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_outlives_its_parent() {
    let (pipeline, _guard) = pipeline().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = load(&pipeline, folder.path(), WAITING);
    let pids = shards(folder.path(), 2).await;
    until_joined(folder.path(), 20).await;
    child.kill().await.expect("it is ours");
    let deadline = Instant::now() + WAIT;
    for pid in pids {
        // A number may be given to another program; none of ours has this command line then.
        let lives = || {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("--shard") && line.contains(&folder.path().display().to_string())
        };
        while lives() {
            assert!(Instant::now() < deadline, "process {pid} goes on without its parent");
            sleep(LOOK_EVERY).await;
        }
    }
}
