//! What a socket has under way besides reading and writing: look-ups and appends.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use quiz_schemas::{AnyEvent, GameId, LaneKey, PlayerId, Position, QuestionNo, SubmissionId};
use rand::Rng;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::Socket;
use crate::clock::wall_us;
use crate::connection::{
    Action, Input, LookedUp, Mark, NotAttached, PinTarget, Role, Tally, Ticket, Unavailable, Unresolved,
};
use crate::edge::Edge;
use crate::games::{Attach, mailbox};
use crate::limits::{
    APPEND_WAIT_MS, DISCONNECT_TRIES_MAX, LOOKUP_ANSWER_WAIT_MS, LOOKUP_POLL_MS, LOOKUP_SETTLED_WAIT_MS,
    LOOKUP_WAIT_MS, RETRY_SPREAD_MS, SETTLE_SLACK_MS,
};
use crate::protocol::OwnOutcome;
use crate::tallies::GameTallies;
use crate::telemetry;
use crate::token::Seat;

/// What came of it.
pub(super) enum Report {
    Resolved(Result<Option<PinTarget>, Unresolved>),
    Attached,
    NotAttached(NotAttached),
    Appended { ticket: Ticket, result: Result<Position, Unavailable>, after: Duration, books: Option<Arc<GameTallies>> },
    Outcome(Option<OwnOutcome>),
    LookedUp { question: QuestionNo, submission: SubmissionId, found: LookedUp },
}

