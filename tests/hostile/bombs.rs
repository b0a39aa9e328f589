//! F30, by HTTP. Goal: a request that is far larger than it looks, or than any quiz, is refused within a
//! second and costs the edge at most 16 MiB. Method: raw requests on the real endpoint, one at a time, with
//! the edge's memory watched by the kernel. Controls: a small quiz in the same words makes a game, and the
//! largest body that is read at all is seen in the memory.

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::raw::{status, upgraded};
use super::stage::{Setup, World, seed};

/// The promise, and what a loaded machine may add.
const ANSWER_WAIT: Duration = Duration::from_millis(1_000 + 1_000);
const RSS_KIB_MAX: u64 = 16 * 1024;
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
const MIB: usize = 1024 * 1024;
/// Zeros in the bomb, MiB.
const BOMB_MIB: usize = 256;

/// What is sent, and the statuses that it may earn.
struct Bomb {
    name: &'static str,
    statuses: &'static [u16],
    bytes: Vec<u8>,
}

fn head(lines: &[&str]) -> String {
    let mut head = "POST /v1/games HTTP/1.1\r\nhost: quiz\r\nconnection: close\r\n".to_string();
    for line in lines {
        head += &format!("{line}\r\n");
    }
    head + "\r\n"
}

fn post(lines: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    let mut all = vec!["content-type: application/json", length.as_str()];
    all.extend(lines);
    [head(&all).as_bytes(), body].concat()
}

/// `before`, as many `items` as fit into the largest body, `after`.
fn filled(before: &str, item: &str, after: &str) -> Vec<u8> {
    let room = BODY_BYTES_MAX - before.len() - after.len();
    let items = item.repeat(room / item.len());
    format!("{before}{}{after}", items.trim_end_matches(',')).into_bytes()
}

