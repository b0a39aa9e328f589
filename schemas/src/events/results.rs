use super::scores::Verdict;
use super::sessions::{CommandRejection, JoinRefusal, OverReason, StopReason};
use super::{body, keyed_by_game};
use crate::ids::{GameId, LaneNo, Pin, PlayerId, QuestionNo};
use crate::quiz::{AnswerKey, QuestionKind};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// One record of `quiz.results.v1`, keyed by game: what the edges tell their sockets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ResultsRecord {
    /// The game.
    pub game: GameId,
    /// The wall clock of the session worker for what it decided, else of the last record that led
    /// here, µs since 1970.
    pub at_us: i64,
    /// The event's own name in its game, e.g. `q3.board`: a re-publish has the same, and is
    /// dropped by the edges. None for a volatile event.
    pub event_id: Option<SmolStr>,
    /// What to tell.
    pub body: ResultsBody,
}
keyed_by_game!(ResultsRecord, Results);

body! {
    /// What the edges tell their sockets.
    ResultsBody {
        /// The lobby is open.
        game: GameOpened,
        /// Joins were decided, players came, went, or were removed.
        lobby: LobbyChanged,
        /// A question is open.
        question: QuestionShown,
        /// How many have answered. Volatile.
        counted: AnswersCounted,
        /// The question takes no more answers.
        stopped: QuestionStopped,
        /// The question's exact board, with the right answer.
        board: BoardPublished,
        /// Each player's own outcome.
        outcomes: OutcomesPublished,
        /// A host's command could not be carried out.
        refused: CommandRefused,
        /// The game is over.
        over: GameEnded,
    }
}

/// The lobby is open.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GameOpened {
    /// What players type to join.
    pub pin: Pin,
    /// The quiz's title.
    pub title: String,
    /// How many questions it has.
    pub questions: i32,
    /// How many lanes the game has.
    pub lanes: LaneNo,
    /// The most players admitted.
    pub capacity: i32,
}

/// A player in the lobby.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LobbyPlayer {
    /// Who.
    pub player: PlayerId,
    /// Under which name.
    pub nickname: String,
}

/// Joins were decided, players came, went, or were removed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LobbyChanged {
    /// Who was admitted.
    pub admitted: Vec<LobbyPlayer>,
    /// Who was not.
    pub refused: Vec<JoinRefusal>,
    /// Who was removed by the host.
    pub kicked: Vec<PlayerId>,
    /// Players admitted and not removed, after this.
    pub players: i32,
    /// Those of them who are connected, after this.
    pub connected: i32,
}

/// A question without its key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionView {
    /// What the player is asked to do.
    pub kind: QuestionKind,
    /// The question's text.
    pub prompt: String,
    /// The options, in the order shown.
    pub options: Vec<String>,
    /// Points for a right answer at once.
    pub points_max: i32,
    /// Time to answer, ms.
    pub limit_ms: i32,
}

/// A question is open.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionShown {
    /// Which.
    pub question: QuestionNo,
    /// What it says.
    pub view: QuestionView,
    /// When the session worker opened it, µs since 1970.
    pub opened_at_us: i64,
    /// When it stops by itself, µs since 1970.
    pub deadline_us: i64,
}

/// How many have answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AnswersCounted {
    /// Which question.
    pub question: QuestionNo,
    /// First answers so far.
    pub answered: i64,
}

/// The question takes no more answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionStopped {
    /// Which.
    pub question: QuestionNo,
    /// Why.
    pub reason: StopReason,
}

/// A row of a board.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BoardRow {
    /// From 1; players with equal totals share a rank, and the next rank skips their number.
    pub rank: i32,
    /// Who.
    pub player: PlayerId,
    /// Under which name.
    pub nickname: String,
    /// Points over the game.
    pub total: i64,
    /// Points for the last question.
    pub points: i32,
}

/// The question's exact board. Published when every lane has reported (I7).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BoardPublished {
    /// Which question.
    pub question: QuestionNo,
    /// The right answer.
    pub key: AnswerKey,
    /// Shown with it.
    pub explanation: Option<String>,
    /// How often each option was picked.
    pub distribution: Vec<i64>,
    /// First answers judged.
    pub answered: i64,
    /// Those judged right.
    pub correct: i64,
    /// Players on the board.
    pub players: i32,
    /// The first rows.
    pub top: Vec<BoardRow>,
    /// Whether no question follows.
    pub last: bool,
}

/// A player's own outcome.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Who.
    pub player: PlayerId,
    /// How the answer was judged.
    pub verdict: Verdict,
    /// Points for this question, bonus included.
    pub points: i32,
    /// Points over the game.
    pub total: i64,
    /// The player's rank, from 1, shared by ties.
    pub rank: i32,
    /// Points behind the next better rank; 0 for the first.
    pub gap: i64,
    /// Right answers in a row.
    pub streak: i32,
}

/// A batch of personal outcomes; each edge picks those of its own sockets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OutcomesPublished {
    /// Which question.
    pub question: QuestionNo,
    /// This part, from 0.
    pub part: i32,
    /// How many parts there are.
    pub parts: i32,
    /// The outcomes.
    pub outcomes: Vec<Outcome>,
}

/// A host's command could not be carried out. Told to the hosts only.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CommandRefused {
    /// Why.
    pub reason: CommandRejection,
}

/// The game is over.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GameEnded {
    /// Why.
    pub reason: OverReason,
    /// Players on the board.
    pub players: i32,
    /// The podium and the rows after it.
    pub top: Vec<BoardRow>,
}
