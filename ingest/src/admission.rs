//! Who may do how much: rates by address, and which address a request comes from.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use axum::http::HeaderMap;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::EdgeConfig;
use crate::limits::ADDRESSES_MAX;

/// Rates by address.
pub(crate) struct Admission {
    joins: DefaultKeyedRateLimiter<IpAddr>,
    creations: DefaultKeyedRateLimiter<IpAddr>,
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

impl Admission {
    pub(crate) fn new(config: &EdgeConfig) -> Self {
        let joins = Quota::per_second(at_least_one(config.joins_per_s_per_ip))
            .allow_burst(at_least_one(config.joins_burst_per_ip));
        let creations = Quota::per_minute(at_least_one(config.creations_per_min_per_ip));
        Self { joins: RateLimiter::keyed(joins), creations: RateLimiter::keyed(creations) }
    }

    /// Counts a join; false when the address has had too many.
    pub(crate) fn join(&self, from: IpAddr) -> bool {
        admits(&self.joins, from)
    }

    /// Counts a game's creation; false when the address has had too many.
    pub(crate) fn creation(&self, from: IpAddr) -> bool {
        admits(&self.creations, from)
    }

    /// Forgets addresses that have been quiet. To be called now and then.
    pub(crate) fn forget_quiet(&self) {
        self.joins.retain_recent();
        self.creations.retain_recent();
    }
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
        let from = |address: &str| (0..10).filter(|_| admission.join(ip(address))).count();
        assert_eq!(from("1.2.3.4"), 3);
        assert_eq!(from("1.2.3.5"), 3);
        assert_eq!(from("2001:db8:1:2::7"), 3);
        assert_eq!(from("2001:db8:1:2::8"), 0, "the same subscriber");
        assert_eq!(from("::ffff:1.2.3.4"), 0, "the same address");
    }
}
