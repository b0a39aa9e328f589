//! Who may do how much: rates by address, and which address a request comes from.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::HeaderMap;
use governor::clock::Clock;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use moka::future::Cache;
use quiz_schemas::Pin;

use crate::config::EdgeConfig;
use crate::limits::{ADDRESSES_MAX, JOIN_RETRY_AFTER_MS, PIN_RETRY_AFTER_MS, ROOM_FOUND_MS, ROOMS_FOUND_MAX};

/// Rates by address, and of the whole edge. Who comes back has a budget of their own, and a bigger one
/// than who is new: a storm of newcomers must not keep the players of running games out.
pub(crate) struct Admission {
    joins: DefaultKeyedRateLimiter<IpAddr>,
    creations: DefaultKeyedRateLimiter<IpAddr>,
    connections: DefaultKeyedRateLimiter<IpAddr>,
    pins: DefaultKeyedRateLimiter<IpAddr>,
    /// PINs that somebody at the address has found a game by.
    rooms: Cache<(IpAddr, Pin), ()>,
    all_joins: DefaultDirectRateLimiter,
    all_returns: DefaultDirectRateLimiter,
    /// Whose connections are many clients'.
    proxies: Vec<IpAddr>,
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

impl Admission {
    pub(crate) fn new(config: &EdgeConfig) -> Self {
        let joins = Quota::per_second(at_least_one(config.joins_per_s_per_ip))
            .allow_burst(at_least_one(config.joins_burst_per_ip));
        let creations = Quota::per_minute(at_least_one(config.creations_per_min_per_ip));
        // A page takes some connections before its socket.
        let connections = Quota::per_second(at_least_one(config.joins_per_s_per_ip.saturating_mul(4)))
            .allow_burst(at_least_one(config.joins_burst_per_ip.saturating_mul(4)));
        let pins = Quota::per_minute(at_least_one(config.pins_per_min_per_ip));
        let rooms = Cache::builder().max_capacity(ROOMS_FOUND_MAX);
        let all =
            |per_s, burst| RateLimiter::direct(Quota::per_second(at_least_one(per_s)).allow_burst(at_least_one(burst)));
        Self {
            joins: RateLimiter::keyed(joins),
            creations: RateLimiter::keyed(creations),
            connections: RateLimiter::keyed(connections),
            pins: RateLimiter::keyed(pins),
            rooms: rooms.time_to_live(Duration::from_millis(ROOM_FOUND_MS)).build(),
            all_joins: all(config.joins_per_s, config.joins_burst),
            all_returns: all(config.returns_per_s, config.returns_burst),
            proxies: config.trusted_proxies.clone(),
        }
    }

    /// Counts a join. The error is how long the client has to wait, ms.
    pub(crate) fn join(&self, from: IpAddr) -> Result<(), u32> {
        if self.joins.len() > ADDRESSES_MAX {
            return Err(JOIN_RETRY_AFTER_MS);
        }
        // Not a new clock: to make one asks the processor what it is, which a virtual machine is slow to answer.
        let now = self.joins.clock().now();
        self.joins.check_key(&network(from)).map_err(|wait| millis(wait.wait_time_from(now)))?;
        self.all_joins.check().map_err(|wait| millis(wait.wait_time_from(now)))
    }

    /// Counts a try of a PIN, unless the address knows the room. The error is how long the client has to
    /// wait, ms. Who guesses is stopped long before a room is likely to be found; whose room is found already
    /// is not kept out by a guesser at the same address.
    pub(crate) fn pin(&self, from: IpAddr, pin: Pin) -> Result<(), u32> {
        if self.rooms.contains_key(&(network(from), pin)) || admits(&self.pins, from) {
            return Ok(());
        }
        Err(PIN_RETRY_AFTER_MS)
    }

    /// Remembers that somebody at the address has found the room.
    pub(crate) async fn found(&self, from: IpAddr, pin: Pin) {
        self.rooms.insert((network(from), pin), ()).await;
    }

    /// Counts somebody who comes back with a token. The error is how long the client has to wait, ms.
    pub(crate) fn come_back(&self) -> Result<(), u32> {
        let now = self.all_returns.clock().now();
        self.all_returns.check().map_err(|wait| millis(wait.wait_time_from(now)))
    }

    /// Counts a connection; false when the address has had too many.
    pub(crate) fn connection(&self, from: IpAddr) -> bool {
        self.proxies.contains(&from.to_canonical()) || admits(&self.connections, from)
    }

    /// Counts a game's creation; false when the address has had too many.
    pub(crate) fn creation(&self, from: IpAddr) -> bool {
        admits(&self.creations, from)
    }

