//! F34. Goal: a page of another origin gets no socket and no game in its visitor's name. Method: upgrades
//! with origins that are nearly right. Controls: the page of this very host and the listed one are let in,
//! and so is a program, which sends no origin (a browser always does).

use tokio::net::TcpStream;

use super::raw::{ask, request, status};
use super::stage::{Setup, World, seed};

const GOOD: &str = "https://good.example";
const BAD: [&str; 12] = [
    "https://evil.example",
    "null",
    "",
    "https://good.example.evil",
    "https://x.good.example",
    "https://evilgood.example",
    "https://good.example:444",
    "http://good.example",
    "https://good.example@evil.example",
    "https://good.example, https://evil.example",
    "file://",
    "http://127.0.0.1:1",
];

async fn upgrade(world: &World, origin: Option<&str>) -> u16 {
    let mut stream = TcpStream::connect(world.at()).await.expect("the edge listens");
    let lines: Vec<String> = origin.map(|origin| format!("origin: {origin}")).into_iter().collect();
    status(&ask(&mut stream, request(world.at(), &lines).as_bytes()).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn f34_other_origins_get_no_socket() {
    let seed = seed();
    let world = World::up(Setup { edge: &[("QUIZ_EDGE__ALLOWED_ORIGINS", GOOD)], ..Setup::default() }).await;
    let mut refused = 0;
    for origin in BAD {
        let status = upgrade(&world, Some(origin)).await;
        assert_eq!(status, 403, "{origin:?}");
        refused += 1;
    }
    // A page elsewhere may not even ask whether it may create a game.
    let preflight = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, format!("http://{}/v1/games", world.at()))
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let preflight = preflight.send().await.expect("the edge answers");
    assert!(!preflight.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
    let own = format!("http://{}", world.at());
    let mut admitted = 0;
    for origin in [Some(GOOD), Some("HTTPS://Good.Example"), Some(own.as_str()), None] {
        assert_eq!(upgrade(&world, origin).await, 101, "{origin:?}");
        admitted += 1;
    }
    println!("seed={seed} fault=F34 refused={refused}/{} admitted={admitted}/4", BAD.len());
    world.down().await;
}
