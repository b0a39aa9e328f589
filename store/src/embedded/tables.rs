//! The tables of the file: keys, values, and the changes that a batch makes to them.
//!
//! A key is binary and big-endian, so that the order of keys is the order of the parts. A value is
//! the document's version, by which a later write wins, and the document in BSON. BSON tells every
//! number that JSON does not (an infinite one, or none), and is what MongoDB keeps.

use mongodb::bson;
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, QuestionNo};
use redb::{Database, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure;
use crate::batch::Batch;
use crate::documents::PinDoc;
use crate::{Collection, StoreError};

/// The format of the file; one of a higher format is left alone.
const FORMAT: u32 = 1;

const META: TableDefinition<'static, &'static str, u32> = TableDefinition::new("meta");

/// A collection's table: key → (version, document).
pub(super) type Table = TableDefinition<'static, &'static [u8], (i64, &'static [u8])>;

pub(super) const fn table(collection: Collection) -> Table {
    TableDefinition::new(collection.name())
}

/// When a change to a document that is there has an effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    /// Never.
    Insert,
    /// When its version is higher.
    Newer,
    /// Always.
    Replace,
}

/// One change to one document.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Change {
    pub(super) collection: Collection,
    pub(super) rule: Rule,
    pub(super) key: Vec<u8>,
    pub(super) version: i64,
    pub(super) value: Vec<u8>,
}

impl Change {
    /// The changes of a batch, those of a collection together.
    pub(super) fn of_batch(batch: &Batch<'_>) -> Result<Vec<Self>, StoreError> {
        let mut changes = Vec::new();
        for doc in &batch.answers {
            let lane = LaneKey { game: doc.game, lane: doc.lane };
            let key = answer_key(lane, doc.question, doc.player);
            changes.push(Self::new(Collection::Answers, Rule::Insert, key, 0, doc)?);
        }
        for doc in &batch.lanes {
            let version = doc.position.offset;
            changes.push(Self::new(Collection::Lanes, Rule::Newer, lane_key(doc.lane), version, doc)?);
        }
        for doc in &batch.views {
            changes.push(Self::new(Collection::Views, Rule::Newer, game_key(doc.game), doc.version, doc)?);
        }
        for doc in &batch.boards {
            let key = board_key(doc.game, doc.question);
            changes.push(Self::new(Collection::Boards, Rule::Replace, key, 0, doc)?);
        }
        for doc in &batch.standings {
            let version = i64::from(doc.question);
            changes.push(Self::new(Collection::Standings, Rule::Newer, lane_key(doc.lane), version, doc)?);
        }
        for doc in &batch.ledgers {
            let (key, version) = (board_key(doc.game, doc.question), i64::from(doc.ledger.version));
            changes.push(Self::new(Collection::Ledgers, Rule::Newer, key, version, doc)?);
        }
        Ok(changes)
    }

    /// The reservation of a PIN.
    pub(super) fn of_pin(doc: &PinDoc) -> Result<Self, StoreError> {
        Self::new(Collection::Pins, Rule::Replace, pin_key(doc.pin), doc.expires_at_us, doc)
    }

    fn new<T: Serialize>(
        collection: Collection,
        rule: Rule,
        key: Vec<u8>,
        version: i64,
        doc: &T,
    ) -> Result<Self, StoreError> {
        let value = bson::to_vec(doc).map_err(|error| StoreError::Refused(format!("{collection}: {error}")))?;
        Ok(Self { collection, rule, key, version, value })
    }
}

/// Makes the tables that are missing, so that a read finds them all, and checks the format.
pub(super) fn prepare(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failure)?;
    {
        let mut meta = transaction.open_table(META).map_err(failure)?;
        let format = meta.get("format").map_err(failure)?.map(|value| value.value());
        match format {
            None => {
                meta.insert("format", FORMAT).map_err(failure)?;
            }
            Some(FORMAT) => {}
            Some(other) => return Err(StoreError::Corrupt(format!("a file of format {other}, not {FORMAT}"))),
        }
        for collection in Collection::ALL {
            transaction.open_table(table(collection)).map_err(failure)?;
        }
    }
    transaction.commit().map_err(failure)
}

pub(super) fn decode<T: DeserializeOwned>(collection: Collection, value: &[u8]) -> Result<T, StoreError> {
    bson::from_slice(value).map_err(|error| StoreError::Corrupt(format!("{collection}: {error}")))
}

pub(super) fn game_key(game: GameId) -> Vec<u8> {
    game.bits().to_be_bytes().to_vec()
}

pub(super) fn lane_key(lane: LaneKey) -> Vec<u8> {
    let mut key = game_key(lane.game);
    key.extend(lane.lane.to_be_bytes());
    key
}

pub(super) fn board_key(game: GameId, question: QuestionNo) -> Vec<u8> {
    let mut key = game_key(game);
    key.extend(question.to_be_bytes());
    key
}

pub(super) fn pin_key(pin: Pin) -> Vec<u8> {
    pin.to_string().into_bytes()
}

/// The first and the last key that an answer of `lane` to `question` can have.
pub(super) fn answer_range(lane: LaneKey, question: QuestionNo) -> (Vec<u8>, Vec<u8>) {
    let mut first = answer_prefix(lane, question);
    let mut last = first.clone();
    first.extend(u64::MIN.to_be_bytes());
    last.extend(u64::MAX.to_be_bytes());
    (first, last)
}

/// Where a player's answer is.
pub(super) fn answer_key(lane: LaneKey, question: QuestionNo, player: PlayerId) -> Vec<u8> {
    let mut key = answer_prefix(lane, question);
    key.extend(player.bits().to_be_bytes());
    key
}

fn answer_prefix(lane: LaneKey, question: QuestionNo) -> Vec<u8> {
    let mut key = lane_key(lane);
    key.extend(question.to_be_bytes());
    key
}
