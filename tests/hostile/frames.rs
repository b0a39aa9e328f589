//! F29. Goal: frames that break the rules close their own socket with the right code within a second, cost
//! the edge at most 1 MiB each, and nobody else waits for an acknowledgement. Method: raw bytes on real
//! sockets, eight attackers at once of each kind, beside a player whose answer must be acknowledged
//! meanwhile. Control: eight sockets that send good frames stay open.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::raw::{ending, frame, header, upgraded};
use super::stage::{LOOK, Role, Setup, World, seed};
use super::talk::{Room, WAIT};

const ATTACKERS: usize = 8;
/// Sockets whose memory must be seen.
const SOCKETS: usize = 400;
/// The promises, and what a machine may add that stands still for a moment.
const CLOSE_WAIT: Duration = Duration::from_millis(1_000 + 4_000);
const ACK_WAIT: Duration = Duration::from_millis(1_000 + 4_000);
/// How long good frames are seen not to close a socket.
const OPEN_WAIT: Duration = Duration::from_secs(2);
const RSS_KIB_MAX: u64 = 1024;
const FRAGMENTS: usize = 1_000_000;
const PINGS: usize = 100_000;
const MIB: usize = 1024 * 1024;

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// What is sent, and the close code that it earns.
struct Attack {
    name: &'static str,
    code: u16,
    bytes: Vec<u8>,
}

