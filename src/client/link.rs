//! A seat in a game whose socket comes back by itself, at one edge or another.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quiz_ingest::limits::HEARTBEAT_MS;
use quiz_ingest::protocol::{ClientMessage, Close, ErrorCode, Hosting, Joined, ServerMessage};
use quiz_schemas::{JoinKey, Pin};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::{Backoff, Hint};
use super::choices::Dice;
use super::feed::{Feed, Take};
use super::socket::{Closing, Incoming, Socket, Traffic};

/// How long a connection may take to open and be upgraded.
const OPEN_WAIT: Duration = Duration::from_secs(3);
/// How long an edge may take to let us in: longer than it waits for the log itself.
const GREETING_WAIT: Duration = Duration::from_secs(8);
/// How often an edge that says to try again is asked before another one is.
const HELLOS_MAX: u32 = 4;
/// How long a frame may take to leave.
const SEND_WAIT: Duration = Duration::from_secs(5);

/// After so much silence behind an answer or a command the edge is taken for dead: whatever the log does, an edge says
/// within 2 s that it has an answer.
const REPLY_SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long a pong may take beyond half of a heartbeat.
const PONG_SLACK: Duration = Duration::from_secs(4);

/// After so much silence the edge is taken for dead, when it is to be asked after `ping_after`.
fn silence_max(ping_after: Duration) -> Duration {
    ping_after * 3 / 2 + PONG_SLACK
}

/// How to reach the edges.
#[derive(Clone)]
pub struct Way {
    /// The edges, to be tried in turn.
    pub edges: Arc<[SocketAddr]>,
    /// The address to come from, when it is not the system's choice.
    pub source: Option<IpAddr>,
    /// Bounds how many connect at once.
    pub gate: Arc<Semaphore>,
    /// How long a seat goes on without any edge before it gives up.
    pub patience: Duration,
    /// Counts what goes through the sockets.
    pub traffic: Arc<Traffic>,
}

impl Way {
    /// A way to `edges` on which at most `at_once` connect at once.
    #[must_use]
    pub fn new(edges: &[SocketAddr], at_once: usize, patience: Duration) -> Self {
        let gate = Arc::new(Semaphore::new(at_once));
        let traffic = Arc::default();
        Self { edges: edges.into(), source: None, gate, patience, traffic }
    }
}

/// What a seat says first on a fresh socket.
#[derive(Clone, PartialEq, Debug)]
pub enum Hello {
    /// We have no seat yet.
    Join {
        /// The game's PIN.
        pin: Pin,
        /// The name to play under.
        nickname: String,
    },
    /// The seat that the token names.
    Resume {
        /// From `joined`.
        token: String,
    },
    /// The host's seat.
    Host {
        /// From the game's creation.
        token: String,
    },
}

/// Why a seat is lost for good.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum LinkError {
    /// An edge refuses us.
    #[error("the edge refuses: {0:?}")]
    Refused(ErrorCode),
    /// An edge closed the socket with a code that means not to come back.
    #[error("the edge closed the socket for good: {0}")]
    Closed(u16),
    /// No edge took us in all that time.
    #[error("no edge for {} s", .0.as_secs())]
    NoEdge(Duration),
}

/// An edge let us in.
#[derive(Debug)]
pub enum Greeting {
    /// As a player.
    Joined(Joined),
    /// As the host.
    Hosting(Hosting),
}

/// What happens on a link.
#[derive(Debug)]
pub enum Happening {
    /// We are in, for the first time or again.
    Entered {
        /// What the edge says.
        greeting: Box<Greeting>,
        /// Which edge.
        edge: SocketAddr,
        /// Since the seat was asked for, or since its socket went.
        took: Duration,
        /// Whether the seat had been there before.
        again: bool,
    },
    /// A message that is to be applied.
    Heard {
        /// The message.
        message: Box<ServerMessage>,
        /// The offset of the record that it comes of; None for a part of a snapshot and for what
        /// is volatile.
        at: Option<i64>,
    },
    /// A message of a record that was applied before.
    Stale {
        /// The message.
        message: Box<ServerMessage>,
        /// Its record's offset.
        at: i64,
    },
    /// The socket went; the next call looks for another.
    Lost {
        /// How it ended.
        closing: Closing,
        /// Whether we gave it up because it was silent.
        silent: bool,
        /// Which edge.
        edge: SocketAddr,
    },
}

enum Attempt {
    In(Box<(Socket, Greeting)>),
    Again(Hint),
}

