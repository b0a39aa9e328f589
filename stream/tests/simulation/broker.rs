//! A model of the broker: logs, one group with generations, transactions with fencing.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quiz_schemas::Topic;
use quiz_stream::group::{DeadRecord, RawRecord, TopicPartition};
use quiz_stream::partition_of;

use crate::rng::Rng;

/// One run of a member's process.
pub type MemberId = u64;

/// How a transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Open,
    Committed,
    Aborted,
}

pub struct Entry {
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    /// The transaction that it belongs to.
    pub transaction: Option<usize>,
    /// A marker that ends a transaction: takes an offset and is shown to nobody.
    pub control: bool,
}

#[derive(Default)]
struct TransactionalId {
    epoch: u32,
    open: Option<usize>,
    touched: BTreeSet<TopicPartition>,
    offsets: Vec<(Topic, i32, i64)>,
}

/// The answer of a broker that refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Another producer has the transactional id.
    Fenced,
    /// The group is in another generation.
    Generation,
}

/// Who a member says it is when it commits.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub member: MemberId,
    pub joined: u64,
    pub generation: u64,
}

/// What the group tells a member.
#[derive(Clone, Debug)]
pub enum Told {
    Assigned(Vec<i32>, u64),
    Revoked(Vec<i32>),
    Lost,
}

#[derive(Default)]
pub struct Group {
    pub generation: u64,
    /// Each member's number of the join; one that was removed and comes back has another.
    pub members: BTreeMap<MemberId, u64>,
    joins: u64,
    pub owners: BTreeMap<i32, MemberId>,
    waiting: BTreeSet<MemberId>,
    preparing: bool,
    stale: bool,
    pub told: Vec<(MemberId, Told)>,
}

pub struct Broker {
    pub partitions: i32,
    pub cooperative: bool,
    /// Whether offsets committed in transactions are kept; the embedded cluster does not.
    pub keeps_transactional_offsets: bool,
    /// A guard that a mutation takes away.
    pub ignores_generation: bool,
    pub logs: BTreeMap<TopicPartition, Vec<Entry>>,
    pub fates: Vec<Fate>,
    pub dead: Vec<DeadRecord>,
    pub committed: BTreeMap<TopicPartition, i64>,
    pub group: Group,
    ids: BTreeMap<String, TransactionalId>,
}

impl Broker {
    pub fn new(partitions: i32, cooperative: bool) -> Self {
        Self {
            partitions,
            cooperative,
            keeps_transactional_offsets: true,
            ignores_generation: false,
            logs: BTreeMap::new(),
            fates: Vec::new(),
            dead: Vec::new(),
            committed: BTreeMap::new(),
            group: Group::default(),
            ids: BTreeMap::new(),
        }
    }

    pub fn append(&mut self, topic: Topic, key: Bytes, value: Bytes, transaction: Option<usize>) -> TopicPartition {
        let place = (topic, partition_of(&key, self.partitions));
        let entry = Entry { key: Some(key), value: Some(value), transaction, control: false };
        self.logs.entry(place).or_default().push(entry);
        place
    }

    pub fn end(&self, place: TopicPartition) -> i64 {
        self.logs.get(&place).map_or(0, |log| log.len() as i64)
    }

    /// Up to where readers of committed records may read.
    pub fn stable_end(&self, place: TopicPartition) -> i64 {
        let Some(log) = self.logs.get(&place) else { return 0 };
        let open = |entry: &Entry| entry.transaction.is_some_and(|number| self.fates[number] == Fate::Open);
        log.iter().position(open).unwrap_or(log.len()) as i64
    }

    pub fn is_visible(&self, entry: &Entry) -> bool {
        !entry.control && entry.transaction.is_none_or(|number| self.fates[number] == Fate::Committed)
    }

    /// Records from `next` on, below `end`, and where to read on.
    pub fn fetch(&self, place: TopicPartition, next: i64, end: i64, max: usize, dirty: bool) -> (Vec<RawRecord>, i64) {
        let mut records = Vec::new();
        let mut at = next;
        while at < end && records.len() < max {
            let entry = &self.logs[&place][at as usize];
            if self.is_visible(entry) || (dirty && !entry.control) {
                let (key, value) = (entry.key.clone(), entry.value.clone());
                let (topic, partition) = place;
                records.push(RawRecord { topic, partition, offset: at, appended_at_us: at, key, value });
            }
            at += 1;
        }
        (records, at)
    }

    /// The committed offset; none while a transaction that carries one is open.
    pub fn stable_offset(&self, place: TopicPartition) -> Option<i64> {
        let pending = self.ids.values().flat_map(|id| &id.offsets).any(|&(topic, number, _)| (topic, number) == place);
        (!pending).then(|| self.committed.get(&place).copied().unwrap_or(0))
    }

    /// Takes a transactional id over: what its holder left open is aborted.
    pub fn init(&mut self, id: &str) -> u32 {
        self.end_open(id, Fate::Aborted);
        let id = self.ids.entry(id.to_string()).or_default();
        id.epoch += 1;
        id.epoch
    }

