//! The books of one game.

use std::collections::BTreeMap;

use quiz_schemas::events::{
    LedgerBody, LedgerRecord, LedgerState, QuestionLedger, ScoresBody, ScoresRecord, SessionsBody, SessionsRecord,
    TalliesBody, TalliesRecord,
};
use quiz_schemas::{GameId, LaneKey, LaneNo, QuestionNo, Topic};
use quiz_store::{LedgerDoc, Write};
use quiz_stream::{Output, Record};

use super::books::{Books, Stage};
use super::presence::Presence;
use super::{Key, LINGER_US, LaneQuestion, OVER_US_MAX, UNBEGUN_US};

/// One game.
pub(super) struct Game {
    id: GameId,
    /// None before the record that began it.
    lanes: Option<LaneNo>,
    presence: Presence,
    open: Option<QuestionNo>,
    questions: BTreeMap<QuestionNo, Books>,
    /// The books as they were told last.
    told: BTreeMap<QuestionNo, QuestionLedger>,
    over: bool,
    /// The first record in each topic.
    first: BTreeMap<Topic, i64>,
    /// When the last record came, by the driver's clock.
    pub(super) touched_us: i64,
}

impl Game {
    /// A game of which `told` is in the store.
    pub(super) fn new(id: GameId, told: Vec<LedgerDoc>) -> Self {
        Self {
            id,
            lanes: None,
            presence: Presence::default(),
            open: None,
            questions: BTreeMap::new(),
            told: told.into_iter().map(|doc| (doc.question, doc.ledger)).collect(),
            over: false,
            first: BTreeMap::new(),
            touched_us: 0,
        }
    }

    /// The first record in `topic`.
    pub(super) fn first(&self, topic: Topic) -> Option<i64> {
        self.first.get(&topic).copied()
    }

    pub(super) fn touch(&mut self, record: &Record, now_us: i64) {
        self.touched_us = now_us;
        self.first.entry(record.topic).or_insert(record.offset);
    }

    fn books(&mut self, question: QuestionNo) -> &mut Books {
        self.questions.entry(question).or_default()
    }

    pub(super) fn take_session(&mut self, session: &SessionsRecord, at_us: i64, now_us: i64) {
        match &session.body {
            SessionsBody::GameCreated(created) => self.lanes = Some(created.settings.lanes),
            SessionsBody::JoinsDecided(joins) => {
                self.presence.joined(joins);
                self.expect();
            }
            SessionsBody::PresenceChanged(presence) => {
                self.presence.changed(presence);
                self.expect();
            }
            SessionsBody::PlayerKicked(kicked) => self.presence.leave(kicked.player),
            SessionsBody::QuestionOpened(opened) => {
                self.open = Some(opened.question);
                self.expect();
            }
            SessionsBody::QuestionClosed(closed) => {
                self.open = None;
                self.books(closed.question).close(at_us, now_us);
            }
            SessionsBody::GameOver(_) => self.over = true,
            _ => {}
        }
    }

    /// Whoever has players while a question is open may take answers.
    fn expect(&mut self) {
        if let Some(question) = self.open {
            let edges = self.presence.edges();
            self.books(question).expect(edges);
        }
    }

    pub(super) fn take_score(&mut self, score: &ScoresRecord, at_us: i64, now_us: i64) {
        self.books(score.question).take_score(score, at_us, now_us);
        if matches!(score.body, ScoresBody::LaneStored(_)) {
            for (_, books) in self.questions.range_mut(..score.question) {
                books.lane_went_on(score.lane, at_us, now_us);
            }
        }
    }

    pub(super) fn take_tally(&mut self, record: &TalliesRecord, at_us: i64, now_us: i64) {
        if let TalliesBody::EdgeTallied(tally) = &record.body {
            self.books(tally.question).take_tally(&record.edge, tally, at_us, now_us);
            if tally.last {
                self.questions.values_mut().for_each(|books| books.edge_is_done(&record.edge, at_us, now_us));
            }
        }
    }

    /// What its books need from the store.
    pub(super) fn needs(&self, keys: &mut Vec<Key>) {
        for (&question, books) in &self.questions {
            keys.extend(
                books
                    .uncounted()
                    .map(|lane| Key::Count(LaneQuestion { lane: LaneKey { game: self.id, lane }, question })),
            );
            keys.extend(books.wanted(self.id, question));
        }
    }

    pub(super) fn books_of(&mut self, question: QuestionNo) -> Option<&mut Books> {
        self.questions.get_mut(&question)
    }

