use super::{body, keyed_by_game};
use crate::ids::{GameId, QuestionNo, SubmissionId};
use serde::{Deserialize, Serialize};

/// The most suspects that a ledger names.
pub const LEDGER_SUSPECTS_MAX: usize = 100;

/// One record of `quiz.ledger.v1`, keyed by game: a question's books. Absolute (I5): of one question the
/// record with the highest version counts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// The game.
    pub game: GameId,
    /// The question.
    pub question: QuestionNo,
    /// The broker's timestamp of the last record that led here, µs since 1970.
    pub at_us: i64,
    /// What is told.
    pub body: LedgerBody,
}
keyed_by_game!(LedgerRecord, Ledger);

body! {
    /// What the books say.
    LedgerBody {
        /// All there is to know is known.
        closed: QuestionLedger,
    }
}

/// How a question's books stand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerState {
    /// Lanes or edges have not told all yet.
    Open,
    /// Every equation holds.
    Balanced,
    /// One does not.
    Imbalanced,
    /// A state that this build does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Imbalance {
    /// Acknowledged to its player, and not in the log.
    Lost,
    /// Scored, and not in the store.
    Unstored,
    /// In the store without having been scored, or in the log without an edge that took it.
    Phantom,
    /// A count does not add up though no single answer is wrong.
    Miscounted,
    /// A kind that this build does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Imbalance {
    /// A short stable word for metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Imbalance::Lost => "lost",
            Imbalance::Unstored => "unstored",
            Imbalance::Phantom => "phantom",
            Imbalance::Miscounted => "miscounted",
            Imbalance::Unknown => "unknown",
        }
    }
}

/// The books of one question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QuestionLedger {
    /// Rises with every telling.
    pub version: i32,
    /// How they stand.
    pub state: LedgerState,
    /// What the edges say, summed.
    pub edges: EdgeTotals,
    /// What the lanes say, summed, and what the store holds.
    pub lanes: LaneTotals,
    /// Acknowledged and not in the log.
    pub lost: i64,
    /// Scored and not in the store.
    pub unstored: i64,
    /// In the store and not scored, or in the log and not taken by its edge, which has told its last word.
    pub phantom: i64,
    /// In the log without their edge saying so, which is silent or has more to tell: an edge that died before
    /// it told all took that with it.
    pub unclaimed: i64,
    /// The answers that are wrong, at most [`LEDGER_SUSPECTS_MAX`].
    pub suspects: Vec<Suspect>,
}

/// What the edges say. `received = acked + repeated + refused + unavailable`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EdgeTotals {
    /// Answers decided.
    pub received: i64,
    /// Appended and acknowledged.
    pub acked: i64,
    /// Acked again without an append.
    pub repeated: i64,
    /// Refused for good.
    pub refused: i64,
    /// Told to send again.
    pub unavailable: i64,
    /// Edges that took part and have not told in time.
    pub silent: i64,
}

/// What the lanes say and the store holds. `logged = scored + late + duplicate + refused`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LaneTotals {
    /// Answers read from the log.
    pub logged: i64,
    /// First answers, judged.
    pub scored: i64,
    /// Too late to count.
    pub late: i64,
    /// Resends and second answers.
    pub duplicate: i64,
    /// Fitting no question or not its kind.
    pub refused: i64,
    /// Answers that the store holds.
    pub stored: i64,
}

/// An answer that is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Suspect {
    /// Which.
    pub submission: SubmissionId,
    /// What is wrong with it.
    pub kind: Imbalance,
}
