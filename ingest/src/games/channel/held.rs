//! What players are told together with what comes right behind it: one wake-up and one write for each of them
//! in place of two or three.

use std::collections::HashSet;
use std::sync::Arc;

use quiz_schemas::PlayerId;
use tokio::time::{Duration, Instant};

use super::Channel;
use crate::connection::Role;
use crate::games::mailbox::{Delivery, SocketId};

/// Results that players have not been told yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    deliveries: Vec<Arc<Delivery>>,
    /// When they are told whatever has come by then.
    due: Option<Instant>,
    /// Sockets that have been told them all the same.
    told: HashSet<SocketId>,
}

impl Held {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Channel {
    /// Keeps a result back from players, for so long at most.
    pub(super) fn hold(&mut self, delivery: Arc<Delivery>, wait: Duration, now: Instant) {
        if !self.held.told.is_empty() {
            // What was held has begun to go out: this is something new.
            self.release();
        }
        self.held.deliveries.push(delivery);
        self.held.due = Some(now + wait);
    }

    /// Tells a player their own result, behind those that were kept back.
    pub(super) fn tell_behind_held(&mut self, player: PlayerId, own: &Arc<Delivery>) {
        let sockets = self.players.get(&player).cloned().unwrap_or_default();
        for socket in sockets {
            if !self.held.deliveries.is_empty() && self.held.told.insert(socket) {
                let held = self.held.deliveries.clone();
                self.push_all(socket, &held);
            }
            self.push(socket, own);
        }
    }

    /// Tells all players what was kept back from them.
    pub(super) fn release(&mut self) {
        let Held { deliveries, told, .. } = std::mem::take(&mut self.held);
        if deliveries.is_empty() {
            return;
        }
        let is_due = |id: &SocketId, role: Role| matches!(role, Role::Player(_)) && !told.contains(id);
        let sockets: Vec<SocketId> =
            self.sockets.iter().filter(|(id, socket)| is_due(id, socket.role)).map(|(id, _)| *id).collect();
        for socket in sockets {
            self.push_all(socket, &deliveries);
        }
    }
}
