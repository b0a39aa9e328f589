//! The counters of the ledger, all names in one place.

use quiz_schemas::events::{Imbalance, LedgerState};

/// A counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    /// Books told and stored, by state.
    Questions,
    /// Lanes whose answers were compared one by one.
    LanesAudited,
    /// Answers or counts that are wrong, by kind: this is the alert.
    Imbalances,
    /// Edges that did not tell in time.
    EdgesSilent,
    /// Games forgotten before their books were closed, to keep within bounds (I9).
    GamesForgotten,
    /// Submission ids dropped to keep within bounds (I9).
    IdsDropped,
}

impl Metric {
    /// Every counter.
    pub const ALL: [Metric; 6] = [
        Metric::Questions,
        Metric::LanesAudited,
        Metric::Imbalances,
        Metric::EdgesSilent,
        Metric::GamesForgotten,
        Metric::IdsDropped,
    ];

    /// Its name on the metrics page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Metric::Questions => "quiz_ledger_questions_total",
            Metric::LanesAudited => "quiz_ledger_lanes_audited_total",
            Metric::Imbalances => "quiz_ledger_imbalances_total",
            Metric::EdgesSilent => "quiz_ledger_edges_silent_total",
            Metric::GamesForgotten => "quiz_ledger_games_forgotten_total",
            Metric::IdsDropped => "quiz_ledger_ids_dropped_total",
        }
    }

    pub(super) fn count(self, by: u64) {
        metrics::counter!(self.name()).increment(by);
    }

    /// Counts books that were told.
    pub(super) fn questions(state: LedgerState) {
        let state = match state {
            LedgerState::Open => "open",
            LedgerState::Balanced => "balanced",
            LedgerState::Imbalanced => "imbalanced",
            LedgerState::Unknown => "unknown",
        };
        metrics::counter!(Metric::Questions.name(), "state" => state).increment(1);
    }

    /// Counts imbalances of one kind.
    pub(super) fn imbalances(kind: Imbalance, by: u64) {
        metrics::counter!(Metric::Imbalances.name(), "kind" => kind.reason()).increment(by);
    }
}
