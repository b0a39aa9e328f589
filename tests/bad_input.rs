//! Goal: whatever a client sends, it gets an error with a code, the socket closes only where the
//! protocol says so, and nobody else notices. Method: the whole pipeline on real servers; raw
//! frames on real sockets beside a player who plays on; at the end her answer is the one that counts.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

mod support;
use support::Cluster;

const WAIT: Duration = Duration::from_secs(15);

struct Raw(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Raw {
    async fn open(edge: SocketAddr) -> Self {
        let mut request = format!("ws://{edge}/v1/ws").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "quiz.v1.json".parse().expect("a value"));
        Self(connect_async(request).await.expect("the edge answers").0)
    }

    async fn say(&mut self, message: Message) {
        self.0.send(message).await.expect("the socket is open");
    }

    async fn send(&mut self, value: Value) {
        self.say(Message::text(value.to_string())).await;
    }

    /// The next message of one of these types.
    async fn next(&mut self, types: &[&str]) -> Value {
        let found = timeout(WAIT, async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => {
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

    async fn error(&mut self, value: Value) -> Value {
        self.send(value).await;
        self.next(&["error"]).await
    }

    async fn code(&mut self, value: Value) -> String {
        self.error(value).await["code"].as_str().expect("a code").to_string()
    }

    /// The close code that ends the socket.
    async fn closed(mut self) -> u16 {
        let code = timeout(WAIT, async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                    Some(Ok(_)) => {}
                    other => panic!("the socket ended without a close frame: {other:?}"),
                }
            }
        });
        code.await.expect("it was closed")
    }

    async fn joined(edge: SocketAddr, pin: &str, nickname: &str) -> (Self, Value) {
        let mut socket = Self::open(edge).await;
        socket.send(json!({ "type": "join", "pin": pin, "nickname": nickname })).await;
        let joined = socket.next(&["joined", "error"]).await;
        assert_eq!(joined["type"], "joined", "{joined}");
        (socket, joined)
    }
}

async fn create(edge: SocketAddr) -> Value {
    let quiz = support::quiz(2, 20_000);
    let response =
        reqwest::Client::new().post(format!("http://{edge}/v1/games")).json(&json!({ "quiz": *quiz })).send();
    let response = response.await.expect("the edge answers");
    assert_eq!(response.status(), 201);
    response.json().await.expect("JSON")
}

