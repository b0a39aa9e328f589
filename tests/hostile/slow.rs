//! F31. Goal: who opens connections and says nothing, or half of something, is closed within five seconds,
//! also when the edge has no file left for another; its accept loop goes on, the players that are in play on,
//! `/readyz` says that it is full, and two seconds later all is as before. Method: an edge that may open 256
//! files, and 2,000 half handshakes in batches. Control: whole handshakes are let in before and after, and
//! a batch does fill the edge.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::raw::upgraded;
use super::stage::{LOOK, Setup, World, seed};
use super::talk::Room;

const FILES: &str = "--nofile=256";
const BATCHES: usize = 10;
const BATCH: usize = 200;
/// The promise, and what a loaded machine may add.
const CLOSE_WAIT: Duration = Duration::from_millis(5_000 + 1_000);
const NORMAL_WAIT: Duration = Duration::from_secs(2);
const ACK_WAIT: Duration = Duration::from_secs(1);

/// Opens a connection, says half of something, and waits for its end; none when it stays open.
async fn half(world_at: std::net::SocketAddr, text: &'static str) -> Option<Duration> {
    let mut stream = TcpStream::connect(world_at).await.ok()?;
    let opened = Instant::now();
    let _ = stream.write_all(text.as_bytes()).await;
    let mut byte = [0; 256];
    let ended = timeout(2 * CLOSE_WAIT, async { while matches!(stream.read(&mut byte).await, Ok(1..)) {} });
    ended.await.ok().map(|()| opened.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn f31_half_handshakes_do_not_hold_the_edge() {
    let seed = seed();
    let setup =
        Setup { wrapper: &["prlimit", FILES], edge: &[("QUIZ_EDGE__BOTS_WELCOME", "true")], ..Setup::default() };
    let world = World::up(setup).await;
    let mut room = Room::open(world.at(), BATCHES).await;
    drop(upgraded(world.at(), &[]).await);
    let halves = ["", "G", "GET /v1/ws HTTP/1.1\r\nhost: quiz\r\n", "POST /v1/games HTTP/1.1\r\ncontent-length: 9"];
    let (mut closed, mut slowest, mut full, mut ack) = (0, Duration::ZERO, 0, Duration::ZERO);
    for batch in 0..BATCHES {
        let mut running = JoinSet::new();
        for number in 0..BATCH {
            running.spawn(half(world.at(), halves[number % halves.len()]));
        }
        let question = room.ask().await;
        ack = ack.max(room.answer(question).await);
        room.board().await;
        let mut is_full = false;
        while !running.is_empty() {
            is_full |= world.edge.ask("/readyz").await.0 == 503;
            while let Some(ended) = running.try_join_next() {
                let after = ended.expect("it does not panic").unwrap_or(2 * CLOSE_WAIT);
                closed += usize::from(after <= CLOSE_WAIT);
                slowest = slowest.max(after);
            }
            sleep(LOOK).await;
        }
        full += usize::from(is_full);
        println!("batch {batch}: {closed} closed, slowest {slowest:?}, full {is_full}");
    }
    let ended = Instant::now();
    while world.edge.ask("/readyz").await.0 != 200 && ended.elapsed() < NORMAL_WAIT {
        sleep(LOOK).await;
    }
    drop(upgraded(world.at(), &[]).await);
    let normal = ended.elapsed();
    println!(
        "seed={seed} fault=F31 closed={closed}/{} slowest_ms={} full={full}/{BATCHES} ack_ms_max={} normal_ms={}",
        BATCHES * BATCH,
        slowest.as_millis(),
        ack.as_millis(),
        normal.as_millis()
    );
    assert_eq!(closed, BATCHES * BATCH);
    assert!(full > 0, "the edge was never full");
    assert!(ack <= ACK_WAIT && normal <= NORMAL_WAIT);
    world.down().await;
}
