//! Who plays: players, names, bans, presence, and whom the open question waits for.

use std::collections::{BTreeMap, BTreeSet};

use quiz_schemas::events::{JoinsDecided, PresenceChanged};
use quiz_schemas::{EdgeId, PlayerId, QuestionNo};

use crate::nickname;

/// The most players ever admitted to a game, for each of its seats. A removed player frees the seat
/// but not the name, so without this a host could make a game remember players without end.
pub const ADMITTED_PER_SEAT_MAX: usize = 2;

/// A player who was admitted and not removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Player {
    /// Under which name.
    pub nickname: Box<str>,
    /// Whether a socket of theirs is open, as far as the edge that they are at has said.
    pub connected: bool,
    /// The edge that they are at; none while they are not connected, and in records of older writers.
    pub edge: Option<EdgeId>,
    /// The last question that they are known to have answered, told when they left.
    pub answered: Option<QuestionNo>,
}

/// Everyone who was ever admitted.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Lobby {
    players: BTreeMap<PlayerId, Player>,
    /// The names ever given, by [`nickname::key`].
    names: BTreeSet<Box<str>>,
    banned: BTreeSet<PlayerId>,
    connected: usize,
    /// The question whose answers are counted, while it is open.
    counting: Option<QuestionNo>,
    /// Players who left after answering it.
    left_answered: usize,
    /// Players removed since it opened of whom an answer may have been counted.
    removed_counted: usize,
}

impl Lobby {
    pub(super) fn players(&self) -> usize {
        self.players.len()
    }

    pub(super) fn connected(&self) -> usize {
        self.connected
    }

    pub(super) fn player(&self, player: PlayerId) -> Option<&Player> {
        self.players.get(&player)
    }

    pub(super) fn is_banned(&self, player: PlayerId) -> bool {
        self.banned.contains(&player)
    }

    pub(super) fn has_name(&self, key: &str) -> bool {
        self.names.contains(key)
    }

    /// Whether `more` players on top of those here are as many as `capacity` admits.
    pub(super) fn is_full(&self, more: usize, capacity: usize) -> bool {
        let players = self.players.len() + more;
        players >= capacity || players + self.banned.len() >= capacity.saturating_mul(ADMITTED_PER_SEAT_MAX)
    }

    pub(super) fn eligible(&self) -> usize {
        self.connected + self.left_answered + self.removed_counted
    }

    /// A question opened: nobody has answered it.
    pub(super) fn start_counting(&mut self, question: QuestionNo) {
        self.counting = Some(question);
        self.left_answered = 0;
        self.removed_counted = 0;
    }

    /// The question closed.
    pub(super) fn stop_counting(&mut self) {
        self.counting = None;
        self.left_answered = 0;
        self.removed_counted = 0;
    }

    pub(super) fn fold_joins(&mut self, joins: &JoinsDecided) {
        for admitted in &joins.admitted {
            if self.players.contains_key(&admitted.player) {
                self.connect(admitted.player, admitted.edge.clone());
                continue;
            }
            self.names.insert(nickname::key(&admitted.nickname).into());
            let nickname = admitted.nickname.as_str().into();
            let edge = admitted.edge.clone();
            self.players.insert(admitted.player, Player { nickname, connected: true, edge, answered: None });
            self.connected += 1;
        }
    }

    pub(super) fn fold_presence(&mut self, presence: &PresenceChanged) {
        let mut edges = presence.edges.iter().cloned();
        for &player in &presence.connected {
            self.connect(player, edges.next());
        }
        for &player in &presence.answered {
            self.answered(player);
        }
        for &player in &presence.disconnected {
            self.disconnect(player);
        }
    }

    pub(super) fn fold_kick(&mut self, player: PlayerId) {
        self.banned.insert(player);
        let Some(row) = self.players.remove(&player) else {
            return;
        };
        let left_answered = !row.connected && self.counting.is_some() && row.answered == self.counting;
        self.connected = self.connected.saturating_sub(usize::from(row.connected));
        self.left_answered = self.left_answered.saturating_sub(usize::from(left_answered));
        if self.counting.is_some() {
            self.removed_counted += usize::from(row.connected || left_answered);
        }
    }

    /// A player has answered the question whose answers are counted: told by an edge that they left,
    /// whether they are at another by now or gone.
    fn answered(&mut self, player: PlayerId) {
        let counting = self.counting;
        let Some(row) = self.players.get_mut(&player) else {
            return;
        };
        let news = counting.is_some() && row.answered != counting;
        self.left_answered += usize::from(news && !row.connected);
        row.answered = counting;
    }

    fn connect(&mut self, player: PlayerId, edge: Option<EdgeId>) {
        let counting = self.counting;
        let Some(row) = self.players.get_mut(&player) else {
            return;
        };
        row.edge = edge;
        if row.connected {
            return;
        }
        row.connected = true;
        self.connected += 1;
        self.left_answered =
            self.left_answered.saturating_sub(usize::from(counting.is_some() && row.answered == counting));
    }

    fn disconnect(&mut self, player: PlayerId) {
        let counting = self.counting;
        let Some(row) = self.players.get_mut(&player).filter(|row| row.connected) else {
            return;
        };
        row.connected = false;
        row.edge = None;
        self.connected = self.connected.saturating_sub(1);
        self.left_answered += usize::from(counting.is_some() && row.answered == counting);
    }
}
