//! Loads from the store: those of one turn go in one call. Whoever has just been given a dozen partition numbers needs
//! something for each, and a process that has just started has hardly a connection to ask over. Others' loads that the
//! store cannot answer hold up nobody's for longer than [`COMPANY_TIMEOUT`].

use std::sync::Arc;

use tokio::runtime::Handle;

use super::Outbox;
use super::effects::{Stage, within};
use crate::failpoint::{self, Point};
use crate::group::event::{Event, TaskId};
use crate::group::limits::{COMPANY_TIMEOUT, EFFECT_TIMEOUT, LOADS_MAX};
use crate::processor::{Processor, StateStore, StoreUnavailable};

/// What one partition number wants loaded.
struct Wanted<P: Processor> {
    task: TaskId,
    keys: Vec<P::Key>,
}

/// The member's way from the store.
pub(super) struct Loads<P: Processor> {
    store: Arc<dyn StateStore<P>>,
    outbox: Outbox<P>,
    runtime: Handle,
    stage: Stage,
    /// Of this turn.
    wanted: Vec<Wanted<P>>,
}

impl<P: Processor> Loads<P> {
    pub(super) fn new(store: Arc<dyn StateStore<P>>, outbox: Outbox<P>, runtime: Handle, group: &'static str) -> Self {
        Self { store, outbox, runtime, stage: Stage { group, name: "load" }, wanted: Vec::new() }
    }

    /// Takes `keys`, to be loaded with the next [`Loads::begin`]; [`Event::Loaded`] or [`Event::LoadFailed`] tells. What
    /// failed before goes by itself: a shard that is away must not keep others' documents back.
    pub(super) fn take(&mut self, task: TaskId, keys: Vec<P::Key>, failed_before: bool) {
        let wanted = Wanted { task, keys };
        if failed_before {
            self.start(vec![wanted]);
        } else {
            self.wanted.push(wanted);
        }
    }

    /// Loads what was taken, in calls of up to [`LOADS_MAX`] keys unless one partition number wants more.
    pub(super) fn begin(&mut self) {
        let (mut call, mut size) = (Vec::new(), 0);
        for next in std::mem::take(&mut self.wanted) {
            size += next.keys.len();
            if !call.is_empty() && size > LOADS_MAX {
                size = next.keys.len();
                self.start(std::mem::take(&mut call));
            }
            call.push(next);
        }
        if !call.is_empty() {
            self.start(call);
        }
    }

    fn start(&self, call: Vec<Wanted<P>>) {
        let limit = if call.len() > 1 { COMPANY_TIMEOUT } else { EFFECT_TIMEOUT };
        let (store, outbox, stage) = (Arc::clone(&self.store), self.outbox.clone(), self.stage);
        self.runtime.spawn(async move {
            let counts: Vec<(TaskId, usize)> = call.iter().map(|wanted| (wanted.task, wanted.keys.len())).collect();
            let keys = call.into_iter().flat_map(|wanted| wanted.keys).collect();
            let loaded = within(stage, limit, async move { load(&*store, keys).await }).await;
            let failed = loaded.is_none();
            let mut docs = loaded.unwrap_or_default().into_iter();
            for (task, count) in counts {
                let docs = docs.by_ref().take(count).collect();
                outbox.send(if failed { Event::LoadFailed { task } } else { Event::Loaded { task, docs } }).await;
            }
        });
    }
}

