//! The cases, each with its own few documents.

use std::sync::Arc;

use futures::future::join_all;
use quiz_schemas::quiz::{OPTIONS_MAX, Picks, Response};
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, Position, SubmissionId};

use super::Sample;
use crate::documents::{AnswerDoc, PinDoc, Write};
use crate::{Store, StoreError, WRITES_MAX};

const LONG_AGO_US: i64 = 1_000_000;
const FAR_AHEAD_US: i64 = 4_000_000_000_000_000;

/// Players of the biggest lane that has to survive: more than twice what a lane is planned for.
const BIG_LANE_PLAYERS: usize = 5_000;

type Shared = Arc<dyn Store>;

async fn write(store: &Shared, writes: &[Write]) {
    store.write(writes).await.expect("writes");
}

pub(super) async fn nothing_is_found_in_an_empty_store(store: Shared, mut sample: Sample) {
    let lane = sample.lane();
    assert_eq!(store.lanes(&[]).await, Ok(vec![]));
    assert_eq!(store.lanes(&[lane, lane]).await, Ok(vec![None, None]));
    assert_eq!(store.view(lane.game).await, Ok(None));
    assert_eq!(store.board(lane.game, 0).await, Ok(None));
    assert_eq!(store.standings(lane).await, Ok(None));
    assert_eq!(store.answers(lane, 0).await, Ok(vec![]));
    assert_eq!(store.answers_count(lane, 0).await, Ok(0));
    assert_eq!(store.ledgers(lane.game).await, Ok(vec![]));
    write(&store, &[]).await;
}

pub(super) async fn an_answer_inserted_twice_is_stored_once(store: Shared, mut sample: Sample) {
    let (lane, player, other) = (sample.lane(), sample.player(), sample.player());
    let first = sample.answer(lane, 3, player);
    let second = sample.answer(lane, 3, player);
    let beside = sample.answer(lane, 3, other);
    write(&store, &[Write::Answer(first.clone())]).await;
    write(&store, &[Write::Answer(first.clone())]).await;
    // A duplicate does not keep the others of its batch out.
    write(&store, &[Write::Answer(second), Write::Answer(beside.clone())]).await;
    let mut expected = vec![first, beside];
    expected.sort_by_key(|doc| doc.player);
    assert_eq!(store.answers_count(lane, 3).await, Ok(2));
    assert_eq!(store.answers_count(lane, 4).await, Ok(0));
    assert_eq!(store.answer(lane, 3, expected[0].player).await, Ok(Some(expected[0].clone())));
    assert_eq!(store.answer(lane, 4, expected[0].player).await, Ok(None));
    assert_eq!(store.answer(lane, 3, sample.player()).await, Ok(None));
    assert_eq!(store.answers(lane, 3).await, Ok(expected));
}

pub(super) async fn an_older_lane_does_not_replace_a_newer_one(store: Shared, mut sample: Sample) {
    let lane = sample.lane();
    let [old, new, same, newest] = [10, 11, 11, i64::MAX].map(|offset| sample.lane_doc(lane, offset, 2));
    write(&store, &[Write::Lane(new.clone())]).await;
    write(&store, &[Write::Lane(old)]).await;
    assert_eq!(store.lanes(&[lane]).await, Ok(vec![Some(new.clone())]));
    write(&store, &[Write::Lane(same)]).await;
    assert_eq!(store.lanes(&[lane]).await, Ok(vec![Some(new)]));
    write(&store, &[Write::Lane(newest.clone())]).await;
    assert_eq!(store.lanes(&[lane]).await, Ok(vec![Some(newest)]));
}

pub(super) async fn an_older_view_does_not_replace_a_newer_one(store: Shared, mut sample: Sample) {
    let game = sample.game();
    let [old, new, same, newest] = [-1, 0, 0, 1 << 40].map(|version| sample.view_doc(game, version));
    write(&store, &[Write::View(Box::new(new.clone()))]).await;
    write(&store, &[Write::View(Box::new(old))]).await;
    assert_eq!(store.view(game).await, Ok(Some(new.clone())));
    write(&store, &[Write::View(Box::new(same))]).await;
    assert_eq!(store.view(game).await, Ok(Some(new)));
    write(&store, &[Write::View(Box::new(newest.clone()))]).await;
    assert_eq!(store.view(game).await, Ok(Some(newest)));
}

