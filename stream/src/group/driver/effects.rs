//! What is awaited: the store, the producer, the registry.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use quiz_schemas::{AnyEvent, SchemaId};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use super::writes::Writes;
use super::{GroupSetup, Outbox};
use crate::dead_letter::{DeadLetter, dead_letter};
use crate::failpoint::{self, Point};
use crate::group::event::{DeadRecord, Event, TaskId};
use crate::group::limits::{EFFECT_TIMEOUT, RESOLVE_TIMEOUT};
use crate::group::metrics;
use crate::processor::{Processor, StateStore};
use crate::producer::{AppendError, DELIVERY_TIMEOUT_MS};
use crate::registry::ResolveError;

// An append that is given up must not be appended later, behind its repetition.
const _: () = assert!(EFFECT_TIMEOUT.as_millis() > DELIVERY_TIMEOUT_MS as u128);

/// What an effect is called where it is told that it failed.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    pub(super) group: &'static str,
    pub(super) name: &'static str,
}

/// What `effect` comes to; none, told and counted as a retry of its stage, when it fails, takes longer than `limit` or
/// panics.
pub(super) async fn within<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    stage: Stage,
    limit: Duration,
    effect: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Option<T> {
    let Stage { group, name } = stage;
    // A task of its own, which is stopped when it is given up: a library that panics ends it and not its caller.
    let mut effects = JoinSet::new();
    effects.spawn(effect);
    match timeout(limit, effects.join_next()).await {
        Ok(Some(Ok(Ok(done)))) => return Some(done),
        Ok(Some(Ok(Err(err)))) => warn!(group, stage = name, %err, "waits and tries again"),
        Ok(Some(Err(err))) => warn!(group, stage = name, %err, "broke off; waits and tries again"),
        Ok(None) | Err(_) => warn!(group, stage = name, "takes too long; waits and tries again"),
    }
    ::metrics::counter!(metrics::FLUSH_RETRIES_TOTAL, "group" => group, "stage" => name).increment(1);
    None
}

/// Starts effects on the runtime; each ends in one event.
pub(super) struct Effects<P: Processor> {
    pub(super) store: Arc<dyn StateStore<P>>,
    pub(super) writes: Writes<P>,
    pub(super) setup: GroupSetup,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) outbox: Outbox<P>,
    pub(super) group: &'static str,
}

impl<P: Processor> Effects<P> {
    /// Runs `effect`; when it fails or takes too long, tells `failed`.
    fn spawn<E: std::fmt::Display + Send + 'static>(
        &self,
        name: &'static str,
        effect: impl Future<Output = Result<Event<P>, E>> + Send + 'static,
        failed: Event<P>,
    ) {
        let (outbox, stage) = (self.outbox.clone(), Stage { group: self.group, name });
        self.runtime.spawn(async move {
            let event = within(stage, EFFECT_TIMEOUT, effect).await.unwrap_or(failed);
            outbox.send(event).await;
        });
    }

    pub(super) fn load(&self, task: TaskId, keys: Vec<P::Key>) {
        let store = Arc::clone(&self.store);
        let effect = async move {
            failpoint::pass(Point::BeforeLoad);
            store.load(&keys).await.map(|docs| Event::Loaded { task, docs })
        };
        self.spawn("load", effect, Event::LoadFailed { task });
    }

    pub(super) fn write(&self, task: TaskId, writes: Arc<Vec<P::Write>>, failed_before: bool) {
        self.writes.take(task, writes, failed_before);
    }

    /// Begins what [`Effects::write`] has taken.
    pub(super) fn begin_writes(&self) {
        self.writes.begin();
    }

    pub(super) fn append(&self, task: TaskId, events: Arc<Vec<AnyEvent>>) {
        let producer = self.setup.producer.clone();
        let effect = async move {
            failpoint::pass(Point::BeforeAppend);
            if failpoint::is_armed(Point::MidAppend) && events.len() > 1 {
                producer.append_all(&events[..events.len() / 2]).await?;
                failpoint::pass(Point::MidAppend);
            }
            let positions = producer.append_all(&events).await?;
            failpoint::pass(Point::AfterAppend);
            Ok::<_, AppendError>(Event::Appended { task, positions })
        };
        self.spawn("append", effect, Event::AppendFailed { task });
    }

    pub(super) fn announce(&self, task: TaskId, events: Arc<Vec<AnyEvent>>) {
        let producer = self.setup.producer.clone();
        let effect = async move {
            failpoint::pass(Point::BeforeAnnounce);
            producer.append_all(&events).await?;
            failpoint::pass(Point::AfterAnnounce);
            Ok::<_, AppendError>(Event::Announced { task })
        };
        self.spawn("announce", effect, Event::AnnounceFailed { task });
    }

    pub(super) fn dead_letter(&self, task: TaskId, dead: Arc<Vec<DeadRecord>>) {
        let (producer, group) = (self.setup.producer.clone(), self.group);
        let effect = async move {
            let acks: Vec<_> = dead.iter().map(|record| dead_letter(&producer, &letter(group, record))).collect();
            for ack in acks {
                ack.await?;
            }
            for DeadRecord { raw, reason, .. } in dead.iter() {
                warn!(group, topic = %raw.topic, partition = raw.partition, offset = raw.offset, reason, "dead letter");
                let topic = raw.topic.name();
                ::metrics::counter!(metrics::DLQ_RECORDS_TOTAL, "topic" => topic, "reason" => *reason).increment(1);
            }
            Ok::<_, AppendError>(Event::DeadLettered { task })
        };
        self.spawn("dead_letter", effect, Event::DeadLetterFailed { task });
    }

    pub(super) fn resolve(&self, id: SchemaId) {
        let setup = self.setup.clone();
        let effect = async move {
            let learnt = timeout(RESOLVE_TIMEOUT, setup.schemas.learn(&setup.codec, id)).await;
            match learnt.unwrap_or_else(|_| Err(ResolveError::Unavailable("no answer in time".to_string()))) {
                Ok(()) => Ok(Event::SchemaKnown(id)),
                Err(ResolveError::NotFound(_) | ResolveError::Unusable { .. }) => Ok(Event::SchemaAbsent(id)),
                Err(err @ ResolveError::Unavailable(_)) => Err(err),
            }
        };
        self.spawn("resolve", effect, Event::SchemaUnreachable(id));
    }
}

fn letter<'a>(group: &'a str, record: &'a DeadRecord) -> DeadLetter<'a> {
    DeadLetter {
        topic: record.raw.topic,
        partition: record.raw.partition,
        offset: record.raw.offset,
        reason: record.reason,
        error: &record.error,
        group,
        key: record.raw.key.as_deref(),
        value: record.raw.value.as_deref(),
    }
}