/// A seat's connection.
pub struct Link {
    way: Way,
    hello: Hello,
    /// Goes with each try of a join, so that one whose answer was lost leads to the same seat.
    key: JoinKey,
    edge: usize,
    socket: Option<Socket>,
    feed: Feed,
    backoff: Backoff,
    hint: Hint,
    /// After how much silence the edge is asked whether it lives, as it says itself.
    ping_after: Duration,
    heard: Instant,
    pinged: Instant,
    /// When something was said that must have a reply, if nothing was heard since.
    asked: Option<Instant>,
    lost: Instant,
    entered: bool,
    failed: bool,
}

impl Link {
    /// A link that has no socket yet. It begins with edge number `edge`; `dice` make the key of its join and spread
    /// its waits.
    #[must_use]
    pub fn new(way: Way, hello: Hello, edge: usize, mut dice: Dice) -> Self {
        let now = Instant::now();
        Self {
            edge: edge % way.edges.len(),
            way,
            hello,
            key: JoinKey::from_bits(dice.roll()),
            socket: None,
            feed: Feed::default(),
            backoff: Backoff::new(dice),
            hint: Hint::default(),
            ping_after: millis(HEARTBEAT_MS),
            heard: now,
            pinged: now,
            asked: None,
            lost: now,
            entered: false,
            failed: false,
        }
    }

    /// Whether a socket is open and an edge has let us in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// Where the seat stands in its game's results.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The edge that the seat is at, or tries next.
    #[must_use]
    pub fn edge(&self) -> SocketAddr {
        self.way.edges[self.edge]
    }

    /// What happens next. Safe to cancel while [`Link::is_open`].
    ///
    /// # Errors
    /// When the seat is lost for good.
    pub async fn next(&mut self) -> Result<Happening, LinkError> {
        if self.socket.is_some() { self.listen().await } else { self.enter().await }
    }

    /// Sends a message. False when there is no socket or it is gone: the next call of
    /// [`Link::next`] tells.
    pub async fn send(&mut self, message: &ClientMessage) -> bool {
        let Some(socket) = &mut self.socket else { return false };
        if matches!(message, ClientMessage::Answer(_) | ClientMessage::Command(_)) {
            self.asked.get_or_insert_with(Instant::now);
        }
        matches!(timeout(SEND_WAIT, socket.send(message)).await, Ok(Ok(())))
    }

    async fn listen(&mut self) -> Result<Happening, LinkError> {
        loop {
            let silent_at = self.heard + silence_max(self.ping_after);
            let dead_at = self.asked.map_or(silent_at, |at| silent_at.min(at + REPLY_SILENCE_MAX));
            let look_at = dead_at.min(self.heard.max(self.pinged) + self.ping_after);
            let socket = self.socket.as_mut().expect("the caller has looked");
            tokio::select! {
                incoming = socket.next() => {
                    self.heard = Instant::now();
                    self.asked = None;
                    self.feed.heard(self.heard);
                    match incoming {
                        Incoming::Alive => {}
                        Incoming::Closed(closing) => return self.close(closing, false),
                        Incoming::Message(message) => match *message {
                            ServerMessage::Pong { heartbeat_ms } => self.ping_after = millis(heartbeat_ms),
                            _ => return Ok(self.sort(message)),
                        },
                    }
                }
                () = sleep_until(look_at) => {
                    if Instant::now() >= dead_at {
                        return self.close(Closing::default(), true);
                    }
                    self.pinged = Instant::now();
                    // If it cannot be sent, silence tells.
                    self.send(&ClientMessage::Ping).await;
                }
            }
        }
    }

    fn sort(&mut self, message: Box<ServerMessage>) -> Happening {
        let at = message.at();
        match (self.feed.take(at), at) {
            (Take::Drop, Some(at)) => Happening::Stale { message, at },
            _ => Happening::Heard { message, at },
        }
    }

    fn close(&mut self, closing: Closing, silent: bool) -> Result<Happening, LinkError> {
        // Dropped without a goodbye: an edge that is dead would not hear it, and one that only
        // slept must not be able to reach us any more.
        self.socket = None;
        self.asked = None;
        self.lost = Instant::now();
        self.failed = true;
        self.hint = Hint { least: Duration::ZERO, spread: closing.spread };
        let edge = self.edge();
        match closing.code {
            Some(code) if !Close::reconnects(code) => Err(LinkError::Closed(code)),
            _ => {
                self.edge = (self.edge + 1) % self.way.edges.len();
                Ok(Happening::Lost { closing, silent, edge })
            }
        }
    }

