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
    pub(super) mailbox: mpsc::Sender<Arc<Delivery>>,
    pub(super) evict: Arc<Signals>,
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

    pub(super) fn push_all(&mut self, id: SocketId, deliveries: &[Arc<Delivery>]) {
        for delivery in deliveries {
            self.push(id, delivery);
        }
    }

    pub(super) fn push(&mut self, id: SocketId, delivery: &Arc<Delivery>) {
        if self.sockets.get(&id).is_some_and(|socket| !offer(socket, delivery)) {
            self.remove(id);
        }
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

/// Puts a delivery into a socket's mailbox; false when the socket is lost.
fn offer(socket: &Socket, delivery: &Arc<Delivery>) -> bool {
    match socket.mailbox.try_send(Arc::clone(delivery)) {
        Ok(()) => true,
        Err(mpsc::error::TrySendError::Full(_)) => {
            telemetry::mailbox_overflowed();
            socket.evict.raise(Signal::Evict);
            false
        }
        Err(mpsc::error::TrySendError::Closed(_)) => false,
    }
}
