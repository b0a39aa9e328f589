//! The books of one question: what each party has told, and whether it adds up.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use quiz_schemas::events::{
    EdgeTallied, EdgeTotals, LaneCounts, LaneTotals, LedgerState, QuestionLedger, ScoresBody, ScoresRecord,
    SubmissionList,
};
use quiz_schemas::{EdgeId, GameId, LaneKey, LaneNo, QuestionNo, SubmissionId};

use super::audit::{Claim, Findings, LaneAudit};
use super::{EDGE_WAIT_US, Key, LaneQuestion, SETTLE_US};

/// What a lane has told.
#[derive(Default)]
struct LaneBook {
    /// Where it stood in the answers topic.
    offset: i64,
    partition: i32,
    counts: LaneCounts,
    /// Whether the question's outcomes are reported.
    closed: bool,
    /// Whether the store is said to hold them.
    announced: bool,
    opened_offset: Option<i64>,
    /// How many answers the store has.
    stored: Option<i64>,
    /// How many answers the log had when the books agreed last.
    agreed: usize,
}

/// What is known of the answers that an edge acknowledged.
enum Acked {
    /// Which they are.
    Ids(Vec<SubmissionId>),
    /// They are those that it had in the log when the books agreed: the log still knows them. Should retention
    /// have taken some of it meanwhile, what came later counts as acked, too: then less is found, nothing wrong.
    Agreed,
    /// Nothing: they are not all there, or were dropped to keep within bounds.
    Unknown,
}

/// What an edge has told.
struct EdgeBook {
    told: EdgeTallied,
    /// The acked ids by part; a telling counts when all its parts are there.
    parts: BTreeMap<i32, Vec<SubmissionId>>,
    acked: Acked,
    complete: bool,
}

impl EdgeBook {
    /// The ids of the acked answers, with the lanes' answers at hand; none when they are not known.
    fn acked<'a>(
        &'a self,
        edge: &EdgeId,
        lanes: &BTreeMap<LaneNo, Box<LaneBook>>,
        audits: &BTreeMap<LaneNo, LaneAudit>,
    ) -> Option<Cow<'a, [SubmissionId]>> {
        match &self.acked {
            Acked::Ids(ids) => Some(ids.into()),
            Acked::Agreed => {
                let logged = audits.iter().filter_map(|(lane, audit)| Some((lanes.get(lane)?.agreed, audit)));
                Some(logged.flat_map(|(agreed, audit)| audit.first_of(edge, agreed)).collect())
            }
            Acked::Unknown => None,
        }
    }

    fn ids(&self) -> usize {
        let whole = if let Acked::Ids(ids) = &self.acked { ids.len() } else { 0 };
        whole + self.parts.values().map(Vec::len).sum::<usize>()
    }

    /// Whether it acknowledged as many as it says, and received what it says to have done with them.
    fn adds_up(&self) -> bool {
        let EdgeTallied { received, acked, repeated, refused, unavailable, .. } = self.told;
        let held = if let Acked::Ids(ids) = &self.acked { i64::try_from(ids.len()).unwrap_or(i64::MAX) } else { acked };
        received == acked + repeated + refused + unavailable && held == acked
    }
}

/// How far the books are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// A lane or the session has more to tell.
    Incomplete,
    /// Something may still come; when to look again, µs.
    Waiting(i64),
    /// Counts and digests agree: there is nothing to compare.
    Agreed,
    /// They do not: the answers have to be compared.
    Disputed,
    /// Nothing has changed since the books were closed.
    Closed,
}

