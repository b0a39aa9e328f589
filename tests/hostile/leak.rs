//! F39. Goal: the answer key leaves the workers only when the question has closed (I8). Method: a question
//! whose accepted answer and explanation are canary words; before the close everything that a player, a host,
//! a scraper or a reader of logs can see is searched for them: frames, HTTP, every log line at the finest
//! level, metrics, the store's documents that edges read, the topic that edges read. Control: after the close
//! the same search finds them in frames, HTTP, store and topic.

use std::time::Duration;

use futures::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use serde_json::json;
use tokio::process::Command;
use tokio::time::Instant;

use super::stage::{Setup, World, seed, server};
use super::talk::{Room, WAIT};

const CANARY: &str = "kx9zcanary";
const DATABASE: &str = "quizstream";
const RESULTS: &str = "quiz.results.v1";
/// What only workers read: a lane's snapshot has the key of its open question.
const NOT_OF_EDGES: [&str; 1] = ["lanes"];
/// Where it is to be seen once the question has closed.
const TOLD: [&str; 4] = ["a player's frame", "a host's frame", "collection views", RESULTS];
/// Time in which what is on its way has arrived: nothing tells that nothing comes.
const SETTLE: Duration = Duration::from_secs(2);

/// Where the canary was seen, at the latest when it was seen wherever it is to be told.
async fn told(world: &World, room: &Room, canary: &str) -> Vec<String> {
    let deadline = Instant::now() + WAIT;
    loop {
        let found = seen(world, room, canary).await;
        if TOLD.iter().all(|place| found.iter().any(|seen| seen == place)) || Instant::now() > deadline {
            return found;
        }
    }
}

/// Where the canary was seen.
async fn seen(world: &World, room: &Room, canary: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |place: &str, text: &str| {
        if text.contains(canary) {
            found.push(place.to_string());
        }
    };
    for frame in &room.ada.heard {
        look("a player's frame", frame);
    }
    for frame in &room.host.heard {
        look("a host's frame", frame);
    }
    for (name, role) in [("edge", &world.edge), ("workers", &world.workers)] {
        for line in role.said() {
            look(&format!("a log line of the {name}"), &line);
        }
        for path in ["/metrics", "/readyz?verbose", "/version"] {
            look(&format!("{path} of the {name}"), &role.ask(path).await.1);
        }
    }
    let game = room.created["game"].as_str().expect("an id");
    for path in ["/", "/host", "/openapi.yaml", &format!("/v1/games/{game}/board"), &format!("/v1/games/{game}/ledger")]
    {
        let request = reqwest::Client::new().get(format!("http://{}{path}", world.at()));
        let answer = request.bearer_auth(room.created["host_token"].as_str().expect("a token")).send().await;
        look(&format!("GET {path}"), &answer.expect("the edge answers").text().await.expect("a body"));
    }
    stored(&mut look).await;
    look(RESULTS, &topic().await);
    found.sort();
    found.dedup();
    found
}

/// Every document of the store that an edge may read.
async fn stored(look: &mut impl FnMut(&str, &str)) {
    let client = Client::with_uri_str(server("QUIZ_MONGO__URI")).await.expect("an address");
    let database = client.database(DATABASE);
    for name in database.list_collection_names().await.expect("the store answers") {
        if NOT_OF_EDGES.contains(&name.as_str()) {
            continue;
        }
        let documents = database.collection::<Document>(&name).find(doc! {}).await.expect("the store answers");
        for document in documents.try_collect::<Vec<_>>().await.expect("the store answers") {
            look(&format!("collection {name}"), &document.to_string());
        }
    }
}

/// All records of the topic that edges read, by a program that is not ours.
async fn topic() -> String {
    let brokers = server("QUIZ_KAFKA__BOOTSTRAP_SERVERS");
    let output =
        Command::new("kcat").args(["-b", &brokers, "-C", "-t", RESULTS, "-o", "beginning", "-e", "-q"]).output();
    let output = output.await.expect("kcat runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn f39_the_answer_key_stays_until_the_close() {
    let seed = seed();
    // Of this run only: what an earlier one left in the topic must not be found.
    let canary = format!("{CANARY}{seed:016x}");
    let logs = "trace,librdkafka=off,rdkafka=off";
    let world = World::up(Setup { logs: Some(logs), ..Setup::default() }).await;
    let question = json!({
        "type": "text", "prompt": "What is it?", "answer": [format!("{canary} answer")], "explanation": format!("{canary} why"), "seconds": 60
    });
    let mut room = Room::of(world.at(), &json!({ "title": "Leak", "questions": [question] })).await;
    let number = room.ask().await;
    if !room.host.heard.iter().any(|text| text.contains(r#""type":"question""#)) {
        room.host.next(&["question"]).await;
    }
    // The search takes long, and who says nothing after a message is taken for deaf.
    for talker in [&mut room.ada, &mut room.host] {
        assert_eq!(talker.ask(&json!({ "type": "ping" }), "pong").await["type"], "pong");
    }
    tokio::time::sleep(SETTLE).await;
    let open = seen(&world, &room, &canary).await;
    let wrong = json!({ "type": "answer", "question": number, "submission": "0000000000001", "text": "no" });
    room.ada.send(&wrong).await;
    assert_eq!(room.ada.next(&["ack", "error"]).await["type"], "ack");
    let board = tokio::time::timeout(WAIT, room.ada.next(&["board"])).await.expect("the board comes");
    room.host.next(&["board"]).await;
    assert!(board.to_string().contains(&canary), "{board}");
    let closed = told(&world, &room, &canary).await;
    println!("seed={seed} fault=F39 before_close={} after_close={closed:?}", open.len());
    assert_eq!(open, Vec::<String>::new());
    for place in TOLD {
        assert!(closed.iter().any(|seen| seen == place), "the search does not find it in {place}: {closed:?}");
    }
    world.down().await;
}
