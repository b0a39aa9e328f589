//! What a batch leads to, collected.

use quiz_game::view::GameView;
use quiz_schemas::events::ResultsRecord;
use quiz_schemas::{AnyEvent, GameId};
use quiz_store::{ViewDoc, Write};
use quiz_stream::{Output, Record, Rejected};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Outbox {
    produce: Vec<AnyEvent>,
    write: Vec<Write>,
    dead: Vec<Rejected>,
    /// Live games whose view has changed.
    changed: BTreeSet<GameId>,
    /// The last views of games that are over.
    last_views: BTreeMap<GameId, GameView>,
    /// Games whose count of answers has changed.
    pub(super) counted: BTreeSet<GameId>,
}

impl Outbox {
    pub(super) fn durable(&mut self, record: ResultsRecord) {
        self.changed.insert(record.game);
        self.produce.push(record.into());
    }

    /// A result that leaves no view behind: a volatile one, or of a game that is not live.
    pub(super) fn passing(&mut self, record: ResultsRecord) {
        self.produce.push(record.into());
    }

    pub(super) fn write(&mut self, write: Write) {
        self.write.push(write);
    }

    pub(super) fn reject(&mut self, record: &Record, reason: &'static str) {
        self.dead.push(Rejected { topic: record.topic, position: record.position(), reason });
    }

    /// The game is over and will not be asked for its view any more.
    pub(super) fn last_view(&mut self, view: GameView) {
        self.changed.remove(&view.game);
        self.last_views.insert(view.game, view);
    }

    /// The output; `view_of` knows the live games. One view per game and batch is enough: a later
    /// one has all that the earlier ones have.
    pub(super) fn finish<'a>(mut self, view_of: impl Fn(GameId) -> Option<&'a GameView>) -> Output<Write> {
        let views = self.changed.iter().filter_map(|&game| view_of(game).cloned());
        for view in views.chain(self.last_views.into_values()) {
            let doc = ViewDoc { game: view.game, version: view.version(), cursor: None, view };
            self.write.push(Write::View(Box::new(doc)));
        }
        Output { produce: self.produce, write: self.write, announce: Vec::new(), dead: self.dead }
    }
}
