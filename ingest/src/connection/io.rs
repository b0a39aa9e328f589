//! What goes into a socket's machine and what comes out.

use std::sync::Arc;

use quiz_schemas::events::RefusalReason;
use quiz_schemas::quiz::QuestionKind;
use quiz_schemas::{AnyEvent, EdgeId, GameId, LaneNo, Pin, PlayerId, Position, QuestionNo, SubmissionId};
use smol_str::SmolStr;

use crate::protocol::{Close, LobbyName, OwnOutcome, ServerMessage};
use crate::token::{Seat, Signer};

/// What a socket's machine may look at. The same for all sockets of an edge.
pub struct Surroundings {
    /// The edge's name in records.
    pub edge: EdgeId,
    /// Signs tokens and receipts.
    pub signer: Signer,
}

/// The driver's clocks and dice at an input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// The wall clock, µs since 1970.
    pub wall_us: i64,
    /// A monotonic clock from any start, ms.
    pub mono_ms: u64,
    /// How long the question last delivered to this socket has been before its player, µs.
    pub elapsed_us: i64,
}

/// What a socket is told by its game.
#[derive(Clone, PartialEq, Debug)]
pub enum Mark {
    /// Nothing that the machine must know.
    Plain,
    /// The game is held here; the socket may go on.
    Attached(Arc<GameHead>),
    /// The game is not held here.
    NotAttached(NotAttached),
    /// The join of this socket was admitted. The game's present state follows.
    Admitted(Arc<GameHead>),
    /// The join of this socket was refused.
    Refused(RefusalReason),
    /// A question is before the player.
    Question {
        /// Its number.
        question: QuestionNo,
        /// Its kind.
        kind: QuestionKind,
        /// How many options it has.
        options: u8,
        /// Whether it takes answers.
        accepting: bool,
    },
    /// The question takes no more answers.
    Stopped(QuestionNo),
    /// The socket is greeted with this question's board and lacks the player's own outcome.
    OutcomeMissing {
        /// Which question.
        question: QuestionNo,
        /// Players on its board.
        players: i32,
    },
    /// The player was removed.
    Kicked,
    /// The game is over.
    Over,
}

/// Why a game is not held here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAttached {
    /// Nothing was found out in time.
    Unavailable,
    /// The player was removed from it.
    Banned,
}

/// What a socket needs to know of a game at its door.
#[derive(Clone, PartialEq, Debug)]
pub struct GameHead {
    /// What players type to join.
    pub pin: Pin,
    /// The quiz's title.
    pub title: String,
    /// How many questions it has.
    pub questions: i32,
    /// Players in the game.
    pub players: i32,
    /// Whether the game is over.
    pub over: bool,
    /// The newest names; empty for players.
    pub lobby: Vec<LobbyName>,
}

/// Where a PIN leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PinTarget {
    /// The game.
    pub game: GameId,
    /// How many lanes it has.
    pub lanes: LaneNo,
}

/// What happens to a socket.
#[derive(Clone, PartialEq, Debug)]
pub enum Input<'a> {
    /// A text frame.
    Text(&'a str),
    /// A WebSocket ping or pong from the client.
    Control,
    /// A frame that cannot be read at all.
    Unreadable(Close),
    /// The answer to [`Action::Resolve`]; the driver brings the id that a new player gets.
    Resolved {
        /// Where the PIN leads, or nowhere.
        target: Result<Option<PinTarget>, Unresolved>,
        /// A random id.
        player: PlayerId,
    },
    /// The game says something.
    Game(&'a Mark),
    /// What became of [`Action::Append`].
    Appended {
        /// Which.
        ticket: Ticket,
        /// Where it stands, or that it is not known to stand anywhere.
        result: Result<Position, Unavailable>,
    },
    /// The answer to [`Action::LoadOutcome`]; none when there is none.
    Outcome(Option<OwnOutcome>),
    /// Time has passed.
    Tick,
    /// The driver wants the socket closed.
    Evict(Close),
}

/// Why a PIN was not looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unresolved {
    /// The store did not answer.
    Unavailable,
    /// The client's address has joined too often.
    RateLimited,
}

/// Something did not answer in time or said that it cannot now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unavailable;

/// Which append an acknowledgement is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ticket {
    /// A join request.
    Join,
    /// A player's coming back.
    Presence,
    /// An answer.
    Answer {
        /// Which question.
        question: QuestionNo,
        /// Which submission.
        submission: SubmissionId,
        /// The time that is scored, µs.
        elapsed_us: i64,
    },
    /// A host's command.
    Command(SmolStr),
}

/// As what a socket attaches to a game.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Waits to be admitted under this id.
    Joiner(PlayerId),
    /// Is this player.
    Player(PlayerId),
    /// Is a host.
    Host,
}

/// What the driver is to do. In order.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Send the message.
    Send(Box<ServerMessage>),
    /// Send a WebSocket ping.
    Ping,
    /// Find the PIN's game; answer with [`Input::Resolved`].
    Resolve(Pin),
    /// Attach to the game; it answers with [`Mark::Attached`] or [`Mark::NotAttached`].
    Attach {
        /// The game.
        game: GameId,
        /// As what.
        role: Role,
    },
    /// Append the record; answer with [`Input::Appended`].
    Append {
        /// To be given back.
        ticket: Ticket,
        /// The record.
        event: Box<AnyEvent>,
    },
    /// Load the player's outcome; answer with [`Input::Outcome`].
    LoadOutcome {
        /// Whose.
        seat: Arc<Seat>,
        /// Of which question.
        question: QuestionNo,
        /// Players on its board.
        players: i32,
    },
    /// Close the socket. Nothing follows.
    Close(Close),
}
