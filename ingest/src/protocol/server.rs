use super::client::Replying;
use super::codes::ErrorCode;
use crate::limits::HEARTBEAT_MS;
use quiz_schemas::events::{
    BoardPublished, BoardRow, CommandRejection, GameEnded, LobbyPlayer, Outcome, OverReason, StopReason, Verdict,
};
use quiz_schemas::quiz::{AnswerKey, QuestionKind};
use quiz_schemas::{GameId, Pin, PlayerId, QuestionNo, SubmissionId};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What the edge says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The player is in the game; its present state follows.
    Joined(Joined),
    /// The host is in the game; its present state follows.
    Hosting(Hosting),
    /// Players came, went or were removed.
    Lobby(Lobby),
    /// A question is open.
    Question(QuestionMessage),
    /// How many have answered. Hosts only.
    Counted(Counted),
    /// The question takes no more answers; its board follows.
    Closed(Stopped),
    /// The question's exact board.
    Board(Board),
    /// The player's own outcome.
    Outcome(OwnOutcome),
    /// The game is over.
    Over(Over),
    /// The answer is here; the log has not acknowledged it yet.
    Taken(Taken),
    /// The answer is in the log (I1).
    Ack(Ack),
    /// The command is in the log; what it leads to comes as events.
    Done {
        /// The command's id.
        id: SmolStr,
    },
    /// The host removed the player; close 3503 follows.
    Kicked,
    /// Answers `ping`.
    Pong {
        /// As in `joined`.
        #[serde(default = "heartbeat_ms")]
        heartbeat_ms: u32,
    },
    /// A message had no effect.
    Error(ErrorMessage),
}

impl ServerMessage {
    /// The `type`s, in the order of the protocol table.
    pub const TYPES: [&'static str; 15] = [
        "joined", "hosting", "lobby", "question", "counted", "closed", "board", "outcome", "over", "taken", "ack",
        "done", "kicked", "pong", "error",
    ];

    /// The message as a text frame.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a server message has only string keys")
    }

    /// The offset of the record in `quiz.results.v1` that a durable message comes of; none for a
    /// part of a snapshot and for what is volatile.
    #[must_use]
    pub fn at(&self) -> Option<i64> {
        match self {
            ServerMessage::Question(question) => question.at,
            ServerMessage::Closed(stopped) => stopped.at,
            ServerMessage::Board(board) => board.at,
            ServerMessage::Outcome(outcome) => outcome.at,
            ServerMessage::Over(over) => over.at,
            _ => None,
        }
    }

    /// The message as the durable one of the record at this offset; others stay as they are.
    #[must_use]
    pub fn of_record(mut self, offset: i64) -> Self {
        match &mut self {
            ServerMessage::Question(question) => question.at = Some(offset),
            ServerMessage::Closed(stopped) => stopped.at = Some(offset),
            ServerMessage::Board(board) => board.at = Some(offset),
            ServerMessage::Outcome(outcome) => outcome.at = Some(offset),
            ServerMessage::Over(over) => over.at = Some(offset),
            _ => {}
        }
        self
    }
}

/// A place in a game's durable messages.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Cursor {
    /// Names the incarnation of the log: offsets of two epochs do not compare.
    pub epoch: SmolStr,
    /// Everything up to this offset in `quiz.results.v1` is known.
    pub offset: i64,
}

/// The player is in the game.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Joined {
    /// The game.
    pub game: GameId,
    /// Who the player is in it.
    pub player: PlayerId,
    /// Under which name, normalised.
    pub nickname: String,
    /// Opens the same seat again, at any edge.
    pub token: String,
    /// The quiz's title.
    pub title: String,
    /// How many questions it has.
    pub questions: i32,
    /// Players in the game.
    pub players: i32,
    /// Where what follows stands: durable messages with `at` up to it are known or in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Whether all that was missed since the client's own cursor follows, and no snapshot.
    #[serde(default)]
    pub recovered: bool,
    /// After how much silence to ask whether the edge lives, ms: the more sockets it holds, the longer.
    #[serde(default = "heartbeat_ms")]
    pub heartbeat_ms: u32,
}

