//! Goal: the way of an answer through a real edge, from the join to the outcome, and back after a
//! break. Method: real sockets, the embedded cluster and store; a script says what the rest of the
//! pipeline would.
#![allow(clippy::unwrap_used)]

mod kit;

use kit::{Client, Rig, quiz};
use quiz_ingest::protocol::{ErrorCode, HostAction, ServerMessage};
use quiz_schemas::events::{
    AnswerSubmitted, AnswersBody, BoardPublished, BoardRow, CommandRefused, CommandRejection, CommandsBody, GameEnded,
    JoinsBody, LobbyChanged, Outcome, OutcomesPublished, OverReason, PlayerDisconnected, QuestionShown, QuestionView,
    Verdict,
};
use quiz_schemas::quiz::{AnswerKey, Picks};
use quiz_schemas::{AnyEvent, GameId, LaneKey, PlayerId, Position};
use quiz_store::{StandingsDoc, Write};
use quiz_stream::Record;

fn submitted(record: &Record) -> Option<(Position, AnswerSubmitted)> {
    match &record.event {
        AnyEvent::Answers(answers) => match &answers.body {
            AnswersBody::AnswerSubmitted(submitted) => Some((record.position(), submitted.clone())),
            _ => None,
        },
        _ => None,
    }
}

fn joins(record: &Record) -> Option<&JoinsBody> {
    match &record.event {
        AnyEvent::Joins(joins) => Some(&joins.body),
        _ => None,
    }
}

fn outcome(player: PlayerId) -> Outcome {
    Outcome { player, verdict: Verdict::Correct, points: 967, total: 967, rank: 1, gap: 0, streak: 1 }
}

