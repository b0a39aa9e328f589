//! Goal: a player over edges that die, stop, repeat and drain. Method: edges of our own on real
//! sockets, each playing a written part; what the player tells is compared with what it must.

use std::sync::{Arc, Mutex};

use futures::{SinkExt, StreamExt};
use quiz_ingest::limits::HEARTBEAT_MS;
use quiz_ingest::protocol::{
    Ack, Board, Cursor, ErrorMessage, Over, QuestionMessage, Replying, SUBPROTOCOL, Stopped, parse,
};
use quiz_schemas::events::{OverReason, StopReason};
use quiz_schemas::quiz::{Picks, QuestionKind, Response};
use quiz_schemas::{GameId, Pin, PlayerId};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response as Upgrade};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, http::HeaderValue};

use super::*;
use crate::client::link::{Hello, Way};

/// How long a part may take.
const PART_WAIT: Duration = Duration::from_secs(20);

/// One socket of an edge, from the edge's side.
struct Side {
    socket: WebSocketStream<TcpStream>,
    heartbeat_ms: u32,
}

impl Side {
    async fn accept(listener: &TcpListener) -> Self {
        Self::with(listener, HEARTBEAT_MS).await
    }

    /// With a heartbeat of its own, for what is about silence.
    #[expect(clippy::result_large_err, reason = "the library asks for a closure of this type")]
    async fn with(listener: &TcpListener, heartbeat_ms: u32) -> Self {
        let (stream, _) = listener.accept().await.expect("a client comes");
        let name = |_: &Request, mut response: Upgrade| {
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, name).await.expect("it asks for a socket");
        Self { socket, heartbeat_ms }
    }

    async fn say(&mut self, message: ServerMessage) {
        self.socket.send(Message::text(message.to_json())).await.expect("the client is there");
    }

    /// The next message that is no ping; pings are answered.
    async fn hear(&mut self) -> ClientMessage {
        loop {
            let frame = timeout(PART_WAIT, self.socket.next()).await.expect("the client speaks in time");
            let Message::Text(text) = frame.expect("an open socket").expect("a frame") else { continue };
            match parse(&text).expect("a message") {
                ClientMessage::Ping => self.say(ServerMessage::Pong { heartbeat_ms: self.heartbeat_ms }).await,
                message => return message,
            }
        }
    }

    async fn answer(&mut self) -> Answer {
        let ClientMessage::Answer(answer) = self.hear().await else { panic!("an answer comes") };
        answer
    }

    /// Hears `join` or `resume`, and lets the player in.
    async fn let_in(&mut self, cursor: i64, recovered: bool) -> ClientMessage {
        let hello = self.hear().await;
        self.say(ServerMessage::Joined(Joined {
            game: GameId::from_bits(1),
            player: PlayerId::from_bits(2),
            nickname: "Ada".into(),
            token: "token".into(),
            title: "T".into(),
            questions: 1,
            players: 1,
            cursor: Some(Cursor { epoch: "e".into(), offset: cursor }),
            recovered,
            heartbeat_ms: self.heartbeat_ms,
        }))
        .await;
        hello
    }

    async fn close(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).await.expect("the client is there");
    }
}

fn question(at: Option<i64>) -> ServerMessage {
    ServerMessage::Question(QuestionMessage {
        question: 0,
        of: 1,
        kind: QuestionKind::Single,
        prompt: "?".into(),
        options: vec!["a".into(), "b".into()],
        points_max: 1000,
        limit_ms: 60_000,
        left_ms: 60_000,
        at,
    })
}

fn closed(at: i64) -> ServerMessage {
    ServerMessage::Closed(Stopped { question: 0, reason: StopReason::Host, at: Some(at) })
}

fn board(at: i64) -> ServerMessage {
    ServerMessage::Board(Board {
        question: 0,
        correct: Default::default(),
        explanation: None,
        distribution: vec![],
        answered: 1,
        correct_count: 1,
        players: 1,
        top: vec![],
        last: true,
        at: Some(at),
    })
}

fn over(at: i64) -> ServerMessage {
    ServerMessage::Over(Over { reason: OverReason::Host, players: 1, top: vec![], at: Some(at) })
}