/// One document for each key.
async fn load<P: Processor>(store: &dyn StateStore<P>, keys: Vec<P::Key>) -> Result<Vec<P::Doc>, StoreUnavailable> {
    failpoint::pass(Point::BeforeLoad);
    let docs = store.load(&keys).await?;
    if docs.len() != keys.len() {
        return Err(StoreUnavailable(format!("asked for {} documents, got {}", keys.len(), docs.len())));
    }
    Ok(docs)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::processor::{Delivery, GroupSpec, Output, Record};

    struct Plain;

    impl Processor for Plain {
        type State = ();
        type Key = usize;
        type Doc = usize;
        type Write = ();

        fn group(&self) -> GroupSpec {
            GroupSpec { id: "plain", reads: &[], restores_from: None, delivery: Delivery::AtLeastOnce }
        }

        fn start(&self, _partition: i32) {}

        fn apply(&self, (): &mut (), _batch: &[Record], _now_us: i64) -> Output<()> {
            Output::default()
        }
    }

    /// Keys from here on are on a shard that is away.
    const AWAY: usize = 1_000_000;
    /// One that the store forgets.
    const FORGOTTEN: usize = 13;

    /// Remembers its calls; a key's document is twice the key.
    #[derive(Default)]
    struct Doubles(Mutex<Vec<Vec<usize>>>);

    #[async_trait::async_trait]
    impl StateStore<Plain> for Doubles {
        async fn load(&self, keys: &[usize]) -> Result<Vec<usize>, StoreUnavailable> {
            self.0.lock().unwrap().push(keys.to_vec());
            if keys.iter().any(|key| *key >= AWAY) {
                std::future::pending::<()>().await;
            }
            Ok(keys.iter().filter(|key| **key != FORGOTTEN).map(|key| key * 2).collect())
        }

        async fn write(&self, _writes: &[()]) -> Result<(), StoreUnavailable> {
            Ok(())
        }
    }

    struct Bench {
        store: Arc<Doubles>,
        loads: Loads<Plain>,
        inbox: mpsc::Receiver<Event<Plain>>,
    }

    impl Bench {
        fn new() -> Self {
            let store = Arc::new(Doubles::default());
            let (sender, inbox) = mpsc::channel(100);
            let outbox = Outbox { sender, thread: std::thread::current() };
            Self { loads: Loads::new(store.clone(), outbox, Handle::current(), "plain"), store, inbox }
        }

        fn take(&mut self, partition: i32, keys: Vec<usize>, failed_before: bool) {
            self.loads.take(TaskId { partition, incarnation: 1 }, keys, failed_before);
        }

        /// The next outcome: which partition number, and its documents.
        async fn outcome(&mut self) -> (i32, Option<Vec<usize>>) {
            let event = tokio::time::timeout(Duration::from_secs(30), self.inbox.recv()).await;
            match event.expect("an outcome in time").expect("the sender is there") {
                Event::Loaded { task, docs } => (task.partition, Some(docs)),
                Event::LoadFailed { task } => (task.partition, None),
                _ => panic!("nothing else is told"),
            }
        }

        /// How many keys each call had, the small ones first: calls are under way side by side.
        fn sizes(&self) -> Vec<usize> {
            let mut sizes: Vec<usize> = self.store.0.lock().unwrap().iter().map(Vec::len).collect();
            sizes.sort_unstable();
            sizes
        }
    }

    /// Goal: one turn's loads are one call, and each partition number has its own documents of it.
    #[tokio::test]
    async fn loads_go_in_company() {
        let mut bench = Bench::new();
        bench.take(0, vec![1, 2], false);
        bench.take(1, vec![3], false);
        bench.loads.begin();
        assert_eq!(bench.outcome().await, (0, Some(vec![2, 4])));
        assert_eq!(bench.outcome().await, (1, Some(vec![6])));
        bench.loads.begin();
        bench.take(2, vec![4], false);
        bench.loads.begin();
        assert_eq!(bench.outcome().await, (2, Some(vec![8])));
        assert_eq!(bench.sizes(), [1, 3], "and none without a wish");
    }

    /// Goal: a shard that is away costs those who ask along with its partition number one try, and that a short one.
    #[tokio::test]
    async fn what_failed_goes_by_itself() {
        let mut bench = Bench::new();
        bench.take(0, vec![1], false);
        bench.take(1, vec![AWAY], false);
        bench.loads.begin();
        assert_eq!(bench.outcome().await, (0, None));
        assert_eq!(bench.outcome().await, (1, None));
        bench.take(1, vec![AWAY], true);
        bench.take(0, vec![1], true);
        assert_eq!(bench.outcome().await, (0, Some(vec![2])), "not behind the other");
    }

    /// Goal: a document that is missing is not taken for another's.
    #[tokio::test]
    async fn as_many_documents_come_as_were_asked_for() {
        let mut bench = Bench::new();
        bench.take(0, vec![FORGOTTEN], false);
        bench.take(1, vec![1], false);
        bench.loads.begin();
        assert_eq!(bench.outcome().await, (0, None));
        assert_eq!(bench.outcome().await, (1, None));
    }

    /// Goal: a call holds no more than [`LOADS_MAX`] keys, unless one partition number wants more.
    #[tokio::test]
    async fn a_call_is_bounded() {
        let mut bench = Bench::new();
        for (partition, count) in [(0, LOADS_MAX - 1), (1, 2), (2, LOADS_MAX + 5), (3, 1)] {
            bench.take(partition, vec![1; count], false);
        }
        bench.loads.begin();
        for _ in 0..4 {
            assert!(bench.outcome().await.1.is_some());
        }
        assert_eq!(bench.sizes(), [1, 2, LOADS_MAX - 1, LOADS_MAX + 5]);
    }
}
