//! F36. Goal: nothing that a client writes becomes an operator of the database. Method: objects, operators
//! and odd keys in place of every field of every message and request, all with one canary word; then the
//! databases' own profilers say what reached them. Controls: the profilers saw this game's reads and
//! writes, the canary as text among them; and an operator with the canary that the test itself sends is found.

use mongodb::bson::{Bson, Document, doc};
use mongodb::{Client, Database};
use serde_json::{Value, json};

use super::stage::{Setup, World, create, seed, server};
use super::talk::{Room, Talker, quiz};

const CANARY: &str = "hx7qcanary";
const DATABASE: &str = "quizstream";
/// Operators that our own statements are made of.
const OURS: [&str; 12] =
    ["$set", "$setOnInsert", "$lt", "$lte", "$gt", "$gte", "$or", "$and", "$in", "$exists", "$inc", "$max"];

/// What is sent in place of a field.
fn corpus() -> Vec<Value> {
    vec![
        json!({ "$gt": CANARY }),
        json!({ "$ne": CANARY }),
        json!({ "$regex": CANARY }),
        json!({ "$where": format!("sleep(1) || '{CANARY}'") }),
        json!({ "$function": { "body": CANARY, "args": [], "lang": "js" } }),
        json!([{ "$gt": CANARY }]),
        json!({ "a.b": CANARY }),
        json!({ "__proto__": { "x": CANARY } }),
        json!({ "\u{0}": CANARY }),
        json!({ CANARY: 1 }),
    ]
}

/// The same as texts: where a text is free they are kept as text, elsewhere they are refused.
fn texts() -> Vec<String> {
    ["$where", "$gt", "a.b", "__proto__", "'; return true; //", "{\"$gt\": \"\"}", "\u{0}"]
        .iter()
        .map(|text| format!("{CANARY}{text}"))
        .collect()
}

fn with(message: &Value, path: &str, value: &Value) -> Value {
    let mut message = message.clone();
    *message.pointer_mut(path).unwrap_or_else(|| panic!("{path} is no field")) = value.clone();
    message
}

/// The databases behind the router, at whichever member leads each shard by now.
async fn shards() -> Vec<Database> {
    let mut shards = Vec::new();
    for set in ["a", "b"] {
        shards.push(leader(set).await);
    }
    shards
}

async fn leader(set: &str) -> Database {
    let stack = server("QUIZ_STACK_DIR");
    for member in 0.. {
        let Ok(port) = std::fs::read_to_string(format!("{stack}/ports/mongo-{set}-{member}")) else { break };
        let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true", port.trim());
        let database = Client::with_uri_str(uri).await.expect("an address").database(DATABASE);
        let hello = database.run_command(doc! { "hello": 1 }).await.expect("a member answers");
        if hello.get_bool("isWritablePrimary") == Ok(true) {
            return database;
        }
    }
    panic!("no member leads shard {set}")
}

async fn profile(shards: &[Database], level: i32) {
    for shard in shards {
        shard.run_command(doc! { "profile": level }).await.expect("a profiler");
    }
}

/// Turns the profilers off; what they saw since they were turned on, but for their own statements.
async fn profiled(shards: &[Database]) -> Vec<Document> {
    profile(shards, 0).await;
    let mut seen = Vec::new();
    for shard in shards {
        let lines = shard.collection::<Document>("system.profile");
        let mut cursor =
            lines.find(doc! { "ns": { "$ne": format!("{DATABASE}.system.profile") } }).await.expect("a profile");
        while cursor.advance().await.expect("a profile") {
            seen.push(cursor.deserialize_current().expect("a document"));
        }
        lines.drop().await.expect("it can go");
    }
    seen
}

