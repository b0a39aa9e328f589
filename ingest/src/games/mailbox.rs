use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use quiz_schemas::QuestionNo;
use tokio::sync::mpsc;

use crate::connection::{Mark, Role};
use crate::deliveries::ResultWrites;
use crate::fair_time::Greeted;
use crate::limits::MAILBOX_MAX;
use crate::signals::Signals;

/// Names a socket of this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SocketId(pub u64);

/// One thing that a socket is told. Shared by all sockets that are told it.
#[derive(Debug)]
pub struct Delivery {
    /// The frame to send, if any, encoded once.
    pub text: Option<Utf8Bytes>,
    /// What the socket's machine must know of it.
    pub mark: Mark,
    /// Set when the frame puts a question before the player.
    pub clock: Option<QuestionClock>,
    /// Set when the frame is a result that is news: whoever has written it says so here.
    pub writes: Option<Arc<ResultWrites>>,
}

/// From when a player's time for a question runs.
#[derive(Clone, Copy, Debug)]
pub struct QuestionClock {
    /// The question.
    pub question: QuestionNo,
    /// None: from the write to the socket. Else the question was no news when the socket was told.
    pub greeted: Option<Greeted>,
}

/// A socket as it attaches to a game.
#[derive(Debug)]
pub struct Attach {
    /// Which socket.
    pub socket: SocketId,
    /// As what.
    pub role: Role,
    /// Where it stands in the game's durable messages, if it says so and the epoch is this one's.
    pub cursor: Option<i64>,
    /// Where the game talks to it.
    pub mailbox: mpsc::Sender<Arc<Delivery>>,
    /// Where the socket is told that it is too slow, when the mailbox overflows.
    pub evict: Arc<Signals>,
}

/// A new bounded mailbox.
#[must_use]
pub fn mailbox() -> (mpsc::Sender<Arc<Delivery>>, mpsc::Receiver<Arc<Delivery>>) {
    mpsc::channel(MAILBOX_MAX)
}

impl Delivery {
    /// A mark without a frame.
    #[must_use]
    pub fn mark(mark: Mark) -> Arc<Self> {
        Arc::new(Self { text: None, mark, clock: None, writes: None })
    }
}