    /// Forgets addresses that have been quiet. To be called now and then.
    pub(crate) fn forget_quiet(&self) {
        self.joins.retain_recent();
        self.creations.retain_recent();
        self.connections.retain_recent();
        self.pins.retain_recent();
    }
}

fn millis(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1)
}

fn admits(limiter: &DefaultKeyedRateLimiter<IpAddr>, from: IpAddr) -> bool {
    // When so many addresses come at once that their rates no longer fit, none is let in (I9).
    limiter.len() <= ADDRESSES_MAX && limiter.check_key(&network(from)).is_ok()
}

/// What one subscriber has: an IPv4 address, or the /64 of an IPv6 one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// The client's address: the peer's, unless the peer is a trusted proxy. Then the nearest address
/// in `X-Forwarded-For` that is not one: what stands left of it anybody may have written.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.contains(&address.to_canonical());
    if !is_trusted(&peer) {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(',').map(str::trim));
    for hop in hops {
        match hop.parse::<IpAddr>() {
            Ok(address) if is_trusted(&address) => {}
            Ok(address) => return address,
            Err(_) => break,
        }
    }
    peer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        let forwarded = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            headers
        };
        for (peer, lines, client) in [
            ("9.9.9.9", &["1.2.3.4"][..], "9.9.9.9"),
            ("10.0.0.1", &[][..], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4"][..], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4"][..], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"][..], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4"][..], "1.2.3.4"),
            ("10.0.0.1", &["1.2.3.4, junk"][..], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["1.2.3.4"][..], "1.2.3.4"),
        ] {
            assert_eq!(client_address(ip(peer), &forwarded(lines), &trusted), ip(client), "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_burst_is_bounded_by_network() {
        let mut config = EdgeConfig::new([1; 32]);
        config.joins_per_s_per_ip = 1;
        config.joins_burst_per_ip = 3;
        let admission = Admission::new(&config);
        let from = |address: &str| (0..10).filter(|_| admission.join(ip(address)).is_ok()).count();
        assert_eq!(from("1.2.3.4"), 3);
        assert_eq!(from("1.2.3.5"), 3);
        assert_eq!(from("2001:db8:1:2::7"), 3);
        assert_eq!(from("2001:db8:1:2::8"), 0, "the same subscriber");
        assert_eq!(from("::ffff:1.2.3.4"), 0, "the same address");
    }

    /// Goal: newcomers from everywhere are bounded together, told when to come, and take nothing from
    /// those who come back.
    #[test]
    fn a_storm_of_newcomers_keeps_nobody_out_who_comes_back() {
        let mut config = EdgeConfig::new([1; 32]);
        (config.joins_per_s, config.joins_burst) = (10, 100);
        (config.returns_per_s, config.returns_burst) = (10, 300);
        let admission = Admission::new(&config);
        let joins = |n: u8| admission.join(IpAddr::from([10, 0, n, 1]));
        let admitted = (0..200).filter(|n| joins(*n).is_ok()).count();
        assert!((100..=110).contains(&admitted), "{admitted}");
        let wait_ms = joins(250).expect_err("too many");
        assert!((1..=200).contains(&wait_ms), "{wait_ms}");
        assert!((0..300).all(|_| admission.come_back().is_ok()));
        assert!((0..300).filter(|_| admission.come_back().is_err()).count() > 250);
    }

    #[test]
    fn connections_are_bounded_but_for_proxies() {
        let mut config = EdgeConfig::new([1; 32]);
        (config.joins_per_s_per_ip, config.joins_burst_per_ip) = (1, 2);
        config.trusted_proxies = vec![ip("10.0.0.1")];
        let admission = Admission::new(&config);
        assert_eq!((0..100).filter(|_| admission.connection(ip("1.2.3.4"))).count(), 8);
        assert_eq!((0..100).filter(|_| admission.connection(ip("10.0.0.1"))).count(), 100);
    }

    #[tokio::test]
    async fn an_address_tries_few_pins_but_joins_its_own_room() {
        let config = EdgeConfig::new([1; 32]);
        let admission = Admission::new(&config);
        let (guesser, other) = (ip("9.9.9.9"), ip("9.9.9.8"));
        let own = Pin::from_index(999_999);
        assert_eq!(admission.pin(guesser, own), Ok(()));
        admission.found(guesser, own).await;
        let tried = (0..1_000).filter(|index| admission.pin(guesser, Pin::from_index(*index)).is_ok()).count();
        assert_eq!(tried, config.pins_per_min_per_ip as usize - 1);
        assert_eq!(admission.pin(guesser, own), Ok(()), "a guesser does not keep a room out");
        assert_eq!(admission.pin(other, Pin::from_index(1)), Ok(()), "nor another address");
    }
}
