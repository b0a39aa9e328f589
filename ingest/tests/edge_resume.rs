//! Goal: who comes back is told what was missed, once and in order, at any edge; an answer keeps its time
//! and its receipt; the edge's books say what the log saw. Method: real sockets, the embedded cluster and
//! store; a script says what the rest of the pipeline would.
#![allow(clippy::unwrap_used)]

mod kit;

use std::time::Duration;

use kit::{Client, Rig, tallied};
use quiz_ingest::protocol::{Cursor, ErrorCode, ServerMessage};
use quiz_schemas::events::{
    AnswerSubmitted, AnswersBody, BoardPublished, GameEnded, Outcome, OutcomesPublished, OverReason, Verdict,
};
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{AnyEvent, GameId, PlayerId, Position, submission_digest};
use quiz_store::{AnswerDoc, Write};
use quiz_stream::Record;

fn submitted(record: &Record) -> Option<AnswerSubmitted> {
    match &record.event {
        AnyEvent::Answers(answers) => match &answers.body {
            AnswersBody::AnswerSubmitted(submitted) => Some(submitted.clone()),
            _ => None,
        },
        _ => None,
    }
}

async fn settle(rig: &Rig, game: GameId, question: u16, player: PlayerId) {
    rig.script.stop(game, question).await;
    let board = BoardPublished {
        question,
        key: AnswerKey::Single { options: 4, correct: Picks::one(2) },
        explanation: None,
        distribution: vec![0, 0, 1, 0],
        answered: 1,
        correct: 1,
        players: 1,
        top: Vec::new(),
        last: false,
    };
    rig.script.say_as(game, Some(format!("q{question}.board")), board).await;
    let own = Outcome { player, verdict: Verdict::Correct, points: 9, total: 9, rank: 1, gap: 0, streak: 1 };
    let batch = OutcomesPublished { question, part: 0, parts: 1, outcomes: vec![own] };
    rig.script.say_as(game, Some(format!("q{question}.outcomes.0")), batch).await;
}

