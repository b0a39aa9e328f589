//! What goes into a socket's machine and what comes out.

use std::sync::Arc;

use quiz_schemas::events::RefusalReason;
use quiz_schemas::quiz::QuestionKind;
use quiz_schemas::{AnyEvent, EdgeId, GameId, LaneNo, Pin, PlayerId, Position, QuestionNo, SubmissionId};
use smol_str::SmolStr;

use crate::protocol::{Close, Cursor, LobbyName, OwnOutcome, ServerMessage};
use crate::token::{Seat, Signer};

/// What a socket's machine may look at. The same for all sockets of an edge.
pub struct Surroundings {
    /// The edge's name in records.
    pub edge: EdgeId,
    /// Signs tokens and receipts.
    pub signer: Signer,
    /// Names the incarnation of the log; cursors of another one say nothing.
    pub epoch: SmolStr,
}

impl Surroundings {
    /// The offset of a cursor of this epoch.
    pub(super) fn offset_of(&self, cursor: Option<Cursor>) -> Option<i64> {
        cursor.filter(|cursor| cursor.epoch == self.epoch).map(|cursor| cursor.offset)
    }

    pub(super) fn cursor_at(&self, offset: i64) -> Cursor {
        Cursor { epoch: self.epoch.clone(), offset }
    }
}

/// The driver's clocks and dice at an input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// The wall clock, µs since 1970.
    pub wall_us: i64,
    /// A monotonic clock from any start, ms.
    pub mono_ms: u64,
    /// How long the question last delivered to this socket has been before its player, µs; none
    /// when the edge does not know yet.
    pub elapsed_us: Option<i64>,
    /// How many sockets the edge holds.
    pub sockets: usize,
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
        /// Whether it was told as it opened, and not when it had been open.
        live: bool,
    },
    /// The question takes no more answers.
    Stopped(QuestionNo),
    /// The question's board is out: what was answered to it is stored, or about to be.
    Settled(QuestionNo),
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
    /// Too many come back at once.
    Busy {
        /// When to try again, ms.
        retry_after_ms: u32,
    },
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
    /// Where what follows stands: an offset in the results.
    pub cursor: i64,
    /// Whether what the socket missed follows, and no snapshot.
    pub recovered: bool,
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
    /// The answer to [`Action::LookUp`].
    LookedUp {
        /// Which question.
        question: QuestionNo,
        /// Which submission.
        submission: SubmissionId,
        /// What was found.
        found: LookedUp,
    },
    /// A text frame that came while the whole edge was stopped; nobody knows when.
    Stale(&'a str),
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
    /// Too many join at once, from the client's address or at this edge.
    RateLimited {
        /// When to try again, ms.
        retry_after_ms: u32,
    },
}

/// What the store has of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookedUp {
    /// This submission is the player's answer.
    Stored {
        /// Where it stands in the log.
        position: Position,
        /// The time that was scored, µs.
        elapsed_us: i64,
    },
    /// It is not, and will not be.
    NotStored,
    /// Nothing was found out in time.
    Unknown,
}

/// What became of an answer, for the edge's books ([`crate::tallies`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tally {
    /// Appended, and acknowledged by the broker.
    Acked {
        /// Whose.
        player: PlayerId,
        /// Which.
        submission: SubmissionId,
    },
    /// A resend that was acked again without an append.
    Repeated,
    /// Told an error for good.
    Refused,
    /// Told to send it again: whether it is in the log is not known.
    Unavailable,
}

/// An answer as it was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Logged {
    pub(super) player: PlayerId,
    pub(super) question: QuestionNo,
    pub(super) submission: SubmissionId,
    pub(super) elapsed_us: i64,
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
        /// Whose.
        player: PlayerId,
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
        /// From where on it wants to be told what it missed.
        cursor: Option<i64>,
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
    /// Look whether the store has this answer; answer with [`Input::LookedUp`].
    LookUp {
        /// Whose.
        seat: Arc<Seat>,
        /// To which question.
        question: QuestionNo,
        /// Which.
        submission: SubmissionId,
        /// Whether the question's board is out, so that the answer is stored by now if it ever is.
        settled: bool,
    },
    /// Count what became of an answer.
    Tally {
        /// To which question.
        question: QuestionNo,
        /// What.
        tally: Tally,
    },
    /// Count a proof that came with an answer.
    ProofSeen {
        /// Whether it was good.
        good: bool,
    },
    /// Close the socket. Nothing but a [`Action::Tally`] follows.
    Close(Close),
}