pub(super) async fn older_books_do_not_replace_newer_ones(store: Shared, mut sample: Sample) {
    let game = sample.game();
    let [old, new, same, newest] = [0, 1, 1, i32::MAX].map(|version| sample.ledger_doc(game, 7, version));
    let before = sample.ledger_doc(game, 2, 5);
    write(&store, &[Write::Ledger(new.clone())]).await;
    write(&store, &[Write::Ledger(old)]).await;
    write(&store, &[Write::Ledger(same), Write::Ledger(before.clone())]).await;
    assert_eq!(store.ledgers(game).await, Ok(vec![before.clone(), new]));
    write(&store, &[Write::Ledger(newest.clone())]).await;
    assert_eq!(store.ledgers(game).await, Ok(vec![before, newest]));
    assert_eq!(store.ledgers(sample.game()).await, Ok(vec![]));
}

pub(super) async fn older_standings_do_not_replace_newer_ones(store: Shared, mut sample: Sample) {
    let lane = sample.lane();
    let [old, new, same, newest] = [0, 1, 1, u16::MAX].map(|question| sample.standings_doc(lane, question, 3));
    write(&store, &[Write::Standings(new.clone())]).await;
    write(&store, &[Write::Standings(old)]).await;
    assert_eq!(store.standings(lane).await, Ok(Some(new.clone())));
    write(&store, &[Write::Standings(same)]).await;
    assert_eq!(store.standings(lane).await, Ok(Some(new)));
    write(&store, &[Write::Standings(newest.clone())]).await;
    assert_eq!(store.standings(lane).await, Ok(Some(newest)));
}

/// Goal: of writers that all find no document, an older one that inserts first must not keep a
/// newer one out. Method: many rounds of a few writers on a new key each.
pub(super) async fn of_writers_at_once_the_newest_wins(store: Shared, mut sample: Sample) {
    for _ in 0..25 {
        let lane = sample.lane();
        let mut docs: Vec<_> = (1..=8).map(|offset| sample.lane_doc(lane, offset, 1)).collect();
        let newest = docs[7].clone();
        let turn = sample.below(8) as usize;
        docs.rotate_left(turn);
        let outcomes = join_all(docs.into_iter().map(|doc| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.write(&[Write::Lane(doc)]).await })
        }));
        for outcome in outcomes.await {
            assert_eq!(outcome.expect("no panic"), Ok(()));
        }
        assert_eq!(store.lanes(&[lane]).await, Ok(vec![Some(newest)]));
    }
}

pub(super) async fn a_board_is_replaced(store: Shared, mut sample: Sample) {
    let game = sample.game();
    let [first, second, other] = [1, 1, 2].map(|question| sample.board_doc(game, question));
    write(&store, &[Write::Board(first.clone()), Write::Board(other.clone())]).await;
    assert_eq!(store.board(game, 1).await, Ok(Some(first)));
    write(&store, &[Write::Board(second.clone())]).await;
    assert_eq!(store.board(game, 1).await, Ok(Some(second)));
    assert_eq!(store.board(game, 2).await, Ok(Some(other)));
    assert_eq!(store.board(game, 3).await, Ok(None));
}

pub(super) async fn one_call_may_repeat_a_document(store: Shared, mut sample: Sample) {
    let (lane, player) = (sample.lane(), sample.player());
    let [first, second] = [0, 0].map(|question| sample.answer(lane, question, player));
    let [newer, older] = [9, 5].map(|offset| sample.lane_doc(lane, offset, 1));
    let [early, late] = [1, 2].map(|version| sample.view_doc(lane.game, version));
    write(
        &store,
        &[
            Write::Answer(first.clone()),
            Write::Lane(newer.clone()),
            Write::View(Box::new(early)),
            Write::Answer(second),
            Write::Lane(older),
            Write::View(Box::new(late.clone())),
        ],
    )
    .await;
    assert_eq!(store.answers(lane, 0).await, Ok(vec![first]));
    assert_eq!(store.lanes(&[lane]).await, Ok(vec![Some(newer)]));
    assert_eq!(store.view(lane.game).await, Ok(Some(late)));
}

