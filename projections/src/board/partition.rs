//! The state of one partition number: its live games, and what it holds for games that it has not
//! met yet.

use super::finished::Finished;
use super::game::{Game, refusals};
use super::metric::Metric;
use super::outbox::Outbox;
use super::{OVER_GAMES_MAX, ROWS_HELD_MAX, UNCLAIMED_GAMES_MAX, UNCLAIMED_MARGIN_US};
use quiz_game::board::Reports;
use quiz_schemas::events::{ScoresRecord, SessionsBody, SessionsRecord};
use quiz_schemas::{AnyEvent, GameId, Topic};
use quiz_store::Write;
use quiz_stream::{Output, Record};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// What the projection remembers of one partition number. All of it can be rebuilt by reading from
/// the commit points.
#[derive(Default)]
pub struct Partition {
    live: BTreeMap<GameId, Game>,
    unclaimed: BTreeMap<GameId, Unclaimed>,
    over: Tombstones,
    finished: Finished,
    /// When a live game's count of answers is to be told.
    due: BTreeSet<(i64, GameId)>,
    rows_held: usize,
}

/// Reports of a game of which no record that began it was read.
pub(super) struct Unclaimed {
    pub(super) reports: Reports,
    /// The first of them in the scores topic.
    pub(super) first_offset: i64,
    first_at_us: i64,
}

/// The newest games that are over.
#[derive(Default)]
struct Tombstones {
    games: HashSet<GameId>,
    order: VecDeque<GameId>,
}

impl Tombstones {
    fn insert(&mut self, game: GameId) {
        if !self.games.insert(game) {
            return;
        }
        self.order.push_back(game);
        if self.order.len() > OVER_GAMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.games.remove(&oldest);
        }
    }
}

impl Partition {
    /// How many games are live.
    #[must_use]
    pub fn live_games(&self) -> usize {
        self.live.len()
    }

    /// For how many games reports are held that no record began yet.
    #[must_use]
    pub fn unclaimed_games(&self) -> usize {
        self.unclaimed.len()
    }

    pub(super) fn apply(&mut self, batch: &[Record], now_us: i64) -> Output<Write> {
        let mut out = Outbox::default();
        let mut sessions_at_us = i64::MIN;
        for record in batch {
            match &record.event {
                AnyEvent::Sessions(session) => {
                    sessions_at_us = sessions_at_us.max(record.appended_at_us);
                    self.take_session(record, session, &mut out);
                }
                AnyEvent::Scores(score) => self.take_score(record, score, &mut out),
                _ => out.reject(record, "foreign_topic"),
            }
        }
        self.drop_unclaimed(sessions_at_us);
        self.finished.forget_below(self.first_session());
        self.tell_counts(now_us, &mut out);
        out.finish(|game| self.live.get(&game).map(Game::view))
    }

    pub(super) fn next_tick_us(&self) -> Option<i64> {
        self.due.first().map(|due| due.0)
    }

    pub(super) fn tick(&mut self, now_us: i64) -> Output<Write> {
        let mut out = Outbox::default();
        while let Some(&due) = self.due.first().filter(|due| due.0 <= now_us) {
            self.due.remove(&due);
            out.counted.insert(due.1);
        }
        self.tell_counts(now_us, &mut out);
        out.finish(|game| self.live.get(&game).map(Game::view))
    }

    pub(super) fn commit_point(&self, topic: Topic, next: i64) -> i64 {
        let first = if topic == Topic::Sessions {
            self.first_session()
        } else {
            let live = self.live.values().filter_map(Game::first_score);
            let unclaimed = self.unclaimed.values().map(|game| game.first_offset);
            live.chain(unclaimed).chain(self.finished.first_score()).min()
        };
        first.map_or(next, |first| first.min(next))
    }

    /// Where the oldest live game began.
    fn first_session(&self) -> Option<i64> {
        self.live.values().map(Game::first_session).min()
    }

    fn take_session(&mut self, record: &Record, session: &SessionsRecord, out: &mut Outbox) {
        let id = session.game;
        if let SessionsBody::GameCreated(created) = &session.body
            && !self.live.contains_key(&id)
            && !self.over.games.contains(&id)
        {
            self.live.insert(id, Game::new(record, session, created, self.unclaimed.remove(&id)));
        }
        let Some(game) = self.live.get_mut(&id) else {
            return self.take_foreign_session(session, out);
        };
        let before = game.rows_held();
        game.take_session(record, session, out);
        self.rows_held = self.rows_held + game.rows_held() - before;
        self.bury_if_over(id, out);
    }

