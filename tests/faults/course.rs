//! The course of a test: a fleet, players, a fault at its moment, the end, the verdict.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::fleet::{Cluster, Fleet};
use crate::judge::{Verdict, target};
use crate::load::{Load, Plan};
use crate::stack::Servers;

/// The longest time in which nobody is served after a single fault, seconds.
pub const UNAVAILABLE_S_MAX: f64 = 10.0;

/// How long a game may wait after the broker is back, seconds; when a process died of it, its session in its
/// group has to end first.
pub fn back_s_max(revived: u32) -> f64 {
    UNAVAILABLE_S_MAX + if revived > 0 { SESSION_S } else { 0.0 }
}

/// After that a member of a group that says nothing is taken for dead, seconds.
const SESSION_S: f64 = 6.0;

/// How often a supervisor looks at its processes.
const SUPERVISE_EVERY: Duration = Duration::from_millis(200);

/// A test under way.
pub struct Course {
    fault: &'static str,
    seed: u64,
    folder: PathBuf,
    servers: Servers,
    /// The processes.
    pub fleet: Fleet,
    /// The players.
    pub load: Load,
    // Tests of one stack take turns, under any test runner.
    _turn: File,
}

/// A test whose players are still to come.
pub struct Prepared {
    fault: &'static str,
    plan: Plan,
    folder: PathBuf,
    servers: Servers,
    /// The processes.
    pub fleet: Fleet,
    turn: File,
}

impl Prepared {
    /// Where its logs go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the players against all edges.
    pub fn begin(self) -> Course {
        let edges = self.fleet.edges();
        self.begin_at(&edges)
    }

    /// Starts the players against these addresses.
    pub fn begin_at(self, edges: &[SocketAddr]) -> Course {
        let Self { fault, plan, folder, servers, fleet, turn } = self;
        let load = Load::start(&folder, edges, plan.clone());
        Course { fault, seed: plan.seed, folder, servers, fleet, load, _turn: turn }
    }
}

/// A folder of a test for its logs and dumps, emptied.
pub fn folder(fault: &str) -> PathBuf {
    let folder = target().join("faults").join(fault);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a writable target folder");
    folder
}

/// Waits until no other test uses the stack.
pub fn turn() -> File {
    let file = File::create(target().join("faults.lock")).expect("a writable target folder");
    file.lock().expect("the lock can be had");
    file
}

impl Course {
    /// Starts the cluster and the players.
    pub async fn start(fault: &'static str, cluster: Cluster, plan: Plan) -> Self {
        Self::with(fault, cluster, plan, |_| {}).await
    }

    /// Like [`Course::start`], with settings that all processes get.
    pub async fn with(fault: &'static str, cluster: Cluster, plan: Plan, set: impl FnOnce(&mut Fleet)) -> Self {
        Self::prepared(fault, cluster, plan, set).await.begin()
    }

    /// Like [`Course::start`], on other servers than the shared ones.
    pub async fn on(servers: Servers, fault: &'static str, cluster: Cluster, plan: Plan) -> Self {
        Self::prepared_on(servers, fault, cluster, plan, |_| {}).await.begin()
    }

    /// Starts the cluster only.
    pub async fn prepared(fault: &'static str, cluster: Cluster, plan: Plan, set: impl FnOnce(&mut Fleet)) -> Prepared {
        Self::prepared_on(Servers::shared(), fault, cluster, plan, set).await
    }

    async fn prepared_on(
        servers: Servers,
        fault: &'static str,
        cluster: Cluster,
        plan: Plan,
        set: impl FnOnce(&mut Fleet),
    ) -> Prepared {
        let plan = plan.sized();
        let turn = tokio::task::spawn_blocking(turn).await.expect("it does not panic");
        let folder = folder(fault);
        let mut fleet = Fleet::on(&servers, &folder);
        set(&mut fleet);
        fleet.start(cluster).await;
        Prepared { fault, plan, folder, servers, fleet, turn }
    }

    /// Kills an edge at which at least a quarter of the players joined; where they are not, the fault would hit nobody.
    pub async fn kill_edge(&mut self, name: &str) {
        let edge = self.fleet.listens(name);
        let (joined, players) = (self.load.progress().at(edge, "joined"), u64::from(self.load.plan().players));
        let said = || self.fleet.last_words(name);
        assert!(joined >= players / 4, "{joined} of {players} players joined at {name}, which said:\n{}", said());
        self.fleet.kill(name).await;
    }

    /// Waits for the end of the games, stops the processes, judges, tells the line. The players must
    /// all have heard the end.
    pub async fn end(self, more: impl FnOnce(&Verdict) -> String) -> Verdict {
        let Self { fault, seed, folder, servers, fleet, load, _turn } = self;
        let ending = load.end().await;
        Judged { fault, seed, folder, servers, fleet, _turn }.judge(ending, more).await
    }

    /// As [`Course::end`], and meanwhile what crashes is started again, as a supervisor does. For tests in
    /// which the broker comes back: librdkafka 2.12 reads memory that is not its own when a broker answers a
    /// fetch before it leads its partitions again (confluentinc/librdkafka#5280), and may die of it. Also how many
    /// did.
    pub async fn end_supervised(self, more: impl FnOnce(&Verdict, u32) -> String) -> (Verdict, u32) {
        let Self { fault, seed, folder, servers, mut fleet, load, _turn } = self;
        let mut revived = 0;
        let mut ending = std::pin::pin!(load.end());
        let ending = loop {
            tokio::select! {
                ending = &mut ending => break ending,
                () = sleep(SUPERVISE_EVERY) => revived += fleet.revive().await,
            }
        };
        let judged = Judged { fault, seed, folder, servers, fleet, _turn };
        (judged.judge(ending, |verdict| more(verdict, revived)).await, revived)
    }
}

/// A run whose players are through.
struct Judged {
    fault: &'static str,
    seed: u64,
    folder: PathBuf,
    servers: Servers,
    fleet: Fleet,
    _turn: File,
}

impl Judged {
    async fn judge(self, (heard, last): (bool, Value), more: impl FnOnce(&Verdict) -> String) -> Verdict {
        let own = self.fleet.imbalances().await;
        self.fleet.stop().await;
        let (servers, folder) = (self.servers, self.folder);
        let verdict =
            tokio::task::spawn_blocking(move || Verdict::on(&servers, &folder)).await.expect("it does not panic");
        let verdict = verdict.beside(own);
        let own = own.map_or_else(|| "none".to_string(), |count| count.to_string());
        let more = format!("own_ledger={own} {}", more(&verdict));
        verdict.tell(self.fault, self.seed, verdict.number("unavailable_s"), &more);
        // Before the games are over the pipeline is still at work, and there is nothing to judge.
        assert!(heard, "every player heard the end: {last}");
        verdict.is_clean();
        verdict
    }
}

impl Verdict {
    /// Every player could answer every question in time, and got its receipt for it.
    pub fn everybody_answered(&self) {
        let all = self.number("joined") * self.number("questions");
        let (sent, acked, late) = (self.number("sent"), self.number("acked"), self.number("late"));
        assert_eq!((sent, acked, late), (all, all, 0.0), "answers that were sent, acknowledged, and late");
    }

    /// At least half of the players lost their socket and came back.
    pub fn half_came_back(&self) {
        let (joined, back) = (self.number("joined"), self.number("reconnected"));
        assert!(back >= joined / 2.0, "{back} of {joined} players came back");
    }

    /// The run went on soon enough after its fault.
    pub fn went_on(&self) {
        let waited = self.number("unavailable_s");
        assert!(waited <= UNAVAILABLE_S_MAX, "nobody was served for {waited} s");
    }
}
