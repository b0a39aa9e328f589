use super::{body, keyed_by_game};
use crate::ids::{EdgeId, GameId, PlayerId, QuestionNo};
use serde::{Deserialize, Serialize};

/// One record of `quiz.joins.v1`, keyed by game.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JoinsRecord {
    /// The game.
    pub game: GameId,
    /// The edge's wall clock, µs since 1970.
    pub at_us: i64,
    /// The edge that saw it.
    pub edge: EdgeId,
    /// Who did what.
    pub body: JoinsBody,
}
keyed_by_game!(JoinsRecord, Joins);

body! {
    /// Who came and went.
    JoinsBody {
        /// Someone wants to play.
        join: JoinRequested,
        /// An admitted player's socket is open again.
        connected: PlayerConnected,
        /// An admitted player's socket is gone.
        disconnected: PlayerDisconnected,
    }
}

/// Someone wants to play under a nickname.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JoinRequested {
    /// The id that the edge made for them.
    pub player: PlayerId,
    /// The nickname, already normalised by the edge.
    pub nickname: String,
}

/// An admitted player's socket is open again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlayerConnected {
    /// Who.
    pub player: PlayerId,
}

/// An admitted player's socket is gone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlayerDisconnected {
    /// Who.
    pub player: PlayerId,
    /// The last question that this socket had an answer acknowledged for: someone who leaves after
    /// answering does not hold up the others.
    pub answered: Option<QuestionNo>,
}
