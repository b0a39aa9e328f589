//! Goal: every hop of an answer of a game that was played is in the records, in the order in which it happened, and
//! the hops add up to the whole. Method: real Kafka and MongoDB, since only a real broker stamps records itself;
//! every role a process, so the command reads what other processes wrote. All clocks are this machine's: a hop may be
//! below 0 by the millisecond that the broker cuts off, and by no more.

use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quiz_schemas::{GameId, PlayerId, QuestionNo};
use quiz_stream::KafkaConfig;
use quiz_stream::topics::{self, ApplyOptions};
use serde_json::Value;
use tokio::time::Instant;

mod support;
use support::Cluster;

const PLAYERS: u32 = 24;
const QUESTIONS: usize = 2;
const SEED: u64 = 29;
/// Edges tell a second after the board when it was written; a store's announcement may take longer.
const TOLD_WAIT: Duration = Duration::from_secs(30);
/// What the broker cuts off its stamps, µs.
const CUT_US: i64 = 1_000;

/// What the command says; in a thread of its own, for it runs as long as it likes.
async fn trace(arguments: Vec<String>) -> Output {
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quizstream"));
        command.args(["admin", "trace"]).args(arguments).output().expect("the binary runs")
    };
    tokio::task::spawn_blocking(run).await.expect("it ends")
}

/// The trace of an answer, when every hop is known.
async fn whole(game: GameId, player: PlayerId, question: QuestionNo) -> Value {
    let deadline = Instant::now() + TOLD_WAIT;
    loop {
        let arguments = [game.to_string(), player.to_string(), question.to_string(), "--json".to_string()];
        let output = trace(arguments.to_vec()).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.code() == Some(0) {
            return serde_json::from_str(&said).expect("JSON");
        }
        assert_eq!(output.status.code(), Some(4), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(Instant::now() < deadline, "hops are missing: {said}");
    }
}

/// How the hops spread, when every hop of every answer is known: edges tell for themselves.
async fn spread(game: GameId) -> Value {
    let deadline = Instant::now() + TOLD_WAIT;
    loop {
        let output = trace(vec![game.to_string(), "--json".into()]).await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let spread: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let answers = u64::from(PLAYERS) * QUESTIONS as u64;
        assert_eq!(spread["answers"], answers, "{spread:#}");
        if spread["complete"] == answers {
            return spread;
        }
        assert!(Instant::now() < deadline, "hops are missing: {spread:#}");
    }
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// Every hop is there, none before the one before it, and they add up.
fn judge(trace: &Value, began_us: i64) {
    let steps = trace["steps"].as_array().expect("steps");
    let hops: Vec<&str> = steps.iter().map(|step| step["hop"].as_str().expect("a name")).collect();
    assert_eq!(hops, ["edge_in", "appended", "closed", "scored", "stored", "board", "result", "edge_out"]);
    let mut sum_us = 0;
    for step in &steps[1..] {
        assert!(number(&step["since_us"]) >= -CUT_US, "{trace:#}");
        if step["part"] != "branch" {
            sum_us += number(&step["since_us"]);
        }
    }
    let (first_us, last_us) = (number(&steps[0]["at_us"]), number(&steps[7]["at_us"]));
    assert!(began_us <= first_us && last_us <= now_us(), "{trace:#}");
    assert_eq!(sum_us, last_us - first_us, "the hops add up to what the edges' clocks say: {trace:#}");
    assert_eq!(sum_us, number(&trace["whole_us"]));
    assert_eq!(sum_us, number(&trace["open_us"]) + number(&trace["latency_us"]));
    let told = &trace["delivered"];
    assert!(number(&told["sockets"]) >= 1 && number(&told["first_us"]) <= number(&told["last_us"]), "{trace:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hop_of_an_answer_is_in_the_records() {
    let began_us = now_us();
    let (pipeline, guard) = support::pipeline(Cluster { edges: 2, scoring: 1, boards: 1 }).await;
    let mut game = support::game(&pipeline, support::quiz(QUESTIONS, 6_000), PLAYERS, SEED).await;
    for no in 0..QUESTIONS as QuestionNo {
        game.ask(&pipeline, no).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    }
    let id = game.created().game;
    let acked = game.tally().question(1, |seen| seen.acked.clone());
    for (player, acked) in acked.iter().take(3) {
        let trace = whole(id, *player, 1).await;
        judge(&trace, began_us);
        assert_eq!(trace["submission"], acked.submission.to_string());
    }

    let (player, _) = acked.first_key_value().expect("somebody answered");
    let output = trace(vec![id.to_string(), player.to_string(), "1".into()]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("edge-out") && text.contains("while the question was open"), "{text}");

    let spread = spread(id).await;
    for hop in spread["hops"].as_array().expect("hops") {
        let [p50, p99, max] = ["p50_us", "p99_us", "max_us"].map(|of| number(&hop[of]));
        assert!(-CUT_US <= p50 && p50 <= p99 && p99 <= max, "{spread:#}");
    }
    let table = trace(vec![id.to_string()]).await;
    println!("seed={SEED}\n{text}\n{}", String::from_utf8_lossy(&table.stdout));

    let nobody = trace(vec![id.to_string(), PlayerId::from_bits(1).to_string(), "1".into()]).await;
    assert_eq!(nobody.status.code(), Some(3), "{}", String::from_utf8_lossy(&nobody.stderr));
    game.end().await.unwrap_or_else(|failure| panic!("{}", failure.message));
    drop(pipeline);
    guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_nobody_knows_is_exit_code_3() {
    let kafka = KafkaConfig::new(support::server("QUIZ_KAFKA__BOOTSTRAP_SERVERS"), "test-trace");
    topics::apply(&kafka, &ApplyOptions::default()).await.expect("there are topics to look in");
    let output = trace(vec![GameId::from_bits(7).to_string()]).await;
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}
