//! At which edge the players of a game are, so that it is known whose tallies are to come.

use std::collections::{BTreeSet, HashMap};

use quiz_schemas::events::{JoinsDecided, PresenceChanged};
use quiz_schemas::{EdgeId, PlayerId};

/// Where the players are.
#[derive(Default)]
pub(super) struct Presence {
    edges: Vec<EdgeId>,
    /// How many players are at each of `edges`.
    players_at: Vec<u32>,
    /// The place in `edges` of each connected player.
    at: HashMap<PlayerId, usize>,
}

impl Presence {
    /// Those who were admitted are connected at the edge that asked for them.
    pub(super) fn joined(&mut self, joins: &JoinsDecided) {
        for row in &joins.admitted {
            if let Some(edge) = &row.edge {
                self.move_to(row.player, edge);
            }
        }
    }

    /// Players came, moved or went.
    pub(super) fn changed(&mut self, presence: &PresenceChanged) {
        for &player in &presence.disconnected {
            self.leave(player);
        }
        for (&player, edge) in presence.connected.iter().zip(&presence.edges) {
            self.move_to(player, edge);
        }
    }

    /// A player is at no edge any more.
    pub(super) fn leave(&mut self, player: PlayerId) {
        if let Some(place) = self.at.remove(&player) {
            self.players_at[place] -= 1;
        }
    }

    /// The edges with players.
    pub(super) fn edges(&self) -> BTreeSet<EdgeId> {
        self.edges
            .iter()
            .zip(&self.players_at)
            .filter(|(_, players)| **players > 0)
            .map(|(edge, _)| edge.clone())
            .collect()
    }

    /// Nothing more is expected of this edge, unless somebody connects to it.
    pub(super) fn give_up(&mut self, edge: &EdgeId) {
        if let Some(place) = self.edges.iter().position(|known| known == edge) {
            self.at.retain(|_, at| *at != place);
            self.players_at[place] = 0;
        }
    }

    fn move_to(&mut self, player: PlayerId, edge: &EdgeId) {
        self.leave(player);
        // A game has a handful of edges: a search is quicker than a map.
        let known = self.edges.iter().position(|known| known == edge);
        let place = known.unwrap_or_else(|| {
            self.edges.push(edge.clone());
            self.players_at.push(0);
            self.edges.len() - 1
        });
        self.players_at[place] += 1;
        self.at.insert(player, place);
    }
}
