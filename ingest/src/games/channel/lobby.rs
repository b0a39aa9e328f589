use std::time::Duration;

use quiz_game::view::GameView;
use quiz_schemas::PlayerId;
use quiz_schemas::events::LobbyChanged;

use super::sockets::To;
use super::{Channel, EdgeTime, encode};
use crate::connection::{Mark, Role};
use crate::games::mailbox::Delivery;
use crate::limits::{LOBBY_INTERVAL_MS, LOBBY_PLAYER_MS};
use crate::protocol::{Lobby, LobbyName, PLAYER_LOBBY_NAMES_MAX, ServerMessage};

impl Channel {
    pub(super) fn lobby(&self, joined: Vec<LobbyName>, left: Vec<PlayerId>) -> ServerMessage {
        let GameView { players, connected, .. } = self.view;
        ServerMessage::Lobby(Lobby { players, connected, joined, left })
    }

    pub(super) fn lobby_changed(&mut self, change: &LobbyChanged, now: EdgeTime) {
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
        match self.lobby_told.map(|told| told + self.lobby_interval()) {
            Some(due) if now.mono < due => self.lobby_due = Some(due),
            _ => self.tell_lobby(now),
        }
    }

    /// A room of n that joins one by one must not cost n² frames: players are told in batches, and the more
    /// there are, at whatever edges, the less often.
    fn lobby_interval(&self) -> Duration {
        let players = u64::try_from(self.view.players).unwrap_or_default();
        Duration::from_millis(players.saturating_mul(LOBBY_PLAYER_MS).max(LOBBY_INTERVAL_MS))
    }

    pub(super) fn tell_lobby(&mut self, now: EdgeTime) {
        self.lobby_due = None;
        self.lobby_told = Some(now.mono);
        let names = std::mem::take(&mut self.lobby_names);
        self.tell(To::Players, &encode(&self.lobby(names, Vec::new()), Mark::Plain));
    }

    fn admit(&mut self, player: PlayerId, now: EdgeTime) {
        let role = Role::Player(player);
        for socket in self.joiners(player) {
            let head = self.head(role, None);
            if let Some(joiner) = self.sockets.get_mut(&socket) {
                joiner.role = role;
            }
            self.push(socket, &Delivery::mark(Mark::Admitted(head)));
            self.greet(socket, role, now);
        }
    }
}
