//! A call's writes, sorted by collection, with one write left for each document.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use quiz_schemas::{GameId, LaneKey, PlayerId, QuestionNo};

use crate::documents::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, StandingsDoc, ViewDoc, Write};
use crate::{StoreError, WRITES_MAX};

/// What a call of `Store::write` comes down to. No document occurs twice, so the writes may be made
/// in any order and at the same time.
#[derive(Debug, Default)]
pub(crate) struct Batch<'a> {
    pub(crate) answers: Vec<&'a AnswerDoc>,
    pub(crate) lanes: Vec<&'a LaneDoc>,
    pub(crate) views: Vec<&'a ViewDoc>,
    pub(crate) boards: Vec<&'a BoardDoc>,
    pub(crate) standings: Vec<&'a StandingsDoc>,
    pub(crate) ledgers: Vec<&'a LedgerDoc>,
    /// Answers left out because the call holds the same one before.
    pub(crate) answers_repeated: u64,
}

impl<'a> Batch<'a> {
    /// Sorts `writes`. Of answers with one id the first stays, of versioned documents the first of
    /// the newest, of boards the last.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there are more than [`WRITES_MAX`].
    pub(crate) fn of(writes: &'a [Write]) -> Result<Self, StoreError> {
        if writes.len() > WRITES_MAX {
            return Err(StoreError::Refused(format!("{} writes in one call, at most {WRITES_MAX}", writes.len())));
        }
        let mut batch = Batch::default();
        let mut answers: Slots<(GameId, QuestionNo, PlayerId)> = Slots::new();
        let mut lanes: Slots<LaneKey> = Slots::new();
        let mut views: Slots<GameId> = Slots::new();
        let mut boards: Slots<(GameId, QuestionNo)> = Slots::new();
        let mut standings: Slots<LaneKey> = Slots::new();
        let mut ledgers: Slots<(GameId, QuestionNo)> = Slots::new();
        for write in writes {
            match write {
                Write::Answer(doc) => {
                    let key = (doc.game, doc.question, doc.player);
                    if !answers.place(&mut batch.answers, key, doc, |_| false) {
                        batch.answers_repeated += 1;
                    }
                }
                Write::Lane(doc) => {
                    lanes.place(&mut batch.lanes, doc.lane, doc, |old| doc.position.offset > old.position.offset);
                }
                Write::View(doc) => {
                    views.place(&mut batch.views, doc.game, doc.as_ref(), |old| doc.version > old.version);
                }
                Write::Board(doc) => {
                    boards.place(&mut batch.boards, (doc.game, doc.question), doc, |_| true);
                }
                Write::Standings(doc) => {
                    standings.place(&mut batch.standings, doc.lane, doc, |old| doc.question > old.question);
                }
                Write::Ledger(doc) => {
                    let newer = |old: &LedgerDoc| doc.ledger.version > old.ledger.version;
                    ledgers.place(&mut batch.ledgers, (doc.game, doc.question), doc, newer);
                }
            }
        }
        Ok(batch)
    }
}

/// Where in its list the document of a key is.
struct Slots<K>(HashMap<K, usize>);

impl<K: Eq + Hash> Slots<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    /// Puts `doc` into `list`: at its end when the key is new, else in place of the one there when
    /// `wins` says so. True when it is in the list now.
    fn place<'a, D>(&mut self, list: &mut Vec<&'a D>, key: K, doc: &'a D, wins: impl Fn(&D) -> bool) -> bool {
        match self.0.entry(key) {
            Entry::Vacant(slot) => {
                slot.insert(list.len());
                list.push(doc);
                true
            }
            Entry::Occupied(slot) => {
                let old = &mut list[*slot.get()];
                let won = wins(old);
                if won {
                    *old = doc;
                }
                won
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conformance::{Model, Sample};

    fn random_write(kind: u8, key: u8, version: u8, content: u64) -> Write {
        let mut sample = Sample::new(content);
        let game = GameId::from_bits(u64::from(key % 2));
        let lane = LaneKey { game, lane: u16::from(key / 2 % 2) };
        let question = u16::from(version);
        match kind {
            0 => Write::Answer(sample.answer(lane, question, PlayerId::from_bits(u64::from(key)))),
            1 => Write::Lane(sample.lane_doc(lane, i64::from(version), 1)),
            2 => Write::View(Box::new(sample.view_doc(game, i64::from(version)))),
            3 => Write::Board(sample.board_doc(game, question)),
            4 => Write::Standings(sample.standings_doc(lane, question, 1)),
            _ => Write::Ledger(sample.ledger_doc(game, 1, i32::from(version))),
        }
    }

    fn writes() -> impl Strategy<Value = Vec<Write>> {
        let write = (0..6u8, 0..4u8, 0..4u8, any::<u64>());
        prop::collection::vec(
            write.prop_map(|(kind, key, version, content)| random_write(kind, key, version, content)),
            0..40,
        )
    }

    /// What is left of a batch, as writes again, in the order given by `turn`.
    fn left(batch: &Batch<'_>, turn: usize) -> Vec<Write> {
        let mut left: Vec<Write> = batch.answers.iter().map(|&doc| Write::Answer(doc.clone())).collect();
        left.extend(batch.lanes.iter().map(|&doc| Write::Lane(doc.clone())));
        left.extend(batch.views.iter().map(|&doc| Write::View(Box::new(doc.clone()))));
        left.extend(batch.boards.iter().map(|&doc| Write::Board(doc.clone())));
        left.extend(batch.standings.iter().map(|&doc| Write::Standings(doc.clone())));
        left.extend(batch.ledgers.iter().map(|&doc| Write::Ledger(doc.clone())));
        let turn = turn % left.len().max(1);
        left.rotate_left(turn);
        left
    }

    proptest! {
        /// Goal: what is left of a call does to a store what the whole call does, in any order.
        #[test]
        fn a_batch_does_what_its_writes_do(before in writes(), call in writes(), turn in 0..100usize) {
            let mut one_by_one = Model::default();
            before.iter().for_each(|write| one_by_one.apply(write));
            let mut batched = one_by_one.clone();
            call.iter().for_each(|write| one_by_one.apply(write));
            let batch = Batch::of(&call).unwrap();
            left(&batch, turn).iter().for_each(|write| batched.apply(write));
            prop_assert_eq!(&batched, &one_by_one);
            let answers = call.iter().filter(|write| matches!(write, Write::Answer(_))).count();
            prop_assert_eq!(batch.answers.len() as u64 + batch.answers_repeated, answers as u64);
        }
    }
}
