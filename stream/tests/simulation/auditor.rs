//! Says whether a run was right. Knows the inputs and looks at nothing but the broker's and the
//! store's logs; shares no rule with the toys or the loop.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quiz_schemas::events::{AnswersBody, AnswersRecord, ScoresBody, ScoresRecord, SessionsRecord};
use quiz_schemas::{AnyEvent, GameId, LaneKey, Topic};
use quiz_stream::group::TopicPartition;

use crate::broker::Broker;
use crate::deciding::TURNS;
use crate::store::Store;
use crate::workload::{CODEC, Input};

pub trait Auditor {
    /// An input stands in the log.
    fn appended(&mut self, place: TopicPartition, offset: i64, input: &Input);
    /// A record is about to be announced.
    fn check_announce(&self, store: &Store, event: &AnyEvent) -> Result<(), String>;
    /// Offsets were committed just now.
    fn check_commit(&mut self, broker: &Broker, store: &Store, offsets: &[(Topic, i32, i64)]) -> Result<(), String>;
    /// Whether all inputs have run their whole course.
    fn is_done(&mut self, broker: &Broker) -> bool;
    /// Everything is done.
    fn check_end(&mut self, broker: &Broker, store: &Store) -> Result<(), String>;
}

/// What both auditors know: the inputs, and which of them are bad.
#[derive(Default)]
struct Inputs {
    dead: BTreeMap<(Topic, i32, i64), (Bytes, &'static str)>,
    ends: BTreeMap<TopicPartition, i64>,
    committed: BTreeMap<TopicPartition, i64>,
}

impl Inputs {
    fn appended(&mut self, (topic, partition): TopicPartition, offset: i64, input: &Input) {
        self.ends.insert((topic, partition), offset + 1);
        if let Some(reason) = input.dead {
            self.dead.insert((topic, partition, offset), (input.value.clone(), reason));
        }
    }

    fn is_committed(&self, broker: &Broker) -> bool {
        self.ends.iter().all(|(place, end)| broker.committed.get(place) == Some(end))
    }

    /// A commit goes forward, not beyond the log, and not past a bad record that is not a dead letter.
    fn check_commit(&mut self, broker: &Broker, place: TopicPartition, offset: i64) -> Result<(), String> {
        let before = self.committed.insert(place, offset).unwrap_or(0);
        if offset < before && broker.keeps_transactional_offsets {
            return Err(format!("the commit of {place:?} went back from {before} to {offset}"));
        }
        if offset > broker.end(place) {
            return Err(format!("the commit of {place:?} at {offset} is beyond the log"));
        }
        let letters: BTreeSet<(Topic, i32, i64)> =
            broker.dead.iter().map(|dead| (dead.raw.topic, dead.raw.partition, dead.raw.offset)).collect();
        let (topic, partition) = place;
        for (at, _) in self.dead.range((topic, partition, 0)..(topic, partition, offset)) {
            if !letters.contains(at) {
                return Err(format!("{at:?} is committed and no dead letter"));
            }
        }
        Ok(())
    }

    /// The dead letters are exactly the bad records, byte for byte.
    fn check_dead(&self, broker: &Broker) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for dead in &broker.dead {
            let at = (dead.raw.topic, dead.raw.partition, dead.raw.offset);
            let Some((value, reason)) = self.dead.get(&at) else {
                return Err(format!("a good record is a dead letter: {at:?} {}", dead.reason));
            };
            if dead.raw.value.as_ref() != Some(value) || dead.reason != *reason {
                return Err(format!("the dead letter of {at:?} has other bytes or reason {}", dead.reason));
            }
            seen.insert(at);
        }
        if let Some(at) = self.dead.keys().find(|at| !seen.contains(at)) {
            return Err(format!("{at:?} is bad and no dead letter"));
        }
        Ok(())
    }
}

/// A record of a lane that counts.
struct Step {
    offset: i64,
    total: i64,
    digest: i64,
    submission: Option<u64>,
    closes: bool,
}

fn is_announcement(report: &ScoresRecord) -> bool {
    matches!(report.body, ScoresBody::LaneStored(_))
}

fn place(report: &ScoresRecord) -> (LaneKey, i64) {
    (LaneKey { game: report.game, lane: report.lane }, report.position.offset)
}

