//! A game as its results tell it: what an edge needs to greet a socket. The board projection and
//! the edges fold the same records with the same code.

mod event_id;

pub use event_id::{BadEventId, EventId};

use quiz_schemas::events::{
    BoardPublished, GameEnded, GameOpened, LobbyChanged, LobbyPlayer, QuestionShown, ResultsBody, ResultsRecord,
};
use quiz_schemas::{GameId, LaneNo, PlayerId, QuestionNo};
use serde::{Deserialize, Serialize};

/// How many of the newest lobby names a view keeps, to greet a host.
pub const LOBBY_NEWEST_MAX: usize = 200;
/// How many of the newest removed players a view keeps, to refuse their tokens.
pub const KICKED_NEWEST_MAX: usize = 1_000;
/// The most parts that one lane's outcomes are published in.
pub const OUTCOME_PARTS_MAX: i32 = 1_024;

/// What folding a record into a view came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Folded {
    /// A durable event that the view did not have. The view's version has risen.
    Applied,
    /// A durable event that the view has already: a re-publish. The view is as it was.
    Duplicate,
    /// An event without a name: to be passed on, and not remembered.
    Volatile,
}

/// The newest outcomes of one lane that were folded in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct OutcomesSeen {
    /// Of which question.
    pub question: QuestionNo,
    /// The highest part of them, from 0.
    pub part: i32,
}

/// A game as its durable results up to some point tell it. Holds no answer key of an open question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GameView {
    /// The game.
    pub game: GameId,
    /// Title, PIN, lanes, number of questions.
    pub opened: Option<GameOpened>,
    /// Players admitted and not removed.
    pub players: i32,
    /// Those of them who are connected.
    pub connected: i32,
    /// The newest admitted players who were not removed, oldest first; at most [`LOBBY_NEWEST_MAX`].
    #[serde(default)]
    pub lobby: Vec<LobbyPlayer>,
    /// The newest removed players, oldest first; at most [`KICKED_NEWEST_MAX`].
    #[serde(default)]
    pub kicked: Vec<PlayerId>,
    /// The latest question shown.
    pub question: Option<QuestionShown>,
    /// Whether it takes answers still.
    pub accepting: bool,
    /// The latest board.
    pub board: Option<BoardPublished>,
    /// Set when the game is over.
    pub over: Option<GameEnded>,
    /// The highest `seq` of a sessions record folded in; −1 before the first.
    pub session_seq: i64,
    /// By lane, the newest outcomes folded in. The outcomes themselves are not kept: a lane's
    /// standings are a document of their own.
    #[serde(default)]
    pub outcomes: Vec<Option<OutcomesSeen>>,
}

impl GameView {
    /// A view of a game of which nothing is known.
    #[must_use]
    pub fn new(game: GameId) -> Self {
        Self {
            game,
            opened: None,
            players: 0,
            connected: 0,
            lobby: Vec::new(),
            kicked: Vec::new(),
            question: None,
            accepting: false,
            board: None,
            over: None,
            session_seq: -1,
            outcomes: Vec::new(),
        }
    }

    /// Rises strictly with every durable event applied, and is a function of which events were
    /// applied only: a replay comes to the same versions. 0 for a new view.
    #[must_use]
    pub fn version(&self) -> i64 {
        let boards = self.board.as_ref().map_or(0, |board| i64::from(board.question) + 1);
        let outcomes: i64 = self
            .outcomes
            .iter()
            .flatten()
            .map(|seen| i64::from(seen.question) * i64::from(OUTCOME_PARTS_MAX) + i64::from(seen.part) + 1)
            .sum();
        self.session_seq + 1 + boards + outcomes
    }

    /// Folds a result in. A durable event that is not newer than what the view has of its kind is
    /// dropped, so a re-publish after a crash changes nothing. A record of another game, and one
    /// whose event id this build cannot read, is volatile.
    pub fn fold(&mut self, record: &ResultsRecord) -> Folded {
        let id = record.event_id.as_deref().and_then(|text| text.parse::<EventId>().ok());
        let Some(id) = id.filter(|_| record.game == self.game) else {
            return Folded::Volatile;
        };
        if !self.advance(id, &record.body) {
            return Folded::Duplicate;
        }
        self.show(&record.body);
        Folded::Applied
    }

    /// Remembers the event; false when it was there already. A board is remembered by being kept.
    fn advance(&mut self, id: EventId, body: &ResultsBody) -> bool {
        match id {
            EventId::Session(seq) => {
                let newer = seq > self.session_seq;
                self.session_seq = self.session_seq.max(seq);
                newer
            }
            EventId::Board(question) => {
                matches!(body, ResultsBody::BoardPublished(board) if board.question == question)
                    && self.board.as_ref().is_none_or(|last| question > last.question)
            }
            EventId::Outcomes(question, lane) => {
                let part = if let ResultsBody::OutcomesPublished(batch) = body { batch.part } else { 0 };
                let part = part.clamp(0, OUTCOME_PARTS_MAX - 1);
                self.advance_outcomes(lane, OutcomesSeen { question, part })
            }
        }
    }

    fn advance_outcomes(&mut self, lane: LaneNo, seen: OutcomesSeen) -> bool {
        let lane = usize::from(lane);
        if self.outcomes.len() <= lane {
            self.outcomes.resize(lane + 1, None);
        }
        let newer = self.outcomes[lane].is_none_or(|last| seen > last);
        if newer {
            self.outcomes[lane] = Some(seen);
        }
        newer
    }

    fn show(&mut self, body: &ResultsBody) {
        if self.over.is_some() {
            // Joins and commands are refused after the end, and tell no numbers of the game.
            return;
        }
        match body {
            ResultsBody::GameOpened(opened) => self.opened = Some(opened.clone()),
            ResultsBody::LobbyChanged(change) => self.change_lobby(change),
            ResultsBody::QuestionShown(shown) => {
                self.accepting = true;
                self.question = Some(shown.clone());
            }
            ResultsBody::QuestionStopped(stopped) => {
                if self.question.as_ref().is_some_and(|shown| shown.question == stopped.question) {
                    self.accepting = false;
                }
            }
            ResultsBody::BoardPublished(board) => self.board = Some(board.clone()),
            ResultsBody::GameEnded(ended) => {
                self.accepting = false;
                self.over = Some(ended.clone());
            }
            ResultsBody::OutcomesPublished(_)
            | ResultsBody::CommandRefused(_)
            | ResultsBody::AnswersCounted(_)
            | ResultsBody::Unknown => {}
        }
    }

    fn change_lobby(&mut self, change: &LobbyChanged) {
        self.players = change.players;
        self.connected = change.connected;
        let skip = change.admitted.len().saturating_sub(LOBBY_NEWEST_MAX);
        let newest = &change.admitted[skip..];
        // Who joins again, for the answer was lost, is admitted again.
        self.lobby.retain(|known| !newest.iter().any(|player| player.player == known.player));
        self.lobby.extend(newest.iter().cloned());
        if !change.kicked.is_empty() {
            self.lobby.retain(|player| !change.kicked.contains(&player.player));
            self.kicked.extend_from_slice(&change.kicked);
        }
        keep_newest(&mut self.lobby, LOBBY_NEWEST_MAX);
        keep_newest(&mut self.kicked, KICKED_NEWEST_MAX);
    }
}

fn keep_newest<T>(list: &mut Vec<T>, max: usize) {
    list.drain(..list.len().saturating_sub(max));
}