impl Socket {
    /// Starts what an action asks for; its report comes back as an event.
    pub(super) fn start(&mut self, action: Action) {
        let (edge, address) = (Arc::clone(&self.edge), self.address);
        let work: BoxFuture<'static, Report> = match action {
            Action::Resolve(pin) => async move {
                let admitted = edge.admission.pin(address, pin).and_then(|()| edge.admission.join(address));
                if let Err(wait_ms) = admitted {
                    return Report::Resolved(Err(Unresolved::RateLimited { retry_after_ms: spread(wait_ms) }));
                }
                let found = timeout(Duration::from_millis(LOOKUP_WAIT_MS), edge.pins.find(pin)).await;
                let found = found.ok().and_then(Result::ok).ok_or(Unresolved::Unavailable);
                if matches!(found, Ok(Some(_))) {
                    edge.admission.found(address, pin).await;
                }
                Report::Resolved(found)
            }
            .boxed(),
            Action::Append { ticket, event } => {
                if let (Ticket::Answer { question, .. }, Some(books)) = (&ticket, &self.books) {
                    books.appending(*question);
                }
                append(&edge, ticket, &event, self.books.clone())
            }
            Action::LoadOutcome { seat, question, players } => {
                async move { Report::Outcome(edge.standings.outcome(&seat, question, players).await) }.boxed()
            }
            Action::LookUp { seat, question, submission, settled } => async move {
                let found = look_up(&edge, &seat, question, submission, settled).await;
                Report::LookedUp { question, submission, found }
            }
            .boxed(),
            Action::Send(_)
            | Action::Ping
            | Action::Attach { .. }
            | Action::Tally { .. }
            | Action::ProofSeen { .. }
            | Action::Close(_) => return,
        };
        self.work.push(work);
    }

    /// Attaches to a game with a new mailbox: what an earlier game still says is not for this one.
    pub(super) fn attach(&mut self, game: GameId, role: Role, cursor: Option<i64>) {
        // A joiner has been counted as such.
        if !matches!(role, Role::Joiner(_))
            && let Err(wait_ms) = self.edge.admission.come_back()
        {
            let busy = Report::NotAttached(NotAttached::Busy { retry_after_ms: spread(wait_ms) });
            self.work.push(async { busy }.boxed());
            return;
        }
        let (sender, receiver) = mailbox();
        self.mailbox = Some(receiver);
        self.books = Some(self.edge.games.tallies(game));
        let before = self.game.replace(game).filter(|before| *before != game);
        let attach = Attach { socket: self.id, role, cursor, mailbox: sender, evict: Arc::clone(&self.signals) };
        let (games, socket) = (self.edge.games.clone(), self.id);
        let work = async move {
            if let Some(before) = before {
                games.detach(before, socket, None).await;
            }
            match games.attach(game, attach).await {
                Ok(()) => Report::Attached,
                Err(_) => Report::NotAttached(NotAttached::Unavailable),
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
            Report::NotAttached(why) => self.input(Input::Game(&Mark::NotAttached(why))),
            Report::Appended { ticket, result, after, books } => {
                if let Ticket::Answer { question, .. } = ticket {
                    self.known.extend(books.map(|books| (books, question)));
                    if result.is_ok() {
                        telemetry::answer_acked(after);
                    }
                }
                self.input(Input::Appended { ticket, result });
            }
            Report::Outcome(outcome) => self.input(Input::Outcome(outcome)),
            Report::LookedUp { question, submission, found } => {
                self.input(Input::LookedUp { question, submission, found });
            }
        }
    }

    /// Waits for what became of the appends under way: the log must be told whether the player
    /// left before or after answering.
    pub(super) async fn settle(&mut self) {
        let deadline = Instant::now() + Duration::from_millis(APPEND_WAIT_MS + SETTLE_SLACK_MS);
        while self.machine.is_waiting() {
            match timeout_at(deadline, self.work.next()).await {
                Ok(Some(report)) => self.on_report(report),
                Ok(None) | Err(_) => break,
            }
        }
        for action in std::mem::take(&mut self.actions) {
            if let Action::Tally { question, tally } = action {
                self.tally(question, tally);
            }
        }
        self.strike_out();
    }

    /// Takes answers of which it is known and counted what became of them out of those under way.
    pub(super) fn strike_out(&mut self) {
        for (books, question) in self.known.drain(..) {
            books.appended(question);
        }
    }

    /// Writes what became of an answer into the game's books.
    pub(super) fn tally(&self, question: QuestionNo, tally: Tally) {
        if let Some(books) = &self.books {
            books.count(question, tally);
        }
    }

    /// Leaves the game; when this was the player's last socket here, queues a record that says so. An edge
    /// that drains says nothing: its players are on their way to another edge, which says that they are
    /// there, and meanwhile a question must not close without them. Who does not come holds it until its
    /// deadline, as after a crash.
    pub(super) async fn leave(&mut self) -> Option<BoxFuture<'static, ()>> {
        self.mailbox = None;
        let seat = self.machine.seat().cloned();
        let mut last = true;
        if let Some(game) = self.game {
            last = self.edge.games.detach(game, self.id, seat.as_ref().map(|seat| seat.player)).await;
        }
        let tells = last && !self.machine.is_over() && !self.edge.draining.is_cancelled();
        let seat = seat.filter(|_| tells)?;
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

/// A wait that differs between clients who are told it at once.
fn spread(wait_ms: u32) -> u32 {
    wait_ms.saturating_add(rand::rng().random_range(0..=RETRY_SPREAD_MS))
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

/// Looks whether the store has the answer. While the question's board is not out the answer may be on its
/// way there.
async fn look_up(edge: &Edge, seat: &Seat, question: QuestionNo, submission: SubmissionId, settled: bool) -> LookedUp {
    let Ok(_place) = edge.lookups.try_acquire() else {
        telemetry::looked_up("busy");
        return LookedUp::Unknown;
    };
    let lane = LaneKey::of(seat.game, seat.player, seat.lanes);
    let wait_ms = if settled { LOOKUP_SETTLED_WAIT_MS } else { LOOKUP_ANSWER_WAIT_MS };
    let deadline = Instant::now() + Duration::from_millis(wait_ms);
    let mut found = LookedUp::Unknown;
    loop {
        match timeout_at(deadline, edge.store.answer(lane, question, seat.player)).await {
            Ok(Ok(Some(doc))) if doc.submission == submission => {
                found = LookedUp::Stored { position: doc.position, elapsed_us: doc.elapsed_us };
                break;
            }
            // The first answer stands.
            Ok(Ok(Some(_))) => {
                found = LookedUp::NotStored;
                break;
            }
            Ok(Ok(None)) if settled => found = LookedUp::NotStored,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%lane, question, %error, "an answer cannot be looked up"),
            Err(_) => break,
        }
        let next = Instant::now() + Duration::from_millis(LOOKUP_POLL_MS);
        if next >= deadline {
            break;
        }
        sleep_until(next).await;
    }
    telemetry::looked_up(match found {
        LookedUp::Stored { .. } => "stored",
        LookedUp::NotStored => "not_stored",
        LookedUp::Unknown => "unknown",
    });
    found
}

fn append(
    edge: &Edge,
    ticket: Ticket,
    event: &AnyEvent,
    books: Option<Arc<GameTallies>>,
) -> BoxFuture<'static, Report> {
    let started = Instant::now();
    if matches!(ticket, Ticket::Answer { .. }) {
        telemetry::answer_received();
    }
    // Queued here and now, in the order of the socket's messages.
    let (ack, clock) = (edge.producer.append_any(event).appended(), Arc::clone(&edge.clock));
    async move {
        let result = match timeout(Duration::from_millis(APPEND_WAIT_MS), ack).await {
            Ok(Ok(appended)) => {
                clock.acked(appended.appended_at_us, Instant::from_std(appended.acked_at));
                Ok(appended.position)
            }
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
        Report::Appended { ticket, result, after: started.elapsed(), books }
    }
    .boxed()
}