/// Audits the counting toy.
pub struct CountingAuditor {
    inputs: Inputs,
    /// What was read of the reports so far, by where each stands.
    reports: BTreeMap<(i32, i64), ScoresRecord>,
    reports_read: BTreeMap<i32, i64>,
    /// Each lane's partition and its records in log order, with what they add up to.
    lanes: BTreeMap<LaneKey, (i32, Vec<Step>)>,
}

impl CountingAuditor {
    pub fn new() -> Self {
        Self {
            inputs: Inputs::default(),
            reports: BTreeMap::new(),
            reports_read: BTreeMap::new(),
            lanes: BTreeMap::new(),
        }
    }

    /// What a lane stands at, at a record.
    fn at(&self, lane: LaneKey, offset: i64) -> Option<(i64, i64)> {
        let (_, steps) = self.lanes.get(&lane)?;
        steps.iter().find(|step| step.offset == offset).map(|step| (step.total, step.digest))
    }

    /// Reads on in the log of reports.
    fn read_reports(&mut self, broker: &Broker) {
        for partition in 0..broker.partitions {
            let place = (Topic::Scores, partition);
            let next = self.reports_read.entry(partition).or_insert(0);
            let (records, end) = broker.fetch(place, *next, broker.end(place), usize::MAX, false);
            *next = end;
            for raw in records {
                let value = raw.value.expect("output has a value");
                self.reports.insert((partition, raw.offset), CODEC.decode(&value).expect("output decodes"));
            }
        }
    }

    fn reported(&self) -> BTreeSet<(LaneKey, i64)> {
        self.reports.values().filter(|report| !is_announcement(report)).map(place).collect()
    }

    /// Up to where each lane is announced to be stored.
    fn announced(&self) -> BTreeMap<LaneKey, i64> {
        let mut announced = BTreeMap::new();
        for (lane, offset) in self.reports.values().filter(|report| is_announcement(report)).map(place) {
            let upto = announced.entry(lane).or_insert(offset);
            *upto = offset.max(*upto);
        }
        announced
    }

    fn check_reports(&self) -> Result<(), String> {
        for report in self.reports.values() {
            let lane = LaneKey { game: report.game, lane: report.lane };
            let offset = report.position.offset;
            if self.at(lane, offset) != Some((report.counts.received, report.counts.duplicate)) {
                return Err(format!("a wrong report of {lane} at {offset}: {:?}", report.counts));
            }
        }
        Ok(())
    }
}

impl Auditor for CountingAuditor {
    fn appended(&mut self, place: TopicPartition, offset: i64, input: &Input) {
        self.inputs.appended(place, offset, input);
        if input.dead.is_some() {
            return;
        }
        // Whatever id its writer's schema has, the datum is of this build's schema.
        let id = Topic::Answers.index() as quiz_schemas::SchemaId + 1;
        let value = [&[0][..], &id.to_be_bytes(), &input.value[5..]].concat();
        let record: AnswersRecord = CODEC.decode(&value).expect("it is good");
        let (_, steps) = self.lanes.entry(record.lane_key()).or_insert((place.1, Vec::new()));
        let (mut total, mut digest) = steps.last().map_or((0, 0), |step| (step.total, step.digest));
        let mut submission = None;
        if let AnswersBody::AnswerSubmitted(answer) = &record.body {
            total += answer.elapsed_us;
            digest = (digest.wrapping_mul(31) ^ answer.elapsed_us) & 0xffff_ffff;
            submission = Some(answer.submission.bits());
        }
        let closes = matches!(record.body, AnswersBody::LaneClosed(_));
        steps.push(Step { offset, total, digest, submission, closes });
    }

    fn check_announce(&self, store: &Store, event: &AnyEvent) -> Result<(), String> {
        let AnyEvent::Scores(report) = event else { return Err(format!("not an announcement: {event:?}")) };
        let (lane, offset) = place(report);
        if store.snapshots.get(&lane).is_none_or(|snapshot| snapshot.offset < offset) {
            return Err(format!("{lane} is announced at {offset} and its snapshot is older"));
        }
        let (_, steps) = &self.lanes[&lane];
        let missing = |step: &&Step| step.submission.is_some_and(|submission| !store.answers.contains_key(&submission));
        match steps.iter().take_while(|step| step.offset <= offset).find(missing) {
            Some(step) => Err(format!("{lane} is announced at {offset} and the answer at {} is missing", step.offset)),
            None => Ok(()),
        }
    }

