//! The documents as MongoDB holds them: `_id` and shard key in text, versions at the top level,
//! everything else as fields that a person with a shell can read and an aggregation can use.

use mongodb::bson::DateTime;
use quiz_game::lane::LaneSnapshot;
use quiz_game::view::GameView;
use quiz_schemas::events::{BoardRow, Outcome, QuestionLedger, Verdict};
use quiz_schemas::quiz::{Picks, Response};
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, Position, QuestionNo, SubmissionId};
use serde::{Deserialize, Serialize};

use super::filter;
use crate::documents::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, PinDoc, StandingsDoc, ViewDoc};
use crate::{Collection, StoreError};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    #[serde(rename = "_id")]
    id: String,
    lane: LaneKey,
    game: GameId,
    question: QuestionNo,
    player: PlayerId,
    submission: SubmissionId,
    response: Reply,
    verdict: Verdict,
    points: i32,
    elapsed_us: i64,
    received_at_us: i64,
    position: Position,
}

/// A response with its picks as a list of numbers, which `$unwind` takes; exactly one field is set.
#[derive(Debug, Serialize, Deserialize)]
struct Reply {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    picks: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    number: Option<f64>,
}

impl From<&AnswerDoc> for Answer {
    fn from(doc: &AnswerDoc) -> Self {
        let mut response = Reply { picks: None, text: None, number: None };
        match &doc.response {
            Response::Picks(picks) => response.picks = Some(picks.as_slice().to_vec()),
            Response::Text(text) => response.text = Some(text.clone()),
            Response::Number(number) => response.number = Some(*number),
        }
        Self {
            id: filter::answer_id(doc),
            lane: LaneKey { game: doc.game, lane: doc.lane },
            game: doc.game,
            question: doc.question,
            player: doc.player,
            submission: doc.submission,
            response,
            verdict: doc.verdict,
            points: doc.points,
            elapsed_us: doc.elapsed_us,
            received_at_us: doc.received_at_us,
            position: doc.position,
        }
    }
}

impl TryFrom<Answer> for AnswerDoc {
    type Error = StoreError;
    fn try_from(stored: Answer) -> Result<Self, StoreError> {
        let response = match stored.response {
            Reply { picks: Some(picks), text: None, number: None } => {
                Picks::new(&picks).map(Response::Picks).map_err(|error| error.to_string())
            }
            Reply { picks: None, text: Some(text), number: None } => Ok(Response::Text(text)),
            Reply { picks: None, text: None, number: Some(number) } => Ok(Response::Number(number)),
            _ => Err("a response is one of picks, text and number".into()),
        };
        let corrupt = |why: String| StoreError::Corrupt(format!("{} {}: {why}", Collection::Answers, stored.id));
        Ok(Self {
            game: stored.game,
            lane: stored.lane.lane,
            question: stored.question,
            player: stored.player,
            submission: stored.submission,
            response: response.map_err(corrupt)?,
            verdict: stored.verdict,
            points: stored.points,
            elapsed_us: stored.elapsed_us,
            received_at_us: stored.received_at_us,
            position: stored.position,
        })
    }
}

/// `S` is the snapshot: borrowed to write, owned to read, so that a big one is not copied.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lane<S = LaneSnapshot> {
    #[serde(rename = "_id")]
    id: LaneKey,
    lane: LaneKey,
    offset: i64,
    position: Position,
    snapshot: S,
}

impl<'a> From<&'a LaneDoc> for Lane<&'a LaneSnapshot> {
    fn from(doc: &'a LaneDoc) -> Self {
        let (lane, position) = (doc.lane, doc.position);
        Self { id: lane, lane, offset: position.offset, position, snapshot: &doc.snapshot }
    }
}

impl From<Lane> for LaneDoc {
    fn from(stored: Lane) -> Self {
        Self { lane: stored.lane, position: stored.position, snapshot: stored.snapshot }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct View<V = GameView> {
    #[serde(rename = "_id")]
    id: GameId,
    game: GameId,
    version: i64,
    cursor: Option<Position>,
    view: V,
}

impl<'a> From<&'a ViewDoc> for View<&'a GameView> {
    fn from(doc: &'a ViewDoc) -> Self {
        Self { id: doc.game, game: doc.game, version: doc.version, cursor: doc.cursor, view: &doc.view }
    }
}

impl From<View> for ViewDoc {
    fn from(stored: View) -> Self {
        Self { game: stored.game, version: stored.version, cursor: stored.cursor, view: stored.view }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Board<T = Vec<BoardRow>> {
    #[serde(rename = "_id")]
    id: String,
    game: GameId,
    question: QuestionNo,
    players: i32,
    answered: i64,
    top: T,
}

impl<'a> From<&'a BoardDoc> for Board<&'a [BoardRow]> {
    fn from(doc: &'a BoardDoc) -> Self {
        Self {
            id: filter::board_id(doc.game, doc.question),
            game: doc.game,
            question: doc.question,
            players: doc.players,
            answered: doc.answered,
            top: &doc.top,
        }
    }
}

impl From<Board> for BoardDoc {
    fn from(stored: Board) -> Self {
        Self {
            game: stored.game,
            question: stored.question,
            players: stored.players,
            answered: stored.answered,
            top: stored.top,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Standings<O = Vec<Outcome>> {
    #[serde(rename = "_id")]
    id: LaneKey,
    lane: LaneKey,
    question: QuestionNo,
    outcomes: O,
}

impl<'a> From<&'a StandingsDoc> for Standings<&'a [Outcome]> {
    fn from(doc: &'a StandingsDoc) -> Self {
        Self { id: doc.lane, lane: doc.lane, question: doc.question, outcomes: &doc.outcomes }
    }
}

impl From<Standings> for StandingsDoc {
    fn from(stored: Standings) -> Self {
        Self { lane: stored.lane, question: stored.question, outcomes: stored.outcomes }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ledger {
    #[serde(rename = "_id")]
    id: String,
    game: GameId,
    question: QuestionNo,
    version: i32,
    ledger: QuestionLedger,
}

impl From<&LedgerDoc> for Ledger {
    fn from(doc: &LedgerDoc) -> Self {
        let LedgerDoc { game, question, ledger } = doc;
        let id = filter::board_id(*game, *question);
        Self { id, game: *game, question: *question, version: ledger.version, ledger: ledger.clone() }
    }
}

impl From<Ledger> for LedgerDoc {
    fn from(stored: Ledger) -> Self {
        Self { game: stored.game, question: stored.question, ledger: stored.ledger }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reservation {
    #[serde(rename = "_id")]
    id: Pin,
    game: GameId,
    lanes: u16,
    expires_at_us: i64,
    /// For the TTL index, which wants a date of whole milliseconds: rounded up, so that a PIN is
    /// never freed before its time.
    expires_at: DateTime,
}

impl From<&PinDoc> for Reservation {
    fn from(doc: &PinDoc) -> Self {
        let millis = doc.expires_at_us.div_euclid(1_000).saturating_add(1);
        Self {
            id: doc.pin,
            game: doc.game,
            lanes: doc.lanes,
            expires_at_us: doc.expires_at_us,
            expires_at: DateTime::from_millis(millis),
        }
    }
}

impl From<Reservation> for PinDoc {
    fn from(stored: Reservation) -> Self {
        Self { pin: stored.id, game: stored.game, lanes: stored.lanes, expires_at_us: stored.expires_at_us }
    }
}
