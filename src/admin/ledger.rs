//! `admin ledger`: a game's books, for people and for scripts.

use std::process::ExitCode;

use comfy_table::Table;
use quiz_ingest::http::{GameLedger, QuestionBooks};
use quiz_schemas::GameId;
use quiz_schemas::events::{Imbalance, LedgerState};
use quiz_store::Store;

use super::{connect, failed};
use crate::config::Config;
use crate::exit::{Exit, Failure};

const COLUMNS: [&str; 18] = [
    "question",
    "state",
    "received",
    "acked",
    "repeated",
    "refused",
    "unavailable",
    "silent",
    "logged",
    "scored",
    "late",
    "duplicate",
    "unfit",
    "stored",
    "lost",
    "unstored",
    "phantom",
    "unclaimed",
];

/// Prints the books of a game.
///
/// # Errors
/// When MongoDB does not answer, or knows of no such game.
pub(super) async fn show(config: &Config, game: GameId, json: bool) -> Result<ExitCode, Failure> {
    let store = connect(config).await?;
    let docs = store.ledgers(game).await.map_err(failed)?;
    if docs.is_empty() && store.view(game).await.map_err(failed)?.is_none() {
        return Err(Failure::new(Exit::NotFound, format!("there is no game {game}"))
            .hint("a game's id is in the answer to its creation; a PIN is not an id"));
    }
    let ledger = GameLedger::of(game, docs);
    if json {
        println!("{}", serde_json::to_string(&ledger).expect("books have only string keys"));
    } else {
        println!("{}", text(&ledger));
    }
    Ok(match ledger.state {
        LedgerState::Balanced => ExitCode::SUCCESS,
        _ => ExitCode::from(Exit::Found as u8),
    })
}

/// The books as a table, what is wrong under it, and one sentence at the end.
fn text(ledger: &GameLedger) -> String {
    let mut lines = Vec::new();
    if !ledger.questions.is_empty() {
        lines.push(table(&ledger.questions).to_string());
    }
    for QuestionBooks { question, ledger } in &ledger.questions {
        let suspects = ledger.suspects.iter();
        lines.extend(suspects.map(|it| format!("question {question}: {} is {}", it.submission, meaning(it.kind))));
        let named = i64::try_from(ledger.suspects.len()).unwrap_or(i64::MAX);
        let wrong = ledger.lost + ledger.unstored + ledger.phantom;
        if wrong > named {
            lines.push(format!("question {question}: and {} more", wrong - named));
        }
    }
    lines.push(verdict(ledger));
    lines.join("\n")
}

fn table(questions: &[QuestionBooks]) -> Table {
    let mut table = Table::new();
    table.set_header(COLUMNS);
    for QuestionBooks { question, ledger } in questions {
        let (edges, lanes) = (&ledger.edges, &ledger.lanes);
        let taken = [edges.received, edges.acked, edges.repeated, edges.refused, edges.unavailable, edges.silent];
        let kept = [lanes.logged, lanes.scored, lanes.late, lanes.duplicate, lanes.refused, lanes.stored];
        let wrong = [ledger.lost, ledger.unstored, ledger.phantom, ledger.unclaimed];
        let numbers = taken.iter().chain(&kept).chain(&wrong).map(ToString::to_string);
        table.add_row([question.to_string(), word(ledger.state).to_string()].into_iter().chain(numbers));
    }
    table
}

const fn word(state: LedgerState) -> &'static str {
    match state {
        LedgerState::Open => "open",
        LedgerState::Balanced => "balanced",
        LedgerState::Imbalanced => "imbalanced",
        LedgerState::Unknown => "unknown",
    }
}

const fn meaning(kind: Imbalance) -> &'static str {
    match kind {
        Imbalance::Lost => "lost: acknowledged to its player and not in the log",
        Imbalance::Unstored => "unstored: scored and not in the store",
        Imbalance::Phantom => "phantom: in the store or the log, and nobody took it",
        Imbalance::Miscounted => "miscounted",
        Imbalance::Unknown => "wrong in a way that this build does not know",
    }
}

fn verdict(ledger: &GameLedger) -> String {
    let with = |state| {
        let questions = ledger.questions.iter().filter(|books| books.ledger.state == state);
        questions.map(|books| books.question.to_string()).collect::<Vec<_>>().join(", ")
    };
    match ledger.state {
        LedgerState::Balanced => {
            let stored: i64 = ledger.questions.iter().map(|books| books.ledger.lanes.stored).sum();
            format!("balanced: {} questions, {stored} answers scored and stored once", ledger.questions.len())
        }
        LedgerState::Imbalanced => format!("imbalanced: questions {}", with(LedgerState::Imbalanced)),
        _ if ledger.questions.is_empty() => {
            "open: no books yet; is role ledger running? (`quizstream serve ledger`)".to_string()
        }
        _ => format!("open: questions {} have parties that have not told yet", with(LedgerState::Open)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quiz_schemas::SubmissionId;
    use quiz_schemas::events::{EdgeTotals, LaneTotals, QuestionLedger, Suspect};
    use quiz_store::LedgerDoc;

    fn doc(question: u16, state: LedgerState, suspects: Vec<Suspect>, unstored: i64) -> LedgerDoc {
        let edges = EdgeTotals { received: 9, acked: 7, repeated: 1, refused: 1, ..EdgeTotals::default() };
        let lanes = LaneTotals { logged: 7, scored: 7, stored: 7 - unstored, ..LaneTotals::default() };
        let (lost, phantom, unclaimed) = (0, 0, 0);
        let ledger = QuestionLedger { version: 1, state, edges, lanes, lost, unstored, phantom, unclaimed, suspects };
        LedgerDoc { game: GameId::from_bits(1), question, ledger }
    }

    #[test]
    fn the_last_line_says_how_the_books_stand() {
        let last = |docs| {
            let text = text(&GameLedger::of(GameId::from_bits(1), docs));
            text.lines().last().map(str::to_string).expect("a line")
        };
        let balanced = || doc(0, LedgerState::Balanced, Vec::new(), 0);
        assert_eq!(last(vec![balanced()]), "balanced: 1 questions, 7 answers scored and stored once");
        assert!(last(vec![balanced(), doc(1, LedgerState::Open, Vec::new(), 0)]).starts_with("open: questions 1 "));
        assert!(last(Vec::new()).starts_with("open: no books yet"));
        let both = vec![doc(0, LedgerState::Open, Vec::new(), 0), doc(1, LedgerState::Imbalanced, Vec::new(), 1)];
        assert_eq!(last(both), "imbalanced: questions 1");
    }

    #[test]
    fn what_is_wrong_is_named_and_the_rest_counted() {
        let submission = SubmissionId::from_bits(77);
        let suspect = Suspect { submission, kind: Imbalance::Unstored };
        let ledger = GameLedger::of(GameId::from_bits(1), vec![doc(3, LedgerState::Imbalanced, vec![suspect], 2)]);
        let text = text(&ledger);
        assert!(text.contains(&format!("question 3: {submission} is unstored")), "{text}");
        assert!(text.contains("question 3: and 1 more"), "{text}");
    }
}