/// Zeros, which gzip makes a thousand times smaller.
fn gzip_bomb() -> Vec<u8> {
    let mut zeros = Command::new("head")
        .args(["-c", &(BOMB_MIB * MIB).to_string(), "/dev/zero"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("head runs");
    let gzip =
        Command::new("gzip").arg("-9").stdin(zeros.stdout.take().expect("it is piped")).output().expect("gzip runs");
    zeros.wait().expect("head ends");
    assert!(gzip.stdout.len() > 100_000 && gzip.stdout.len() < BODY_BYTES_MAX);
    gzip.stdout
}

const QUESTION: &str = r#""type":"single","prompt":"p","answer":1"#;

fn bombs() -> Vec<Bomb> {
    let bomb = |name, statuses, bytes| Bomb { name, statuses, bytes };
    let json = |name, statuses, body: &str| bomb(name, statuses, post(&[], body.as_bytes()));
    let deep = 100_000;
    let chunk = format!("{:x}\r\n{}\r\n", MIB, " ".repeat(MIB));
    let chunked = head(&["content-type: application/json", "transfer-encoding: chunked"]) + &chunk.repeat(64);
    let gzip = gzip_bomb();
    let options = format!(r#"{{"quiz":{{"title":"t","questions":[{{{QUESTION},"options":["#);
    let option = r#"{"quiz":{"title":"t","questions":[{"type":"single","prompt":"p","options":["a","b"],"answer":1,"points":NaN}]}}"#;
    vec![
        bomb("a body above the limit", &[413], post(&[], &vec![b' '; BODY_BYTES_MAX + 1])),
        bomb("a body without end", &[413], chunked.into_bytes()),
        bomb(
            "10 GiB announced",
            &[413],
            head(&["content-type: application/json", "content-length: 10737418240"]).into(),
        ),
        bomb("gzip", &[400, 415], post(&["content-encoding: gzip"], &gzip)),
        bomb("gzip as it is", &[400], post(&[], &gzip)),
        json("lists 100k deep", &[400], &"[".repeat(deep)),
        json("objects 100k deep", &[400], &format!(r#"{{"quiz":{}"#, r#"{"a":"#.repeat(deep))),
        json("a quiz 100k deep", &[400, 413, 422], &format!(r#"{{"quiz":{}{}}}"#, "[".repeat(deep), "]".repeat(deep))),
        bomb("a million options", &[400, 413, 422], post(&[], &filled(&options, "0,", "]}]}}"))),
        bomb("half a million texts", &[400, 413, 422], post(&[], &filled(&options, "\"\",", "]}]}}"))),
        bomb("700 thousand questions", &[400, 413, 422], post(&[], &filled(r#"{"quiz":{"questions":["#, "{},", "]}}"))),
        bomb("a million zeros", &[400, 413, 422], post(&[], &filled(r#"{"quiz":["#, "0,", "]}"))),
        bomb("lists of lists", &[400, 413, 422], post(&[], &filled(r#"{"quiz":["#, "[[[[]]]],", "]}"))),
        bomb("a number of two million digits", &[400, 422], post(&[], &filled(r#"{"quiz":"#, "9", "}"))),
        json("NaN", &[400, 422], option),
        json("a number that is infinite", &[400, 422], &option.replace("NaN", "1e999")),
        json("a quiz twice", &[400], r#"{"quiz":{},"quiz":{}}"#),
        json(
            "a title twice",
            &[400, 422],
            &option.replace(r#""title":"t","#, r#""title":"t","title":"u","#).replace("NaN", "1"),
        ),
        json("an answer twice", &[400, 422], &option.replace("NaN", r#"1,"answer":2"#)),
        json(
            "a setting twice",
            &[400],
            &option.replace("NaN", "1").replace("]}}", r#"]},"settings":{"capacity":1,"capacity":2}}"#),
        ),
        bomb("no UTF-8", &[400], post(&[], b"{\"quiz\":\"\xff\xfe\"}")),
        bomb("another type", &[415], head(&["content-type: application/xml", "content-length: 0"]).into()),
        bomb("a header of 1 MiB", &[400, 431], head(&[&format!("x: {}", "x".repeat(MIB))]).into()),
        bomb("ten thousand headers", &[400, 431], head(&vec!["x: y"; 10_000]).into()),
        bomb(
            "a path of 100 KiB",
            &[400, 404, 414, 431],
            format!("GET /{} HTTP/1.1\r\nhost: quiz\r\n\r\n", "x".repeat(100 * 1024)).into(),
        ),
    ]
}

/// The status that `bytes` earn and after how long. Reads while it writes.
async fn answer(world: &World, bytes: Vec<u8>) -> (u16, Duration) {
    let (mut reader, mut writer) = TcpStream::connect(world.at()).await.expect("the edge listens").into_split();
    let writing = tokio::spawn(async move {
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let started = Instant::now();
    let mut head = vec![0; 64];
    let read = timeout(10 * ANSWER_WAIT, reader.read_exact(&mut head)).await;
    let after = started.elapsed();
    writing.abort();
    let head = if read.is_ok() { String::from_utf8_lossy(&head).into_owned() } else { String::new() };
    (status(&head), after)
}

#[tokio::test(flavor = "multi_thread")]
async fn f30_bombs_by_http_are_refused_cheaply() {
    let seed = seed();
    let world = World::up(Setup { edge: &[("QUIZ_EDGE__BOTS_WELCOME", "true")], ..Setup::default() }).await;
    let small = r#"{"quiz":{"title":"t","questions":[{"type":"single","prompt":"p","options":["a","b"],"answer":1,"points":1}]}}"#;
    assert_eq!(answer(&world, post(&[], small.as_bytes())).await.0, 201);
    let (mut refused, mut wrong, mut rss_kib, mut slowest) = (0, Vec::new(), (0, ""), (Duration::ZERO, ""));
    let bombs = bombs();
    for bomb in &bombs {
        let watch = world.edge.watch();
        let (status, after) = answer(&world, bomb.bytes.clone()).await;
        let grown_kib = watch.grown_kib();
        if !bomb.statuses.contains(&status) || after > ANSWER_WAIT || grown_kib > RSS_KIB_MAX {
            wrong.push(format!("{}: {status} after {after:?}, {grown_kib} KiB", bomb.name));
        } else {
            refused += 1;
        }
        rss_kib = rss_kib.max((grown_kib, bomb.name));
        slowest = slowest.max((after, bomb.name));
    }
    println!("seed={seed} fault=F30 refused={refused}/{} rss_kib={rss_kib:?} slowest={slowest:?}", bombs.len());
    assert_eq!(wrong, Vec::<String>::new());
    assert!(rss_kib.0 > 1024, "the memory of a body is not seen");
    no_compression(&world).await;
    world.down().await;
}

/// A socket that offers compression gets none: a small frame must not become a large one.
async fn no_compression(world: &World) {
    let offer =
        "sec-websocket-extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame".to_string();
    let (_socket, head) = upgraded(world.at(), &[offer]).await;
    let head = head.to_ascii_lowercase();
    assert!(head.contains("sec-websocket-protocol: quiz.v1.json"), "{head}");
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
}
