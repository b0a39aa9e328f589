//! The counters of the board projection, all names in one place.

/// A counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    /// Boards published, re-publishing included.
    BoardsPublished,
    /// Boards given up, since what they needed was dropped to keep within bounds (I9).
    BoardsSkipped,
    /// Questions whose reports were dropped to keep within bounds (I9).
    ReportsDropped,
    /// Games whose reports were dropped, since no record that began them was read (I9).
    UnclaimedDropped,
}

impl Metric {
    /// Every counter.
    pub const ALL: [Metric; 4] =
        [Metric::BoardsPublished, Metric::BoardsSkipped, Metric::ReportsDropped, Metric::UnclaimedDropped];

    /// Its name on the metrics page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Metric::BoardsPublished => "quiz_board_boards_published_total",
            Metric::BoardsSkipped => "quiz_board_boards_skipped_total",
            Metric::ReportsDropped => "quiz_board_reports_dropped_total",
            Metric::UnclaimedDropped => "quiz_board_unclaimed_dropped_total",
        }
    }

    pub(super) fn count(self) {
        metrics::counter!(self.name()).increment(1);
    }
}
