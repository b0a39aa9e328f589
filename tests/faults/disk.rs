//! A disk is full: the broker's, a shard's. Each on a stack of its own, whose disk is a small tmpfs.
//!
//! A tmpfs refuses what a disk refuses: a write that needs a page more (ENOSPC), and a first touch of a
//! page of a mapped file (SIGBUS), which is how Kafka keeps its indices. Its pages that are half full
//! take more, so a server's first failed write comes some ms behind the last free byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{Instant, sleep};

use crate::course::{Course, back_s_max};
use crate::fleet::{Cluster, Fleet};
use crate::load::Plan;
use crate::stack::{OwnStack, Servers, has_ended};

/// Room for a few thousand records; a broker without any takes 2 MB.
const BROKER_DISK: &str = "kafka=64m";
/// The files of a member's journal take 300 MB before they are needed.
const SHARD_DISK: &str = "mongo-b-0=400m";
/// The pieces in which a disk is filled: large ones, then its pages.
const PIECES: [usize; 2] = [1 << 20, 4 << 10];
/// How often what became free is filled again.
const FILL_EVERY: Duration = Duration::from_millis(20);
/// How long a disk stays full at least, with the server behind it gone.
const FULL_MIN: Duration = Duration::from_secs(15);
/// How soon whoever is on call must be told.
const ALERT_S_MAX: f64 = 15.0;
/// How long anything may take that must come of itself.
const CONDITION_WAIT: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a server had done before it went is told to everybody by then.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// All edges of a cluster here.
const EDGES: [&str; 2] = ["edge-1", "edge-2"];
/// Of `quiz.answers.v1`.
const ANSWERS_PARTITIONS: i32 = 24;
/// How long games may wait once the server is up again, seconds.
const BACK_S_MAX: f64 = 10.0;

/// A disk without a free page, until this is dropped.
struct Full {
    ballast: PathBuf,
    release: Option<mpsc::Sender<()>>,
    filler: Option<JoinHandle<()>>,
}

impl Full {
    /// Fills the disk of a folder and keeps it full, also when its server deletes something.
    fn disk_of(folder: &Path) -> Self {
        let ballast = folder.join("ballast");
        let mut file = File::create(&ballast).expect("a disk with room");
        fill(&mut file);
        let (release, released) = mpsc::channel();
        let filler = std::thread::spawn(move || {
            while released.recv_timeout(FILL_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                fill(&mut file);
            }
        });
        Self { ballast, release: Some(release), filler: Some(filler) }
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        drop(self.release.take());
        let _ = self.filler.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.ballast);
    }
}

/// Writes until not one page is free.
fn fill(file: &mut File) {
    for piece in PIECES {
        let zeros = vec![0; piece];
        loop {
            match file.write_all(&zeros) {
                Ok(()) => {}
                Err(err) if err.kind() == ErrorKind::StorageFull => break,
                Err(err) => panic!("the disk does not fill: {err}"),
            }
        }
    }
}

/// The seconds until something holds.
async fn until(what: &str, began: Instant, mut holds: impl AsyncFnMut() -> bool) -> f64 {
    while !holds().await {
        assert!(began.elapsed() < CONDITION_WAIT, "within {:?}: {what}", began.elapsed());
        sleep(LOOK_EVERY).await;
    }
    began.elapsed().as_secs_f64()
}

async fn own_stack(disk: &'static str) -> OwnStack {
    let up = move || OwnStack::up(&["--small-disk", disk]);
    tokio::task::spawn_blocking(up).await.expect("the stack comes up")
}

/// Gives a server its room back and starts it again.
async fn repaired(stack: OwnStack, full: Full, name: &'static str) -> OwnStack {
    let repair = move || {
        drop(full);
        stack.run(&["start", name]);
        stack
    };
    tokio::task::spawn_blocking(repair).await.expect("the server starts again")
}

/// An edge tells its balancer to send nobody, because of Kafka.
async fn is_not_ready(fleet: &Fleet, edge: &str) -> bool {
    fleet.ask(edge, "/readyz").await.is_some_and(|(status, why)| status == 503 && why.contains("kafka"))
}

