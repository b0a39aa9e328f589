//! Joins that came before their game. Commands and joins are two topics: a worker that catches up
//! may read a room's joins before the command that created it. They wait a while, and a successor
//! reads them again.

use std::collections::{BTreeMap, VecDeque};

use quiz_game::session::JoinInput;
use quiz_schemas::events::JoinsBody;
use quiz_schemas::{EdgeId, GameId};

/// The most joins that wait in one partition.
pub const PARKED_MAX: usize = 10_000;

/// How long a join waits: thirty seconds.
pub const PARKED_MS_MAX: i64 = 30_000;

/// A join that waits.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Waiting {
    offset: i64,
    edge: EdgeId,
    body: JoinsBody,
}

impl Waiting {
    /// As the game takes it.
    pub(super) fn input(&self) -> JoinInput<'_> {
        JoinInput { offset: self.offset, edge: &self.edge, body: &self.body }
    }
}

/// The joins that wait.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Parked {
    by_game: BTreeMap<GameId, VecDeque<Waiting>>,
    /// By offset: whose it is and since when it waits.
    order: BTreeMap<i64, (GameId, i64)>,
}

impl Parked {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn first_offset(&self) -> Option<i64> {
        self.order.keys().next().copied()
    }

    /// Lets a join wait. False when too many do; one that waits already goes on waiting.
    pub(super) fn park(&mut self, game: GameId, input: JoinInput<'_>, now_us: i64) -> bool {
        if self.order.contains_key(&input.offset) {
            return true;
        }
        if self.order.len() >= PARKED_MAX {
            return false;
        }
        self.order.insert(input.offset, (game, now_us));
        let waiting = Waiting { offset: input.offset, edge: input.edge.clone(), body: input.body.clone() };
        self.by_game.entry(game).or_default().push_back(waiting);
        true
    }

    /// Takes out those of a game, in offset order.
    pub(super) fn take(&mut self, game: GameId) -> Vec<Waiting> {
        let mut waiting: Vec<Waiting> = self.by_game.remove(&game).unwrap_or_default().into();
        waiting.sort_unstable_by_key(|waiting| waiting.offset);
        for Waiting { offset, .. } in &waiting {
            self.order.remove(offset);
        }
        waiting
    }

    /// When the first has waited too long.
    pub(super) fn next_tick_us(&self) -> Option<i64> {
        self.order.values().next().map(|&(_, since_us)| since_us.saturating_add(PARKED_MS_MAX * 1000))
    }

    /// Takes out those that have waited too long; their offsets.
    pub(super) fn expire(&mut self, now_us: i64) -> Vec<i64> {
        let mut expired = Vec::new();
        while self.next_tick_us().is_some_and(|tick_us| tick_us <= now_us) {
            let Some((offset, (game, _))) = self.order.pop_first() else {
                break;
            };
            expired.push(offset);
            if let Some(waiting) = self.by_game.get_mut(&game) {
                // Joins are parked in offset order and expire in it, so it stands first.
                waiting.pop_front_if(|first| first.offset == offset);
                if waiting.is_empty() {
                    self.by_game.remove(&game);
                }
            }
        }
        expired
    }
}
