//! Goal: the HTTP side says what `docs/openapi.yaml` says. Method: real requests.
#![allow(clippy::unwrap_used)]

mod kit;

use kit::{Rig, quiz};
use quiz_schemas::AnyEvent;
use quiz_schemas::events::{CommandsBody, EdgeTotals, LaneTotals, LedgerState, QuestionLedger};
use quiz_schemas::quiz::{AnswerKey, Picks};
use quiz_store::{LedgerDoc, Write};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

async fn post(rig: &Rig, body: &Value) -> Response {
    let url = format!("http://{}/v1/games", rig.edge.address);
    Client::new().post(url).json(body).send().await.expect("the edge answers")
}

async fn problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.json().await.expect("a problem");
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], status);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_game_is_refused_with_reasons() {
    let rig = Rig::start_with(|config| config.creations_per_min_per_ip = 8).await;
    let mut bad = quiz();
    bad.questions[0].points_max = 7;
    bad.questions[1].prompt = " ".into();
    let body = problem(post(&rig, &json!({ "quiz": bad })).await, 422, "bad_quiz").await;
    assert_eq!(body["problems"].as_array().map(Vec::len), Some(2), "{body}");
    let settings = json!({ "quiz": quiz(), "settings": { "capacity": 0 } });
    problem(post(&rig, &settings).await, 422, "bad_settings").await;
    problem(post(&rig, &json!({ "settings": {} })).await, 400, "bad_json").await;
    let url = format!("http://{}/v1/games", rig.edge.address);
    let text = Client::new().post(&url).body("x").send().await.unwrap();
    problem(text, 415, "not_json").await;
    let large = Client::new().post(&url).header("content-type", "application/json");
    problem(large.body(vec![b' '; 2 * 1024 * 1024 + 1]).send().await.unwrap(), 413, "too_large").await;
    // What is too large is refused before it is counted.
    for _ in 0..4 {
        post(&rig, &json!({})).await;
    }
    let limited = post(&rig, &json!({ "quiz": quiz() })).await;
    assert!(limited.headers().contains_key("retry-after"));
    problem(limited, 429, "rate_limited").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiz_is_taken_as_authors_write_it() {
    let rig = Rig::start().await;
    let question = json!({ "type": "single", "prompt": "Which?", "options": ["Rhine", "Danube"], "answer": "Danube" });
    let quiz = json!({ "title": "Rivers & lakes", "questions": [question] });
    let settings = json!({ "capacity": 4_001, "streaks": true });
    let response = post(&rig, &json!({ "quiz": quiz, "settings": settings })).await;
    assert_eq!(response.status(), 201);
    let created: Value = response.json().await.unwrap();
    let url = format!("http://{}/?pin={}", rig.edge.address, created["pin"].as_str().unwrap());
    assert_eq!(created["join_url"], url);
    let command = rig
        .script
        .saw(|record| match &record.event {
            AnyEvent::Commands(commands) => match &commands.body {
                CommandsBody::CreateGame(create) => Some(create.clone()),
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!((command.quiz.id.as_str(), command.quiz.title.as_str()), ("rivers-lakes", "Rivers & lakes"));
    assert_eq!(command.quiz.questions[0].key, AnswerKey::Single { options: 2, correct: Picks::one(1) });
    assert_eq!((command.settings.lanes, command.settings.streaks), (3, true));
    let wrong = json!({ "title": "T", "questions": [{ "type": "single", "prompt": "?", "options": ["a"] }] });
    problem(post(&rig, &json!({ "quiz": wrong })).await, 422, "bad_quiz").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_is_for_its_host() {
    let rig = Rig::start().await;
    let (one, other) = (rig.create().await, rig.create().await);
    let get = |token: Option<&str>| {
        let request = Client::new().get(format!("http://{}/v1/games/{}/board", rig.edge.address, one.game));
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        async move { request.send().await.expect("the edge answers") }
    };
    problem(get(None).await, 401, "token_invalid").await;
    problem(get(Some("x.y.z")).await, 401, "token_invalid").await;
    problem(get(Some(&other.host_token)).await, 403, "not_host").await;
    // The lobby is open, or about to be; a board there is not.
    let response = get(Some(&one.host_token)).await;
    assert_eq!(response.status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_are_for_their_host() {
    let rig = Rig::start().await;
    let (one, other) = (rig.create().await, rig.create().await);
    let get = |token: Option<&str>| {
        let request = Client::new().get(format!("http://{}/v1/games/{}/ledger", rig.edge.address, one.game));
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        async move { request.send().await.expect("the edge answers") }
    };
    problem(get(None).await, 401, "token_invalid").await;
    problem(get(Some(&other.host_token)).await, 403, "not_host").await;
    problem(get(Some(&one.host_token)).await, 404, "no_ledger").await;
    let ledger = QuestionLedger {
        version: 1,
        state: LedgerState::Balanced,
        edges: EdgeTotals { received: 2, acked: 2, ..EdgeTotals::default() },
        lanes: LaneTotals { logged: 2, scored: 2, stored: 2, ..LaneTotals::default() },
        lost: 0,
        unstored: 0,
        phantom: 0,
        unclaimed: 0,
        suspects: Vec::new(),
    };
    let open = QuestionLedger { state: LedgerState::Open, ..ledger.clone() };
    let told = |question, ledger| Write::Ledger(LedgerDoc { game: one.game, question, ledger });
    rig.store.write(&[told(0, ledger)]).await.unwrap();
    let body: Value = get(Some(&one.host_token)).await.json().await.unwrap();
    assert_eq!((&body["state"], &body["questions"][0]["lanes"]["stored"]), (&json!("balanced"), &json!(2)), "{body}");
    rig.store.write(&[told(1, open)]).await.unwrap();
    let body: Value = get(Some(&one.host_token)).await.json().await.unwrap();
    assert_eq!((&body["state"], &body["questions"][1]["question"]), (&json!("open"), &json!(1)), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_ours_alone_and_cached_by_content() {
    let rig = Rig::start().await;
    for path in ["", "host"] {
        let url = format!("http://{}/{path}", rig.edge.address);
        let page = reqwest::get(&url).await.unwrap();
        assert_eq!(page.status(), 200);
        let headers = page.headers().clone();
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"));
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains("http"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let again = Client::new().get(&url).header("if-none-match", &headers["etag"]).send().await.unwrap();
        assert_eq!(again.status(), 304);
        assert_eq!(again.headers()["etag"], headers["etag"]);
    }
    for path in ["asyncapi.yaml", "openapi.yaml"] {
        let page = reqwest::get(format!("http://{}/{path}", rig.edge.address)).await.unwrap();
        assert_eq!(
            (page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()),
            (200, "application/yaml")
        );
    }
    let missing = reqwest::get(format!("http://{}/../Cargo.toml", rig.edge.address)).await.unwrap();
    problem(missing, 404, "not_found").await;
    let wrong = Client::new().request(Method::DELETE, format!("http://{}/v1/games", rig.edge.address));
    problem(wrong.send().await.unwrap(), 405, "method_not_allowed").await;
    let plain = reqwest::get(format!("http://{}/v1/ws", rig.edge.address)).await.unwrap();
    assert!(plain.status().is_client_error());
    assert_eq!(plain.headers()["content-type"], "application/problem+json");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_port_tells_how_it_is() {
    let rig = Rig::start().await;
    let get = |path: &'static str| {
        let url = format!("http://{}{path}", rig.edge.admin);
        async move { reqwest::get(url).await.expect("the admin port answers") }
    };
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(get(path).await.status(), 200, "{path}");
    }
    let checks: Value = get("/readyz?verbose").await.json().await.unwrap();
    let names: Vec<&str> = checks.as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["started", "not_draining", "not_full", "kafka"]);
    let _somebody = rig.client().await;
    assert!(get("/metrics").await.text().await.unwrap().contains("quiz_ws_connections 1"));
    let version: Value = get("/version").await.json().await.unwrap();
    assert_eq!(version["edge"], "edge-1");
    assert_eq!(get("/nothing").await.status(), 404);
}
