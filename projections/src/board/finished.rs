//! What a successor may have to read of games that are over.
//!
//! A successor reads the sessions topic from the first record of the oldest live game, and so meets
//! younger games again that are over. Each is live to it until it has made the game's last board
//! again, for which it needs the lanes' reports. So the scores topic's commit point stays at the first
//! report of every game that a successor will meet, live or over.

use super::FINISHED_GAMES_MAX;
use std::collections::BTreeMap;

/// Games that are over and younger than the oldest live one: where each began in the sessions topic
/// and where its first report stands in the scores topic.
#[derive(Default)]
pub(super) struct Finished {
    games: BTreeMap<i64, i64>,
}

impl Finished {
    pub(super) fn insert(&mut self, first_session: i64, first_score: i64) {
        self.games.insert(first_session, first_score);
        if self.games.len() > FINISHED_GAMES_MAX
            && let Some((_, first_score)) = self.games.pop_first()
            && let Some(mut second) = self.games.first_entry()
        {
            // Two games made one: the commit point stays low for longer than it must.
            let kept = first_score.min(*second.get());
            second.insert(kept);
        }
    }

    /// Nobody reads below `first_session` again; none when no game is live.
    pub(super) fn forget_below(&mut self, first_session: Option<i64>) {
        match first_session {
            Some(first_session) => self.games = self.games.split_off(&first_session),
            None => self.games.clear(),
        }
    }

    /// The first report that a successor must read.
    pub(super) fn first_score(&self) -> Option<i64> {
        self.games.values().copied().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_report_is_kept_while_its_game_may_be_met_again() {
        let mut finished = Finished::default();
        finished.insert(10, 700);
        finished.insert(20, 500);
        finished.insert(30, 600);
        assert_eq!(finished.first_score(), Some(500));
        finished.forget_below(Some(20));
        assert_eq!(finished.first_score(), Some(500));
        finished.forget_below(Some(21));
        assert_eq!(finished.first_score(), Some(600));
        finished.forget_below(None);
        assert_eq!(finished.first_score(), None);
    }

    #[test]
    fn within_its_bound_it_forgets_no_report() {
        let mut finished = Finished::default();
        for game in 0..FINISHED_GAMES_MAX as i64 + 50 {
            finished.insert(game, 10_000 + game);
        }
        assert_eq!(finished.games.len(), FINISHED_GAMES_MAX);
        assert_eq!(finished.first_score(), Some(10_000));
    }
}
