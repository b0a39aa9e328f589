//! Exact ranks over the lanes of a game.
//!
//! A game's lanes report each closed question on their own. When all have reported (I7), their
//! totals are merged into one order: points descending, equal points share a rank, and the next
//! rank skips the numbers of those who share.

mod ranks;
mod reports;
mod roster;

pub use ranks::{Ranks, Standing};
pub use reports::{Misreport, REPORT_PARTS_MAX};
pub use roster::Roster;

use quiz_schemas::events::{LaneCounts, ScoresBody, ScoresRecord};
use quiz_schemas::{LaneNo, QuestionNo};
use reports::LaneReports;

/// Rows on a question's board.
pub const BOARD_ROWS: usize = 10;
/// Rows when the game is over.
pub const PODIUM_ROWS: usize = 50;

/// What the lanes of one game have reported. It can be kept before it is known how many lanes
/// there are, since a reader of two topics may meet a report before the record that began the game.
#[derive(Debug, Default)]
pub struct Reports {
    lanes: Vec<LaneReports>,
    rows_held: usize,
}

/// What all lanes together say of a question.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// How often each option was picked.
    pub distribution: Vec<i64>,
    /// First answers judged.
    pub answered: i64,
    /// Those judged right.
    pub correct: i64,
    /// The broker's timestamp of the last report that went into it, µs since 1970.
    pub at_us: i64,
}

impl Reports {
    /// Takes a lane's report. An older report than the one held changes nothing, nor does the same
    /// one again (I5). `at_us` is the broker's timestamp of the record.
    ///
    /// # Errors
    /// When the report makes no sense: see [`Misreport`].
    pub fn take(&mut self, record: &ScoresRecord, at_us: i64) -> Result<(), Misreport> {
        let lane = usize::from(record.lane);
        if lane >= usize::from(reports::LANES_MAX) {
            return Err(Misreport::Lane);
        }
        if let ScoresBody::LaneScored(scored) = &record.body {
            reports::check(scored)?;
        }
        if self.lanes.len() <= lane {
            self.lanes.resize_with(lane + 1, LaneReports::default);
        }
        let before = self.lanes[lane].rows_held();
        self.lanes[lane].take(record, at_us);
        self.rows_held = self.rows_held + self.lanes[lane].rows_held() - before;
        Ok(())
    }

    /// Whether each of `lanes` lanes has reported `question` in full (I7).
    #[must_use]
    pub fn ready(&self, question: QuestionNo, lanes: LaneNo) -> bool {
        let lanes = usize::from(lanes);
        self.lanes.len() >= lanes && self.lanes[..lanes].iter().all(|lane| lane.has(question))
    }

    /// Whether some lane's report of `question` was dropped to keep within bounds, so that the
    /// question will never be ready.
    #[must_use]
    pub fn lost(&self, question: QuestionNo) -> bool {
        self.lanes.iter().any(|lane| lane.lost(question))
    }

    /// First answers judged for `question` so far, over the newest counts of all lanes.
    #[must_use]
    pub fn counted(&self, question: QuestionNo) -> LaneCounts {
        let mut sum = LaneCounts::default();
        for counts in self.lanes.iter().filter_map(|lane| lane.counts(question)) {
            sum += counts;
        }
        sum
    }

    /// Makes the reports of `question` the present ones and forgets those before it. To be called
    /// when [`Reports::ready`]; lanes that have not reported keep the totals that they had.
    pub fn settle(&mut self, question: QuestionNo) -> Tally {
        let mut tally = Tally::default();
        for lane in &mut self.lanes {
            lane.settle(question, &mut tally);
        }
        self.rows_held = self.lanes.iter().map(LaneReports::rows_held).sum();
        tally
    }

    /// Rows of reports that are not settled yet.
    #[must_use]
    pub fn rows_held(&self) -> usize {
        self.rows_held
    }

    /// Drops the reports of the earliest question that is held; totals are absolute, so later
    /// boards stay exact. Returns that question.
    pub fn drop_earliest(&mut self) -> Option<QuestionNo> {
        let question = self.lanes.iter().filter_map(LaneReports::earliest).min()?;
        self.give_up(question);
        Some(question)
    }

    /// Drops what is held of `question`, which will never be ready then.
    pub fn give_up(&mut self, question: QuestionNo) {
        for lane in &mut self.lanes {
            lane.lose(question);
        }
        self.rows_held = self.lanes.iter().map(LaneReports::rows_held).sum();
    }

    /// The standing of everybody who was in the game at `seq` of its session, by the settled
    /// reports. Who is in none of them has no points and has not answered.
    #[must_use]
    pub fn standing<'a>(&'a self, roster: &'a Roster, seq: i64) -> Standing<'a> {
        let rows = self.lanes.iter().enumerate().map(|(lane, reports)| (lane as LaneNo, reports.settled()));
        Standing::new(roster, seq, rows)
    }
}