fn kinds(messages: &[ServerMessage]) -> Vec<String> {
    let kind = |message: &ServerMessage| serde_json::to_value(message).unwrap()["type"].as_str().unwrap().to_string();
    messages.iter().map(kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_told_once_at_any_edge() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let mut ada = rig.client().await;
    let joined = ada.join(created.pin, "Ada").await;
    let epoch = joined.cursor.expect("where it stands").epoch;
    assert!(!joined.recovered);
    rig.script.open(created.game, 0).await;
    let question = ada.question().await;
    let place = Cursor { epoch: epoch.clone(), offset: question.at.expect("durable") };
    drop(ada);
    settle(&rig, created.game, 0, joined.player).await;
    rig.script.open(created.game, 1).await;
    let fresh = rig.another_edge().await;
    for address in [rig.edge.address, fresh.address] {
        let mut ada = Client::connect(address).await;
        let again = ada.resume_from(&joined.token, Some(place.clone())).await.expect("resumed");
        assert!(again.recovered, "{address}");
        assert_eq!(again.cursor.as_ref(), Some(&place));
        let mut missed = Vec::new();
        while missed.len() < 4 {
            missed.push(ada.durable().await);
        }
        assert_eq!(kinds(&missed), ["closed", "board", "outcome", "question"]);
        let at: Vec<i64> = missed.iter().map(|message| message.at().expect("an offset")).collect();
        assert!(at[0] > place.offset && at.is_sorted_by(|one, next| one < next), "{at:?}");
        // What it has, it is not told; but the edge knows the question it is asked to answer.
        let latest = Cursor { epoch: epoch.clone(), offset: at[3] };
        let mut again = Client::connect(address).await;
        assert!(again.resume_from(&joined.token, Some(latest)).await.expect("resumed").recovered);
        again.pick(1, 70, 1).await;
        assert_eq!(again.fate().await.unwrap_err().code, ErrorCode::ResponseMisfit, "the question takes a text");
    }
    for (epoch, offset) in [(epoch.clone(), place.offset + 1_000_000), ("0123456789ab".into(), place.offset)] {
        let mut ada = rig.client().await;
        let again = ada.resume_from(&joined.token, Some(Cursor { epoch, offset })).await.expect("resumed");
        assert!(!again.recovered);
        assert_eq!(ada.question().await.at, None, "a snapshot");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_messages_follow_what_was_missed() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let mut ada = rig.client().await;
    let joined = ada.join(created.pin, "Ada").await;
    rig.script.open(created.game, 0).await;
    let place = Cursor { offset: ada.question().await.at.unwrap(), ..joined.cursor.unwrap() };
    settle(&rig, created.game, 0, joined.player).await;
    let fresh = rig.another_edge().await;
    let mut again = Client::connect(fresh.address).await;
    assert!(again.resume_from(&joined.token, Some(place)).await.expect("resumed").recovered);
    rig.script.say(created.game, GameEnded { reason: OverReason::Host, players: 1, top: Vec::new() }).await;
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(again.durable().await);
    }
    assert_eq!(kinds(&heard), ["closed", "board", "outcome", "over"]);
    assert!(heard.is_sorted_by(|one, next| one.at().unwrap() < next.at().unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_keeps_its_time_when_the_log_fails() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let mut ada = rig.client().await;
    let joined = ada.join(created.pin, "Ada").await;
    rig.script.open(created.game, 0).await;
    ada.question().await;
    let other = rig.another_edge().await;
    rig.cluster.broker_down().unwrap();
    ada.pick(0, 5, 1).await;
    let taken = ada.taken().await;
    let error = ada.fate().await.unwrap_err();
    assert_eq!((error.code, error.proof.as_ref()), (ErrorCode::Unavailable, Some(&taken.proof)));
    drop(ada);
    rig.cluster.broker_up().unwrap();
    let mut ada = Client::connect(other.address).await;
    ada.resume(&joined.token).await.expect("resumed");
    ada.question().await;
    let deadline = tokio::time::Instant::now() + kit::PATIENCE;
    let ack = loop {
        ada.pick_with(0, 5, 1, Some(&taken.proof)).await;
        match ada.fate().await {
            Ok(ack) => break ack,
            Err(error) => assert_eq!(error.code, ErrorCode::Unavailable),
        }
        assert!(tokio::time::Instant::now() < deadline, "the broker is back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(ack.elapsed_ms, taken.elapsed_ms, "timed from the first time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_keeps_its_receipt_after_the_close() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let mut ada = rig.client().await;
    let joined = ada.join(created.pin, "Ada").await;
    rig.script.open(created.game, 0).await;
    ada.question().await;
    ada.pick(0, 7, 2).await;
    let ack = ada.ack().await;
    rig.script.stop(created.game, 0).await;
    let other = rig.another_edge().await;
    let mut again = Client::connect(other.address).await;
    again.resume(&joined.token).await.expect("resumed");
    // The answers are stored while the edge looks.
    again.pick(0, 7, 2).await;
    let doc = AnswerDoc {
        game: created.game,
        lane: 0,
        question: 0,
        player: joined.player,
        submission: ack.submission,
        response: Response::Picks(Picks::one(2)),
        verdict: Verdict::Correct,
        points: 9,
        elapsed_us: ack.elapsed_ms * 1000,
        received_at_us: 0,
        position: Position { partition: ack.position.0, offset: ack.position.1 },
    };
    rig.store.write(&[Write::Answer(doc)]).await.unwrap();
    assert_eq!(again.fate().await.expect("stored"), ack);
    again.pick(0, 8, 2).await;
    assert_eq!(again.fate().await.unwrap_err().code, ErrorCode::QuestionClosed, "the first answer stands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_say_what_the_log_saw() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let mut players = Vec::new();
    for name in ["Ada", "Grace", "Edsger"] {
        let mut client = rig.client().await;
        let joined = client.join(created.pin, name).await;
        players.push((client, joined.player));
    }
    rig.script.open(created.game, 0).await;
    for (submission, (client, _)) in (1..).zip(&mut players) {
        client.question().await;
        client.pick(0, submission, 1).await;
        client.ack().await;
    }
    let (ada, _) = &mut players[0];
    ada.pick(0, 1, 1).await;
    ada.ack().await;
    ada.pick(0, 99, 200).await;
    assert_eq!(ada.fate().await.unwrap_err().code, ErrorCode::ResponseMisfit);
    rig.script.stop(created.game, 0).await;
    let told = rig.script.saw(tallied).await;
    assert_eq!((told.question, told.received, told.acked, told.repeated, told.refused), (0, 5, 3, 1, 1));
    assert!(!told.last && told.parts == 1);
    let mut logged: Vec<_> = Vec::new();
    for submission in 1..=3u64 {
        let is_it = |record: &Record| submitted(record).filter(|answer| answer.submission.bits() == submission);
        logged.push(rig.script.saw(is_it).await);
    }
    let digest =
        logged.iter().fold(0i64, |sum, answer| sum.wrapping_add(submission_digest(answer.player, answer.submission)));
    assert_eq!(told.digest, digest);
    assert_eq!(told.submissions.0, logged.iter().map(|answer| answer.submission).collect::<Vec<_>>());
    // What comes late is told again, and all for the last time when the edge stops.
    let (ada, _) = &mut players[0];
    ada.pick(0, 98, 1).await;
    assert_eq!(ada.fate().await.unwrap_err().code, ErrorCode::QuestionClosed);
    let late = rig.script.saw(|record| tallied(record).filter(|told| told.refused == 2)).await;
    assert!(late.version > told.version);
    rig.edge.stop.cancel();
    let last = rig.script.saw(|record| tallied(record).filter(|told| told.last)).await;
    assert_eq!((last.received, last.acked, last.refused), (6, 3, 2));
}
