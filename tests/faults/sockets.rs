//! Clients that send the same thing five times, that do not read, and that guess.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, timeout};

use crate::course::{Course, folder, turn};
use crate::fleet::{Cluster, Fleet};
use crate::judge::Verdict;
use crate::load::Plan;
use crate::raw::{Raw, Record, Table, quiz};

/// Players of F18; each round is one player's answer to one question.
const TWINS: usize = 50;
const ROUNDS: usize = 1_000;

/// F18. Goal: one submission that comes five times at once through three edges has one effect and five
/// equal receipts, and one join that comes through all three is one seat. Method: each player has a socket at each of
/// three edges, joins on all with one key, and sends its answer on all when a barrier falls, twice on two of them;
/// 1,000 rounds. Control: the log has answers more than once; without the key the name is taken.
#[tokio::test(flavor = "multi_thread")]
async fn f18_one_submission_five_times_through_three_edges() {
    let _turn = tokio::task::spawn_blocking(turn).await.expect("no panic");
    let folder = folder("F18");
    let mut fleet = Fleet::new(&folder);
    fleet.start(Cluster { edges: 3, scoring: 2, ..Cluster::default() }).await;
    let edges = fleet.edges();
    let questions = ROUNDS / TWINS;
    let mut table = Table::create(edges[0], &quiz(questions, 30_000)).await;
    let record = Arc::new(Record::new(&folder));
    record.line(
        "game",
        &table.game,
        None,
        json!({ "pin": table.pin, "lanes": 1, "players": TWINS, "questions": questions }),
    );
    let mut players = Vec::new();
    for number in 0..TWINS {
        let mut sockets = Vec::new();
        for step in 0..3 {
            sockets.push(Raw::open(edges[(number + step) % 3]).await);
        }
        let player = join_three_times(&mut sockets, &table.pin, number).await;
        players.push((player, sockets));
    }
    let mut thief = Raw::open(edges[0]).await;
    thief.send(json!({ "type": "join", "pin": table.pin, "nickname": "Twin 0" })).await;
    assert_eq!(thief.next(&["joined", "error"]).await["code"], "nickname_taken");
    let mut receipts = 0;
    for question in 0..questions {
        table.order("open", Some(question)).await;
        let barrier = Arc::new(Barrier::new(TWINS * 3));
        let mut rounds = Vec::new();
        for (player, sockets) in players {
            let (barrier, record, game) = (barrier.clone(), record.clone(), table.game.clone());
            rounds.push(tokio::spawn(five_times(game, player, sockets, question, barrier, record)));
        }
        players = Vec::new();
        for round in rounds {
            let (player, sockets, received) = round.await.expect("no panic");
            assert_eq!(received.len(), 1, "five receipts that are not equal: {received:?}");
            receipts += 5;
            players.push((player, sockets));
        }
        let board = table.board(question).await;
        assert_eq!(board["answered"], TWINS, "each answer counts once: {board}");
        assert_eq!(board["players"], TWINS, "each join is one seat: {board}");
    }
    table.order("end", None).await;
    table.host.next(&["over"]).await;
    fleet.stop().await;
    let judged = folder.clone();
    let verdict = tokio::task::spawn_blocking(move || Verdict::of(&judged)).await.expect("no panic");
    verdict.tell(
        "F18",
        0,
        0.0,
        &format!("rounds={ROUNDS} receipts={receipts} logged_again={}", verdict.number("logged_again")),
    );
    verdict.is_clean();
    assert_eq!(verdict.number("acked"), ROUNDS as f64);
    assert!(verdict.number("logged_again") >= 1.0, "the same answer came through more than one edge");
}

/// One join on three sockets at once; the player that they all are.
async fn join_three_times(sockets: &mut [Raw], pin: &str, number: usize) -> String {
    let join =
        json!({ "type": "join", "pin": pin, "nickname": format!("Twin {number}"), "key": format!("{number:013}") });
    for socket in sockets.iter_mut() {
        socket.send(join.clone()).await;
    }
    let mut players = BTreeSet::new();
    for socket in sockets {
        let joined = socket.next(&["joined", "error"]).await;
        players.insert(joined["player"].as_str().unwrap_or_else(|| panic!("not let in: {joined}")).to_string());
    }
    assert_eq!(players.len(), 1, "one join is one player: {players:?}");
    players.pop_first().expect("there is one")
}

