//! How an edge is set up: validated before any port opens.

use std::net::IpAddr;
use std::time::Duration;

/// What an edge is told about itself. [`EdgeConfig::new`] has the values that fit most.
#[derive(Clone, PartialEq, Eq)]
pub struct EdgeConfig {
    /// Signs tokens; at least [`crate::token::SECRET_BYTES_MIN`] bytes, the same on every edge.
    pub token_secret: Vec<u8>,
    /// `https://host` under which players reach the edge; none: what the request's `Host` says.
    pub public_url: Option<String>,
    /// Origins whose pages may connect, besides pages of this very host.
    pub allowed_origins: Vec<String>,
    /// Whether a client without an `Origin` may connect: programs, not browsers.
    pub allow_missing_origin: bool,
    /// Addresses whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// The most sockets at once.
    pub connections_max: usize,
    /// Joins a second from one address.
    pub joins_per_s_per_ip: u32,
    /// Joins at once from one address: a room behind one router.
    pub joins_burst_per_ip: u32,
    /// PINs that one address may try a minute, and at once. A PIN of a room that somebody at the address has
    /// found is tried no more: a class behind one router joins with one try.
    pub pins_per_min_per_ip: u32,
    /// Joins a second at this edge, from all addresses.
    pub joins_per_s: u32,
    /// Joins at once at this edge.
    pub joins_burst: u32,
    /// Players and hosts a second that come back to this edge: more than newcomers, for their games run.
    pub returns_per_s: u32,
    /// Players and hosts at once that come back.
    pub returns_burst: u32,
    /// Games created a minute from one address.
    pub creations_per_min_per_ip: u32,
    /// How long a game is held without a socket.
    pub game_idle: Duration,
    /// Over which time sockets are told to go when the edge stops.
    pub drain_window: Duration,
    /// When stopping must be done, at the latest.
    pub drain_deadline: Duration,
    /// Whether a socket without a subprotocol is answered with an echo of what it sends, for suites that
    /// check how an endpoint speaks WebSocket. Never on an edge that has players.
    pub conformance: bool,
    /// What `/version` says.
    pub version: String,
}

impl EdgeConfig {
    /// An edge with this secret and otherwise default values.
    #[must_use]
    pub fn new(token_secret: impl Into<Vec<u8>>) -> Self {
        Self {
            token_secret: token_secret.into(),
            public_url: None,
            allowed_origins: Vec::new(),
            allow_missing_origin: true,
            trusted_proxies: Vec::new(),
            connections_max: 18_000,
            joins_per_s_per_ip: 200,
            joins_burst_per_ip: 2_000,
            pins_per_min_per_ip: 10,
            joins_per_s: 1_000,
            joins_burst: 5_000,
            returns_per_s: 4_000,
            returns_burst: 20_000,
            creations_per_min_per_ip: 30,
            game_idle: Duration::from_secs(30),
            drain_window: Duration::from_secs(3),
            drain_deadline: Duration::from_secs(10),
            conformance: false,
            version: env!("CARGO_PKG_VERSION").to_string(),
        }
    }
}

impl std::fmt::Debug for EdgeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeConfig")
            .field("token_secret", &"…")
            .field("public_url", &self.public_url)
            .field("allowed_origins", &self.allowed_origins)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("connections_max", &self.connections_max)
            .finish_non_exhaustive()
    }
}
