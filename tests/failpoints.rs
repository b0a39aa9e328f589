//! Goal: wherever a worker or projection ends, no answer is lost and none counts twice. Method: real servers,
//! every role a process; one process has a failpoint set and aborts there in the middle of a game, is started
//! again under its name, and the game goes on; then the four-way ledger and the replay. Control: the process
//! has aborted, at that point.

use std::process::Stdio;
use std::time::Duration;

use quiz_schemas::QuestionNo;
use quizstream::demo::game::Game;
use quizstream::demo::stage::Pipeline;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

mod support;
use support::Cluster;

/// So many that some of their answers come together, in one write.
const PLAYERS: u32 = 60;
const QUESTIONS: usize = 2;
/// For so long a question waits for answers: longer than it takes to put someone in a dead process's place, who
/// may be the one that shows the question.
const LIMIT_MS: i32 = 30_000;

/// A point, and for which time a process comes to it when it ends.
type Death = (&'static str, u32);

/// A role as a process, with a failpoint or without.
fn start(role: &str, death: Option<Death>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quizstream"));
    let name = format!("failpoints-{role}");
    command.args(["serve", role, "--instance", &name, "--admin-listen", "127.0.0.1:0"]);
    if let Some((point, count)) = death {
        command.env("QUIZ_FAIL", format!("{point}:abort@{count}"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("the binary starts")
}

/// SIGTERM, as a deploy does, and the end of it.
async fn stop(mut child: Child) {
    let pid = child.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs");
    assert!(sent.success());
    let ended = timeout(Duration::from_secs(12), child.wait()).await.expect("it drains in time").expect("it ends");
    assert!(ended.success(), "{ended}");
}

async fn ask(game: &mut Game, pipeline: &Pipeline, no: QuestionNo) {
    let (board, stored) = game.ask(pipeline, no).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    assert_eq!(stored as i64, board.answered, "question {no}: stored what was judged");
}

/// Plays a game while the process of `role` ends at `death` and is started again.
async fn play(pipeline: &Pipeline, role: &str, death: Death, seed: u64) {
    let mut child = start(role, Some(death));
    let started = Instant::now();
    let course = async {
        let mut game = support::game(pipeline, support::quiz(QUESTIONS, LIMIT_MS), PLAYERS, seed).await;
        for no in 0..QUESTIONS as QuestionNo {
            ask(&mut game, pipeline, no).await;
        }
        let over = game.end().await.unwrap_or_else(|failure| panic!("{}", failure.message));
        (game, over)
    };
    let again = async {
        let ended = timeout(Duration::from_secs(60), child.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{role} does not come to {death:?}")).expect("it ends");
        assert!(!ended.success(), "{role} aborts at {death:?}: {ended}");
        (start(role, None), started.elapsed())
    };
    let ((game, over), (successor, died_after)) = tokio::join!(course, again);
    let proof = game.prove(pipeline, &over).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    let total = proof.ledger.total();
    println!(
        "seed={seed} fault={role}-aborts-{}@{} died_s={:.1} game_s={:.1} sent={} acked={} scored={} late={} stored={} lost={} duplicates={}",
        death.0,
        death.1,
        died_after.as_secs_f64(),
        started.elapsed().as_secs_f64(),
        total.sent,
        total.acked,
        total.scored,
        total.late,
        total.stored,
        total.lost,
        total.duplicates
    );
    assert_eq!(total.acked, u64::from(PLAYERS) * QUESTIONS as u64, "every answer was acknowledged");
    assert!(proof.holds(), "{role} at {death:?}: {:?}", proof.ledger);
    stop(successor).await;
}

async fn each(cluster: Cluster, role: &str, deaths: &[Death]) {
    let (pipeline, mut guard) = support::pipeline(cluster).await;
    if role == "sessions" {
        let processes = guard.processes().expect("the roles are processes");
        processes.kill("sessions-1").await.unwrap_or_else(|failure| panic!("{}", failure.message));
    }
    for (seed, &death) in (0..).zip(deaths) {
        play(&pipeline, role, death, seed).await;
    }
    drop(pipeline);
    guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
}

// Not in the middle of an append: answers scored in company come to one record a batch.
#[tokio::test(flavor = "multi_thread")]
async fn a_scoring_worker_ends_before_and_behind_its_appends() {
    let deaths = [("before_load", 2), ("before_append", 5), ("after_append", 5)];
    each(Cluster { edges: 1, scoring: 0, boards: 1 }, "scoring", &deaths).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scoring_worker_ends_at_its_writes() {
    let deaths = [("before_write", 5), ("mid_write", 1), ("after_write", 5)];
    each(Cluster { edges: 1, scoring: 0, boards: 1 }, "scoring", &deaths).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scoring_worker_ends_behind_its_writes() {
    let deaths = [("before_announce", 2), ("after_announce", 2), ("before_commit", 3), ("after_commit", 3)];
    each(Cluster { edges: 1, scoring: 0, boards: 1 }, "scoring", &deaths).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_worker_ends_in_its_transactions() {
    let deaths = [("in_transaction", 3), ("before_transaction_commit", 4), ("after_transaction", 3), ("in_restore", 1)];
    each(Cluster { edges: 1, scoring: 1, boards: 1 }, "sessions", &deaths).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_projection_ends_at_each_step() {
    let deaths = [("before_append", 2), ("after_append", 2), ("after_write", 2), ("after_commit", 1)];
    each(Cluster { edges: 1, scoring: 1, boards: 0 }, "board", &deaths).await;
}
