//! Goal: every way in which a client can be wrong has its code, and the socket stays open or is
//! closed as the protocol says. Method: real sockets; a scripted pipeline.
#![allow(clippy::unwrap_used)]

mod kit;

use kit::{Client, Rig, SECRET};
use quiz_ingest::protocol::{ClientMessage, ErrorCode, FRAME_BYTES_MAX, SUBPROTOCOL, ServerMessage};
use quiz_ingest::token::{Holder, Seat, Signer};
use quiz_schemas::{GameId, PlayerId};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{self, Message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_frames_have_their_codes() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    for (frame, code) in [
        ("{", ErrorCode::BadFrame),
        (r#"{"type":"dance"}"#, ErrorCode::UnknownType),
        (r#"{"type":"join","pin":1}"#, ErrorCode::BadField),
        (r#"{"type":"answer","question":0,"submission":"0000000000001","picks":[0]}"#, ErrorCode::NotJoined),
        (r#"{"type":"command","id":"a","do":"open"}"#, ErrorCode::NotJoined),
    ] {
        client.send_raw(Message::text(frame)).await;
        assert_eq!(client.error().await.code, code, "{frame}");
    }
    client.send(&ClientMessage::Ping).await;
    assert_eq!(client.next().await, Ok(ServerMessage::Pong { heartbeat_ms: 4_000 }), "the socket is still open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_text_of_bounded_size_closes_the_socket() {
    let rig = Rig::start().await;
    let invalid = Frame::message(vec![0xc3, 0x28], OpCode::Data(Data::Text), true);
    for (frame, code) in [
        (Message::binary(vec![1, 2, 3]), 1003),
        (Message::text("x".repeat(FRAME_BYTES_MAX + 1)), 1009),
        (Message::Frame(invalid), 1007),
    ] {
        let mut client = rig.client().await;
        client.send_raw(frame).await;
        assert_eq!(client.closed().await, code);
    }
    let mut client = rig.client().await;
    for _ in 0..20 {
        client.send_raw(Message::text("[]")).await;
    }
    assert_eq!(client.closed().await, 3501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_pins_names_and_tokens_are_refused() {
    let rig = Rig::start().await;
    let game = rig.create().await;
    let mut ada = rig.client().await;
    let wrong = if game.pin.to_string() == "000000" { "000001" } else { "000000" };
    let refused = ada.try_join(wrong.parse().unwrap(), "Ada").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::PinNotFound);
    assert_eq!(ada.try_join(game.pin, " \u{200b}").await.unwrap_err().code, ErrorCode::NicknameInvalid);
    ada.join(game.pin, "Ada").await;
    assert_eq!(ada.try_join(game.pin, "Ada").await.unwrap_err().code, ErrorCode::AlreadyJoined);

    let mut other = rig.client().await;
    assert_eq!(other.try_join(game.pin, "ADA").await.unwrap_err().code, ErrorCode::NicknameTaken);
    other.join(game.pin, "Grace").await;
    other.send_raw(Message::text(r#"{"type":"command","id":"a","do":"open"}"#)).await;
    assert_eq!(other.error().await.code, ErrorCode::NotHost);

    let seat = Seat { game: game.game, player: PlayerId::from_bits(1), nickname: "Eve".into(), lanes: 1 };
    let forged = Signer::new(&[1; 32]).unwrap().sign(Holder::Player(seat), quiz_ingest::clock::wall_us());
    for token in [forged.as_str(), "x.y.z", game.host_token.as_str()] {
        let mut eve = rig.client().await;
        assert_eq!(eve.resume(token).await.unwrap_err().code, ErrorCode::TokenInvalid);
        assert_eq!(eve.closed().await, 3500);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_do_not_count_are_refused() {
    let rig = Rig::start().await;
    let game = rig.create().await;
    let mut ada = rig.client().await;
    ada.join(game.pin, "Ada").await;
    ada.pick(0, 1, 0).await;
    assert_eq!(ada.error().await.code, ErrorCode::QuestionUnknown);
    rig.script.open(game.game, 0).await;
    ada.question().await;
    ada.pick(0, 2, 4).await;
    assert_eq!(ada.error().await.code, ErrorCode::ResponseMisfit);
    ada.pick(1, 3, 0).await;
    assert_eq!(ada.error().await.code, ErrorCode::QuestionUnknown);
    rig.script.stop(game.game, 0).await;
    ada.until(|message| matches!(message, ServerMessage::Closed(_)).then_some(())).await;
    ada.pick(0, 4, 0).await;
    let error = ada.error().await;
    assert_eq!((error.code, error.submission.map(|id| id.bits())), (ErrorCode::QuestionClosed, Some(4)));
    let answers = rig.script.count(|record| matches!(record.event, quiz_schemas::AnyEvent::Answers(_)));
    assert_eq!(answers, 0, "nothing of it is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_game_that_is_nowhere_is_unavailable() {
    let rig = Rig::start().await;
    let seat = Seat { game: GameId::from_bits(9), player: PlayerId::from_bits(1), nickname: "Ada".into(), lanes: 1 };
    let token = Signer::new(&SECRET).unwrap().sign(Holder::Player(seat), quiz_ingest::clock::wall_us());
    let mut ada = rig.client().await;
    let error = ada.resume(&token).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(error.retry_after_ms.is_some());
}

fn refusal(result: Result<Client, tungstenite::Error>) -> (u16, String) {
    match result {
        Err(tungstenite::Error::Http(response)) => {
            let status = response.status().as_u16();
            let kind = response.headers().get("content-type").unwrap().to_str().unwrap();
            assert_eq!(kind, "application/problem+json");
            let body = response.body().clone().unwrap_or_default();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            (status, body["code"].as_str().unwrap_or_default().to_string())
        }
        Err(error) => panic!("no refusal: {error}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_needs_our_subprotocol_origin_and_a_place() {
    let rig = Rig::start_with(|config| config.connections_max = 1).await;
    let address = rig.edge.address;
    let protocol = ("sec-websocket-protocol", SUBPROTOCOL);
    let (status, code) = refusal(Client::try_connect(address, &[]).await);
    assert_eq!((status, code.as_str()), (400, "subprotocol_required"));
    let (status, code) = refusal(Client::try_connect(address, &[("sec-websocket-protocol", "chat")]).await);
    assert_eq!((status, code.as_str()), (400, "subprotocol_required"));
    let (status, code) = refusal(Client::try_connect(address, &[protocol, ("origin", "https://evil.example")]).await);
    assert_eq!((status, code.as_str()), (403, "origin_refused"));
    let own = format!("http://{address}");
    let first = Client::try_connect(address, &[protocol, ("origin", own.as_str())]).await.expect("our own page");
    let (status, code) = refusal(Client::try_connect(address, &[protocol]).await);
    assert_eq!((status, code.as_str()), (503, "edge_full"));
    drop(first);
    // The place is free again as soon as the edge has seen that the socket is gone.
    let deadline = tokio::time::Instant::now() + kit::PATIENCE;
    while Client::try_connect(address, &[protocol]).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the place is not free again");
        tokio::task::yield_now().await;
    }
}
