use super::{body, keyed_by_game};
use crate::ids::{EdgeId, GameId, LaneNo, Pin, PlayerId, QuestionNo};
use crate::quiz::Quiz;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// One record of `quiz.commands.v1`, keyed by game.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CommandsRecord {
    /// The game.
    pub game: GameId,
    /// The edge's wall clock on receipt, µs since 1970.
    pub at_us: i64,
    /// The edge that took it.
    pub edge: EdgeId,
    /// What the host asks for.
    pub body: CommandsBody,
}
keyed_by_game!(CommandsRecord, Commands);

body! {
    /// What a host asks for.
    CommandsBody {
        /// Begin a game.
        create: CreateGame,
        /// Open the next question, or a given one.
        open: OpenQuestion,
        /// Close the open question before its time.
        close: CloseQuestion,
        /// Remove a player for good.
        kick: KickPlayer,
        /// End the game.
        end: EndGame,
    }
}

/// How a game is played. Pinned when it is created.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GameSettings {
    /// How many lanes the game has.
    pub lanes: LaneNo,
    /// The most players admitted.
    pub capacity: i32,
    /// The scoring rule's name and version, e.g. `speed-v1`.
    pub rule: SmolStr,
    /// Whether consecutive right answers earn the streak bonus.
    pub streaks: bool,
    /// Whether the server opens the next question by itself, this many ms after each board.
    pub auto_advance_ms: Option<i32>,
}

/// Begin a game. The PIN is already reserved.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CreateGame {
    /// What players type to join.
    pub pin: Pin,
    /// The quiz with its keys, pinned for this game.
    pub quiz: Quiz,
    /// How it is played.
    pub settings: GameSettings,
}

/// Open a question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OpenQuestion {
    /// The one that the host believes is next; `None` opens whichever is. A stale number is
    /// refused, so that a double click does not skip a question.
    pub question: Option<QuestionNo>,
}

/// Close the open question before its time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CloseQuestion {
    /// The one that the host sees open.
    pub question: Option<QuestionNo>,
}

/// Remove a player for good.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KickPlayer {
    /// Who.
    pub player: PlayerId,
}

/// End the game; an open question is closed first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EndGame {
    /// For the audit: why, in the host's words.
    pub reason: Option<String>,
}
