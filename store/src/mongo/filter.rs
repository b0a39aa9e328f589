//! The filter of every read and write. Each one names the shard key, so that mongos sends it to one
//! shard (I10). Public, so that a test, or a person with a slow query, can have them explained.

use mongodb::bson::{Bson, Document, doc};
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, QuestionNo};

use crate::documents::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, StandingsDoc, ViewDoc};

/// A lane's document in `lanes` or `standings`.
#[must_use]
pub fn lane(lane: LaneKey) -> Document {
    let lane = lane.to_string();
    doc! { "_id": &lane, "lane": &lane }
}

/// A game's document in `views`.
#[must_use]
pub fn game(game: GameId) -> Document {
    let game = game.to_string();
    doc! { "_id": &game, "game": &game }
}

/// A question's document in `boards`.
#[must_use]
pub fn board(game: GameId, question: QuestionNo) -> Document {
    doc! { "_id": board_id(game, question), "game": game.to_string() }
}

/// A lane's documents in `answers` for one question. The shard key is `{lane, player}`: a lane is
/// one range of it, which one shard holds.
#[must_use]
pub fn answers(lane: LaneKey, question: QuestionNo) -> Document {
    doc! { "lane": lane.to_string(), "question": i32::from(question) }
}

/// A player's document in `answers` for one question.
#[must_use]
pub fn answer(lane: LaneKey, question: QuestionNo, player: PlayerId) -> Document {
    doc! { "_id": id(lane.game, question, Some(player)), "lane": lane.to_string(), "player": player.to_string() }
}

/// A game's documents in `ledgers`.
#[must_use]
pub fn ledgers(game: GameId) -> Document {
    doc! { "game": game.to_string() }
}

/// The question's books, if they are older than `new`.
#[must_use]
pub fn older_ledger(new: &LedgerDoc) -> Document {
    guarded(board(new.game, new.question), "version", new.ledger.version.into())
}

/// By player; ids have one length, so the order of their texts is the order of the ids.
#[must_use]
pub fn answers_order() -> Document {
    doc! { "player": 1 }
}

/// A document in `pins`.
#[must_use]
pub fn pin(pin: Pin) -> Document {
    doc! { "_id": pin.to_string() }
}

/// A document in `pins` that has expired at `now_us`.
#[must_use]
pub fn pin_expired(pin: Pin, now_us: i64) -> Document {
    doc! { "_id": pin.to_string(), "expires_at_us": { "$lte": now_us } }
}

/// The lane's document, if it is older than `new`.
#[must_use]
pub fn older_lane(new: &LaneDoc) -> Document {
    guarded(lane(new.lane), "offset", new.position.offset.into())
}

/// The game's view, if it is older than `new`.
#[must_use]
pub fn older_view(new: &ViewDoc) -> Document {
    guarded(game(new.game), "version", new.version.into())
}

/// The lane's standings, if they are older than `new`.
#[must_use]
pub fn older_standings(new: &StandingsDoc) -> Document {
    guarded(lane(new.lane), "question", i32::from(new.question).into())
}

/// The question's board, whichever it is.
#[must_use]
pub fn any_board(new: &BoardDoc) -> Document {
    board(new.game, new.question)
}

/// `_id` of an answer: a second answer of a player to a question has the same.
#[must_use]
pub fn answer_id(answer: &AnswerDoc) -> String {
    id(answer.game, answer.question, Some(answer.player))
}

/// `_id` of a board.
#[must_use]
pub fn board_id(game: GameId, question: QuestionNo) -> String {
    id(game, question, None)
}

fn id(game: GameId, question: QuestionNo, player: Option<PlayerId>) -> String {
    match player {
        Some(player) => format!("{game}:{question}:{player}"),
        None => format!("{game}:{question}"),
    }
}

fn guarded(mut filter: Document, field: &str, new: Bson) -> Document {
    filter.insert(field, doc! { "$lt": new });
    filter
}