    async fn enter(&mut self) -> Result<Happening, LinkError> {
        loop {
            if self.failed {
                sleep(self.backoff.next(std::mem::take(&mut self.hint))).await;
            }
            if self.lost.elapsed() >= self.way.patience {
                return Err(LinkError::NoEdge(self.lost.elapsed()));
            }
            match self.attempt().await? {
                Attempt::In(entered) => return Ok(self.entered(*entered)),
                Attempt::Again(hint) => {
                    self.failed = true;
                    self.hint = hint;
                    self.edge = (self.edge + 1) % self.way.edges.len();
                }
            }
        }
    }

    fn entered(&mut self, (socket, greeting): (Socket, Greeting)) -> Happening {
        self.socket = Some(socket);
        self.backoff.settled();
        self.failed = false;
        let now = Instant::now();
        (self.heard, self.pinged, self.asked) = (now, now, None);
        let (cursor, recovered, heartbeat_ms) = match &greeting {
            Greeting::Joined(joined) => {
                self.hello = Hello::Resume { token: joined.token.clone() };
                (&joined.cursor, joined.recovered, joined.heartbeat_ms)
            }
            Greeting::Hosting(hosting) => (&hosting.cursor, hosting.recovered, hosting.heartbeat_ms),
        };
        self.ping_after = millis(heartbeat_ms);
        self.feed.greeted(cursor.clone(), recovered, now);
        let again = std::mem::replace(&mut self.entered, true);
        Happening::Entered { greeting: Box::new(greeting), edge: self.edge(), took: self.lost.elapsed(), again }
    }

    fn hello(&self) -> ClientMessage {
        let cursor = self.feed.resume().cloned();
        match &self.hello {
            Hello::Join { pin, nickname } => {
                ClientMessage::Join { pin: *pin, nickname: nickname.clone(), key: Some(self.key) }
            }
            Hello::Resume { token } => ClientMessage::Resume { token: token.clone(), cursor },
            Hello::Host { token } => ClientMessage::Host { token: token.clone(), cursor },
        }
    }

    async fn attempt(&mut self) -> Result<Attempt, LinkError> {
        let gate = self.way.gate.clone();
        let _turn = gate.acquire().await.expect("nobody closes the gate");
        let opening = Socket::counted(self.edge(), self.way.source, self.way.traffic.clone());
        let opened = timeout(OPEN_WAIT, opening).await;
        let mut socket = match opened {
            Ok(Ok(socket)) => socket,
            Ok(Err(err)) => return Ok(Attempt::Again(Hint::after(err.retry_after.unwrap_or_default()))),
            Err(_) => return Ok(Attempt::Again(Hint::default())),
        };
        for _ in 0..HELLOS_MAX {
            if !matches!(timeout(SEND_WAIT, socket.send(&self.hello())).await, Ok(Ok(()))) {
                return Ok(Attempt::Again(Hint::default()));
            }
            match timeout(GREETING_WAIT, greeting(&mut socket)).await.unwrap_or(Err(Refusal::Silent)) {
                Ok(greeting) => return Ok(Attempt::In(Box::new((socket, greeting)))),
                Err(Refusal::Error(ErrorCode::Unavailable | ErrorCode::RateLimited, hint)) => {
                    // The edge knows what it could not finish: it is asked again before another.
                    sleep(self.backoff.next(hint)).await;
                }
                Err(Refusal::Error(code, _)) => return Err(LinkError::Refused(code)),
                Err(Refusal::Silent) => return Ok(Attempt::Again(Hint::default())),
                Err(Refusal::Closed(closing)) => match closing.code {
                    Some(code) if !Close::reconnects(code) => return Err(LinkError::Closed(code)),
                    _ => return Ok(Attempt::Again(Hint { least: Duration::ZERO, spread: closing.spread })),
                },
            }
        }
        Ok(Attempt::Again(Hint::default()))
    }
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

enum Refusal {
    Error(ErrorCode, Hint),
    Closed(Closing),
    Silent,
}

/// Waits until the edge lets us in, or says why not.
async fn greeting(socket: &mut Socket) -> Result<Greeting, Refusal> {
    loop {
        match socket.next().await {
            Incoming::Message(message) => match *message {
                ServerMessage::Joined(joined) => return Ok(Greeting::Joined(joined)),
                ServerMessage::Hosting(hosting) => return Ok(Greeting::Hosting(hosting)),
                ServerMessage::Error(error) => {
                    let hint = Hint::after(Duration::from_millis(u64::from(error.retry_after_ms.unwrap_or(0))));
                    return Err(Refusal::Error(error.code, hint));
                }
                _ => {}
            },
            Incoming::Alive => {}
            Incoming::Closed(closing) => return Err(Refusal::Closed(closing)),
        }
    }
}
