//! A client of the edge: what every bot, load test and host in this program plays through. It
//! keeps what is not acknowledged, sends it again under the same submission id to any edge, comes
//! back with its token and its cursor, and applies each durable message once and in order.
//!
//! The rules are pure ([`backoff`], [`feed`], [`outbox`]); [`link`] keeps a socket open with them,
//! and [`player`] and [`host`] play on it.

pub mod alarm;
pub mod backoff;
pub mod choices;
pub mod create;
pub mod feed;
pub mod host;
pub mod link;
pub mod outbox;
pub mod player;
pub mod socket;
