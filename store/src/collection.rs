//! The collections, by name. No other place spells them.

use std::fmt;

/// A collection of the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Collection {
    /// Judged answers.
    Answers,
    /// Snapshots of lanes.
    Lanes,
    /// Views of games.
    Views,
    /// Boards, one for each question of a game.
    Boards,
    /// Personal standings, one document for each lane.
    Standings,
    /// Reserved PINs.
    Pins,
    /// The books, one document for each question of a game.
    Ledgers,
}

impl Collection {
    /// All of them.
    pub const ALL: [Collection; 7] = [
        Collection::Answers,
        Collection::Lanes,
        Collection::Views,
        Collection::Boards,
        Collection::Standings,
        Collection::Pins,
        Collection::Ledgers,
    ];

    /// Its name in the database, in the file and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Collection::Answers => "answers",
            Collection::Lanes => "lanes",
            Collection::Views => "views",
            Collection::Boards => "boards",
            Collection::Standings => "standings",
            Collection::Pins => "pins",
            Collection::Ledgers => "ledgers",
        }
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
