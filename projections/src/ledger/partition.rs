//! The state of one partition number: its games' books.

use std::collections::{BTreeMap, BTreeSet};

use quiz_schemas::events::TalliesBody;
use quiz_schemas::{AnyEvent, GameId, Topic};
use quiz_store::Write;
use quiz_stream::{Output, Record, Rejected};

use super::books::Books;
use super::game::Game;
use super::metric::Metric;
use super::{Doc, GAMES_MAX, IDS_MAX, Key, LaneQuestion};

/// What the ledger remembers of one partition number. All of it is rebuilt by reading from the commit
/// points; the store says which books were told.
#[derive(Default)]
pub struct Partition {
    games: BTreeMap<GameId, Game>,
    /// When each game is to be looked at.
    wakes: BTreeSet<(i64, GameId)>,
    wake_of: BTreeMap<GameId, i64>,
    /// Games with something to load by time alone.
    wanting: BTreeSet<GameId>,
}

/// The game of a record that the group reads.
fn game_of(record: &Record) -> Option<GameId> {
    match &record.event {
        AnyEvent::Sessions(session) => Some(session.game),
        AnyEvent::Scores(score) => Some(score.game),
        AnyEvent::Tallies(tally) => Some(tally.game),
        _ => None,
    }
}

/// When results reached sockets is in no books: it begins no game and keeps none waiting.
fn is_beside_books(record: &Record) -> bool {
    matches!(&record.event, AnyEvent::Tallies(tally) if matches!(tally.body, TalliesBody::EdgeDelivered(_)))
}

impl Partition {
    /// How many games are held.
    #[must_use]
    pub fn games(&self) -> usize {
        self.games.len()
    }

    /// How many submission ids are held.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.games.values().map(Game::ids).sum()
    }

    pub(super) fn needs(&self, batch: &[Record]) -> Vec<Key> {
        let mut keys = Vec::new();
        for game in &self.wanting {
            if let Some(game) = self.games.get(game) {
                game.needs(&mut keys);
            }
        }
        let games: BTreeSet<GameId> =
            batch.iter().filter(|record| !is_beside_books(record)).filter_map(game_of).collect();
        keys.extend(games.into_iter().filter(|game| !self.games.contains_key(game)).map(Key::Books));
        keys
    }

    pub(super) fn supply(&mut self, docs: Vec<Doc>) {
        for doc in docs {
            match doc {
                Doc::Books(id, told) => {
                    self.games.entry(id).or_insert_with(|| Game::new(id, told));
                }
                Doc::Count(at, stored) => {
                    if let Some(books) = self.books_of(at) {
                        books.counted(at.lane.lane, stored);
                    }
                }
                Doc::Audit(at, audit) => {
                    if let Some(books) = self.books_of(at) {
                        books.audited(at.lane.lane, audit);
                    }
                }
            }
        }
    }

    fn books_of(&mut self, at: LaneQuestion) -> Option<&mut Books> {
        self.games.get_mut(&at.lane.game)?.books_of(at.question)
    }

    pub(super) fn apply(&mut self, batch: &[Record], now_us: i64) -> Output<Write> {
        let mut out = Output::default();
        let mut touched = std::mem::take(&mut self.wanting);
        for record in batch {
            let Some(id) = game_of(record) else {
                let (topic, position) = (record.topic, record.position());
                out.dead.push(Rejected { topic, position, reason: "foreign_topic" });
                continue;
            };
            if is_beside_books(record) {
                continue;
            }
            let game = self.games.entry(id).or_insert_with(|| Game::new(id, Vec::new()));
            game.touch(record, now_us);
            touched.insert(id);
            match &record.event {
                AnyEvent::Sessions(session) => game.take_session(session, record.appended_at_us, now_us),
                AnyEvent::Scores(score) => game.take_score(score, record.appended_at_us, now_us),
                AnyEvent::Tallies(tally) => game.take_tally(tally, record.appended_at_us, now_us),
                _ => {}
            }
        }
        for id in touched {
            self.step(id, now_us, &mut out);
        }
        self.keep_within_bounds(batch.iter().any(|record| record.topic == Topic::Tallies));
        out
    }

    pub(super) fn next_tick_us(&self) -> Option<i64> {
        self.wakes.first().map(|wake| wake.0)
    }

    pub(super) fn tick(&mut self, now_us: i64) -> Output<Write> {
        let mut out = Output::default();
        let mut due = std::mem::take(&mut self.wanting);
        due.extend(self.wakes.range(..=(now_us, GameId::from_bits(u64::MAX))).map(|wake| wake.1));
        for id in due {
            self.step(id, now_us, &mut out);
        }
        out
    }

    fn step(&mut self, id: GameId, now_us: i64, out: &mut Output<Write>) {
        let Some(game) = self.games.get_mut(&id) else { return };
        if game.is_done(now_us) {
            if game.has_open_books() {
                Metric::GamesForgotten.count(1);
            }
            self.games.remove(&id);
            self.wake(id, None);
            return;
        }
        let wake_us = game.step(now_us, out);
        let mut keys = Vec::new();
        game.needs(&mut keys);
        if !keys.is_empty() {
            self.wanting.insert(id);
        }
        self.wake(id, wake_us);
    }

    fn wake(&mut self, id: GameId, at_us: Option<i64>) {
        if let Some(before) = self.wake_of.remove(&id) {
            self.wakes.remove(&(before, id));
        }
        if let Some(at_us) = at_us {
            self.wakes.insert((at_us, id));
            self.wake_of.insert(id, at_us);
        }
    }

    /// Only tallies bring ids, so only then are they counted over all games.
    fn keep_within_bounds(&mut self, tallied: bool) {
        while self.games.len() > GAMES_MAX {
            let quiet = self.games.iter().min_by_key(|(_, game)| game.touched_us).map(|(id, _)| *id);
            let Some(id) = quiet else { break };
            self.games.remove(&id);
            self.wake(id, None);
            self.wanting.remove(&id);
            Metric::GamesForgotten.count(1);
        }
        if tallied && self.ids() > IDS_MAX {
            let dropped: usize = self.games.values_mut().map(Game::drop_ids).sum();
            Metric::IdsDropped.count(dropped as u64);
        }
    }

    pub(super) fn commit_point(&self, topic: Topic, next: i64) -> i64 {
        let first = self.games.values().filter_map(|game| game.first(topic)).min();
        first.map_or(next, |first| first.min(next))
    }
}
