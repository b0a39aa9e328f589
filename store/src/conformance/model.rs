//! What a store should hold, in the plainest way: one write after the other into maps.

use std::collections::BTreeMap;

use quiz_schemas::{GameId, LaneKey, PlayerId, QuestionNo};

use crate::documents::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, StandingsDoc, ViewDoc, Write};

/// A store without concurrency, bounds or failures.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Model {
    /// First answers.
    pub answers: BTreeMap<(LaneKey, QuestionNo, PlayerId), AnswerDoc>,
    /// Newest lanes.
    pub lanes: BTreeMap<LaneKey, LaneDoc>,
    /// Newest views.
    pub views: BTreeMap<GameId, ViewDoc>,
    /// Last boards.
    pub boards: BTreeMap<(GameId, QuestionNo), BoardDoc>,
    /// Newest standings.
    pub standings: BTreeMap<LaneKey, StandingsDoc>,
    /// Newest books.
    pub ledgers: BTreeMap<(GameId, QuestionNo), LedgerDoc>,
}

impl Model {
    /// Makes one write.
    pub fn apply(&mut self, write: &Write) {
        match write {
            Write::Answer(doc) => {
                let key = (LaneKey { game: doc.game, lane: doc.lane }, doc.question, doc.player);
                self.answers.entry(key).or_insert_with(|| doc.clone());
            }
            Write::Lane(doc) => {
                let old = self.lanes.get(&doc.lane);
                if old.is_none() || old.is_some_and(|old| old.position.offset < doc.position.offset) {
                    self.lanes.insert(doc.lane, doc.clone());
                }
            }
            Write::View(doc) => {
                let old = self.views.get(&doc.game);
                if old.is_none() || old.is_some_and(|old| old.version < doc.version) {
                    self.views.insert(doc.game, doc.as_ref().clone());
                }
            }
            Write::Board(doc) => {
                self.boards.insert((doc.game, doc.question), doc.clone());
            }
            Write::Standings(doc) => {
                let old = self.standings.get(&doc.lane);
                if old.is_none() || old.is_some_and(|old| old.question < doc.question) {
                    self.standings.insert(doc.lane, doc.clone());
                }
            }
            Write::Ledger(doc) => {
                let old = self.ledgers.get(&(doc.game, doc.question));
                if old.is_none_or(|old| old.ledger.version < doc.ledger.version) {
                    self.ledgers.insert((doc.game, doc.question), doc.clone());
                }
            }
        }
    }
}
