use super::commands::GameSettings;
use super::{body, keyed_by_game};
use crate::ids::{EdgeId, GameId, LaneNo, Pin, PlayerId, QuestionNo};
use crate::quiz::Quiz;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// One record of `quiz.sessions.v1`, keyed by game. Folding a game's records in order gives the
/// state of its session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SessionsRecord {
    /// The game.
    pub game: GameId,
    /// The record's number in its game, from 0, without holes.
    pub seq: i64,
    /// The session worker's wall clock, µs since 1970.
    pub at_us: i64,
    /// The input record that led to it; none for a deadline. The fold remembers it, so an input
    /// that is read twice has one effect.
    pub cause: Option<Cause>,
    /// What happened.
    pub body: SessionsBody,
}
keyed_by_game!(SessionsRecord, Sessions);

/// An input record of the session worker. The partition is the sessions record's own: the topics
/// are co-partitioned.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cause {
    /// Its topic's name.
    pub topic: SmolStr,
    /// Its offset.
    pub offset: i64,
}

body! {
    /// What happened in a game.
    SessionsBody {
        /// It began.
        created: GameCreated,
        /// Joins were admitted or refused.
        joins: JoinsDecided,
        /// Players came or went.
        presence: PresenceChanged,
        /// A player was removed.
        kicked: PlayerKicked,
        /// A question opened.
        opened: QuestionOpened,
        /// A question takes no more answers; those on their way still count for the grace.
        stopping: QuestionStopping,
        /// A question closed: its close markers are in the lanes.
        closed: QuestionClosed,
        /// Every lane has reported the closed question: its board is exact.
        settled: QuestionSettled,
        /// The host asked for the next question before the last was settled; it opens then.
        deferred: OpenDeferred,
        /// A command could not be carried out.
        rejected: CommandRejected,
        /// The game is over.
        over: GameOver,
    }
}

/// A game began.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GameCreated {
    /// What players type to join.
    pub pin: Pin,
    /// The quiz with its keys.
    pub quiz: Quiz,
    /// How it is played.
    pub settings: GameSettings,
}

/// A batch of joins, decided in log order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JoinsDecided {
    /// Who may play.
    pub admitted: Vec<PlayerAdmitted>,
    /// Who may not.
    pub refused: Vec<JoinRefusal>,
}

/// Someone may play.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlayerAdmitted {
    /// Who.
    pub player: PlayerId,
    /// Under which name.
    pub nickname: String,
    /// In which lane.
    pub lane: LaneNo,
    /// Through which edge; not told by older writers.
    #[serde(default)]
    pub edge: Option<EdgeId>,
}

/// Someone may not play.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JoinRefusal {
    /// Who.
    pub player: PlayerId,
    /// Why.
    pub reason: RefusalReason,
}

/// Why a join is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// Another player has the name.
    NicknameTaken,
    /// The game has as many players as it admits.
    Full,
    /// The host removed this player.
    Banned,
    /// The game is over.
    GameOver,
    /// There is no such game.
    NoGame,
    /// A reason that this build does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Players came or went.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PresenceChanged {
    /// Whose socket is open again.
    pub connected: Vec<PlayerId>,
    /// At which edge each of `connected` is, in their order; empty from older writers.
    #[serde(default)]
    pub edges: Vec<EdgeId>,
    /// Whose socket is gone.
    pub disconnected: Vec<PlayerId>,
    /// Those of `disconnected` who had answered the open question before they left.
    pub answered: Vec<PlayerId>,
}

/// A player was removed for good.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlayerKicked {
    /// Who.
    pub player: PlayerId,
}

/// A question opened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionOpened {
    /// Which.
    pub question: QuestionNo,
    /// When it stops by itself, µs since 1970.
    pub deadline_us: i64,
}

/// Why a question stopped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Its time ran out.
    Deadline,
    /// The host closed it.
    Host,
    /// Every connected player had answered.
    AllAnswered,
    /// The game was ended.
    GameEnded,
    /// A reason that this build does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A question takes no more answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionStopping {
    /// Which.
    pub question: QuestionNo,
    /// Why.
    pub reason: StopReason,
    /// When the close markers follow, µs since 1970.
    pub closes_at_us: i64,
}

/// A question closed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionClosed {
    /// Which.
    pub question: QuestionNo,
}

/// Every lane has reported the closed question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionSettled {
    /// Which.
    pub question: QuestionNo,
}

/// The next question opens as soon as the last is settled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OpenDeferred {
    /// Which. One past the last question: the game ends then.
    pub question: QuestionNo,
}

/// A command could not be carried out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CommandRejected {
    /// Why.
    pub reason: CommandRejection,
}

/// Why a command could not be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandRejection {
    /// The game exists already.
    GameExists,
    /// The quiz cannot be played: no questions, or a bad one.
    BadQuiz,
    /// A question is open already.
    QuestionOpen,
    /// No question is open.
    NoQuestionOpen,
    /// The question named is not the one that is next, or open.
    StaleQuestion,
    /// All questions have been asked.
    NoMoreQuestions,
    /// No such player.
    NoPlayer,
    /// The game is over.
    GameOver,
    /// A reason that this build does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Why a game ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverReason {
    /// All questions were asked.
    Finished,
    /// The host ended it.
    Host,
    /// Nobody touched it for too long.
    Expired,
    /// A reason that this build does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The game is over.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GameOver {
    /// Why.
    pub reason: OverReason,
}
