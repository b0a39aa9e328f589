//! Goal: no ack without the log (I1), and nothing lost when the edge goes. Method: the embedded
//! broker is cut off and comes back; the edge is told to stop.
#![allow(clippy::unwrap_used)]

mod kit;

use std::time::Duration;

use kit::{Client, PATIENCE, Rig, counter, tallied};
use quiz_ingest::protocol::{ErrorCode, SUBPROTOCOL, ServerMessage};
use quiz_schemas::AnyEvent;
use quiz_schemas::events::{AnswersCounted, BoardPublished, EdgeTallied, GameEnded, JoinsBody, OverReason};
use quiz_schemas::quiz::AnswerKey;
use tokio::time::{Instant, timeout};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_broker_is_refused_and_succeeds_when_it_is_back() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let mut ada = rig.client().await;
    ada.join(created.pin, "Ada").await;
    rig.script.open(created.game, 0).await;
    ada.question().await;
    rig.cluster.broker_down().unwrap();
    ada.pick(0, 5, 1).await;
    let error = ada
        .until(|message| match message {
            ServerMessage::Ack(ack) => panic!("acked without a broker: {ack:?}"),
            ServerMessage::Error(error) => Some(error),
            _ => None,
        })
        .await;
    assert_eq!((error.code, error.submission.map(|id| id.bits())), (ErrorCode::Unavailable, Some(5)));
    let wait = error.retry_after_ms.expect("when to try again");
    rig.cluster.broker_up().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let ack = loop {
        ada.pick(0, 5, 1).await;
        let outcome = ada
            .until(|message| match message {
                ServerMessage::Ack(ack) => Some(Ok(ack)),
                ServerMessage::Error(error) => Some(Err(error)),
                _ => None,
            })
            .await;
        match outcome {
            Ok(ack) => break ack,
            Err(error) => assert_eq!(error.code, ErrorCode::Unavailable),
        }
        assert!(Instant::now() < deadline, "not acked after the broker is back");
        // As the edge asks of its clients.
        tokio::time::sleep(Duration::from_millis(wait.into())).await;
    };
    assert_eq!(ack.submission.bits(), 5);
    rig.script
        .saw(|record| {
            (record.position().offset == ack.position.1 && matches!(record.event, AnyEvent::Answers(_))).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_stops_sends_its_players_away_and_loses_nothing() {
    let rig = Rig::start_with(|config| config.drain_window = Duration::from_millis(500)).await;
    let created = rig.create().await;
    let mut players = Vec::new();
    for name in ["Ada", "Grace", "Edsger"] {
        let mut player = rig.client().await;
        player.join(created.pin, name).await;
        players.push(player);
    }
    rig.script.open(created.game, 0).await;
    for player in &mut players {
        player.question().await;
    }
    let mut idle = rig.client().await;
    // The edge has an answer, and the log has not acknowledged it, when it stops.
    rig.cluster.round_trip(Duration::from_millis(400)).unwrap();
    players[0].pick(0, 1, 2).await;
    players[0].taken().await;
    rig.edge.stop.cancel();
    players[0].ack().await;
    rig.cluster.round_trip(Duration::ZERO).unwrap();
    for player in players.iter_mut().chain([&mut idle]) {
        assert_eq!(player.closed().await, 3001);
        assert_eq!(player.reason, "going_away 1000ms", "the close names a wait");
    }
    let finished = timeout(Duration::from_secs(10), rig.edge.done).await.expect("it stops in time");
    assert!(matches!(finished, Ok(Ok(()))));
    // Its players come back at another edge at once: to count them out would let a question close early.
    let is_gone = |record: &quiz_stream::Record| matches!(&record.event, AnyEvent::Joins(joins) if matches!(joins.body, JoinsBody::PlayerDisconnected(_)));
    let told = |record: &quiz_stream::Record| matches!(&record.event, AnyEvent::Tallies(_)).then_some(());
    rig.script.saw(told).await;
    assert_eq!(rig.script.count(is_gone), 0);
}

/// One player has answered the one question of a game, and the edge has told its books of it.
async fn answered(rig: &Rig) -> Client {
    let created = rig.create().await;
    let mut ada = rig.client().await;
    ada.join(created.pin, "Ada").await;
    rig.script.open(created.game, 0).await;
    ada.question().await;
    ada.pick(0, 1, 2).await;
    ada.ack().await;
    rig.script.stop(created.game, 0).await;
    rig.script.saw(|record| tallied(record).filter(|tallied| tallied.acked == 1)).await;
    rig.script.say(created.game, GameEnded { reason: OverReason::Host, players: 1, top: Vec::new() }).await;
    ada.until(|message| matches!(message, ServerMessage::Over(_)).then_some(())).await;
    ada
}

async fn until_untold() {
    let deadline = Instant::now() + PATIENCE;
    while counter("quiz_edge_tallies_untold_total") == 0 {
        assert!(Instant::now() < deadline, "the books were told without a broker");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The ledger takes a word that is not the last for one that may be followed by another.
async fn last_word(rig: &Rig) -> EdgeTallied {
    rig.script.saw(|record| tallied(record).filter(|tallied| tallied.last)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_books_of_a_game_are_told_when_the_broker_is_back() {
    let rig = Rig::start_with(|config| config.game_idle = Duration::from_millis(100)).await;
    let ada = answered(&rig).await;
    rig.cluster.broker_down().unwrap();
    drop(ada);
    until_untold().await;
    rig.cluster.broker_up().unwrap();
    let last = last_word(&rig).await;
    assert_eq!((last.question, last.received, last.acked), (0, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_stops_waits_for_the_broker_to_tell_its_last_books() {
    let rig = Rig::start().await;
    let mut ada = answered(&rig).await;
    rig.cluster.broker_down().unwrap();
    rig.edge.stop.cancel();
    assert_eq!(ada.closed().await, 3001);
    until_untold().await;
    rig.cluster.broker_up().unwrap();
    let last = last_word(&rig).await;
    assert_eq!((last.question, last.received, last.acked), (0, 1, 1));
    assert!(matches!(timeout(PATIENCE, rig.edge.done).await, Ok(Ok(Ok(())))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_drains_says_so_and_takes_no_new_sockets() {
    let rig = Rig::start_with(|config| config.drain_window = Duration::from_secs(5)).await;
    let ready = |rig: &Rig| {
        let url = format!("http://{}/readyz?verbose", rig.edge.admin);
        async move { reqwest::get(url).await.expect("the admin port answers").status().as_u16() }
    };
    assert_eq!(ready(&rig).await, 200);
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(rig.client().await);
    }
    rig.edge.stop.cancel();
    let deadline = Instant::now() + PATIENCE;
    while ready(&rig).await != 503 {
        assert!(Instant::now() < deadline, "still ready");
    }
    let protocol = ("sec-websocket-protocol", SUBPROTOCOL);
    assert!(Client::try_connect(rig.edge.address, &[protocol]).await.is_err());
    for client in &mut clients {
        assert_eq!(client.closed().await, 3001);
    }
    assert!(matches!(timeout(PATIENCE, rig.edge.done).await, Ok(Ok(Ok(())))));
}

/// A socket that is not read fills the buffers between the edge and its client, then its mailbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_not_read_is_let_go_and_holds_up_nobody() {
    let rig = Rig::start_with(|config| config.connections_max = 2).await;
    let created = rig.create().await;
    let mut slow = rig.client().await;
    slow.host(&created.host_token).await;
    let mut quick = rig.client().await;
    quick.host(&created.host_token).await;
    let bulky = |question| BoardPublished {
        question,
        key: AnswerKey::Poll { options: 2 },
        explanation: Some("x".repeat(60_000)),
        distribution: vec![0, 0],
        answered: 0,
        correct: 0,
        players: 0,
        top: Vec::new(),
        last: false,
    };
    // Without an event id they are passed on and not remembered.
    for number in 0..400 {
        rig.script.say_as(created.game, None, bulky(number)).await;
        let of = |message| match message {
            ServerMessage::Board(board) => Some(board.question),
            _ => None,
        };
        assert_eq!(quick.until(of).await, number, "in order, one by one");
    }
    let deadline = Instant::now() + PATIENCE;
    while Client::try_connect(rig.edge.address, &[("sec-websocket-protocol", SUBPROTOCOL)]).await.is_err() {
        assert!(Instant::now() < deadline, "the slow socket still has its place");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.script.say_as(created.game, None, AnswersCounted { question: 0, answered: 1 }).await;
    quick.until(|message| matches!(message, ServerMessage::Counted(_)).then_some(())).await;
    drop(slow);
}
