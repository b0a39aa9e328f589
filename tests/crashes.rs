//! Goal: a worker or projection that is killed in the middle of a question changes no score and
//! loses no answer. Method: real Kafka and MongoDB, every role a process, bots over real sockets;
//! SIGKILL when half of the answers are acknowledged; then the four-way ledger and the replay.
//! Control: the killed process was alive and its successor finished the game, for the game cannot
//! end without it where it was the only one.

use std::time::Duration;

use quiz_schemas::QuestionNo;
use quizstream::demo::game::Game;
use quizstream::demo::stage::{Guard, Pipeline};
use tokio::time::Instant;

mod support;
use support::Cluster;

const PLAYERS: u32 = 60;
const QUESTIONS: usize = 3;

/// Waits until half of the bots have their ack for a question.
async fn half_acked(game: &quizstream::demo::tally::Tally, question: QuestionNo) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while game.question(question, |seen| seen.acked.len()) < PLAYERS as usize / 2 {
        assert!(Instant::now() < deadline, "half of the answers were not acknowledged in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn play_through_a_kill(cluster: Cluster, victim: &str, restart: Option<(&str, u16)>) {
    let seed = 11;
    let (pipeline, mut guard) = support::pipeline(cluster).await;
    let mut game = support::game(&pipeline, support::quiz(QUESTIONS, 6_000), PLAYERS, seed).await;
    ask(&mut game, &pipeline, 0).await;
    let tally = game.tally().clone();
    let started = Instant::now();
    let crash = async {
        half_acked(&tally, 1).await;
        let processes = guard.processes().expect("the roles are processes");
        processes.kill(victim).await.unwrap_or_else(|failure| panic!("{}", failure.message));
        if let Some((role, number)) = restart {
            processes.role(role, number, None).await.unwrap_or_else(|failure| panic!("{}", failure.message));
        }
    };
    let (_, ()) = tokio::join!(ask(&mut game, &pipeline, 1), crash);
    let unavailable_s = started.elapsed().as_secs_f64();
    ask(&mut game, &pipeline, 2).await;
    finish(game, pipeline, guard, seed, victim, unavailable_s).await;
}

async fn ask(game: &mut Game, pipeline: &Pipeline, no: QuestionNo) -> i64 {
    let (board, stored) = game.ask(pipeline, no).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    assert_eq!(stored as i64, board.answered, "question {no}: stored what was judged");
    board.answered
}

async fn finish(mut game: Game, pipeline: Pipeline, guard: Guard, seed: u64, victim: &str, question_s: f64) {
    let over = game.end().await.unwrap_or_else(|failure| panic!("{}", failure.message));
    let proof = game.prove(&pipeline, &over).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    let total = proof.ledger.total();
    println!(
        "seed={seed} fault=kill-{victim} question_s={question_s:.1} sent={} acked={} scored={} stored={} late={} lost={} duplicates={}",
        total.sent, total.acked, total.scored, total.stored, total.late, total.lost, total.duplicates
    );
    assert_eq!(total.sent, u64::from(PLAYERS) * QUESTIONS as u64, "every bot answered every question");
    assert_eq!(total.acked, total.sent, "every answer was acknowledged");
    assert!(proof.holds(), "{:?}", proof.ledger);
    drop(pipeline);
    guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_scoring_workers_is_killed() {
    play_through_a_kill(Cluster { edges: 1, scoring: 2, boards: 1 }, "scoring-1", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_scoring_worker_is_killed_and_started_again() {
    play_through_a_kill(Cluster { edges: 1, scoring: 1, boards: 1 }, "scoring-1", Some(("scoring", 1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_session_worker_is_killed_and_started_again() {
    play_through_a_kill(Cluster { edges: 1, scoring: 1, boards: 1 }, "sessions-1", Some(("sessions", 1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_board_projection_is_killed_and_started_again() {
    play_through_a_kill(Cluster { edges: 2, scoring: 1, boards: 1 }, "board-1", Some(("board", 1))).await;
}
