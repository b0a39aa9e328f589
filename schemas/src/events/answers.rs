use super::{Event, body};
use crate::ids::{EdgeId, GameId, LaneKey, LaneNo, PlayerId, QuestionNo, SubmissionId};
use crate::quiz::{AnswerKey, Response};
use crate::topic::Topic;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// One record of `quiz.answers.v1`, keyed by lane.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AnswersRecord {
    /// The game.
    pub game: GameId,
    /// The lane in it.
    pub lane: LaneNo,
    /// What happened.
    pub body: AnswersBody,
}

impl AnswersRecord {
    /// The lane that orders the record.
    #[must_use]
    pub fn lane_key(&self) -> LaneKey {
        LaneKey { game: self.game, lane: self.lane }
    }
}

impl Event for AnswersRecord {
    const TOPIC: Topic = Topic::Answers;
    fn key(&self) -> SmolStr {
        super::lane_key(self.lane_key())
    }
}

body! {
    /// What a lane is told.
    AnswersBody {
        /// A player answered.
        submitted: AnswerSubmitted,
        /// A question opened; the lane has all it needs to score it.
        opened: LaneOpened,
        /// The question closed: the barrier (I7).
        closed: LaneClosed,
    }
}

/// A player's answer, as an edge took it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AnswerSubmitted {
    /// The question answered.
    pub question: QuestionNo,
    /// Who answered.
    pub player: PlayerId,
    /// The client's idempotency key.
    pub submission: SubmissionId,
    /// The answer.
    pub response: Response,
    /// The edge's wall clock on receipt, µs since 1970. For people; never scored.
    pub received_at_us: i64,
    /// From the delivery of the question to this socket until the answer's receipt, by the edge's
    /// monotonic clock, µs. This is what is scored.
    pub elapsed_us: i64,
    /// The edge that took it.
    pub edge: EdgeId,
}

/// The open marker. Scoring a lane needs nothing from outside its partition.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LaneOpened {
    /// The question.
    pub question: QuestionNo,
    /// Its right answer.
    pub key: AnswerKey,
    /// Points for a right answer at once.
    pub points_max: i32,
    /// Time to answer, µs.
    pub limit_us: i64,
    /// The scoring rule's name and version, e.g. `speed-v1`.
    pub rule: SmolStr,
    /// Whether consecutive right answers earn the streak bonus.
    pub streaks: bool,
    /// When the session worker opened it, µs since 1970.
    pub opened_at_us: i64,
}

/// The close marker: no answer behind it counts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LaneClosed {
    /// The question.
    pub question: QuestionNo,
    /// When the session worker closed it, µs since 1970.
    pub closed_at_us: i64,
}
