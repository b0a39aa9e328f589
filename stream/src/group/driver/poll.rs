//! The thread that polls the consumer and turns the loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quiz_schemas::Topic;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::commits::Committer;
use super::consumer::{Called, GroupConsumer, number_list, offset_list, topic_partitions};
use super::effects::Effects;
use super::lag::{LagWatch, Standing};
use super::restore::Restorer;
use super::starts::Opener;
use super::transactions::{Request, Transactor};
use super::writes::Writes;
use super::{Clock, GroupError, GroupSetup, Outbox};
use crate::failpoint::{self, Point};
use crate::group::event::{Action, Event, RawRecord, TaskId};
use crate::group::limits::{BATCH_RECORDS_MAX, POLL_SLEEP};
use crate::group::machine::Machine;
use crate::group::metrics;
use crate::offsets;
use crate::processor::{Delivery, GroupSpec, Processor, StateStore};

/// How long a seek may take; one that fails is tried again, and until then its records are dropped.
const SEEK: Duration = Duration::from_millis(500);

/// How often the loop's health is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The least time between two consumers that a member makes itself.
const REBUILD_EVERY: Duration = Duration::from_secs(10);

/// What the thread starts with.
pub(super) struct Starter<P: Processor> {
    pub(super) processor: Arc<P>,
    pub(super) store: Arc<dyn StateStore<P>>,
    pub(super) setup: GroupSetup,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) sender: mpsc::Sender<Event<P>>,
    pub(super) inbox: mpsc::Receiver<Event<P>>,
    pub(super) shutdown: CancellationToken,
}

impl<P: Processor> Starter<P> {
    /// Runs the member to its end.
    pub(super) fn run(self) -> Result<(), GroupError> {
        let (spec, gather_ms) = (self.processor.group(), self.processor.gather_ms());
        let outbox = Outbox { sender: self.sender, thread: thread::current() };
        let transactional = spec.delivery == Delivery::Transactional;
        let transactor = transactional.then(|| Transactor::start(&self.setup, spec.id, outbox.clone())).transpose()?;
        let lag = LagWatch::start(&self.setup, &spec)?;
        let restores = transactional || spec.restores_from.is_some();
        let restorer = restores.then(|| Restorer::start(&self.setup, spec, outbox.clone())).transpose()?;
        let consumer = GroupConsumer::new(&self.setup.kafka, &spec, gather_ms, thread::current())?;
        let committer = Committer::start(spec.id, Arc::clone(&consumer.inner), outbox.clone())?;
        let opener = Opener::start(&self.setup, &spec, thread::current())?;
        consumer.join(&spec, || self.shutdown.is_cancelled())?;
        info!(group = spec.id, instance = self.setup.instance, "joined");
        let clock = Clock::start();
        let seed = clock.now().wall_us.cast_unsigned();
        let member = Member {
            spec,
            gather_ms,
            machine: Machine::new(self.processor, Arc::clone(&self.setup.codec), seed),
            effects: Effects {
                writes: Writes::new(Arc::clone(&self.store), outbox.clone(), self.runtime.clone(), spec.id),
                store: self.store,
                setup: self.setup,
                runtime: self.runtime,
                outbox,
                group: spec.id,
            },
            consumer,
            committer,
            opener,
            opening: None,
            rebuilt_at: None,
            misplaced: false,
            transactor,
            restorer,
            clock,
            inbox: self.inbox,
            shutdown: self.shutdown,
            draining: false,
            seeks: BTreeMap::new(),
            watched_at: Instant::now(),
            lag,
        };
        member.run()
    }
}

struct Member<P: Processor> {
    spec: GroupSpec,
    machine: Machine<P>,
    effects: Effects<P>,
    consumer: GroupConsumer,
    committer: Committer,
    opener: Opener,
    /// What the group gives, while it is being found out where reading begins.
    opening: Option<TopicPartitionList>,
    rebuilt_at: Option<Instant>,
    /// The client was to read what is not in the log.
    misplaced: bool,
    transactor: Option<Transactor>,
    restorer: Option<Restorer>,
    clock: Clock,
    inbox: mpsc::Receiver<Event<P>>,
    shutdown: CancellationToken,
    draining: bool,
    /// Numbers that are to be read from elsewhere, until the client has done so.
    seeks: BTreeMap<i32, (TaskId, Vec<(Topic, i64)>)>,
    watched_at: Instant,
    /// How long the broker may gather records, ms.
    gather_ms: u32,
    lag: LagWatch,
}

/// Whether the loop goes on.
enum Flow {
    On,
    Ended,
}

