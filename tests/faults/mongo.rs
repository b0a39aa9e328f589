//! MongoDB changes its primary, loses unreplicated writes, says things twice, is slow, is half gone, and
//! cannot be reached for long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, WriteConcern};
use tokio::time::{Instant, sleep, timeout};

use crate::course::Course;
use crate::fleet::{Cluster, Fleet};
use crate::load::Plan;
use crate::process::Paused;
use crate::proxy::{Proxy, Toxics, Way};
use crate::stack::{Down, mongo_address, server, stack_ports};

/// How long a set may take to have a primary again.
const ELECTION_WAIT: Duration = Duration::from_secs(30);

/// One member of a shard's replica set, asked directly.
struct Member {
    name: String,
    uri: String,
    client: Client,
}

impl Member {
    async fn at(name: String, uri: String) -> Result<Self, mongodb::error::Error> {
        let client = Client::with_options(ClientOptions::parse(&uri).await?)?;
        Ok(Self { name, uri, client })
    }

    async fn run(&self, command: Document) -> Result<Document, mongodb::error::Error> {
        self.client.database("admin").run_command(command).await
    }

    async fn leads(&self) -> bool {
        let hello = timeout(Duration::from_secs(1), self.run(doc! { "hello": 1 })).await;
        hello.is_ok_and(|hello| hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false)))
    }
}

/// The members of shard `a` or `b`.
async fn members(set: &str) -> Vec<Member> {
    let mut members = Vec::new();
    for (name, port) in stack_ports().into_iter().filter(|(name, _)| name.starts_with(&format!("mongo-{set}-"))) {
        let uri = format!("mongodb://127.0.0.1:{port}/?directConnection=true&serverSelectionTimeoutMS=10000");
        members.push(Member::at(name, uri).await.expect("a good address"));
    }
    assert!(members.len() >= 3, "shard {set} has too few members: scripts/stack up --shard-members 3");
    members
}

/// Members that replicate nothing until they are told to. A test that gives up in between tells them as well:
/// those behind it need the shard whole.
struct Frozen(Vec<Member>);

impl Frozen {
    async fn these(members: Vec<Member>) -> Self {
        let frozen = Self(members);
        for member in &frozen.0 {
            member.run(replication("alwaysOn")).await.expect("the servers take test commands");
        }
        frozen
    }

    async fn thaw(mut self) {
        for member in std::mem::take(&mut self.0) {
            member.run(replication("off")).await.expect("the servers take test commands");
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let members = std::mem::take(&mut self.0);
        if members.is_empty() {
            return;
        }
        // Not on the runtime of the test, which may be on its way down.
        let thaw = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                for Member { name, uri, .. } in members {
                    let done = match Member::at(name.clone(), uri).await {
                        Ok(member) => member.run(replication("off")).await.map(|_| ()),
                        Err(error) => Err(error),
                    };
                    done.unwrap_or_else(|error| eprintln!("{name} replicates nothing still: {error}"));
                }
            });
            std::io::Result::Ok(())
        });
        if !matches!(thaw.join(), Ok(Ok(()))) {
            eprintln!("members of a shard replicate nothing still");
        }
    }
}

fn replication(stopped: &str) -> Document {
    doc! { "configureFailPoint": "stopReplProducer", "mode": stopped }
}

/// The member that leads now.
async fn primary(set: &str) -> Member {
    let began = Instant::now();
    loop {
        for member in members(set).await {
            if member.leads().await {
                return member;
            }
        }
        assert!(began.elapsed() < ELECTION_WAIT, "shard {set} has no primary");
        sleep(Duration::from_millis(100)).await;
    }
}

/// A fail point of the servers' own. `configure` on each primary; `off` tells how often it bit.
async fn fail_commands(primaries: &[Member], mode: Document, more: Document) {
    let mut data = doc! { "failCommands": ["insert", "update"], "failInternalCommands": true };
    data.extend(more);
    for member in primaries {
        let command = doc! { "configureFailPoint": "failCommand", "mode": mode.clone(), "data": data.clone() };
        member.run(command).await.expect("the servers take test commands");
    }
}

