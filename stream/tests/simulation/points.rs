//! Deaths at named points: before an operation, in the middle of it, and when it is done but the loop does not
//! know. Goal: I5 and I6 hold wherever a process ends. Method: each point with seeds of its own, on top of all
//! that goes wrong anyway. Control: the deaths are counted.

use crate::auditor::{Auditor, CountingAuditor, DecidingAuditor};
use crate::broker::{Broker, MemberId};
use crate::counting::Counting;
use crate::deciding::Deciding;
use crate::member::Kind;
use crate::mutation::Mutation;
use crate::rng::Rng;
use crate::store::Toy;
use crate::workload::Workload;
use crate::world::World;

/// Seeds of each point.
const SEEDS: u64 = 20;

/// When a member dies, seen from an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    Before,
    Amid,
    After,
}

/// A member dies at the `nth` operation of a kind from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Death {
    pub moment: Moment,
    pub operation: &'static str,
    pub nth: u64,
}

impl<P: Toy> Kind<P> {
    /// Its kind, for deaths.
    pub fn operation(&self) -> &'static str {
        match self {
            Kind::Append { .. } => "append",
            Kind::Announce { .. } => "announce",
            Kind::Dead { .. } => "dead_letter",
            Kind::Write { .. } => "write",
            Kind::Load { .. } => "load",
            Kind::Commit { .. } => "commit",
            Kind::Resolve(_) => "resolve",
            Kind::Restore { .. } => "restore",
            Kind::Transact(_) => "transaction",
        }
    }
}

impl<P: Toy, A: Auditor> World<P, A> {
    /// Whether the very next one is the one to die at.
    pub fn is_next(&self, member: MemberId, moment: Moment, operation: &'static str) -> bool {
        self.members.contains_key(&member) && self.dies == Some(Death { moment, operation, nth: 1 })
    }

    /// Lets the member die here, if that is what is wanted. True when it did.
    pub fn dies_at(&mut self, member: MemberId, moment: Moment, operation: &'static str) -> bool {
        if self.is_next(member, moment, operation) {
            self.dies = None;
            self.bite("death at a point");
            self.crash(member);
            return true;
        }
        if let Some(death) = &mut self.dies
            && (death.moment, death.operation) == (moment, operation)
            && self.members.contains_key(&member)
        {
            death.nth -= 1;
        }
        false
    }
}

fn run<P: Toy, A: Auditor>(mut world: World<P, A>, death: Death, seed: u64) -> u64 {
    world.dies = Some(death);
    if let Err(what) = world.run() {
        panic!("{death:?}, seed {seed}: {what}");
    }
    world.bites.get("death at a point").copied().unwrap_or_default()
}

fn counting(death: Death, seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let broker = Broker::new(1 + rng.below(4) as i32, rng.chance(500));
    let workload = Workload::counting(&mut rng);
    let make: fn() -> Counting = || Counting { seals: true, announces_again: true };
    run(World::new(rng, broker, workload, CountingAuditor::new(), make, Mutation::None), death, seed)
}

fn deciding(death: Death, seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let broker = Broker::new(1 + rng.below(4) as i32, false);
    let workload = Workload::deciding(&mut rng);
    let make: fn() -> Deciding = || Deciding { drops_known: false };
    run(World::new(rng, broker, workload, DecidingAuditor::new(true), make, Mutation::None), death, seed)
}

fn every_seed(moment: Moment, operation: &'static str, run: fn(Death, u64) -> u64) -> (u64, u64) {
    let death = |seed: u64| Death { moment, operation, nth: 1 + seed % 4 };
    let died = (0..SEEDS).map(|seed| run(death(seed), 7_000_000 + seed)).sum();
    println!("point={moment:?}-{operation} seeds={SEEDS} deaths={died} ledger=0");
    (SEEDS, died)
}

#[test]
fn every_answer_counts_once_wherever_a_process_ends() {
    let mut all = Vec::new();
    for operation in ["append", "write", "announce"] {
        for moment in [Moment::Before, Moment::Amid, Moment::After] {
            all.push(every_seed(moment, operation, counting));
        }
    }
    for operation in ["commit", "dead_letter"] {
        for moment in [Moment::Before, Moment::After] {
            all.push(every_seed(moment, operation, counting));
        }
    }
    all.push(every_seed(Moment::Before, "load", counting));
    all.push(every_seed(Moment::Before, "transaction", deciding));
    all.push(every_seed(Moment::Before, "restore", deciding));
    let (seeds, deaths) = all.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("points={} runs={seeds} deaths={deaths}", all.len());
    assert!(all.iter().all(|(seeds, died)| died * 2 > *seeds), "a point is hardly ever met: {all:?}");
}
