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
/// When a client whose time could not be told may try again, ms: an edge that has just started waits for
/// its first acknowledgement.
pub const CLOCK_RETRY_AFTER_MS: u32 = 100;
/// When a client whose append failed may try again, ms.
pub const APPEND_RETRY_AFTER_MS: u32 = 500;
/// How long a join may take from its append to its admission, ms.
pub const JOIN_WAIT_MS: u64 = 5_000;
/// When a client whose join came to nothing may try again, ms.
pub const JOIN_RETRY_AFTER_MS: u32 = 1_000;
/// How long players who have all answered may wait to hear that the question is closed, ms: they mostly hear it
/// together with the board.
pub const CLOSED_HOLD_MS: u64 = 100;
/// How long a board may wait for the outcomes behind it, ms: it mostly leaves in one write with a player's own.
pub const BOARD_HOLD_MS: u64 = 20;
/// How long after an answer's receipt its client is told that it was taken, when the log has not
/// acknowledged it by then, ms. What an edge that dies sooner has taken loses its time.
pub const TAKEN_AFTER_MS: u64 = 100;
/// Look-ups of stored answers of one socket at once.
pub const LOOKUPS_IN_FLIGHT_MAX: u32 = 4;
/// Look-ups of stored answers of one edge at once.
pub const LOOKUPS_MAX: usize = 64;
/// How long an answer is looked for while its question's board is not out, ms.
pub const LOOKUP_ANSWER_WAIT_MS: u64 = 2_000;
/// How long it is looked for when the board is out: the board may be told a moment before the answers
/// are stored, ms.
pub const LOOKUP_SETTLED_WAIT_MS: u64 = 600;
/// Between two looks for an answer, ms.
pub const LOOKUP_POLL_MS: u64 = 200;
/// When a client whose answer could not be looked up may try again, ms.
pub const LOOKUP_RETRY_AFTER_MS: u32 = 1_000;
/// After how much silence a client asks whether its edge lives, ms, while the edge holds few sockets.
pub const HEARTBEAT_MS: u32 = 4_000;
/// The same on average at most, ms; with the spread 43 s, for proxies cut what is silent for a minute.
pub const HEARTBEAT_MS_MAX: u32 = 30_000;
/// How often an edge is asked each second when nothing else is said: with more sockets each waits for longer.
pub const HEARTBEATS_PER_S: usize = 500;
/// By how much longer the edge waits for a sign of life than a client that is to ask by itself, in hundredths of
/// what the client waits beyond [`HEARTBEAT_MS`].
pub const PROBE_BEHIND_PERCENT: u64 = 125;
/// Between two pings of a silent client, ms.
pub const PING_INTERVAL_MS: u64 = 15_000;
/// And not before so long after the client would have asked, ms: one of the two is enough.
pub const PING_BEHIND_MS: u64 = 5_000;
/// How many of these intervals a client may be silent.
pub const PING_INTERVALS_MAX: u64 = 2;
/// How long after it was sent something a silent client is pinged, ms; longer where its heartbeat is.
pub const PROBE_AFTER_MS: u64 = 4_000;
/// How long after it was sent something a silent client is too slow, ms; longer where its heartbeat is.
pub const SLOW_WAIT_MS: u64 = 8_000;
/// Between two tries to log that a player is back, ms.
pub const PRESENCE_RETRY_MS: u64 = 2_000;
/// Tries to log that a player is back.
pub const PRESENCE_TRIES_MAX: u32 = 3;

const _: () = assert!(RECOVERY_MESSAGES_MAX + 16 <= MAILBOX_MAX);
const _: () = assert!(PROBE_AFTER_MS < SLOW_WAIT_MS && SLOW_WAIT_MS < PING_INTERVAL_MS);
const _: () = assert!(HEARTBEAT_MS as u64 + PING_BEHIND_MS <= PING_INTERVAL_MS && HEARTBEAT_MS < HEARTBEAT_MS_MAX);
const _: () = assert!(APPEND_WAIT_MS < JOIN_WAIT_MS);
const _: () = assert!(RATE_BURST >= RATE_PER_S && 1000 % RATE_PER_S == 0);

/// Between two beats of the edge's pulse, ms.
pub const PULSE_INTERVAL_MS: u64 = 500;
/// An edge whose pulse stops for so long has stood still: its clients have gone elsewhere, ms.
pub const ZOMBIE_GAP_MS: u64 = 5_000;
/// When a client may come back that is closed because its edge goes, has stood still, or found it too
/// slow, ms; the client draws its wait from there down to 0.
pub const RETURN_AFTER_MS: u32 = 1_000;
/// When a client may come back that sent too much, ms.
pub const RATE_RETURN_AFTER_MS: u32 = 10_000;