async fn off(primaries: &[Member]) -> i64 {
    let mut bites = 0;
    for member in primaries {
        let reply = member.run(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.expect("it is up");
        bites += reply.get_i32("count").map(i64::from).or_else(|_| reply.get_i64("count")).expect("it counts");
    }
    bites
}

async fn both_primaries() -> Vec<Member> {
    vec![primary("a").await, primary("b").await]
}

const WORKERS: Cluster = Cluster { edges: 2, sessions: 1, scoring: 2, boards: 1 };

/// The group was never taken away from a worker, and no worker gave up.
async fn nobody_was_evicted(course: &mut Course) {
    for name in ["scoring-1", "scoring-2", "board-1", "sessions-1"] {
        assert!(course.fleet.runs(name), "{name} has ended");
        let exceeded = course.fleet.metric(name, "quiz_group_poll_exceeded_total", &[]).await;
        let lost = course.fleet.metric(name, "quiz_group_rebalances_total", &["lost"]).await;
        assert_eq!((exceeded, lost), (0.0, 0.0), "{name} kept its place in its group");
    }
}

/// The promise for any single fault.
const UNAVAILABLE_S_MAX: f64 = 10.0;
/// How long after a shard has a primary again a game may wait.
const GOOD_AGAIN_S_MAX: f64 = 5.0;

/// F22. Goal: a new primary costs a short stall, and nothing is written twice. Method: the primaries of
/// both shards step down under load, one after the other. Control: other members lead afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn f22_primaries_step_down() {
    let mut course = Course::start("F22", WORKERS, Plan::default()).await;
    let mut changed = 0;
    for (set, question) in [("a", 1), ("b", 3)] {
        course.load.half_acked(question).await;
        let old = primary(set).await;
        let asked = Instant::now();
        // It hands over, as an operator would have it; it refuses while no other member has caught up.
        while primary(set).await.name == old.name {
            assert!(asked.elapsed() < ELECTION_WAIT, "shard {set} keeps its primary");
            let _ = old.run(doc! { "replSetStepDown": 30, "secondaryCatchUpPeriodSecs": 5 }).await;
        }
        changed += 1;
    }
    nobody_was_evicted(&mut course).await;
    let verdict = course.end(|_| format!("step_downs={changed}")).await;
    assert_eq!(changed, 2, "both shards have another primary");
    let waited = verdict.number("unavailable_s");
    assert!(waited <= UNAVAILABLE_S_MAX, "it stalled for {waited} s");
}

/// F23. Goal: a write that is done although it is reported as not agreed upon has one effect. Method:
/// 30 % of the shards' inserts and updates are carried out and answered with code 64. Control: the
/// fail point bit.
#[tokio::test(flavor = "multi_thread")]
async fn f23_the_write_concern_times_out() {
    let mut course = Course::start("F23", WORKERS, Plan::default()).await;
    course.load.half_acked(0).await;
    let primaries = both_primaries().await;
    let error = doc! { "code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out", "errInfo": { "wtimeout": true } };
    fail_commands(&primaries, doc! { "activationProbability": 0.3 }, doc! { "writeConcernError": error }).await;
    course.load.half_acked(4).await;
    let bites = off(&primaries).await;
    nobody_was_evicted(&mut course).await;
    let mut retries = 0.0;
    for name in ["scoring-1", "scoring-2", "board-1"] {
        retries += course.fleet.metric(name, "quiz_group_flush_retries_total", &["stage=\"write\""]).await;
    }
    let verdict = course.end(|_| format!("bites={bites} retries={retries}")).await;
    assert!(bites >= 5, "it bit {bites} times");
    assert!(retries >= 1.0, "somebody tried again");
    let bites = f64::from(i32::try_from(bites).expect("not so many"));
    assert!(retries <= bites, "one more try for a bite at most: {retries} for {bites}");
    verdict.went_on();
}

/// F25. Goal: a slow store makes workers wait, not leave their group, and edges do not notice. Method:
/// each insert and update takes 700 ms longer for three questions. Control: the fail point bit.
#[tokio::test(flavor = "multi_thread")]
async fn f25_the_store_is_slow() {
    let mut course = Course::start("F25-slow", WORKERS, Plan::default()).await;
    course.load.half_acked(0).await;
    let primaries = both_primaries().await;
    fail_commands(&primaries, doc! { "times": 1_000_000 }, doc! { "blockConnection": true, "blockTimeMS": 700 }).await;
    course.load.half_acked(4).await;
    let bites = off(&primaries).await;
    nobody_was_evicted(&mut course).await;
    let verdict = course.end(|verdict| format!("bites={bites} ack_p99_ms={}", verdict.number("ack_p99_ms"))).await;
    assert!(bites >= 10, "it bit {bites} times");
    assert_eq!(verdict.number("late"), 0.0, "receipts do not wait for the store");
    assert!(verdict.number("ack_p75_ms") < 500.0, "receipts do not wait for the store");
    assert!(verdict.number("ack_max_s") <= UNAVAILABLE_S_MAX, "no receipt waits long");
    verdict.went_on();
}

