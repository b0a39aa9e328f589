//! Writes to the store: those of all partition numbers go in one call, and what comes while a call is under way
//! goes as one call behind it. A call costs the store much the same however little is in it. Others' writes that the
//! store cannot make hold up nobody's for longer than [`COMPANY_TIMEOUT`] a call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Outbox;
use super::effects::{Stage, within};
use crate::failpoint::{self, Point};
use crate::group::event::{Event, TaskId};
use crate::group::limits::{COMPANY_TIMEOUT, EFFECT_TIMEOUT, WRITES_MAX};
use crate::processor::{Processor, StateStore, StoreUnavailable};

/// What one partition number wants written.
struct Wanted<P: Processor> {
    task: TaskId,
    writes: Arc<Vec<P::Write>>,
}

/// What waits, one entry at most for each partition number, and whether somebody makes calls of it.
struct Queue<P: Processor> {
    wanted: VecDeque<Wanted<P>>,
    under_way: bool,
}

impl<P: Processor> Queue<P> {
    /// The next call: what waits, in its order, up to [`WRITES_MAX`].
    fn take(&mut self) -> Vec<Wanted<P>> {
        let (mut call, mut size) = (Vec::new(), 0);
        while let Some(next) = self.wanted.front() {
            size += next.writes.len();
            if !call.is_empty() && size > WRITES_MAX {
                break;
            }
            call.extend(self.wanted.pop_front());
        }
        call
    }
}

/// The member's way to the store.
pub(super) struct Writes<P: Processor> {
    store: Arc<dyn StateStore<P>>,
    outbox: Outbox<P>,
    runtime: Handle,
    stage: Stage,
    queue: Arc<Mutex<Queue<P>>>,
}

impl<P: Processor> Clone for Writes<P> {
    fn clone(&self) -> Self {
        let (store, queue) = (Arc::clone(&self.store), Arc::clone(&self.queue));
        Self { store, outbox: self.outbox.clone(), runtime: self.runtime.clone(), stage: self.stage, queue }
    }
}

impl<P: Processor> Writes<P> {
    pub(super) fn new(store: Arc<dyn StateStore<P>>, outbox: Outbox<P>, runtime: Handle, group: &'static str) -> Self {
        let queue = Queue { wanted: VecDeque::new(), under_way: false };
        Self { store, outbox, runtime, stage: Stage { group, name: "write" }, queue: Arc::new(Mutex::new(queue)) }
    }

    /// Takes `writes`, to be made from the next [`Writes::begin`] on; [`Event::Wrote`] or [`Event::WriteFailed`] tells.
    /// What failed before goes by itself: a write that the store refuses must not keep others from being made.
    pub(super) fn take(&self, task: TaskId, writes: Arc<Vec<P::Write>>, failed_before: bool) {
        let wanted = Wanted { task, writes };
        if failed_before {
            let own = self.clone();
            self.runtime.spawn(async move { own.call(vec![wanted], EFFECT_TIMEOUT).await });
        } else {
            self.queue().wanted.push_back(wanted);
        }
    }

    /// Makes what was taken, unless a call is under way: then the next one carries it.
    pub(super) fn begin(&self) {
        let mut queue = self.queue();
        if !queue.wanted.is_empty() && !queue.under_way {
            queue.under_way = true;
            let own = self.clone();
            self.runtime.spawn(async move { own.run().await });
        }
    }

    /// Makes calls until nothing waits.
    async fn run(&self) {
        while let Some(call) = self.next_call() {
            if call.len() > 1 {
                self.call(call, COMPANY_TIMEOUT).await;
            } else {
                // It may take its time, and nobody else's.
                let own = self.clone();
                let alone = self.runtime.spawn(async move { own.call(call, EFFECT_TIMEOUT).await });
                let _ = timeout(COMPANY_TIMEOUT, alone).await;
            }
        }
    }

    fn next_call(&self) -> Option<Vec<Wanted<P>>> {
        let mut queue = self.queue();
        let call = queue.take();
        queue.under_way = !call.is_empty();
        queue.under_way.then_some(call)
    }

