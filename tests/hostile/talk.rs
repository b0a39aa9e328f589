//! Well-behaved clients: a host and a player whose game goes on whatever happens beside them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::stage::create;

/// How long an answer may take where it is not measured.
pub const WAIT: Duration = Duration::from_secs(15);

/// A socket that speaks `quiz.v1.json` and keeps all that it hears.
pub struct Talker {
    socket: WebSocketStream<TcpStream>,
    /// Every text frame, as it came.
    pub heard: Vec<String>,
}

impl Talker {
    /// Opens a socket.
    pub async fn open(edge: SocketAddr) -> Self {
        Self::open_from(edge, Ipv4Addr::LOCALHOST.into()).await
    }

    /// Opens a socket from an address of this machine.
    pub async fn open_from(edge: SocketAddr, source: IpAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(source, 0)).expect("the address is of this machine");
        let stream = socket.connect(edge).await.expect("the edge listens");
        let mut request = format!("ws://{edge}/v1/ws").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "quiz.v1.json".parse().expect("a value"));
        let (socket, _) = client_async(request, stream).await.expect("the edge upgrades");
        Self { socket, heard: Vec::new() }
    }

    /// Opens a socket and joins.
    pub async fn join(edge: SocketAddr, pin: &str, nickname: &str) -> (Self, Value) {
        let mut talker = Self::open(edge).await;
        talker.send(&json!({ "type": "join", "pin": pin, "nickname": nickname })).await;
        let joined = talker.next(&["joined", "error"]).await;
        assert_eq!(joined["type"], "joined", "{joined}");
        (talker, joined)
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Value) {
        self.say(&message.to_string()).await;
    }

    /// Sends a text.
    pub async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("the socket is open");
    }

    /// The next message of one of these types.
    pub async fn next(&mut self, types: &[&str]) -> Value {
        let found = timeout(WAIT, async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        self.heard.push(text.to_string());
                        let value: Value = serde_json::from_str(&text).expect("JSON");
                        if types.contains(&value["type"].as_str().expect("a type")) {
                            return value;
                        }
                    }
                    Some(Ok(Message::Close(frame))) => panic!("closed: {frame:?}"),
                    Some(Ok(_)) => {}
                    other => panic!("the socket broke: {other:?}"),
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("none of {types:?} came"))
    }

    /// The code of the error that a message earns.
    pub async fn refused(&mut self, message: &Value) -> String {
        self.send(message).await;
        self.next(&["error"]).await["code"].as_str().expect("a code").to_string()
    }

    /// The close code that ends the socket.
    pub async fn closed(mut self) -> u16 {
        let code = timeout(WAIT, async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                    Some(Ok(_)) => {}
                    other => panic!("the socket ended without a close frame: {other:?}"),
                }
            }
        });
        code.await.expect("it was closed")
    }
}

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
        host.send(&json!({ "type": "host", "token": created["host_token"] })).await;
        host.next(&["hosting"]).await;
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
        self.host.send(&json!({ "type": "command", "id": id, "do": "open", "question": question })).await;
        self.ada.next(&["question"]).await;
        question
    }

    /// The player answers `question`; how long the acknowledgement took.
    pub async fn answer(&mut self, question: u16) -> Duration {
        let sent = Instant::now();
        let submission = format!("{:013}", u32::from(question) + 1);
        self.ada.send(&json!({ "type": "answer", "question": question, "submission": submission, "picks": [1] })).await;
        let ack = self.ada.next(&["ack", "error"]).await;
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
