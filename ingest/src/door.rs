//! The door: the accept loop of the public port. It bounds how many connections there are and how fast
//! they come, closes those that do not say what they want, and goes on when files run out.

mod files;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::edge::Edge;
use crate::inflow::{Inflow, Metered};
use crate::limits::{
    ACCEPT_BACKOFF_MS, ACCEPT_PROBE_MS, FILES_RESERVED, HEADER_WAIT_MS, PLAIN_CONNECTIONS_MAX, SEND_BUFFER_BYTES,
    UNACKED_WAIT_MS,
};
use crate::telemetry;

/// How full the house is.
pub(crate) struct Door {
    places: Arc<Semaphore>,
    /// Set while the process has no file left for another connection.
    exhausted: AtomicBool,
}

impl Door {
    /// Room for this many sockets, and for some connections that are none or not yet; less when the
    /// process may not open so many files.
    pub(crate) fn new(sockets_max: usize) -> Self {
        let wanted = sockets_max + PLAIN_CONNECTIONS_MAX;
        let allowed = files::limit().map_or(wanted, |limit| limit.saturating_sub(FILES_RESERVED).max(1));
        if allowed < wanted {
            tracing::warn!(wanted, allowed, "fewer connections than configured: the limit of open files is low");
        }
        let places = wanted.min(allowed).min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(places)), exhausted: AtomicBool::new(false) }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed) || self.places.available_permits() == 0
    }

    fn set_exhausted(&self, exhausted: bool) {
        if self.exhausted.swap(exhausted, Ordering::Relaxed) != exhausted {
            tracing::warn!(exhausted, "files for connections");
        }
    }
}

/// Serves the public port until `stop`; then lets requests under way end.
pub(crate) async fn serve(listener: TcpListener, edge: Arc<Edge>, app: Router, stop: CancellationToken) {
    if let Err(error) = SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER_BYTES) {
        tracing::warn!(%error, "the send buffer cannot be set");
    }
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &edge.door) => accepted,
        };
        let Some((stream, peer)) = accepted else { continue };
        let Some(place) = admit(&edge, peer) else { continue };
        prepare(&stream);
        let service = Guest { app: TowerToHyperService::new(app.clone()), peer };
        connections.spawn(entertain(stream, service, place, stop.clone()));
    }
    connections.close();
    connections.wait().await;
}

/// The next connection, or none for now.
async fn accept(listener: &TcpListener, door: &Door) -> Option<(TcpStream, SocketAddr)> {
    let next = if door.exhausted.load(Ordering::Relaxed) {
        match timeout(Duration::from_millis(ACCEPT_PROBE_MS), listener.accept()).await {
            Ok(next) => next,
            Err(_) => {
                // Nobody waits, and the last attempt did not fail.
                door.set_exhausted(false);
                return None;
            }
        }
    } else {
        listener.accept().await
    };
    match next {
        Ok(connection) => {
            door.set_exhausted(false);
            Some(connection)
        }
        Err(error) if files::are_exhausted(&error) => {
            door.set_exhausted(true);
            telemetry::connection_refused("no_file");
            sleep(Duration::from_millis(ACCEPT_BACKOFF_MS)).await;
            None
        }
        Err(error) => {
            if !is_of_client(&error) {
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(Duration::from_millis(ACCEPT_BACKOFF_MS)).await;
            }
            None
        }
    }
}

/// Whether the connection was gone before it was accepted.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionRefused | Kind::ConnectionAborted | Kind::ConnectionReset)
}

/// A place for the connection; without one it is closed at once.
fn admit(edge: &Edge, peer: SocketAddr) -> Option<OwnedSemaphorePermit> {
    if !edge.admission.connection(peer.ip()) {
        telemetry::connection_refused("rate");
        return None;
    }
    let place = Arc::clone(&edge.door.places).try_acquire_owned().ok();
    if place.is_none() {
        telemetry::connection_refused("full");
    }
    place
}

fn prepare(stream: &TcpStream) {
    // Small frames must not wait for the acknowledgement of the one before.
    let no_delay = stream.set_nodelay(true);
    // A client that takes nothing, or is gone, does not hold what it was sent for ever.
    let user_timeout = SockRef::from(stream).set_tcp_user_timeout(Some(Duration::from_millis(UNACKED_WAIT_MS)));
    if let Err(error) = no_delay.and(user_timeout) {
        tracing::debug!(%error, "a socket option cannot be set");
    }
}

/// Answers what one connection asks. An upgraded one has its place until its socket is closed.
async fn entertain(stream: TcpStream, service: Guest, place: OwnedSemaphorePermit, stop: CancellationToken) {
    let inflow = Arc::new(Inflow::default());
    let stream = Metered::new(stream, Arc::clone(&inflow));
    let service = Placed { guest: service, place: ConnectionPlace { _place: Arc::new(place), inflow } };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEADER_WAIT_MS))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// The router, told who asks.
struct Guest {
    app: TowerToHyperService<Router>,
    peer: SocketAddr,
}

/// Keeps the connection's place for as long as anything of it lives: requests carry it along.
struct Placed {
    guest: Guest,
    place: ConnectionPlace,
}

/// The connection's place, for the socket that it may become.
#[derive(Clone)]
pub(crate) struct ConnectionPlace {
    /// Held, not read.
    _place: Arc<OwnedSemaphorePermit>,
    inflow: Arc<Inflow>,
}

impl ConnectionPlace {
    /// What the connection brings.
    pub(crate) fn inflow(&self) -> Arc<Inflow> {
        Arc::clone(&self.inflow)
    }
}

impl Service<Request<Incoming>> for Placed {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(ConnectInfo(self.guest.peer));
        request.extensions_mut().insert(self.place.clone());
        self.guest.app.call(request)
    }
}
