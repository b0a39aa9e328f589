//! The counters of this process, for tests that ask what was counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

#[derive(Default)]
struct Cell(AtomicU64);

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Counters by name and labels, as `name{key=value,…}`.
#[derive(Clone, Default)]
pub struct Counters(Arc<Mutex<BTreeMap<String, Arc<Cell>>>>);

static INSTALLED: OnceLock<Counters> = OnceLock::new();

impl Counters {
    /// Those of this process.
    pub fn of_process() -> &'static Self {
        INSTALLED.get_or_init(|| {
            let counters = Self::default();
            metrics::set_global_recorder(counters.clone()).expect("nobody else counts");
            counters
        })
    }

    /// The sum over all counters whose name begins so and whose labels have `with`.
    pub fn sum(&self, name: &str, with: &str) -> u64 {
        let counters = self.0.lock().expect("no thread panics while it holds the lock");
        let fits = |key: &&String| key.split('{').next() == Some(name) && key.contains(with);
        counters.keys().filter(fits).map(|key| counters[key].0.load(Ordering::Relaxed)).sum()
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        let mut counters = self.0.lock().expect("no thread panics while it holds the lock");
        Counter::from_arc(Arc::clone(counters.entry(name).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