/// The books of one question.
#[derive(Default)]
pub(super) struct Books {
    // A node of a map has room for eleven entries, and a game has a few: boxed, they take no more than they are.
    lanes: BTreeMap<LaneNo, Box<LaneBook>>,
    edges: BTreeMap<EdgeId, Box<EdgeBook>>,
    /// The edges with players while the question was open.
    expected: BTreeSet<EdgeId>,
    /// Whether the session has closed it.
    pub(super) closed: bool,
    /// When the last news came, by the driver's clock.
    changed_us: i64,
    /// The broker's time of the last record that led here.
    pub(super) at_us: i64,
    settled: bool,
    /// Whether the comparison is asked for.
    pub(super) disputed: bool,
    audits: BTreeMap<LaneNo, LaneAudit>,
    findings: Option<Box<Findings>>,
    /// Whether the last comparison left answers that an edge may yet claim.
    awaits: bool,
}

impl Books {
    /// News of the question.
    fn news(&mut self, at_us: i64, now_us: i64) {
        self.at_us = self.at_us.max(at_us);
        self.changed_us = now_us;
        self.settled = false;
        self.disputed = false;
        self.audits.clear();
        self.findings = None;
        self.awaits = false;
    }

    /// These edges have players who may answer.
    pub(super) fn expect(&mut self, edges: impl IntoIterator<Item = EdgeId>) {
        self.expected.extend(edges);
    }

    /// The session has closed the question.
    pub(super) fn close(&mut self, at_us: i64, now_us: i64) {
        if !self.closed {
            self.closed = true;
            self.news(at_us, now_us);
        }
    }

    /// Takes what a lane says; true when it says something new.
    pub(super) fn take_score(&mut self, score: &ScoresRecord, at_us: i64, now_us: i64) -> bool {
        let lane =
            self.lanes.entry(score.lane).or_insert_with(|| Box::new(LaneBook { offset: -1, ..LaneBook::default() }));
        let mut news = score.position.offset > lane.offset;
        if news {
            lane.offset = score.position.offset;
            lane.partition = score.position.partition;
            lane.counts = score.counts;
        }
        match &score.body {
            ScoresBody::LaneScored(_) => news |= !std::mem::replace(&mut lane.closed, true),
            ScoresBody::LaneStored(stored) => {
                news |= !std::mem::replace(&mut lane.announced, true);
                // The close was reported before it was stored.
                lane.closed = true;
                if stored.opened_offset >= 0 {
                    lane.opened_offset = Some(stored.opened_offset);
                }
            }
            ScoresBody::LaneCounted(_) | ScoresBody::Unknown => {}
        }
        if news {
            self.news(at_us, now_us);
        }
        news
    }

    /// A later question of the lane is stored: so is this one, for a lane's writes are made in order.
    pub(super) fn lane_went_on(&mut self, lane: LaneNo, at_us: i64, now_us: i64) {
        if let Some(book) = self.lanes.get_mut(&lane).filter(|book| book.closed && !book.announced) {
            book.announced = true;
            self.news(at_us, now_us);
        }
    }

    /// Takes what an edge says; true when it says something new.
    pub(super) fn take_tally(&mut self, edge: &EdgeId, tally: &EdgeTallied, at_us: i64, now_us: i64) -> bool {
        let known = self.edges.get(edge).map(|book| (book.told.version, book.complete));
        if known.is_some_and(|(version, complete)| tally.version < version || (tally.version == version && complete)) {
            return false;
        }
        if known.is_none_or(|(version, _)| version < tally.version) {
            let told = EdgeTallied { submissions: SubmissionList::default(), ..tally.clone() };
            let book = EdgeBook { told, parts: BTreeMap::new(), acked: Acked::Unknown, complete: false };
            self.edges.insert(edge.clone(), Box::new(book));
        }
        let book = self.edges.get_mut(edge).expect("it is there or was just put there");
        book.parts.insert(tally.part, tally.submissions.0.clone());
        if i32::try_from(book.parts.len()).is_ok_and(|parts| parts >= tally.parts) {
            let ids = std::mem::take(&mut book.parts).into_values().collect::<Vec<_>>().concat();
            book.acked = Acked::Ids(ids);
            book.complete = true;
        }
        self.news(at_us, now_us);
        true
    }

