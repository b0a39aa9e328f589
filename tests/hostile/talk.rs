//! Well-behaved clients: a host and a player whose game goes on whatever happens beside them.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::stage::create;
pub use super::talker::{Talker, WAIT};

/// A quiz of single-choice questions, right is the second option.
pub fn quiz(questions: usize) -> Value {
    let question = |no: usize| json!({ "type": "single", "prompt": format!("Question {no}?"), "options": ["a", "b", "c"], "answer": "b", "seconds": 60 });
    json!({ "title": "Beside", "questions": (0..questions).map(question).collect::<Vec<_>>() })
}

/// A game with a host and one player.
pub struct Room {
    /// `game`, `pin`, `host_token`.
    pub created: Value,
    /// What the player was told when let in.
    pub joined: Value,
    /// The host.
    pub host: Talker,
    /// The player.
    pub ada: Talker,
    next: u16,
}

impl Room {
    /// Creates a game of so many questions; its host and its player come in.
    pub async fn open(edge: SocketAddr, questions: usize) -> Self {
        Self::of(edge, &quiz(questions)).await
    }

    /// Creates a game of this quiz; its host and its player come in.
    pub async fn of(edge: SocketAddr, quiz: &Value) -> Self {
        let (status, created) = create(edge, &json!({ "quiz": quiz })).await;
        assert_eq!(status, 201, "{created}");
        let mut host = Talker::open(edge).await;
        let hosting = host.ask(&json!({ "type": "host", "token": created["host_token"] }), "hosting").await;
        assert_eq!(hosting["type"], "hosting", "{hosting}");
        let (ada, joined) = Talker::join(edge, created["pin"].as_str().expect("a PIN"), "Ada").await;
        Self { created, joined, host, ada, next: 0 }
    }

    /// The PIN.
    pub fn pin(&self) -> &str {
        self.created["pin"].as_str().expect("a PIN")
    }

    /// Opens the next question and waits until it is before the player.
    pub async fn ask(&mut self) -> u16 {
        let question = self.next;
        self.next += 1;
        let id = format!("open {question}");
        let open = json!({ "type": "command", "id": id, "do": "open", "question": question });
        let done = self.host.ask(&open, "done").await;
        assert_eq!(done["type"], "done", "{done}");
        self.ada.next(&["question"]).await;
        question
    }

    /// The player answers `question`; how long the acknowledgement took.
    pub async fn answer(&mut self, question: u16) -> Duration {
        let sent = Instant::now();
        let submission = format!("{:013}", u32::from(question) + 1);
        let answer = json!({ "type": "answer", "question": question, "submission": submission, "picks": [1] });
        let ack = self.ada.ask(&answer, "ack").await;
        assert_eq!(ack["type"], "ack", "{ack}");
        sent.elapsed()
    }

    /// Waits for the board of the open question, which says that the answer counted.
    pub async fn board(&mut self) -> Value {
        let board = self.ada.next(&["board"]).await;
        self.host.next(&["board"]).await;
        assert_eq!(board["correct_count"], 1, "{board}");
        board
    }
}
