//! What the game's ledger says in the end: how many answers the store holds, and whether the books
//! of the questions balance.

use std::time::Duration;

use futures::StreamExt;
use quiz_ingest::http::GameLedger;
use quiz_schemas::GameId;
use quiz_schemas::events::LedgerState;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::client::link::Way;
use crate::exit::{Exit, Failure};

/// How long the books may take to close.
const BOOKS_WAIT: Duration = Duration::from_secs(10);
/// Between two looks at them.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long an edge may take to answer.
const REPLY_WAIT: Duration = Duration::from_secs(3);
/// Games whose books are asked for at once.
const ASKED_AT_ONCE: usize = 16;

/// A game whose books are asked for.
#[derive(Clone, Debug)]
pub struct Account {
    /// The game.
    pub game: GameId,
    /// Its host's token.
    pub token: String,
    /// How many of its questions were asked.
    pub questions: u64,
}

/// Questions by how their books stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct States {
    /// Every equation holds.
    pub balanced: u64,
    /// Not all is told yet, or nobody answers for them.
    pub open: u64,
    /// One equation does not.
    pub imbalanced: u64,
}

/// The books of all games together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Books {
    /// Answers that the store holds; none when no edge knows any books.
    pub stored: Option<u64>,
    /// Their questions.
    pub states: States,
}

impl Books {
    /// Adds a game of so many asked questions, with what an edge said of its books.
    fn add(&mut self, questions: u64, ledger: Option<&GameLedger>) {
        let mut states = States::default();
        for books in ledger.iter().flat_map(|ledger| &ledger.questions) {
            match books.ledger.state {
                LedgerState::Balanced => states.balanced += 1,
                LedgerState::Imbalanced => states.imbalanced += 1,
                LedgerState::Open | LedgerState::Unknown => {}
            }
            *self.stored.get_or_insert(0) += u64::try_from(books.ledger.lanes.stored).unwrap_or(0);
        }
        states.open = questions.saturating_sub(states.balanced + states.imbalanced);
        self.states.balanced += states.balanced;
        self.states.open += states.open;
        self.states.imbalanced += states.imbalanced;
    }
}

fn closed(account: &Account, ledger: Option<&GameLedger>) -> bool {
    let mut books = Books::default();
    books.add(account.questions, ledger);
    books.states.open == 0
}

/// Asks for the books of these games until all are closed, or for 10 s.
///
/// # Errors
/// When nothing can be asked for.
pub async fn look(way: &Way, accounts: &[Account]) -> Result<Books, Failure> {
    let client = reqwest::Client::builder().timeout(REPLY_WAIT).build();
    let client = client.map_err(|err| Failure::new(Exit::Failed, format!("no books can be asked for: {err}")))?;
    let mut ledgers: Vec<Option<GameLedger>> = vec![None; accounts.len()];
    let deadline = Instant::now() + BOOKS_WAIT;
    for edge in way.edges.iter().cycle() {
        let open = (0..accounts.len()).filter(|no| !closed(&accounts[*no], ledgers[*no].as_ref()));
        let open: Vec<usize> = open.collect();
        let asked = futures::stream::iter(open).map(|no| {
            let (client, account) = (&client, &accounts[no]);
            async move { (no, ask(client, &format!("http://{edge}/v1/games/{}/ledger", account.game), account).await) }
        });
        let mut answers = asked.buffer_unordered(ASKED_AT_ONCE);
        let mut none_open = true;
        while let Some((no, ledger)) = answers.next().await {
            // An edge that does not answer takes nothing back of what another one said.
            ledgers[no] = ledger.or(ledgers[no].take());
            none_open &= closed(&accounts[no], ledgers[no].as_ref());
            if Instant::now() >= deadline {
                break;
            }
        }
        if none_open || Instant::now() >= deadline {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    let mut books = Books::default();
    accounts.iter().zip(&ledgers).for_each(|(account, ledger)| books.add(account.questions, ledger.as_ref()));
    Ok(books)
}

async fn ask(client: &reqwest::Client, url: &str, account: &Account) -> Option<GameLedger> {
    let response = client.get(url).bearer_auth(&account.token).send().await.ok()?;
    response.error_for_status().ok()?.json().await.ok()
}

#[cfg(test)]
mod tests {
    use quiz_ingest::http::QuestionBooks;
    use quiz_schemas::events::{EdgeTotals, LaneTotals, QuestionLedger};

    use super::*;

    #[test]
    fn questions_are_counted_by_how_their_books_stand() {
        let game = GameId::from_bits(1);
        let states = [LedgerState::Balanced, LedgerState::Open, LedgerState::Imbalanced, LedgerState::Balanced];
        let questions = states.into_iter().enumerate().map(|(question, state)| {
            let lanes = LaneTotals { stored: 10, ..LaneTotals::default() };
            let (version, edges, suspects) = (1, EdgeTotals::default(), Vec::new());
            let (lost, unstored, phantom, unclaimed) = (0, 0, 0, 0);
            let ledger = QuestionLedger { version, state, edges, lanes, lost, unstored, phantom, unclaimed, suspects };
            QuestionBooks { question: question as u16, ledger }
        });
        let ledger = GameLedger { game, state: LedgerState::Imbalanced, questions: questions.collect() };
        let mut books = Books::default();
        books.add(6, Some(&ledger));
        books.add(2, None);
        assert_eq!(books, Books { stored: Some(40), states: States { balanced: 2, open: 5, imbalanced: 1 } });
        let account = Account { game, token: String::new(), questions: 6 };
        assert!(!closed(&account, Some(&ledger)), "three of its questions are open");
        let mut all_told = ledger;
        all_told.questions[1].ledger.state = LedgerState::Balanced;
        assert!(closed(&Account { questions: 4, ..account.clone() }, Some(&all_told)));
        assert!(!closed(&account, None));
    }
}
