//! Random writes against the model.

use std::sync::Arc;

use futures::future::join_all;
use quiz_schemas::{GameId, LaneKey, PlayerId};

use super::{Model, Sample};
use crate::Store;
use crate::documents::Write;

const STEPS: u64 = 60;
const LANES: u64 = 3;
const QUESTIONS: u64 = 3;
const PLAYERS: u64 = 4;

/// Goal: whatever the order, the repeats and the cuts into calls, the store holds what the model
/// holds after the same writes one by one. Method: few keys and few versions, so that most writes
/// meet another; after each call everything is compared.
pub(super) async fn random_writes_end_where_the_model_does(store: Arc<dyn Store>, mut sample: Sample) {
    let game = sample.game();
    let mut model = Model::default();
    for step in 0..STEPS {
        let count = sample.below(8);
        let writes: Vec<Write> = (0..count).map(|_| random_write(&mut sample, game)).collect();
        store.write(&writes).await.expect("writes");
        writes.iter().for_each(|write| model.apply(write));
        assert_same(&store, &model, game, step).await;
    }
}

/// Goal: versioned documents end at the newest and no answer is lost, also when calls overlap.
/// Method: equal keys and versions carry equal documents, so that the end does not hang on order.
pub(super) async fn random_writes_at_once_end_where_the_model_does(store: Arc<dyn Store>, mut sample: Sample) {
    let seed = sample.bits();
    for round in 0..10 {
        let game = sample.game();
        let mut model = Model::default();
        let mut calls: Vec<Vec<Write>> = Vec::new();
        for _ in 0..12 {
            let count = 1 + sample.below(6);
            let writes = (0..count).map(|_| stable_write(&mut sample, game, seed)).collect();
            calls.push(writes);
        }
        calls.iter().flatten().for_each(|write| model.apply(write));
        let outcomes = join_all(calls.into_iter().map(|writes| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.write(&writes).await })
        }));
        for outcome in outcomes.await {
            assert_eq!(outcome.expect("no panic"), Ok(()));
        }
        assert_same(&store, &model, game, round).await;
    }
}

fn random_write(sample: &mut Sample, game: GameId) -> Write {
    let lane = LaneKey { game, lane: sample.below(LANES) as u16 };
    let question = sample.below(QUESTIONS) as u16;
    match sample.below(6) {
        0 => {
            let player = random_player(sample, lane);
            Write::Answer(sample.answer(lane, question, player))
        }
        1 => {
            let offset = sample.below(20) as i64;
            Write::Lane(sample.lane_doc(lane, offset, 2))
        }
        2 => {
            let version = sample.below(20) as i64;
            Write::View(Box::new(sample.view_doc(game, version)))
        }
        3 => Write::Board(sample.board_doc(game, question)),
        4 => Write::Standings(sample.standings_doc(lane, question, 2)),
        _ => {
            let version = sample.below(20) as i32;
            Write::Ledger(sample.ledger_doc(game, question, version))
        }
    }
}

/// A random write whose content follows from its key and version.
fn stable_write(sample: &mut Sample, game: GameId, seed: u64) -> Write {
    let lane = LaneKey { game, lane: sample.below(LANES) as u16 };
    let (version, player) = (sample.below(8), random_player(sample, lane));
    let mut content = Sample::new(seed ^ version);
    match sample.below(6) {
        0 => Write::Answer(content.answer(lane, version as u16, player)),
        1 => Write::Lane(content.lane_doc(lane, version as i64, 2)),
        2 => Write::View(Box::new(content.view_doc(game, version as i64))),
        3 => Write::Board(content.board_doc(game, version as u16)),
        4 => Write::Standings(content.standings_doc(lane, version as u16, 2)),
        _ => Write::Ledger(content.ledger_doc(game, version as u16, version as i32)),
    }
}

/// One of the few players of `lane`; a player is in one lane of a game.
fn random_player(sample: &mut Sample, lane: LaneKey) -> PlayerId {
    PlayerId::from_bits(u64::from(lane.lane) * PLAYERS + sample.below(PLAYERS))
}

async fn assert_same(store: &Arc<dyn Store>, model: &Model, game: GameId, step: u64) {
    let lanes: Vec<LaneKey> = (0..LANES as u16).map(|lane| LaneKey { game, lane }).collect();
    let expected: Vec<_> = lanes.iter().map(|lane| model.lanes.get(lane).cloned()).collect();
    assert_eq!(store.lanes(&lanes).await, Ok(expected), "step {step}");
    assert_eq!(store.view(game).await, Ok(model.views.get(&game).cloned()), "step {step}");
    for &lane in &lanes {
        assert_eq!(store.standings(lane).await, Ok(model.standings.get(&lane).cloned()), "step {step}");
    }
    let books: Vec<_> = model.ledgers.range((game, 0)..=(game, u16::MAX)).map(|(_, doc)| doc.clone()).collect();
    assert_eq!(store.ledgers(game).await, Ok(books), "step {step}");
    for question in 0..8 {
        let board = model.boards.get(&(game, question)).cloned();
        assert_eq!(store.board(game, question).await, Ok(board), "step {step}");
        for &lane in &lanes {
            let range = (lane, question, PlayerId::from_bits(0))..=(lane, question, PlayerId::from_bits(u64::MAX));
            let expected: Vec<_> = model.answers.range(range).map(|(_, doc)| doc.clone()).collect();
            assert_eq!(store.answers(lane, question).await, Ok(expected), "step {step}");
        }
    }
}
