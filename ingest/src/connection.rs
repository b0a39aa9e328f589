//! One socket as a sans-IO state machine: inputs in, actions out, time and randomness as arguments.
//!
//! ```text
//! New ─join─► Resolving ─pin─► Attaching ─► Joining ─admitted─► Player ─► Closed
//!  └─resume / host──────────────► Attaching ────────────────► Player / Host
//! ```
//! The driver carries out the actions and reports back. An `ack` leaves only on [`Input::Appended`]
//! with a position (I1).

mod answer;
mod entry;
mod fit;
mod host;
mod io;
mod probe;
mod rate;
#[cfg(test)]
mod tests;

use io::Logged;
pub use io::{
    Action, GameHead, Input, LookedUp, Mark, NotAttached, Now, PinTarget, Role, Surroundings, Tally, Ticket,
    Unavailable, Unresolved,
};
pub use probe::SPREAD_MAX;

use std::sync::Arc;

use quiz_schemas::events::{CommandRejection, JoinsBody, JoinsRecord, PlayerDisconnected, RefusalReason};
use quiz_schemas::quiz::QuestionKind;
use quiz_schemas::{AnyEvent, GameId, JoinKey, Pin, PlayerId, Position, QuestionNo, SubmissionId};

use crate::limits::{
    BAD_FRAMES_MAX, JOIN_WAIT_MS, LIMITED_FRAMES_MAX, PRESENCE_RETRY_MS, PRESENCE_TRIES_MAX, RATE_RETRY_AFTER_MS,
};
use crate::protocol::{ClientMessage, Close, ErrorCode, ErrorMessage, Replying, ServerMessage, parse};
use crate::token::Seat;
use answer::Pending;
use entry::Intent;
use rate::Rate;

/// The question before a player, as far as answers to it can be checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shown {
    question: QuestionNo,
    kind: QuestionKind,
    options: u8,
    accepting: bool,
}

/// The last answer acknowledged on this socket: a resend of it needs no second append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Acked {
    question: QuestionNo,
    submission: SubmissionId,
    position: Position,
    elapsed_us: i64,
}

#[derive(Debug)]
enum Phase {
    New,
    Resolving { nickname: String, key: Option<JoinKey> },
    Attaching(Intent),
    Joining { seat: Arc<Seat>, until_ms: u64 },
    Player(Arc<Seat>),
    Host(GameId),
    Closed,
}

/// One socket's state.
pub struct Connection {
    phase: Phase,
    rate: Rate,
    bad_frames: u32,
    heard_ms: u64,
    pinged_ms: u64,
    /// After how much silence the client asks whether the edge lives, as it was told last, ms.
    heartbeat_ms: u32,
    /// Where in the spread of heartbeats this socket's is.
    spread: u16,
    shown: Option<Shown>,
    /// The latest question that was ever before the player.
    newest: Option<QuestionNo>,
    over: bool,
    acked: Option<Acked>,
    /// Answers on their way to the log.
    pending: Vec<Pending>,
    lookups_in_flight: u32,
    /// The first question that came before the player on this socket as it opened: what they send to
    /// an earlier one, they may have sent elsewhere before.
    live_from: Option<QuestionNo>,
    /// The latest question whose board is out.
    settled: Option<QuestionNo>,
    /// Since when something has been sent to the client and nothing heard of it.
    unheard_ms: Option<u64>,
    commands_in_flight: u32,
    /// A seat that was asked for and never decided: asked for again under the same id, lest its
    /// own ghost holds the name.
    undecided: Option<Arc<Seat>>,
    presence_tries: u32,
    presence_retry_ms: Option<u64>,
}

impl Connection {
    /// A socket that has just been opened; `spread` is drawn below [`SPREAD_MAX`].
    #[must_use]
    pub fn new(now: Now, spread: u16) -> Self {
        Self {
            phase: Phase::New,
            rate: Rate::default(),
            bad_frames: 0,
            heard_ms: now.mono_ms,
            pinged_ms: now.mono_ms,
            heartbeat_ms: probe::heartbeat_ms(now.sockets, spread),
            spread,
            shown: None,
            newest: None,
            over: false,
            acked: None,
            pending: Vec::new(),
            lookups_in_flight: 0,
            live_from: None,
            settled: None,
            unheard_ms: None,
            commands_in_flight: 0,
            undecided: None,
            presence_tries: 0,
            presence_retry_ms: None,
        }
    }

