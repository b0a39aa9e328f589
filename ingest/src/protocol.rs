//! The socket protocol, `quiz.v1.json`: one JSON object a text frame, `type` says which.
//!
//! Both directions both ways: the edge reads what a client writes, and bots and tests read what
//! the edge writes. `docs/asyncapi.yaml` describes the same messages for other languages.

mod client;
mod codes;
mod server;

pub use client::{Answer, ClientMessage, Command, FrameError, HostAction, Replying, parse};
pub use codes::{Close, ErrorCode};
pub use server::{
    Ack, Board, BoardLine, CorrectAnswer, Counted, Cursor, ErrorMessage, Hosting, Joined, Lobby, LobbyName, Over,
    OwnOutcome, QuestionMessage, ServerMessage, Stopped, Taken,
};

/// The WebSocket subprotocol that a client must ask for.
pub const SUBPROTOCOL: &str = "quiz.v1.json";

/// The largest frame and message that a client may send, bytes.
pub const FRAME_BYTES_MAX: usize = 16 * 1024;

/// The longest text answer, characters.
pub const TEXT_CHARS_MAX: usize = 200;

/// The longest nickname that is looked at, bytes; the rules allow fewer characters.
pub const NICKNAME_BYTES_MAX: usize = 512;

/// The longest id of a command, bytes.
pub const COMMAND_ID_BYTES_MAX: usize = 64;

/// The longest token, bytes.
pub const TOKEN_BYTES_MAX: usize = 2048;

/// The longest name of an epoch that is looked at, bytes.
pub const EPOCH_BYTES_MAX: usize = 64;

/// How many of the newest names a host is greeted with.
pub const HOST_LOBBY_NAMES_MAX: usize = 200;

/// How many names a player is told of at once.
pub const PLAYER_LOBBY_NAMES_MAX: usize = 20;
