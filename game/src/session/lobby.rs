//! Who plays: players, names, bans, presence, and whom the open question waits for.

use std::collections::{BTreeMap, BTreeSet};

use quiz_schemas::events::{JoinsDecided, PresenceChanged};
use quiz_schemas::{EdgeId, PlayerId, QuestionNo};

use crate::nickname;

/// The most players ever admitted to a game, for each of its seats. A removed player frees the seat
/// but not the name, so without this a host could make a game remember players without end.
pub const ADMITTED_PER_SEAT_MAX: usize = 2;

/// How long a player who has left is waited for, ms. Phones lose their network and edges stop: whoever
/// comes back within this time finds the question open still, if its deadline allows.
pub const RETURN_MS: i64 = 8_000;

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
    /// Until when they are waited for, µs since 1970, if they have left not long ago.
    returns_by_us: Option<i64>,
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
    /// Those who have left not long ago, by the time until which they are waited for.
    returning: BTreeSet<(i64, PlayerId)>,
    /// Players who left after answering it, and are waited for no more.
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
        self.connected + self.returning.len() + self.left_answered + self.removed_counted
    }

    /// When the next player is waited for no more.
    pub(super) fn next_given_up_us(&self) -> Option<i64> {
        self.returning.first().map(|&(by_us, _)| by_us)
    }

    /// Waits no more for those who have been away for too long.
    pub(super) fn give_up(&mut self, now_us: i64) {
        while let Some(&(by_us, player)) = self.returning.first().filter(|(by_us, _)| *by_us <= now_us) {
            self.returning.remove(&(by_us, player));
            let row = self.players.get_mut(&player).expect("a player who is removed is waited for no more");
            row.returns_by_us = None;
            self.left_answered += usize::from(self.counting.is_some() && row.answered == self.counting);
        }
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
            let player = Player { nickname, connected: true, edge, answered: None, returns_by_us: None };
            self.players.insert(admitted.player, player);
            self.connected += 1;
        }
    }

    pub(super) fn fold_presence(&mut self, presence: &PresenceChanged, at_us: i64) {
        let mut edges = presence.edges.iter().cloned();
        for &player in &presence.connected {
            self.connect(player, edges.next());
        }
        for &player in &presence.answered {
            self.answered(player);
        }
        for &player in &presence.disconnected {
            self.disconnect(player, at_us);
        }
    }

    pub(super) fn fold_kick(&mut self, player: PlayerId) {
        self.banned.insert(player);
        let Some(row) = self.players.remove(&player) else {
            return;
        };
        let answered = self.counting.is_some() && row.answered == self.counting;
        if row.connected {
            self.connected = self.connected.saturating_sub(1);
        } else if !self.take_returning(player, row.returns_by_us) {
            self.left_answered = self.left_answered.saturating_sub(usize::from(answered));
        }
        if self.counting.is_some() {
            self.removed_counted += usize::from(row.connected || answered);
        }
    }

    /// Takes a player from those who are waited for, if they are among them.
    fn take_returning(&mut self, player: PlayerId, by_us: Option<i64>) -> bool {
        by_us.is_some_and(|by_us| self.returning.remove(&(by_us, player)))
    }

    /// A player has answered the question whose answers are counted: told by an edge that they left,
    /// whether they are at another by now or gone.
    fn answered(&mut self, player: PlayerId) {
        let counting = self.counting;
        let Some(row) = self.players.get_mut(&player) else {
            return;
        };
        let news = counting.is_some() && row.answered != counting;
        self.left_answered += usize::from(news && !row.connected && row.returns_by_us.is_none());
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
        let (by_us, answered) = (row.returns_by_us.take(), counting.is_some() && row.answered == counting);
        if !self.take_returning(player, by_us) {
            self.left_answered = self.left_answered.saturating_sub(usize::from(answered));
        }
    }

    fn disconnect(&mut self, player: PlayerId, at_us: i64) {
        let Some(row) = self.players.get_mut(&player).filter(|row| row.connected) else {
            return;
        };
        let by_us = at_us.saturating_add(RETURN_MS * 1000);
        row.connected = false;
        row.edge = None;
        row.returns_by_us = Some(by_us);
        self.connected = self.connected.saturating_sub(1);
        self.returning.insert((by_us, player));
    }
}
