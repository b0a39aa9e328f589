//! The session worker: runs the games of a partition (group `quiz.sessions`).
//!
//! The rules are [`quiz_game::session`]; here is which game an input belongs to, what is due when,
//! and what a successor must read again. Nothing is kept in the store: the group's own topic is
//! its state.

mod games;
mod parked;

use std::collections::BTreeMap;
use std::convert::Infallible;

use async_trait::async_trait;
use quiz_game::session::{JoinInput, Nonsense};
use quiz_schemas::{AnyEvent, GameId, Topic};
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record, Rejected, StateStore, StoreUnavailable};

pub use games::{ENDED_MAX, TICK_RECORDS_MAX};
pub use parked::{PARKED_MAX, PARKED_MS_MAX};

use games::Games;
use parked::{Parked, Waiting};

/// The group's id on the broker.
pub const GROUP_ID: &str = "quiz.sessions";

/// How long a player may wait at the door for others to be let in with them, µs. When thousands come at once they
/// are let in ten times a second: a transaction costs the broker much the same for one of them as for hundreds.
pub const JOIN_PATIENCE_US: i64 = 100_000;

/// How long they wait when no others come, µs.
pub const JOIN_LULL_US: i64 = 15_000;

/// The rules of the group `quiz.sessions`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionWorker;

/// What the worker remembers of one partition.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sessions {
    partition: i32,
    games: Games,
    parked: Parked,
}

impl Sessions {
    /// A game of this partition; an ended one while it is remembered (see [`ENDED_MAX`]).
    #[must_use]
    pub fn session(&self, game: GameId) -> Option<&quiz_game::session::Session> {
        self.games.get(game)
    }

    /// How many games are on.
    #[must_use]
    pub fn live(&self) -> usize {
        self.games.live()
    }

    /// How many joins wait for their game to be created.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    fn rejected(&self, topic: Topic, offset: i64, reason: &'static str) -> Rejected {
        let position = quiz_schemas::Position { partition: self.partition, offset };
        Rejected { topic, position, reason }
    }

    fn take_command(&mut self, record: &Record, now_us: i64, out: &mut Output<Infallible>) {
        let AnyEvent::Commands(command) = &record.event else {
            return;
        };
        let creates = matches!(command.body, quiz_schemas::events::CommandsBody::CreateGame(_));
        let known = self.games.get(command.game).is_some();
        if !known && !creates {
            out.dead.push(self.rejected(record.topic, record.offset, Nonsense::NoGame.reason()));
            return;
        }
        let result = self
            .games
            .change(command.game, |session| session.command(record.offset, &command.body, now_us, &mut out.produce));
        if let Err(nonsense) = result {
            out.dead.push(self.rejected(record.topic, record.offset, nonsense.reason()));
        }
        let waiting = if known { Vec::new() } else { self.parked.take(command.game) };
        if !waiting.is_empty() {
            let inputs: Vec<_> = waiting.iter().map(Waiting::input).collect();
            self.games.change(command.game, |session| session.joins(&inputs, now_us, &mut out.produce));
        }
    }

    fn take_scores(&mut self, record: &Record, now_us: i64, out: &mut Output<Infallible>) {
        let AnyEvent::Scores(scores) = &record.event else {
            return;
        };
        // A lane may report late answers of a game that is long over and forgotten.
        if self.games.get(scores.game).is_none() {
            return;
        }
        let result =
            self.games.change(scores.game, |session| session.scores(record.offset, scores, now_us, &mut out.produce));
        if let Err(nonsense) = result {
            out.dead.push(self.rejected(record.topic, record.offset, nonsense.reason()));
        }
    }

    fn take_joins(&mut self, game: GameId, inputs: &[JoinInput<'_>], now_us: i64, out: &mut Output<Infallible>) {
        if inputs.is_empty() {
            return;
        }
        if self.games.get(game).is_some() {
            self.games.change(game, |session| session.joins(inputs, now_us, &mut out.produce));
            return;
        }
        for input in inputs {
            if !self.parked.park(game, *input, now_us) {
                out.dead.push(self.rejected(Topic::Joins, input.offset, Nonsense::NoGame.reason()));
            }
        }
    }
}

