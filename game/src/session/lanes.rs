//! What the lanes have said of the question in play. Not folded: a successor reads it again.

use std::collections::BTreeSet;

use quiz_schemas::events::{LaneScored, ScoresBody, ScoresRecord};

/// The most parts of one lane's report.
pub const LANE_PARTS_MAX: i32 = 1_000;

/// Why an input makes no sense for a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// There is no such game.
    #[error("no such game")]
    NoGame,
    /// The game has no such lane.
    #[error("no such lane")]
    NoLane,
    /// The parts of a report do not add up.
    #[error("a report with impossible parts")]
    BadParts,
}

impl Nonsense {
    /// A short stable word for metrics and dead-letter headers.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Nonsense::NoGame => "no_game",
            Nonsense::NoLane => "no_lane",
            Nonsense::BadParts => "bad_parts",
        }
    }
}

/// One lane.
#[derive(Clone, PartialEq, Debug)]
struct Lane {
    /// The position of the newest counts; −1 for none.
    position: i64,
    /// First answers judged, the late ones among them.
    answered: i64,
    /// The parts of its report that are there, of `parts`.
    reported: BTreeSet<i32>,
    /// How many there are; 0 before the first.
    parts: i32,
}

impl Lane {
    fn has_reported(&self) -> bool {
        self.parts > 0 && self.reported.len() == self.parts as usize
    }
}

/// All lanes of a game, for the question in play.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct LaneWatch {
    lanes: Vec<Lane>,
    answered: i64,
    first_offset: Option<i64>,
}

impl LaneWatch {
    /// Nothing heard yet from any of `lanes` lanes.
    pub(super) fn new(lanes: u16) -> Self {
        let lane = Lane { position: -1, answered: 0, reported: BTreeSet::new(), parts: 0 };
        Self { lanes: vec![lane; usize::from(lanes)], answered: 0, first_offset: None }
    }

    /// First answers judged over all lanes, by the newest counts of each.
    pub(super) fn answered(&self) -> i64 {
        self.answered
    }

    /// Whether every lane has reported (I7).
    pub(super) fn is_complete(&self) -> bool {
        !self.lanes.is_empty() && self.lanes.iter().all(Lane::has_reported)
    }

    /// The offset of the first record heard.
    pub(super) fn first_offset(&self) -> Option<i64> {
        self.first_offset
    }

    /// Takes a record of the question in play, at `offset` in the scores topic.
    pub(super) fn hear(&mut self, offset: i64, record: &ScoresRecord) -> Result<(), Nonsense> {
        let lane = self.lanes.get_mut(usize::from(record.lane)).ok_or(Nonsense::NoLane)?;
        if let ScoresBody::LaneScored(scored) = &record.body {
            report(lane, scored)?;
        }
        if record.position.offset > lane.position {
            let answered = record.counts.scored.saturating_add(record.counts.late);
            self.answered += answered - lane.answered;
            lane.position = record.position.offset;
            lane.answered = answered;
        }
        self.first_offset.get_or_insert(offset);
        Ok(())
    }
}

fn report(lane: &mut Lane, scored: &LaneScored) -> Result<(), Nonsense> {
    if !(1..=LANE_PARTS_MAX).contains(&scored.parts) || !(0..scored.parts).contains(&scored.part) {
        return Err(Nonsense::BadParts);
    }
    if lane.has_reported() {
        return Ok(());
    }
    if lane.parts != scored.parts {
        // A worker that reports again may cut its report in other parts.
        lane.reported.clear();
        lane.parts = scored.parts;
    }
    lane.reported.insert(scored.part);
    Ok(())
}
