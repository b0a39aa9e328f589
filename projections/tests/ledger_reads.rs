//! Goal: a load of the ledger brings what was asked for, in that order, and its reads wait together, not one
//! behind the other, yet not all at once. Method: a store that says how many reads are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use quiz_projections::ledger::{Doc, Key, LaneLog, LaneQuestion, LedgerStore};
use quiz_schemas::events::AnswersRecord;
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, QuestionNo};
use quiz_store::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, PinDoc, StandingsDoc, Store, StoreError, ViewDoc, Write};
use quiz_stream::{StateStore, StoreUnavailable};
use tokio::task::yield_now;

const GAMES: u64 = 200;

#[derive(Default)]
struct Busy {
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Busy {
    /// Takes a few turns of the scheduler, of another number for each game.
    async fn read(&self, game: GameId) {
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        for _ in 0..game.bits() % 7 {
            yield_now().await;
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for Busy {
    async fn answers_count(&self, lane: LaneKey, _: QuestionNo) -> Result<i64, StoreError> {
        self.read(lane.game).await;
        Ok(lane.game.bits() as i64)
    }

    async fn ledgers(&self, game: GameId) -> Result<Vec<LedgerDoc>, StoreError> {
        self.read(game).await;
        Ok(Vec::new())
    }

    async fn write(&self, _: &[Write]) -> Result<(), StoreError> {
        unreachable!("a load writes nothing")
    }
    async fn lanes(&self, _: &[LaneKey]) -> Result<Vec<Option<LaneDoc>>, StoreError> {
        unreachable!("the ledger reads no lane")
    }
    async fn view(&self, _: GameId) -> Result<Option<ViewDoc>, StoreError> {
        unreachable!("the ledger reads no view")
    }
    async fn board(&self, _: GameId, _: QuestionNo) -> Result<Option<BoardDoc>, StoreError> {
        unreachable!("the ledger reads no board")
    }
    async fn standings(&self, _: LaneKey) -> Result<Option<StandingsDoc>, StoreError> {
        unreachable!("the ledger reads no standings")
    }
    async fn answers(&self, _: LaneKey, _: QuestionNo) -> Result<Vec<AnswerDoc>, StoreError> {
        unreachable!("nothing is compared")
    }
    async fn answer(&self, _: LaneKey, _: QuestionNo, _: PlayerId) -> Result<Option<AnswerDoc>, StoreError> {
        unreachable!("the ledger reads no single answer")
    }
    async fn reserve_pin(&self, _: &PinDoc) -> Result<bool, StoreError> {
        unreachable!("the ledger has no pins")
    }
    async fn pin(&self, _: Pin, _: i64) -> Result<Option<PinDoc>, StoreError> {
        unreachable!("the ledger has no pins")
    }
    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

struct NoLog;

#[async_trait]
impl LaneLog for NoLog {
    async fn read(&self, _: i32, _: i64, _: &[LaneKey]) -> Result<Vec<AnswersRecord>, StoreUnavailable> {
        unreachable!("nothing is compared")
    }
}

#[tokio::test]
async fn reads_of_a_load_wait_together_and_come_in_order() {
    let games = (0..GAMES).map(GameId::from_bits);
    let keys: Vec<Key> = games
        .flat_map(|game| [Key::Books(game), Key::Count(LaneQuestion { lane: LaneKey { game, lane: 0 }, question: 3 })])
        .collect();
    let busy = Arc::new(Busy::default());
    let store = LedgerStore::new(Arc::clone(&busy) as Arc<dyn Store>, Arc::new(NoLog));
    let docs = store.load(&keys).await.expect("the store answers");
    assert_eq!(docs.len(), keys.len());
    for (key, doc) in keys.iter().zip(docs) {
        match (*key, doc) {
            (Key::Books(game), Doc::Books(of, told)) => assert_eq!((of, told), (game, Vec::new())),
            (Key::Count(at), Doc::Count(of, count)) => assert_eq!((of, count), (at, at.lane.game.bits() as i64)),
            (key, doc) => panic!("{doc:?} for {key:?}"),
        }
    }
    let most = busy.most.load(Ordering::SeqCst);
    assert!((2..=64).contains(&most), "{most} reads at once");
}