fn names_of(set: &str) -> Vec<&'static str> {
    let names = stack_ports().into_iter().map(|(name, _)| name);
    names.filter(|name| name.starts_with(&format!("mongo-{set}-"))).map(|name| &*name.leak()).collect()
}

/// F25. Goal: a shard that does not answer for 20 s makes workers wait and not leave their group, and
/// receipts do not wait at all; all is well within 10 s after. Method: SIGSTOP all members of shard b.
/// Control: games waited.
#[tokio::test(flavor = "multi_thread")]
async fn f25_a_shard_sleeps() {
    // So many games that some have something on the shard.
    let plan = Plan { games: 12, questions: 5, limit_ms: 30_000, ..Plan::default() };
    let mut course = Course::start("F25-stop", WORKERS, plan).await;
    course.load.half_acked(1).await;
    let began = Instant::now();
    let paused: Vec<Paused> = names_of("b").into_iter().map(Paused::server).collect();
    sleep(Duration::from_secs(20)).await;
    drop(paused);
    let asleep_s = began.elapsed().as_secs_f64();
    nobody_was_evicted(&mut course).await;
    let verdict = course.end(|_| format!("asleep_s={asleep_s:.1}")).await;
    let waited = verdict.number("unavailable_s");
    assert!(waited > 5.0, "no game waited for the shard: {waited} s");
    assert!(waited <= asleep_s + 10.0, "good again {:.1} s after the shard was", waited - asleep_s);
    verdict.everybody_answered();
}

/// F26. Goal: while one of two shards is down, what is on the other goes on: a lane waits only when a lane
/// of its partition is on the shard. Method: SIGKILL all members of shard b while a question is open, and
/// start them again 15 s later. Control: some games waited for their board.
#[tokio::test(flavor = "multi_thread")]
async fn f26_a_shard_is_down() {
    let plan =
        Plan { players: 240, games: 24, questions: 3, think_ms: "100..10000", limit_ms: 40_000, ..Plan::default() };
    let mut course = Course::start("F26", WORKERS, plan).await;
    course.load.acked(0, 0.15).await;
    let names = names_of("b");
    let began = Instant::now();
    let killed = names.clone();
    let down = tokio::task::spawn_blocking(move || killed.into_iter().map(Down::killed).collect::<Vec<_>>());
    let down = down.await.expect("no panic");
    let before = course.load.progress().lanes().clone();
    sleep(Duration::from_secs(9)).await;
    // What a worker was given six seconds ago is stored by now, or waits.
    let given = course.load.progress().lanes().clone();
    sleep(Duration::from_secs(6)).await;
    let stored = answers_by_game(&primary("a").await).await;
    tokio::task::spawn_blocking(move || drop(down)).await.expect("no panic");
    let down_s = began.elapsed().as_secs_f64();
    primary("b").await;
    let elected_s = began.elapsed().as_secs_f64();
    nobody_was_evicted(&mut course).await;
    // By its first board each game has its answers where they belong.
    let games = u64::from(course.load.plan().games);
    course.load.until("boards", |progress| progress.all("board-of-host") >= games).await;
    let on_b = answers_by_game(&primary("b").await).await;
    let waiting: BTreeSet<i64> =
        given.iter().filter(|(game, _)| on_b.contains_key(*game)).map(|(_, lane)| lane.partition).collect();
    let free: Vec<&String> =
        given.iter().filter(|(_, lane)| !waiting.contains(&lane.partition)).map(|(game, _)| game).collect();
    let meanwhile: u64 =
        free.iter().map(|game| given[*game].acked - before.get(*game).map_or(0, |lane| lane.acked)).sum();
    let report =
        format!("down_s={down_s:.1} elected_s={elected_s:.1} free_games={} answers_meanwhile={meanwhile}", free.len());
    let verdict = course.end(|_| report).await;
    let waited = verdict.number("unavailable_s");
    assert!(waited > 4.0, "no game waited for the shard: {waited} s");
    assert!(
        free.is_empty() || meanwhile > 0,
        "nobody answered in the {} games that have nothing to do with the shard",
        free.len()
    );
    for game in free {
        let (stored, acked) = (stored.get(game).copied().unwrap_or(0), given[game].acked);
        assert!(stored >= acked, "{game} had {stored} of {acked} answers stored while the other shard was down");
    }
    assert!(waited <= elected_s + 10.0, "good again {:.1} s after the shard was", waited - elected_s);
    verdict.everybody_answered();
}