impl<P: Processor> Member<P> {
    fn run(mut self) -> Result<(), GroupError> {
        let result = self.turn_until_stopped();
        // Leaves the group, and gives back at once what is still owned.
        self.consumer.inner.context().close();
        if self.opening.is_some() {
            self.consumer.assign_nothing();
        }
        self.inbox.close();
        self.committer.join();
        drop(self.consumer);
        info!(group = self.spec.id, "left");
        result
    }

    fn turn_until_stopped(&mut self) -> Result<(), GroupError> {
        loop {
            let mut idle = true;
            if self.shutdown.is_cancelled() && !self.draining {
                self.draining = true;
                idle = false;
                self.handle(Event::Drain);
            }
            while let Ok(event) = self.inbox.try_recv() {
                idle = false;
                self.handle(event);
            }
            idle &= !self.poll()?;
            if self.machine.wake_in_us(self.clock.now()) == Some(0) {
                self.handle(Event::Tick);
            }
            if let Flow::Ended = self.act()? {
                return Ok(());
            }
            self.seek();
            self.watch()?;
            if idle {
                self.sleep();
            }
        }
    }

    fn handle(&mut self, event: Event<P>) {
        self.machine.handle(self.clock.now(), event);
    }

    fn sleep(&self) {
        let wake_us = self.machine.wake_in_us(self.clock.now()).unwrap_or(i64::MAX);
        // A processor that wants its tick again and again is not turned faster than this.
        let wake = Duration::from_micros(wake_us.max(500).cast_unsigned());
        thread::park_timeout(wake.min(POLL_SLEEP));
    }

