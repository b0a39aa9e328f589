//! F33. Goal: whoever brings a token that is forged, stale, or of another is refused with the right code and
//! leaves one line in the log. Method: every variant at every route and with every message that takes a
//! token. Controls: the same good tokens open the same doors, and leave no line; the routes and messages
//! are those that the descriptions of the interface name.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quiz_ingest::token::{Holder, Seat, Signer};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::stage::{LOOK, Setup, World, create, seed};
use super::talk::{Room, Talker, quiz};

const LINE_WAIT: Duration = Duration::from_secs(5);
const HOUR_US: i64 = 3_600_000_000;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What a host may ask for by HTTP, below the game.
const ROUTES: [&str; 2] = ["board", "ledger"];

fn base64(text: &str) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..=chunk.len() {
            out.push(char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]));
        }
    }
    out
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_micros()).expect("not yet")
}

/// Tokens that nobody may believe, made of a good one.
fn forged(secret: &str, good: &str, holder: &Holder) -> Vec<(&'static str, String)> {
    let signer = Signer::new(secret.as_bytes()).expect("it is long enough");
    let foreign = Signer::new(&[9; 32]).expect("it is long enough");
    let parts: Vec<&str> = good.split('.').collect();
    let [head, claims, signature] = parts[..] else { panic!("a token has three parts") };
    let headed = |head: &str, signature: &str| format!("{}.{claims}.{signature}", base64(head));
    let exp = now_us() / 1_000_000 + 3600;
    let claimed = |iss: &str, aud: &str, more: &str| {
        let claims =
            format!(r#"{{"iss":"{iss}","aud":"{aud}","exp":{exp},"role":"host","game":"0000000000001"{more}}}"#);
        format!("{head}.{}.{signature}", base64(&claims))
    };
    vec![
        ("no algorithm", headed(r#"{"typ":"JWT","alg":"none"}"#, "")),
        ("no algorithm, oddly written", headed(r#"{"typ":"JWT","alg":"nOnE"}"#, "")),
        ("no algorithm but a signature", headed(r#"{"typ":"JWT","alg":"none"}"#, signature)),
        ("another hash", headed(r#"{"typ":"JWT","alg":"HS512"}"#, signature)),
        ("a public key's algorithm", headed(r#"{"typ":"JWT","alg":"RS256"}"#, signature)),
        ("a key from elsewhere", headed(r#"{"typ":"JWT","alg":"HS256","jku":"http://evil.example/k"}"#, signature)),
        ("another key's name", headed(r#"{"typ":"JWT","alg":"HS256","kid":"../../dev/null"}"#, signature)),
        ("another secret", foreign.sign(holder.clone(), now_us())),
        ("expired", signer.sign(holder.clone(), now_us() - 13 * HOUR_US)),
        ("of tomorrow", signer.sign(holder.clone(), now_us() + 24 * HOUR_US)),
        ("edited", claimed("quizstream", "quizstream/socket", "")),
        ("another issuer", claimed("evil", "quizstream/socket", "")),
        ("another audience", claimed("quizstream", "elsewhere", "")),
        ("not yet", claimed("quizstream", "quizstream/socket", r#","nbf":9999999999"#)),
        ("cut", good[..good.len() - 4].to_string()),
        ("longer", format!("{good}AAAA")),
        ("two parts", format!("{head}.{claims}")),
        ("nothing in three parts", "..".into()),
        ("rubbish", "rubbish".into()),
    ]
}

async fn get(world: &World, game: &Value, route: &str, token: &str) -> u16 {
    let url = format!("http://{}/v1/games/{}/{route}", world.at(), game.as_str().expect("an id"));
    let response = reqwest::Client::new().get(url).bearer_auth(token).send().await.expect("the edge answers");
    response.status().as_u16()
}

/// A message with a token that must cost the socket; whether the error and the close code are right.
async fn costs_the_socket(world: &World, kind: &str, token: &str) -> bool {
    let mut talker = Talker::open(world.at()).await;
    let code = talker.refused(&json!({ "type": kind, "token": token })).await;
    code == "token_invalid" && talker.closed().await == 3500
}

#[tokio::test(flavor = "multi_thread")]
async fn f33_no_other_token_is_believed() {
    let seed = seed();
    let world = World::up(Setup { edge: &[("QUIZ_EDGE__BOTS_WELCOME", "true")], ..Setup::default() }).await;
    let described =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.yaml")).expect("it is there");
    let of_games = described.lines().filter(|line| line.starts_with("  /v1/games/{game}/")).count();
    assert_eq!(of_games, ROUTES.len(), "a route that this test does not know");
    let mut room = Room::open(world.at(), 1).await;
    let question = room.ask().await;
    room.answer(question).await;
    room.board().await;
    let (game, host_token) = (&room.created["game"], room.created["host_token"].as_str().expect("a token"));
    let player_token = room.joined["token"].as_str().expect("a token");
    let (_, other) = create(world.at(), &json!({ "quiz": quiz(1) })).await;
    let other_token = other["host_token"].as_str().expect("a token");
    assert_eq!(world.edge.said_of("token_refused"), 0, "good tokens leave no line");
    // The board is told before it is stored.
    let deadline = Instant::now() + LINE_WAIT;
    while get(&world, game, "board", host_token).await != 200 {
        assert!(Instant::now() < deadline, "the control: a good token reads the board");
        sleep(LOOK).await;
    }

    let (mut refused, mut all) = (0, 0);
    let mut count = |is_right: bool, what: String| {
        all += 1;
        refused += usize::from(is_right);
        if !is_right {
            println!("{what}");
        }
    };
    let holder = Holder::Host { game: game.as_str().expect("an id").parse().expect("an id") };
    let seat = Seat {
        game: game.as_str().expect("an id").parse().expect("an id"),
        player: room.joined["player"].as_str().expect("an id").parse().expect("an id"),
        nickname: "Ada".into(),
        lanes: 1,
    };
    let as_host = forged(&world.secret, host_token, &holder);
    let as_player = forged(&world.secret, player_token, &Holder::Player(seat));
    for (name, token) in &as_host {
        for route in ROUTES {
            count(get(&world, game, route, token).await == 401, format!("{name} at {route}"));
        }
        count(costs_the_socket(&world, "host", token).await, format!("{name} to host"));
    }
    for (name, token) in &as_player {
        count(costs_the_socket(&world, "resume", token).await, format!("{name} to resume"));
    }
    // Good tokens, at doors that are not theirs.
    for route in ROUTES {
        count(get(&world, game, route, player_token).await == 403, format!("a player's at {route}"));
        count(get(&world, game, route, other_token).await == 403, format!("another game's at {route}"));
    }
    count(costs_the_socket(&world, "resume", host_token).await, "a host's to resume".into());
    let mut talker = Talker::open(world.at()).await;
    let code = talker.refused(&json!({ "type": "host", "token": player_token })).await;
    count(code == "not_host", "a player's to host".into());

    let deadline = Instant::now() + LINE_WAIT;
    while world.edge.said_of("token_refused") < all && Instant::now() < deadline {
        sleep(LOOK).await;
    }
    let lines = world.edge.said_of("token_refused");
    println!("seed={seed} fault=F33 refused={refused}/{all} audit_lines={lines}");
    assert_eq!((refused, lines), (all, all));
    assert!(!world.edge.said().iter().any(|line| line.contains(host_token) || line.contains(player_token)));
    // The same tokens where they belong.
    talker.send(&json!({ "type": "resume", "token": player_token })).await;
    talker.next(&["joined"]).await;
    world.down().await;
}
