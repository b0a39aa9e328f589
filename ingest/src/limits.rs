//! Every bound of the edge, by name (I9).

/// Bad frames on one socket before it is closed.
pub const BAD_FRAMES_MAX: u32 = 20;
/// Frames a second that one socket may send for long.
pub const RATE_PER_S: u64 = 20;
/// Frames that one socket may send at once.
pub const RATE_BURST: u64 = 40;
/// Frames refused for their rate before the socket is closed, without a full recovery in between.
pub const LIMITED_FRAMES_MAX: u32 = 200;
/// When a client that was too fast may try again, ms.
pub const RATE_RETRY_AFTER_MS: u32 = 500;
/// Answers of one socket that may wait for the log.
pub const ANSWERS_IN_FLIGHT_MAX: u32 = 8;
/// Commands of one socket that may wait for the log.
pub const COMMANDS_IN_FLIGHT_MAX: u32 = 8;
/// How long an append may take before its client is told to try again, ms.
pub const APPEND_WAIT_MS: u64 = 2_000;
/// When a client whose append failed may try again, ms.
pub const APPEND_RETRY_AFTER_MS: u32 = 500;
/// How long a join may take from its append to its admission, ms.
pub const JOIN_WAIT_MS: u64 = 5_000;
/// When a client whose join came to nothing may try again, ms.
pub const JOIN_RETRY_AFTER_MS: u32 = 1_000;
/// Between two pings, ms.
pub const PING_INTERVAL_MS: u64 = 15_000;
/// How long a socket may be silent, ms.
pub const PONG_WAIT_MS: u64 = 30_000;
/// Between two tries to log that a player is back, ms.
pub const PRESENCE_RETRY_MS: u64 = 2_000;
/// Tries to log that a player is back.
pub const PRESENCE_TRIES_MAX: u32 = 3;

const _: () = assert!(PING_INTERVAL_MS < PONG_WAIT_MS);
const _: () = assert!(APPEND_WAIT_MS < JOIN_WAIT_MS);
const _: () = assert!(RATE_BURST >= RATE_PER_S && 1000 % RATE_PER_S == 0);