    /// Takes what the consumer has, up to a batch. True when that was anything.
    fn poll(&mut self) -> Result<bool, GroupError> {
        let mut records = Vec::new();
        while records.len() < BATCH_RECORDS_MAX {
            match self.consumer.inner.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    if let Some(raw) = raw_record(&message)
                        && !self.seeks.contains_key(&raw.partition)
                    {
                        if failpoint::fires(Point::ConsumerStalls) {
                            // Behind the loop's back, as a lost wake-up in the client would.
                            self.pause(raw.partition);
                        }
                        records.push(raw);
                    }
                }
                Some(Err(err @ KafkaError::MessageConsumptionFatal(_))) => return Err(self.consumer.failed(err)),
                Some(Err(err)) => self.consumer_says(&err),
                None => break,
            }
        }
        let fetched = !records.is_empty();
        if fetched {
            self.handle(Event::Fetched(records));
        }
        let mut called_any = self.open()?;
        while self.opening.is_none()
            && let Some(called) = self.consumer.inner.context().pop()
        {
            called_any = true;
            self.called(called)?;
        }
        Ok(fetched || called_any)
    }

    fn consumer_says(&mut self, err: &KafkaError) {
        let group = self.spec.id;
        match err.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset) => self.misplaced = true,
            Some(RDKafkaErrorCode::PollExceeded) => {
                error!(group, "did not poll for too long: the group takes its partitions away");
                ::metrics::counter!(metrics::POLL_EXCEEDED_TOTAL, "group" => group).increment(1);
            }
            code => {
                warn!(group, %err, "consumer");
                if code == Some(RDKafkaErrorCode::AllBrokersDown) {
                    self.lag.cut_off();
                }
            }
        }
    }

    /// Takes what the group gives, when it is known where reading begins. True when that was so.
    fn open(&mut self) -> Result<bool, GroupError> {
        if self.opening.is_none() {
            return Ok(false);
        }
        let Some(starts) = self.opener.found() else { return Ok(false) };
        self.opening = None;
        let list = |offsets| offset_list(offsets).map_err(|source| self.consumer.failed(source));
        let (from, commit) = (list(&starts.from)?, list(&starts.commit)?);
        self.consumer.assign(&from)?;
        if commit.count() > 0 && !self.committer.commit_start(commit) {
            warn!(group = self.spec.id, "where reading begins is not committed");
        }
        self.handle(Event::Assigned(topic_partitions(&from)));
        Ok(true)
    }

    fn called(&mut self, called: Called) -> Result<(), GroupError> {
        let count = |kind: &'static str| {
            let group = self.spec.id;
            ::metrics::counter!(metrics::REBALANCES_TOTAL, "group" => group, "kind" => kind).increment(1);
        };
        match called {
            Called::Assign(tpl) => {
                count("assigned");
                info!(group = self.spec.id, partitions = tpl.count(), "assigned");
                let partitions = topic_partitions(&tpl);
                if partitions.is_empty() {
                    self.consumer.assign(&tpl)?;
                } else if self.opener.ask(partitions) {
                    self.opening = Some(tpl);
                } else {
                    let reason = "nobody finds out where reading begins".to_string();
                    return Err(GroupError::Thread { group: self.spec.id, reason });
                }
            }
            Called::Revoke(tpl) => {
                count("revoked");
                info!(group = self.spec.id, partitions = tpl.count(), "revoked");
                self.handle(Event::Revoked(topic_partitions(&tpl)));
            }
            Called::Lost(tpl) => {
                count("lost");
                warn!(group = self.spec.id, partitions = tpl.count(), "lost");
                let partitions = topic_partitions(&tpl);
                self.forget_seeks(&partitions);
                self.handle(Event::Lost(partitions));
                self.consumer.unassign(&tpl)?;
            }
        }
        Ok(())
    }

    fn forget_seeks(&mut self, partitions: &[(Topic, i32)]) {
        for (_, partition) in partitions {
            self.seeks.remove(partition);
        }
    }

    fn act(&mut self) -> Result<Flow, GroupError> {
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Stop(Ok(())) => return Ok(Flow::Ended),
                Action::Stop(Err(fatal)) => {
                    error!(group = self.spec.id, %fatal, "stops");
                    return Err(GroupError::Fatal { group: self.spec.id, fatal });
                }
                Action::AckRevoke(partitions) => {
                    self.forget_seeks(&partitions);
                    let mut tpl = TopicPartitionList::with_capacity(partitions.len());
                    for (topic, partition) in partitions {
                        tpl.add_partition(topic.name(), partition);
                    }
                    self.consumer.unassign(&tpl)?;
                }
                action => self.start(action),
            }
        }
        self.effects.begin_writes();
        Ok(Flow::On)
    }

    fn start(&mut self, action: Action<P>) {
        match action {
            Action::Pause(partition) => self.pause(partition),
            Action::Resume(partition) => self.resume(partition),
            Action::Restore { task } => {
                if let Some(restorer) = &self.restorer {
                    restorer.restore(task);
                }
            }
            Action::Start { task, from } => {
                self.seeks.insert(task.partition, (task, from));
            }
            Action::Load { task, keys } => self.effects.load(task, keys),
            Action::Append { task, events } => self.effects.append(task, events),
            Action::Announce { task, events } => self.effects.announce(task, events),
            Action::DeadLetter { task, dead } => self.effects.dead_letter(task, dead),
            Action::Write { task, writes, failed_before } => self.effects.write(task, writes, failed_before),
            Action::Resolve(id) => self.effects.resolve(id),
            Action::Commit(offsets) => self.commit(&offsets),
            Action::Transact { transaction, events, offsets } => self.transact(transaction, events, offsets),
            Action::Finished { records, took_us, .. } => {
                let group = self.spec.id;
                ::metrics::counter!(metrics::RECORDS_TOTAL, "group" => group).increment(records as u64);
                ::metrics::histogram!(metrics::BATCH_SECONDS, "group" => group).record(took_us as f64 / 1e6);
            }
            Action::AckRevoke(_) | Action::Stop(_) => {}
        }
    }

    fn pause(&self, partition: i32) {
        let group = self.spec.id;
        ::metrics::counter!(metrics::PAUSES_TOTAL, "group" => group).increment(1);
        if let Err(err) = self.consumer.inner.pause(&number_list(self.spec.reads, partition)) {
            warn!(group, partition, %err, "cannot pause");
        }
    }

    fn resume(&self, partition: i32) {
        if let Err(err) = self.consumer.inner.resume(&number_list(self.spec.reads, partition)) {
            warn!(group = self.spec.id, partition, %err, "cannot resume");
        }
    }

    fn commit(&mut self, offsets: &[(Topic, i32, i64)]) {
        let taken = offset_list(offsets).is_ok_and(|tpl| self.committer.commit(tpl));
        if !taken {
            self.handle(Event::CommitFailed);
        }
    }

    fn transact(
        &mut self,
        transaction: u64,
        events: Arc<Vec<quiz_schemas::AnyEvent>>,
        offsets: Vec<(Topic, i32, i64)>,
    ) {
        let metadata = self.consumer.inner.group_metadata();
        let taken = match (&self.transactor, metadata) {
            (Some(transactor), Some(metadata)) => {
                transactor.transact(Request { transaction, events, offsets, metadata })
            }
            _ => false,
        };
        if !taken {
            self.handle(Event::TransactionAborted { transaction });
        }
    }

    /// Seeks where seeks are due. A number is resumed only when all its topics stand where they should.
    fn seek(&mut self) {
        let due: Vec<i32> = self.seeks.keys().copied().collect();
        for partition in due {
            let (_, from) = &self.seeks[&partition];
            let offsets: Vec<_> = from.iter().map(|&(topic, offset)| (topic, partition, offset)).collect();
            let sought = offset_list(&offsets)
                .and_then(|tpl| self.consumer.inner.seek_partitions(tpl, SEEK))
                .and_then(|tpl| tpl.elements().iter().try_for_each(|element| element.error()));
            match sought {
                Ok(()) => {
                    self.seeks.remove(&partition);
                    self.resume(partition);
                }
                Err(err) => debug!(group = self.spec.id, partition, %err, "cannot seek yet"),
            }
        }
    }

    fn watch(&mut self) -> Result<(), GroupError> {
        if self.watched_at.elapsed() < WATCH_EVERY {
            return Ok(());
        }
        self.watched_at = Instant::now();
        let group = self.spec.id;
        if self.transactor.as_ref().is_some_and(Transactor::is_hung) {
            error!(group, "a transaction call hangs");
            return Err(GroupError::TransactionHung { group });
        }
        // What is seen while nothing may be done is not kept: it says nothing of a later consumer.
        let starved = self.lag.starved();
        if self.may_rebuild() {
            if let Some(partition) = starved {
                error!(group, partition, "the consumer brings nothing of what is in the log; it is replaced");
                return self.rebuild("stalled");
            }
            if self.consumer.inner.context().lost_a_leader() {
                error!(group, "the consumer has lost sight of a leader; it is replaced");
                return self.rebuild("leader");
            }
            if self.misplaced {
                error!(group, "the log does not have what was to be read next; the consumer is replaced");
                return self.rebuild("offset");
            }
        }
        if self.lag.is_due() {
            self.look_at_lag();
        }
        Ok(())
    }

    /// Not more often than every [`REBUILD_EVERY`], and not while it is still being found out where to begin.
    fn may_rebuild(&self) -> bool {
        let lately = self.rebuilt_at.is_some_and(|at| at.elapsed() < REBUILD_EVERY);
        self.opening.is_none() && !self.draining && !lately
    }

    /// Makes a new consumer. What the old one owned is lost to the loop, as if the group had taken it:
    /// the new one begins where the group's offsets say.
    fn rebuild(&mut self, reason: &'static str) -> Result<(), GroupError> {
        self.rebuilt_at = Some(Instant::now());
        self.misplaced = false;
        let group = self.spec.id;
        ::metrics::counter!(metrics::CONSUMERS_REBUILT_TOTAL, "group" => group, "reason" => reason).increment(1);
        let owned = self.consumer.inner.assignment().map_err(|source| self.consumer.failed(source))?;
        let partitions = topic_partitions(&owned);
        self.forget_seeks(&partitions);
        self.handle(Event::Lost(partitions));
        self.committer.retire();
        self.handle(Event::CommitFailed);
        let consumer = GroupConsumer::new(&self.effects.setup.kafka, &self.spec, self.gather_ms, thread::current())?;
        let committer = Committer::start(group, Arc::clone(&consumer.inner), self.effects.outbox.clone())?;
        consumer.subscribe(&self.spec)?;
        let old_consumer = std::mem::replace(&mut self.consumer, consumer);
        let old_committer = std::mem::replace(&mut self.committer, committer);
        old_consumer.inner.context().close();
        // Leaving the group may take as long as a broken client likes.
        let close = move || {
            old_committer.join();
            drop(old_consumer);
        };
        let thread = thread::Builder::new().name(format!("close {group}")).spawn(close);
        thread.map(|_| ()).map_err(|err| GroupError::Thread { group, reason: err.to_string() })
    }

    fn look_at_lag(&mut self) {
        let Ok(positions) = self.consumer.inner.position() else { return };
        let position = |element: &TopicPartitionListElem<'_>| {
            let offset = if let Offset::Offset(offset) = element.offset() { Some(offset) } else { None };
            Topic::from_name(element.topic()).map(|topic| (topic, element.partition(), offset))
        };
        let positions = positions.elements().iter().filter_map(position).collect();
        let stalled_us = self.machine.stalled_us(self.clock.now()).collect();
        self.lag.look(Standing { positions, stalled_us });
    }
}

/// A message as the loop takes it; none when its topic is not ours.
pub(super) fn raw_record(message: &BorrowedMessage<'_>) -> Option<RawRecord> {
    Some(RawRecord {
        topic: Topic::from_name(message.topic())?,
        partition: message.partition(),
        offset: message.offset(),
        appended_at_us: offsets::appended_at_us(message.timestamp()),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
    })
}