async fn five_times(
    game: String,
    player: String,
    sockets: Vec<Raw>,
    question: usize,
    barrier: Arc<Barrier>,
    record: Arc<Record>,
) -> (String, Vec<Raw>, BTreeSet<String>) {
    let submission = format!("{}{question:03}", &player[..10]);
    let pick = question % 4;
    let mut sends = Vec::new();
    for (number, mut socket) in sockets.into_iter().enumerate() {
        let copies = if number < 2 { 2 } else { 1 };
        let (barrier, record) = (barrier.clone(), record.clone());
        let (game, player, submission) = (game.clone(), player.clone(), submission.clone());
        sends.push(tokio::spawn(async move {
            while socket.next(&["question"]).await["question"] != question {}
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64;
            let fields = json!({ "question": question, "submission": submission, "picks": [pick], "intended_us": now, "try": 1 });
            record.line("sent", &game, Some(&player), fields);
            barrier.wait().await;
            let answer = json!({ "type": "answer", "question": question, "submission": submission, "picks": [pick] });
            for _ in 0..copies {
                socket.send(answer.clone()).await;
            }
            let mut received = Vec::new();
            while received.len() < copies {
                let ack = socket.next(&["ack", "error"]).await;
                if ack["code"] == "unavailable" {
                    // The broker stood still for a moment: the same again, as any client does.
                    sleep(Duration::from_millis(ack["retry_after_ms"].as_u64().expect("it says when"))).await;
                    socket.send(answer.clone()).await;
                    continue;
                }
                assert_eq!(ack["type"], "ack", "{ack}");
                let fields = json!({ "question": question, "submission": submission, "receipt": ack["receipt"],
                    "position": ack["position"], "try": 1, "ack_us": 0 });
                record.line("acked", &game, Some(&player), fields);
                received.push(ack["receipt"].as_str().expect("a receipt").to_string());
            }
            (socket, received)
        }));
    }
    let (mut back, mut receipts) = (Vec::new(), BTreeSet::new());
    for send in sends {
        let (socket, received) = send.await.expect("no panic");
        back.push(socket);
        receipts.extend(received);
    }
    (player, back, receipts)
}

/// F28. Goal: clients that stop reading are sent away, and nobody else notices. Method: 100 of 500
/// clients have a small receive buffer and read nothing after they joined, while the lobby of their game
/// fills and its questions run. Control: the edge counts them as evicted.
#[tokio::test(flavor = "multi_thread")]
async fn f28_clients_that_do_not_read() {
    const SLOW: usize = 100;
    // Room for those who do not read.
    let more = vec!["--capacity".into(), "1000".into()];
    // A question waits for them, too, until its time is over; then they are told something that they do not take.
    let plan = Plan { games: 4, questions: 14, think_ms: "100..1000", limit_ms: 4_000, more, ..Plan::default() };
    let mut course = Course::start("F28", Cluster { edges: 1, ..Cluster::default() }, plan).await;
    let edge = course.fleet.edges()[0];
    course.load.half_acked(0).await;
    let pin = course.load.pin();
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        let mut raw = Raw::with(edge, socket, &[]).await.expect("the edge answers");
        raw.join(&pin, &format!("Slow {number}")).await;
        raw.deafen();
        slow.push(raw);
    }
    // They never read again, and ask for the lobby's worth of answers that they will not read.
    let began = Instant::now();
    let flood = tokio::spawn(async move {
        for raw in &mut slow {
            for _ in 0..200 {
                let ping = raw.send_quietly(json!({ "type": "ping" }));
                if !matches!(timeout(Duration::from_millis(20), ping).await, Ok(true)) {
                    break;
                }
            }
        }
        slow
    });
    let _slow = flood.await.expect("no panic");
    let evicted = loop {
        let evicted = course.fleet.metric("edge-1", "quiz_ws_evictions_total", &[]).await;
        if evicted >= SLOW as f64 || began.elapsed() > Duration::from_secs(25) {
            break evicted;
        }
        sleep(Duration::from_millis(200)).await;
    };
    let gone_s = began.elapsed().as_secs_f64();
    let verdict = course
        .end(|verdict| format!("evicted={evicted} gone_s={gone_s:.1} ack_p99_ms={}", verdict.number("ack_p99_ms")));
    let verdict = verdict.await;
    assert!(evicted >= SLOW as f64, "{evicted} of {SLOW} were sent away");
    assert!(gone_s <= 15.0, "they were there for {gone_s} s");
    assert_eq!(verdict.number("reconnected"), 0.0, "nobody else lost a socket");
    // The question that they joined in stays open for them while they are there, so its wait says nothing.
    verdict.everybody_answered();
}

