//! The games of a partition, with an index of what is due and of what must be read again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quiz_game::session::Session;
use quiz_schemas::events::{SessionsBody, SessionsRecord};
use quiz_schemas::{AnyEvent, GameId};

/// The most ended games that a partition remembers, so that what comes late for them is refused by
/// name. The one that ended first is forgotten first.
pub const ENDED_MAX: usize = 4_096;

/// One tick takes no further game when it has led to this many records; the rest is taken by the
/// next, at once. So a worker that comes back to thousands of deadlines does not write them in one
/// transaction.
pub const TICK_RECORDS_MAX: usize = 10_000;

#[derive(Clone, PartialEq, Debug)]
struct Slot {
    session: Session,
    tick_us: Option<i64>,
    held: Option<i64>,
    ended: bool,
}

/// The games. Every change goes through [`Games::change`], which keeps the indices true, so that
/// thousands of games cost what the few that are due cost.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Games {
    slots: BTreeMap<GameId, Slot>,
    /// When each game wants its next tick.
    due: BTreeSet<(i64, GameId)>,
    /// From where the scores of each game with an unsettled question must be read again.
    held: BTreeSet<(i64, GameId)>,
    /// The ended games, oldest first.
    ended: VecDeque<GameId>,
}

impl Games {
    pub(super) fn get(&self, game: GameId) -> Option<&Session> {
        self.slots.get(&game).map(|slot| &slot.session)
    }

    pub(super) fn live(&self) -> usize {
        self.slots.len() - self.ended.len()
    }

    pub(super) fn next_tick_us(&self) -> Option<i64> {
        self.due.first().map(|&(tick_us, _)| tick_us)
    }

    pub(super) fn scores_held_from(&self) -> Option<i64> {
        self.held.first().map(|&(offset, _)| offset)
    }

    /// Changes a game, which begins when it is not there.
    pub(super) fn change<R>(&mut self, game: GameId, change: impl FnOnce(&mut Session) -> R) -> R {
        let new = || Slot { session: Session::new(game), tick_us: None, held: None, ended: false };
        let slot = self.slots.entry(game).or_insert_with(new);
        let result = change(&mut slot.session);
        move_entry(&mut self.due, game, &mut slot.tick_us, slot.session.next_tick_us());
        move_entry(&mut self.held, game, &mut slot.held, slot.session.scores_held_from());
        if slot.session.is_over() && !slot.ended {
            slot.ended = true;
            self.ended.push_back(game);
            self.forget_oldest();
        }
        result
    }

    /// Folds a record of the group's own topic. What comes for a game whose beginning is not in the
    /// log any more is skipped.
    pub(super) fn restore(&mut self, record: &SessionsRecord) {
        let begins = matches!(record.body, SessionsBody::GameCreated(_) | SessionsBody::CommandRejected(_));
        if begins || self.slots.contains_key(&record.game) {
            self.change(record.game, |session| session.fold(record));
        }
    }

    /// Ticks the games that are due, the longest due first.
    pub(super) fn tick(&mut self, now_us: i64, out: &mut Vec<AnyEvent>) {
        let due: Vec<GameId> =
            self.due.iter().take_while(|&&(tick_us, _)| tick_us <= now_us).map(|&(_, game)| game).collect();
        for game in due {
            if out.len() >= TICK_RECORDS_MAX {
                return;
            }
            self.change(game, |session| session.tick(now_us, out));
        }
    }

    fn forget_oldest(&mut self) {
        if self.ended.len() <= ENDED_MAX {
            return;
        }
        if let Some(game) = self.ended.pop_front() {
            self.slots.remove(&game);
        }
    }
}

fn move_entry(index: &mut BTreeSet<(i64, GameId)>, game: GameId, at: &mut Option<i64>, to: Option<i64>) {
    if *at == to {
        return;
    }
    if let Some(at) = *at {
        index.remove(&(at, game));
    }
    if let Some(to) = to {
        index.insert((to, game));
    }
    *at = to;
}
