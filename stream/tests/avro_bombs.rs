//! Goal: a record of a few bytes that says that it is huge costs neither memory nor time. Method: at each place
//! of real records, a length of its own: 2^31 and 2^40 and beyond, as a count and as the count of a sized block;
//! and a schema that is nested ten thousand times. The process's peak of memory is read from the kernel.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

use std::time::{Duration, Instant};

use quiz_schemas::codec::FRAME_BYTES;
use quiz_schemas::events::{
    AnswersRecord, JoinsDecided, LaneCounts, LaneScored, PlayerAdmitted, PresenceChanged, ScoresRecord, SessionsRecord,
};
use quiz_schemas::{AnyEvent, Codec, GameId, PlayerId, Position, Topic};

mod kit;

/// The longest that one decode may take of the processor: a busy machine is not the bomb's doing.
const DECODE_MAX: Duration = Duration::from_millis(10);

/// What the process may grow by, KiB.
const GROWTH_KIB_MAX: u64 = 8 * 1024;

/// The peak of this process's resident memory, KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The processor time of this thread.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// Avro's long.
fn long(value: i64) -> Vec<u8> {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

fn records() -> Vec<AnyEvent> {
    let game = GameId::from_bits(7);
    let admitted = PlayerAdmitted { player: PlayerId::from_bits(1), nickname: "Ada".into(), lane: 0, edge: None };
    let session = |body| SessionsRecord { game, seq: 1, at_us: 1, cause: None, body };
    let scored = LaneScored { part: 0, parts: 1, distribution: vec![], outcomes: vec![] };
    let position = Position { partition: 0, offset: 0 };
    let counts = LaneCounts::default();
    let presence = PresenceChanged {
        connected: vec![PlayerId::from_bits(1)],
        edges: vec!["e".into()],
        disconnected: vec![],
        answered: vec![],
    };
    let answer: AnswersRecord = kit::answer(7, 0, 1);
    vec![
        answer.into(),
        session(JoinsDecided { admitted: vec![admitted], refused: vec![] }.into()).into(),
        session(presence.into()).into(),
        ScoresRecord { game, lane: 0, question: 0, position, counts, body: scored.into() }.into(),
    ]
}

#[test]
fn a_length_that_lies_costs_nothing() {
    let codec = Codec::with_fixed_ids();
    let lies: Vec<Vec<u8>> = [1 << 31, 1 << 40, i64::MAX, (1 << 31) - 1, -(1 << 40), i64::MIN].map(long).to_vec();
    let sized: Vec<Vec<u8>> = [(-(1i64 << 40), 1i64 << 40), (-1, 1 << 40), (-(1 << 40), 0)]
        .map(|(count, size)| [long(count), long(size)].concat())
        .to_vec();
    let (mut bombs, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    // Everything that is made once is made before.
    let events = records();
    for event in &events {
        codec.decode_any(event.topic(), &codec.encode_any(event).unwrap()).unwrap();
    }
    let before = peak_kib();
    for event in &events {
        let whole = codec.encode_any(event).unwrap();
        for place in FRAME_BYTES..whole.len() {
            for lie in lies.iter().chain(&sized) {
                for tail in [&whole[place..], &[0; 32][..], &[]] {
                    let bomb = [&whole[..place], lie, tail].concat();
                    let started = busy();
                    let decoded = codec.decode_any(event.topic(), &bomb);
                    slowest = slowest.max(busy() - started);
                    bombs += 1;
                    refused += u32::from(decoded.is_err());
                }
            }
        }
    }
    let grown = peak_kib() - before;
    println!("bombs={bombs} refused={refused} slowest_us={} grown_kib={grown}", slowest.as_micros());
    assert!(refused * 2 > bombs, "they are bombs: {refused} of {bombs}");
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB for records of a few bytes");
    assert!(slowest <= DECODE_MAX, "{slowest:?}");
}

#[test]
fn a_schema_nested_ten_thousand_times_is_refused() {
    const DEPTH: usize = 10_000;
    let codec = Codec::with_fixed_ids();
    let text = format!("{}\"int\"{}", "{\"type\":\"array\",\"items\":".repeat(DEPTH), "}".repeat(DEPTH));
    let started = Instant::now();
    codec.add(4_711, &text).unwrap_err();
    println!("depth={DEPTH} refused_ms={}", started.elapsed().as_millis());
    assert!(started.elapsed() < Duration::from_secs(1));
    codec.decode_any(Topic::Answers, &[0, 0, 0, 0x12, 0x67, 2]).unwrap_err();
}
