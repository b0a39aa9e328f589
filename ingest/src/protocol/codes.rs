use serde::{Deserialize, Serialize};

use crate::limits::{RATE_RETURN_AFTER_MS, RETURN_AFTER_MS};

/// Why a message had no effect. A closed list; the socket stays open unless [`Close`] says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not a JSON object with a `type`.
    BadFrame,
    /// A `type` that this edge does not know.
    UnknownType,
    /// A field is missing, of the wrong type or out of bounds.
    BadField,
    /// The message or a part of it is too large.
    TooLarge,
    /// Too many messages; wait `retry_after_ms`.
    RateLimited,
    /// The message needs a joined player or a host.
    NotJoined,
    /// The socket has joined, or is joining, a game already.
    AlreadyJoined,
    /// No game has this PIN now.
    PinNotFound,
    /// The nickname cannot be used.
    NicknameInvalid,
    /// Another player has the nickname.
    NicknameTaken,
    /// The game admits no more players.
    GameFull,
    /// The host removed this player.
    Banned,
    /// The game is over.
    GameOver,
    /// The token is forged, foreign or expired.
    TokenInvalid,
    /// Only the host may do this.
    NotHost,
    /// No such question has been shown.
    QuestionUnknown,
    /// The question takes no more answers.
    QuestionClosed,
    /// The response does not fit the question.
    ResponseMisfit,
    /// Not logged: send it again after `retry_after_ms`.
    Unavailable,
    /// The game did not do what the host asked; `reason` says why.
    CommandRefused,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [ErrorCode; 20] = [
        ErrorCode::BadFrame,
        ErrorCode::UnknownType,
        ErrorCode::BadField,
        ErrorCode::TooLarge,
        ErrorCode::RateLimited,
        ErrorCode::NotJoined,
        ErrorCode::AlreadyJoined,
        ErrorCode::PinNotFound,
        ErrorCode::NicknameInvalid,
        ErrorCode::NicknameTaken,
        ErrorCode::GameFull,
        ErrorCode::Banned,
        ErrorCode::GameOver,
        ErrorCode::TokenInvalid,
        ErrorCode::NotHost,
        ErrorCode::QuestionUnknown,
        ErrorCode::QuestionClosed,
        ErrorCode::ResponseMisfit,
        ErrorCode::Unavailable,
        ErrorCode::CommandRefused,
    ];

    /// The code as it travels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadFrame => "bad_frame",
            ErrorCode::UnknownType => "unknown_type",
            ErrorCode::BadField => "bad_field",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::NotJoined => "not_joined",
            ErrorCode::AlreadyJoined => "already_joined",
            ErrorCode::PinNotFound => "pin_not_found",
            ErrorCode::NicknameInvalid => "nickname_invalid",
            ErrorCode::NicknameTaken => "nickname_taken",
            ErrorCode::GameFull => "game_full",
            ErrorCode::Banned => "banned",
            ErrorCode::GameOver => "game_over",
            ErrorCode::TokenInvalid => "token_invalid",
            ErrorCode::NotHost => "not_host",
            ErrorCode::QuestionUnknown => "question_unknown",
            ErrorCode::QuestionClosed => "question_closed",
            ErrorCode::ResponseMisfit => "response_misfit",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::CommandRefused => "command_refused",
        }
    }

    /// What a person is told. The detail is for the log, not for the client.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            ErrorCode::BadFrame => "the frame is not a JSON object with a type",
            ErrorCode::UnknownType => "the type is not known",
            ErrorCode::BadField => "a field is missing, of the wrong type or out of bounds",
            ErrorCode::TooLarge => "the message is too large",
            ErrorCode::RateLimited => "too many messages: wait a moment",
            ErrorCode::NotJoined => "join a game first",
            ErrorCode::AlreadyJoined => "this socket is in a game already",
            ErrorCode::PinNotFound => "no game has this PIN",
            ErrorCode::NicknameInvalid => "this nickname cannot be used",
            ErrorCode::NicknameTaken => "another player has this nickname",
            ErrorCode::GameFull => "the game is full",
            ErrorCode::Banned => "the host has removed you from this game",
            ErrorCode::GameOver => "the game is over",
            ErrorCode::TokenInvalid => "the token is not valid here",
            ErrorCode::NotHost => "only the host may do this",
            ErrorCode::QuestionUnknown => "no such question has been shown",
            ErrorCode::QuestionClosed => "the question takes no more answers",
            ErrorCode::ResponseMisfit => "the answer does not fit the question",
            ErrorCode::Unavailable => "it was not recorded: please send it again",
            ErrorCode::CommandRefused => "the game did not do it",
        }
    }
}