    /// An edge has told its last word of the game. Of old questions it says none of its own: it keeps books of
    /// the newest only.
    pub(super) fn edge_is_done(&mut self, edge: &EdgeId, at_us: i64, now_us: i64) {
        let Some(book) = self.edges.get_mut(edge).filter(|book| book.complete && !book.told.last) else { return };
        book.told.last = true;
        if self.awaits {
            self.news(at_us, now_us);
        }
    }

    /// How far the books are.
    pub(super) fn stage(&self, lanes: LaneNo, now_us: i64) -> Stage {
        if self.settled {
            return Stage::Closed;
        }
        let told = self.lanes.values().filter(|lane| lane.announced && lane.stored.is_some()).count();
        if !self.closed || told < usize::from(lanes) {
            return Stage::Incomplete;
        }
        let missing = self.is_edge_missing();
        let agreed = self.agrees();
        let wait_us = match (agreed, missing) {
            (true, false) => return Stage::Agreed,
            (false, true) => EDGE_WAIT_US,
            (true, true) | (false, false) => SETTLE_US,
        };
        match self.changed_us + wait_us {
            at_us if at_us > now_us => Stage::Waiting(at_us),
            _ if agreed => Stage::Agreed,
            _ => Stage::Disputed,
        }
    }

    fn is_edge_missing(&self) -> bool {
        self.expected.iter().any(|edge| !self.edges.get(edge).is_some_and(|book| book.complete))
            || self.edges.values().any(|book| !book.complete)
    }

    /// Whether every equation holds by counts and digests alone.
    fn agrees(&self) -> bool {
        let edges = self.edges.values().filter(|book| book.complete);
        let (acked, digest) = edges.fold((0i64, 0i64), |(acked, digest), book| {
            (acked + book.told.acked, digest.wrapping_add(book.told.digest))
        });
        let mut counts = LaneCounts::default();
        self.lanes.values().for_each(|lane| counts += lane.counts);
        let stored = self.lanes.values().all(|lane| lane.stored == Some(lane.counts.scored));
        stored && acked == counts.received && digest == counts.digest && !self.is_miscounted()
    }

    /// Whether somebody's own counts do not add up.
    pub(super) fn is_miscounted(&self) -> bool {
        let edge = |book: &EdgeBook| book.complete && !book.adds_up();
        let lane = |book: &LaneBook| {
            let LaneCounts { received, scored, duplicate, late, refused, .. } = book.counts;
            received != scored + duplicate + late + refused
        };
        self.edges.values().any(|book| edge(book)) || self.lanes.values().any(|book| lane(book))
    }