fn board(question: u16, last: bool, player: PlayerId) -> BoardPublished {
    BoardPublished {
        question,
        key: AnswerKey::Single { options: 4, correct: Picks::one(2) },
        explanation: Some("because".into()),
        distribution: vec![0, 0, 1, 0],
        answered: 1,
        correct: 1,
        players: 2,
        top: vec![BoardRow { rank: 1, player, nickname: "Ada".into(), total: 967, points: 967 }],
        last,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_joins_answers_and_is_acked() {
    let rig = Rig::start().await;
    let game = rig.create().await;
    let mut ada = rig.client().await;
    let joined = ada.join(game.pin, "  Ada ").await;
    assert_eq!((joined.game, joined.nickname.as_str(), joined.questions), (game.game, "Ada", 2));

    rig.script.open(game.game, 0).await;
    let question = ada.question().await;
    assert_eq!((question.question, question.of, question.options.len()), (0, 2, 4));
    assert!((15_000..=20_000).contains(&question.left_ms), "{}", question.left_ms);

    ada.pick(0, 7, 2).await;
    let ack = ada.ack().await;
    assert_eq!((ack.question, ack.submission.bits(), ack.receipt.len()), (0, 7, 26));
    let (position, answer) = rig.script.saw(submitted).await;
    assert_eq!(ack.position, (position.partition, position.offset), "acked means logged (I1)");
    assert_eq!(answer.player, joined.player);
    assert_eq!(answer.elapsed_us / 1000, ack.elapsed_ms);

    // A resend has the same receipt and position, and costs no second record (I2).
    ada.pick(0, 7, 2).await;
    assert_eq!(ada.ack().await, ack);
    assert_eq!(rig.script.count(|record| submitted(record).is_some()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_and_player_play_a_round() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let game = created.game;
    let mut host = rig.client().await;
    let hosting = host.host(&created.host_token).await;
    assert_eq!((hosting.pin, hosting.questions, hosting.players), (created.pin, 2, 0));
    let mut ada = rig.client().await;
    let joined = ada.join(created.pin, "Ada").await;
    let newcomer = host
        .until(|message| match message {
            ServerMessage::Lobby(lobby) => lobby.joined.first().cloned(),
            _ => None,
        })
        .await;
    assert_eq!((newcomer.player, newcomer.nickname.as_str()), (joined.player, "Ada"));

    host.command("c1", HostAction::Open { question: Some(0) }).await;
    host.until(|message| (message == ServerMessage::Done { id: "c1".into() }).then_some(())).await;
    let is_open = |record: &Record| match &record.event {
        AnyEvent::Commands(commands) => matches!(&commands.body, CommandsBody::OpenQuestion(_)).then_some(()),
        _ => None,
    };
    rig.script.saw(is_open).await;
    rig.script.open(game, 0).await;
    ada.question().await;
    rig.script.stop(game, 0).await;
    rig.script.say_as(game, Some("q0.board".into()), board(0, false, joined.player)).await;
    let batch = OutcomesPublished { question: 0, part: 0, parts: 1, outcomes: vec![outcome(joined.player)] };
    rig.script.say_as(game, Some("q0.outcomes.0".into()), batch).await;
    let told = ada
        .until(|message| match message {
            ServerMessage::Board(board) => Some(board),
            _ => None,
        })
        .await;
    assert_eq!((told.correct.picks, told.top.len()), (Some(vec![2]), 1));
    let own = ada
        .until(|message| match message {
            ServerMessage::Outcome(outcome) => Some(outcome),
            _ => None,
        })
        .await;
    assert_eq!((own.total, own.rank, own.players), (967, 1, 2));
    rig.script.say(game, CommandRefused { reason: CommandRejection::StaleQuestion }).await;
    let refused = host.error().await;
    assert_eq!((refused.code, refused.reason), (ErrorCode::CommandRefused, Some(CommandRejection::StaleQuestion)));
    rig.script.say(game, GameEnded { reason: OverReason::Host, players: 2, top: Vec::new() }).await;
    for client in [&mut ada, &mut host] {
        client.until(|message| matches!(message, ServerMessage::Over(_)).then_some(())).await;
    }
    let board = reqwest::Client::new()
        .get(format!("http://{}/v1/games/{game}/board", rig.edge.address))
        .bearer_auth(&created.host_token)
        .send()
        .await
        .unwrap();
    assert_eq!(board.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_goes_on_at_another_edge_and_gains_no_time() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let mut ada = rig.client().await;
    let joined = ada.join(created.pin, "Ada").await;
    let asked = &quiz().questions[0];
    let view = QuestionView {
        kind: asked.kind,
        prompt: asked.prompt.clone(),
        options: asked.options.clone(),
        points_max: asked.points_max,
        limit_ms: asked.limit_ms,
    };
    // The worker's wall clock is far off: nobody's time depends on it.
    let opened_at_us = quiz_ingest::clock::wall_us() - 300_000_000;
    let deadline_us = opened_at_us + 20_000_000;
    rig.script.say(created.game, QuestionShown { question: 0, view, opened_at_us, deadline_us }).await;
    ada.question().await;
    let opened = std::time::Instant::now();
    drop(ada);
    rig.script
        .saw(|record| match joins(record) {
            Some(JoinsBody::PlayerDisconnected(gone)) if gone.player == joined.player => Some(()),
            _ => None,
        })
        .await;

    let other = rig.another_edge().await;
    // Time passes, which is what is measured: the player is away for a while.
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    let mut ada = Client::connect(other.address).await;
    let again = ada.resume(&joined.token).await.expect("the token is good at every edge");
    assert_eq!((again.player, again.nickname.as_str()), (joined.player, "Ada"));
    let question = ada.question().await;
    let away_ms = i64::try_from(opened.elapsed().as_millis()).unwrap();
    assert!((18_500 - away_ms..=18_800).contains(&question.left_ms), "{}", question.left_ms);
    rig.script
        .saw(|record| match joins(record) {
            Some(JoinsBody::PlayerConnected(back)) if back.player == joined.player => Some(()),
            _ => None,
        })
        .await;
    ada.pick(0, 1, 2).await;
    let ack = ada.ack().await;
    assert!(ack.elapsed_ms >= 1_190, "reconnecting gains no time: {}", ack.elapsed_ms);
    let open_ms = i64::try_from(opened.elapsed().as_millis()).unwrap();
    assert!(ack.elapsed_ms <= open_ms + 1_000, "a wall clock has crept in: {}", ack.elapsed_ms);
    ada.socket.close(None).await.unwrap();
    let gone = rig
        .script
        .saw(|record| match joins(record) {
            Some(JoinsBody::PlayerDisconnected(gone)) if gone.answered.is_some() => Some(gone.clone()),
            _ => None,
        })
        .await;
    assert_eq!(gone, PlayerDisconnected { player: joined.player, answered: Some(0) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_player_has_the_board_and_the_own_outcome() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let mut ada = rig.client().await;
    let joined = ada.join(created.pin, "Ada").await;
    rig.script.open(created.game, 0).await;
    rig.script.stop(created.game, 0).await;
    rig.script.say_as(created.game, Some("q0.board".into()), board(0, false, joined.player)).await;
    ada.until(|message| matches!(message, ServerMessage::Board(_)).then_some(())).await;
    let mut again = rig.client().await;
    again.resume(&joined.token).await.expect("resumed");
    again.until(|message| matches!(message, ServerMessage::Board(_)).then_some(())).await;
    // The board is told before the standings are stored: the edge looks again.
    let lane = LaneKey::of(created.game, joined.player, 1);
    let doc = StandingsDoc { lane, question: 0, outcomes: vec![outcome(joined.player)] };
    rig.store.write(&[Write::Standings(doc)]).await.unwrap();
    let own = again
        .until(|message| match message {
            ServerMessage::Outcome(outcome) => Some(outcome),
            _ => None,
        })
        .await;
    assert_eq!((own.question, own.total, own.players), (0, 967, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_player_is_closed_and_stays_out() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let mut ada = rig.client().await;
    let joined = ada.join(created.pin, "Ada").await;
    let kicked = LobbyChanged {
        admitted: Vec::new(),
        refused: Vec::new(),
        kicked: vec![joined.player],
        players: 0,
        connected: 0,
    };
    rig.script.say(created.game, kicked).await;
    ada.until(|message| (message == ServerMessage::Kicked).then_some(())).await;
    assert_eq!(ada.closed().await, 3503);
    let mut again = rig.client().await;
    assert_eq!(again.resume(&joined.token).await.unwrap_err().code, ErrorCode::Banned);
    assert_eq!(again.closed().await, 3503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_games_share_an_edge_and_hear_only_their_own() {
    let rig = Rig::start().await;
    let mut rooms: Vec<(GameId, Client)> = Vec::new();
    for room in 0..30 {
        let created = rig.create().await;
        let mut player = rig.client().await;
        player.join(created.pin, &format!("player {room}")).await;
        rooms.push((created.game, player));
    }
    for (game, _) in &rooms {
        rig.script.open(*game, 0).await;
    }
    for (submission, (_, player)) in rooms.iter_mut().enumerate() {
        assert_eq!(player.question().await.question, 0);
        player.pick(0, submission as u64, 1).await;
        assert_eq!(player.ack().await.submission.bits(), submission as u64);
    }
    for submission in 0..rooms.len() as u64 {
        let is_it = |record: &Record| submitted(record).filter(|(_, answer)| answer.submission.bits() == submission);
        rig.script.saw(is_it).await;
    }
    assert_eq!(rig.script.count(|record| submitted(record).is_some()), rooms.len());
}
