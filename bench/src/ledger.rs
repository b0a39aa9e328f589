//! The books of the games that were played, as the product's own auditor tells them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::error::BenchError;
use crate::scrape;

/// Games whose books are looked at, of each run; evenly chosen when there are more.
pub const GAMES_LOOKED_AT_MAX: usize = 200;
/// How long books may take to close when the game is over.
const CLOSE_WAIT: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks at once.
const LOOKS_AT_ONCE: usize = 2;
/// The ledger's counter of what is wrong.
const IMBALANCES: &str = "quiz_ledger_imbalances_total";

/// What the books of some games say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Books {
    /// Games looked at.
    pub games: u64,
    /// Of them, those whose books balance.
    pub balanced: u64,
    /// Of them, those whose books were still open when the patience ended.
    pub open: u64,
    /// Answers that were scored.
    pub scored: i64,
    /// Answers acknowledged and not in the log, scored and not in the store, or there without anybody
    /// having sent them.
    pub wrong: i64,
}

impl Books {
    /// Whether an answer was lost, or books do not balance.
    pub fn are_wrong(&self) -> bool {
        self.wrong != 0 || self.balanced + self.open != self.games
    }

    /// With those of others.
    pub fn and(self, other: Books) -> Books {
        Books {
            games: self.games + other.games,
            balanced: self.balanced + other.balanced,
            open: self.open + other.open,
            scored: self.scored + other.scored,
            wrong: self.wrong + other.wrong,
        }
    }
}

/// What ledgers have found wrong in any game: their alert.
#[derive(Debug, Default)]
pub struct Alerts(Mutex<Told>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Told {
    /// Nobody was asked.
    #[default]
    Nothing,
    Wrong(u64),
    /// One that was asked did not say.
    Unknown,
}

impl Alerts {
    /// Adds what a ledger has found since it was started.
    pub async fn ask(&self, admin: SocketAddr) {
        let page = scrape::get(admin, "/metrics").await;
        self.add(page.ok().filter(|page| page.0 == 200).map(|(_, page)| scrape::sum(&page, IMBALANCES, "") as u64));
    }

    fn add(&self, wrong: Option<u64>) {
        let mut told = self.0.lock().expect("no thread panics while it holds the lock");
        *told = match (*told, wrong) {
            (Told::Unknown, _) | (_, None) => Told::Unknown,
            (Told::Nothing, Some(wrong)) => Told::Wrong(wrong),
            (Told::Wrong(before), Some(wrong)) => Told::Wrong(before + wrong),
        };
    }

    /// All of it, and begins anew; none when nobody was asked, or one did not say.
    pub fn take(&self) -> Option<u64> {
        let told = std::mem::take(&mut *self.0.lock().expect("no thread panics while it holds the lock"));
        if let Told::Wrong(wrong) = told { Some(wrong) } else { None }
    }
}

#[derive(Deserialize)]
struct GameLedger {
    state: String,
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    lost: i64,
    unstored: i64,
    phantom: i64,
    lanes: Lanes,
}

#[derive(Deserialize)]
struct Lanes {
    scored: i64,
}

/// Looks at the books of these games until they are closed.
///
/// # Errors
/// When they cannot be asked for.
pub async fn books(program: &Path, games: &[String], questions: u32) -> Result<Books, BenchError> {
    let deadline = Instant::now() + CLOSE_WAIT;
    let every = games.len().div_ceil(GAMES_LOOKED_AT_MAX).max(1);
    let looks = games.iter().step_by(every).map(|game| look(program, game, questions as usize, deadline));
    futures::stream::iter(looks)
        .buffer_unordered(LOOKS_AT_ONCE)
        .try_fold(Books::default(), |sum, books| async move { Ok(sum.and(books)) })
        .await
}

async fn look(program: &Path, game: &str, questions: usize, deadline: Instant) -> Result<Books, BenchError> {
    loop {
        let asked = Command::new(program)
            .args(["admin", "ledger", game, "--json"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|err| BenchError::process("admin ledger", err))?;
        let told = read(&String::from_utf8_lossy(&asked.stdout), questions);
        match told {
            Some(books) if books.open == 0 || Instant::now() > deadline => return Ok(books),
            None if Instant::now() > deadline => return Ok(Books { games: 1, open: 1, ..Books::default() }),
            _ => sleep(LOOK_EVERY).await,
        }
    }
}

/// The books of one game of so many questions; none when these are no books.
fn read(text: &str, questions: usize) -> Option<Books> {
    let ledger: GameLedger = serde_json::from_str(text).ok()?;
    let closed = ledger.questions.len() >= questions;
    Some(Books {
        games: 1,
        balanced: u64::from(ledger.state == "balanced" && closed),
        open: u64::from(ledger.state == "open" || (ledger.state == "balanced" && !closed)),
        scored: ledger.questions.iter().map(|question| question.lanes.scored).sum(),
        wrong: ledger.questions.iter().map(|question| question.lost + question.unstored + question.phantom).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(state: &str, lost: i64) -> String {
        format!(
            r#"{{"game":"3V9K2R8MZ1Q4C","state":"{state}","questions":[{{"question":0,"version":2,"state":"{state}",
            "edges":{{"received":9,"acked":7,"repeated":1,"refused":1,"unavailable":0,"silent":0}},
            "lanes":{{"logged":7,"scored":7,"late":0,"duplicate":0,"refused":0,"stored":7}},
            "lost":{lost},"unstored":0,"phantom":0,"unclaimed":0,"suspects":[]}}]}}"#
        )
    }

    #[test]
    fn books_are_read() {
        let balanced = read(&text("balanced", 0), 1).expect("books");
        assert_eq!(balanced, Books { games: 1, balanced: 1, open: 0, scored: 7, wrong: 0 });
        assert!(!balanced.are_wrong());
        let imbalanced = read(&text("imbalanced", 2), 1).expect("books");
        assert!(imbalanced.are_wrong() && imbalanced.wrong == 2);
        assert!(balanced.and(imbalanced).are_wrong());
        assert_eq!(read("quizstream: there is no game", 1), None);
    }

    #[test]
    fn alerts_are_known_when_all_have_said() {
        let alerts = Alerts::default();
        assert_eq!(alerts.take(), None, "nobody was asked");
        [Some(1), Some(2)].into_iter().for_each(|wrong| alerts.add(wrong));
        assert_eq!((alerts.take(), alerts.take()), (Some(3), None));
        [Some(1), None, Some(2)].into_iter().for_each(|wrong| alerts.add(wrong));
        assert_eq!(alerts.take(), None);
    }

    #[test]
    fn books_of_fewer_questions_than_were_asked_are_open() {
        let early = read(&text("balanced", 0), 2).expect("books");
        assert_eq!((early.balanced, early.open, early.are_wrong()), (0, 1, false));
        assert_eq!(read(&text("open", 0), 1).expect("books").open, 1);
    }
}