/// How many answers each game has on a shard. Each game here has one lane.
async fn answers_by_game(member: &Member) -> BTreeMap<String, u64> {
    let database = std::env::var("QUIZ_MONGO__DATABASE").unwrap_or_else(|_| "quizstream".to_string());
    let group = doc! { "$group": { "_id": "$lane", "count": { "$sum": 1 } } };
    let answers = member.client.database(&database).collection::<Document>("answers");
    let mut rows = answers.aggregate([group]).await.expect("the shard answers");
    let mut counts = BTreeMap::new();
    while rows.advance().await.expect("the shard answers") {
        let row = rows.deserialize_current().expect("a document");
        let lane = row.get_str("_id").expect("a lane key").to_string();
        let game = lane.split('/').next().expect("it has a game").to_string();
        *counts.entry(game).or_default() += u64::from(row.get_i32("count").expect("a count").unsigned_abs());
    }
    counts
}

/// F24. Goal: a primary that dies with writes that no other member has takes no answer with it. Method:
/// the other members of shard a stop to replicate, answers come in, the primary is killed; it comes back
/// and rolls back. Control: a document that the same primary took with w:1 meanwhile is gone.
#[tokio::test(flavor = "multi_thread")]
async fn f24_a_primary_dies_with_unreplicated_writes() {
    let plan = Plan { limit_ms: 30_000, ..Plan::default() };
    let mut course = Course::start("F24", WORKERS, plan).await;
    course.load.half_acked(1).await;
    let old = primary("a").await;
    let others: Vec<Member> = members("a").await.into_iter().filter(|member| member.name != old.name).collect();
    let began = Instant::now();
    let frozen = Frozen::these(others).await;
    let control = old.client.database("fault_suite").collection::<Document>("unreplicated");
    let options = mongodb::options::InsertOneOptions::builder().write_concern(WriteConcern::nodes(1)).build();
    let mark = doc! { "_id": mongodb::bson::oid::ObjectId::new(), "why": "taken by one member only" };
    // What the secondaries had fetched before they stopped may still arrive: write until one stays behind.
    control.insert_one(mark.clone()).with_options(options).await.expect("the primary takes w:1");
    // Receipts do not wait for the store; the next question would, for games that have something here.
    course.load.all_acked(1).await;
    let name: &'static str = String::leak(old.name.clone());
    let down = tokio::task::spawn_blocking(move || Down::killed(name)).await.expect("no panic");
    frozen.thaw().await;
    let successor = primary("a").await;
    let elected_s = began.elapsed().as_secs_f64();
    tokio::task::spawn_blocking(move || drop(down)).await.expect("no panic");
    let found = successor.client.database("fault_suite").collection::<Document>("unreplicated").find_one(mark).await;
    let lost = found.expect("the successor answers").is_none();
    let verdict = course.end(|_| format!("elected_s={elected_s:.1} control_w1_lost={}", u32::from(lost))).await;
    assert!(lost, "the control: what only the dead primary had is gone");
    // Two survivors that stand at the same moment need a second vote, an election timeout later.
    let waited = verdict.number("unavailable_s");
    assert!(waited <= elected_s + GOOD_AGAIN_S_MAX, "good again {:.1} s after the election", waited - elected_s);
}

/// How long after the last cut the games may take until as many boards are out as there are games. A
/// question takes up to 4 s of that.
const WELL_AGAIN_S_MAX: f64 = 10.0;
/// How often F14 cuts the connections to the store, one second apart.
const STORE_CUTS: u32 = 20;

/// Books of these games that do not balance, in what the ledger has stored of them.
async fn imbalanced_books(games: &[String]) -> u64 {
    let client = Client::with_uri_str(server("QUIZ_MONGO__URI")).await.expect("a good address");
    let database = std::env::var("QUIZ_MONGO__DATABASE").unwrap_or_else(|_| "quizstream".to_string());
    let books = client.database(&database).collection::<Document>("ledgers");
    let all = books.count_documents(doc! { "game": { "$in": games } }).await.expect("the store answers");
    assert!(all > 0, "the ledger has stored no books of {games:?}");
    let wrong = doc! { "game": { "$in": games }, "ledger.state": "imbalanced" };
    books.count_documents(wrong).await.expect("the store answers")
}

