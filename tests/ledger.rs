//! Goal: the product's own books of a game that was played balance; and the control: an answer that is
//! taken out of the store by hand is found, by its id, in the books, in the metric and by the command.
//! Method: real Kafka and MongoDB, every role a process, bots over real sockets. The ledger is killed
//! and started again while it still holds the game, so that it counts the store anew.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::Duration;

use quiz_ingest::http::GameLedger;
use quiz_schemas::events::{Imbalance, LedgerState, Suspect};
use quiz_schemas::{GameId, LaneKey, LaneNo, PlayerId, QuestionNo};
use quiz_store::mongo::filter;
use quizstream::demo::game::Game;
use quizstream::demo::stage::Pipeline;
use tokio::time::Instant;

mod support;
use support::Cluster;

const PLAYERS: u32 = 40;
const QUESTIONS: usize = 2;
const SEED: u64 = 23;
/// A member that was killed holds its partitions until its session times out, 10 s; then the
/// ledger reads the game again and lets 3 s pass before it compares.
const BOOKS_WAIT: Duration = Duration::from_secs(60);
const DATABASE: &str = "quizstream";

/// The game's books, when they are as they should be.
async fn books(pipeline: &Pipeline, game: GameId, wanted: impl Fn(&GameLedger) -> bool) -> GameLedger {
    let deadline = Instant::now() + BOOKS_WAIT;
    loop {
        let docs = pipeline.store.ledgers(game).await.expect("the store answers");
        let ledger = GameLedger::of(game, docs);
        if wanted(&ledger) {
            return ledger;
        }
        assert!(Instant::now() < deadline, "the books did not become what they should be: {ledger:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn ask(game: &mut Game, pipeline: &Pipeline, no: QuestionNo) {
    let (board, stored) = game.ask(pipeline, no).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    assert_eq!(stored as i64, board.answered, "question {no}: stored what was judged");
}

/// What the command says; in a thread of its own, for it runs as long as it likes.
async fn command(game: GameId, json: bool) -> Output {
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quizstream"));
        command.args(["admin", "ledger", &game.to_string()]);
        if json {
            command.arg("--json");
        }
        command.output().expect("the binary runs")
    };
    tokio::task::spawn_blocking(run).await.expect("it ends")
}

async fn host_asks(edge: SocketAddr, game: GameId, token: &str) -> GameLedger {
    let url = format!("http://{edge}/v1/games/{game}/ledger");
    let response = reqwest::Client::new().get(url).bearer_auth(token).send().await.expect("the edge answers");
    assert_eq!(response.status(), 200);
    response.json().await.expect("books")
}

/// Takes the player's stored answer away.
async fn delete(lane: LaneKey, question: QuestionNo, player: PlayerId) {
    let client = mongodb::Client::with_uri_str(support::server("QUIZ_MONGO__URI")).await.expect("MongoDB answers");
    let answers = client.database(DATABASE).collection::<mongodb::bson::Document>("answers");
    let deleted = answers.delete_one(filter::answer(lane, question, player)).await.expect("MongoDB deletes");
    assert_eq!(deleted.deleted_count, 1, "the answer was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_played_game_balances_and_an_answer_taken_away_is_found() {
    let (pipeline, mut guard) = support::pipeline(Cluster { edges: 2, scoring: 2, boards: 1 }).await;
    let mut game = support::game(&pipeline, support::quiz(QUESTIONS, 6_000), PLAYERS, SEED).await;
    for no in 0..QUESTIONS as QuestionNo {
        ask(&mut game, &pipeline, no).await;
    }
    let created = game.created().clone();
    let id = created.game;
    let lanes = game.lane_keys().len() as LaneNo;

    let balanced = |ledger: &GameLedger| ledger.questions.len() == QUESTIONS && ledger.state == LedgerState::Balanced;
    let ledger = books(&pipeline, id, balanced).await;
    for question in &ledger.questions {
        let (no, books) = (question.question, &question.ledger);
        let acked = game.tally().question(no, |seen| seen.acked.len()) as i64;
        assert_eq!(acked, i64::from(PLAYERS), "question {no}: every bot saw its ack");
        assert_eq!(books.edges.acked, acked, "question {no}");
        assert_eq!(
            (books.lanes.logged, books.lanes.scored, books.lanes.stored),
            (acked, acked, acked),
            "question {no}"
        );
        assert_eq!((books.edges.silent, books.suspects.len()), (0, 0), "question {no}");
    }
    let output = command(id, true).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(serde_json::from_slice::<GameLedger>(&output.stdout).expect("JSON"), ledger);
    assert_eq!(host_asks(pipeline.edges[0], id, &created.host_token).await, ledger);

    // The control: one answer of the first question is gone, and the ledger counts anew.
    let (player, submission) = game.tally().question(0, |seen| {
        let (player, acked) = seen.acked.first_key_value().expect("somebody answered");
        (*player, acked.submission)
    });
    let processes = guard.processes().expect("the roles are processes");
    processes.kill("ledger-1").await.unwrap_or_else(|failure| panic!("{}", failure.message));
    delete(LaneKey::of(id, player, lanes), 0, player).await;
    let admin = processes.role("ledger", 2, None).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    let imbalanced = |ledger: &GameLedger| {
        ledger.state == LedgerState::Imbalanced && ledger.questions[1].ledger.state == LedgerState::Balanced
    };
    let ledger = books(&pipeline, id, imbalanced).await;
    let first = &ledger.questions[0].ledger;
    assert_eq!(first.suspects, [Suspect { submission, kind: Imbalance::Unstored }]);
    assert_eq!((first.lost, first.unstored, first.phantom), (0, 1, 0));
    assert_eq!(first.lanes.stored, i64::from(PLAYERS) - 1);

    let output = command(id, false).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains(&format!("{submission} is unstored")), "{text}");
    let metrics = reqwest::get(format!("http://{admin}/metrics")).await.expect("its admin port answers");
    let metrics = metrics.text().await.expect("a page");
    let alerts: BTreeSet<&str> =
        metrics.lines().filter(|line| line.starts_with("quiz_ledger_imbalances_total")).collect();
    assert_eq!(alerts, BTreeSet::from(["quiz_ledger_imbalances_total{kind=\"unstored\"} 1"]), "{metrics}");
    println!("seed={SEED} game={id} deleted={submission} found={:?}", first.suspects);

    game.end().await.unwrap_or_else(|failure| panic!("{}", failure.message));
    drop(pipeline);
    guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_nobody_knows_is_exit_code_3() {
    let output = command(GameId::from_bits(7), false).await;
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}
