//! A game as its results tell it: what an edge needs to greet a socket. The board projection and
//! the edges fold the same records with the same code.

use quiz_schemas::GameId;
use quiz_schemas::events::{BoardPublished, GameEnded, GameOpened, QuestionShown};
use serde::{Deserialize, Serialize};

/// A game as its durable results up to some point tell it. Holds no answer key of an open question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GameView {
    /// The game.
    pub game: GameId,
    /// Title, PIN, lanes, number of questions.
    pub opened: Option<GameOpened>,
    /// Players admitted and not removed.
    pub players: i32,
    /// Those of them who are connected.
    pub connected: i32,
    /// The latest question shown.
    pub question: Option<QuestionShown>,
    /// Whether it takes answers still.
    pub accepting: bool,
    /// The latest board.
    pub board: Option<BoardPublished>,
    /// Set when the game is over.
    pub over: Option<GameEnded>,
    /// The highest `seq` of a sessions record folded in.
    pub session_seq: i64,
}
