//! Goal: the guess of the cluster's time is late by the shortest delay only, and no wall clock of
//! this node or of a worker can move it. Method: two clocks that the test sets, and delays drawn at random.

use super::*;
use proptest::prelude::*;

const BROKER_US: i64 = 1_790_000_000_000_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn the_time_is_not_known_before_an_ack() {
    let start = Instant::now();
    let clock = BrokerClock::new(start);
    clock.read(BROKER_US, start + ms(5));
    assert_eq!(clock.now_us(start + ms(5)), None, "a record may be old");
    clock.acked(BROKER_US, start + ms(10));
    assert_eq!(clock.now_us(start + ms(30)), Some(BROKER_US + 20_000));
    clock.read(BROKER_US - 60_000_000, start + ms(31));
    assert_eq!(clock.now_us(start + ms(40)), Some(BROKER_US + 30_000), "an old record says nothing");
    clock.read(BROKER_US + 30_000, start + ms(35));
    assert_eq!(clock.now_us(start + ms(40)), Some(BROKER_US + 35_000), "a fresher one makes it better");
    clock.acked(0, start + ms(41));
    assert_eq!(clock.now_us(start + ms(41)), Some(BROKER_US + 36_000), "a record without a stamp");
}

#[test]
fn a_broker_clock_that_is_set_back_is_followed() {
    let start = Instant::now();
    let clock = BrokerClock::new(start);
    clock.acked(BROKER_US, start);
    let back = BROKER_US - 10_000_000;
    let mut at_ms = 0;
    while at_ms <= 2 * CLOCK_HALF_WINDOW_MS {
        at_ms += 1_000;
        clock.acked(back + at_ms as i64 * 1000, start + ms(at_ms));
    }
    assert_eq!(clock.now_us(start + ms(at_ms)), Some(back + at_ms as i64 * 1000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The edge's wall clock is five minutes off either way, and so is the worker's: neither is
    /// anywhere in what is computed, so the elapsed time of a greeted player is true but for the
    /// shortest delay of the last minute.
    #[test]
    fn the_guess_is_late_by_the_shortest_delay(
        delays_us in proptest::collection::vec(500i64..400_000, 1..60),
        reads_us in proptest::collection::vec(0i64..120_000_000, 0..60),
        skew_us in -300_000_000i64..300_000_000,
        open_us in 0i64..60_000_000,
    ) {
        let start = Instant::now();
        // The monotonic clock began when the broker's said this.
        let origin_us = BROKER_US + skew_us;
        let clock = BrokerClock::new(start);
        let mut at_us = 0;
        for (index, delay_us) in delays_us.iter().enumerate() {
            let stamped_us = at_us;
            at_us += delay_us;
            clock.acked(origin_us + stamped_us, start + Duration::from_micros(at_us as u64));
            if let Some(old_us) = reads_us.get(index) {
                clock.read(origin_us + at_us - old_us - 500, start + Duration::from_micros(at_us as u64));
            }
        }
        let now = start + Duration::from_micros(at_us as u64);
        let late_us = origin_us + at_us - clock.now_us(now).expect("acked");
        let shortest = delays_us.iter().copied().min().unwrap_or(0);
        prop_assert!((0..=shortest).contains(&late_us), "late by {late_us}, the shortest delay is {shortest}");

        let greeted = Greeted { seen: now, appended_at_us: Some(origin_us + at_us - open_us) };
        let elapsed_us = greeted.elapsed_us(now, clock.now_us(now)).expect("the clock is known");
        prop_assert!((open_us - shortest..=open_us).contains(&elapsed_us) || (elapsed_us == 0 && open_us < shortest));
        prop_assert_eq!(greeted.elapsed_us(now, None), None);
    }
}
