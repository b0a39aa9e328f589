use super::{body, keyed_by_game};
use crate::ids::{GameId, LaneNo, PlayerId, Position, QuestionNo};
use serde::{Deserialize, Serialize};

/// One record of `quiz.scores.v1`, keyed by game. Every number in it is a total that stands at
/// `position` (I5): an older record never overrides a newer one, and twice is once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ScoresRecord {
    /// The game.
    pub game: GameId,
    /// The lane in it.
    pub lane: LaneNo,
    /// The question.
    pub question: QuestionNo,
    /// Where the lane stood in `quiz.answers.v1`: the last record that is counted here.
    pub position: Position,
    /// What the lane counted for the question.
    pub counts: LaneCounts,
    /// What is said.
    pub body: ScoresBody,
}
keyed_by_game!(ScoresRecord, Scores);

/// A question's count of answers in one lane.
/// `received = scored + duplicate + late + refused` at every position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LaneCounts {
    /// Answers read.
    pub received: i64,
    /// First answers, judged.
    pub scored: i64,
    /// Resends and second answers.
    pub duplicate: i64,
    /// First answers behind the close marker, or whose own clock was past the limit and grace.
    pub late: i64,
    /// Answers that fit no open question or not its kind.
    pub refused: i64,
    /// The sum, wrapping, of [`submission_digest`](crate::submission_digest) over all of `received`: two sides that
    /// counted the same answers have the same, and one lost or exchanged answer changes it.
    #[serde(default)]
    pub digest: i64,
}

impl std::ops::AddAssign for LaneCounts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.scored += other.scored;
        self.duplicate += other.duplicate;
        self.late += other.late;
        self.refused += other.refused;
        self.digest = self.digest.wrapping_add(other.digest);
    }
}

body! {
    /// What a lane says of a question.
    ScoresBody {
        /// The counts so far, nothing else.
        counted: LaneCounted,
        /// The question is closed and these are its outcomes.
        scored: LaneScored,
        /// The store holds all answers that these outcomes come of.
        stored: LaneStored,
    }
}

/// The counts so far. Volatile: the next one, or the close, replaces it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LaneCounted {
    /// Whether the question is closed in this lane.
    pub closed: bool,
}

/// The store holds what the lane has scored, up to the record's position. Appended after the store said so.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LaneStored {
    /// Answers of the question that were written.
    pub stored: i64,
    /// Where the question's open marker stands in the lane's partition of `quiz.answers.v1`, so that an
    /// audit knows from where to read; below 0 when it is not known any more.
    #[serde(default = "not_known")]
    pub opened_offset: i64,
}

fn not_known() -> i64 {
    -1
}

/// A part of a closed question's outcomes. A lane has reported when all `parts` are there (I7).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LaneScored {
    /// This part, from 0.
    pub part: i32,
    /// How many parts there are, ≥ 1: a lane without answers reports one empty part.
    pub parts: i32,
    /// How often each option was picked, over the whole lane; the same in every part.
    pub distribution: Vec<i64>,
    /// One row for each player who has ever scored in the lane, answered or not: totals are
    /// absolute, so a reader needs only the newest report.
    pub outcomes: Vec<PlayerScore>,
}

/// How an answer was judged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No answer in time.
    Unanswered,
    /// Right.
    Correct,
    /// Some of it right.
    Partial,
    /// Wrong.
    Wrong,
    /// A poll: neither right nor wrong.
    Counted,
    /// It came too late.
    Late,
    /// A verdict that this build does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A player's standing after a question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlayerScore {
    /// Who.
    pub player: PlayerId,
    /// How this question's answer was judged.
    pub verdict: Verdict,
    /// Points for this question, bonus included.
    pub points: i32,
    /// Points over the game.
    pub total: i64,
    /// Right answers in a row, this one included.
    pub streak: i32,
    /// Time taken for this question, µs; 0 when unanswered.
    pub elapsed_us: i64,
    /// The time taken over all right answers, µs: what breaks no tie, but is shown.
    pub elapsed_total_us: i64,
}
