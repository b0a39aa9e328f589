//! Scoring one lane: a function of one partition's records, in their order.
//!
//! An answer is treated by the first row that fits:
//!
//! | case | outcome |
//! | --- | --- |
//! | the player already has an answer to that question (the open one, or the last closed) | `duplicate` |
//! | it is for the last closed question | `late`: the player has an answer to it now |
//! | it is for any question that is not open | `refused` |
//! | `elapsed_us` > `limit_us` + grace | `late`: the player has an answer to it now |
//! | the response does not fit the key's kind | `refused`: the player may answer again |
//! | else | `scored` |
//!
//! It is counted at the question that it names when that is open or closed last; else at the open
//! one, else at the last closed. What comes before any question is counted at the first that opens.
//! So the counts of all questions together are the records that the lane has read.
//!
//! A marker that is repeated has no effect: an open marker of the open question, or of one not
//! behind the last closed (questions are asked in ascending order); a close marker of any question
//! but the open one.

mod open;
mod players;

use quiz_schemas::events::{AnswerSubmitted, AnswersBody, LaneClosed, LaneCounts, LaneOpened, LaneScored, Verdict};
use quiz_schemas::{PlayerId, QuestionNo, SubmissionId, submission_digest};
use serde::{Deserialize, Serialize};

use open::{Given, OpenQuestion};
use players::{Player, Players};

/// A lane's state between two questions: enough to go on from its position without the log before it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LaneSnapshot {
    /// The last question closed, if any.
    pub closed: Option<QuestionNo>,
    /// What was counted for it, late answers and resends after the close included; before the first
    /// close, what was refused before any question opened.
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

/// What a record did to a lane.
#[derive(Clone, PartialEq, Debug)]
pub enum LaneEffect {
    /// A question opened.
    Opened,
    /// A first answer was judged, and counted at the open question: store it.
    Scored(AnswerScored),
    /// An answer was counted at this question and has no other effect; none before the first opens.
    Counted(Option<QuestionNo>),
    /// The open question closed: report it (I7).
    Closed(QuestionScored),
    /// A repeated marker, or a kind of record from a newer writer: nothing changed.
    Ignored,
    /// An open marker that makes no sense: nothing changed; a dead letter (I11).
    Refused(MarkerRefusal),
}

/// How an answer was judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswerScored {
    /// Never `Unanswered` or `Late`.
    pub verdict: Verdict,
    /// Points for it, bonus included.
    pub points: i32,
    /// Time taken, clamped to the limit, µs.
    pub elapsed_us: i64,
}

/// A closed question's outcomes.
#[derive(Clone, PartialEq, Debug)]
pub struct QuestionScored {
    /// Which.
    pub question: QuestionNo,
    /// What was counted for it.
    pub counts: LaneCounts,
    /// The report, whole: every player who has answered in this lane, ascending by id.
    pub report: LaneScored,
}

/// Why a lane does not open a question. A correct session worker gives it no reason to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MarkerRefusal {
    /// Another question is open. It stays open: to close it unasked would report outcomes that the
    /// session worker has not asked for, and drop answers that it would still admit.
    #[error("another question is open")]
    QuestionOpen,
    /// The rule is not known to this build ([`Rule::from_id`](crate::rule::Rule::from_id)).
    #[error("the scoring rule is not known")]
    UnknownRule,
    /// Nothing can be judged by the key.
    #[error("the answer key is bad")]
    BadKey,
    /// The time limit is not above 0.
    #[error("the time limit is not above 0")]
    BadLimit,
    /// Points below 0.
    #[error("the points are below 0")]
    BadPoints,
}

impl MarkerRefusal {
    /// A short stable word for metrics and dead-letter headers.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            MarkerRefusal::QuestionOpen => "question_open",
            MarkerRefusal::UnknownRule => "unknown_rule",
            MarkerRefusal::BadKey => "bad_key",
            MarkerRefusal::BadLimit => "bad_limit",
            MarkerRefusal::BadPoints => "bad_points",
        }
    }
}

/// The state of one lane.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    closed: Option<QuestionNo>,
    /// Those of `closed`, as [`LaneSnapshot::counts`].
    closed_counts: LaneCounts,
    open: Option<OpenQuestion>,
    players: Players,
}

/// Which count an answer goes to.
#[derive(Clone, Copy)]
enum Tally {
    Scored,
    Duplicate,
    Late,
    Refused,
}

impl Lane {
    /// A lane that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A lane as it was when the snapshot was taken.
    #[must_use]
    pub fn from_snapshot(snapshot: LaneSnapshot) -> Self {
        let players = snapshot.players.into_iter().map(|total| (total.player, Player::from(total))).collect();
        Self { closed: snapshot.closed, closed_counts: snapshot.counts, open: None, players }
    }

    /// The lane's state; none while a question is open, for answers to it are not in a snapshot:
    /// they are read again from the open marker on.
    #[must_use]
    pub fn snapshot(&self) -> Option<LaneSnapshot> {
        if self.open.is_some() {
            return None;
        }
        let mut players: Vec<PlayerTotal> = self.players.iter().map(|(id, player)| player.total(*id)).collect();
        players.sort_unstable_by_key(|total| total.player);
        Some(LaneSnapshot { closed: self.closed, counts: self.closed_counts, players })
    }