/// Goal: a call beyond the bound is refused as a whole, and one of several internal batches is
/// written as a whole, duplicates in each of them.
pub(super) async fn a_call_is_bounded(store: Shared, mut sample: Sample) {
    let lane = sample.lane();
    let one = Write::Answer(sample.answer(lane, 0, PlayerId::from_bits(1)));
    let refused = store.write(&vec![one; WRITES_MAX + 1]).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(store.answers(lane, 0).await, Ok(vec![]));

    let docs: Vec<AnswerDoc> = (0..5_000).map(|bits| sample.answer(lane, 1, PlayerId::from_bits(bits))).collect();
    let all: Vec<Write> = docs.iter().cloned().map(Write::Answer).collect();
    let every_third: Vec<Write> = all.iter().step_by(3).cloned().collect();
    write(&store, &every_third).await;
    write(&store, &all).await;
    assert_eq!(store.answers(lane, 1).await, Ok(docs));
}

pub(super) async fn answers_come_by_lane_and_question_and_player(store: Shared, mut sample: Sample) {
    let game = sample.game();
    let lanes = [0, 1, 11].map(|lane| LaneKey { game, lane });
    let mut all = Vec::new();
    for lane in lanes {
        for question in [0, 1, 10] {
            // A player is in one lane of a game.
            let base = u64::from(lane.lane) * 64;
            let players = [(u64::MAX >> 1) - base, base + 1, base + 32, base + 31, base];
            all.extend(players.map(|bits| sample.answer(lane, question, PlayerId::from_bits(bits))));
        }
    }
    let writes: Vec<Write> = all.iter().cloned().map(Write::Answer).collect();
    write(&store, &writes).await;
    for lane in lanes {
        for question in [0, 1, 10] {
            let mut expected: Vec<AnswerDoc> =
                all.iter().filter(|doc| doc.lane == lane.lane && doc.question == question).cloned().collect();
            expected.sort_by_key(|doc| doc.player);
            assert_eq!(store.answers(lane, question).await, Ok(expected));
        }
        assert_eq!(store.answers(lane, 2).await, Ok(vec![]));
    }
}

pub(super) async fn lanes_come_in_the_order_asked_for(store: Shared, mut sample: Sample) {
    let game = sample.game();
    let keys: Vec<LaneKey> = (0..40).map(|lane| LaneKey { game, lane }).collect();
    let docs: Vec<_> = keys.iter().map(|&key| sample.lane_doc(key, i64::from(key.lane), 1)).collect();
    let odd: Vec<Write> = docs.iter().filter(|doc| doc.lane.lane % 2 == 1).cloned().map(Write::Lane).collect();
    write(&store, &odd).await;
    let asked: Vec<LaneKey> = keys.iter().rev().copied().collect();
    let expected: Vec<_> = docs.iter().rev().map(|doc| (doc.lane.lane % 2 == 1).then(|| doc.clone())).collect();
    assert_eq!(store.lanes(&asked).await, Ok(expected));
}

pub(super) async fn a_pin_is_held_by_one_game_until_it_expires(store: Shared, mut sample: Sample) {
    let held = sample.pin_doc(FAR_AHEAD_US);
    let rival = PinDoc { game: sample.game(), ..held.clone() };
    assert_eq!(store.pin(held.pin, 0).await, Ok(None));
    assert_eq!(store.reserve_pin(&held).await, Ok(true));
    assert_eq!(store.reserve_pin(&held).await, Ok(true));
    assert_eq!(store.reserve_pin(&rival).await, Ok(false));
    assert_eq!(store.pin(held.pin, FAR_AHEAD_US - 1).await, Ok(Some(held.clone())));
    assert_eq!(store.pin(held.pin, FAR_AHEAD_US).await, Ok(None));

    // One that has expired is free for anybody, also while its document is there still.
    let past = sample.pin_doc(LONG_AGO_US);
    let next = PinDoc { game: sample.game(), expires_at_us: FAR_AHEAD_US, ..past.clone() };
    assert_eq!(store.reserve_pin(&past).await, Ok(true));
    assert_eq!(store.pin(past.pin, LONG_AGO_US + 1).await, Ok(None));
    assert_eq!(store.reserve_pin(&next).await, Ok(true));
    assert_eq!(store.pin(next.pin, LONG_AGO_US).await, Ok(Some(next.clone())));
    assert_eq!(store.reserve_pin(&past).await, Ok(false));
}

