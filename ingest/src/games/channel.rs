//! A held game: its view, what it told lately, and the sockets that are told.

mod greet;
mod held;
mod lobby;
mod sockets;

use std::collections::HashMap;
use std::sync::Arc;

use quiz_game::view::{EventId, Folded, GameView};
use quiz_schemas::events::{AnswersCounted, OutcomesPublished, QuestionShown, ResultsBody, ResultsRecord, StopReason};
use quiz_schemas::{PlayerId, QuestionNo};
use tokio::time::{Duration, Instant};

use super::encode::{self, EdgeTime, encode};
use super::mailbox::{Attach, Delivery, SocketId};
use super::recovery::{Recovery, Told};
use crate::connection::{Mark, NotAttached, Role, command_refused};
use crate::deliveries::ResultWrites;
use crate::fair_time::Greeted;
use crate::limits::{
    BOARD_HOLD_MS, CATCH_UP_MS, CLOCK_POLL_MS, CLOCK_WAIT_MS, CLOSED_HOLD_MS, FRESH_US_MAX, RECOVERY_WAIT_MS,
};
use crate::protocol::{Board, Counted, LobbyName, Over, ServerMessage, Stopped};
use crate::telemetry;
use held::Held;
use sockets::{Outbox, Socket, To};

/// The question of the view, as far as time is concerned.
#[derive(Clone, Copy, Debug)]
struct Asked {
    question: QuestionNo,
    /// When this edge first saw it.
    seen: Instant,
    /// When the log took it, by the cluster's clock, µs since 1970.
    appended_at_us: Option<i64>,
}

/// A held game. Does no I/O: what it says goes into mailboxes when it is pumped, and a socket whose
/// mailbox is full is evicted, never waited for (I9).
pub struct Channel {
    view: GameView,
    recovery: Recovery,
    sockets: HashMap<SocketId, Socket>,
    players: HashMap<PlayerId, Vec<SocketId>>,
    /// Sockets that ask for what they missed while it is still being read.
    waiting: Vec<Attach>,
    wait_until: Instant,
    /// Sockets that are let in and hear the rest when the cluster's time is known, with their cursor
    /// if they are told what they missed.
    unclocked: Vec<(SocketId, Option<i64>)>,
    unclocked_due: Option<Instant>,
    started: Instant,
    asked: Option<Asked>,
    /// The least seen of the log's stamp of a session's event minus the worker's own, µs: from it the
    /// stamp of a question can be told whose record is out of reach.
    worker_behind_us: Option<i64>,
    stopped: Option<(QuestionNo, StopReason)>,
    counted: Option<AnswersCounted>,
    /// Names that players have not been told of yet, the newest.
    lobby_names: Vec<LobbyName>,
    lobby_due: Option<Instant>,
    lobby_told: Option<Instant>,
    /// The result that was told last, until its writes are watched.
    result: Option<Arc<ResultWrites>>,
    held: Held,
    outbox: Outbox,
}

impl Channel {
    /// A game as its view in the store has it, which stands at `cursor`.
    #[must_use]
    pub fn new(view: GameView, cursor: Option<i64>, now: EdgeTime) -> Self {
        let asked = view.question.as_ref().map(|shown| Asked {
            question: shown.question,
            seen: now.mono,
            appended_at_us: None,
        });
        Self {
            recovery: Recovery::new(&view, cursor),
            view,
            sockets: HashMap::new(),
            players: HashMap::new(),
            waiting: Vec::new(),
            unclocked: Vec::new(),
            unclocked_due: None,
            wait_until: now.mono + Duration::from_millis(RECOVERY_WAIT_MS),
            started: now.mono,
            asked,
            worker_behind_us: None,
            stopped: None,
            counted: None,
            lobby_names: Vec::new(),
            lobby_due: None,
            lobby_told: None,
            result: None,
            held: Held::default(),
            outbox: Outbox::default(),
        }
    }