/// The joins of a batch that are not taken yet, by game, in the order in which the games appear.
#[derive(Default)]
struct Gathered<'a> {
    by_game: Vec<(GameId, Vec<JoinInput<'a>>)>,
    places: BTreeMap<GameId, usize>,
}

impl<'a> Gathered<'a> {
    fn push(&mut self, game: GameId, input: JoinInput<'a>) {
        let place = *self.places.entry(game).or_insert_with(|| {
            self.by_game.push((game, Vec::new()));
            self.by_game.len() - 1
        });
        self.by_game[place].1.push(input);
    }

    /// Takes those of one game out.
    fn take(&mut self, game: GameId) -> Vec<JoinInput<'a>> {
        self.places.get(&game).map(|&place| std::mem::take(&mut self.by_game[place].1)).unwrap_or_default()
    }
}

impl Processor for SessionWorker {
    type State = Sessions;
    type Key = Infallible;
    type Doc = Infallible;
    type Write = Infallible;

    fn group(&self) -> GroupSpec {
        GroupSpec {
            id: GROUP_ID,
            reads: &[Topic::Commands, Topic::Joins, Topic::Scores],
            restores_from: Some(Topic::Sessions),
            delivery: Delivery::Transactional,
        }
    }

    fn start(&self, partition: i32) -> Sessions {
        Sessions { partition, ..Sessions::default() }
    }

    fn restore(&self, state: &mut Sessions, records: &[Record]) {
        for record in records {
            if let AnyEvent::Sessions(event) = &record.event {
                state.games.restore(event);
            }
        }
    }

    fn apply(&self, state: &mut Sessions, batch: &[Record], now_us: i64) -> Output<Infallible> {
        let mut out = Output::default();
        let mut joins = Gathered::default();
        for record in batch {
            match &record.event {
                AnyEvent::Joins(join) => {
                    joins.push(join.game, JoinInput { offset: record.offset, edge: &join.edge, body: &join.body });
                }
                // What a game is told after its joins finds them decided.
                AnyEvent::Commands(command) => {
                    state.take_joins(command.game, &joins.take(command.game), now_us, &mut out);
                    state.take_command(record, now_us, &mut out);
                }
                AnyEvent::Scores(scores) => {
                    state.take_joins(scores.game, &joins.take(scores.game), now_us, &mut out);
                    state.take_scores(record, now_us, &mut out);
                }
                _ => out.dead.push(state.rejected(record.topic, record.offset, "wrong_topic")),
            }
        }
        for (game, inputs) in &joins.by_game {
            state.take_joins(*game, inputs, now_us, &mut out);
        }
        out
    }

    /// A host's word and a lane's report wait for nothing.
    fn patience_us(&self, event: &AnyEvent) -> i64 {
        if matches!(event, AnyEvent::Joins(_)) { JOIN_PATIENCE_US } else { 0 }
    }

    fn lull_us(&self) -> i64 {
        JOIN_LULL_US
    }

    fn next_tick_us(&self, state: &Sessions) -> Option<i64> {
        [state.games.next_tick_us(), state.parked.next_tick_us()].into_iter().flatten().min()
    }

    fn tick(&self, state: &mut Sessions, now_us: i64) -> Output<Infallible> {
        let mut out = Output::default();
        state.games.tick(now_us, &mut out.produce);
        for offset in state.parked.expire(now_us) {
            out.dead.push(state.rejected(Topic::Joins, offset, Nonsense::NoGame.reason()));
        }
        out
    }

    fn commit_point(&self, state: &Sessions, topic: Topic, next: i64) -> i64 {
        let held = match topic {
            Topic::Scores => state.games.scores_held_from(),
            Topic::Joins => state.parked.first_offset(),
            _ => None,
        };
        held.map_or(next, |held| held.min(next))
    }
}

/// The session worker's store: there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoStore;

#[async_trait]
impl StateStore<SessionWorker> for NoStore {
    async fn load(&self, keys: &[Infallible]) -> Result<Vec<Infallible>, StoreUnavailable> {
        Ok(keys.to_vec())
    }

    async fn write(&self, _: &[Infallible]) -> Result<(), StoreUnavailable> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
