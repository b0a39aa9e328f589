//! Goal: whatever a client sends, it gets an error with a code, the socket closes only where the
//! protocol says so, and nobody else notices. Method: the whole pipeline on real servers; raw
//! frames on real sockets beside a player who plays on; at the end her answer is the one that counts.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Bytes, Message};

mod support;
#[path = "support/talker.rs"]
mod talker;
use support::Cluster;
use talker::Talker;

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
    let (mut ada, joined) = Talker::join(edge, &pin, "Ada").await;
    let mut host = Talker::open(edge).await;
    host.send(&json!({ "type": "host", "token": game["host_token"] })).await;
    host.next(&["hosting"]).await;

    strangers(edge, &pin).await;
    tokens(edge, &game, &joined).await;
    frames(edge).await;
    http(edge).await;
    commands(&mut host, &mut ada).await;

    // Ada plays on: a misfit, then her answer, then a second one that changes nothing.
    host.send(&json!({ "type": "command", "id": "1", "do": "open", "question": 0 })).await;
    ada.next(&["question"]).await;
    assert_eq!(ada.refused(&answer(1, "0000000000001", &[1])).await, "question_unknown");
    assert_eq!(ada.refused(&answer(0, "0000000000002", &[9])).await, "response_misfit");
    ada.send(&answer(0, "0000000000003", &[1])).await;
    let ack = ada.next(&["ack", "error"]).await;
    assert_eq!(ack["type"], "ack", "{ack}");
    ada.send(&answer(0, "0000000000003", &[1])).await;
    // The question may have closed meanwhile, for all have answered.
    let mut again = ada.next(&["ack", "error", "board"]).await;
    let mut board = None;
    if again["type"] == "board" {
        board = Some(std::mem::replace(&mut again, ada.next(&["ack", "error"]).await));
    }
    if again["type"] == "ack" {
        assert_eq!(again["receipt"], ack["receipt"], "a resend has the same receipt");
    } else {
        assert_eq!(again["code"], "question_closed");
    }
    let board = match board {
        Some(board) => board,
        None => ada.next(&["board"]).await,
    };
    assert_eq!((board["answered"].as_i64(), board["correct_count"].as_i64()), (Some(1), Some(1)), "{board}");
    assert_eq!(ada.refused(&answer(0, "0000000000004", &[1])).await, "question_closed");
    host.send(&json!({ "type": "command", "id": "2", "do": "end" })).await;
    let over = ada.next(&["over"]).await;
    assert_eq!(over["top"][0]["nickname"], "Ada");
    assert_eq!(over["players"], 1, "nobody else is in the game");
    drop(pipeline);
    guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
}

/// Who is not in the game.
async fn strangers(edge: SocketAddr, pin: &str) {
    let mut socket = Talker::open(edge).await;
    assert_eq!(socket.refused(&answer(0, "0000000000001", &[1])).await, "not_joined");
    let wrong = if pin == "000000" { "000001" } else { "000000" };
    assert_eq!(socket.refused(&json!({ "type": "join", "pin": wrong, "nickname": "Bob" })).await, "pin_not_found");
    assert_eq!(socket.refused(&json!({ "type": "join", "pin": pin, "nickname": "   " })).await, "nickname_invalid");
    assert_eq!(socket.refused(&json!({ "type": "join", "pin": pin, "nickname": "ADA" })).await, "nickname_taken");
    assert_eq!(socket.refused(&json!({ "type": "command", "id": "x", "do": "open" })).await, "not_joined");
    for (text, code) in [
        ("not json", "bad_frame"),
        ("{}", "bad_frame"),
        (r#"{"type":"dance"}"#, "unknown_type"),
        (r#"{"type":"join","pin":123456}"#, "bad_field"),
    ] {
        socket.say(text).await;
        assert_eq!(socket.next(&["error"]).await["code"], code, "{text}");
    }
    socket.send(&json!({ "type": "ping" })).await;
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
        let mut socket = Talker::open(edge).await;
        socket.send(&json!({ "type": kind, "token": token })).await;
        assert_eq!(socket.next(&["error"]).await["code"], "token_invalid", "{kind}");
        assert_eq!(socket.closed().await, 3500);
    }
    // A player's own good token does not make a host, and costs nothing.
    let mut socket = Talker::open(edge).await;
    assert_eq!(socket.refused(&json!({ "type": "host", "token": token })).await, "not_host");
    socket.send(&json!({ "type": "ping" })).await;
    socket.next(&["pong"]).await;
}

async fn frames(edge: SocketAddr) {
    let mut socket = Talker::open(edge).await;
    socket.say(&"x".repeat(20_000)).await;
    assert_eq!(socket.closed().await, 1009, "an oversize frame");
    let mut socket = Talker::open(edge).await;
    socket.put(Message::Binary(Bytes::from_static(&[1, 2, 3]))).await;
    assert_eq!(socket.closed().await, 1003, "a binary frame");
    let mut socket = Talker::open(edge).await;
    for _ in 0..20 {
        socket.say("nonsense").await;
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

async fn commands(host: &mut Talker, ada: &mut Talker) {
    assert_eq!(ada.refused(&json!({ "type": "command", "id": "x", "do": "end" })).await, "not_host");
    assert_eq!(host.refused(&json!({ "type": "command", "id": "y", "do": "dance" })).await, "bad_field");
    assert_eq!(host.refused(&json!({ "type": "join", "pin": "123456", "nickname": "x" })).await, "already_joined");
    // Carried to the session worker, which refuses them.
    for (id, command) in [("a", json!({ "do": "close" })), ("b", json!({ "do": "open", "question": 7 }))] {
        let mut message = command;
        message["type"] = json!("command");
        message["id"] = json!(id);
        host.send(&message).await;
        let refused = host.next(&["error"]).await;
        assert_eq!(refused["code"], "command_refused", "{refused}");
        assert!(refused["reason"].is_string(), "{refused}");
    }
}
