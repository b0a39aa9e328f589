//! The open question: what its marker said, worked out once, and what was counted since.

use quiz_schemas::QuestionNo;
use quiz_schemas::SubmissionId;
use quiz_schemas::events::{AnswerSubmitted, LaneCounts, LaneOpened, Verdict};
use quiz_schemas::quiz::{OPTIONS_MAX, Response};

use super::MarkerRefusal;
use crate::judge::{Judgement, PreparedKey};
use crate::rule::{Rule, streak_bonus};
use crate::session::CLOSE_GRACE_MS;

const CLOSE_GRACE_US: i64 = CLOSE_GRACE_MS * 1_000;

/// A player's answer to the open question. The response itself is not kept.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) submission: SubmissionId,
    pub(super) elapsed_us: i64,
    pub(super) points: i32,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Debug)]
pub(super) struct OpenQuestion {
    pub(super) question: QuestionNo,
    pub(super) counts: LaneCounts,
    key: PreparedKey,
    rule: Rule,
    points_max: i32,
    limit_us: i64,
    streaks: bool,
    picked: [i64; OPTIONS_MAX],
}

impl OpenQuestion {
    pub(super) fn new(marker: &LaneOpened) -> Result<Self, MarkerRefusal> {
        let rule = Rule::from_id(&marker.rule).ok_or(MarkerRefusal::UnknownRule)?;
        let key = PreparedKey::new(&marker.key).map_err(|_| MarkerRefusal::BadKey)?;
        if marker.limit_us <= 0 {
            return Err(MarkerRefusal::BadLimit);
        }
        if marker.points_max < 0 {
            return Err(MarkerRefusal::BadPoints);
        }
        Ok(Self {
            question: marker.question,
            counts: LaneCounts::default(),
            key,
            rule,
            points_max: marker.points_max,
            limit_us: marker.limit_us,
            streaks: marker.streaks,
            picked: [0; OPTIONS_MAX],
        })
    }

    /// Judges a player's first answer and counts its picks; none for a misfit. `streak` is how many
    /// right answers in a row the player had before.
    pub(super) fn judge(&mut self, answer: &AnswerSubmitted, streak: i32) -> Option<Given> {
        let elapsed_us = answer.elapsed_us.clamp(0, self.limit_us);
        let given = |verdict, points| Given { submission: answer.submission, elapsed_us, points, verdict };
        if answer.elapsed_us > self.limit_us.saturating_add(CLOSE_GRACE_US) {
            return Some(given(Verdict::Late, 0));
        }
        let judgement = self.key.judge(&answer.response);
        let verdict = match judgement {
            Judgement::Correct => Verdict::Correct,
            Judgement::Partial { .. } => Verdict::Partial,
            Judgement::Wrong => Verdict::Wrong,
            Judgement::Counted => Verdict::Counted,
            Judgement::Misfit => return None,
        };
        if let Response::Picks(picks) = &answer.response {
            for &pick in picks.as_slice() {
                self.picked[usize::from(pick)] += 1;
            }
        }
        let mut points = self.rule.points(judgement, elapsed_us, self.limit_us, self.points_max);
        if verdict == Verdict::Correct && self.streaks && self.points_max > 0 {
            points = points.saturating_add(streak_bonus(streak.saturating_add(1)));
        }
        Some(given(verdict, points))
    }

    pub(super) fn is_poll(&self) -> bool {
        self.key.is_poll()
    }

    /// How often each option was picked in judged answers; empty for a text, a number or an order.
    pub(super) fn distribution(&self) -> Vec<i64> {
        self.picked[..self.key.counted_options()].to_vec()
    }
}