fn ack(answer: &Answer) -> ServerMessage {
    ServerMessage::Ack(Ack {
        submission: answer.submission,
        question: answer.question,
        receipt: "r".into(),
        elapsed_ms: 7,
        position: (3, 4),
    })
}

/// Writes down what the player tells, in short, and answers at once.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Script for Diary {
    fn answer_to(&mut self, question: &QuestionMessage) -> Option<Plan> {
        let submission = SubmissionId::from_bits(99);
        let response = Response::Picks(Picks::one(1));
        let answer = Answer { question: question.question, submission, response, proof: None };
        Some(Plan { answer, intended: Instant::now() })
    }

    fn tell(&mut self, event: Event<'_>) {
        let line = match event {
            Event::Joined { .. } => "joined".into(),
            Event::Reconnected { joined, .. } => format!("reconnected recovered={}", joined.recovered),
            Event::Closed { closing, silent, .. } => format!("closed {:?} silent={silent}", closing.code),
            Event::Sent { kept, .. } => format!("sent try={} proof={}", kept.tries, kept.answer.proof.is_some()),
            Event::Taken(_) => "taken".into(),
            Event::Acked { ack, .. } => format!("acked {}", ack.receipt),
            Event::Refused { code, .. } => format!("refused {}", code.as_str()),
            Event::Deferred { code, .. } => format!("deferred {}", code.as_str()),
            Event::Unknown { .. } => "unknown".into(),
            Event::Applied { message: ServerMessage::Question(_), at, .. } => format!("question {at:?}"),
            Event::Applied { message: ServerMessage::Closed(_), at, .. } => format!("closed question {at:?}"),
            Event::Applied { message: ServerMessage::Board(_), at, .. } => format!("board {at:?}"),
            Event::Applied { message: ServerMessage::Over(_), at, .. } => format!("over {at:?}"),
            Event::Applied { .. } => "other".into(),
            Event::Stale { at, .. } => format!("stale {at}"),
        };
        self.0.lock().unwrap().push(line);
    }
}

/// A player at two edges.
struct Scene {
    first: TcpListener,
    second: TcpListener,
    diary: Diary,
    player: tokio::task::JoinHandle<Result<(), LinkError>>,
}

impl Scene {
    async fn open() -> Self {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edges = [first.local_addr().unwrap(), second.local_addr().unwrap()];
        let way = Way::new(&edges, 4, PART_WAIT);
        let hello = Hello::Join { pin: Pin::from_index(7), nickname: "Ada".into() };
        let diary = Diary::default();
        let player = Player::new(Link::new(way, hello, 0, Dice::new(1, 1, 1)), diary.clone(), Dice::new(2, 2, 2), true);
        let player = tokio::spawn(async move { player.play().await.1 });
        Self { first, second, diary, player }
    }

    async fn end(self) -> (Vec<String>, Result<(), LinkError>) {
        let result = timeout(PART_WAIT, self.player).await.expect("the player ends in time").expect("no panic");
        (self.diary.lines(), result)
    }
}