const _: () = assert!(PULSE_INTERVAL_MS * 4 < ZOMBIE_GAP_MS);

/// Connections besides sockets: pages, requests, and what is not upgraded yet.
pub const PLAIN_CONNECTIONS_MAX: usize = 1_024;
/// Files that connections leave to the rest of the process: its listeners, Kafka, the store, the admin port.
pub const FILES_RESERVED: usize = 96;
/// How long the head of a request may take, ms. Also how long a connection may be idle.
pub const HEADER_WAIT_MS: u64 = 4_000;
/// How long no connection is accepted when files have run out, ms.
pub const ACCEPT_BACKOFF_MS: u64 = 100;
/// How long the door then looks whether it can accept again, ms.
pub const ACCEPT_PROBE_MS: u64 = 50;
/// What the system holds of what a client was sent, bytes; it doubles the number for its own use.
pub const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// How long a client may take to acknowledge what it was sent before the system breaks the connection, ms: longer
/// than [`SLOW_WAIT_MS`], so that a client that does not read is told why it is sent away, and counted.
pub const UNACKED_WAIT_MS: u64 = 9_500;
/// By how much the waits of clients that are told to come back later differ, ms.
pub const RETRY_SPREAD_MS: u32 = 1_000;

const _: () = assert!(HEADER_WAIT_MS < 5_000 && SLOW_WAIT_MS + 1_000 <= UNACKED_WAIT_MS && UNACKED_WAIT_MS < 10_000);

/// Deliveries that a game puts into mailboxes before other tasks have their turn.
pub const FAN_OUT_TURN: usize = 32;

