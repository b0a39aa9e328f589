//! Goal: a view is the fold of each durable event once, whatever is published again. Method: a
//! random game's results, with random re-publishes of stretches of it, are folded and compared with
//! the fold of the clean sequence, and with a naive oracle that remembers every event id seen.

use proptest::prelude::*;
use quiz_game::view::{EventId, Folded, GameView, KICKED_NEWEST_MAX, LOBBY_NEWEST_MAX};
use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, QuestionKind};
use quiz_schemas::{GameId, PlayerId};
use std::collections::HashSet;

fn record(id: Option<EventId>, body: impl Into<ResultsBody>) -> ResultsRecord {
    ResultsRecord { game: GameId::from_bits(7), at_us: 1, event_id: id.map(EventId::text), body: body.into() }
}

fn lobby(seq: i64, admitted: u64, kicked: Vec<PlayerId>) -> ResultsRecord {
    let admitted = (0..admitted)
        .map(|n| LobbyPlayer { player: PlayerId::from_bits(seq as u64 * 1_000 + n), nickname: format!("p{seq}.{n}") })
        .collect();
    let change = LobbyChanged { admitted, refused: vec![], kicked, players: seq as i32, connected: 1 };
    record(Some(EventId::Session(seq)), change)
}

fn shown(seq: i64, question: u16) -> ResultsRecord {
    let view = QuestionView {
        kind: QuestionKind::Poll,
        prompt: "?".into(),
        options: vec!["a".into(), "b".into()],
        points_max: 0,
        limit_ms: 5_000,
    };
    record(Some(EventId::Session(seq)), QuestionShown { question, view, opened_at_us: 1, deadline_us: 2 })
}

fn board(question: u16) -> ResultsRecord {
    let board = BoardPublished {
        question,
        key: AnswerKey::Poll { options: 2 },
        explanation: None,
        distribution: vec![0, 0],
        answered: 0,
        correct: 0,
        players: 0,
        top: vec![],
        last: false,
    };
    record(Some(EventId::Board(question)), board)
}

fn outcomes(question: u16, lane: u16, part: i32) -> ResultsRecord {
    let batch = OutcomesPublished { question, part, parts: 2, outcomes: vec![] };
    record(Some(EventId::Outcomes(question, lane)), batch)
}

/// The clean sequence of a game, with gaps in the session numbers as records without a result leave.
fn game(lanes: u16, questions: u16, steps: &[u8]) -> Vec<ResultsRecord> {
    let opened = GameOpened {
        pin: quiz_schemas::Pin::from_index(1),
        title: "T".into(),
        questions: i32::from(questions),
        lanes,
        capacity: 10,
    };
    let mut out = vec![record(Some(EventId::Session(0)), opened)];
    let mut seq = 0;
    for question in 0..questions {
        for step in steps {
            seq += 1 + i64::from(step % 3);
            out.push(lobby(seq, u64::from(step % 5), vec![PlayerId::from_bits(u64::from(*step))]));
        }
        seq += 1;
        out.push(shown(seq, question));
        seq += 1;
        let stopped = QuestionStopped { question, reason: StopReason::Host };
        out.push(record(Some(EventId::Session(seq)), stopped));
        out.push(board(question));
        for lane in 0..lanes {
            out.extend((0..2).map(|part| outcomes(question, lane, part)));
        }
        seq += 2;
    }
    let over = GameEnded { reason: OverReason::Finished, players: 1, top: vec![] };
    out.push(record(Some(EventId::Session(seq + 1)), over));
    out
}

proptest! {
    #[test]
    fn a_republished_stretch_changes_nothing(
        lanes in 1u16..4,
        questions in 0u16..4,
        steps in prop::collection::vec(any::<u8>(), 0..4),
        crashes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..5),
    ) {
        let clean = game(lanes, questions, &steps);
        let mut once = GameView::new(GameId::from_bits(7));
        for record in &clean {
            let before = once.version();
            prop_assert_eq!(once.fold(record), Folded::Applied);
            prop_assert!(once.version() > before);
        }
        // Each crash: the log has the sequence up to a point, and then again from an earlier one.
        let mut log = Vec::new();
        let mut from = 0;
        for (until, back) in &crashes {
            let until = from + until.index(clean.len() - from + 1);
            log.extend_from_slice(&clean[from..until]);
            from = back.index(until + 1);
        }
        log.extend_from_slice(&clean[from..]);

        let mut view = GameView::new(GameId::from_bits(7));
        let mut seen = HashSet::new();
        for record in &log {
            let part = if let ResultsBody::OutcomesPublished(batch) = &record.body { batch.part } else { 0 };
            let first = seen.insert((record.event_id.clone(), part));
            let expect = if first { Folded::Applied } else { Folded::Duplicate };
            let before = view.version();
            prop_assert_eq!(view.fold(record), expect);
            prop_assert_eq!(view.version() > before, first);
        }
        prop_assert_eq!(&view, &once);
        prop_assert_eq!(view.version(), once.version());
        let json = serde_json::to_string(&view).unwrap();
        prop_assert_eq!(serde_json::from_str::<GameView>(&json).unwrap(), view);
    }

    #[test]
    fn an_event_id_survives_its_text(seq in 0i64.., question: u16, lane: u16) {
        for id in [EventId::Session(seq), EventId::Board(question), EventId::Outcomes(question, lane)] {
            prop_assert_eq!(id.to_string().parse::<EventId>(), Ok(id));
        }
    }

    #[test]
    fn a_text_that_parses_is_the_only_name_of_its_event(text in "[sq][0-9]{0,3}[.a-z]{0,10}[.]?[0-9+-]{0,4}") {
        if let Ok(id) = text.parse::<EventId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}

