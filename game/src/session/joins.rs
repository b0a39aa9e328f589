//! Joins and presence, taken in batches: a room of thousands joins in a few records.

use std::collections::BTreeSet;

use quiz_schemas::events::{
    JoinRefusal, JoinRequested, JoinsBody, JoinsDecided, PlayerAdmitted, PlayerDisconnected, PresenceChanged,
    RefusalReason,
};
use quiz_schemas::{AnyEvent, LaneKey, PlayerId, QuestionNo, Topic};

use super::{Phase, Session, cause};
use crate::nickname;

/// The most rows of one record of joins or of presence.
pub const JOINS_ROWS_MAX: usize = 2_000;

/// One record of `quiz.joins.v1`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct JoinInput<'a> {
    /// Its offset.
    pub offset: i64,
    /// What it says.
    pub body: &'a JoinsBody,
}

/// Joins that are decided and not yet emitted.
#[derive(Default)]
struct DecidedJoins {
    admitted: Vec<PlayerAdmitted>,
    refused: Vec<JoinRefusal>,
    /// The players of `admitted`.
    players: BTreeSet<PlayerId>,
    /// The names of the new ones among them, by their key; as many as there are new ones.
    names: BTreeSet<String>,
    /// The last input that is decided here.
    offset: i64,
}

/// Presence that has changed and is not yet emitted: at most one change per player.
#[derive(Default)]
struct ChangedPresence {
    connected: Vec<PlayerId>,
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
                JoinsBody::JoinRequested(join) => self.take_join(&mut pending, input.offset, join, &mut sink),
                JoinsBody::PlayerConnected(connected) => {
                    self.take_presence(&mut pending, input.offset, connected.player, None, &mut sink);
                }
                JoinsBody::PlayerDisconnected(gone) => {
                    self.take_presence(&mut pending, input.offset, gone.player, Some(gone), &mut sink);
                }
                JoinsBody::Unknown => {}
            }
        }
        if last == seen {
            return;
        }
        self.flush(&mut pending, &mut sink);
        self.follow_up(Some(&cause(Topic::Joins, last)), now_us, out);
    }

    fn take_join(&mut self, pending: &mut Pending, offset: i64, join: &JoinRequested, sink: &mut Sink<'_>) {
        let rows = pending.joins.admitted.len() + pending.joins.refused.len();
        if rows >= JOINS_ROWS_MAX || pending.presence.players.contains(&join.player) {
            self.flush(pending, sink);
        }
        let joins = &mut pending.joins;
        joins.offset = offset;
        match self.decide_join(joins, join) {
            Ok(admitted) => {
                if joins.players.insert(join.player) {
                    joins.admitted.push(admitted);
                }
            }
            Err(reason) => joins.refused.push(JoinRefusal { player: join.player, reason }),
        }
    }

    fn decide_join(&self, joins: &mut DecidedJoins, join: &JoinRequested) -> Result<PlayerAdmitted, RefusalReason> {
        let player = join.player;
        let Some(setup) = self.setup.as_ref() else {
            return Err(if self.created { RefusalReason::GameOver } else { RefusalReason::NoGame });
        };
        let lane = LaneKey::of(self.game, player, setup.settings.lanes).lane;
        if self.lobby.is_banned(player) {
            return Err(RefusalReason::Banned);
        }
        if let Some(row) = self.lobby.player(player) {
            return Ok(PlayerAdmitted { player, nickname: row.nickname.to_string(), lane });
        }
        if joins.players.contains(&player) {
            // Its row is in the same record already: this one is not used.
            return Ok(PlayerAdmitted { player, nickname: String::new(), lane });
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
        Ok(PlayerAdmitted { player, nickname, lane })
    }

    fn take_presence(
        &mut self,
        pending: &mut Pending,
        offset: i64,
        player: PlayerId,
        gone: Option<&PlayerDisconnected>,
        sink: &mut Sink<'_>,
    ) {
        let presence = &pending.presence;
        if presence.players.len() >= JOINS_ROWS_MAX || presence.players.contains(&player) {
            self.flush(pending, sink);
        }
        let row = self.lobby.player(player);
        let admitted = pending.joins.players.contains(&player);
        let is_connected = admitted || row.is_some_and(|row| row.connected);
        if (!admitted && row.is_none()) || is_connected == gone.is_none() {
            return;
        }
        let known = row.and_then(|row| row.answered);
        let presence = &mut pending.presence;
        presence.offset = offset;
        presence.players.insert(player);
        let Some(gone) = gone else {
            presence.connected.push(player);
            return;
        };
        presence.disconnected.push(player);
        // Someone who answered, came back on another socket and left again has answered still.
        let question = self.counting();
        if question.is_some() && (gone.answered == question || known == question) {
            presence.answered.push(player);
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
            let ChangedPresence { connected, disconnected, answered, offset, .. } = presence;
            let body = PresenceChanged { connected, disconnected, answered };
            self.emit(body.into(), Some(cause(Topic::Joins, offset)), sink.now_us, sink.out);
        }
    }
}