    fn check_commit(&mut self, broker: &Broker, store: &Store, offsets: &[(Topic, i32, i64)]) -> Result<(), String> {
        self.read_reports(broker);
        let (reported, announced) = (self.reported(), self.announced());
        for &(topic, partition, offset) in offsets {
            self.inputs.check_commit(broker, (topic, partition), offset)?;
            for (&lane, (_, steps)) in self.lanes.iter().filter(|(_, (number, _))| *number == partition) {
                let stored = store.snapshots.get(&lane).map_or(-1, |snapshot| snapshot.offset);
                for step in steps.iter().take_while(|step| step.offset < offset) {
                    let at = step.offset;
                    if at > stored {
                        return Err(format!("{lane} at {at} is committed at {offset} and in no snapshot: {stored}"));
                    }
                    if step.submission.is_some_and(|submission| !store.answers.contains_key(&submission)) {
                        return Err(format!("the answer at {at} is committed and not stored"));
                    }
                    if step.closes && !reported.contains(&(lane, at)) {
                        return Err(format!("the close of {lane} at {at} is committed and not reported"));
                    }
                    if step.closes && announced.get(&lane) < Some(&at) {
                        return Err(format!("the close of {lane} at {at} is committed and not announced"));
                    }
                }
            }
        }
        Ok(())
    }

    fn is_done(&mut self, broker: &Broker) -> bool {
        self.inputs.is_committed(broker)
    }

    fn check_end(&mut self, broker: &Broker, store: &Store) -> Result<(), String> {
        self.inputs.check_dead(broker)?;
        self.read_reports(broker);
        self.check_reports()?;
        let reported = self.reported();
        let mut submissions = 0;
        for (&lane, (partition, steps)) in &self.lanes {
            for step in steps {
                let position = step.submission.map(|submission| store.answers.get(&submission));
                submissions += usize::from(position.is_some());
                if position.is_some_and(|at| at.map(|at| (at.partition, at.offset)) != Some((*partition, step.offset)))
                {
                    return Err(format!("the answer of {lane} at {} is not stored as it is", step.offset));
                }
                if step.closes && !reported.contains(&(lane, step.offset)) {
                    return Err(format!("the close of {lane} at {} is not reported", step.offset));
                }
            }
            let last = steps.last().expect("a lane has records");
            let stored = store.snapshots.get(&lane).map(|doc| (doc.offset, doc.total, doc.digest));
            if stored != Some((last.offset, last.total, last.digest)) {
                return Err(format!("{lane} ends as {stored:?}"));
            }
        }
        if submissions != store.answers.len() {
            return Err("answers are stored that nobody gave".to_string());
        }
        self.check_versions(store)
    }
}

impl CountingAuditor {
    /// Snapshots go forward only, each is right where it stands, and names its report.
    fn check_versions(&self, store: &Store) -> Result<(), String> {
        let mut latest: BTreeMap<LaneKey, i64> = BTreeMap::new();
        for doc in &store.accepted {
            let before = latest.insert(doc.lane, doc.offset);
            if before.is_some_and(|before| before >= doc.offset) {
                return Err(format!("the snapshot of {} went back to {}", doc.lane, doc.offset));
            }
            if self.at(doc.lane, doc.offset) != Some((doc.total, doc.digest)) {
                return Err(format!("a wrong snapshot of {} at {}", doc.lane, doc.offset));
            }
            let closes = |at: &i64| self.lanes[&doc.lane].1.iter().any(|step| step.closes && step.offset == *at);
            if closes(&doc.offset) {
                let report = doc.reported_at.and_then(|at| self.reports.get(&(at.partition, at.offset)));
                if report.is_none_or(|report| report.position.offset != doc.offset || report.lane != doc.lane.lane) {
                    return Err(format!("the snapshot of {} at {} names another report", doc.lane, doc.offset));
                }
            }
        }
        Ok(())
    }
}

/// Audits the deciding toy.
pub struct DecidingAuditor {
    inputs: Inputs,
    /// The good inputs.
    good: BTreeSet<(Topic, i32, i64)>,
    games: BTreeSet<Bytes>,
    keeps_offsets: bool,
}

impl DecidingAuditor {
    pub fn new(keeps_offsets: bool) -> Self {
        Self { inputs: Inputs::default(), good: BTreeSet::new(), games: BTreeSet::new(), keeps_offsets }
    }

    fn decisions(broker: &Broker) -> Vec<(i32, SessionsRecord)> {
        let mut decisions = Vec::new();
        for partition in 0..broker.partitions {
            let place = (Topic::Sessions, partition);
            let (records, _) = broker.fetch(place, 0, broker.end(place), usize::MAX, false);
            let decode = |value: &Bytes| CODEC.decode(value).expect("output decodes");
            decisions
                .extend(records.iter().filter_map(|raw| raw.value.as_ref()).map(|value| (partition, decode(value))));
        }
        decisions
    }

