//! F35. Goal: who guesses PINs gets too few tries to find a room, from one address or from many, and does not
//! keep the players of a room out. Method: guessers at addresses of the loopback net, one of them the room's
//! own, some with forged `X-Forwarded-For`; then the room's players join. Control: an edge without the bound
//! answers every try.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::raw;
use super::stage::{Setup, World, seed};
use super::talk::{Room, Talker};

const GUESS_TIME: Duration = Duration::from_secs(12);
/// Slower than the rate at which a socket is told to slow down.
const PAUSE: Duration = Duration::from_millis(100);
const ADDRESSES: u8 = 40;
const PER_MIN: usize = 10;
/// Tries that one address has in the time: those at once, and one for each six seconds.
const TRIES_MAX: usize = PER_MIN + 12 / 6 + 1;
const PLAYERS: usize = 20;

/// How many tries of one guesser were answered, and whether a room was found: not the own one, but those of other
/// tests may be open still.
async fn guess(world: &World, source: IpAddr, own: &str, dice: &mut StdRng, time: Duration) -> (usize, usize) {
    let mut talker = Talker::open_from(world.at(), source).await;
    let (mut tried, mut found) = (0, 0);
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        let pin = format!("{:06}", dice.random_range(0..1_000_000));
        if pin == own {
            continue;
        }
        talker.send(&json!({ "type": "join", "pin": pin, "nickname": "Eve" })).await;
        let answer = talker.next(&["joined", "error"]).await;
        match answer["code"].as_str() {
            Some("rate_limited") => {}
            Some("pin_not_found") => tried += 1,
            // That is more than it was to get; it goes on from a socket that is in no game.
            _ => {
                tried += 1;
                found += 1;
                talker = Talker::open_from(world.at(), source).await;
            }
        }
        sleep(PAUSE).await;
    }
    (tried, found)
}

#[tokio::test(flavor = "multi_thread")]
async fn f35_guessing_pins_does_not_pay() {
    let seed = seed();
    let world = std::sync::Arc::new(World::up(Setup::default()).await);
    let room = Room::open(world.at(), 1).await;
    let mut guessers = JoinSet::new();
    for number in 0..ADDRESSES {
        // The first is where the room is.
        let source = if number == 0 { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(127, 0, 1, number) };
        let (world, pin) = (std::sync::Arc::clone(&world), room.pin().to_string());
        let mut dice = StdRng::seed_from_u64(seed ^ u64::from(number));
        guessers.spawn(async move { guess(&world, source.into(), &pin, &mut dice, GUESS_TIME).await });
    }
    let tries = guessers.join_all().await;
    let (most, all): (usize, usize) =
        (tries.iter().map(|tries| tries.0).max().unwrap_or(0), tries.iter().map(|tries| tries.0).sum());
    let found: usize = tries.iter().map(|tries| tries.1).sum();
    let spoofed = forwarded(&world).await;
    let mut joined = 0;
    for number in 0..PLAYERS {
        Talker::join(world.at(), room.pin(), &format!("Player {number}")).await;
        joined += 1;
    }
    println!(
        "seed={seed} fault=F35 tries_max={most} tries={all} addresses={ADDRESSES} found={found} spoofed={spoofed} own_joined={joined}/{PLAYERS}"
    );
    assert!((1..=TRIES_MAX).contains(&most), "{most} tries of one address");
    assert!((1..=PER_MIN + 1).contains(&spoofed), "{spoofed} tries under forged addresses");
    drop(room);
    let world = std::sync::Arc::into_inner(world).expect("the guessers are done");
    world.down().await;
    control(seed).await;
}

/// Tries under a new forged address each, all from one.
async fn forwarded(world: &World) -> usize {
    let mut tried = 0;
    for number in 0..30 {
        let lines = [format!("x-forwarded-for: 9.9.9.{number}"), format!("forwarded: for=9.9.9.{number}")];
        let (stream, _) = raw::upgraded_from(world.at(), Ipv4Addr::new(127, 0, 2, 1), &lines).await;
        let text = format!(r#"{{"type":"join","pin":"{number:06}","nickname":"Eve"}}"#);
        let answer = raw::text_answer(stream, &text).await;
        tried += usize::from(answer.contains("pin_not_found"));
    }
    tried
}

/// Where bots are welcome, every try is answered: the check can fail.
async fn control(seed: u64) {
    let world = World::up(Setup { edge: &[("QUIZ_EDGE__BOTS_WELCOME", "true")], ..Setup::default() }).await;
    let mut dice = StdRng::seed_from_u64(seed);
    let time = PAUSE * 10 * TRIES_MAX as u32;
    let (tried, _) = guess(&world, Ipv4Addr::LOCALHOST.into(), "", &mut dice, time).await;
    assert!(tried > TRIES_MAX, "{tried} tries without the bound");
    world.down().await;
}
