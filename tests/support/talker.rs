//! A client that says what it is told to, word by word, for tests of what an edge answers.
#![allow(dead_code)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

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
        let joined = talker.ask(&json!({ "type": "join", "pin": pin, "nickname": nickname }), "joined").await;
        assert_eq!(joined["type"], "joined", "{joined}");
        (talker, joined)
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Value) {
        self.say(&message.to_string()).await;
    }

    /// Sends a text.
    pub async fn say(&mut self, text: &str) {
        self.put(Message::text(text)).await;
    }

    /// Sends a frame of any kind.
    pub async fn put(&mut self, frame: Message) {
        self.socket.send(frame).await.expect("the socket is open");
    }

    /// Sends a message, again as often as the edge says that it was not recorded; the answer of this type, or
    /// the error. A group whose members were killed by another test takes some seconds to come back.
    pub async fn ask(&mut self, message: &Value, answer: &str) -> Value {
        let deadline = Instant::now() + WAIT;
        loop {
            self.send(message).await;
            let answer = self.next(&[answer, "error"]).await;
            if answer["code"] != "unavailable" || Instant::now() > deadline {
                return answer;
            }
            sleep(Duration::from_millis(answer["retry_after_ms"].as_u64().expect("when to come back"))).await;
        }
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
