//! What a run tells its players and what they tell it, whether they are in this process or another.
//! Between processes it is one JSON object a line: orders into a child's stdin, reports out of its
//! stdout.

use std::io;
use std::path::PathBuf;

use quiz_schemas::{GameId, Pin, QuestionNo};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::figures::Figures;

/// The longest line, bytes: figures of 1,000 games of 200 questions are shorter.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The players of one game that one process has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The game's number in the run.
    pub no: u32,
    /// The game.
    pub game: GameId,
    /// Its PIN.
    pub pin: Pin,
    /// The number of the first of them over the whole run.
    pub first: u32,
    /// How many.
    pub players: u32,
}

/// What players are told. Times are µs of the machine's monotonic clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Join, each at its time after `began_us`.
    Seat {
        /// Who and where.
        part: Part,
        /// When joining began.
        began_us: u64,
    },
    /// The host has asked for a question.
    Asked {
        /// Of which game.
        game: GameId,
        /// Which.
        question: QuestionNo,
        /// When.
        at_us: u64,
    },
    /// The host has heard that a question takes no more answers, and its markers follow at once.
    Closed {
        /// Of which game.
        game: GameId,
        /// Which.
        question: QuestionNo,
        /// When, the grace that no one can do anything about taken in.
        at_us: u64,
    },
    /// The host has ended the game with this number in the run: all should hear of it soon.
    Over(u32),
    /// Tell the figures so far.
    Tell,
    /// The run is through.
    Leave,
}

/// What players tell.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// A process is there.
    Ready {
        /// What it writes down goes here.
        log: Option<PathBuf>,
    },
    /// All of a part have their seats.
    Seated {
        /// The game's number in the run.
        no: u32,
    },
    /// Not all of a part will get one.
    Unseated {
        /// The game's number in the run.
        no: u32,
        /// Why, with how many did.
        why: String,
    },
    /// A part is through with its game.
    Ended {
        /// The game's number in the run.
        no: u32,
        /// How many of it heard that the game is over.
        heard: u32,
        /// What went wrong for one of the others.
        why: Option<String>,
    },
    /// The figures so far.
    Told(Box<Figures>),
}

/// Reads the next line; None at the end.
///
/// # Errors
/// When there is no line of that kind, or it is longer than any can be.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a line is cut off")),
    }
}

/// Writes a line, at once.
///
/// # Errors
/// When nobody reads any more.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_carry_orders_and_reports() {
        let (no, game) = (3, GameId::from_bits(7));
        let part = Part { no, game, pin: Pin::from_index(5), first: 100, players: 20 };
        let orders = [
            Order::Seat { part, began_us: 17 },
            Order::Asked { game, question: 2, at_us: u64::MAX },
            Order::Over(no),
            Order::Tell,
            Order::Leave,
        ];
        let mut text = Vec::new();
        for order in &orders {
            write(&mut text, order).await.expect("a vector takes all");
        }
        let mut lines = text.as_slice();
        for order in orders {
            assert_eq!(read(&mut lines).await.expect("a line"), Some(order));
        }
        assert_eq!(read::<Order>(&mut lines).await.expect("the end"), None);
        assert!(read::<Order>(&mut "\"tell\"".as_bytes()).await.is_err(), "its writer died in the middle");
        assert!(read::<Order>(&mut "{}\n".as_bytes()).await.is_err());

        let told = Report::Told(Box::default());
        let mut text = Vec::new();
        write(&mut text, &told).await.expect("a vector takes all");
        assert_eq!(read(&mut text.as_slice()).await.expect("a line"), Some(told));
    }
}
