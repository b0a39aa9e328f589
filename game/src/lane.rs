//! Scoring one lane.

use quiz_schemas::events::LaneCounts;
use quiz_schemas::{PlayerId, QuestionNo, SubmissionId};
use serde::{Deserialize, Serialize};

/// A lane's state between two questions: enough to go on from its position without the log before it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LaneSnapshot {
    /// The last question closed, if any.
    pub closed: Option<QuestionNo>,
    /// What was counted for it, late answers and resends after the close included.
    pub counts: LaneCounts,
    /// Every player who has answered in this lane, ascending by id.
    pub players: Vec<PlayerTotal>,
}

/// A player's running total.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlayerTotal {
    /// Who.
    pub player: PlayerId,
    /// Points over the game.
    pub total: i64,
    /// Right answers in a row.
    pub streak: i32,
    /// The time taken over all right answers, µs.
    pub elapsed_total_us: i64,
    /// The last question answered and under which submission: a resend after the close is a
    /// duplicate, not a late answer.
    pub last: Option<(QuestionNo, SubmissionId)>,
}