/// F35. Goal: guessing PINs costs more than it pays, and a spoofed `X-Forwarded-For` buys nothing, while a
/// real room's players come in. Method: an edge with its own limits; one address guesses as fast as it can
/// for 10 s, with another forwarded address each time; players come from other addresses. Control: it was
/// told "no such PIN" some times, then "too fast".
#[tokio::test(flavor = "multi_thread")]
async fn f35_guessing_pins() {
    let _turn = tokio::task::spawn_blocking(turn).await.expect("no panic");
    let folder = folder("F35");
    let mut fleet = Fleet::new(&folder);
    fleet.set("QUIZ_EDGE__BOTS_WELCOME", "false");
    fleet.start(Cluster { edges: 1, ..Cluster::default() }).await;
    let edge = fleet.edges()[0];
    let table = Table::create(edge, &quiz(1, 30_000)).await;
    let attacker = tokio::spawn(guess(edge, table.pin.clone()));
    let mut joined = 0;
    for number in 0..30_u8 {
        let mut player = Raw::with(edge, from(number + 10), &[]).await.expect("the edge answers");
        player.join(&table.pin, &format!("Real {number}")).await;
        joined += 1;
    }
    let (found, missed, throttled) = attacker.await.expect("no panic");
    fleet.stop().await;
    println!("fault=F35 found={found} tried={missed} throttled={throttled} joined={joined}");
    let tries = found + missed;
    assert!(throttled >= 1, "it was slowed down");
    // Rooms of other tests may be open still, and be found by luck: that is a try.
    assert!((1..=12).contains(&tries), "{tries} tries of one address in 10 s: 10 a minute are allowed");
    assert_eq!(joined, 30, "the players of the room came in");
}

fn from(last: u8) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 3, last));
    socket.bind(SocketAddr::new(address, 0)).expect("an address of this machine");
    socket
}

async fn guess(edge: SocketAddr, real: String) -> (u32, u32, u32) {
    let (mut found, mut missed, mut throttled) = (0, 0, 0);
    let began = Instant::now();
    let mut number = 0_u32;
    while began.elapsed() < Duration::from_secs(10) {
        let forwarded = format!("10.{}.{}.{}", number % 200, number / 200 % 200, number % 7);
        let Some(mut socket) = Raw::with(edge, from(9), &[("x-forwarded-for", &forwarded)]).await else {
            throttled += 1;
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        for _ in 0..20 {
            number += 1;
            let pin = format!("{:06}", number.wrapping_mul(7_919) % 1_000_000);
            if pin == real {
                continue;
            }
            socket.send(json!({ "type": "join", "pin": pin, "nickname": "Mallory" })).await;
            match timeout(Duration::from_secs(5), socket.any()).await {
                Ok(Some(Value::Object(told))) if told["type"] == "joined" => found += 1,
                Ok(Some(told)) if told["code"] == "pin_not_found" => missed += 1,
                Ok(Some(_)) => throttled += 1,
                Ok(None) | Err(_) => {
                    throttled += 1;
                    break;
                }
            }
        }
    }
    (found, missed, throttled)
}
