//! Joins and presence, taken in batches: a room of thousands joins in a few records.

use std::collections::{BTreeMap, BTreeSet};

use quiz_schemas::events::{
    JoinRefusal, JoinRequested, JoinsBody, JoinsDecided, PlayerAdmitted, PlayerDisconnected, PresenceChanged,
    RefusalReason,
};
use quiz_schemas::{AnyEvent, EdgeId, LaneKey, PlayerId, QuestionNo, Topic};

use super::{Phase, Session, cause};
use crate::nickname;

/// The most rows of one record of joins or of presence.
pub const JOINS_ROWS_MAX: usize = 2_000;

/// One record of `quiz.joins.v1`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct JoinInput<'a> {
    /// Its offset.
    pub offset: i64,
    /// The edge that wrote it.
    pub edge: &'a EdgeId,
    /// What it says.
    pub body: &'a JoinsBody,
}

/// Joins that are decided and not yet emitted.
#[derive(Default)]
struct DecidedJoins {
    admitted: Vec<PlayerAdmitted>,
    refused: Vec<JoinRefusal>,
    /// The players of `admitted`, and where each is.
    players: BTreeMap<PlayerId, EdgeId>,
    /// The names of the new ones among them, by their key; as many as there are new ones.
    names: BTreeSet<String>,
    /// The last input that is decided here.
    offset: i64,
}

/// Presence that has changed and is not yet emitted: at most one change per player.
#[derive(Default)]
struct ChangedPresence {
    connected: Vec<PlayerId>,
    /// Where each of them is.
    edges: Vec<EdgeId>,
    disconnected: Vec<PlayerId>,
    answered: Vec<PlayerId>,
    /// The players of the lists.
    players: BTreeSet<PlayerId>,
    /// The last input that is in it.
    offset: i64,
}

/// What a batch has led to and not yet emitted. The joins are emitted before the presence; an
/// input for which that order would matter has what came before it emitted first. So a batch leads to
/// the same state as its inputs one by one.
#[derive(Default)]
struct Pending {
    joins: DecidedJoins,
    presence: ChangedPresence,
}

/// Where a player is.
enum Presence<'a> {
    /// Not in the game.
    Nobody,
    /// In the game, and not connected.
    Gone,
    /// Connected, at this edge; at which is not known from records of older writers.
    At(Option<&'a EdgeId>),
}

/// Where decisions go, and when they are made.
struct Sink<'a> {
    now_us: i64,
    out: &'a mut Vec<AnyEvent>,
}