    /// The open question.
    #[must_use]
    pub fn open(&self) -> Option<QuestionNo> {
        self.open.as_ref().map(|open| open.question)
    }

    /// The last closed question.
    #[must_use]
    pub fn closed(&self) -> Option<QuestionNo> {
        self.closed
    }

    /// What has been counted for `question`, when it is the open one or the last closed.
    #[must_use]
    pub fn counts(&self, question: QuestionNo) -> Option<LaneCounts> {
        match &self.open {
            Some(open) if open.question == question => Some(open.counts),
            _ if self.closed == Some(question) => Some(self.closed_counts),
            _ => None,
        }
    }

    /// How many players have answered in this lane.
    #[must_use]
    pub fn players(&self) -> usize {
        self.players.len()
    }

    /// Takes the lane's next record.
    pub fn apply(&mut self, body: &AnswersBody) -> LaneEffect {
        match body {
            AnswersBody::AnswerSubmitted(answer) => self.answer(answer),
            AnswersBody::LaneOpened(marker) => self.open_question(marker),
            AnswersBody::LaneClosed(marker) => self.close_question(marker),
            AnswersBody::Unknown => LaneEffect::Ignored,
        }
    }

    fn answer(&mut self, answer: &AnswerSubmitted) -> LaneEffect {
        if self.open() == Some(answer.question) {
            return self.answer_open(answer);
        }
        if self.closed != Some(answer.question) {
            return self.count_elsewhere(answer);
        }
        let player = self.players.entry(answer.player).or_default();
        let tally = if player.has_answered(answer.question) { Tally::Duplicate } else { Tally::Late };
        if let Tally::Late = tally {
            player.last = Some((answer.question, answer.submission));
        }
        count(&mut self.closed_counts, tally, answer);
        LaneEffect::Counted(self.closed)
    }

    /// An answer to the open question.
    fn answer_open(&mut self, answer: &AnswerSubmitted) -> LaneEffect {
        let open = self.open.as_mut().expect("the caller saw it open");
        let player = self.players.get_mut(&answer.player);
        if player.as_ref().is_some_and(|player| player.given.is_some()) {
            count(&mut open.counts, Tally::Duplicate, answer);
            return LaneEffect::Counted(Some(open.question));
        }
        let Some(given) = open.judge(answer, player.as_ref().map_or(0, |player| player.streak)) else {
            count(&mut open.counts, Tally::Refused, answer);
            return LaneEffect::Counted(Some(open.question));
        };
        let Given { verdict, points, elapsed_us, .. } = given;
        match player {
            Some(player) => player.given = Some(given),
            None => {
                self.players.insert(answer.player, Player::new(given));
            }
        }
        if verdict == Verdict::Late {
            count(&mut open.counts, Tally::Late, answer);
            return LaneEffect::Counted(Some(open.question));
        }
        count(&mut open.counts, Tally::Scored, answer);
        LaneEffect::Scored(AnswerScored { verdict, points, elapsed_us })
    }

    /// An answer to a question that is neither open nor closed last.
    fn count_elsewhere(&mut self, answer: &AnswerSubmitted) -> LaneEffect {
        if let Some(open) = &mut self.open {
            count(&mut open.counts, Tally::Refused, answer);
            return LaneEffect::Counted(Some(open.question));
        }
        count(&mut self.closed_counts, Tally::Refused, answer);
        LaneEffect::Counted(self.closed)
    }

    fn open_question(&mut self, marker: &LaneOpened) -> LaneEffect {
        let closed_before = self.closed.is_some_and(|closed| marker.question <= closed);
        if closed_before || self.open() == Some(marker.question) {
            return LaneEffect::Ignored;
        }
        if self.open.is_some() {
            return LaneEffect::Refused(MarkerRefusal::QuestionOpen);
        }
        let mut open = match OpenQuestion::new(marker) {
            Ok(open) => open,
            Err(refusal) => return LaneEffect::Refused(refusal),
        };
        if self.closed.is_none() {
            open.counts = std::mem::take(&mut self.closed_counts);
        }
        self.open = Some(open);
        LaneEffect::Opened
    }

    fn close_question(&mut self, marker: &LaneClosed) -> LaneEffect {
        let Some(open) = self.open.take_if(|open| open.question == marker.question) else {
            return LaneEffect::Ignored;
        };
        let mut outcomes: Vec<_> = self.players.iter_mut().map(|(id, player)| player.settle(*id, &open)).collect();
        outcomes.sort_unstable_by_key(|outcome| outcome.player);
        self.closed = Some(open.question);
        self.closed_counts = open.counts;
        LaneEffect::Closed(QuestionScored {
            question: open.question,
            counts: open.counts,
            report: LaneScored { part: 0, parts: 1, distribution: open.distribution(), outcomes },
        })
    }
}

fn count(counts: &mut LaneCounts, tally: Tally, answer: &AnswerSubmitted) {
    counts.received += 1;
    counts.digest = counts.digest.wrapping_add(submission_digest(answer.player, answer.submission));
    match tally {
        Tally::Scored => counts.scored += 1,
        Tally::Duplicate => counts.duplicate += 1,
        Tally::Late => counts.late += 1,
        Tally::Refused => counts.refused += 1,
    }
}