    /// Takes an input; appends what is to be done to `out`.
    pub fn on(&mut self, around: &Surroundings, input: Input<'_>, now: Now, out: &mut Vec<Action>) {
        // What became of an answer still counts when the socket is closed: the log is told of it.
        if matches!(self.phase, Phase::Closed) && !matches!(input, Input::Appended { .. }) {
            return;
        }
        match input {
            Input::Text(text) => self.on_text(around, text, now, out),
            Input::Control => {
                self.hear(now);
                self.within_rate(now, None, out);
            }
            Input::Unreadable(close) | Input::Evict(close) => self.close(close, out),
            Input::Resolved { target, player } => self.on_resolved(around, target, player, now, out),
            Input::Game(mark) => self.on_mark(around, mark, now, out),
            Input::Appended { ticket, result } => self.on_appended(around, ticket, result, now, out),
            Input::Outcome(Some(outcome)) => send(ServerMessage::Outcome(outcome), out),
            Input::Outcome(None) => {}
            Input::LookedUp { question, submission, found } => {
                self.on_looked_up(around, question, submission, found, out);
            }
            Input::Stale(text) => self.on_stale_text(text, out),
            Input::Tick => self.on_tick(around, now, out),
        }
    }

    /// When [`Input::Tick`] is due at the latest, on the monotonic clock.
    #[must_use]
    pub fn next_tick_ms(&self) -> u64 {
        let joining = if let Phase::Joining { until_ms, .. } = &self.phase { Some(*until_ms) } else { None };
        let others = [joining, self.presence_retry_ms, self.taken_due_ms()];
        others.into_iter().flatten().fold(self.next_probe_ms(), u64::min)
    }