#[test]
fn odd_texts_are_no_event_ids() {
    for text in [
        "",
        "s",
        "s-1",
        "s01",
        "s+1",
        "q1",
        "q1.",
        "q1.boards",
        "q70000.board",
        "q1.outcomes",
        "q1.outcomes.",
        "q1.outcomes.1.0",
        "game",
        "q.board",
        "s99999999999999999999",
        "S1",
        "q1.board ",
    ] {
        assert!(text.parse::<EventId>().is_err(), "{text:?}");
    }
}

#[test]
fn what_has_no_name_or_is_of_another_game_is_volatile() {
    let mut view = GameView::new(GameId::from_bits(7));
    let counted = record(None, AnswersCounted { question: 0, answered: 3 });
    assert_eq!(view.fold(&counted), Folded::Volatile);
    let mut foreign = lobby(1, 1, vec![]);
    foreign.game = GameId::from_bits(8);
    assert_eq!(view.fold(&foreign), Folded::Volatile);
    let mut future = lobby(1, 1, vec![]);
    future.event_id = Some("m1.medal".into());
    assert_eq!(view.fold(&future), Folded::Volatile);
    assert_eq!(view, GameView::new(GameId::from_bits(7)));
    assert_eq!(view.version(), 0);
}

#[test]
fn a_kind_from_the_future_keeps_its_place_in_the_order() {
    let mut view = GameView::new(GameId::from_bits(7));
    let future = ResultsRecord { body: ResultsBody::Unknown, ..lobby(4, 0, vec![]) };
    assert_eq!(view.fold(&future), Folded::Applied);
    assert_eq!(view.session_seq, 4);
    assert_eq!(view.fold(&lobby(4, 1, vec![])), Folded::Duplicate);
}

#[test]
fn the_lobby_keeps_the_newest_and_forgets_the_removed() {
    let mut view = GameView::new(GameId::from_bits(7));
    view.fold(&lobby(1, 150, vec![]));
    view.fold(&lobby(2, 900, vec![]));
    assert_eq!(view.lobby.len(), LOBBY_NEWEST_MAX);
    assert_eq!(view.lobby[0].nickname, "p2.700");
    let gone = view.lobby[3].player;
    view.fold(&lobby(3, 0, vec![gone]));
    assert_eq!(view.lobby.len(), LOBBY_NEWEST_MAX - 1);
    assert_eq!(view.kicked, vec![gone]);
    for seq in 4..40 {
        view.fold(&lobby(seq, 0, (0..100).map(|n| PlayerId::from_bits(n + 1_000_000)).collect()));
    }
    assert_eq!(view.kicked.len(), KICKED_NEWEST_MAX);
}

#[test]
fn who_is_admitted_again_is_in_the_lobby_once() {
    let mut view = GameView::new(GameId::from_bits(7));
    let first = lobby(1, 3, vec![]);
    view.fold(&first);
    let ResultsBody::LobbyChanged(change) = &first.body else { panic!("{first:?}") };
    let again = LobbyChanged { admitted: change.admitted[..1].to_vec(), ..change.clone() };
    view.fold(&record(Some(EventId::Session(2)), again));
    let names: Vec<_> = view.lobby.iter().map(|player| player.nickname.as_str()).collect();
    assert_eq!(names, ["p1.1", "p1.2", "p1.0"], "as the newest");
}

#[test]
fn a_stop_of_another_question_leaves_the_open_one_open() {
    let mut view = GameView::new(GameId::from_bits(7));
    view.fold(&shown(1, 3));
    view.fold(&record(Some(EventId::Session(2)), QuestionStopped { question: 2, reason: StopReason::Host }));
    assert!(view.accepting);
    view.fold(&record(Some(EventId::Session(3)), QuestionStopped { question: 3, reason: StopReason::Host }));
    assert!(!view.accepting);
}