/// F14. Goal: a bad network to the store costs time only, and receipts not even that. Method: the roles
/// reach MongoDB's router through a proxy; 200 ± 50 ms on the way back and all connections cut every
/// second, for 20 s. Control: connections were cut and made again, and flushes had to be tried again.
#[tokio::test(flavor = "multi_thread")]
async fn f14_connections_to_the_store_are_cut_every_second() {
    let proxy = Proxy::start("127.0.0.1:0".parse().expect("an address"), mongo_address()).await;
    let uri = server("QUIZ_MONGO__URI").replace(&mongo_address().to_string(), &proxy.listens.to_string());
    let through = move |fleet: &mut Fleet| fleet.set("QUIZ_MONGO__URI", &uri);
    let plan = Plan { players: 200, questions: 7, think_ms: "500..4000", limit_ms: 30_000, ..Plan::default() };
    let last = i64::from(plan.questions) - 1;
    let mut course = Course::with("F14-mongo", WORKERS, plan, through).await;
    course.load.half_acked(0).await;
    let slow = Toxics { latency: Duration::from_millis(200), jitter: Duration::from_millis(50), ..Toxics::default() };
    proxy.set(Way { down: slow, ..Way::default() });
    let began = Instant::now();
    for _ in 0..STORE_CUTS {
        sleep(Duration::from_secs(1)).await;
        proxy.cut();
    }
    proxy.set(Way::default());
    let cut_s = began.elapsed().as_secs_f64();
    let cuts_end = Instant::now();
    let (count, boards) = (u64::from(course.load.plan().games), course.load.progress().all("board-of-host"));
    course.load.until("boards", |progress| progress.all("board-of-host") >= boards + count).await;
    let well_s = cuts_end.elapsed().as_secs_f64();
    course.load.half_acked(last).await;
    let (cuts, connections) = (proxy.cuts(), proxy.connections());
    nobody_was_evicted(&mut course).await;
    let mut retries = 0.0;
    for name in ["scoring-1", "scoring-2", "board-1", "ledger-1"] {
        retries += course.fleet.metric(name, "quiz_group_flush_retries_total", &[]).await;
    }
    let own = course.fleet.imbalances().await;
    let games: Vec<String> = course.load.progress().lanes().keys().cloned().collect();
    let report = format!(
        "cut_s={cut_s:.1} cuts={cuts} connections={connections} retries={retries} boards_meanwhile={boards} well_s={well_s:.1}"
    );
    let verdict = course.end(|_| report).await;
    assert!(cuts >= u64::from(STORE_CUTS), "{cuts} connections were cut");
    assert!(connections > cuts, "{connections} were made and {cuts} cut: they were made again");
    assert!(retries >= 1.0, "no flush met a cut");
    assert!(well_s <= WELL_AGAIN_S_MAX, "good again {well_s:.1} s after the last cut");
    let waited = verdict.number("unavailable_s");
    assert!(waited <= cut_s + WELL_AGAIN_S_MAX, "a game waited for {waited} s, the cuts lasted {cut_s:.1} s");
    // What the ledger counted of all but the last question, and what it stored of all of them.
    assert_eq!(own, Some(0.0), "the ledger found that books do not balance: {own:?}");
    let wrong = imbalanced_books(&games).await;
    assert_eq!(wrong, 0, "{wrong} books of {games:?} do not balance");
    assert_eq!(verdict.number("late"), 0.0, "receipts do not wait for the store");
    // The way back from the store alone takes longer.
    assert!(verdict.number("ack_p75_ms") < 150.0, "receipts do not wait for the store");
    assert!(verdict.number("ack_max_s") <= UNAVAILABLE_S_MAX, "no receipt waits long");
    verdict.everybody_answered();
}

/// F27. Goal: Redis is not needed. Nothing uses it yet, so the promise holds in the plainest way: roles
/// hold no connection to it, and its death under load changes nothing. Control: it was up, and was killed.
#[tokio::test(flavor = "multi_thread")]
async fn f27_redis_is_gone() {
    let plan = Plan { players: 200, questions: 3, ..Plan::default() };
    let mut course = Course::start("F27", Cluster::default(), plan).await;
    course.load.half_acked(0).await;
    let port = stack_ports().into_iter().find(|(name, _)| name == "redis").expect("the stack has Redis").1;
    let clients = std::process::Command::new("redis-cli").args(["-p", &port.to_string(), "client", "list"]).output();
    let clients = String::from_utf8(clients.expect("redis-cli runs").stdout).expect("UTF-8");
    let connected = clients.lines().filter(|line| line.contains("id=")).count();
    let down = tokio::task::spawn_blocking(|| Down::killed("redis")).await.expect("no panic");
    course.load.half_acked(2).await;
    tokio::task::spawn_blocking(move || drop(down)).await.expect("no panic");
    let verdict = course.end(|_| format!("connections={connected}")).await;
    assert_eq!(connected, 1, "only redis-cli is connected: {clients}");
    verdict.everybody_answered();
    verdict.went_on();
}