    fn end_open(&mut self, id: &str, fate: Fate) {
        let Some(id) = self.ids.get_mut(id) else { return };
        let Some(number) = id.open.take() else { return };
        self.fates[number] = fate;
        for place in std::mem::take(&mut id.touched) {
            let marker = Entry { key: None, value: None, transaction: Some(number), control: true };
            self.logs.entry(place).or_default().push(marker);
        }
        for (topic, partition, offset) in std::mem::take(&mut id.offsets) {
            if fate == Fate::Committed && self.keeps_transactional_offsets {
                self.committed.insert((topic, partition), offset);
            }
        }
    }

    fn holder(&mut self, id: &str, epoch: u32) -> Result<&mut TransactionalId, Refused> {
        self.ids.get_mut(id).filter(|id| id.epoch == epoch).ok_or(Refused::Fenced)
    }

    pub fn begin(&mut self, id: &str, epoch: u32) -> Result<(), Refused> {
        let number = self.fates.len();
        self.holder(id, epoch)?.open = Some(number);
        self.fates.push(Fate::Open);
        Ok(())
    }

    pub fn append_in(&mut self, id: &str, epoch: u32, record: (Topic, Bytes, Bytes)) -> Result<(), Refused> {
        let number = self.holder(id, epoch)?.open.ok_or(Refused::Fenced)?;
        let (topic, key, value) = record;
        let place = self.append(topic, key, value, Some(number));
        self.holder(id, epoch)?.touched.insert(place);
        Ok(())
    }

    pub fn send_offsets(
        &mut self,
        id: &str,
        epoch: u32,
        offsets: &[(Topic, i32, i64)],
        claim: Claim,
    ) -> Result<(), Refused> {
        self.holder(id, epoch)?.open.ok_or(Refused::Fenced)?;
        self.check(claim)?;
        self.holder(id, epoch)?.offsets = offsets.to_vec();
        Ok(())
    }

    pub fn finish(&mut self, id: &str, epoch: u32, fate: Fate) -> Result<(), Refused> {
        self.holder(id, epoch)?.open.ok_or(Refused::Fenced)?;
        self.end_open(id, fate);
        Ok(())
    }

    /// The broker's time-out of an open transaction, which fences its producer as well.
    pub fn time_out(&mut self, rng: &mut Rng) -> bool {
        let open: Vec<String> =
            self.ids.iter().filter(|(_, id)| id.open.is_some()).map(|(name, _)| name.clone()).collect();
        if open.is_empty() {
            return false;
        }
        self.init(&open[rng.below(open.len())]);
        true
    }

    /// Whether who claims a generation is of it.
    fn check(&self, claim: Claim) -> Result<(), Refused> {
        let joined = self.group.members.get(&claim.member) == Some(&claim.joined);
        let current = joined && claim.generation == self.group.generation;
        if current || self.ignores_generation { Ok(()) } else { Err(Refused::Generation) }
    }

    pub fn commit(&mut self, offsets: &[(Topic, i32, i64)], claim: Claim) -> Result<(), Refused> {
        self.check(claim)?;
        for &(topic, partition, offset) in offsets {
            self.committed.insert((topic, partition), offset);
        }
        Ok(())
    }

    /// The number of the join.
    pub fn join(&mut self, member: MemberId) -> u64 {
        self.group.joins += 1;
        self.group.members.insert(member, self.group.joins);
        self.group.stale = true;
        self.group.joins
    }

    /// A member is gone, by itself or because it was silent for too long.
    pub fn remove(&mut self, member: MemberId) {
        if self.group.members.remove(&member).is_some() {
            self.group.owners.retain(|_, owner| *owner != member);
            self.group.waiting.remove(&member);
            self.group.stale = true;
        }
    }

    /// A member has given partitions back.
    pub fn acknowledge(&mut self, member: MemberId, numbers: &BTreeSet<i32>) {
        self.group.owners.retain(|number, owner| *owner != member || !numbers.contains(number));
        self.group.waiting.remove(&member);
    }

    /// Takes one step of a rebalance.
    pub fn rebalance(&mut self, rng: &mut Rng) {
        if self.group.preparing && self.group.waiting.is_empty() {
            self.complete(rng);
        } else if !self.group.preparing && self.group.stale {
            self.prepare(rng);
        }
    }

    fn prepare(&mut self, rng: &mut Rng) {
        let group = &mut self.group;
        group.stale = false;
        group.preparing = true;
        let mut revoked: BTreeMap<MemberId, Vec<i32>> = BTreeMap::new();
        for (&number, &owner) in &group.owners {
            // A cooperative group takes away only some; which is of no matter to the loop.
            if !self.cooperative || rng.chance(500) {
                revoked.entry(owner).or_default().push(number);
            }
        }
        for (member, numbers) in revoked {
            group.waiting.insert(member);
            group.told.push((member, Told::Revoked(numbers)));
        }
    }

    fn complete(&mut self, rng: &mut Rng) {
        let group = &mut self.group;
        group.preparing = false;
        group.generation += 1;
        let members: Vec<MemberId> = group.members.keys().copied().collect();
        if members.is_empty() {
            return;
        }
        let mut given: BTreeMap<MemberId, Vec<i32>> = members.iter().map(|&member| (member, Vec::new())).collect();
        for number in 0..self.partitions {
            group.owners.entry(number).or_insert_with(|| {
                let member = members[rng.below(members.len())];
                given.entry(member).or_default().push(number);
                member
            });
        }
        for (member, numbers) in given {
            group.told.push((member, Told::Assigned(numbers, group.generation)));
        }
    }
}