    /// Whether no socket is attached or waits to be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.waiting.is_empty()
    }

    /// Whether a socket waits to be let in, or to hear how the game stands.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !self.waiting.is_empty() || !self.unclocked.is_empty()
    }

    /// Whether players have not been told yet what came last; [`Channel::tick`] sees to it soon.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        self.held.due().is_some()
    }

    /// The latest question that takes no more answers.
    #[must_use]
    pub fn closed(&self) -> Option<QuestionNo> {
        let shown = self.view.question.as_ref()?.question;
        if self.view.accepting { shown.checked_sub(1) } else { Some(shown) }
    }

    /// Whether the game is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.view.over.is_some()
    }

    /// The result that the last record told the sockets, if it did: its writes are to be watched.
    #[must_use]
    pub fn take_result(&mut self) -> Option<Arc<ResultWrites>> {
        self.result.take()
    }

    /// When [`Channel::tick`] is due.
    #[must_use]
    pub fn next_tick(&self) -> Option<Instant> {
        let wait = (!self.waiting.is_empty()).then_some(self.wait_until);
        [self.lobby_due, self.unclocked_due, wait, self.held.due()].into_iter().flatten().min()
    }

    /// Takes a socket in, tells it so, and tells a player or host what it missed, or else the game's
    /// present state.
    pub fn attach(&mut self, attach: Attach, now: EdgeTime) {
        let early = attach.cursor.is_some_and(|cursor| self.recovery.is_early_for(cursor));
        if early && now.mono < self.wait_until {
            self.waiting.push(attach);
        } else {
            self.admit_socket(attach, now);
        }
    }

    fn admit_socket(&mut self, attach: Attach, now: EdgeTime) {
        // It is told the present state; what the others have still to hear is part of that.
        self.release();
        let Attach { socket, role, cursor, mailbox, evict } = attach;
        self.remove(socket);
        if let Role::Player(player) | Role::Joiner(player) = role
            && self.view.kicked.contains(&player)
        {
            let _ = mailbox.try_send(Delivery::mark(Mark::NotAttached(NotAttached::Banned)));
            return;
        }
        let missed = cursor.and_then(|cursor| self.missed(cursor, role, now));
        let recovered = cursor.filter(|_| missed.is_some());
        if cursor.is_some() {
            telemetry::resumed(recovered.is_some());
        }
        let head = self.head(role, recovered);
        self.sockets.insert(socket, Socket::new(role, mailbox, evict));
        if let Role::Player(player) | Role::Joiner(player) = role {
            self.players.entry(player).or_default().push(socket);
        }
        self.push(socket, &Delivery::mark(Mark::Attached(head)));
        match missed {
            _ if matches!(role, Role::Player(_)) && self.is_clock_due(now) => {
                self.unclocked.push((socket, recovered));
                self.unclocked_due = Some(now.mono + Duration::from_millis(CLOCK_POLL_MS));
            }
            Some(missed) => self.push_all(socket, &missed),
            None if matches!(role, Role::Joiner(_)) => {}
            None => self.greet(socket, role, now),
        }
    }

    /// Whether an open question's time cannot be told yet but will be in a moment: a player who is let
    /// in is logged as back, and the acknowledgement of that tells the cluster's time; and the question's
    /// record is about to be read.
    fn is_clock_due(&self, now: EdgeTime) -> bool {
        let waited_ms = now.mono.saturating_duration_since(self.started).as_millis();
        let unstamped = self.asked.is_some_and(|asked| asked.appended_at_us.is_none());
        let unread = unstamped && self.recovery.is_reading_back();
        self.view.accepting && (now.cluster_us.is_none() || unread) && waited_ms < u128::from(CLOCK_WAIT_MS)
    }

    fn greet_unclocked(&mut self, now: EdgeTime) {
        self.unclocked_due = None;
        for (socket, recovered) in std::mem::take(&mut self.unclocked) {
            let Some(role) = self.sockets.get(&socket).map(|socket| socket.role) else { continue };
            match recovered.and_then(|cursor| self.missed(cursor, role, now)) {
                Some(missed) => self.push_all(socket, &missed),
                None => self.greet(socket, role, now),
            }
        }
    }

    /// Lets a socket go. True when no other socket of its player is here.
    pub fn detach(&mut self, socket: SocketId, player: Option<PlayerId>) -> bool {
        self.waiting.retain(|waiting| waiting.socket != socket);
        self.remove(socket);
        player.is_none_or(|player| !self.players.contains_key(&player))
    }

    /// Folds a result in and tells the sockets, unless it has been told before.
    pub fn record(&mut self, told: Told, now: EdgeTime) {
        if self.recovery.has_read(told.at) {
            return;
        }
        self.recovery.read_to(told.at);
        self.note_worker_clock(&told);
        if self.recovery.is_before_view(told.at) {
            self.note_asked(&told);
            self.recovery.keep(told);
        } else {
            // What is new comes behind what they missed.
            self.greet_unclocked(now);
            self.news(told, now);
        }
        self.admit_waiting(now);
    }

    /// A result that the view was loaded without.
    fn news(&mut self, told: Told, now: EdgeTime) {
        let at = match self.view.fold(&told.record) {
            Folded::Duplicate => return,
            Folded::Applied => Some(told.at),
            Folded::Volatile => None,
        };
        if at.is_some() {
            self.recovery.keep(told.clone());
        }
        let joins_held = matches!(
            told.record.body,
            ResultsBody::BoardPublished(_) | ResultsBody::OutcomesPublished(_) | ResultsBody::AnswersCounted(_)
        );
        if !joins_held {
            self.release();
        }
        let durable = |message: ServerMessage| at.into_iter().fold(message, ServerMessage::of_record);
        match &told.record.body {
            ResultsBody::GameOpened(_) | ResultsBody::Unknown => {}
            ResultsBody::LobbyChanged(change) => self.lobby_changed(change, now),
            ResultsBody::QuestionShown(shown) => self.question_shown(shown, &told, at, now),
            ResultsBody::AnswersCounted(counted) => self.answers_counted(counted),
            ResultsBody::QuestionStopped(stopped) => {
                self.stopped = Some((stopped.question, stopped.reason));
                let message = Stopped { question: stopped.question, reason: stopped.reason, at: None };
                let message = durable(ServerMessage::Closed(message));
                let closed = encode(&message, Mark::Stopped(stopped.question));
                self.tell(To::Hosts, &closed);
                // When all have answered, nobody is kept thinking by not hearing it at once.
                let wait_ms = if stopped.reason == StopReason::AllAnswered { CLOSED_HOLD_MS } else { 0 };
                self.tell_players_soon(closed, wait_ms, now);
            }
            ResultsBody::BoardPublished(board) => {
                let message = durable(ServerMessage::Board(Board::from(board)));
                self.result = at.map(|at| ResultWrites::new(board.question, at));
                let board = encode::result(&message, Mark::Settled(board.question), self.result.clone());
                self.tell(To::Hosts, &board);
                // Each player's own outcome is right behind it in the log.
                self.tell_players_soon(board, BOARD_HOLD_MS, now);
            }
            ResultsBody::OutcomesPublished(batch) => self.outcomes_published(batch, at),
            ResultsBody::CommandRefused(refused) => {
                let message = ServerMessage::Error(command_refused(refused.reason));
                self.tell(To::Hosts, &encode(&message, Mark::Plain));
            }
            ResultsBody::GameEnded(ended) => {
                self.tell(To::All, &encode(&durable(ServerMessage::Over(Over::from(ended))), Mark::Over));
            }
        }
    }

    /// Goes on behind a gap of the log with the view that the store has now: tells all sockets the
    /// present state when it is newer. `next` is the offset that is read next.
    pub fn reload(&mut self, view: GameView, next: i64, now: EdgeTime) {
        self.release();
        self.greet_unclocked(now);
        self.recovery = Recovery::behind_gap(&view, next);
        let newer = view.version() > self.view.version();
        if newer {
            self.view = view;
            self.asked = self.view.question.as_ref().map(|shown| {
                let known = self.asked.filter(|asked| asked.question == shown.question);
                known.unwrap_or(Asked { question: shown.question, seen: now.mono, appended_at_us: None })
            });
            let roles: Vec<(SocketId, Role)> = self.sockets.iter().map(|(&id, socket)| (id, socket.role)).collect();
            for (socket, role) in roles {
                match role {
                    Role::Player(player) if self.view.kicked.contains(&player) => {
                        self.push(socket, &Delivery::mark(Mark::Kicked));
                    }
                    Role::Player(_) | Role::Host => self.greet(socket, role, now),
                    Role::Joiner(_) => {}
                }
            }
        }
        self.admit_waiting(now);
    }

    /// Does what is due: tells players of the lobby what was held back, and lets those in who have
    /// waited long enough for what they missed.
    pub fn tick(&mut self, now: EdgeTime) {
        if self.held.due().is_some_and(|due| due <= now.mono) {
            self.release();
        }
        if self.lobby_due.is_some_and(|due| due <= now.mono) {
            self.tell_lobby(now);
        }
        if self.is_clock_due(now) {
            self.unclocked_due = self.unclocked_due.map(|_| now.mono + Duration::from_millis(CLOCK_POLL_MS));
        } else {
            self.greet_unclocked(now);
        }
        self.admit_waiting(now);
    }

    fn admit_waiting(&mut self, now: EdgeTime) {
        let over = now.mono >= self.wait_until;
        for attach in std::mem::take(&mut self.waiting) {
            if !over && attach.cursor.is_some_and(|cursor| self.recovery.is_early_for(cursor)) {
                self.waiting.push(attach);
            } else {
                self.admit_socket(attach, now);
            }
        }
    }

    fn of(&self) -> i32 {
        self.view.opened.as_ref().map_or(0, |opened| opened.questions)
    }

    fn question_shown(&mut self, shown: &QuestionShown, told: &Told, at: Option<i64>, now: EdgeTime) {
        let stamp = (told.appended_at_us > 0).then_some(told.appended_at_us);
        self.asked = Some(Asked { question: shown.question, seen: now.mono, appended_at_us: stamp });
        self.counted = None;
        // An edge that comes late, after its start or after a pause, tells an old question: that is no
        // news, and its time runs from when it was appended.
        let catching_up = now.mono < self.started + Duration::from_millis(CATCH_UP_MS);
        let stale = match (now.cluster_us, stamp) {
            (Some(now_us), Some(stamp)) => now_us - stamp > FRESH_US_MAX,
            _ => catching_up,
        };
        let greeted = stale.then_some(Greeted { seen: now.mono, appended_at_us: stamp });
        let question = encode::Question { shown, of: self.of(), accepting: true, at, greeted, told: true };
        self.tell(To::All, &encode::question(&question, self.left(&question, now)));
    }

    /// The time left of a question, ms.
    fn left(&self, question: &encode::Question<'_>, now: EdgeTime) -> i64 {
        let limit_us = i64::from(question.shown.view.limit_ms) * 1000;
        let asked = self.asked.filter(|asked| asked.question == question.shown.question);
        let open_us = asked.map_or(0, |asked| {
            let greeted = Greeted { seen: asked.seen, appended_at_us: asked.appended_at_us };
            greeted.elapsed_us(now.mono, now.cluster_us.or(asked.appended_at_us)).unwrap_or(0)
        });
        if question.accepting { ((limit_us - open_us) / 1000).max(0) } else { 0 }
    }

    /// From when the time runs of somebody who is greeted with the view's question.
    fn greeted(&self, shown: &QuestionShown, now: EdgeTime) -> Greeted {
        match self.asked.filter(|asked| asked.question == shown.question) {
            None => Greeted { seen: now.mono, appended_at_us: None },
            Some(asked) => {
                let told = self.worker_behind_us.map(|behind_us| shown.opened_at_us.saturating_add(behind_us));
                Greeted { seen: asked.seen, appended_at_us: asked.appended_at_us.or(told) }
            }
        }
    }

    /// Finds the stamp of the view's question among the records before the view's cursor. One that was
    /// published again has a later stamp; the worker's clock tells the earlier one.
    fn note_asked(&mut self, told: &Told) {
        let ResultsBody::QuestionShown(shown) = &told.record.body else { return };
        if let Some(asked) = self.asked.as_mut().filter(|asked| asked.question == shown.question)
            && told.appended_at_us > 0
            && asked.appended_at_us.is_none()
        {
            let first = self.worker_behind_us.map(|behind_us| told.record.at_us.saturating_add(behind_us));
            asked.appended_at_us = Some(first.map_or(told.appended_at_us, |first| first.min(told.appended_at_us)));
        }
    }

    fn note_worker_clock(&mut self, told: &Told) {
        if told.appended_at_us > 0 && is_of_session(&told.record) {
            let behind_us = told.appended_at_us.saturating_sub(told.record.at_us);
            self.worker_behind_us = Some(self.worker_behind_us.map_or(behind_us, |least| least.min(behind_us)));
        }
    }

    fn answers_counted(&mut self, counted: &AnswersCounted) {
        self.counted = Some(counted.clone());
        self.tell(To::Hosts, &encode(&self.counted_message(counted), Mark::Plain));
    }

    fn counted_message(&self, counted: &AnswersCounted) -> ServerMessage {
        let AnswersCounted { question, answered } = *counted;
        ServerMessage::Counted(Counted { question, answered, players: self.view.players })
    }

    fn outcomes_published(&mut self, batch: &OutcomesPublished, at: Option<i64>) {
        let players = self.players_on_board(batch.question);
        let writes = at.map(|at| ResultWrites::new(batch.question, at));
        for outcome in &batch.outcomes {
            if self.players.contains_key(&outcome.player) {
                let own = encode::outcome(batch.question, outcome, players, at, writes.clone());
                self.tell_behind_held(outcome.player, &own);
            }
        }
        self.result = writes;
    }

    fn tell_players_soon(&mut self, delivery: Arc<Delivery>, wait_ms: u64, now: EdgeTime) {
        self.hold(delivery, Duration::from_millis(wait_ms), now.mono);
        if wait_ms == 0 {
            self.release();
        }
    }

    fn players_on_board(&self, question: QuestionNo) -> i32 {
        let board = self.view.board.as_ref().filter(|board| board.question == question);
        board.map_or(self.view.players, |board| board.players)
    }
}

fn is_of_session(record: &ResultsRecord) -> bool {
    let id = record.event_id.as_deref().and_then(|id| id.parse().ok());
    matches!(id, Some(EventId::Session(_)))
}

impl Told {
    /// A result at an offset, stamped with the cluster's clock.
    #[must_use]
    pub fn new(at: i64, appended_at_us: i64, record: ResultsRecord) -> Self {
        Self { at, appended_at_us, record: Arc::new(record) }
    }
}
