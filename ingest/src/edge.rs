//! What all sockets and requests of one edge share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::http::HeaderMap;
use quiz_store::Store;
use quiz_stream::Producer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Admission, client_address};
use crate::config::EdgeConfig;
use crate::connection::Surroundings;
use crate::door::Door;
use crate::fair_time::BrokerClock;
use crate::games::{Games, SocketId};
use crate::limits::LOOKUPS_MAX;
use crate::lookup::{Pins, Standings};
use crate::pulse::Pulse;
use crate::signals::Switchboard;
use crate::telemetry;
use crate::token::Signer;

pub(crate) struct Edge {
    pub(crate) around: Surroundings,
    pub(crate) config: EdgeConfig,
    pub(crate) producer: Producer,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) games: Games,
    /// What time it is by the cluster.
    pub(crate) clock: Arc<BrokerClock>,
    pub(crate) pins: Pins,
    pub(crate) standings: Standings,
    pub(crate) admission: Admission,
    /// Cancelled when the edge stops: no new sockets, and those that are there are told to go.
    pub(crate) draining: CancellationToken,
    /// Sockets that have not said goodbye.
    pub(crate) sockets: TaskTracker,
    /// Whether the edge runs without a pause.
    pub(crate) pulse: Arc<Pulse>,
    /// Tells sockets that are open.
    pub(crate) switchboard: Switchboard,
    /// The accept loop's view of how full the edge is.
    pub(crate) door: Door,
    /// Places for look-ups of stored answers.
    pub(crate) lookups: Semaphore,
    /// Set when everything that was started has come up.
    pub(crate) started: AtomicBool,
    seats: Arc<Semaphore>,
    next_socket: AtomicU64,
}

/// What an edge knows of time besides its own clocks.
pub(crate) struct Time {
    pub(crate) clock: Arc<BrokerClock>,
    pub(crate) pulse: Arc<Pulse>,
}

impl Edge {
    pub(crate) fn new(
        around: Surroundings,
        config: EdgeConfig,
        producer: Producer,
        store: Arc<dyn Store>,
        games: Games,
        time: Time,
    ) -> Self {
        let Time { clock, pulse } = time;
        Self {
            pins: Pins::new(Arc::clone(&store)),
            standings: Standings::new(Arc::clone(&store)),
            admission: Admission::new(&config),
            draining: CancellationToken::new(),
            sockets: TaskTracker::new(),
            pulse,
            switchboard: Switchboard::default(),
            door: Door::new(config.connections_max),
            lookups: Semaphore::new(LOOKUPS_MAX),
            started: AtomicBool::new(false),
            seats: Arc::new(Semaphore::new(config.connections_max)),
            next_socket: AtomicU64::new(1),
            around,
            config,
            producer,
            store,
            games,
            clock,
        }
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.around.signer
    }

    /// A place for one more socket, if there is one.
    pub(crate) fn seat(self: &Arc<Self>) -> Option<Place> {
        let permit = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        telemetry::connections(self.open());
        Some(Place { edge: Arc::clone(self), permit: Some(permit) })
    }

    /// How many sockets are open.
    pub(crate) fn open(&self) -> usize {
        self.config.connections_max - self.seats.available_permits()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.seats.available_permits() == 0 || self.door.is_full()
    }

    pub(crate) fn next_socket(&self) -> SocketId {
        SocketId(self.next_socket.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        client_address(peer, headers, &self.config.trusted_proxies)
    }
}

/// A socket's place; free again when dropped.
pub(crate) struct Place {
    edge: Arc<Edge>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permit.take();
        telemetry::connections(self.edge.open());
    }
}
