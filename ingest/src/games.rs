//! Fan-out: which games this edge holds, and what their sockets are told.
//!
//! The tail hands records to [`Games::dispatch`], which routes each to its game's task. A game is
//! held from the first socket that attaches until some time after the last has gone.

mod channel;
mod encode;
mod mailbox;
mod recovery;
mod route;
mod task;
mod teller;
#[cfg(test)]
mod tests;

pub use channel::Channel;
pub use encode::EdgeTime;
pub use mailbox::{Attach, Delivery, QuestionClock, SocketId, mailbox};
pub use recovery::Told;

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use quiz_schemas::events::game_key;
use quiz_schemas::topic::GAME_PARTITIONS;
use quiz_schemas::{AnyEvent, EdgeId, GameId, PlayerId};
use quiz_store::Store;
use quiz_stream::{Producer, TailEvent, TailHandle, partition_of};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::fair_time::BrokerClock;
use crate::limits::{GAME_COMMANDS_MAX, GAMES_MAX, TELLINGS_MAX};
use crate::tallies::{GameTallies, Tallies};
use crate::telemetry;
use route::{Partitions, Routes};

/// What a game's task is told.
#[derive(Debug)]
pub(crate) enum GameCommand {
    /// A socket wants in.
    Attach(Attach),
    /// A socket is gone; says whether it was the player's last one here.
    Detach { socket: SocketId, player: Option<PlayerId>, last: oneshot::Sender<bool> },
    /// A result of the game.
    Record(Told),
    /// Records were lost before this offset: load the view again.
    Reload {
        /// The offset that is read next.
        next: i64,
    },
}

/// The games that this edge holds. Cheap to clone.
#[derive(Clone)]
pub struct Games {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) routes: Routes,
    pub(crate) partitions: Partitions,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) idle: Duration,
    pub(crate) clock: Arc<BrokerClock>,
    pub(crate) producer: Producer,
    pub(crate) edge: EdgeId,
    pub(crate) tallies: Tallies,
    pub(crate) tasks: TaskTracker,
}

/// A game is not to be had here: too many are held, or it went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the game cannot be held here now")]
pub struct NotHeld;

impl Games {
    /// Holds no game yet. `idle` is how long a game is held without a socket; `edge` the name under
    /// which the books of the answers are told.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        tail: TailHandle,
        idle: Duration,
        clock: Arc<BrokerClock>,
        producer: Producer,
        edge: EdgeId,
    ) -> Self {
        let shared = Shared {
            routes: Routes::default(),
            partitions: Partitions::new(tail),
            store,
            idle,
            clock,
            producer,
            edge,
            tallies: Tallies::default(),
            tasks: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How many games are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.routes.len()
    }

    /// Hands a socket to its game, which is loaded when it is not held yet. The game answers into
    /// the mailbox; a mailbox that closes without a word means that the game went away.
    ///
    /// # Errors
    /// When [`GAMES_MAX`] games are held.
    pub async fn attach(&self, game: GameId, mut attach: Attach) -> Result<(), NotHeld> {
        // A game may end between the look-up and the send; the second try starts it anew.
        for _ in 0..2 {
            let commands = self.commands_of(game).ok_or(NotHeld)?;
            match commands.send(GameCommand::Attach(attach)).await {
                Ok(()) => return Ok(()),
                Err(mpsc::error::SendError(GameCommand::Attach(returned))) => attach = returned,
                Err(_) => return Err(NotHeld),
            }
        }
        Err(NotHeld)
    }

    /// Takes a socket off its game. True when it was the last of its player on this edge.
    pub async fn detach(&self, game: GameId, socket: SocketId, player: Option<PlayerId>) -> bool {
        let Some(commands) = self.shared.routes.find(game) else { return true };
        let (last, answer) = oneshot::channel();
        if commands.send(GameCommand::Detach { socket, player, last }).await.is_err() {
            return true;
        }
        answer.await.unwrap_or(true)
    }

    /// The books of a game's answers.
    #[must_use]
    pub fn tallies(&self, game: GameId) -> Arc<GameTallies> {
        self.shared.tallies.of(game)
    }

    /// Tells what is left of all books, and ends when the log has it: to be given up when the edge cannot wait
    /// any longer. When no socket is left, it is the `last`.
    pub async fn tell_rest(&self, last: bool) {
        let tellings = self.shared.tallies.all().into_iter().map(|books| {
            let shared = Arc::clone(&self.shared);
            async move { teller::tell_rest(&shared, &books, last).await }
        });
        stream::iter(tellings).for_each_concurrent(TELLINGS_MAX, |telling| telling).await;
    }

    fn commands_of(&self, game: GameId) -> Option<mpsc::Sender<GameCommand>> {
        let partition = partition_of(game_key(game).as_bytes(), GAME_PARTITIONS);
        self.shared.routes.find_or_insert(game, partition, GAMES_MAX, || {
            let (commands, inbox) = mpsc::channel(GAME_COMMANDS_MAX);
            let shared = Arc::clone(&self.shared);
            self.shared.tasks.spawn(task::run(shared, game, partition, inbox));
            commands
        })
    }

    /// Routes what the tail reads until it ends. Runs as one task of the edge.
    pub async fn dispatch(self, mut tail: mpsc::Receiver<TailEvent>) {
        while let Some(event) = tail.recv().await {
            match event {
                TailEvent::Record(record) => {
                    self.shared.clock.read(record.appended_at_us, Instant::now());
                    if let AnyEvent::Results(result) = record.event {
                        self.route(record.partition, Told::new(record.offset, record.appended_at_us, result)).await;
                    }
                }
                TailEvent::Poison { partition, offset, error } => {
                    telemetry::results_poisoned(error.reason());
                    tracing::warn!(partition, offset, reason = error.reason(), "a result cannot be read");
                }
                TailEvent::Gap { partition, from, to } => {
                    tracing::warn!(partition, from, to, "results are gone before they were read");
                    for commands in self.shared.routes.reopen(partition, from, to) {
                        let _ = commands.send(GameCommand::Reload { next: to }).await;
                    }
                }
            }
        }
    }

    async fn route(&self, partition: i32, told: Told) {
        if let Some(commands) = self.shared.routes.pass(partition, told.at, told.record.game) {
            // A game's task never waits for a socket, so its queue drains; the tail waits meanwhile.
            let _ = commands.send(GameCommand::Record(told)).await;
        }
    }
}