impl Session {
    /// Takes records of `quiz.joins.v1`, in offset order. Joins of one call become one record, and so
    /// do changes of presence, as far as [`JOINS_ROWS_MAX`] and their order allow. What they lead to is
    /// appended to `out`. Presence of someone who does not play, and a kind of record from a newer writer,
    /// are skipped. A game that was not created refuses every join.
    pub fn joins(&mut self, inputs: &[JoinInput<'_>], now_us: i64, out: &mut Vec<AnyEvent>) {
        let mut pending = Pending::default();
        let mut sink = Sink { now_us, out };
        let seen = self.seen.joins;
        let mut last = seen;
        for input in inputs {
            if input.offset <= last {
                continue;
            }
            last = input.offset;
            match input.body {
                JoinsBody::JoinRequested(join) => self.take_join(&mut pending, input, join, &mut sink),
                JoinsBody::PlayerConnected(connected) => {
                    self.take_connected(&mut pending, input, connected.player, &mut sink);
                }
                JoinsBody::PlayerDisconnected(gone) => self.take_gone(&mut pending, input, gone, &mut sink),
                JoinsBody::Unknown => {}
            }
        }
        if last == seen {
            return;
        }
        self.flush(&mut pending, &mut sink);
        self.follow_up(Some(&cause(Topic::Joins, last)), now_us, out);
    }

    fn take_join(&mut self, pending: &mut Pending, input: &JoinInput<'_>, join: &JoinRequested, sink: &mut Sink<'_>) {
        let rows = pending.joins.admitted.len() + pending.joins.refused.len();
        let elsewhere = pending.joins.players.get(&join.player).is_some_and(|edge| edge != input.edge);
        if rows >= JOINS_ROWS_MAX || elsewhere || pending.presence.players.contains(&join.player) {
            self.flush(pending, sink);
        }
        let joins = &mut pending.joins;
        joins.offset = input.offset;
        match self.decide_join(joins, join, input.edge) {
            Ok(admitted) => {
                if joins.players.insert(join.player, input.edge.clone()).is_none() {
                    joins.admitted.push(admitted);
                }
            }
            Err(reason) => joins.refused.push(JoinRefusal { player: join.player, reason }),
        }
    }

    fn decide_join(
        &self,
        joins: &mut DecidedJoins,
        join: &JoinRequested,
        edge: &EdgeId,
    ) -> Result<PlayerAdmitted, RefusalReason> {
        let player = join.player;
        let edge = Some(edge.clone());
        let Some(setup) = self.setup.as_ref() else {
            return Err(if self.created { RefusalReason::GameOver } else { RefusalReason::NoGame });
        };
        let lane = LaneKey::of(self.game, player, setup.settings.lanes).lane;
        if self.lobby.is_banned(player) {
            return Err(RefusalReason::Banned);
        }
        if let Some(row) = self.lobby.player(player) {
            return Ok(PlayerAdmitted { player, nickname: row.nickname.to_string(), lane, edge });
        }
        if joins.players.contains_key(&player) {
            // Its row is in the same record already: this one is not used.
            return Ok(PlayerAdmitted { player, nickname: String::new(), lane, edge });
        }
        let capacity = usize::try_from(setup.settings.capacity).unwrap_or(0);
        if self.lobby.is_full(joins.names.len(), capacity) {
            return Err(RefusalReason::Full);
        }
        // The edge has normalised the name. One that is none all the same is answered like one that
        // is not to be had.
        let nickname = nickname::normalise(&join.nickname).map_err(|_| RefusalReason::NicknameTaken)?;
        let key = nickname::key(&nickname);
        if self.lobby.has_name(&key) || !joins.names.insert(key) {
            return Err(RefusalReason::NicknameTaken);
        }
        Ok(PlayerAdmitted { player, nickname, lane, edge })
    }

    /// A player is where they were seen last; if that is another edge, they have moved.
    fn take_connected(&mut self, pending: &mut Pending, input: &JoinInput<'_>, player: PlayerId, sink: &mut Sink<'_>) {
        self.make_room(pending, player, sink);
        let at = match self.presence(pending, player) {
            Presence::Nobody => return,
            Presence::Gone => None,
            Presence::At(edge) => edge,
        };
        if at == Some(input.edge) {
            return;
        }
        let presence = &mut pending.presence;
        presence.offset = input.offset;
        presence.players.insert(player);
        presence.connected.push(player);
        presence.edges.push(input.edge.clone());
    }

    /// A socket is gone. An edge speaks of its own sockets only: while the player is at another, this
    /// one's word ends nothing. That they had answered is true all the same. (Who has answered a question
    /// was asked it: so what has no effect here has none when it is read again after another was opened.)
    fn take_gone(
        &mut self,
        pending: &mut Pending,
        input: &JoinInput<'_>,
        gone: &PlayerDisconnected,
        sink: &mut Sink<'_>,
    ) {
        let player = gone.player;
        self.make_room(pending, player, sink);
        let leaves = match self.presence(pending, player) {
            Presence::Nobody => return,
            Presence::Gone => false,
            Presence::At(edge) => edge.is_none_or(|edge| edge == input.edge),
        };
        let question = self.counting();
        let known = question.is_some() && self.lobby.player(player).is_some_and(|row| row.answered == question);
        let answered = question.is_some() && gone.answered == question;
        if !leaves && (known || !answered) {
            return;
        }
        let presence = &mut pending.presence;
        presence.offset = input.offset;
        presence.players.insert(player);
        if leaves {
            presence.disconnected.push(player);
        }
        // Someone who answered, came back on another socket and left again has answered still.
        if answered || known {
            presence.answered.push(player);
        }
    }

    fn make_room(&mut self, pending: &mut Pending, player: PlayerId, sink: &mut Sink<'_>) {
        let presence = &pending.presence;
        if presence.players.len() >= JOINS_ROWS_MAX || presence.players.contains(&player) {
            self.flush(pending, sink);
        }
    }

    /// Where a player is, with what is decided of joins and not yet emitted.
    fn presence<'a>(&'a self, pending: &'a Pending, player: PlayerId) -> Presence<'a> {
        if let Some(edge) = pending.joins.players.get(&player) {
            return Presence::At(Some(edge));
        }
        match self.lobby.player(player) {
            None => Presence::Nobody,
            Some(row) if row.connected => Presence::At(row.edge.as_ref()),
            Some(_) => Presence::Gone,
        }
    }

    /// The question whose answers are counted.
    fn counting(&self) -> Option<QuestionNo> {
        match self.phase {
            Phase::Open { question, .. } | Phase::Stopping { question, .. } => Some(question),
            _ => None,
        }
    }

    fn flush(&mut self, pending: &mut Pending, sink: &mut Sink<'_>) {
        let Pending { joins, presence } = std::mem::take(pending);
        if !joins.admitted.is_empty() || !joins.refused.is_empty() {
            let body = JoinsDecided { admitted: joins.admitted, refused: joins.refused };
            self.emit(body.into(), Some(cause(Topic::Joins, joins.offset)), sink.now_us, sink.out);
        }
        if !presence.players.is_empty() {
            let ChangedPresence { connected, edges, disconnected, answered, offset, .. } = presence;
            let body = PresenceChanged { connected, edges, disconnected, answered };
            self.emit(body.into(), Some(cause(Topic::Joins, offset)), sink.now_us, sink.out);
        }
    }
}
