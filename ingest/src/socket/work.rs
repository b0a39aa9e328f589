//! What a socket has under way besides reading and writing: look-ups and appends.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use quiz_schemas::{AnyEvent, GameId, PlayerId, Position};
use quiz_stream::Producer;
use rand::Rng;
use tokio::time::{Instant, timeout, timeout_at};

use super::Socket;
use crate::clock::wall_us;
use crate::connection::{Action, Input, Mark, NotAttached, PinTarget, Role, Ticket, Unavailable, Unresolved};
use crate::edge::Edge;
use crate::games::{Attach, mailbox};
use crate::limits::{APPEND_WAIT_MS, DISCONNECT_TRIES_MAX, LOOKUP_WAIT_MS};
use crate::protocol::OwnOutcome;
use crate::telemetry;

/// What came of it.
pub(super) enum Report {
    Resolved(Result<Option<PinTarget>, Unresolved>),
    Attached,
    NotAttached,
    Appended { ticket: Ticket, result: Result<Position, Unavailable>, after: Duration },
    Outcome(Option<OwnOutcome>),
}

impl Socket {
    /// Starts what an action asks for; its report comes back as an event.
    pub(super) fn start(&mut self, action: Action) {
        let edge = Arc::clone(&self.edge);
        let work: BoxFuture<'static, Report> = match action {
            Action::Resolve(_) if !edge.admission.join(self.address) => {
                async { Report::Resolved(Err(Unresolved::RateLimited)) }.boxed()
            }
            Action::Resolve(pin) => async move {
                let found = timeout(Duration::from_millis(LOOKUP_WAIT_MS), edge.pins.find(pin)).await;
                Report::Resolved(found.ok().and_then(Result::ok).ok_or(Unresolved::Unavailable))
            }
            .boxed(),
            Action::Append { ticket, event } => append(&edge.producer, ticket, &event),
            Action::LoadOutcome { seat, question, players } => {
                async move { Report::Outcome(edge.standings.outcome(&seat, question, players).await) }.boxed()
            }
            Action::Send(_) | Action::Ping | Action::Attach { .. } | Action::Close(_) => return,
        };
        self.work.push(work);
    }

    /// Attaches to a game with a new mailbox: what an earlier game still says is not for this one.
    pub(super) fn attach(&mut self, game: GameId, role: Role) {
        let (sender, receiver) = mailbox();
        self.mailbox = Some(receiver);
        let before = self.game.replace(game).filter(|before| *before != game);
        let attach = Attach { socket: self.id, role, mailbox: sender, evict: self.evict.clone() };
        let (games, socket) = (self.edge.games.clone(), self.id);
        let work = async move {
            if let Some(before) = before {
                games.detach(before, socket, None).await;
            }
            match games.attach(game, attach).await {
                Ok(()) => Report::Attached,
                Err(_) => Report::NotAttached,
            }
        };
        self.work.push(work.boxed());
    }

    pub(super) fn on_report(&mut self, report: Report) {
        match report {
            Report::Resolved(target) => {
                let player = PlayerId::from_bits(rand::rng().random());
                self.input(Input::Resolved { target, player });
            }
            Report::Attached => {}
            Report::NotAttached => self.input(Input::Game(&Mark::NotAttached(NotAttached::Unavailable))),
            Report::Appended { ticket, result, after } => {
                if matches!(ticket, Ticket::Answer { .. }) && result.is_ok() {
                    telemetry::answer_acked(after);
                }
                self.input(Input::Appended { ticket, result });
            }
            Report::Outcome(outcome) => self.input(Input::Outcome(outcome)),
        }
    }

    /// Waits for what became of the appends under way: the log must be told whether the player
    /// left before or after answering.
    pub(super) async fn settle(&mut self) {
        let deadline = Instant::now() + Duration::from_millis(APPEND_WAIT_MS);
        while self.machine.is_waiting() {
            match timeout_at(deadline, self.work.next()).await {
                Ok(Some(report)) => self.on_report(report),
                Ok(None) | Err(_) => break,
            }
        }
        self.actions.clear();
    }

    /// Leaves the game; when this was the player's last socket here, queues a record that says so.
    pub(super) async fn leave(&mut self) -> Option<BoxFuture<'static, ()>> {
        self.mailbox = None;
        let seat = self.machine.seat().cloned();
        let mut last = true;
        if let Some(game) = self.game {
            last = self.edge.games.detach(game, self.id, seat.as_ref().map(|seat| seat.player)).await;
        }
        let seat = seat.filter(|_| last && !self.machine.is_over())?;
        let event = self.machine.gone(&self.edge.around, &seat, wall_us());
        // Queued when called, awaited by the caller when the client has been told.
        let first = self.edge.producer.append_any(&event);
        let edge = Arc::clone(&self.edge);
        Some(
            async move {
                if first.await.is_err() {
                    append_again(&edge, &event).await;
                }
            }
            .boxed(),
        )
    }
}

async fn append_again(edge: &Edge, event: &AnyEvent) {
    for _ in 1..DISCONNECT_TRIES_MAX {
        match edge.producer.append_any(event).await {
            Ok(_) => return,
            Err(error) => telemetry::append_failed(error.reason()),
        }
    }
    tracing::warn!("a player's leaving is not in the log");
}

fn append(producer: &Producer, ticket: Ticket, event: &AnyEvent) -> BoxFuture<'static, Report> {
    let started = Instant::now();
    if matches!(ticket, Ticket::Answer { .. }) {
        telemetry::answer_received();
    }
    // Queued here and now, in the order of the socket's messages.
    let ack = producer.append_any(event);
    async move {
        let result = match timeout(Duration::from_millis(APPEND_WAIT_MS), ack).await {
            Ok(Ok(position)) => Ok(position),
            Ok(Err(error)) => {
                telemetry::append_failed(error.reason());
                tracing::debug!(%error, "an append failed");
                Err(Unavailable)
            }
            Err(_) => {
                telemetry::append_failed("waited_too_long");
                Err(Unavailable)
            }
        };
        Report::Appended { ticket, result, after: started.elapsed() }
    }
    .boxed()
}