fn answer(question: u16, submission: &str, picks: &[u8]) -> Value {
    json!({ "type": "answer", "question": question, "submission": submission, "picks": picks })
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_and_harms_nobody() {
    let (pipeline, guard) = support::pipeline(Cluster { edges: 1, scoring: 1, boards: 1 }).await;
    let edge = pipeline.edges[0];
    let game = create(edge).await;
    let pin = game["pin"].as_str().expect("a PIN").to_string();
    let (mut ada, joined) = Raw::joined(edge, &pin, "Ada").await;
    let mut host = Raw::open(edge).await;
    host.send(json!({ "type": "host", "token": game["host_token"] })).await;
    host.next(&["hosting"]).await;

    strangers(edge, &pin).await;
    tokens(edge, &game, &joined).await;
    frames(edge).await;
    http(edge).await;
    commands(&mut host, &mut ada).await;

    // Ada plays on: a misfit, then her answer, then a second one that changes nothing.
    host.send(json!({ "type": "command", "id": "1", "do": "open", "question": 0 })).await;
    ada.next(&["question"]).await;
    assert_eq!(ada.code(answer(1, "0000000000001", &[1])).await, "question_unknown");
    assert_eq!(ada.code(answer(0, "0000000000002", &[9])).await, "response_misfit");
    ada.send(answer(0, "0000000000003", &[1])).await;
    let ack = ada.next(&["ack", "error"]).await;
    assert_eq!(ack["type"], "ack", "{ack}");
    ada.send(answer(0, "0000000000003", &[1])).await;
    // The question may have closed meanwhile, for all have answered.
    let again = ada.next(&["ack", "error"]).await;
    if again["type"] == "ack" {
        assert_eq!(again["receipt"], ack["receipt"], "a resend has the same receipt");
    } else {
        assert_eq!(again["code"], "question_closed");
    }
    let board = ada.next(&["board"]).await;
    assert_eq!((board["answered"].as_i64(), board["correct_count"].as_i64()), (Some(1), Some(1)), "{board}");
    assert_eq!(ada.code(answer(0, "0000000000004", &[1])).await, "question_closed");
    host.send(json!({ "type": "command", "id": "2", "do": "end" })).await;
    let over = ada.next(&["over"]).await;
    assert_eq!(over["top"][0]["nickname"], "Ada");
    assert_eq!(over["players"], 1, "nobody else is in the game");
    drop(pipeline);
    guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
}

/// Who is not in the game.
async fn strangers(edge: SocketAddr, pin: &str) {
    let mut socket = Raw::open(edge).await;
    assert_eq!(socket.code(answer(0, "0000000000001", &[1])).await, "not_joined");
    let wrong = if pin == "000000" { "000001" } else { "000000" };
    assert_eq!(socket.code(json!({ "type": "join", "pin": wrong, "nickname": "Bob" })).await, "pin_not_found");
    assert_eq!(socket.code(json!({ "type": "join", "pin": pin, "nickname": "   " })).await, "nickname_invalid");
    assert_eq!(socket.code(json!({ "type": "join", "pin": pin, "nickname": "ADA" })).await, "nickname_taken");
    assert_eq!(socket.code(json!({ "type": "command", "id": "x", "do": "open" })).await, "not_joined");
    for (text, code) in [
        ("not json", "bad_frame"),
        ("{}", "bad_frame"),
        (r#"{"type":"dance"}"#, "unknown_type"),
        (r#"{"type":"join","pin":123456}"#, "bad_field"),
    ] {
        socket.say(Message::text(text)).await;
        assert_eq!(socket.next(&["error"]).await["code"], code, "{text}");
    }
    socket.send(json!({ "type": "ping" })).await;
    socket.next(&["pong"]).await;
}

async fn tokens(edge: SocketAddr, game: &Value, joined: &Value) {
    let token = joined["token"].as_str().expect("a token");
    let mut forged = token.to_string();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    let none = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiaG9zdCJ9.";
    let host_token = game["host_token"].as_str().expect("a token");
    // Forged, unsigned, rubbish, a host's for a player.
    for (kind, token) in [("resume", forged.as_str()), ("resume", none), ("host", "rubbish"), ("resume", host_token)] {
        let mut socket = Raw::open(edge).await;
        socket.send(json!({ "type": kind, "token": token })).await;
        assert_eq!(socket.next(&["error"]).await["code"], "token_invalid", "{kind}");
        assert_eq!(socket.closed().await, 3500);
    }
    // A player's own good token does not make a host, and costs nothing.
    let mut socket = Raw::open(edge).await;
    assert_eq!(socket.code(json!({ "type": "host", "token": token })).await, "not_host");
    socket.send(json!({ "type": "ping" })).await;
    socket.next(&["pong"]).await;
}

async fn frames(edge: SocketAddr) {
    let mut socket = Raw::open(edge).await;
    socket.say(Message::text("x".repeat(20_000))).await;
    assert_eq!(socket.closed().await, 1009, "an oversize frame");
    let mut socket = Raw::open(edge).await;
    socket.say(Message::Binary(Bytes::from_static(&[1, 2, 3]))).await;
    assert_eq!(socket.closed().await, 1003, "a binary frame");
    let mut socket = Raw::open(edge).await;
    for _ in 0..20 {
        socket.say(Message::text("nonsense")).await;
    }
    assert_eq!(socket.closed().await, 3501, "nothing but bad frames");
}

async fn http(edge: SocketAddr) {
    let client = reqwest::Client::new();
    let post = |body: &'static str| {
        client.post(format!("http://{edge}/v1/games")).header("content-type", "application/json").body(body)
    };
    for body in ["", "not json", "{}", r#"{"quiz":{"id":"x","version":1,"title":"t","questions":[]}}"#] {
        let response = post(body).send().await.expect("the edge answers");
        assert!(response.status().is_client_error(), "{body}: {}", response.status());
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{body}");
        let problem: Value = response.json().await.expect("JSON");
        assert!(problem["code"].is_string(), "{body}: {problem}");
    }
    let plain = client.get(format!("http://{edge}/v1/ws")).send().await.expect("the edge answers");
    assert!(plain.status().is_client_error(), "an upgrade without its headers: {}", plain.status());
}

async fn commands(host: &mut Raw, ada: &mut Raw) {
    assert_eq!(ada.code(json!({ "type": "command", "id": "x", "do": "end" })).await, "not_host");
    assert_eq!(host.code(json!({ "type": "command", "id": "y", "do": "dance" })).await, "bad_field");
    assert_eq!(host.code(json!({ "type": "join", "pin": "123456", "nickname": "x" })).await, "already_joined");
    // Carried to the session worker, which refuses them.
    for (id, command) in [("a", json!({ "do": "close" })), ("b", json!({ "do": "open", "question": 7 }))] {
        let mut message = command;
        message["type"] = json!("command");
        message["id"] = json!(id);
        host.send(message).await;
        let refused = host.next(&["error"]).await;
        assert_eq!(refused["code"], "command_refused", "{refused}");
        assert!(refused["reason"].is_string(), "{refused}");
    }
}