fn attacks(dice: &mut StdRng) -> Vec<Attack> {
    let mask = Some(dice.random());
    let text = |first: u8, payload: &[u8]| frame(first, mask, payload);
    let attack = |name, code, bytes| Attack { name, code, bytes };
    let split = |parts: [&[u8]; 2]| [text(TEXT, parts[0]), text(FIN, parts[1])].concat();
    let fragments = |first: u8, payload: &[u8], count: usize| {
        [text(first, payload), text(0, payload).repeat(count - 2), text(FIN, payload)].concat()
    };
    vec![
        attack("reserved bit 1", 1002, text(FIN | 0x40 | TEXT, b"{}")),
        attack("reserved bit 2", 1002, text(FIN | 0x20 | TEXT, b"{}")),
        attack("reserved bit 3", 1002, text(FIN | 0x10 | TEXT, b"{}")),
        attack("reserved opcode", 1002, text(FIN | 3, b"{}")),
        attack("reserved control opcode", 1002, text(FIN | 0xb, b"")),
        attack("unmasked", 1002, frame(FIN | TEXT, None, br#"{"type":"ping"}"#)),
        attack("fragmented control", 1002, text(PING, b"half")),
        attack("long control", 1002, text(FIN | PING, &[b'x'; 126])),
        attack("continuation of nothing", 1002, text(FIN, b"{}")),
        attack("text inside of a text", 1002, [text(TEXT, b"{"), text(FIN | TEXT, b"}")].concat()),
        attack("close of one byte", 1002, text(FIN | CLOSE, &[3])),
        attack("close with a reserved code", 1002, text(FIN | CLOSE, &1005u16.to_be_bytes())),
        attack("binary", 1003, text(FIN | BINARY, b"{}")),
        attack("malformed UTF-8", 1007, text(FIN | TEXT, b"\xff\xfe")),
        attack("a surrogate", 1007, text(FIN | TEXT, b"\xed\xa0\x80")),
        attack("overlong UTF-8", 1007, text(FIN | TEXT, b"\xc0\xaf")),
        attack("UTF-8 that breaks off", 1007, text(FIN | TEXT, b"ab\xe2\x82")),
        attack("malformed UTF-8 over fragments", 1007, split([b"\xe2\x82", b"\xff"])),
        attack("17 MiB at once", 1009, text(FIN | TEXT, &vec![b'x'; 17 * MIB])),
        attack("17 MiB in fragments", 1009, fragments(TEXT, &[b'x'; 8 * 1024], 17 * 128)),
        attack("the header of 64 MiB", 1009, header(FIN | TEXT, mask, 64 * MIB as u64)),
        attack("the header of 2^63 - 1 bytes", 1009, header(FIN | TEXT, mask, i64::MAX as u64)),
        attack("one byte too much", 1009, header(FIN | TEXT, mask, 16 * 1024 + 1)),
        attack("a million empty fragments", 3013, fragments(TEXT, b"", FRAGMENTS)),
        attack("a flood of pings", 3013, text(FIN | PING, b"hello").repeat(PINGS)),
    ]
}

/// What became of attackers that came together.
struct Ends {
    /// How many were closed with the right code in time.
    good: usize,
    /// What became of the others.
    others: Vec<String>,
    /// How long the last of them took.
    took: Duration,
}

async fn all_at_once(edge: SocketAddr, attack: &Attack, wait: Duration) -> Ends {
    let mut sockets = Vec::new();
    for _ in 0..ATTACKERS {
        sockets.push(upgraded(edge, &[]).await.0);
    }
    let mut running = JoinSet::new();
    let begun = Instant::now();
    for socket in sockets {
        let bytes = attack.bytes.clone();
        running.spawn(async move { ending(socket, bytes, wait).await });
    }
    let ends = running.join_all().await;
    let took = begun.elapsed();
    let good = ends.iter().filter(|end| **end == Ok(Some(attack.code))).count();
    let others = ends.iter().filter(|end| **end != Ok(Some(attack.code)));
    Ends { good, others: others.map(|end| format!("{}: {end:?}", attack.name)).collect(), took }
}

async fn growth(edge: &Role, at: SocketAddr, attack: &Attack) -> (Ends, u64) {
    let watch = edge.watch();
    let ends = all_at_once(at, attack, CLOSE_WAIT).await;
    (ends, watch.grown_kib())
}

#[tokio::test(flavor = "multi_thread")]
async fn f29_bad_frames_are_closed_cheaply() {
    let seed = seed();
    let attacks = attacks(&mut StdRng::seed_from_u64(seed));
    let world = World::up(Setup::default()).await;
    let mut room = Room::open(world.at(), attacks.len()).await;
    // What an edge allocates once, for its first sockets, is no attacker's.
    let good = control(world.at()).await;
    let (mut refused, mut wrong, mut rss_kib) = (0, Vec::new(), 0);
    let (mut slowest, mut slowest_close) = ((Duration::ZERO, ""), (Duration::ZERO, ""));
    for attack in &attacks {
        let question = room.ask().await;
        let (ended, ack) = tokio::join!(growth(&world.edge, world.at(), attack), room.answer(question));
        let (ends, grown_kib) = ended;
        refused += ends.good;
        wrong.extend(ends.others);
        if grown_kib > RSS_KIB_MAX * ATTACKERS as u64 {
            wrong.push(format!("{}: {grown_kib} KiB for {ATTACKERS}", attack.name));
        }
        rss_kib = rss_kib.max(grown_kib);
        slowest = slowest.max((ack, attack.name));
        slowest_close = slowest_close.max((ends.took, attack.name));
        room.board().await;
    }
    let held_kib = sockets_kib(world.at(), &world.edge).await;
    let all = attacks.len() * ATTACKERS;
    println!(
        "seed={seed} fault=F29 refused={refused}/{all} good_open={good}/{ATTACKERS} close_ms_max={} of={:?} rss_kib={rss_kib} ack_ms_max={} beside={:?} sockets_kib={held_kib}",
        slowest_close.0.as_millis(),
        slowest_close.1,
        slowest.0.as_millis(),
        slowest.1
    );
    assert_eq!(wrong, Vec::<String>::new());
    assert!(slowest.0 <= ACK_WAIT, "an acknowledgement took {slowest:?}");
    assert!(held_kib > RSS_KIB_MAX, "the memory of {SOCKETS} open sockets is not seen");
    assert_eq!(good, ATTACKERS, "good frames are not closed");
    drop(room);
    world.down().await;
}

/// What the edge holds for many sockets at once: the control of the measure.
async fn sockets_kib(edge: SocketAddr, role: &Role) -> u64 {
    let watch = role.watch();
    let mut sockets = Vec::new();
    // All but the last byte of the largest message: the edge has to keep it.
    let whole = frame(FIN | TEXT, Some([1, 2, 3, 4]), &vec![b' '; 16 * 1024]);
    for _ in 0..SOCKETS {
        let mut socket = upgraded(edge, &[]).await.0;
        socket.write_all(&whole[..whole.len() - 1]).await.expect("the edge reads");
        sockets.push(socket);
    }
    let deadline = Instant::now() + WAIT;
    while watch.grown_kib() <= RSS_KIB_MAX && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    watch.grown_kib()
}

/// How many sockets that keep to the rules stay open: a ping, a text in fragments, a message too short to be too long.
async fn control(edge: SocketAddr) -> usize {
    let mask = Some([1, 2, 3, 4]);
    let text = br#"{"type":"ping"}"#;
    let good = [
        frame(FIN | PING, mask, b"x"),
        frame(TEXT, mask, &text[..5]),
        frame(FIN, mask, &text[5..]),
        frame(FIN | TEXT, mask, &vec![b' '; 16 * 1024]),
    ];
    let attack = Attack { name: "control", code: 0, bytes: good.concat() };
    let ends = all_at_once(edge, &attack, OPEN_WAIT).await;
    ends.others.iter().filter(|end| end.contains("it stays open")).count()
}
