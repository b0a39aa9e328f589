//! What an error of the driver or the server means to a caller.

use std::time::Duration;

use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::StoreError;

/// The server's code for a second document with the same unique key.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// Errors by which the server says that the command itself is at fault: BadValue, FailedToParse,
/// Unauthorized, TypeMismatch, AuthenticationFailed, CommandNotFound, ShardKeyNotFound,
/// InvalidOptions, DocumentValidationFailure, and two for a document beyond 16 MiB. Any other may
/// pass with time, so it counts as "unavailable".
const REFUSALS: [i32; 11] = [2, 9, 13, 14, 18, 59, 61, 72, 121, 10_334, 17_419];

pub(super) fn of(error: Error) -> StoreError {
    let text = || error.to_string();
    match error.kind.as_ref() {
        ErrorKind::BsonDeserialization(_) => StoreError::Corrupt(text()),
        ErrorKind::BsonSerialization(_)
        | ErrorKind::InvalidArgument { .. }
        | ErrorKind::Authentication { .. }
        | ErrorKind::InvalidTlsConfig { .. }
        | ErrorKind::IncompatibleServer { .. } => StoreError::Refused(text()),
        ErrorKind::Command(command) => of_code(command.code, &command.message),
        ErrorKind::Write(WriteFailure::WriteError(write)) => of_code(write.code, &write.message),
        _ => StoreError::Unavailable(text()),
    }
}

/// What a server's error code means.
pub(super) fn of_code(code: i32, message: &str) -> StoreError {
    let text = format!("code {code}, {message}");
    if REFUSALS.contains(&code) { StoreError::Refused(text) } else { StoreError::Unavailable(text) }
}

/// Whether a single insert failed because the document is there.
pub(super) fn is_duplicate(error: &Error) -> bool {
    matches!(error.kind.as_ref(),
        ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE_KEY)
}

/// Whether the server answered a command with this code.
pub(super) fn has_code(error: &Error, code: i32) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if command.code == code)
}

pub(super) fn timed_out(after: Duration) -> StoreError {
    unavailable(format!("no answer within {} ms", after.as_millis()))
}

pub(super) fn unavailable(why: impl Into<String>) -> StoreError {
    StoreError::Unavailable(why.into())
}
