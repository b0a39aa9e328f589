//! The consumer loop on a seeded model of broker, store and registry, with crashes between any two
//! actions, lost answers, rebalances, sleepers that wake in an older generation, poison and outages.
//!
//! Goal: I5, I6, I11, I12 and progress hold in every run. Method: two toy groups whose right outcome
//! can be stated from their input alone; an auditor that states it, at each commit and at the end.
//! `QUIZ_SIM_SEEDS=n` runs n seeds of each kind, `QUIZ_SIM_SEED=x` one.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

mod auditor;
mod broker;
mod counting;
mod deciding;
mod effects;
mod faults;
mod member;
mod mutation;
mod points;
mod rng;
mod store;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use auditor::{CountingAuditor, DecidingAuditor};
use broker::Broker;
use counting::Counting;
use deciding::Deciding;
use mutation::Mutation;
use rng::Rng;
use workload::Workload;
use world::World;

/// Seeds of each kind in a usual run.
const SEEDS: u64 = 10_000;

/// Seeds within which a mutation must be seen.
const MUTANT_SEEDS: u64 = 30_000;

type Bites = BTreeMap<&'static str, u64>;

fn counting(seed: u64, mutation: Mutation, bites: &mut Bites) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let (partitions, cooperative) = (1 + rng.below(4) as i32, rng.chance(500));
    let mut broker = Broker::new(partitions, cooperative);
    broker.ignores_generation = mutation == Mutation::IgnoresGeneration;
    let workload = Workload::counting(&mut rng);
    let make: fn() -> Counting = match mutation {
        Mutation::SealsNothing => || Counting { seals: false, announces_again: true },
        Mutation::AnnouncesOnce => || Counting { seals: true, announces_again: false },
        _ => || Counting { seals: true, announces_again: true },
    };
    let mut world = World::new(rng, broker, workload, CountingAuditor::new(), make, mutation);
    let result = world.run();
    world.bites.iter().for_each(|(bite, count)| *bites.entry(bite).or_default() += count);
    result
}

fn deciding(seed: u64, mutation: Mutation, bites: &mut Bites) -> Result<(), String> {
    deciding_with(seed, mutation, bites, true)
}

/// As on the embedded cluster: offsets that are committed in transactions are not kept, so the group
/// drops by itself what it knows.
fn embedded(seed: u64, mutation: Mutation, bites: &mut Bites) -> Result<(), String> {
    deciding_with(seed, mutation, bites, false)
}

fn deciding_with(seed: u64, mutation: Mutation, bites: &mut Bites, keeps_offsets: bool) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let mut broker = Broker::new(1 + rng.below(4) as i32, false);
    broker.keeps_transactional_offsets = keeps_offsets;
    broker.ignores_generation = mutation == Mutation::IgnoresGeneration;
    let workload = Workload::deciding(&mut rng);
    let make: fn() -> Deciding = match keeps_offsets {
        true => || Deciding { drops_known: false },
        false => || Deciding { drops_known: true },
    };
    let mut world = World::new(rng, broker, workload, DecidingAuditor::new(keeps_offsets), make, mutation);
    let result = world.run();
    world.bites.iter().for_each(|(bite, count)| *bites.entry(bite).or_default() += count);
    result
}

type Run = fn(u64, Mutation, &mut Bites) -> Result<(), String>;

fn guarded(run: Run, seed: u64, mutation: Mutation, bites: &mut Bites) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| run(seed, mutation, bites))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Runs all seeds on all processors; every failing seed is in the message. Returns what has bitten.
fn check(name: &str, run: Run, expected_bites: &[&str]) {
    let (first, count) = match from_env("QUIZ_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (0, from_env("QUIZ_SIM_SEEDS").unwrap_or(SEEDS)),
    };
    let (next, bites, failures) = (AtomicU64::new(first), Mutex::new(Bites::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let mut own = Bites::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failures.lock().unwrap().len() >= 3 {
                        break;
                    }
                    if let Err(what) = guarded(run, seed, Mutation::None, &mut own) {
                        failures.lock().unwrap().push(format!("QUIZ_SIM_SEED={seed}: {what}"));
                    }
                }
                let mut bites = bites.lock().unwrap();
                own.iter().for_each(|(bite, count)| *bites.entry(bite).or_default() += count);
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{name}: {failures:#?}");
    let bites = bites.into_inner().unwrap();
    println!("{name}: {count} seeds, bites {bites:?}");
    if count >= SEEDS {
        let missing: Vec<_> = expected_bites.iter().filter(|bite| !bites.contains_key(*bite)).collect();
        assert!(missing.is_empty(), "{name}: these faults never bit: {missing:?}");
    }
}

#[test]
fn counting_is_exact_whatever_fails() {
    let bites = [
        "append failed",
        "append done, ack lost",
        "commit done, answer lost",
        "commit failed",
        "commit of an older generation",
        "crash",
        "dead letter failed",
        "drain",
        "kicked",
        "load failed",
        "registry out",
        "write failed",
    ];
    check("counting", counting, &bites);
}

#[test]
fn each_input_is_decided_once_whatever_fails() {
    let bites = [
        "crash",
        "drain",
        "kicked",
        "producer fenced",
        "registry out",
        "restore failed",
        "transaction aborted",
        "transaction done, answer lost",
        "transaction of an older generation",
        "transaction timed out",
        "two with one name",
    ];
    check("deciding", deciding, &bites);
}

#[test]
fn each_input_is_decided_once_even_without_transactional_offsets() {
    check("embedded", embedded, &["crash", "kicked", "transaction aborted"]);
}

/// Takes a guard away and looks for a seed in which the auditor sees it.
fn catches(run: Run, mutation: Mutation) {
    let caught = (0..MUTANT_SEEDS).find_map(|seed| {
        let result = guarded(run, seed, mutation, &mut Bites::new());
        result.err().map(|what| (seed, what))
    });
    let (seed, what) = caught.unwrap_or_else(|| panic!("{mutation:?} goes unseen"));
    println!("{mutation:?}: seed {seed}: {what}");
}

macro_rules! mutants {
    ($($name:ident: $run:ident, $mutation:ident;)*) => {
        $(#[test]
        fn $name() {
            catches($run, Mutation::$mutation);
        })*
    };
}

mutants! {
    sees_appends_acked_early: counting, AcksAppendEarly;
    sees_writes_acked_early: counting, AcksWriteEarly;
    sees_announcements_acked_early: counting, AcksAnnounceEarly;
    sees_announcements_not_made_again: counting, AnnouncesOnce;
    sees_write_failures_swallowed: counting, SwallowsWriteFailure;
    sees_commits_beyond_the_point: counting, CommitsFetched;
    sees_dead_letters_skipped: counting, SkipsDeadLetters;
    sees_outage_taken_for_absence: counting, OutageIsAbsence;
    sees_states_kept_after_a_loss: counting, KeepsLostState;
    sees_stale_loads: counting, LoadsStale;
    sees_snapshots_not_written_last: counting, SealsNothing;
    sees_generations_ignored: deciding, IgnoresGeneration;
    sees_states_kept_in_transactions: deciding, KeepsLostState;
    sees_short_restores: deciding, RestoresShort;
    sees_uncommitted_reads: deciding, ReadsUncommitted;
    sees_starts_ahead: deciding, StartsAhead;
    sees_aborts_taken_for_done: deciding, AbortIsDone;
    sees_late_look_ups: deciding, LooksUpLate;
    sees_restores_to_the_stable_end: deciding, RestoresToStable;
    sees_unmoved_offsets_omitted: deciding, OmitsUnmovedOffsets;
}
