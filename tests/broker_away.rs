//! Goal: while the broker does not answer, an edge says "retry" within 2 s and never acks; when it
//! answers again, the resent answers are scored once. Method: SIGSTOP the real broker while a player
//! answers, SIGCONT it within the time in which it is not taken for dead. Control: the player was told to
//! retry, so the fault bit.

use std::net::SocketAddr;
use std::time::Duration;

use quiz_ingest::protocol::{Answer, ClientMessage, ErrorCode, ServerMessage};
use quiz_schemas::SubmissionId;
use quiz_schemas::quiz::{Picks, Response};
use quizstream::client::create::create;
use quizstream::client::host::Host;
use quizstream::client::link::Way;
use quizstream::client::socket::{Incoming, Socket};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

#[path = "support/process.rs"]
mod process;
mod support;
use process::Paused;
use support::Cluster;

/// The promise, and what a loaded machine may add.
const RETRY_WITHIN: Duration = Duration::from_millis(2_000 + 1_000);
/// How long everything may take to notice that the broker is back.
const RECOVERS_WITHIN: Duration = Duration::from_secs(20);

/// What a process without an edge answers at `/readyz`.
async fn readiness(admin: SocketAddr) -> u16 {
    let answer = reqwest::get(format!("http://{admin}/readyz")).await.expect("the admin port answers");
    answer.status().as_u16()
}

/// Waits until a worker is ready: its connection to the broker heals by itself, with a back-off of its own.
async fn ready(admin: SocketAddr) {
    let healed = timeout(RECOVERS_WITHIN, async {
        while readiness(admin).await != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    healed.await.expect("a worker is ready while Kafka answers");
}

/// A player who reads on, for who answers no ping is taken for gone, and who answers wrongly when told.
async fn answers_when_told(mut socket: Socket, mut told: oneshot::Receiver<()>) -> Socket {
    loop {
        tokio::select! {
            _ = &mut told => break,
            incoming = socket.next() => {
                if let Incoming::Closed(closing) = incoming {
                    panic!("the edge closed the socket: {closing:?}");
                }
            }
        }
    }
    let submission = SubmissionId::from_bits(78);
    let answer = Answer { question: 0, submission, response: Response::Picks(Picks::one(0)), proof: None };
    socket.send(&ClientMessage::Answer(answer)).await.expect("the socket is open");
    expect(&mut socket, |message| matches!(message, ServerMessage::Ack(_)).then_some(())).await;
    socket
}

/// The next message that `wanted` picks.
async fn expect<T>(socket: &mut Socket, mut wanted: impl FnMut(ServerMessage) -> Option<T>) -> T {
    let found = timeout(Duration::from_secs(30), async {
        loop {
            match socket.next().await {
                Incoming::Message(message) => {
                    if let Some(found) = wanted(*message) {
                        return found;
                    }
                }
                Incoming::Alive => {}
                Incoming::Closed(closing) => panic!("the edge closed the socket: {closing:?}"),
            }
        }
    });
    found.await.expect("the message came in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_says_retry_and_never_acks_without_the_broker() {
    let (pipeline, mut guard) = support::pipeline(Cluster { edges: 1, scoring: 1, boards: 1 }).await;
    let quiz = support::quiz(1, 60_000);
    let way = Way::new(&pipeline.edges, 8, Duration::from_secs(30));
    let created = create(&way, &quiz, 10).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    let mut player = Socket::open(pipeline.edges[0], None).await.expect("the edge answers");
    player.send(&ClientMessage::Join { pin: created.pin, nickname: "Ada".into(), key: None }).await.expect("sent");
    expect(&mut player, |message| matches!(message, ServerMessage::Joined(_)).then_some(())).await;
    let mut idle = Socket::open(pipeline.edges[0], None).await.expect("the edge answers");
    idle.send(&ClientMessage::Join { pin: created.pin, nickname: "Bob".into(), key: None }).await.expect("sent");
    expect(&mut idle, |message| matches!(message, ServerMessage::Joined(_)).then_some(())).await;
    let mut host = Host::new(way, created.host_token.clone());
    let asked = tokio::spawn(async move {
        let board = host.ask(0, Duration::from_secs(60)).await;
        (host, board)
    });
    expect(&mut player, |message| matches!(message, ServerMessage::Question(_)).then_some(())).await;
    expect(&mut idle, |message| matches!(message, ServerMessage::Question(_)).then_some(())).await;
    let (tell_bob, told) = oneshot::channel();
    let bob = tokio::spawn(answers_when_told(idle, told));

    let submission = SubmissionId::from_bits(77);
    let answer = ClientMessage::Answer(Answer {
        question: 0,
        submission,
        response: Response::Picks(Picks::one(1)),
        proof: None,
    });
    let processes = guard.processes().expect("the roles are processes");
    let worker = processes.role("scoring", 2, None).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    ready(worker).await;
    let paused = Paused::server("kafka");
    let unready = tokio::spawn(readiness(worker));
    let mut retries = 0;
    while retries == 0 || !unready.is_finished() {
        let sent = Instant::now();
        player.send(&answer).await.expect("the socket is open");
        expect(&mut player, |message| match message {
            ServerMessage::Ack(ack) => panic!("acked without a broker: {ack:?}"),
            ServerMessage::Error(error) if error.submission == Some(submission) => {
                assert_eq!(error.code, ErrorCode::Unavailable);
                assert!(error.retry_after_ms.is_some(), "it says when to try again");
                Some(())
            }
            _ => None,
        })
        .await;
        assert!(sent.elapsed() <= RETRY_WITHIN, "told after {:?}", sent.elapsed());
        retries += 1;
    }
    assert_eq!(unready.await.expect("no panic"), 503, "a worker is not ready without Kafka");
    drop(paused);

    let recovered = Instant::now();
    let mut acked = false;
    while !acked {
        assert!(recovered.elapsed() < RECOVERS_WITHIN, "no ack after the broker came back");
        player.send(&answer).await.expect("the socket is open");
        acked = expect(&mut player, |message| match message {
            ServerMessage::Ack(ack) if ack.submission == submission => Some(true),
            ServerMessage::Error(error) if error.submission == Some(submission) => Some(false),
            _ => None,
        })
        .await;
    }
    ready(worker).await;
    println!("fault=broker-stopped retries={retries} recovered_s={:.1}", recovered.elapsed().as_secs_f64());
    // Bob answers too, so the question closes by itself.
    tell_bob.send(()).expect("Bob waits");
    let _bob = bob.await.expect("no panic");
    let (_host, board) = asked.await.expect("no panic");
    let board = board.unwrap_or_else(|failure| panic!("{}", failure.message));
    assert_eq!((board.answered, board.correct_count), (2, 1), "each answer counts once, however often it was sent");
    drop(pipeline);
    guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
}