/// Why the edge closes a socket. 30xx means reconnect; 35xx and 10xx mean do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Close {
    /// The other side is done.
    Normal,
    /// A binary frame.
    Binary,
    /// A frame that breaks the rules of WebSocket.
    Protocol,
    /// A text frame that is not UTF-8.
    NotUtf8,
    /// A frame above [`super::FRAME_BYTES_MAX`].
    TooLarge,
    /// The edge is going away: come back, another takes over.
    Draining,
    /// The socket did not take what it was sent in time: come back.
    TooSlow,
    /// The edge stood still for a while; what it has is old: come back.
    Paused,
    /// No pong: come back.
    NoPong,
    /// The rate was exceeded without end: come back later.
    RateExceeded,
    /// A forged or foreign token.
    TokenInvalid,
    /// Too many bad frames.
    BadFrames,
    /// Removed by the host.
    Kicked,
}

impl Close {
    /// All of them.
    pub const ALL: [Close; 13] = [
        Close::Normal,
        Close::Binary,
        Close::Protocol,
        Close::NotUtf8,
        Close::TooLarge,
        Close::Draining,
        Close::TooSlow,
        Close::Paused,
        Close::NoPong,
        Close::RateExceeded,
        Close::TokenInvalid,
        Close::BadFrames,
        Close::Kicked,
    ];

    /// The WebSocket close code.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Close::Normal => 1000,
            Close::Binary => 1003,
            Close::Protocol => 1002,
            Close::NotUtf8 => 1007,
            Close::TooLarge => 1009,
            Close::Draining => 3001,
            Close::TooSlow => 3008,
            Close::Paused => 3010,
            Close::NoPong => 3012,
            Close::RateExceeded => 3013,
            Close::TokenInvalid => 3500,
            Close::BadFrames => 3501,
            Close::Kicked => 3503,
        }
    }

    /// The reason by name, also the label of the metric.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Close::Normal => "bye",
            Close::Binary => "binary_frame",
            Close::Protocol => "protocol_error",
            Close::NotUtf8 => "not_utf8",
            Close::TooLarge => "too_large",
            Close::Draining => "going_away",
            Close::TooSlow => "too_slow",
            Close::Paused => "paused",
            Close::NoPong => "no_pong",
            Close::RateExceeded => "rate_exceeded",
            Close::TokenInvalid => "token_invalid",
            Close::BadFrames => "bad_frames",
            Close::Kicked => "kicked",
        }
    }

    /// When a client may come back, ms; none when it should not. Sent along with the reason.
    #[must_use]
    pub const fn return_after_ms(self) -> Option<u32> {
        match self {
            Close::Draining | Close::TooSlow | Close::Paused | Close::NoPong => Some(RETURN_AFTER_MS),
            Close::RateExceeded => Some(RATE_RETURN_AFTER_MS),
            _ => None,
        }
    }

    /// The text of the close frame: the reason, and when to come back, as in `going_away 1000ms`.
    #[must_use]
    pub fn text(self) -> String {
        match self.return_after_ms() {
            Some(ms) => format!("{} {ms}ms", self.reason()),
            None => self.reason().to_string(),
        }
    }

    /// Whether a client that is closed with `code` should come back.
    #[must_use]
    pub const fn reconnects(code: u16) -> bool {
        code < 3500 && !matches!(code, 1000 | 1002 | 1003 | 1007 | 1009)
    }
}
