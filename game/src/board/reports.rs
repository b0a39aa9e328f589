//! What one lane has reported.

use super::Tally;
use quiz_schemas::events::{LaneCounts, LaneScored, PlayerScore, ScoresBody, ScoresRecord, Verdict};
use quiz_schemas::{LaneNo, Position, QuestionNo};
use std::collections::BTreeMap;

/// The most parts of one report.
pub const REPORT_PARTS_MAX: i32 = 1_024;
/// The most lanes of a game: 100,000 players need 50.
pub(super) const LANES_MAX: LaneNo = 1_024;

/// Why a report makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misreport {
    /// A lane number beyond any game's.
    #[error("a report of a lane that no game has")]
    Lane,
    /// A part number that is not below the number of parts, or too many parts.
    #[error("a report whose part is out of range")]
    Part,
}

impl Misreport {
    /// A short stable word for metrics and headers.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Misreport::Lane => "lane_out_of_range",
            Misreport::Part => "part_out_of_range",
        }
    }
}

pub(super) fn check(scored: &LaneScored) -> Result<(), Misreport> {
    let parts = 1..=REPORT_PARTS_MAX;
    if parts.contains(&scored.parts) && (0..scored.parts).contains(&scored.part) {
        return Ok(());
    }
    Err(Misreport::Part)
}

/// One question's report, of which some parts may still be missing.
#[derive(Debug)]
struct Report {
    position: Position,
    counts: LaneCounts,
    distribution: Vec<i64>,
    parts: Vec<Option<Vec<PlayerScore>>>,
    at_us: i64,
}

impl Report {
    fn new(record: &ScoresRecord, scored: &LaneScored) -> Self {
        Self {
            position: record.position,
            counts: record.counts,
            distribution: scored.distribution.clone(),
            parts: vec![None; scored.parts as usize],
            at_us: 0,
        }
    }

    fn is_whole(&self) -> bool {
        self.parts.iter().all(Option::is_some)
    }

    fn rows(&self) -> usize {
        self.parts.iter().flatten().map(Vec::len).sum()
    }
}

#[derive(Debug, Default)]
pub(super) struct LaneReports {
    held: BTreeMap<QuestionNo, Report>,
    /// Questions below it are settled or lost; a report of them is of no use.
    floor: u32,
    /// Questions from here to `floor` were lost.
    lost_from: Option<u32>,
    newest: Option<(QuestionNo, i64, LaneCounts)>,
    settled: Vec<PlayerScore>,
}

impl LaneReports {
    /// `record` has passed [`check`].
    pub(super) fn take(&mut self, record: &ScoresRecord, at_us: i64) {
        let stands_at = (record.question, record.position.offset);
        if self.newest.is_none_or(|(question, offset, _)| stands_at > (question, offset)) {
            self.newest = Some((record.question, record.position.offset, record.counts));
        }
        let ScoresBody::LaneScored(scored) = &record.body else { return };
        if u32::from(record.question) < self.floor {
            return;
        }
        let report = self.held.entry(record.question).or_insert_with(|| Report::new(record, scored));
        if record.position.offset < report.position.offset {
            return;
        }
        if report.position != record.position || report.parts.len() != scored.parts as usize {
            // The lane has reported the question anew: parts of two reports are not mixed.
            *report = Report::new(record, scored);
        }
        let part = &mut report.parts[scored.part as usize];
        if part.is_none() {
            report.at_us = report.at_us.max(at_us);
            *part = Some(scored.outcomes.clone());
        }
    }

    pub(super) fn has(&self, question: QuestionNo) -> bool {
        self.held.get(&question).is_some_and(Report::is_whole)
    }

    pub(super) fn lost(&self, question: QuestionNo) -> bool {
        let question = u32::from(question);
        self.lost_from.is_some_and(|from| (from..self.floor).contains(&question))
    }

    pub(super) fn counts(&self, question: QuestionNo) -> Option<LaneCounts> {
        self.newest.filter(|newest| newest.0 == question).map(|newest| newest.2)
    }

    pub(super) fn rows_held(&self) -> usize {
        self.held.values().map(Report::rows).sum()
    }

    pub(super) fn earliest(&self) -> Option<QuestionNo> {
        self.held.keys().next().copied()
    }

    pub(super) fn settled(&self) -> &[PlayerScore] {
        &self.settled
    }

    pub(super) fn settle(&mut self, question: QuestionNo, tally: &mut Tally) {
        if let Some(report) = self.held.remove(&question).filter(Report::is_whole) {
            if tally.distribution.len() < report.distribution.len() {
                tally.distribution.resize(report.distribution.len(), 0);
            }
            for (sum, picked) in tally.distribution.iter_mut().zip(&report.distribution) {
                *sum += picked;
            }
            tally.answered += report.counts.scored;
            tally.at_us = tally.at_us.max(report.at_us);
            let mut parts = report.parts.into_iter().flatten();
            self.settled = parts.next().unwrap_or_default();
            self.settled.extend(parts.flatten());
            tally.correct += self.settled.iter().filter(|row| row.verdict == Verdict::Correct).count() as i64;
        }
        self.raise_floor(question);
    }

    /// Drops what is held of `question`, which will not be ready any more.
    pub(super) fn lose(&mut self, question: QuestionNo) {
        let from = u32::from(question).max(self.floor);
        self.lost_from = Some(self.lost_from.map_or(from, |lost| lost.min(from)));
        self.raise_floor(question);
    }

    fn raise_floor(&mut self, question: QuestionNo) {
        self.floor = self.floor.max(u32::from(question) + 1);
        while self.held.first_key_value().is_some_and(|(&held, _)| u32::from(held) < self.floor) {
            self.held.pop_first();
        }
    }
}