    /// A record of a game that is not live: before it began and after it is over, joins and commands
    /// are refused, and those who wait for the answer are told. Anything else is of a game that was over before
    /// this state began, of which the first part was not read.
    fn take_foreign_session(&mut self, session: &SessionsRecord, out: &mut Outbox) {
        match refusals(session) {
            Some(result) => out.passing(result),
            None => self.bury(session.game),
        }
    }

    fn take_score(&mut self, record: &Record, score: &ScoresRecord, out: &mut Outbox) {
        let id = score.game;
        if self.over.games.contains(&id) {
            return;
        }
        if let Some(game) = self.live.get_mut(&id) {
            let before = game.rows_held();
            game.take_score(record, score, out);
            self.rows_held = self.rows_held + game.rows_held() - before;
            self.bury_if_over(id, out);
        } else {
            self.hold_unclaimed(record, score, out);
        }
        self.keep_within_rows(id, out);
    }

    fn hold_unclaimed(&mut self, record: &Record, score: &ScoresRecord, out: &mut Outbox) {
        let unclaimed = self.unclaimed.entry(score.game).or_insert_with(|| Unclaimed {
            reports: Reports::default(),
            first_offset: record.offset,
            first_at_us: record.appended_at_us,
        });
        let before = unclaimed.reports.rows_held();
        if let Err(misreport) = unclaimed.reports.take(score, record.appended_at_us) {
            out.reject(record, misreport.reason());
        }
        self.rows_held = self.rows_held + unclaimed.reports.rows_held() - before;
        if self.unclaimed.len() > UNCLAIMED_GAMES_MAX {
            // The oldest is the likeliest to be of a game that is over.
            let oldest = self.unclaimed.iter().min_by_key(|(_, held)| held.first_offset).map(|(&id, _)| id);
            self.drop_unclaimed_game(oldest);
        }
    }

    /// Games that began before `sessions_at_us` have been met by now, or are over.
    fn drop_unclaimed(&mut self, sessions_at_us: i64) {
        let before = sessions_at_us.saturating_sub(UNCLAIMED_MARGIN_US);
        let stale: Vec<GameId> =
            self.unclaimed.iter().filter(|(_, held)| held.first_at_us < before).map(|(&id, _)| id).collect();
        for id in stale {
            self.drop_unclaimed_game(Some(id));
        }
    }

    fn drop_unclaimed_game(&mut self, id: Option<GameId>) {
        if let Some(held) = id.and_then(|id| self.unclaimed.remove(&id)) {
            self.rows_held -= held.reports.rows_held();
            Metric::UnclaimedDropped.count();
        }
    }

    fn keep_within_rows(&mut self, id: GameId, out: &mut Outbox) {
        while self.rows_held > ROWS_HELD_MAX {
            let (before, after, dropped) = if let Some(game) = self.live.get_mut(&id) {
                let before = game.rows_held();
                let dropped = game.drop_earliest(out);
                (before, game.rows_held(), dropped)
            } else if let Some(held) = self.unclaimed.get_mut(&id) {
                let before = held.reports.rows_held();
                let dropped = held.reports.drop_earliest().is_some();
                (before, held.reports.rows_held(), dropped)
            } else {
                return;
            };
            self.rows_held = self.rows_held + after - before;
            if !dropped {
                return;
            }
            Metric::ReportsDropped.count();
        }
        self.bury_if_over(id, out);
    }

    fn bury_if_over(&mut self, id: GameId, out: &mut Outbox) {
        if self.live.get(&id).is_some_and(Game::is_over)
            && let Some(game) = self.live.remove(&id)
        {
            self.rows_held -= game.rows_held();
            if let Some(first_score) = game.first_score() {
                self.finished.insert(game.first_session(), first_score);
            }
            out.last_view(game.into_view());
            self.bury(id);
        }
    }

    fn bury(&mut self, id: GameId) {
        self.over.insert(id);
        if let Some(held) = self.unclaimed.remove(&id) {
            self.rows_held -= held.reports.rows_held();
        }
    }

    /// Tells the counts that have changed and are due, and notes when the others will be.
    fn tell_counts(&mut self, now_us: i64, out: &mut Outbox) {
        for id in std::mem::take(&mut out.counted) {
            let Some(game) = self.live.get_mut(&id) else { continue };
            if let Some(due_us) = game.tell_count(now_us, out) {
                self.due.insert((due_us, id));
            }
        }
    }
}
