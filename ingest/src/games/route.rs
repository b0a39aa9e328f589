use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quiz_schemas::GameId;
use quiz_stream::{TailError, TailHandle};
use tokio::sync::mpsc;

use super::GameCommand;
use crate::telemetry;

struct Route {
    commands: mpsc::Sender<GameCommand>,
    partition: i32,
    passing: Passing,
    /// The first offset that its view lacks; what is missing before it is no loss.
    needs: i64,
}

/// Whether a game takes records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Passing {
    /// Its view is not loaded.
    Nothing,
    /// The tail was asked to go back to this offset. Until the partition's records are seen to
    /// come from there or before, what comes is from before the request, and to take it would skip
    /// what lies between.
    From(i64),
    /// It takes all.
    All,
}

/// Where each held game's records go.
#[derive(Default)]
pub(crate) struct Routes(Mutex<Table>);

#[derive(Default)]
struct Table {
    games: HashMap<GameId, Route>,
    /// How many routes wait at [`Passing::From`], by partition, so that most records skip the search.
    waiting: HashMap<i32, Vec<GameId>>,
    /// The offset that was last read, by partition: games that take all have all up to there.
    stands: HashMap<i32, i64>,
}

impl Routes {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing under the lock can leave the table half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.table().games.len()
    }

    pub(crate) fn find(&self, game: GameId) -> Option<mpsc::Sender<GameCommand>> {
        self.table().games.get(&game).map(|route| route.commands.clone())
    }

    /// The game's queue; makes it with `start` when it is not held and fewer than `max` are.
    pub(crate) fn find_or_insert(
        &self,
        game: GameId,
        partition: i32,
        max: usize,
        start: impl FnOnce() -> mpsc::Sender<GameCommand>,
    ) -> Option<mpsc::Sender<GameCommand>> {
        let mut table = self.table();
        if let Some(route) = table.games.get(&game) {
            return Some(route.commands.clone());
        }
        if table.games.len() >= max {
            return None;
        }
        let commands = start();
        table.games.insert(game, Route { commands: commands.clone(), partition, passing: Passing::Nothing, needs: 0 });
        telemetry::games_held(table.games.len());
        Some(commands)
    }

    /// Lets records pass once the partition is seen to be read from `from` or before; those from
    /// `needs` on must not be missed.
    pub(crate) fn pass_from(&self, game: GameId, from: i64, needs: i64) {
        let mut table = self.table();
        let Some(route) = table.games.get_mut(&game) else { return };
        route.passing = Passing::From(from);
        route.needs = needs;
        let partition = route.partition;
        let waiting = table.waiting.entry(partition).or_default();
        if !waiting.contains(&game) {
            waiting.push(game);
        }
    }

    /// The queue that takes the record at `offset`, if its game is held and takes it.
    pub(crate) fn pass(&self, partition: i32, offset: i64, game: GameId) -> Option<mpsc::Sender<GameCommand>> {
        let mut table = self.table();
        let Table { games, waiting, stands } = &mut *table;
        stands.insert(partition, offset);
        if let Some(list) = waiting.get_mut(&partition) {
            list.retain(|waiter| match games.get_mut(waiter) {
                Some(route) if matches!(route.passing, Passing::From(from) if offset > from) => true,
                Some(route) => {
                    route.passing = Passing::All;
                    false
                }
                None => false,
            });
            if list.is_empty() {
                waiting.remove(&partition);
            }
        }
        games.get(&game).filter(|route| route.passing == Passing::All).map(|route| route.commands.clone())
    }

    /// Lets everything pass in a partition whose log is missing `from..to`, or was cut to begin anew
    /// at `to`; returns the queues of the games that lost something by it.
    pub(crate) fn reopen(&self, partition: i32, from: i64, to: i64) -> Vec<mpsc::Sender<GameCommand>> {
        let mut table = self.table();
        table.waiting.remove(&partition);
        let has = table.stands.insert(partition, to - 1).map_or(from, |stood| stood + 1);
        let routes = table.games.values_mut().filter(|route| route.partition == partition);
        let open = routes.filter(|route| route.passing != Passing::Nothing);
        open.filter_map(|route| {
            let needs = if route.passing == Passing::All { has } else { route.needs };
            route.passing = Passing::All;
            (to < from || to > needs).then(|| route.commands.clone())
        })
        .collect()
    }

    /// Forgets the game if `is_idle` still holds under the lock.
    pub(crate) fn remove_if(&self, game: GameId, is_idle: impl FnOnce() -> bool) -> bool {
        let mut table = self.table();
        let idle = is_idle();
        if idle {
            table.games.remove(&game);
            telemetry::games_held(table.games.len());
        }
        idle
    }
}