/// Deliveries that wait in one socket's mailbox; one more evicts the socket.
pub const MAILBOX_MAX: usize = 64;
/// Commands and records that wait for one game's task.
pub const GAME_COMMANDS_MAX: usize = 1_024;
/// Games that one edge holds.
pub const GAMES_MAX: usize = 10_000;
/// How long a game may have no view in the store before those who wait are told, ms.
pub const VIEW_WAIT_MS: u64 = 5_000;
/// Between two looks for a view, ms.
pub const VIEW_POLL_MS: u64 = 50;
/// Between two tries to have a partition read, ms.
pub const TAIL_RETRY_MS: u64 = 500;
/// Players are told of the lobby this often at most, ms.
pub const LOBBY_INTERVAL_MS: u64 = 250;
/// And not more often than this for each player of the game, ms: it costs all edges together 500 lobby frames a
/// second at most, however many join.
pub const LOBBY_PLAYER_MS: u64 = 2;
/// How long after a game is loaded a question may be old news, ms.
pub const CATCH_UP_MS: u64 = 5_000;
/// How old a question may be and still be news, by the cluster's clock, µs.
pub const FRESH_US_MAX: i64 = 2_000_000;
/// Durable results of one game that are kept for those who come back.
pub const RECOVERY_RECORDS_MAX: usize = 256;
/// What they may hold in memory, bytes: the outcomes of 2,000 players take 80 kB a question.
pub const RECOVERY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most that a client is told again; one that missed more is told the present state.
pub const RECOVERY_MESSAGES_MAX: usize = 32;
/// Questions of one game whose results are kept for those who come back. Each is three messages or more (the question,
/// its close, its board), so whoever has missed more is told the present state; and one more, in which they left.
pub const RECOVERY_QUESTIONS_MAX: i32 = RECOVERY_MESSAGES_MAX as i32 / 3 + 2;
/// Records of a partition that are read before a game's view when it is loaded.
pub const RECOVERY_LOOK_BACK: i64 = 1_000;
/// How long a client may wait for what it missed while a game is loaded, ms.
pub const RECOVERY_WAIT_MS: u64 = 1_500;
/// How long after a game is loaded a player may wait for the edge to know the cluster's time, ms.
pub const CLOCK_WAIT_MS: u64 = 500;
/// Between two looks whether it does, ms.
pub const CLOCK_POLL_MS: u64 = 10;
/// Questions of one game that an edge keeps books of, the newest.
pub const TALLIED_QUESTIONS_MAX: usize = 8;
/// Games that an edge keeps books of.
pub const TALLIED_GAMES_MAX: usize = 20_000;
/// How long changes in books that were told are collected before they are told again, and how long after a
/// question's results it is told when they were written, ms.
pub const TALLY_DELAY_MS: u64 = 1_000;
/// Games of which an edge that stops tells the last books at once.
pub const TELLINGS_MAX: usize = 256;
/// Questions of one game of whose results an edge knows when they were written, the newest.
pub const DELIVERED_QUESTIONS_MAX: usize = 4;
/// Results that a socket writes before it is flushed; a board and an outcome come together.
pub const RESULTS_WRITTEN_MAX: usize = 2;
/// Half of the time that the guess of the cluster's clock looks back, ms.
pub const CLOCK_HALF_WINDOW_MS: u64 = 30_000;
/// Addresses whose rates are remembered; beyond that nobody new is let in until some are forgotten.
pub const ADDRESSES_MAX: usize = 200_000;
/// Between two clean-ups of remembered addresses, ms.
pub const FORGET_INTERVAL_MS: u64 = 30_000;
/// When a client whose address has tried too many PINs may try again, ms.
pub const PIN_RETRY_AFTER_MS: u32 = 6_000;
/// How long it is remembered that somebody at an address has found a room, ms.
pub const ROOM_FOUND_MS: u64 = 12 * 3600 * 1000;
/// Rooms found that are remembered, by address.
pub const ROOMS_FOUND_MAX: u64 = 100_000;
/// PINs in the cache.
pub const PINS_CACHED_MAX: u64 = 20_000;
/// How long a PIN's game is remembered, ms.
pub const PIN_HIT_MS: u64 = 60_000;
/// How long it is remembered that a PIN leads nowhere, ms.
pub const PIN_MISS_MS: u64 = 1_000;
/// Lanes' standings in the cache.
pub const STANDINGS_CACHED_MAX: u64 = 256;
/// Between two looks for standings that are due, ms.
pub const STANDINGS_POLL_MS: u64 = 500;
/// Looks for standings that are due.
pub const STANDINGS_TRIES_MAX: u32 = 6;
/// How long a look-up of a PIN may take, ms.
pub const LOOKUP_WAIT_MS: u64 = 3_000;
/// How long a socket may take to accept what it is sent before it is too slow, ms.
pub const SEND_WAIT_MS: u64 = 5_000;
/// How much longer than an append a closed socket waits for what became of it, ms.
pub const SETTLE_SLACK_MS: u64 = 500;
/// How long a socket whose edge has stood still is looked at for what has piled up, ms.
pub const STALE_WAIT_MS: u64 = 50;
/// Frames that are answered of a socket whose edge has stood still.
pub const STALE_FRAMES_MAX: usize = 64;
/// How long a closed socket may take to say goodbye, ms.
pub const CLOSE_WAIT_MS: u64 = 1_000;
/// Deliveries that are written together before the socket is flushed.
pub const DELIVERY_BATCH_MAX: usize = 16;
/// What a socket reads at once, bytes; the library's own 128 KiB would be 13 GB at 100,000 sockets.
pub const READ_BUFFER_BYTES: usize = 1024;
/// What a socket collects before it writes, bytes.
pub const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// What a socket may hold unwritten, bytes; above the largest frame, and there is one at a time.
pub const WRITE_BUFFER_BYTES_MAX: usize = 96 * 1024;
/// The largest HTTP body, bytes.
pub const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How much of a body that is too large is read before it is refused, bytes.
pub const DISCARD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long that may take, ms.
pub const DISCARD_WAIT_MS: u64 = 500;
/// What may come on a socket between two messages, bytes: the largest message in fragments of one byte.
pub const INFLOW_BYTES_MAX: usize = 128 * 1024;
/// How long a PIN is reserved, s.
pub const PIN_LIFE_S: i64 = 12 * 3600;
/// Random PINs tried for one game.
pub const PIN_TRIES_MAX: u32 = 32;
/// Players that one lane takes.
pub const LANE_PLAYERS_MAX: i32 = 2_000;
/// How many players a game admits unless its creator says otherwise.
pub const CAPACITY_DEFAULT: i32 = 2_000;
/// How long an HTTP request may take, ms.
pub const REQUEST_WAIT_MS: u64 = 15_000;

const _: () = assert!(WRITE_BUFFER_BYTES + 64 * 1024 < WRITE_BUFFER_BYTES_MAX);
/// Tries to log that a player's socket is gone.
pub const DISCONNECT_TRIES_MAX: u32 = 3;
/// How long `/readyz` waits for Kafka, ms.
pub const READY_WAIT_MS: u64 = 2_000;
/// How long the last appends may take when the edge stops, ms.
pub const FLUSH_WAIT_MS: u64 = 1_000;