    /// Puts in how many answers of a lane are stored.
    pub(super) fn counted(&mut self, lane: LaneNo, stored: i64) {
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.stored = Some(stored);
        }
    }

    /// The lanes whose stored answers are to be counted.
    pub(super) fn uncounted(&self) -> impl Iterator<Item = LaneNo> {
        self.lanes.iter().filter(|(_, book)| book.announced && book.stored.is_none()).map(|(&lane, _)| lane)
    }

    /// What a comparison needs that is not there.
    pub(super) fn wanted(&self, game: GameId, question: QuestionNo) -> impl Iterator<Item = Key> {
        let disputed = self.disputed && self.findings.is_none();
        let lanes = self.lanes.iter().filter(move |entry| disputed && !self.audits.contains_key(entry.0));
        lanes.map(move |(&lane, book)| Key::Audit {
            at: LaneQuestion { lane: LaneKey { game, lane }, question },
            partition: book.partition,
            from: book.opened_offset.unwrap_or(-1),
        })
    }

    /// Takes a lane's answers; compares when all lanes are there. It does so at once: what an edge
    /// tells next may be in the log behind what was read.
    pub(super) fn audited(&mut self, lane: LaneNo, audit: LaneAudit) {
        if !self.disputed || !self.lanes.contains_key(&lane) {
            return;
        }
        self.counted(lane, audit.stored);
        self.audits.insert(lane, audit);
        if self.audits.len() < self.lanes.len() {
            return;
        }
        let audits = std::mem::take(&mut self.audits);
        let complete = self.edges.iter().filter(|(_, book)| book.complete);
        let claims: Vec<Claim<'_>> = complete
            .map(|(edge, book)| Claim {
                edge,
                acked: book.acked(edge, &self.lanes, &audits),
                unavailable: book.told.unavailable,
                last: book.told.last,
            })
            .collect();
        let findings = Findings::of(&claims, &audits);
        self.awaits = findings.awaits;
        self.findings = Some(Box::new(findings));
    }

    /// Whether the comparison was made.
    pub(super) fn is_compared(&self) -> bool {
        self.findings.is_some()
    }

    /// The books as they stand; with `closing`, for good, until there is news.
    pub(super) fn ledger(&mut self, version: i32, closing: bool) -> QuestionLedger {
        let findings = self.findings.take().map_or_else(Findings::default, |findings| *findings);
        let miscounted = self.is_miscounted();
        let wrong = findings.lost + findings.unstored + findings.phantom > 0 || miscounted;
        let state = match (closing, wrong) {
            (false, _) => LedgerState::Open,
            (true, false) => LedgerState::Balanced,
            (true, true) => LedgerState::Imbalanced,
        };
        if closing {
            self.settled = true;
            self.disputed = false;
        }
        let mut edges = self.edge_totals();
        edges.silent = i64::try_from(findings.silent.len()).unwrap_or(i64::MAX);
        QuestionLedger {
            version,
            state,
            edges,
            lanes: self.lane_totals(),
            lost: findings.lost,
            unstored: findings.unstored,
            phantom: findings.phantom,
            unclaimed: findings.unclaimed,
            suspects: findings.suspects,
        }
    }

    fn edge_totals(&self) -> EdgeTotals {
        let mut totals = EdgeTotals::default();
        for told in self.edges.values().filter(|book| book.complete).map(|book| &book.told) {
            totals.received += told.received;
            totals.acked += told.acked;
            totals.repeated += told.repeated;
            totals.refused += told.refused;
            totals.unavailable += told.unavailable;
        }
        totals
    }

    fn lane_totals(&self) -> LaneTotals {
        let mut totals = LaneTotals::default();
        for book in self.lanes.values() {
            totals.logged += book.counts.received;
            totals.scored += book.counts.scored;
            totals.late += book.counts.late;
            totals.duplicate += book.counts.duplicate;
            totals.refused += book.counts.refused;
            totals.stored += book.stored.unwrap_or_default();
        }
        totals
    }

    /// The expected edges that have told nothing.
    pub(super) fn absent(&self) -> Vec<EdgeId> {
        self.expected.iter().filter(|edge| !self.edges.contains_key(*edge)).cloned().collect()
    }

    /// Whether the books are closed.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether they are, and no edge is known to have more to tell that would explain something.
    pub(super) fn is_complete(&self) -> bool {
        self.settled && !self.awaits
    }

    /// How many submission ids are held.
    pub(super) fn ids(&self) -> usize {
        self.edges.values().map(|book| book.ids()).sum()
    }

    /// Lets the ids go that the log is known to hold, for the books agree: should they be opened again, they
    /// are read there. So what is held grows with the questions under way, and not with a game's length.
    pub(super) fn agreed(&mut self) {
        self.edges.values_mut().filter(|book| book.complete).for_each(|book| book.acked = Acked::Agreed);
        self.lanes
            .values_mut()
            .for_each(|lane| lane.agreed = usize::try_from(lane.counts.received).unwrap_or_default());
    }

    /// Drops the ids of closed books.
    pub(super) fn drop_ids(&mut self) -> usize {
        let held = self.edges.values_mut().filter(|book| matches!(book.acked, Acked::Ids(_)));
        held.map(|book| {
            let dropped = book.ids();
            book.acked = Acked::Unknown;
            dropped
        })
        .sum()
    }
}