/// The host is in the game.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hosting {
    /// The game.
    pub game: GameId,
    /// What players type to join.
    pub pin: Pin,
    /// The quiz's title.
    pub title: String,
    /// How many questions it has.
    pub questions: i32,
    /// Players in the game.
    pub players: i32,
    /// The newest players, at most [`super::HOST_LOBBY_NAMES_MAX`].
    pub lobby: Vec<LobbyName>,
    /// Where what follows stands: durable messages with `at` up to it are known or in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Whether all that was missed since the client's own cursor follows, and no snapshot.
    #[serde(default)]
    pub recovered: bool,
    /// As in `joined`.
    #[serde(default = "heartbeat_ms")]
    pub heartbeat_ms: u32,
}

/// What holds at an edge that says nothing of it.
const fn heartbeat_ms() -> u32 {
    HEARTBEAT_MS
}

/// A player by id and name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LobbyName {
    /// Who.
    pub player: PlayerId,
    /// Under which name.
    pub nickname: String,
}

impl From<&LobbyPlayer> for LobbyName {
    fn from(player: &LobbyPlayer) -> Self {
        Self { player: player.player, nickname: player.nickname.clone() }
    }
}

/// Players came, went or were removed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lobby {
    /// Players in the game, after this.
    pub players: i32,
    /// Those of them who are connected.
    pub connected: i32,
    /// Who came; players are told at most [`super::PLAYER_LOBBY_NAMES_MAX`].
    pub joined: Vec<LobbyName>,
    /// Who was removed; told to hosts.
    pub left: Vec<PlayerId>,
}

/// A question is open.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionMessage {
    /// Its number, from 0.
    pub question: QuestionNo,
    /// How many questions the quiz has.
    pub of: i32,
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
    /// Time left of it, ms.
    pub left_ms: i64,
    /// The offset of its record; none in a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

/// How many have answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Counted {
    /// Which question.
    pub question: QuestionNo,
    /// First answers so far.
    pub answered: i64,
    /// Players in the game.
    pub players: i32,
}

/// A question takes no more answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// Which.
    pub question: QuestionNo,
    /// Why; `unknown` when the edge came to the game after it.
    pub reason: StopReason,
    /// The offset of its record; none in a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

/// The right answer, with what fits the question's kind. All empty for a poll.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CorrectAnswer {
    /// The right options, or the right order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picks: Option<Vec<u8>>,
    /// The accepted texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Vec<String>>,
    /// The right number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The greatest distance from it that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

impl From<&AnswerKey> for CorrectAnswer {
    fn from(key: &AnswerKey) -> Self {
        match key {
            AnswerKey::Single { correct, .. } | AnswerKey::Multiple { correct, .. } | AnswerKey::Order { correct } => {
                Self { picks: Some(correct.as_slice().to_vec()), ..Self::default() }
            }
            AnswerKey::Text { accepted } => Self { accepted: Some(accepted.clone()), ..Self::default() },
            AnswerKey::Number { value, tolerance } => {
                Self { value: Some(*value), tolerance: Some(*tolerance), ..Self::default() }
            }
            AnswerKey::Poll { .. } => Self::default(),
        }
    }
}

/// A row of a board.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BoardLine {
    /// From 1, shared by ties.
    pub rank: i32,
    /// Who.
    pub nickname: String,
    /// Points over the game.
    pub total: i64,
    /// Points for the last question.
    pub points: i32,
}

impl From<&BoardRow> for BoardLine {
    fn from(row: &BoardRow) -> Self {
        Self { rank: row.rank, nickname: row.nickname.clone(), total: row.total, points: row.points }
    }
}

