use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use quiz_game::view::{Folded, GameView};
use quiz_schemas::events::{
    AnswersCounted, LobbyChanged, OutcomesPublished, QuestionShown, ResultsBody, ResultsRecord, StopReason,
};
use quiz_schemas::{PlayerId, QuestionNo};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::encode::{self, EdgeTime, encode};
use super::mailbox::{Attach, Delivery, SocketId};
use crate::connection::{GameHead, Mark, NotAttached, Role, command_refused};
use crate::limits::{CATCH_UP_MS, FRESH_US_MAX, LOBBY_INTERVAL_MS};
use crate::protocol::{
    Board, Counted, HOST_LOBBY_NAMES_MAX, Lobby, LobbyName, Over, PLAYER_LOBBY_NAMES_MAX, ServerMessage, Stopped,
};
use crate::telemetry;

struct Socket {
    role: Role,
    mailbox: mpsc::Sender<Arc<Delivery>>,
    evict: CancellationToken,
}

/// Who is told something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    Players,
    Hosts,
    All,
}

/// A held game: its view, and the sockets that are told what it says. Does no I/O: what it says
/// goes into mailboxes, and a socket whose mailbox is full is evicted, never waited for (I9).
pub struct Channel {
    view: GameView,
    sockets: HashMap<SocketId, Socket>,
    players: HashMap<PlayerId, Vec<SocketId>>,
    started: Instant,
    /// When this edge first saw the question of the view.
    question_seen: Instant,
    stopped: Option<(QuestionNo, StopReason)>,
    counted: Option<AnswersCounted>,
    /// Names that players have not been told of yet, the newest.
    lobby_names: Vec<LobbyName>,
    lobby_due: Option<Instant>,
    lobby_told: Option<Instant>,
}

impl Channel {
    /// A game as its view in the store has it.
    #[must_use]
    pub fn new(view: GameView, now: EdgeTime) -> Self {
        Self {
            view,
            sockets: HashMap::new(),
            players: HashMap::new(),
            started: now.mono,
            question_seen: now.mono,
            stopped: None,
            counted: None,
            lobby_names: Vec::new(),
            lobby_due: None,
            lobby_told: None,
        }
    }

