//! Sockets that say whatever a test wants, and write down what they did as `docs/LOADLOG.md` says.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

/// How long a message may take to come.
const WAIT: Duration = Duration::from_secs(30);

/// Messages that wait for a test to look at them.
const INBOX: usize = 10_000;

/// A socket that speaks JSON. What comes is read as it comes, whether the test looks or not: an edge sends
/// a client away that does not read.
pub struct Raw {
    out: SplitSink<WebSocketStream<TcpStream>, Message>,
    inbox: mpsc::Receiver<Value>,
    reads: JoinHandle<()>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.reads.abort();
    }
}

impl Raw {
    /// Opens one.
    pub async fn open(edge: SocketAddr) -> Self {
        Self::with(edge, TcpSocket::new_v4().expect("a socket"), &[]).await.expect("the edge answers")
    }

    /// Opens one on a socket that was prepared, with more headers. None when the edge refuses it.
    pub async fn with(edge: SocketAddr, socket: TcpSocket, headers: &[(&'static str, &str)]) -> Option<Self> {
        let stream = timeout(WAIT, socket.connect(edge)).await.ok()?.ok()?;
        let mut request = format!("ws://{edge}/v1/ws").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "quiz.v1.json".parse().expect("a value"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a value"));
        }
        let (socket, _) = timeout(WAIT, client_async(request, stream)).await.ok()?.ok()?;
        let (out, mut from) = socket.split();
        let (told, inbox) = mpsc::channel(INBOX);
        let reads = tokio::spawn(async move {
            while let Some(Ok(message)) = from.next().await {
                match message {
                    Message::Text(text) => {
                        let value = serde_json::from_str(&text).expect("JSON");
                        if told.send(value).await.is_err() {
                            return;
                        }
                    }
                    Message::Close(_) => return,
                    _ => {}
                }
            }
        });
        Some(Self { out, inbox, reads })
    }

    /// Reads nothing from now on, and keeps the connection.
    pub fn deafen(&mut self) {
        self.reads.abort();
    }

    /// Sends a message.
    pub async fn send(&mut self, value: Value) {
        assert!(self.send_quietly(value).await, "the socket is open");
    }

    /// Sends a message if the socket takes it; whether it did.
    pub async fn send_quietly(&mut self, value: Value) -> bool {
        self.out.send(Message::text(value.to_string())).await.is_ok()
    }

    /// The next message, or None when the socket is closed.
    pub async fn any(&mut self) -> Option<Value> {
        self.inbox.recv().await
    }

    /// The next message of one of these types.
    pub async fn next(&mut self, types: &[&str]) -> Value {
        let found = timeout(WAIT, async {
            loop {
                let value = self.any().await.unwrap_or_else(|| panic!("closed before one of {types:?}"));
                if types.contains(&value["type"].as_str().expect("a type")) {
                    return value;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("none of {types:?} came"))
    }

    /// Joins a game.
    pub async fn join(&mut self, pin: &str, nickname: &str) -> Value {
        self.send(json!({ "type": "join", "pin": pin, "nickname": nickname })).await;
        let joined = self.next(&["joined", "error"]).await;
        assert_eq!(joined["type"], "joined", "{joined}");
        joined
    }
}

/// A quiz of single-choice questions: four options, the second is right.
pub fn quiz(questions: usize, limit_ms: i32) -> Quiz {
    let question = |no: usize| Question {
        kind: QuestionKind::Single,
        prompt: format!("Question {no}?"),
        options: (0..4).map(|option| format!("option {option}")).collect(),
        key: AnswerKey::Single { options: 4, correct: Picks::one(1) },
        points_max: 1000,
        limit_ms,
        explanation: None,
    };
    let questions = (0..questions).map(question).collect();
    Quiz { id: "raw".into(), version: 1, title: "Raw".into(), questions }
}

/// A game with its host's socket.
pub struct Table {
    /// Its id.
    pub game: String,
    /// Its PIN.
    pub pin: String,
    /// The host.
    pub host: Raw,
}

impl Table {
    /// Creates a game at an edge and sits down as its host.
    pub async fn create(edge: SocketAddr, quiz: &Quiz) -> Self {
        let url = format!("http://{edge}/v1/games");
        let answered = reqwest::Client::new().post(url).json(&json!({ "quiz": quiz })).send().await;
        let created: Value = answered.expect("the edge answers").json().await.expect("JSON");
        let text = |name: &str| created[name].as_str().unwrap_or_else(|| panic!("{created}")).to_string();
        let mut host = Raw::open(edge).await;
        host.send(json!({ "type": "host", "token": text("host_token") })).await;
        let hosting = host.next(&["hosting", "error"]).await;
        assert_eq!(hosting["type"], "hosting", "{hosting}");
        Self { game: text("game"), pin: text("pin"), host }
    }

    /// Gives a command and waits until it is taken.
    pub async fn order(&mut self, what: &str, question: Option<usize>) {
        self.host
            .send(json!({ "type": "command", "id": format!("{what} {question:?}"), "do": what, "question": question }))
            .await;
        let done = self.host.next(&["done", "error"]).await;
        assert_eq!(done["type"], "done", "{done}");
    }

    /// Waits for the board of a question.
    pub async fn board(&mut self, question: usize) -> Value {
        loop {
            let board = self.host.next(&["board"]).await;
            if board["question"] == question {
                return board;
            }
        }
    }
}

/// A record of what a test's own sockets did, for the checker.
pub struct Record(Mutex<File>);

impl Record {
    /// Begins one in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self(Mutex::new(File::create(folder.join("client-0.jsonl")).expect("a log file")))
    }

    /// Writes a line.
    pub fn line(&self, event: &str, game: &str, player: Option<&str>, fields: Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64;
        let mut line = json!({ "event": event, "ts_us": now, "mono_us": now, "game": game, "player": player });
        for (name, value) in fields.as_object().expect("an object") {
            line[name] = value.clone();
        }
        let mut file = self.0.lock().expect("no panic under it");
        writeln!(file, "{line}").expect("a writable log");
    }
}