/// Keys that a client wrote, and operators with something that a client wrote.
fn injected(value: &Bson, path: &str, found: &mut Vec<String>) {
    match value {
        Bson::Document(fields) => {
            for (key, value) in fields {
                let path = format!("{path}/{key}");
                let is_foreign =
                    key.starts_with('$') && !OURS.contains(&key.as_str()) && value.to_string().contains(CANARY);
                if key.contains(CANARY) || is_foreign {
                    found.push(path.clone());
                }
                injected(value, &path, found);
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| injected(item, path, found)),
        _ => {}
    }
}

fn all_injected(seen: &[Document]) -> Vec<String> {
    let mut found = Vec::new();
    for line in seen {
        injected(line.get("command").unwrap_or(&Bson::Null), "", &mut found);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_no_operator_of_a_client_reaches_the_database() {
    let seed = seed();
    let world = World::up(Setup { edge: &[("QUIZ_EDGE__BOTS_WELCOME", "true")], ..Setup::default() }).await;
    let shards = shards().await;
    profiled(&shards).await;
    profile(&shards, 2).await;
    let (http, http_all) = requests(&world).await;
    let (socket, socket_all) = messages(&world).await;
    let text = free_text(&world).await;
    let seen = profiled(&shards).await;
    assert_eq!(all_injected(&seen), Vec::<String>::new());
    let kept = seen.iter().filter(|line| line.to_string().contains(CANARY)).count();
    println!(
        "seed={seed} fault=F36 refused={}/{} statements={} canary_as_text={kept} free_text={text}",
        http + socket,
        http_all + socket_all,
        seen.len()
    );
    assert_eq!((http, socket), (http_all, socket_all));
    assert!(kept > 0, "the profilers saw nothing of it");
    control(&shards).await;
    world.down().await;
}

/// An operator that does reach the database is found.
async fn control(shards: &[Database]) {
    profile(shards, 2).await;
    let answers = shards[0].collection::<Document>("answers");
    answers.find_one(doc! { "submission": { "$regex": CANARY } }).await.expect("an answer");
    assert_eq!(all_injected(&profiled(shards).await), ["/filter/submission/$regex"]);
}

/// Every field of a game's creation, and the path of a board; how many were refused, of how many.
async fn requests(world: &World) -> (usize, usize) {
    let mut body = json!({ "quiz": quiz(1), "settings": { "capacity": 10, "streaks": true, "auto_advance_ms": 1000 } });
    body["quiz"]["questions"][0]["explanation"] = json!("x");
    body["quiz"]["questions"][0]["points"] = json!(1);
    let question = "/quiz/questions/0";
    let mut fields: Vec<String> =
        ["", "/quiz", "/quiz/title", "/quiz/questions", question, "/settings"].map(String::from).into();
    fields.extend(
        ["type", "prompt", "options", "options/0", "answer", "seconds", "points", "explanation"]
            .map(|field| format!("{question}/{field}")),
    );
    fields.extend(["capacity", "streaks", "auto_advance_ms"].map(|field| format!("/settings/{field}")));
    let (mut refused, mut all) = (0, 0);
    for field in &fields {
        for value in corpus() {
            let (status, problem) = create(world.at(), &with(&body, field, &value)).await;
            all += 1;
            let is_settings_of_nothing = field == "/settings" && value.is_object();
            // Fields of the settings that are not known are ignored, as those of a newer client would be.
            if [400, 422].contains(&status) || is_settings_of_nothing && status == 201 {
                refused += 1;
            } else {
                println!("{field} {value}: {status} {problem}");
            }
        }
    }
    for text in ["{\"$gt\":\"\"}", "%24where", "..%2f..", "a.b", "__proto__", "%00"] {
        let url = format!("http://{}/v1/games/{text}{CANARY}/board", world.at());
        let response = reqwest::Client::new().get(url).bearer_auth(CANARY).send().await.expect("the edge answers");
        all += 1;
        refused += usize::from([400, 401, 404].contains(&response.status().as_u16()));
    }
    (refused, all)
}

/// Every field of every message.
async fn messages(world: &World) -> (usize, usize) {
    let pin = "123456";
    let shapes = [
        (json!({ "type": "join", "pin": pin, "nickname": "Eve" }), &["", "/type", "/pin", "/nickname"][..]),
        (
            json!({ "type": "resume", "token": "t", "cursor": { "epoch": "e", "offset": 1 } }),
            &["/token", "/cursor/epoch", "/cursor/offset"],
        ),
        (json!({ "type": "host", "token": "t" }), &["/token"]),
        (
            json!({ "type": "answer", "question": 0, "submission": "0000000000001", "picks": [1], "proof": "p" }),
            &["/question", "/submission", "/picks", "/picks/0", "/proof"],
        ),
        (json!({ "type": "answer", "question": 0, "submission": "0000000000001", "text": "x" }), &["/text"]),
        (json!({ "type": "answer", "question": 0, "submission": "0000000000001", "number": 1 }), &["/number"]),
        (json!({ "type": "command", "id": "a", "do": "kick", "player": "0000000000001" }), &["/id", "/do", "/player"]),
        (json!({ "type": "command", "id": "a", "do": "open", "question": 1 }), &["/question"]),
    ];
    let (mut refused, mut all) = (0, 0);
    for (message, fields) in shapes {
        for field in fields {
            let mut talker = Talker::open(world.at()).await;
            for value in corpus() {
                let code = talker.refused(&with(&message, field, &value)).await;
                all += 1;
                if ["bad_field", "bad_frame"].contains(&code.as_str()) {
                    refused += 1;
                } else {
                    println!("{field} {value}: {code}");
                }
            }
        }
    }
    (refused, all)
}

/// Free texts are kept letter by letter, but for control characters, which no name may have.
async fn free_text(world: &World) -> usize {
    let mut kept = 0;
    for text in texts() {
        let mut quiz = quiz(1);
        quiz["title"] = json!(text);
        let mut question =
            json!({ "type": "text", "prompt": text, "answer": [text], "seconds": 60, "explanation": text });
        question["options"].take();
        quiz["questions"] = json!([question]);
        let mut room = Room::of(world.at(), &quiz).await;
        let number = room.ask().await;
        let answer = json!({ "type": "answer", "question": number, "submission": "0000000000001", "text": text });
        room.ada.send(&answer).await;
        let ack = room.ada.next(&["ack", "error"]).await;
        assert_eq!(ack["type"], "ack", "{text:?}: {ack}");
        room.ada.next(&["board"]).await;
        let mut talker = Talker::open(world.at()).await;
        let nickname: String = text.chars().rev().take(20).collect();
        talker.send(&json!({ "type": "join", "pin": room.pin(), "nickname": nickname })).await;
        let joined = talker.next(&["joined", "error"]).await;
        let expected = if text.contains('\0') {
            &joined["code"] == "nickname_invalid"
        } else {
            joined["nickname"] == json!(nickname)
        };
        assert!(expected, "{nickname:?}: {joined}");
        kept += 1;
    }
    kept
}