/// F10. Goal: a broker whose disk is full acknowledges nothing that it has not written, and nothing at all
/// once it is gone; edges say so within 15 s; with room and a restart the games go on without a loss, and
/// no commit is ahead of the log. Method: the last page of its disk is taken in the middle of a question.
/// Control: its log says that no space was left, and its process, which has no other disk, has ended.
///
/// What happens, as seen: an append to the first partition whose last page is full fails with an
/// IOException, the broker takes its only log folder offline and halts some 150 ms later. Partitions with
/// room in their last page take records until then, rightly. The mapped indices were never the first to
/// fail: a log outgrows its page sooner than its index does.
#[tokio::test(flavor = "multi_thread")]
async fn f10_the_disk_of_the_broker_is_full() {
    let stack = own_stack(BROKER_DISK).await;
    let cluster = Cluster { scoring: 2, ..Cluster::default() };
    let plan = Plan { players: 200, questions: 4, limit_ms: 50_000, ..Plan::default() };
    let mut course = Course::on(stack.servers(), "F10-kafka", cluster, plan).await;
    course.load.half_acked(1).await;
    for edge in EDGES {
        assert!(!is_not_ready(&course.fleet, edge).await, "{edge} is not ready before anything happens");
    }
    let broker = stack.pid("kafka");
    let full = Full::disk_of(&stack.data("kafka"));
    let (began, acked) = (Instant::now(), course.load.progress().all("acked"));
    let [one, other] = EDGES;
    let fleet = &course.fleet;
    let (gone_s, one_s, other_s) = tokio::join!(
        until("the broker has ended", began, async || has_ended(broker)),
        until("an edge is not ready", began, async || is_not_ready(fleet, one).await),
        until("the other edge is not ready", began, async || is_not_ready(fleet, other).await),
    );
    let alert_s = one_s.max(other_s);
    sleep(ON_ITS_WAY).await;
    let said = stack.log("kafka");
    std::fs::write(course.load.folder.join("kafka.log"), &said).expect("a writable folder");
    let at_failure = course.load.progress().all("acked");
    sleep(FULL_MIN.saturating_sub(began.elapsed())).await;
    let acks_while_full = course.load.progress().all("acked") - at_failure;
    let full_s = began.elapsed().as_secs_f64();
    let stack = repaired(stack, full, "kafka").await;
    let down_s = began.elapsed().as_secs_f64();
    let servers = stack.servers();
    // Beside the supervisor: a process that the broker's return has killed is started again meanwhile.
    let past_the_log = tokio::task::spawn_blocking(move || committed_past_the_log(&servers));
    let more = format!(
        "full_s={full_s:.1} down_s={down_s:.1} gone_s={gone_s:.2} alert_s={alert_s:.1} acks_until_gone={} \
         acks_while_full={acks_while_full}",
        at_failure - acked
    );
    let (verdict, revived) = course.end_supervised(|_, revived| format!("{more} crashed={revived}")).await;
    let past_the_log = past_the_log.await.expect("no panic");
    drop(stack);
    assert!(said.contains("No space left on device"), "the broker had room: {said}");
    assert_eq!(acks_while_full, 0, "answers acknowledged while the broker was gone");
    assert_eq!(past_the_log, 0, "partitions committed further than their log goes");
    assert!(alert_s <= ALERT_S_MAX, "nobody was told for {alert_s:.1} s");
    verdict.everybody_answered();
    let waited = verdict.number("unavailable_s");
    assert!(waited <= down_s + back_s_max(revived), "good again {:.1} s after the broker was up", waited - down_s);
}

/// The writes that the scoring workers have tried again.
async fn retries(fleet: &Fleet, workers: u32) -> f64 {
    let mut retries = 0.0;
    for number in 1..=workers {
        let having = ["group=\"quiz.scoring\"", "stage=\"write\""];
        retries += fleet.metric(&format!("scoring-{number}"), "quiz_group_flush_retries_total", &having).await;
    }
    retries
}

/// The games that have answers on a member of a shard.
async fn games_on(stack: &OwnStack, name: &str) -> BTreeSet<String> {
    let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true", stack.port(name));
    let client = Client::with_uri_str(uri).await.expect("a client");
    let answers = client.database("quizstream").collection::<Document>("answers");
    let lanes = answers.distinct("lane", doc! {}).await.expect("the shard answers");
    let game = |lane: &str| lane.split('/').next().expect("it has a game").to_string();
    lanes.iter().filter_map(|lane| lane.as_str()).map(game).collect()
}

/// A client that looks at the group of the scoring workers and is no member.
fn onlooker(servers: &Servers) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", servers.of("QUIZ_KAFKA__BOOTSTRAP_SERVERS"))
        .set("group.id", "quiz.scoring")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a client of the broker")
}