    /// Whether no socket is attached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The version of the view.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.view.version()
    }

    /// When [`Channel::tick`] is due.
    #[must_use]
    pub fn next_tick(&self) -> Option<Instant> {
        self.lobby_due
    }

    /// Takes a socket in, tells it so, and tells a player or host the game's present state.
    pub fn attach(&mut self, attach: Attach, now: EdgeTime) {
        let Attach { socket, role, mailbox, evict } = attach;
        self.remove(socket);
        if let Role::Player(player) | Role::Joiner(player) = role
            && self.view.kicked.contains(&player)
        {
            let _ = mailbox.try_send(Delivery::mark(Mark::NotAttached(NotAttached::Banned)));
            return;
        }
        let head = self.head(role);
        self.sockets.insert(socket, Socket { role, mailbox, evict });
        if let Role::Player(player) | Role::Joiner(player) = role {
            self.players.entry(player).or_default().push(socket);
        }
        self.push(socket, &Delivery::mark(Mark::Attached(head)));
        if !matches!(role, Role::Joiner(_)) {
            self.greet(socket, role, now);
        }
    }

    /// Lets a socket go. True when no other socket of its player is here.
    pub fn detach(&mut self, socket: SocketId, player: Option<PlayerId>) -> bool {
        self.remove(socket);
        player.is_none_or(|player| !self.players.contains_key(&player))
    }

    /// Folds a result in and tells the sockets, unless the view has it already.
    pub fn record(&mut self, record: &ResultsRecord, now: EdgeTime) {
        if self.view.fold(record) == Folded::Duplicate {
            return;
        }
        match &record.body {
            ResultsBody::GameOpened(_) | ResultsBody::Unknown => {}
            ResultsBody::LobbyChanged(change) => self.lobby_changed(change, now),
            ResultsBody::QuestionShown(shown) => self.question_shown(shown, now),
            ResultsBody::AnswersCounted(counted) => self.answers_counted(counted),
            ResultsBody::QuestionStopped(stopped) => {
                self.stopped = Some((stopped.question, stopped.reason));
                let message = Stopped { question: stopped.question, reason: stopped.reason, at: None };
                self.tell(To::All, &encode(&ServerMessage::Closed(message), Mark::Stopped(stopped.question)));
            }
            ResultsBody::BoardPublished(board) => {
                let message = ServerMessage::Board(Board::from(board));
                self.tell(To::All, &encode(&message, Mark::Stopped(board.question)));
            }
            ResultsBody::OutcomesPublished(batch) => self.outcomes_published(batch),
            ResultsBody::CommandRefused(refused) => {
                let message = ServerMessage::Error(command_refused(refused.reason));
                self.tell(To::Hosts, &encode(&message, Mark::Plain));
            }
            ResultsBody::GameEnded(ended) => {
                self.tell(To::All, &encode(&ServerMessage::Over(Over::from(ended)), Mark::Over));
            }
        }
    }

    /// Puts a newer view in the place of the one here, and tells all sockets the present state.
    pub fn reload(&mut self, view: GameView, now: EdgeTime) {
        if view.version() <= self.view.version() {
            return;
        }
        self.view = view;
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

    /// Tells players of the lobby what was held back.
    pub fn tick(&mut self, now: EdgeTime) {
        if self.lobby_due.is_some_and(|due| due <= now.mono) {
            self.tell_lobby(now);
        }
    }

    fn head(&self, role: Role) -> Arc<GameHead> {
        let opened = self.view.opened.as_ref();
        let lobby = if role == Role::Host { newest(&self.view, HOST_LOBBY_NAMES_MAX) } else { Vec::new() };
        Arc::new(GameHead {
            pin: opened.map_or(quiz_schemas::Pin::from_index(0), |opened| opened.pin),
            title: opened.map(|opened| opened.title.clone()).unwrap_or_default(),
            questions: self.of(),
            players: self.view.players,
            over: self.view.over.is_some(),
            lobby,
        })
    }

    fn of(&self) -> i32 {
        self.view.opened.as_ref().map_or(0, |opened| opened.questions)
    }

    /// The present state: the open question, or the last board, or the lobby; and the end.
    fn greet(&mut self, socket: SocketId, role: Role, now: EdgeTime) {
        let mut greeting = Vec::with_capacity(3);
        let board_of = self.view.board.as_ref().map(|board| board.question);
        let pending = self.view.question.as_ref().filter(|shown| board_of.is_none_or(|board| board < shown.question));
        if role == Role::Host || (pending.is_none() && self.view.board.is_none()) {
            let names = if role == Role::Host { Vec::new() } else { newest(&self.view, PLAYER_LOBBY_NAMES_MAX) };
            greeting.push(encode(&self.lobby(names, Vec::new()), Mark::Plain));
        }
        if let Some(shown) = pending {
            let accepting = self.view.accepting;
            greeting.push(encode::question(shown, self.of(), accepting, Some(self.question_seen), now.wall_us));
            greeting.extend(self.progress(shown.question, accepting, role));
        } else if let Some(board) = &self.view.board {
            let missing = Mark::OutcomeMissing { question: board.question, players: board.players };
            let mark = if role == Role::Host { Mark::Plain } else { missing };
            greeting.push(encode(&ServerMessage::Board(Board::from(board)), mark));
        }
        if let Some(over) = &self.view.over {
            greeting.push(encode(&ServerMessage::Over(Over::from(over)), Mark::Over));
        }
        for delivery in greeting {
            self.push(socket, &delivery);
        }
    }

    fn progress(&self, question: QuestionNo, accepting: bool, role: Role) -> Option<Arc<Delivery>> {
        if !accepting {
            let reason = self.stopped.filter(|(of, _)| *of == question).map_or(StopReason::Unknown, |(_, why)| why);
            return Some(encode(
                &ServerMessage::Closed(Stopped { question, reason, at: None }),
                Mark::Stopped(question),
            ));
        }
        let counted = self.counted.as_ref().filter(|counted| role == Role::Host && counted.question == question);
        counted.map(|counted| encode(&self.counted_message(counted), Mark::Plain))
    }

    fn lobby(&self, joined: Vec<LobbyName>, left: Vec<PlayerId>) -> ServerMessage {
        let GameView { players, connected, .. } = self.view;
        ServerMessage::Lobby(Lobby { players, connected, joined, left })
    }

    fn lobby_changed(&mut self, change: &LobbyChanged, now: EdgeTime) {
        for player in &change.admitted {
            self.admit(player.player, now);
        }
        for refusal in &change.refused {
            let refused = Delivery::mark(Mark::Refused(refusal.reason));
            self.tell_joiners(refusal.player, &refused);
        }
        for player in &change.kicked {
            self.tell_player(*player, &Delivery::mark(Mark::Kicked));
        }
        let joined: Vec<LobbyName> = change.admitted.iter().map(LobbyName::from).collect();
        self.lobby_names.extend(joined.iter().rev().take(PLAYER_LOBBY_NAMES_MAX).rev().cloned());
        let surplus = self.lobby_names.len().saturating_sub(PLAYER_LOBBY_NAMES_MAX);
        self.lobby_names.drain(..surplus);
        self.tell(To::Hosts, &encode(&self.lobby(joined, change.kicked.clone()), Mark::Plain));
        // A room of n that joins one by one must not cost n² frames: players are told in batches.
        let wait = Duration::from_millis(LOBBY_INTERVAL_MS);
        match self.lobby_told {
            Some(told) if now.mono < told + wait => self.lobby_due = Some(told + wait),
            _ => self.tell_lobby(now),
        }
    }

    fn tell_lobby(&mut self, now: EdgeTime) {
        self.lobby_due = None;
        self.lobby_told = Some(now.mono);
        let names = std::mem::take(&mut self.lobby_names);
        self.tell(To::Players, &encode(&self.lobby(names, Vec::new()), Mark::Plain));
    }

    fn admit(&mut self, player: PlayerId, now: EdgeTime) {
        let role = Role::Player(player);
        for socket in self.joiners(player) {
            let head = self.head(role);
            if let Some(joiner) = self.sockets.get_mut(&socket) {
                joiner.role = role;
            }
            self.push(socket, &Delivery::mark(Mark::Admitted(head)));
            self.greet(socket, role, now);
        }
    }

    fn question_shown(&mut self, shown: &QuestionShown, now: EdgeTime) {
        self.question_seen = now.mono;
        self.counted = None;
        // While the edge catches up with a game, an old question is no news: its time runs from
        // when it opened, lest a move to a fresh edge gains time.
        let catching_up = now.mono < self.started + Duration::from_millis(CATCH_UP_MS);
        let stale = catching_up && now.wall_us - shown.opened_at_us > FRESH_US_MAX;
        let greeted = stale.then_some(now.mono);
        self.tell(To::All, &encode::question(shown, self.of(), true, greeted, now.wall_us));
    }

    fn answers_counted(&mut self, counted: &AnswersCounted) {
        self.counted = Some(counted.clone());
        self.tell(To::Hosts, &encode(&self.counted_message(counted), Mark::Plain));
    }

    fn counted_message(&self, counted: &AnswersCounted) -> ServerMessage {
        let AnswersCounted { question, answered } = *counted;
        ServerMessage::Counted(Counted { question, answered, players: self.view.players })
    }

    fn outcomes_published(&mut self, batch: &OutcomesPublished) {
        let board = self.view.board.as_ref().filter(|board| board.question == batch.question);
        let players = board.map_or(self.view.players, |board| board.players);
        for outcome in &batch.outcomes {
            if self.players.contains_key(&outcome.player) {
                self.tell_player(outcome.player, &encode::outcome(batch.question, outcome, players));
            }
        }
    }

    fn joiners(&self, player: PlayerId) -> Vec<SocketId> {
        let sockets = self.players.get(&player).map(Vec::as_slice).unwrap_or_default();
        let joins =
            |socket: &&SocketId| self.sockets.get(socket).is_some_and(|socket| matches!(socket.role, Role::Joiner(_)));
        sockets.iter().filter(joins).copied().collect()
    }

    fn tell_joiners(&mut self, player: PlayerId, delivery: &Arc<Delivery>) {
        for socket in self.joiners(player) {
            self.push(socket, delivery);
            self.remove(socket);
        }
    }

    fn tell_player(&mut self, player: PlayerId, delivery: &Arc<Delivery>) {
        let sockets = self.players.get(&player).cloned().unwrap_or_default();
        for socket in sockets {
            self.push(socket, delivery);
        }
    }

    fn tell(&mut self, to: To, delivery: &Arc<Delivery>) {
        let mut lost = Vec::new();
        for (&id, socket) in &self.sockets {
            let told = match socket.role {
                Role::Joiner(_) => false,
                Role::Player(_) => to != To::Hosts,
                Role::Host => to != To::Players,
            };
            if told && !offer(socket, delivery) {
                lost.push(id);
            }
        }
        for socket in lost {
            self.remove(socket);
        }
    }

    fn push(&mut self, id: SocketId, delivery: &Arc<Delivery>) {
        if self.sockets.get(&id).is_some_and(|socket| !offer(socket, delivery)) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.remove(&id) else { return };
        if let Role::Player(player) | Role::Joiner(player) = socket.role
            && let Some(sockets) = self.players.get_mut(&player)
        {
            sockets.retain(|other| *other != id);
            if sockets.is_empty() {
                self.players.remove(&player);
            }
        }
    }
}

/// Puts a delivery into a socket's mailbox; false when the socket is lost.
fn offer(socket: &Socket, delivery: &Arc<Delivery>) -> bool {
    match socket.mailbox.try_send(Arc::clone(delivery)) {
        Ok(()) => true,
        Err(mpsc::error::TrySendError::Full(_)) => {
            telemetry::mailbox_overflowed();
            socket.evict.cancel();
            false
        }
        Err(mpsc::error::TrySendError::Closed(_)) => false,
    }
}

fn newest(view: &GameView, max: usize) -> Vec<LobbyName> {
    let skip = view.lobby.len().saturating_sub(max);
    view.lobby[skip..].iter().map(LobbyName::from).collect()
}