    /// Tells what there is to tell, and when to look again, µs; none when only a record can change
    /// something.
    pub(super) fn step(&mut self, now_us: i64, out: &mut Output<Write>) -> Option<i64> {
        let Some(lanes) = self.lanes else { return Some(self.touched_us + UNBEGUN_US) };
        let mut wake_us: Option<i64> = None;
        let questions: Vec<QuestionNo> = self.questions.keys().copied().collect();
        for question in questions {
            let at_us = self.step_question(question, lanes, now_us, out);
            wake_us = [wake_us, at_us].into_iter().flatten().min();
        }
        let end_us = self.over.then(|| self.touched_us + if self.is_complete() { LINGER_US } else { OVER_US_MAX });
        [wake_us, end_us].into_iter().flatten().min()
    }

    fn step_question(
        &mut self,
        question: QuestionNo,
        lanes: LaneNo,
        now_us: i64,
        out: &mut Output<Write>,
    ) -> Option<i64> {
        let books = self.questions.get_mut(&question)?;
        if books.uncounted().next().is_some() {
            // The next load brings the count.
            return Some(now_us);
        }
        match books.stage(lanes, now_us) {
            Stage::Closed => None,
            Stage::Agreed => {
                books.agreed();
                self.tell(question, true, out);
                None
            }
            Stage::Disputed if books.is_compared() => {
                for edge in books.absent() {
                    self.presence.give_up(&edge);
                }
                self.tell(question, true, out);
                None
            }
            Stage::Disputed => {
                books.disputed = true;
                Some(now_us)
            }
            Stage::Incomplete | Stage::Waiting(_) if books.closed && !self.told.contains_key(&question) => {
                self.tell(question, false, out);
                self.wake_of(question, lanes, now_us)
            }
            Stage::Incomplete | Stage::Waiting(_) => self.wake_of(question, lanes, now_us),
        }
    }

    fn wake_of(&self, question: QuestionNo, lanes: LaneNo, now_us: i64) -> Option<i64> {
        match self.questions.get(&question)?.stage(lanes, now_us) {
            Stage::Waiting(at_us) => Some(at_us),
            _ => None,
        }
    }

    /// Publishes a question's books, unless they were told just so.
    fn tell(&mut self, question: QuestionNo, closing: bool, out: &mut Output<Write>) {
        let last = self.told.get(&question);
        let version = last.map_or(0, |last| last.version);
        let Some(books) = self.questions.get_mut(&question) else { return };
        let at_us = books.at_us;
        let ledger = books.ledger(version, closing);
        if last.is_some_and(|last| *last == ledger || knew_more(last, &ledger)) {
            return;
        }
        let ledger = QuestionLedger { version: version.saturating_add(1), ..ledger };
        self.told.insert(question, ledger.clone());
        let body: LedgerBody = ledger.clone().into();
        out.produce.push(LedgerRecord { game: self.id, question, at_us, body }.into());
        out.write.push(Write::Ledger(LedgerDoc { game: self.id, question, ledger }));
    }

    /// Whether all books are closed, and nothing that is to come would explain more.
    fn is_complete(&self) -> bool {
        self.questions.values().filter(|books| books.closed).all(Books::is_complete)
    }

    /// Whether nothing more is expected of it.
    pub(super) fn is_done(&self, now_us: i64) -> bool {
        let quiet_us = now_us - self.touched_us;
        match (self.lanes, self.over) {
            (None, _) => quiet_us >= UNBEGUN_US,
            (Some(_), true) => quiet_us >= if self.is_complete() { LINGER_US } else { OVER_US_MAX },
            (Some(_), false) => false,
        }
    }

    /// How many submission ids are held.
    pub(super) fn ids(&self) -> usize {
        self.questions.values().map(Books::ids).sum()
    }

    /// Drops the ids of closed books.
    pub(super) fn drop_ids(&mut self) -> usize {
        self.questions.values_mut().filter(|books| books.is_settled()).map(Books::drop_ids).sum()
    }

    /// Whether some told books are not closed.
    pub(super) fn has_open_books(&self) -> bool {
        self.told.values().any(|ledger| ledger.state == LedgerState::Open)
    }
}

/// Whether closed books were told from more than `now` is: all counts only rise, and an edge that told is never
/// silent again, so whoever reads less, or has heard from fewer edges, has not read it all. That is so when a
/// successor meets a game again that was done, since an older one is not: it begins where the older one does,
/// which may be behind the first tallies or reports of this one.
fn knew_more(last: &QuestionLedger, now: &QuestionLedger) -> bool {
    let closed = matches!(last.state, LedgerState::Balanced | LedgerState::Imbalanced);
    let heard_more = last.edges.received > now.edges.received || last.edges.silent < now.edges.silent;
    closed && (heard_more || last.lanes.logged > now.lanes.logged)
}