pub(super) async fn of_games_that_want_a_pin_one_gets_it(store: Shared, mut sample: Sample) {
    for round in 0..10 {
        let free = sample.pin_doc(FAR_AHEAD_US);
        if round % 2 == 0 {
            let expired = PinDoc { game: sample.game(), expires_at_us: LONG_AGO_US, ..free.clone() };
            assert_eq!(store.reserve_pin(&expired).await, Ok(true));
        }
        let wanted: Vec<PinDoc> = (0..6).map(|_| PinDoc { game: sample.game(), ..free.clone() }).collect();
        let outcomes = join_all(wanted.iter().cloned().map(|doc| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.reserve_pin(&doc).await })
        }));
        let mut winners = Vec::new();
        for (doc, outcome) in wanted.iter().zip(outcomes.await) {
            if outcome.expect("no panic").expect("an answer") {
                winners.push(doc.clone());
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(store.pin(free.pin, LONG_AGO_US).await, Ok(winners.pop()));
    }
}

pub(super) async fn a_big_lane_survives(store: Shared, mut sample: Sample) {
    let lane = sample.lane();
    let snapshot = sample.lane_doc(lane, 1, BIG_LANE_PLAYERS);
    let standings = sample.standings_doc(lane, 1, BIG_LANE_PLAYERS);
    // Several in one call: together they are beyond what one command of MongoDB takes.
    let mut writes = vec![Write::Lane(snapshot.clone()), Write::Standings(standings.clone())];
    for other in 1..30 {
        let beside = LaneKey { game: lane.game, lane: lane.lane + other };
        writes.push(Write::Lane(sample.lane_doc(beside, 1, BIG_LANE_PLAYERS)));
    }
    write(&store, &writes).await;
    let found = store.lanes(&[lane]).await.expect("an answer");
    assert!(found == vec![Some(snapshot)], "the snapshot has changed");
    let found = store.standings(lane).await.expect("an answer");
    assert!(found == Some(standings), "the standings have changed");
}

pub(super) async fn any_text_and_any_number_survives(store: Shared, mut sample: Sample) {
    let game = [0, 1, u64::MAX >> 1].map(GameId::from_bits)[sample.below(3) as usize];
    let base = sample.below(60_000) as u16;
    let lane = LaneKey { game, lane: u16::MAX - base };
    let response = [
        Response::Picks(Picks::default()),
        Response::Picks(Picks::new(&[u8::MAX; OPTIONS_MAX]).expect("12 fit")),
        Response::Text(String::new()),
        Response::Text("\u{0}\u{FFFF}\u{10FFFF} ".repeat(100)),
        Response::Number(f64::INFINITY),
        Response::Number(-f64::MIN_POSITIVE),
        Response::Number(-0.0),
    ];
    // Extreme keys come back in a later run against the same server, where the first answer stays.
    let question = sample.below(65_536) as u16;
    let mut docs = Vec::new();
    for (at, response) in response.into_iter().enumerate() {
        let player = PlayerId::from_bits(if at == 0 { u64::MAX } else { at as u64 - 1 });
        let extremes = [(i64::MIN, i32::MIN), (i64::MAX, i32::MAX), (0, 0)][at % 3];
        docs.push(AnswerDoc {
            response,
            submission: SubmissionId::from_bits(extremes.0 as u64),
            points: extremes.1,
            elapsed_us: extremes.0,
            received_at_us: extremes.0,
            position: Position { partition: extremes.1, offset: extremes.0 },
            ..sample.answer(lane, question, player)
        });
    }
    let writes: Vec<Write> = docs.iter().cloned().map(Write::Answer).collect();
    write(&store, &writes).await;
    docs.sort_by_key(|doc| doc.player);
    assert_eq!(store.answers(lane, question).await, Ok(docs));

    let pins = [Pin::from_index(0), Pin::from_index(Pin::COUNT - 1)];
    for pin in pins {
        let doc = PinDoc { pin, game, lanes: u16::MAX, expires_at_us: 0 };
        assert_eq!(store.reserve_pin(&doc).await, Ok(true));
    }
}