/// Which partitions the tail reads for how many games.
pub(crate) struct Partitions {
    tail: TailHandle,
    /// Held over the call to the tail, so that a release cannot overtake the next game's request.
    games: tokio::sync::Mutex<HashMap<i32, usize>>,
}

impl Partitions {
    pub(crate) fn new(tail: TailHandle) -> Self {
        Self { tail, games: tokio::sync::Mutex::default() }
    }

    /// Reads the partition for one more game, from `from` at the latest.
    pub(crate) async fn read(&self, partition: i32, from: i64) -> Result<(), TailError> {
        let mut games = self.games.lock().await;
        self.tail.read_from(partition, Some(from)).await?;
        *games.entry(partition).or_default() += 1;
        Ok(())
    }

    /// Reads the partition for one game less, if that game was counted.
    pub(crate) async fn release(&self, partition: i32, counted: bool) {
        let mut games = self.games.lock().await;
        let left = games.get(&partition).map_or(0, |count| count - usize::from(counted));
        if left > 0 {
            games.insert(partition, left);
        } else {
            games.remove(&partition);
            let _ = self.tail.release(partition).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no record is taken out of order when the tail goes back for a new game. Method: the
    /// records that a tail would hand over, by offset.
    #[test]
    fn what_was_queued_before_the_tail_went_back_is_dropped() {
        let routes = Routes::default();
        let (game, other) = (GameId::from_bits(1), GameId::from_bits(2));
        let start = || mpsc::channel(1).0;
        assert!(routes.find_or_insert(game, 0, 9, start).is_some());
        assert!(routes.pass(0, 5, game).is_none(), "its view is not loaded");
        routes.pass_from(game, 7, 7);
        assert!(routes.pass(0, 9, game).is_none(), "from before the tail went back");
        assert!(routes.pass(0, 10, other).is_none());
        assert!(routes.pass(1, 1, other).is_none(), "another partition says nothing of this one");
        assert!(routes.pass(0, 11, game).is_none());
        assert!(routes.pass(0, 7, other).is_none(), "another game's record shows where the tail is");
        assert!(routes.pass(0, 8, game).is_some());
        assert!(routes.pass(0, 9, game).is_some());
    }

    #[test]
    fn a_tail_that_stands_before_needs_not_go_back() {
        let routes = Routes::default();
        let game = GameId::from_bits(1);
        assert!(routes.find_or_insert(game, 0, 1, || mpsc::channel(1).0).is_some());
        routes.pass_from(game, 7, 7);
        assert!(routes.pass(0, 6, game).is_some(), "the view drops what it has");
        assert!(routes.find_or_insert(GameId::from_bits(2), 0, 1, || mpsc::channel(1).0).is_none());
        assert!(!routes.remove_if(game, || false));
        assert!(routes.remove_if(game, || true));
        assert!(routes.find(game).is_none());
    }

    /// Goal: a gap costs only those games their view that lost something by it.
    #[test]
    fn a_gap_before_what_a_game_needs_is_no_loss() {
        let routes = Routes::default();
        let (old, new) = (GameId::from_bits(1), GameId::from_bits(2));
        for game in [old, new] {
            assert!(routes.find_or_insert(game, 0, 9, || mpsc::channel(1).0).is_some());
        }
        routes.pass_from(old, 50, 50);
        assert!(routes.pass(0, 50, old).is_some());
        assert!(routes.pass(0, 90, old).is_some());
        // The new game wants to look back further than the log reaches.
        routes.pass_from(new, 10, 80);
        assert!(routes.reopen(0, 10, 40).is_empty(), "both have or will read what they need");
        assert!(routes.pass(0, 40, new).is_some(), "what comes now passes");
        assert_eq!(routes.reopen(0, 41, 200).len(), 2, "now both lost records");
        assert_eq!(routes.reopen(0, 200, 0).len(), 2, "a log that begins anew");
    }
}
