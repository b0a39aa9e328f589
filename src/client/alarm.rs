//! Wakes clients when they are due. The runtime's timers count in milliseconds and round up, once for the timer and
//! once for the wait of its thread: what leaves by them leaves one to two late, which a latency from when it should
//! have left has in it. A thread of its own is late by some 0.1 ms.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::time::Instant;

/// Between two wakings at least: many that are due at nearly the same time are woken together.
const PAUSE: Duration = Duration::from_micros(200);

/// How long its thread sleeps when there is nothing to wait for: whoever sets an alarm wakes it.
const IDLE: Duration = Duration::from_secs(3_600);

/// The one clock of the process. Its thread lives as long as the process does.
static CLOCK: LazyLock<&'static AlarmClock> = LazyLock::new(|| {
    let clock: &AlarmClock = Box::leak(Box::default());
    let started = thread::Builder::new().name("alarms".into()).spawn(|| clock.run());
    started.expect("a process that cannot have one more thread cannot play");
    clock
});

#[derive(Default)]
struct AlarmClock {
    alarms: Mutex<BinaryHeap<Alarm>>,
    earlier: Condvar,
}

/// Who is to be woken and still waits, and when. The earliest is the greatest.
struct Alarm {
    at: Instant,
    sleeper: Weak<AtomicWaker>,
}

/// Ready when its time has come. Safe to drop before.
pub struct Due {
    at: Instant,
    sleeper: Option<Arc<AtomicWaker>>,
}

/// Waits until `at`.
#[must_use]
pub fn due(at: Instant) -> Due {
    Due { at, sleeper: None }
}

impl Future for Due {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        if let Some(sleeper) = &self.sleeper {
            sleeper.register(cx.waker());
        } else {
            let sleeper = Arc::new(AtomicWaker::new());
            sleeper.register(cx.waker());
            CLOCK.set(Alarm { at: self.at, sleeper: Arc::downgrade(&sleeper) });
            self.sleeper = Some(sleeper);
        }
        // Again, for it may have gone off before the waker was there.
        if Instant::now() >= self.at { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl AlarmClock {
    fn alarms(&self) -> MutexGuard<'_, BinaryHeap<Alarm>> {
        // A heap is whole between any two steps.
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, alarm: Alarm) {
        let at = alarm.at;
        let mut alarms = self.alarms();
        let first = alarms.peek().is_none_or(|first| at < first.at);
        alarms.push(alarm);
        drop(alarms);
        if first {
            self.earlier.notify_one();
        }
    }

    fn run(&self) {
        let mut alarms = self.alarms();
        loop {
            let now = Instant::now();
            let mut woken = Vec::new();
            while alarms.peek().is_some_and(|first| first.at <= now) {
                woken.extend(alarms.pop().and_then(|alarm| alarm.sleeper.upgrade()));
            }
            if !woken.is_empty() {
                drop(alarms);
                woken.iter().for_each(|sleeper| sleeper.wake());
                thread::sleep(PAUSE);
                alarms = self.alarms();
                continue;
            }
            let wait = alarms.peek().map_or(IDLE, |first| first.at.saturating_duration_since(now));
            alarms = self.earlier.wait_timeout(alarms, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Alarm {}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::time::timeout;

    use super::*;

    /// Goal: everybody is woken, nobody early, whoever is set in between. Method: many set in no order, some given
    /// up, one of them first and one last.
    #[tokio::test]
    async fn everybody_is_woken_and_nobody_before_their_time() {
        let start = Instant::now();
        let waits = (0..500_u64).map(|no| async move {
            let at = start + Duration::from_micros(no * 7_919 % 100_000);
            let given_up = due(at + Duration::from_millis(1)).now_or_never();
            due(at).await;
            (Instant::now() >= at, given_up.is_none() || Instant::now() >= at + Duration::from_millis(1))
        });
        let woken = timeout(Duration::from_secs(60), futures::future::join_all(waits)).await.expect("all are woken");
        assert!(woken.into_iter().all(|(in_time, waited)| in_time && waited));
    }

    #[tokio::test]
    async fn what_is_past_is_due_at_once() {
        assert!(due(Instant::now()).now_or_never().is_some());
        assert!(due(Instant::now() + Duration::from_secs(3_600)).now_or_never().is_none());
    }

    /// Goal: one who waits elsewhere at first is woken where they wait now. Method: polled once without a task, then in one.
    #[tokio::test]
    async fn who_moves_is_woken_where_they_are() {
        let mut wait = due(Instant::now() + Duration::from_millis(20));
        assert!((&mut wait).now_or_never().is_none());
        timeout(Duration::from_secs(60), wait).await.expect("it is woken");
    }
}
