//! What a socket is told when it comes: what it missed, or the present state.

use std::sync::Arc;

use quiz_game::view::GameView;
use quiz_schemas::events::{QuestionShown, ResultsBody, StopReason};
use quiz_schemas::{Pin, PlayerId, QuestionNo};

use super::{Channel, EdgeTime, Told, encode};
use crate::connection::{GameHead, Mark, Role};
use crate::games::encode as encoding;
use crate::games::mailbox::{Delivery, SocketId};
use crate::limits::RECOVERY_MESSAGES_MAX;
use crate::protocol::{Board, HOST_LOBBY_NAMES_MAX, LobbyName, Over, PLAYER_LOBBY_NAMES_MAX, ServerMessage, Stopped};

impl Channel {
    /// What a socket must know at the door; `recovered` is its own cursor, when it is told what it
    /// missed behind it.
    pub(super) fn head(&self, role: Role, recovered: Option<i64>) -> Arc<GameHead> {
        let opened = self.view.opened.as_ref();
        let lobby = if role == Role::Host { newest(&self.view, HOST_LOBBY_NAMES_MAX) } else { Vec::new() };
        Arc::new(GameHead {
            pin: opened.map_or(Pin::from_index(0), |opened| opened.pin),
            title: opened.map(|opened| opened.title.clone()).unwrap_or_default(),
            questions: self.of(),
            players: self.view.players,
            over: self.view.over.is_some(),
            lobby,
            cursor: recovered.unwrap_or_else(|| self.recovery.place()),
            recovered: recovered.is_some(),
        })
    }

    /// The present state: the open question, or the last board, or the lobby; and the end.
    pub(super) fn greet(&mut self, socket: SocketId, role: Role, now: EdgeTime) {
        let mut greeting = Vec::with_capacity(3);
        let board_of = self.view.board.as_ref().map(|board| board.question);
        let pending = self.view.question.as_ref().filter(|shown| board_of.is_none_or(|board| board < shown.question));
        if role == Role::Host || (pending.is_none() && self.view.board.is_none()) {
            let names = if role == Role::Host { Vec::new() } else { newest(&self.view, PLAYER_LOBBY_NAMES_MAX) };
            greeting.push(encode(&self.lobby(names, Vec::new()), Mark::Plain));
        }
        if let Some(shown) = pending {
            greeting.push(self.question(shown, None, now));
            greeting.extend(self.progress(shown.question, role));
        } else if let Some(board) = &self.view.board {
            let missing = Mark::OutcomeMissing { question: board.question, players: board.players };
            let mark = if role == Role::Host { Mark::Settled(board.question) } else { missing };
            greeting.push(encode(&ServerMessage::Board(Board::from(board)), mark));
        }
        if let Some(over) = &self.view.over {
            greeting.push(encode(&ServerMessage::Over(Over::from(over)), Mark::Over));
        }
        self.push_all(socket, &greeting);
    }

    fn progress(&self, question: QuestionNo, role: Role) -> Option<Arc<Delivery>> {
        if !self.view.accepting {
            let reason = self.stopped.filter(|(of, _)| *of == question).map_or(StopReason::Unknown, |(_, why)| why);
            let message = ServerMessage::Closed(Stopped { question, reason, at: None });
            return Some(encode(&message, Mark::Stopped(question)));
        }
        let counted = self.counted.as_ref().filter(|counted| role == Role::Host && counted.question == question);
        counted.map(|counted| encode(&self.counted_message(counted), Mark::Plain))
    }

    /// The question to somebody for whom it is no news.
    fn question(&self, shown: &QuestionShown, at: Option<i64>, now: EdgeTime) -> Arc<Delivery> {
        let current = self.view.question.as_ref().is_some_and(|current| current.question == shown.question);
        let accepting = current && self.view.accepting;
        let greeted = Some(self.greeted(shown, now));
        let question = encoding::Question { shown, of: self.of(), accepting, at, greeted, told: true };
        encoding::question(&question, self.left(&question, now))
    }

    /// What a socket with this cursor has missed; none when that is not known, or too much.
    pub(super) fn missed(&self, cursor: i64, role: Role, now: EdgeTime) -> Option<Vec<Arc<Delivery>>> {
        let missed = self.recovery.since(cursor)?;
        let player = match role {
            Role::Player(player) => Some(player),
            Role::Host => None,
            Role::Joiner(_) => return None,
        };
        let mut deliveries = vec![];
        if role == Role::Host {
            deliveries.push(encode(&self.lobby(Vec::new(), Vec::new()), Mark::Plain));
        }
        // The client has seen the question; the socket's machine has not.
        if let Some(shown) = &self.view.question {
            let greeted = Some(self.greeted(shown, now));
            let accepting = self.view.accepting;
            let question = encoding::Question { shown, of: self.of(), accepting, at: None, greeted, told: false };
            deliveries.push(encoding::question(&question, 0));
            let settled = self.view.board.as_ref().filter(|board| board.question >= shown.question);
            deliveries.extend(settled.map(|board| Delivery::mark(Mark::Settled(board.question))));
        }
        let mut players = self.view.players;
        for told in missed {
            if let ResultsBody::BoardPublished(board) = &told.record.body {
                players = board.players;
            }
            deliveries.extend(self.again(told, player, players, now));
        }
        if role == Role::Host
            && self.view.accepting
            && let Some(shown) = &self.view.question
        {
            deliveries.extend(self.progress(shown.question, role));
        }
        (deliveries.len() <= RECOVERY_MESSAGES_MAX).then_some(deliveries)
    }

    /// A durable message once more, for one socket.
    fn again(&self, told: &Told, player: Option<PlayerId>, players: i32, now: EdgeTime) -> Option<Arc<Delivery>> {
        let of_record = |message: ServerMessage| message.of_record(told.at);
        match &told.record.body {
            ResultsBody::QuestionShown(shown) => Some(self.question(shown, Some(told.at), now)),
            ResultsBody::QuestionStopped(stopped) => {
                let message = Stopped { question: stopped.question, reason: stopped.reason, at: None };
                Some(encode(&of_record(ServerMessage::Closed(message)), Mark::Stopped(stopped.question)))
            }
            ResultsBody::BoardPublished(board) => {
                let message = of_record(ServerMessage::Board(Board::from(board)));
                Some(encode(&message, Mark::Settled(board.question)))
            }
            ResultsBody::OutcomesPublished(batch) => {
                let own = batch.outcomes.iter().find(|outcome| Some(outcome.player) == player)?;
                let board = self.players_on_board(batch.question);
                let players = if self.view.board.as_ref().is_some_and(|last| last.question == batch.question) {
                    board
                } else {
                    players
                };
                Some(encoding::outcome(batch.question, own, players, Some(told.at), None))
            }
            ResultsBody::GameEnded(ended) => {
                Some(encode(&of_record(ServerMessage::Over(Over::from(ended))), Mark::Over))
            }
            _ => None,
        }
    }
}

fn newest(view: &GameView, max: usize) -> Vec<LobbyName> {
    let skip = view.lobby.len().saturating_sub(max);
    view.lobby[skip..].iter().map(LobbyName::from).collect()
}