/// A question's exact board.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Board {
    /// Which question.
    pub question: QuestionNo,
    /// The right answer.
    pub correct: CorrectAnswer,
    /// Shown with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// How often each option was picked.
    pub distribution: Vec<i64>,
    /// First answers judged.
    pub answered: i64,
    /// Those judged right.
    pub correct_count: i64,
    /// Players on the board.
    pub players: i32,
    /// The first rows.
    pub top: Vec<BoardLine>,
    /// Whether no question follows.
    pub last: bool,
    /// The offset of its record; none in a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

impl From<&BoardPublished> for Board {
    fn from(board: &BoardPublished) -> Self {
        Self {
            question: board.question,
            correct: CorrectAnswer::from(&board.key),
            explanation: board.explanation.clone(),
            distribution: board.distribution.clone(),
            answered: board.answered,
            correct_count: board.correct,
            players: board.players,
            top: board.top.iter().map(BoardLine::from).collect(),
            last: board.last,
            at: None,
        }
    }
}

/// A player's own outcome.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OwnOutcome {
    /// Which question.
    pub question: QuestionNo,
    /// How the answer was judged.
    pub verdict: Verdict,
    /// Points for it, bonus included.
    pub points: i32,
    /// Points over the game.
    pub total: i64,
    /// The player's rank, from 1, shared by ties.
    pub rank: i32,
    /// Points behind the next better rank; 0 for the first.
    pub gap: i64,
    /// Right answers in a row.
    pub streak: i32,
    /// Players on the board.
    pub players: i32,
    /// The offset of its record; none in a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

impl OwnOutcome {
    /// The message about `outcome` on a board of `players`.
    #[must_use]
    pub fn new(question: QuestionNo, outcome: &Outcome, players: i32) -> Self {
        let Outcome { player: _, verdict, points, total, rank, gap, streak } = *outcome;
        Self { question, verdict, points, total, rank, gap, streak, players, at: None }
    }
}

/// The game is over.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Over {
    /// Why.
    pub reason: OverReason,
    /// Players on the board.
    pub players: i32,
    /// The podium and the rows after it.
    pub top: Vec<BoardLine>,
    /// The offset of its record; none in a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

impl From<&GameEnded> for Over {
    fn from(over: &GameEnded) -> Self {
        Self {
            reason: over.reason,
            players: over.players,
            top: over.top.iter().map(BoardLine::from).collect(),
            at: None,
        }
    }
}

/// The answer is here and on its way to the log; `ack` or `error` follows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// Which submission.
    pub submission: SubmissionId,
    /// To which question.
    pub question: QuestionNo,
    /// The time that will be scored, ms.
    pub elapsed_ms: i64,
    /// To be sent along when the answer must be sent again.
    pub proof: SmolStr,
}

/// The answer is in the log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ack {
    /// Which submission.
    pub submission: SubmissionId,
    /// To which question.
    pub question: QuestionNo,
    /// Proof of it; every resend, at any edge, gets the same (I2).
    pub receipt: SmolStr,
    /// The time that is scored, ms.
    pub elapsed_ms: i64,
    /// Partition and offset in the answers topic.
    pub position: (i32, i64),
}

/// A message had no effect.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people.
    pub message: String,
    /// When to try again, if that helps, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
    /// The answer that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<SubmissionId>,
    /// The command that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SmolStr>,
    /// Why the game did not do what the host asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CommandRejection>,
    /// With `unavailable` for an answer: to be sent along when it is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<SmolStr>,
}

impl ErrorMessage {
    /// An error that answers what `replying` says.
    #[must_use]
    pub fn new(code: ErrorCode, replying: Replying) -> Self {
        let Replying { submission, id } = replying;
        Self {
            code,
            message: code.message().to_string(),
            retry_after_ms: None,
            submission,
            id,
            reason: None,
            proof: None,
        }
    }

    /// The same, to be tried again after `ms`.
    #[must_use]
    pub fn retry_after(mut self, ms: u32) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}
