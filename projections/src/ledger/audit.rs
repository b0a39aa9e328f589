//! Comparing the answers one by one: what the edges acknowledged, what the log has, what is stored.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use quiz_game::lane::{Lane, LaneEffect};
use quiz_schemas::events::{AnswersBody, AnswersRecord, Imbalance, LEDGER_SUSPECTS_MAX, Suspect};
use quiz_schemas::{EdgeId, LaneNo, QuestionNo, SubmissionId};

/// One lane's answers to one question, as the log and the store have them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LaneAudit {
    /// Whether the log was there from the question's beginning: retention takes old records.
    pub whole: bool,
    /// Every answer to the question in the log, in its order, and the edge that appended it; an answer
    /// that was appended twice is here twice.
    pub logged: Vec<(EdgeId, SubmissionId)>,
    /// First answers, judged, that the store does not have.
    pub unstored: Vec<SubmissionId>,
    /// Answers that the store has and that were not judged first.
    pub unscored: Vec<SubmissionId>,
    /// How many the store has.
    pub stored: i64,
}

impl LaneAudit {
    /// What `edge` has among the first `count` answers in the log.
    pub(super) fn first_of(&self, edge: &EdgeId, count: usize) -> impl Iterator<Item = SubmissionId> {
        self.logged.iter().take(count).filter(move |logged| logged.0 == *edge).map(|logged| logged.1)
    }
}

/// Plays a lane's records through its rules again.
#[derive(Default)]
pub(super) struct Replay {
    lane: Lane,
    question: QuestionNo,
    opened: bool,
    logged: Vec<(EdgeId, SubmissionId)>,
    scored: BTreeSet<SubmissionId>,
}

impl Replay {
    pub(super) fn new(question: QuestionNo) -> Self {
        Self { question, ..Self::default() }
    }

    /// Takes the lane's next record.
    pub(super) fn take(&mut self, record: &AnswersRecord) {
        if let AnswersBody::LaneOpened(opened) = &record.body {
            self.opened |= opened.question == self.question;
        }
        let effect = self.lane.apply(&record.body);
        let AnswersBody::AnswerSubmitted(answer) = &record.body else { return };
        if answer.question != self.question {
            return;
        }
        self.logged.push((answer.edge.clone(), answer.submission));
        if matches!(effect, LaneEffect::Scored(_)) {
            self.scored.insert(answer.submission);
        }
    }

    /// Compares with what is stored.
    pub(super) fn finish(self, stored: impl Iterator<Item = SubmissionId>) -> LaneAudit {
        let mut unstored = self.scored.clone();
        let mut unscored = Vec::new();
        let mut count = 0;
        for submission in stored {
            count += 1;
            if !self.scored.contains(&submission) {
                unscored.push(submission);
            }
            unstored.remove(&submission);
        }
        // Without the open marker nothing was judged, and nothing can be said of the store.
        if !self.opened {
            return LaneAudit { whole: false, logged: self.logged, stored: count, ..LaneAudit::default() };
        }
        let unstored = unstored.into_iter().collect();
        LaneAudit { whole: true, logged: self.logged, unstored, unscored, stored: count }
    }
}

/// What an edge has told.
pub(super) struct Claim<'a> {
    pub(super) edge: &'a EdgeId,
    /// The acked answers; none when they are not held any more.
    pub(super) acked: Option<Cow<'a, [SubmissionId]>>,
    /// How many answers it does not know the fate of.
    pub(super) unavailable: i64,
    /// Whether it has no more to tell.
    pub(super) last: bool,
}

/// What the comparison has found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Findings {
    pub(super) lost: i64,
    pub(super) unstored: i64,
    pub(super) phantom: i64,
    pub(super) unclaimed: i64,
    /// Whether an edge that has more to tell may claim some of them.
    pub(super) awaits: bool,
    /// Edges that appended answers and have told nothing.
    pub(super) silent: BTreeSet<EdgeId>,
    pub(super) suspects: Vec<Suspect>,
}

impl Findings {
    /// Compares the edges' word with the lanes' answers.
    pub(super) fn of(claims: &[Claim<'_>], lanes: &BTreeMap<LaneNo, LaneAudit>) -> Self {
        let mut found = Self::default();
        let mut logged: BTreeMap<&EdgeId, HashMap<SubmissionId, i64>> = BTreeMap::new();
        for (edge, submission) in lanes.values().flat_map(|lane| &lane.logged) {
            *logged.entry(edge).or_default().entry(*submission).or_default() += 1;
        }
        let whole = lanes.values().all(|lane| lane.whole);
        for claim in claims {
            let Some(acked) = &claim.acked else { continue };
            let mut left = logged.remove(claim.edge).unwrap_or_default();
            let claimed: HashSet<SubmissionId> = acked.iter().copied().collect();
            for submission in acked.iter() {
                match left.get_mut(submission) {
                    Some(times) if *times > 0 => *times -= 1,
                    // What retention took cannot be told from what was never there.
                    _ if whole => found.lost += found.suspect(*submission, Imbalance::Lost),
                    _ => {}
                }
            }
            // One that was acknowledged and is there once more is a duplicate, and scored once.
            left.retain(|submission, times| *times > 0 && !claimed.contains(submission));
            found.unexplained(&left, claim);
        }
        for (edge, submissions) in logged {
            found.unclaimed += submissions.values().sum::<i64>();
            found.silent.insert(edge.clone());
        }
        for lane in lanes.values() {
            for &submission in &lane.unstored {
                found.unstored += found.suspect(submission, Imbalance::Unstored);
            }
            for &submission in &lane.unscored {
                found.phantom += found.suspect(submission, Imbalance::Phantom);
            }
        }
        found.suspects.sort_unstable();
        found.suspects.truncate(LEDGER_SUSPECTS_MAX);
        found
    }

    /// Answers in the log that their edge did not acknowledge: each may be one of those whose append it gave
    /// up on. If there are more, some come from nowhere; which, nobody can tell. How often each is there says
    /// nothing: after a timeout the client library appends anew what it does not know the fate of. An edge
    /// that has more to tell may have taken them behind its last word; should it die before it says so, that
    /// is what it took with it, as with a silent one.
    fn unexplained(&mut self, left: &HashMap<SubmissionId, i64>, claim: &Claim<'_>) {
        let beyond = i64::try_from(left.len()).unwrap_or(i64::MAX) - claim.unavailable;
        if beyond <= 0 {
            return;
        }
        if !claim.last {
            self.unclaimed += beyond;
            self.awaits = true;
            return;
        }
        self.phantom += beyond;
        for &submission in left.keys() {
            self.suspect(submission, Imbalance::Phantom);
        }
    }

    fn suspect(&mut self, submission: SubmissionId, kind: Imbalance) -> i64 {
        self.suspects.push(Suspect { submission, kind });
        1
    }
}