    fn causes(broker: &Broker) -> Vec<(Topic, i32, i64)> {
        let cause = |(partition, decision): (i32, SessionsRecord)| {
            let cause = decision.cause?;
            Some((Topic::from_name(&cause.topic)?, partition, cause.offset))
        };
        Self::decisions(broker).into_iter().filter_map(cause).collect()
    }

    fn markers(broker: &Broker) -> Vec<(GameId, i64)> {
        let mut markers = Vec::new();
        for partition in 0..broker.partitions {
            let place = (Topic::Answers, partition);
            let (records, _) = broker.fetch(place, 0, broker.end(place), usize::MAX, false);
            for raw in records {
                let value = raw.value.expect("output has a value");
                match CODEC.decode_any(Topic::Answers, &value).expect("output decodes") {
                    AnyEvent::Answers(record) => {
                        if let AnswersBody::LaneClosed(closed) = record.body {
                            markers.push((record.game, closed.closed_at_us));
                        }
                    }
                    other => panic!("not a marker: {other:?}"),
                }
            }
        }
        markers
    }
}

impl Auditor for DecidingAuditor {
    fn check_announce(&self, _store: &Store, event: &AnyEvent) -> Result<(), String> {
        Err(format!("a transactional group announces {event:?}"))
    }

    fn appended(&mut self, place: TopicPartition, offset: i64, input: &Input) {
        self.inputs.appended(place, offset, input);
        if input.dead.is_none() {
            self.good.insert((place.0, place.1, offset));
            self.games.insert(input.key.clone());
        }
    }

    fn check_commit(&mut self, broker: &Broker, _store: &Store, offsets: &[(Topic, i32, i64)]) -> Result<(), String> {
        let decided: BTreeSet<(Topic, i32, i64)> = Self::causes(broker).into_iter().collect();
        for &(topic, partition, offset) in offsets {
            self.inputs.check_commit(broker, (topic, partition), offset)?;
            for at in self.good.range((topic, partition, 0)..(topic, partition, offset)) {
                if !decided.contains(at) {
                    return Err(format!("{at:?} is committed and not decided"));
                }
            }
        }
        Ok(())
    }

    fn is_done(&mut self, broker: &Broker) -> bool {
        let committed = !self.keeps_offsets || self.inputs.is_committed(broker);
        let letters: BTreeSet<_> =
            broker.dead.iter().map(|dead| (dead.raw.topic, dead.raw.partition, dead.raw.offset)).collect();
        let dead = self.inputs.dead.keys().all(|at| letters.contains(at));
        // At least: when there are too many, the check at the end says so.
        committed && dead && Self::decisions(broker).len() >= self.good.len() + TURNS as usize * self.games.len()
    }

    fn check_end(&mut self, broker: &Broker, _store: &Store) -> Result<(), String> {
        self.inputs.check_dead(broker)?;
        let mut causes = Self::causes(broker);
        causes.sort_unstable();
        if !causes.iter().eq(self.good.iter()) {
            return Err(format!("{} inputs led to {} decisions", self.good.len(), causes.len()));
        }
        let mut by_game: BTreeMap<GameId, Vec<i64>> = BTreeMap::new();
        let mut turns: BTreeMap<GameId, u32> = BTreeMap::new();
        for (_, decision) in Self::decisions(broker) {
            by_game.entry(decision.game).or_default().push(decision.seq);
            *turns.entry(decision.game).or_default() += u32::from(decision.cause.is_none());
        }
        if by_game.len() != self.games.len() || turns.values().any(|&times| times != TURNS) {
            return Err(format!("games had turns: {turns:?}"));
        }
        if let Some((game, seqs)) = by_game.iter().find(|(_, seqs)| !seqs.iter().copied().eq(0..seqs.len() as i64)) {
            return Err(format!("the decisions of {game} are numbered {seqs:?}"));
        }
        let mut markers = Self::markers(broker);
        let mut expected: Vec<(GameId, i64)> =
            by_game.iter().flat_map(|(&game, seqs)| seqs.iter().map(move |&seq| (game, seq))).collect();
        markers.sort_unstable();
        expected.sort_unstable();
        if markers == expected { Ok(()) } else { Err("markers and decisions are not the same".to_string()) }
    }
}