/// How far the scoring workers have committed each partition.
fn committed(servers: &Servers) -> BTreeMap<i64, i64> {
    let consumer = onlooker(servers);
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_range("quiz.answers.v1", 0, ANSWERS_PARTITIONS - 1);
    let began = Instant::now();
    let found = loop {
        // A broker that has just come back may not lead the group's partition yet.
        match consumer.committed_offsets(wanted.clone(), CONDITION_WAIT) {
            Ok(found) => break found,
            Err(err) => assert!(began.elapsed() < CONDITION_WAIT, "the group has no coordinator: {err}"),
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
    found.elements().iter().map(|part| (i64::from(part.partition()), offset(part.offset()))).collect()
}

/// How many partitions are committed further than their log goes.
fn committed_past_the_log(servers: &Servers) -> usize {
    let consumer = onlooker(servers);
    let end = |partition: i64| {
        let partition = i32::try_from(partition).expect("a partition");
        consumer.fetch_watermarks("quiz.answers.v1", partition, CONDITION_WAIT).expect("the broker answers").1
    };
    committed(servers).into_iter().filter(|&(partition, offset)| offset > end(partition)).count()
}

/// By how many records the commits of these partitions have moved, and of all others.
fn moved(before: &BTreeMap<i64, i64>, after: &BTreeMap<i64, i64>, these: &BTreeSet<i64>) -> (i64, i64) {
    let by = |inside: bool| {
        let partitions = after.keys().filter(|partition| these.contains(partition) == inside);
        partitions.map(|partition| after[partition] - before[partition]).sum()
    };
    (by(true), by(false))
}

/// F10. Goal: a shard whose disk is full takes no answer with it: what it has not stored is not
/// committed, workers tell of it within 15 s, receipts and the other shard's games go on, and with room
/// and a restart nothing is missing. Method: the last page of its disk is taken in the middle of a
/// question; its next checkpoint fails. Control: its log says that no space was left, its process has
/// ended, and the commits of the other partitions went on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn f10_the_disk_of_a_shard_is_full() {
    let stack = own_stack(SHARD_DISK).await;
    let cluster = Cluster { scoring: 2, ..Cluster::default() };
    let plan = Plan { players: 240, games: 12, questions: 6, limit_ms: 50_000, ..Plan::default() };
    let mut course = Course::on(stack.servers(), "F10-mongo", cluster, plan).await;
    course.load.half_acked(1).await;
    let on_shard = games_on(&stack, "mongo-b-0").await;
    let member = stack.pid("mongo-b-0");
    let tried = retries(&course.fleet, cluster.scoring).await;
    let full = Full::disk_of(&stack.data("mongo-b-0"));
    let began = Instant::now();
    let gone_s = until("the member has ended", began, async || has_ended(member)).await;
    sleep(ON_ITS_WAY).await;
    let said = stack.log("mongo-b-0");
    std::fs::write(course.load.folder.join("mongo-b-0.log"), &said).expect("a writable folder");
    let acked = course.load.progress().all("acked");
    let at_failure = committed(&stack.servers());
    let told = async || retries(&course.fleet, cluster.scoring).await > tried;
    let alert_s = until("a write is tried again", began, told).await;
    // By now each game of the shard has something that cannot be stored.
    let waiting = committed(&stack.servers());
    sleep(FULL_MIN.saturating_sub(began.elapsed())).await;
    let after = committed(&stack.servers());
    let lanes = course.load.progress().lanes().clone();
    let acks_while_full = course.load.progress().all("acked") - acked;
    let full_s = began.elapsed().as_secs_f64();
    let stack = repaired(stack, full, "mongo-b-0").await;
    let down_s = began.elapsed().as_secs_f64();
    let held: BTreeSet<i64> =
        lanes.iter().filter(|(game, _)| on_shard.contains(*game)).map(|(_, lane)| lane.partition).collect();
    let (committed_held, _) = moved(&waiting, &after, &held);
    let (_, committed_free) = moved(&at_failure, &after, &held);
    let more = format!(
        "full_s={full_s:.1} down_s={down_s:.1} gone_s={gone_s:.2} alert_s={alert_s:.1} games_held={} \
         committed_held={committed_held} committed_free={committed_free} receipts_while_full={acks_while_full}",
        on_shard.len()
    );
    let verdict = course.end(|_| more).await;
    drop(stack);
    assert!(said.contains("No space left on device"), "the member had room: {said}");
    assert!(!held.is_empty() && committed_held == 0, "{committed_held} records committed of {held:?}, none stored");
    let has_free = lanes.values().any(|lane| !held.contains(&lane.partition));
    assert!(committed_free > 0 || !has_free, "the other games went on");
    assert!(acks_while_full > 0, "receipts do not wait for a shard");
    // The disk is noticed at the next checkpoint; workers count from the member's end.
    assert!(alert_s - gone_s <= ALERT_S_MAX, "nobody was told for {:.1} s", alert_s - gone_s);
    verdict.everybody_answered();
    let waited = verdict.number("unavailable_s");
    assert!(waited > 1.0, "no game waited for the shard: {waited} s");
    assert!(waited <= down_s + BACK_S_MAX, "good again {:.1} s after the shard was up", waited - down_s);
}
