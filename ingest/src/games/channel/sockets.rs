use std::collections::VecDeque;
use std::sync::Arc;

use quiz_schemas::PlayerId;
use tokio::sync::mpsc;

use super::Channel;
use crate::connection::Role;
use crate::games::mailbox::{Delivery, SocketId};
use crate::signals::{Signal, Signals};
use crate::telemetry;

pub(super) struct Socket {
    pub(super) role: Role,
    line: Arc<Line>,
}

/// The way to a socket. Outlives its place in the game: who leaves hears what was told before.
struct Line {
    mailbox: mpsc::Sender<Arc<Delivery>>,
    evict: Arc<Signals>,
}

/// What has been said and is not in the mailboxes yet, oldest first.
#[derive(Default)]
pub(super) struct Outbox(VecDeque<(SocketId, Arc<Line>, Arc<Delivery>)>);

impl Socket {
    pub(super) fn new(role: Role, mailbox: mpsc::Sender<Arc<Delivery>>, evict: Arc<Signals>) -> Self {
        Self { role, line: Arc::new(Line { mailbox, evict }) }
    }
}

/// Who is told something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum To {
    Players,
    Hosts,
    All,
}

impl Channel {
    pub(super) fn joiners(&self, player: PlayerId) -> Vec<SocketId> {
        let sockets = self.players.get(&player).map(Vec::as_slice).unwrap_or_default();
        let joins =
            |socket: &&SocketId| self.sockets.get(socket).is_some_and(|socket| matches!(socket.role, Role::Joiner(_)));
        sockets.iter().filter(joins).copied().collect()
    }

    pub(super) fn tell_joiners(&mut self, player: PlayerId, delivery: &Arc<Delivery>) {
        for socket in self.joiners(player) {
            self.push(socket, delivery);
            self.remove(socket);
        }
    }

    pub(super) fn tell_player(&mut self, player: PlayerId, delivery: &Arc<Delivery>) {
        let sockets = self.players.get(&player).cloned().unwrap_or_default();
        for socket in sockets {
            self.push(socket, delivery);
        }
    }

    pub(super) fn tell(&mut self, to: To, delivery: &Arc<Delivery>) {
        for (&id, socket) in &self.sockets {
            let told = match socket.role {
                Role::Joiner(_) => false,
                Role::Player(_) => to != To::Hosts,
                Role::Host => to != To::Players,
            };
            if told {
                self.outbox.0.push_back((id, Arc::clone(&socket.line), Arc::clone(delivery)));
            }
        }
    }

    pub(super) fn push_all(&mut self, id: SocketId, deliveries: &[Arc<Delivery>]) {
        for delivery in deliveries {
            self.push(id, delivery);
        }
    }

    pub(super) fn push(&mut self, id: SocketId, delivery: &Arc<Delivery>) {
        if let Some(socket) = self.sockets.get(&id) {
            self.outbox.0.push_back((id, Arc::clone(&socket.line), Arc::clone(delivery)));
        }
    }

    /// Puts so many deliveries at most into their mailboxes; true while there are more. A socket whose
    /// mailbox is full is evicted.
    pub fn pump(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some((id, line, delivery)) = self.outbox.0.pop_front() else { return false };
            let is_here = |socket: &Socket| Arc::ptr_eq(&socket.line, &line);
            if !line.offer(delivery) && self.sockets.get(&id).is_some_and(is_here) {
                self.remove(id);
            }
        }
        !self.outbox.0.is_empty()
    }

    pub(super) fn remove(&mut self, id: SocketId) {
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

impl Line {
    /// Puts a delivery into the socket's mailbox; false when the socket is lost. One that missed a
    /// delivery gets none of the later ones.
    fn offer(&self, delivery: Arc<Delivery>) -> bool {
        if self.evict.has(Signal::Evict) {
            return false;
        }
        match self.mailbox.try_send(delivery) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                telemetry::mailbox_overflowed();
                self.evict.raise(Signal::Evict);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}
