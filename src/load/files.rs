//! How many processes the players need: each socket is a file, and a process may open so many only.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::{Exit, Failure};

/// The most processes that players are split over.
pub const PROCESSES_MAX: u32 = 64;
/// Files that a process has beside its clients' sockets: its outputs, its log, its runtime's own, and
/// sockets of clients that come back while their old ones are still closing.
const SLACK_FILES: u64 = 256;
/// A game's files beside those of its players: its host's socket, and one while it is created.
const GAME_FILES: u64 = 2;
/// A child's files in its parent: its stdin, its stdout and the system's handle of it.
const CHILD_FILES: u64 = 4;

/// Raises this process's soft limit of open files to its hard one, and says what it is now; None
/// when there is none.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    // A system that says no leaves us with what we had: the run is split over more processes then.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// How many processes the players are split over: 1 keeps them here. `files` is what a process may
/// open, None when there is no limit.
///
/// # Errors
/// When they do not fit.
pub fn processes(asked: Option<u32>, players: u32, games: u32, files: Option<u64>) -> Result<u32, Failure> {
    let Some(files) = files else { return Ok(asked.unwrap_or(1)) };
    let hosts = u64::from(games) * GAME_FILES + SLACK_FILES;
    let fits = |count: u32| {
        let each = u64::from(players.div_ceil(count)) + SLACK_FILES;
        match count {
            1 => u64::from(players) + hosts <= files,
            _ => each <= files && hosts + u64::from(count) * CHILD_FILES <= files,
        }
    };
    let found = match asked {
        Some(count) => fits(count).then_some(count),
        None => (1..=PROCESSES_MAX).find(|count| fits(*count)),
    };
    found.ok_or_else(|| {
        let message = format!("{players} players and {games} hosts do not fit: a process may open {files} files");
        Failure::new(Exit::Usage, message).hint("a higher hard limit (ulimit -Hn), more --processes, or fewer --games")
    })
}

/// The players of process `no` of `of`, as numbers over the whole run. Neighbours stay together, so
/// that a process has whole games when there are enough of them, and a game too big for one process
/// is spread.
#[must_use]
pub fn share(players: u32, no: u32, of: u32) -> std::ops::Range<u32> {
    let bound = |no: u32| (u64::from(players) * u64::from(no) / u64::from(of)) as u32;
    bound(no)..bound(no + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn players_that_fit_stay_here_and_others_are_split() {
        let count = |asked, players, games| processes(asked, players, games, Some(20_000)).ok();
        assert_eq!(count(None, 400, 4), Some(1));
        assert_eq!(count(None, 19_742, 1), Some(1), "to the last file");
        assert_eq!(count(None, 19_743, 1), Some(2));
        assert_eq!(count(None, 100_000, 5), Some(6));
        assert_eq!(count(Some(3), 400, 4), Some(3));
        assert_eq!(count(Some(1), 20_000, 1), None);
        assert_eq!(count(Some(4), 100_000, 5), None);
        assert_eq!(processes(None, 100_000, 1, Some(1_024)).ok(), None, "more than there may be");
        assert_eq!(processes(None, 100_000, 1_000, None).ok(), Some(1), "without a limit");
    }

    proptest! {
        /// Goal: each player is in one process. Method: look for every one of them in all shares.
        #[test]
        fn every_player_is_in_one_process(players in 1..500_u32, of in 1..=PROCESSES_MAX) {
            let shares: Vec<_> = (0..of).map(|no| share(players, no, of)).collect();
            for player in 0..players {
                prop_assert_eq!(shares.iter().filter(|share| share.contains(&player)).count(), 1);
            }
            let sizes = || shares.iter().map(|share| share.len());
            prop_assert_eq!(sizes().sum::<usize>(), players as usize);
            prop_assert!(sizes().max() <= sizes().min().map(|least| least + 1));
        }
    }

    #[test]
    fn the_soft_limit_is_the_hard_one_afterwards() {
        let now = raise();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!((now, current), (maximum, maximum));
    }
}