    async fn call(&self, call: Vec<Wanted<P>>, limit: Duration) {
        let store = Arc::clone(&self.store);
        let tasks: Vec<TaskId> = call.iter().map(|wanted| wanted.task).collect();
        let made = within(self.stage, limit, async move { write(&*store, &call).await }).await.is_some();
        for task in tasks {
            self.outbox.send(if made { Event::Wrote { task } } else { Event::WriteFailed { task } }).await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<P>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write<P: Processor>(store: &dyn StateStore<P>, call: &[Wanted<P>]) -> Result<(), StoreUnavailable> {
    let together: Vec<P::Write>;
    let writes = if let [only] = call {
        &only.writes[..]
    } else {
        together = call.iter().flat_map(|wanted| wanted.writes.iter().cloned()).collect();
        &together[..]
    };
    failpoint::pass(Point::BeforeWrite);
    if failpoint::is_armed(Point::MidWrite) && writes.len() > 1 {
        store.write(&writes[..writes.len() / 2]).await?;
        failpoint::pass(Point::MidWrite);
    }
    store.write(writes).await?;
    failpoint::pass(Point::AfterWrite);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use tokio::sync::{Semaphore, mpsc};

    use super::*;
    use crate::processor::{Delivery, GroupSpec, Output, Record};

    struct Plain;

    impl Processor for Plain {
        type State = ();
        type Key = ();
        type Doc = ();
        type Write = u32;

        fn group(&self) -> GroupSpec {
            GroupSpec { id: "plain", reads: &[], restores_from: None, delivery: Delivery::AtLeastOnce }
        }

        fn start(&self, _partition: i32) {}

        fn apply(&self, (): &mut (), _batch: &[Record], _now_us: i64) -> Output<u32> {
            Output::default()
        }
    }

    /// A write that the store never makes.
    const REFUSED: u32 = 13;
    /// One at which it panics.
    const PANICS: u32 = 14;
    /// One at which it hangs.
    const HANGS: u32 = 15;

    /// Remembers its calls; each waits to be let through.
    struct Gated {
        calls: Mutex<Vec<Vec<u32>>>,
        gate: Semaphore,
        open: AtomicBool,
    }

    #[async_trait::async_trait]
    impl StateStore<Plain> for Gated {
        async fn load(&self, _keys: &[()]) -> Result<Vec<()>, StoreUnavailable> {
            Ok(Vec::new())
        }

        async fn write(&self, writes: &[u32]) -> Result<(), StoreUnavailable> {
            self.calls.lock().unwrap().push(writes.to_vec());
            if !self.open.load(Ordering::Relaxed) {
                self.gate.acquire().await.unwrap().forget();
            }
            assert!(!writes.contains(&PANICS), "as it was told to");
            if writes.contains(&HANGS) {
                std::future::pending::<()>().await;
            }
            if writes.contains(&REFUSED) { Err(StoreUnavailable("refused".into())) } else { Ok(()) }
        }
    }

    struct Bench {
        store: Arc<Gated>,
        writes: Writes<Plain>,
        inbox: mpsc::Receiver<Event<Plain>>,
    }

    impl Bench {
        fn new(open: bool) -> Self {
            let gate = Semaphore::new(0);
            let store = Arc::new(Gated { calls: Mutex::default(), gate, open: AtomicBool::new(open) });
            let (sender, inbox) = mpsc::channel(100);
            let outbox = Outbox { sender, thread: std::thread::current() };
            Self { writes: Writes::new(store.clone(), outbox, Handle::current(), "plain"), store, inbox }
        }

        /// Takes what these partition numbers want written, all in one turn.
        fn turn(&self, wanted: &[(i32, Vec<u32>)]) {
            for (partition, writes) in wanted {
                self.writes.take(task(*partition), Arc::new(writes.clone()), false);
            }
            self.writes.begin();
        }

        fn calls(&self) -> Vec<Vec<u32>> {
            self.store.calls.lock().unwrap().clone()
        }

        /// The next outcomes: which partition number, and whether its writes were made.
        async fn outcomes(&mut self, count: usize) -> Vec<(i32, bool)> {
            let mut outcomes = Vec::new();
            while outcomes.len() < count {
                let event = tokio::time::timeout(Duration::from_secs(30), self.inbox.recv()).await;
                outcomes.push(match event.expect("an outcome in time").expect("the sender is there") {
                    Event::Wrote { task } => (task.partition, true),
                    Event::WriteFailed { task } => (task.partition, false),
                    _ => panic!("nothing else is told"),
                });
            }
            outcomes
        }
    }

    fn task(partition: i32) -> TaskId {
        TaskId { partition, incarnation: 1 }
    }

    /// Goal: one turn's writes are one call, and what is taken meanwhile is one call behind it.
    #[tokio::test]
    async fn writes_go_in_company() {
        let mut bench = Bench::new(false);
        bench.turn(&[(0, vec![1, 2]), (1, vec![3])]);
        while bench.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        bench.turn(&[(2, vec![4])]);
        bench.turn(&[(3, vec![5, 6])]);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.calls(), [vec![1, 2, 3]], "one call at a time");
        bench.store.gate.add_permits(1);
        assert_eq!(bench.outcomes(2).await, [(0, true), (1, true)]);
        bench.store.gate.add_permits(1);
        assert_eq!(bench.outcomes(2).await, [(2, true), (3, true)]);
        assert_eq!(bench.calls(), [vec![1, 2, 3], vec![4, 5, 6]]);
        bench.store.gate.add_permits(1);
        bench.turn(&[(0, vec![7])]);
        assert_eq!(bench.outcomes(1).await, [(0, true)], "and again when nothing was to be done for a while");
    }

    /// Goal: a call that fails fails for all that were in it; what failed is tried by itself, while others' calls
    /// hang.
    #[tokio::test]
    async fn what_failed_goes_by_itself() {
        let mut bench = Bench::new(true);
        bench.turn(&[(0, vec![1]), (1, vec![REFUSED])]);
        assert_eq!(bench.outcomes(2).await, [(0, false), (1, false)]);
        bench.store.open.store(false, Ordering::Relaxed);
        bench.turn(&[(2, vec![2])]);
        while bench.calls().len() < 2 {
            tokio::task::yield_now().await;
        }
        bench.store.open.store(true, Ordering::Relaxed);
        for (partition, write) in [(0, 1), (1, REFUSED)] {
            bench.writes.take(task(partition), Arc::new(vec![write]), true);
        }
        assert_eq!(bench.outcomes(2).await, [(0, true), (1, false)]);
        assert_eq!(bench.calls()[2..], [vec![1], vec![REFUSED]]);
    }

    /// Goal: a write that hangs costs those that went with it a moment, and so those that come behind it; by itself it
    /// has its time.
    #[tokio::test]
    async fn a_write_that_hangs_holds_nobody_up() {
        let mut bench = Bench::new(true);
        let began = Instant::now();
        bench.turn(&[(0, vec![HANGS]), (1, vec![1])]);
        assert_eq!(bench.outcomes(2).await, [(0, false), (1, false)]);
        bench.turn(&[(2, vec![HANGS])]);
        while bench.calls().len() < 2 {
            tokio::task::yield_now().await;
        }
        bench.turn(&[(3, vec![2])]);
        assert_eq!(bench.outcomes(1).await, [(3, true)], "before the one that hangs is given up");
        let waits = [2 * COMPANY_TIMEOUT, EFFECT_TIMEOUT];
        assert!((waits[0]..waits[1]).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    /// Goal: a store that panics costs a try and nothing else.
    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let mut bench = Bench::new(true);
        bench.turn(&[(0, vec![PANICS])]);
        assert_eq!(bench.outcomes(1).await, [(0, false)]);
        bench.turn(&[(1, vec![1])]);
        assert_eq!(bench.outcomes(1).await, [(1, true)]);
    }

    /// Goal: a call holds no more than [`WRITES_MAX`], unless one partition number wants more.
    #[tokio::test]
    async fn a_call_is_bounded() {
        let mut bench = Bench::new(true);
        let many = |count: usize| vec![1; count];
        bench.turn(&[(0, many(WRITES_MAX - 1)), (1, many(2)), (2, many(WRITES_MAX + 5)), (3, many(1))]);
        assert_eq!(bench.outcomes(4).await.len(), 4);
        let sizes: Vec<usize> = bench.calls().iter().map(Vec::len).collect();
        assert_eq!(sizes, [WRITES_MAX - 1, 2, WRITES_MAX + 5, 1]);
    }
}