#[tokio::test]
async fn an_edge_dies_with_an_answer_and_the_next_repeats_what_was_applied() {
    let scene = Scene::open().await;
    let mut side = Side::accept(&scene.first).await;
    assert!(matches!(side.let_in(4, false).await, ClientMessage::Join { .. }));
    side.say(question(Some(5))).await;
    let first = side.answer().await;
    let taken = Taken { submission: first.submission, question: 0, elapsed_ms: 30, proof: "proof".into() };
    side.say(ServerMessage::Taken(taken)).await;
    // A pong says that all before it has been heard.
    while !scene.diary.lines().contains(&"taken".to_string()) {
        tokio::task::yield_now().await;
    }
    drop(side);
    let mut side = Side::accept(&scene.second).await;
    let hello = side.let_in(5, true).await;
    let cursor = Some(Cursor { epoch: "e".into(), offset: 5 });
    assert_eq!(hello, ClientMessage::Resume { token: "token".into(), cursor });
    let again = side.answer().await;
    assert_eq!(again, Answer { proof: Some("proof".into()), ..first });
    side.say(question(Some(5))).await;
    side.say(ack(&again)).await;
    side.say(ack(&again)).await;
    for message in [closed(6), board(7), closed(6), board(7), over(9)] {
        side.say(message).await;
    }
    let (lines, result) = scene.end().await;
    assert_eq!(result, Ok(()));
    let expected = [
        "joined",
        "question Some(5)",
        "sent try=1 proof=false",
        "taken",
        "closed None silent=false",
        "unknown",
        "reconnected recovered=true",
        "sent try=2 proof=true",
        "stale 5",
        "acked r",
        "closed question Some(6)",
        "board Some(7)",
        "stale 6",
        "stale 7",
        "over Some(9)",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn an_edge_that_stops_is_left_and_what_it_says_later_reaches_nobody() {
    let scene = Scene::open().await;
    let mut stopped = Side::with(&scene.first, 400).await;
    stopped.let_in(4, false).await;
    stopped.say(question(Some(5))).await;
    let first = stopped.answer().await;
    // From here on it says nothing, and keeps its sockets open.
    let mut side = Side::accept(&scene.second).await;
    side.let_in(5, true).await;
    assert_eq!(side.answer().await, first);
    // It wakes up, and speaks into a socket that nobody reads.
    let late = stopped.socket.send(Message::text(ack(&first).to_json())).await;
    drop(late);
    side.say(ack(&first)).await;
    side.say(over(9)).await;
    let (lines, result) = scene.end().await;
    assert_eq!(result, Ok(()));
    assert!(lines.contains(&"closed None silent=true".to_string()), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| *line == "acked r").count(), 1);
}

#[tokio::test]
async fn an_edge_that_answers_pings_is_not_left() {
    let scene = Scene::open().await;
    let mut side = Side::with(&scene.first, 1_200).await;
    side.let_in(4, false).await;
    let quiet = timeout(Duration::from_secs(4), side.hear()).await;
    assert!(quiet.is_err(), "more than the silence that kills, and only pings: {quiet:?}");
    side.say(over(5)).await;
    let (lines, result) = scene.end().await;
    assert_eq!((lines, result), (vec!["joined".to_string(), "over Some(5)".into()], Ok(())));
}

#[tokio::test]
async fn a_part_of_a_snapshot_is_asked_for_again() {
    let scene = Scene::open().await;
    let mut side = Side::accept(&scene.first).await;
    side.let_in(4, false).await;
    drop(side);
    let mut side = Side::accept(&scene.second).await;
    let hello = side.let_in(4, false).await;
    assert_eq!(hello, ClientMessage::Resume { token: "token".into(), cursor: None });
    side.say(question(None)).await;
    let answer = side.answer().await;
    side.say(ack(&answer)).await;
    side.say(over(5)).await;
    let (lines, result) = scene.end().await;
    assert_eq!(result, Ok(()));
    assert!(lines.contains(&"question None".to_string()), "{lines:?}");
}

#[tokio::test]
async fn a_draining_edge_is_left_and_a_closed_seat_is_given_up() {
    let scene = Scene::open().await;
    let mut side = Side::accept(&scene.first).await;
    side.let_in(4, false).await;
    side.close(3001, "going_away 200ms").await;
    let mut side = Side::accept(&scene.second).await;
    side.let_in(4, false).await;
    side.close(3503, "kicked").await;
    let (lines, result) = scene.end().await;
    assert_eq!(result, Err(LinkError::Closed(3503)));
    assert_eq!(lines, ["joined", "closed Some(3001) silent=false", "reconnected recovered=false"]);
}

#[tokio::test]
async fn a_question_that_closed_meanwhile_is_asked_after() {
    let scene = Scene::open().await;
    let mut side = Side::accept(&scene.first).await;
    side.let_in(4, false).await;
    side.say(question(Some(5))).await;
    let first = side.answer().await;
    drop(side);
    let mut side = Side::accept(&scene.second).await;
    side.let_in(5, true).await;
    assert_eq!(side.answer().await, first);
    side.say(closed(6)).await;
    let error = ErrorMessage::new(ErrorCode::Unavailable, Replying { submission: Some(first.submission), id: None });
    side.say(ServerMessage::Error(error.retry_after(50))).await;
    assert_eq!(side.answer().await.submission, first.submission, "it left, so it is asked after");
    side.say(ack(&first)).await;
    side.say(over(9)).await;
    let (lines, result) = scene.end().await;
    assert_eq!(result, Ok(()));
    assert!(lines.contains(&"acked r".to_string()), "{lines:?}");
}
