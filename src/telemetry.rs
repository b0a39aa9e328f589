//! Logs and metrics of a process.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure};

/// Seconds: from a fast append to a retry's end.
const LATENCY_BUCKETS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// How often samples are sorted into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Sends logs to stderr: text on a terminal, else one JSON object a line. `RUST_LOG` chooses what;
/// without it, warnings and this program's own information lines.
pub fn logs(default_directives: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_directives));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::io::stderr().is_terminal() {
        builder.with_ansi(std::env::var_os("NO_COLOR").is_none()).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    };
    // A second call in one process (tests) keeps the first subscriber.
    drop(set);
}

/// Collects metrics; the handle renders them in Prometheus text.
///
/// # Errors
/// When another recorder is installed already.
pub fn metrics() -> Result<PrometheusHandle, Failure> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|err| Failure::new(Exit::Failed, format!("metrics cannot be collected: {err}")))?;
    let upkeep = handle.clone();
    // Between two scrapes the recorder keeps each sample of a histogram until someone sorts it into
    // its bucket; without this a process that nobody scrapes would grow without bound (I9).
    std::thread::Builder::new()
        .name("metrics-upkeep".into())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP_INTERVAL);
                upkeep.run_upkeep();
            }
        })
        .map_err(|err| Failure::new(Exit::Failed, format!("no thread for metrics: {err}")))?;
    metrics::gauge!("quiz_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}
