//! Goal: who is gone is found out in time, and who is not is not asked for nothing. Method: a machine whose clock is set.

use super::*;
use crate::limits::{HEARTBEAT_MS, HEARTBEAT_MS_MAX, HEARTBEATS_PER_S, PING_INTERVAL_MS, PROBE_AFTER_MS, SLOW_WAIT_MS};

#[test]
fn a_silent_socket_is_pinged_and_closed() {
    let mut bench = Bench::joined();
    bench.on(Input::Control);
    is_pinged_and_closed(&mut bench, PING_INTERVAL_MS);
}

fn is_pinged_and_closed(bench: &mut Bench, interval_ms: u64) {
    let heard_ms = bench.now.mono_ms;
    for (after_ms, action) in [
        (interval_ms, Some(Action::Ping)),
        (2 * interval_ms - 1, None),
        (2 * interval_ms, Some(Action::Close(Close::NoPong))),
    ] {
        assert!(bench.machine.next_tick_ms() <= heard_ms + after_ms || action.is_none());
        bench.now.mono_ms = heard_ms + after_ms;
        assert_eq!(bench.on(Input::Tick), Vec::from_iter(action), "{after_ms}");
    }
}

/// Goal: however many sockets an edge holds, it is asked at most [`HEARTBEATS_PER_S`] times a second, as far as
/// the bounds allow; and it pings only who should have asked by then.
#[test]
fn the_more_sockets_an_edge_holds_the_less_often_it_is_asked() {
    for (sockets, expected_ms) in [(0, 4_000), (2_000, 4_000), (5_000, 10_000), (12_500, 25_000), (usize::MAX, 30_000)]
    {
        let mut bench = Bench::joined();
        bench.now.sockets = sockets;
        let told = sent(&bench.text(r#"{"type":"ping"}"#));
        let [ServerMessage::Pong { heartbeat_ms }] = told[..] else { panic!("{told:?}") };
        assert_eq!(heartbeat_ms, expected_ms, "{sockets}");
        let unbounded = (HEARTBEAT_MS..HEARTBEAT_MS_MAX).contains(&heartbeat_ms);
        assert!(!unbounded || sockets * 1_000 <= HEARTBEATS_PER_S * heartbeat_ms as usize, "{sockets}");
        // It is waited for as it was told, though the others go.
        bench.now.sockets = 1;
        let interval_ms = PING_INTERVAL_MS.max(u64::from(heartbeat_ms) + 5_000);
        is_pinged_and_closed(&mut bench, interval_ms);
    }
}

/// Goal: who is told to ask seldom is asked by the edge later still, and a crowd that hears something at once does not
/// ask at once. Method: the times of sockets over the whole spread, on an edge with many.
#[test]
fn a_crowd_asks_by_itself_and_not_at_once() {
    let mut told: Vec<u64> = Vec::new();
    for spread in (0..SPREAD_MAX).step_by(100) {
        let now = Now { sockets: 10_000, ..Bench::new().now };
        let mut bench = Bench { machine: Connection::new(now, spread), now, ..Bench::new() };
        bench.join();
        let out = bench.on(Input::Game(&Mark::Admitted(head())));
        let [ServerMessage::Joined(joined)] = &sent(&out)[..] else { panic!("{out:?}") };
        let heartbeat_ms = u64::from(joined.heartbeat_ms);
        bench.on(Input::Control);
        bench.on(Input::Game(&Mark::Plain));
        let heard_ms = bench.now.mono_ms;
        let probe_ms = bench.machine.next_tick_ms() - heard_ms;
        assert!(probe_ms >= heartbeat_ms + heartbeat_ms / 10, "{probe_ms} after {heartbeat_ms}");
        bench.now.mono_ms += probe_ms;
        assert_eq!(bench.on(Input::Tick), [Action::Ping]);
        let close_ms = heard_ms + 2 * probe_ms.min(heartbeat_ms + 5_000);
        bench.now.mono_ms = close_ms - 1;
        assert_eq!(closes(&bench.on(Input::Tick)), None, "it has as long again");
        bench.now.mono_ms = close_ms;
        assert!(closes(&bench.on(Input::Tick)).is_some());
        told.push(heartbeat_ms);
    }
    let mean_ms = told.iter().sum::<u64>() / told.len() as u64;
    assert!((19_000..=20_000).contains(&mean_ms), "500 a second: {told:?}");
    assert!(told.is_sorted() && told[9] - told[0] > 13_000, "over many seconds: {told:?}");
}

#[test]
fn a_client_that_does_not_take_what_it_is_sent_is_too_slow() {
    let mut bench = Bench::asked();
    bench.on(Input::Control);
    bench.on(Input::Game(&Mark::Plain));
    let sent_ms = bench.now.mono_ms;
    assert_eq!(bench.machine.next_tick_ms(), sent_ms + PROBE_AFTER_MS);
    bench.now.mono_ms += PROBE_AFTER_MS;
    assert_eq!(bench.on(Input::Tick), [Action::Ping]);
    assert_eq!(bench.on(Input::Tick), [], "one ping is enough");
    // More that it is sent gives it no more time.
    bench.on(Input::Game(&Mark::Plain));
    assert_eq!(bench.machine.next_tick_ms(), sent_ms + SLOW_WAIT_MS);
    bench.now.mono_ms = sent_ms + SLOW_WAIT_MS;
    assert_eq!(bench.on(Input::Tick), [Action::Close(Close::TooSlow)]);

    let mut bench = Bench::asked();
    bench.on(Input::Game(&Mark::Plain));
    bench.now.mono_ms += PROBE_AFTER_MS;
    assert_eq!(bench.on(Input::Tick), [Action::Ping]);
    bench.on(Input::Control);
    bench.now.mono_ms += SLOW_WAIT_MS;
    assert_eq!(bench.on(Input::Tick), [], "it has answered");
}
