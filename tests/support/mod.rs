//! What the tests on real servers share. Without the servers they fail: `scripts/test` starts them.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;

use quiz_ingest::limits::LANE_PLAYERS_MAX;
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz};
use quizstream::cli::DemoArgs;
use quizstream::demo::game::{Cast, Game};
use quizstream::demo::stage::{self, Guard, Pipeline};

/// A server's address from the environment.
///
/// # Panics
/// When it is missing: a test on real servers has no meaning without them.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: start the servers with `scripts/stack up` and `eval \"$(scripts/stack env)\"`")
    })
}

/// Lanes of a test's game: more than one, so that every worker of a group has some.
const LANES: u32 = 8;

/// How many of each role.
#[derive(Clone, Copy)]
pub struct Cluster {
    pub edges: u16,
    pub scoring: u16,
    pub boards: u16,
}

/// Arguments of a demo on the real servers.
pub fn on_servers(cluster: Cluster) -> DemoArgs {
    DemoArgs {
        quiz: None,
        players: 1,
        questions: None,
        seed: 1,
        listen: "127.0.0.1:0".parse().expect("an address"),
        keep: false,
        brokers: Some(server("QUIZ_KAFKA__BOOTSTRAP_SERVERS")),
        mongo: Some(server("QUIZ_MONGO__URI")),
        registry: Some(server("QUIZ_REGISTRY__URL")),
        edges: cluster.edges,
        scoring: cluster.scoring,
        boards: cluster.boards,
        json: true,
    }
}

/// The whole pipeline on the real servers, each role a process.
pub async fn pipeline(cluster: Cluster) -> (Pipeline, Guard) {
    stage::up(&on_servers(cluster), Path::new(env!("CARGO_BIN_EXE_quizstream")))
        .await
        .unwrap_or_else(|failure| panic!("{}", failure.message))
}

/// A quiz of `questions` questions of several kinds.
pub fn quiz(questions: usize, limit_ms: i32) -> Arc<Quiz> {
    let picks = |items: &[u8]| Picks::new(items).expect("few picks");
    let question = |no: usize| {
        let (kind, key, options) = match no % 4 {
            0 => (QuestionKind::Single, AnswerKey::Single { options: 4, correct: picks(&[1]) }, 4),
            1 => (QuestionKind::Multiple, AnswerKey::Multiple { options: 4, correct: picks(&[0, 2]) }, 4),
            2 => (QuestionKind::Number, AnswerKey::Number { value: 42.0, tolerance: 2.0 }, 0),
            _ => (QuestionKind::Order, AnswerKey::Order { correct: picks(&[2, 0, 1]) }, 3),
        };
        Question {
            kind,
            prompt: format!("Question {no}?"),
            options: (0..options).map(|option| format!("option {option}")).collect(),
            key,
            points_max: 1000,
            limit_ms,
            explanation: None,
        }
    };
    Arc::new(Quiz {
        id: "test".into(),
        version: 1,
        title: "A test".into(),
        questions: (0..questions).map(question).collect(),
    })
}

/// A game of `players` bots that have all joined.
pub async fn game(pipeline: &Pipeline, quiz: Arc<Quiz>, players: u32, seed: u64) -> Game {
    let cast = Cast { quiz, players, capacity: LANES * LANE_PLAYERS_MAX as u32, seed };
    let mut game = Game::create(pipeline, cast).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    game.join().await.unwrap_or_else(|failure| panic!("{}", failure.message));
    game
}
