//! A store in memory that dies on demand and makes the writes of a call in an unkind order.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, QuestionNo};
use quiz_store::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, PinDoc, StandingsDoc, Store, StoreError, ViewDoc, Write};

#[derive(Default)]
pub struct FakeStore(Mutex<Kept>);

#[derive(Default)]
pub struct Kept {
    pub answers: BTreeMap<(LaneKey, QuestionNo, PlayerId), AnswerDoc>,
    pub lanes: BTreeMap<LaneKey, LaneDoc>,
    /// How many more single writes succeed; none: all.
    pub budget: Option<usize>,
}

impl FakeStore {
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }
}

impl Kept {
    /// How many answers and how many lanes there are.
    pub fn len(&self) -> (usize, usize) {
        (self.answers.len(), self.lanes.len())
    }

    fn make(&mut self, write: &Write) -> Result<(), StoreError> {
        if self.budget == Some(0) {
            return Err(StoreError::Unavailable("it died".into()));
        }
        self.budget = self.budget.map(|left| left - 1);
        match write {
            Write::Answer(doc) => {
                let lane = LaneKey { game: doc.game, lane: doc.lane };
                self.answers.entry((lane, doc.question, doc.player)).or_insert_with(|| doc.clone());
            }
            Write::Lane(doc) => {
                let is_newer = |old: &LaneDoc| doc.position.offset > old.position.offset;
                if self.lanes.get(&doc.lane).is_none_or(is_newer) {
                    self.lanes.insert(doc.lane, doc.clone());
                }
            }
            other => panic!("scoring does not write {other:?}"),
        }
        Ok(())
    }
}

fn not_here<T>() -> Result<T, StoreError> {
    Err(StoreError::Refused("scoring does not ask for it".into()))
}

#[async_trait]
impl Store for FakeStore {
    /// Snapshots first, the newest answers first: the order that hurts most when it dies.
    async fn write(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut kept = self.kept();
        let is_lane = |write: &&Write| matches!(write, Write::Lane(_));
        let (lanes, answers): (Vec<&Write>, Vec<&Write>) = writes.iter().rev().partition(is_lane);
        lanes.into_iter().chain(answers).try_for_each(|write| kept.make(write))
    }

    async fn lanes(&self, keys: &[LaneKey]) -> Result<Vec<Option<LaneDoc>>, StoreError> {
        let kept = self.kept();
        Ok(keys.iter().map(|key| kept.lanes.get(key).cloned()).collect())
    }

    async fn view(&self, _game: GameId) -> Result<Option<ViewDoc>, StoreError> {
        not_here()
    }

    async fn board(&self, _game: GameId, _question: QuestionNo) -> Result<Option<BoardDoc>, StoreError> {
        not_here()
    }

    async fn standings(&self, _lane: LaneKey) -> Result<Option<StandingsDoc>, StoreError> {
        not_here()
    }

    async fn answers(&self, _lane: LaneKey, _question: QuestionNo) -> Result<Vec<AnswerDoc>, StoreError> {
        not_here()
    }

    async fn answers_count(&self, _lane: LaneKey, _question: QuestionNo) -> Result<i64, StoreError> {
        not_here()
    }

    async fn answer(
        &self,
        _lane: LaneKey,
        _question: QuestionNo,
        _player: PlayerId,
    ) -> Result<Option<AnswerDoc>, StoreError> {
        not_here()
    }

    async fn ledgers(&self, _game: GameId) -> Result<Vec<LedgerDoc>, StoreError> {
        not_here()
    }

    async fn reserve_pin(&self, _pin: &PinDoc) -> Result<bool, StoreError> {
        not_here()
    }

    async fn pin(&self, _pin: Pin, _now_us: i64) -> Result<Option<PinDoc>, StoreError> {
        not_here()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        not_here()
    }
}
