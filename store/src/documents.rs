//! The documents. Shapes, keys and the rule by which a later write wins.

use quiz_game::lane::LaneSnapshot;
use quiz_game::view::GameView;
use quiz_schemas::events::{BoardRow, Outcome, QuestionLedger, Verdict};
use quiz_schemas::quiz::Response;
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, Position, QuestionNo, SubmissionId};
use serde::{Deserialize, Serialize};

/// Collection `answers`, `_id` = `game:question:player`, shard key `{lane: "hashed", player: 1}`.
/// Inserted once, never changed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AnswerDoc {
    /// The game.
    pub game: GameId,
    /// The lane's number in it.
    pub lane: u16,
    /// The question.
    pub question: QuestionNo,
    /// Who answered.
    pub player: PlayerId,
    /// The client's idempotency key.
    pub submission: SubmissionId,
    /// What was answered.
    pub response: Response,
    /// How it was judged.
    pub verdict: Verdict,
    /// Points for it.
    pub points: i32,
    /// Time taken, µs.
    pub elapsed_us: i64,
    /// The edge's wall clock on receipt, µs since 1970.
    pub received_at_us: i64,
    /// Where the answer stands in `quiz.answers.v1`.
    pub position: Position,
}

/// Collection `lanes`, `_id` = lane key, shard key `{lane: "hashed"}` with `lane` the lane key.
/// The one at the higher offset wins.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LaneDoc {
    /// The lane.
    pub lane: LaneKey,
    /// Where it stands in `quiz.answers.v1`: everything up to and including it is in the snapshot.
    pub position: Position,
    /// Its state.
    pub snapshot: LaneSnapshot,
}

/// Collection `views`, `_id` = game, shard key `{game: "hashed"}`. The one with the higher
/// `version` wins.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ViewDoc {
    /// The game.
    pub game: GameId,
    /// Rises with every durable event folded in.
    pub version: i64,
    /// A position in `quiz.results.v1` such that everything up to and including it is in the view;
    /// an edge tails from the next one. None before anything was appended.
    pub cursor: Option<Position>,
    /// The view.
    pub view: GameView,
}

/// Collection `boards`, `_id` = `game:question`, shard key `{game: "hashed"}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BoardDoc {
    /// The game.
    pub game: GameId,
    /// After which question.
    pub question: QuestionNo,
    /// Players on the board.
    pub players: i32,
    /// First answers judged.
    pub answered: i64,
    /// The first rows.
    pub top: Vec<BoardRow>,
}

/// Collection `standings`, `_id` = lane key, shard key `{lane: "hashed"}`. The one of the later
/// question wins.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StandingsDoc {
    /// The lane.
    pub lane: LaneKey,
    /// After which question.
    pub question: QuestionNo,
    /// One row for each player of the lane.
    pub outcomes: Vec<Outcome>,
}

/// Collection `ledgers`, `_id` = `game:question`, shard key `{game: "hashed"}`. The one with the higher
/// version wins.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LedgerDoc {
    /// The game.
    pub game: GameId,
    /// The question.
    pub question: QuestionNo,
    /// Its books.
    pub ledger: QuestionLedger,
}

/// Collection `pins`, `_id` = PIN, shard key `{_id: "hashed"}`, freed by a TTL index on `expires_at`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PinDoc {
    /// The PIN.
    pub pin: Pin,
    /// The game that holds it.
    pub game: GameId,
    /// How many lanes the game has, so that an edge can name a player's lane.
    pub lanes: u16,
    /// When it is free again, µs since 1970.
    pub expires_at_us: i64,
}

/// One idempotent write.
#[derive(Clone, PartialEq, Debug)]
pub enum Write {
    /// Insert an answer, unless it is there.
    Answer(AnswerDoc),
    /// Replace a lane's snapshot, unless a newer one is there.
    Lane(LaneDoc),
    /// Replace a game's view, unless a newer one is there.
    View(Box<ViewDoc>),
    /// Replace a question's board: it is exact, so any two are equal.
    Board(BoardDoc),
    /// Replace a lane's standings, unless those of a later question are there.
    Standings(StandingsDoc),
    /// Replace a question's books, unless newer ones are there.
    Ledger(LedgerDoc),
}
