//! Runs an edge: binds everything together, and takes it down without losing an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use quiz_schemas::EdgeId;
use quiz_store::Store;
use quiz_stream::{Producer, TailEvent, TailHandle};
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::EdgeConfig;
use crate::connection::Surroundings;
use crate::door;
use crate::edge::{Edge, Time};
use crate::fair_time::BrokerClock;
use crate::games::Games;
use crate::http::{AdminState, admin_router, router};
use crate::limits::{FLUSH_WAIT_MS, FORGET_INTERVAL_MS};
use crate::pulse::Pulse;
use crate::signals::Signal;
use crate::token::{Signer, WeakSecret};

/// Writes out all metrics as Prometheus reads them.
pub type MetricsRender = Arc<dyn Fn() -> String + Send + Sync>;

/// Asks whether Kafka answers; an error says why not.
pub type KafkaCheck = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What an edge runs on.
pub struct EdgeSetup {
    /// Where players and hosts connect.
    pub listener: TcpListener,
    /// Where health and metrics are told.
    pub admin_listener: TcpListener,
    /// How it is set up.
    pub config: EdgeConfig,
    /// Appends joins, answers and commands.
    pub producer: Producer,
    /// Asks for partitions of the results topic.
    pub tail: TailHandle,
    /// What the tail reads.
    pub results: mpsc::Receiver<TailEvent>,
    /// Views, PINs, standings.
    pub store: Arc<dyn Store>,
    /// For `/metrics`.
    pub metrics_render: MetricsRender,
    /// For `/readyz`.
    pub kafka_check: KafkaCheck,
    /// The edge's name in records. Unique for each process: a new one counts anew.
    pub edge_id: EdgeId,
    /// Names the incarnation of the log, see [`epoch_of`].
    pub epoch: SmolStr,
    /// Tells whether the process has stood still; beats while the edge runs.
    pub pulse: Arc<Pulse>,
}

/// The name of a log's incarnation: a short hash of the cluster's id. The id itself is nobody's
/// business outside.
#[must_use]
pub fn epoch_of(cluster_id: &str) -> SmolStr {
    let digest = Sha256::digest(cluster_id.as_bytes());
    digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why an edge did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The token secret is too short.
    #[error(transparent)]
    Secret(#[from] WeakSecret),
    /// A port cannot be served.
    #[error("a port cannot be served: {0}")]
    Listen(#[from] std::io::Error),
    /// The tail of the results ended: nobody would be told anything any more.
    #[error("the tail of the results has ended")]
    TailEnded,
}

/// Runs an edge until `shutdown`, then drains it: no new sockets, those that are there are told to
/// come back elsewhere, appends under way are awaited. Done within the configured deadline.
///
/// # Errors
/// When it cannot start, or something that it needs ends.
pub async fn serve(setup: EdgeSetup, shutdown: CancellationToken) -> Result<(), EdgeError> {
    let EdgeSetup { listener, admin_listener, config, producer, tail, results, store, .. } = setup;
    let around = Surroundings { edge: setup.edge_id, signer: Signer::new(&config.token_secret)?, epoch: setup.epoch };
    let clock = Arc::new(BrokerClock::new(Instant::now()));
    let books = (producer.clone(), around.edge.clone());
    let games = Games::new(Arc::clone(&store), tail, config.game_idle, Arc::clone(&clock), books.0, books.1);
    let mut dispatch = tokio::spawn(games.clone().dispatch(results));
    let edge = Arc::new(Edge::new(around, config, producer, store, games, Time { clock, pulse: setup.pulse }));

    // The admin port outlives the drain: it says that the edge is going away.
    let admin_stop = CancellationToken::new();
    let state = AdminState { edge: Arc::clone(&edge), metrics: setup.metrics_render, kafka: setup.kafka_check };
    let admin =
        axum::serve(admin_listener, admin_router(state)).with_graceful_shutdown(admin_stop.clone().cancelled_owned());
    let admin = tokio::spawn(async move { admin.await });
    let public_stop = CancellationToken::new();
    let mut public = tokio::spawn(serve_public(listener, Arc::clone(&edge), public_stop.clone()));
    let forget = tokio::spawn(forget_quiet(Arc::clone(&edge)));
    let beating = Arc::clone(&edge);
    let pulse = edge.pulse.start(move || beating.switchboard.raise(Signal::Pause))?;
    edge.started.store(true, Ordering::Release);

    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        _ = &mut dispatch => Err(EdgeError::TailEnded),
        result = &mut public => Err(EdgeError::Listen(joined(result).err().unwrap_or_else(|| std::io::Error::other("ended")))),
    };
    drain(&edge, &public_stop).await;
    forget.abort();
    drop(pulse);
    dispatch.abort();
    admin_stop.cancel();
    stop(public).await;
    stop(admin).await;
    ended
}

/// Gives a listener's task a moment to finish its requests.
async fn stop(mut task: JoinHandle<std::io::Result<()>>) {
    let deadline = Instant::now() + Duration::from_millis(FLUSH_WAIT_MS);
    if !task.is_finished() && timeout_at(deadline, &mut task).await.is_err() {
        task.abort();
    }
}

async fn serve_public(listener: TcpListener, edge: Arc<Edge>, stop: CancellationToken) -> std::io::Result<()> {
    let app = router(Arc::clone(&edge));
    door::serve(listener, edge, app, stop).await;
    Ok(())
}

fn joined(result: Result<std::io::Result<()>, tokio::task::JoinError>) -> std::io::Result<()> {
    result.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

async fn forget_quiet(edge: Arc<Edge>) {
    let mut every = interval(Duration::from_millis(FORGET_INTERVAL_MS));
    loop {
        every.tick().await;
        edge.admission.forget_quiet();
    }
}

/// Takes the edge down: sockets are told over the window, then what they appended is awaited.
async fn drain(edge: &Edge, public_stop: &CancellationToken) {
    let deadline = Instant::now() + edge.config.drain_deadline;
    edge.draining.cancel();
    edge.switchboard.raise(Signal::Drain);
    tracing::info!(sockets = edge.open(), "draining");
    edge.sockets.close();
    let all_gone = timeout_at(deadline, edge.sockets.wait()).await.is_ok();
    if !all_gone {
        tracing::warn!(sockets = edge.open(), "sockets were left at the end of the drain");
    }
    public_stop.cancel();
    let deadline = deadline.max(Instant::now() + Duration::from_millis(FLUSH_WAIT_MS));
    if timeout_at(deadline, edge.games.tell_rest(all_gone)).await.is_err() {
        tracing::warn!("books were left at the end of the drain");
    }
    let left = deadline.saturating_duration_since(Instant::now());
    if let Err(error) = edge.producer.flush(left).await {
        tracing::warn!(%error, "records were left at the end of the drain");
    }
}
