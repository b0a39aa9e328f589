//! Who is in a game, as its session tells it.

use crate::nickname;
use quiz_schemas::{LaneNo, PlayerId};
use std::collections::HashMap;

/// A player, and from when to when they are in the game.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) player: PlayerId,
    pub(super) nickname: String,
    /// The nickname's key: it orders the rows of a tie.
    pub(super) fold: Box<str>,
    pub(super) lane: LaneNo,
    /// The `seq` of the sessions record that admitted them.
    pub(super) joined_seq: i64,
    /// The `seq` of the sessions record that removed them.
    pub(super) kicked_seq: Option<i64>,
    connected: bool,
}

impl Entry {
    /// Whether the player was in the game when the sessions record `seq` was written. A board looks
    /// at who was there when its question closed, not at who is there when the last lane happens
    /// to report: so a replay makes the same board.
    pub(super) fn is_in(&self, seq: i64) -> bool {
        self.joined_seq <= seq && self.kicked_seq.is_none_or(|kicked| kicked > seq)
    }
}

/// The players of a game. As many as its session admits, which keeps to the game's capacity.
#[derive(Debug, Default)]
pub struct Roster {
    entries: Vec<Entry>,
    by_player: HashMap<PlayerId, u32>,
    players: i32,
    connected: i32,
}

impl Roster {
    /// Adds a player, connected. Who is or was in the game already is left as they are.
    pub fn admit(&mut self, player: PlayerId, nickname: &str, lane: LaneNo, seq: i64) {
        let next = self.entries.len() as u32;
        if *self.by_player.entry(player).or_insert(next) != next {
            return;
        }
        self.entries.push(Entry {
            player,
            nickname: nickname.to_owned(),
            fold: nickname::key(nickname).into(),
            lane,
            joined_seq: seq,
            kicked_seq: None,
            connected: true,
        });
        self.players += 1;
        self.connected += 1;
    }

    /// Removes a player for good; false when they were not in the game.
    pub fn kick(&mut self, player: PlayerId, seq: i64) -> bool {
        self.set_connected(player, false);
        let Some(entry) = self.present(player) else { return false };
        entry.kicked_seq = Some(seq);
        self.players -= 1;
        true
    }

    /// Notes that a player's socket is open or gone.
    pub fn set_connected(&mut self, player: PlayerId, connected: bool) {
        let Some(entry) = self.present(player) else { return };
        if entry.connected != connected {
            entry.connected = connected;
            self.connected += if connected { 1 } else { -1 };
        }
    }

    /// Players admitted and not removed.
    #[must_use]
    pub fn players(&self) -> i32 {
        self.players
    }

    /// Those of them who are connected.
    #[must_use]
    pub fn connected(&self) -> i32 {
        self.connected
    }

    fn present(&mut self, player: PlayerId) -> Option<&mut Entry> {
        let at = *self.by_player.get(&player)?;
        Some(&mut self.entries[at as usize]).filter(|entry| entry.kicked_seq.is_none())
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn index(&self, player: PlayerId) -> Option<usize> {
        self.by_player.get(&player).map(|&at| at as usize)
    }
}