    /// Whether appends are under way whose outcome the client has not been told.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || self.commands_in_flight > 0
    }

    /// The player that the socket has let in, or may have, by game. Until [`Connection::gone`].
    #[must_use]
    pub fn seat(&self) -> Option<&Arc<Seat>> {
        match &self.phase {
            Phase::Player(seat) | Phase::Joining { seat, .. } => Some(seat),
            _ => self.undecided.as_ref(),
        }
    }

    /// Whether a player or a host is in a game.
    #[must_use]
    pub fn is_seated(&self) -> bool {
        matches!(self.phase, Phase::Player(_) | Phase::Host(_))
    }

    /// Whether the game is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// What the log must be told when the socket has gone, if this was the player's last one.
    #[must_use]
    pub fn gone(&self, around: &Surroundings, seat: &Seat, wall_us: i64) -> AnyEvent {
        let answered = self.acked.map(|acked| acked.question);
        let body = PlayerDisconnected { player: seat.player, answered };
        joins_record(around, seat.game, wall_us, body)
    }

    fn on_text(&mut self, around: &Surroundings, text: &str, now: Now, out: &mut Vec<Action>) {
        self.hear(now);
        if !self.within_rate(now, Some(text), out) {
            return;
        }
        match parse(text) {
            Ok(message) => self.on_message(around, message, now, out),
            Err(error) => {
                refuse(error.code, error.replying, out);
                self.bad_frames += 1;
                if self.bad_frames >= BAD_FRAMES_MAX {
                    self.close(Close::BadFrames, out);
                }
            }
        }
    }

    fn on_message(&mut self, around: &Surroundings, message: ClientMessage, now: Now, out: &mut Vec<Action>) {
        match message {
            ClientMessage::Ping => send(ServerMessage::Pong { heartbeat_ms: self.new_heartbeat(now) }, out),
            ClientMessage::Join { pin, nickname, key } => self.on_join(pin, &nickname, key, out),
            ClientMessage::Resume { token, cursor } => self.on_resume(around, &token, cursor, now, out),
            ClientMessage::Host { token, cursor } => self.on_host(around, &token, cursor, now, out),
            ClientMessage::Answer(answer) => self.on_answer(around, answer, now, out),
            ClientMessage::Command(command) => self.on_command(around, command, now, out),
        }
    }

    /// Counts a frame; false when it is over the rate. A flood never lets the bucket recover, so
    /// what it is refused adds up until the socket is closed.
    fn within_rate(&mut self, now: Now, text: Option<&str>, out: &mut Vec<Action>) -> bool {
        if self.rate.admit(now.mono_ms) {
            return true;
        }
        if self.rate.refused() >= LIMITED_FRAMES_MAX {
            self.close(Close::RateExceeded, out);
        } else if let Some(text) = text {
            let message = parse(text);
            if let (Ok(ClientMessage::Answer(answer)), Phase::Player(_)) = (&message, &self.phase) {
                self.tally(answer.question, Tally::Refused, out);
            }
            let replying = message.map_or_else(|error| error.replying, |message| replying_to(&message));
            send_error(ErrorMessage::new(ErrorCode::RateLimited, replying).retry_after(RATE_RETRY_AFTER_MS), out);
        }
        false
    }

    fn on_mark(&mut self, around: &Surroundings, mark: &Mark, now: Now, out: &mut Vec<Action>) {
        self.unheard_ms.get_or_insert(now.mono_ms);
        match mark {
            Mark::Plain => {}
            Mark::Attached(head) => self.on_attached(around, head, now, out),
            Mark::NotAttached(why) => self.on_not_attached(*why, out),
            Mark::Admitted(head) => self.on_admitted(around, head, now, out),
            Mark::Refused(reason) => self.on_refused(*reason, out),
            Mark::Question { question, kind, options, accepting, live } => {
                if *live {
                    self.live_from.get_or_insert(*question);
                }
                self.newest = self.newest.max(Some(*question));
                self.shown = Some(Shown { question: *question, kind: *kind, options: *options, accepting: *accepting });
            }
            Mark::Stopped(question) => self.on_stopped(*question),
            Mark::Settled(question) => {
                self.settled = self.settled.max(Some(*question));
                self.on_stopped(*question);
            }
            Mark::OutcomeMissing { question, players } => self.on_outcome_missing(*question, *players, out),
            Mark::Kicked => {
                send(ServerMessage::Kicked, out);
                self.close(Close::Kicked, out);
            }
            Mark::Over => {
                self.over = true;
                if let Some(shown) = &mut self.shown {
                    shown.accepting = false;
                }
            }
        }
    }

    fn on_stopped(&mut self, question: QuestionNo) {
        if let Some(shown) = self.shown.as_mut().filter(|shown| shown.question <= question) {
            shown.accepting = false;
        }
    }

    fn on_outcome_missing(&mut self, question: QuestionNo, players: i32, out: &mut Vec<Action>) {
        let Phase::Player(seat) = &self.phase else { return };
        out.push(Action::LoadOutcome { seat: Arc::clone(seat), question, players });
        self.settled = self.settled.max(Some(question));
        self.newest = self.newest.max(Some(question));
        // The question itself was never before this socket; it is known to be closed.
        let kind = QuestionKind::Unknown;
        self.shown.get_or_insert(Shown { question, kind, options: 0, accepting: false });
    }

    fn on_appended(
        &mut self,
        around: &Surroundings,
        ticket: Ticket,
        result: Result<Position, Unavailable>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        match ticket {
            Ticket::Join => self.on_join_appended(result, out),
            Ticket::Presence => self.on_presence_appended(result, now),
            Ticket::Answer { player, question, submission, elapsed_us } => {
                self.on_answer_appended(around, Logged { player, question, submission, elapsed_us }, result, out);
            }
            Ticket::Command(id) => {
                self.commands_in_flight = self.commands_in_flight.saturating_sub(1);
                if matches!(self.phase, Phase::Host(_)) {
                    host::on_command_appended(id, result, out);
                }
            }
        }
    }

    fn on_presence_appended(&mut self, result: Result<Position, Unavailable>, now: Now) {
        if result.is_ok() {
            self.presence_tries = 0;
        } else if self.presence_tries < PRESENCE_TRIES_MAX && matches!(self.phase, Phase::Player(_)) {
            self.presence_retry_ms = Some(now.mono_ms + PRESENCE_RETRY_MS);
        }
    }

    fn on_tick(&mut self, around: &Surroundings, now: Now, out: &mut Vec<Action>) {
        if let Some(close) = self.probe(now, out) {
            self.close(close, out);
            return;
        }
        self.tell_taken(around, now, out);
        if matches!(&self.phase, Phase::Joining { until_ms, .. } if now.mono_ms >= *until_ms) {
            self.give_up_join(out);
        }
        if self.presence_retry_ms.is_some_and(|retry_ms| now.mono_ms >= retry_ms) {
            self.presence_retry_ms = None;
            self.append_presence(around, now, out);
        }
    }

    fn close(&mut self, close: Close, out: &mut Vec<Action>) {
        // The seat stays known until the driver has told the log that it is empty.
        if let Phase::Player(seat) | Phase::Joining { seat, .. } = &self.phase {
            self.undecided = Some(Arc::clone(seat));
        }
        self.phase = Phase::Closed;
        self.presence_retry_ms = None;
        out.push(Action::Close(close));
    }
}

fn replying_to(message: &ClientMessage) -> Replying {
    match message {
        ClientMessage::Answer(answer) => Replying { submission: Some(answer.submission), id: None },
        ClientMessage::Command(command) => Replying { submission: None, id: Some(command.id.clone()) },
        _ => Replying::default(),
    }
}

fn send(message: ServerMessage, out: &mut Vec<Action>) {
    out.push(Action::Send(Box::new(message)));
}

fn send_error(error: ErrorMessage, out: &mut Vec<Action>) {
    send(ServerMessage::Error(error), out);
}

fn refuse(code: ErrorCode, replying: Replying, out: &mut Vec<Action>) {
    send_error(ErrorMessage::new(code, replying), out);
}

/// The error that tells hosts what the game did not do.
#[must_use]
pub fn command_refused(reason: CommandRejection) -> ErrorMessage {
    let mut error = ErrorMessage::new(ErrorCode::CommandRefused, Replying::default());
    error.reason = Some(reason);
    error
}

fn joins_record(around: &Surroundings, game: GameId, at_us: i64, body: impl Into<JoinsBody>) -> AnyEvent {
    AnyEvent::Joins(JoinsRecord { game, at_us, edge: around.edge.clone(), body: body.into() })
}
