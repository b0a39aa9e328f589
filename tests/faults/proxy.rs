//! A TCP proxy that does to connections what networks do. Its words are Toxiproxy's.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Bytes that one read takes.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks of one direction that wait for their time.
const QUEUE_CHUNKS: usize = 1_024;
/// How long the other side may take to answer a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

/// What is done to the bytes of one direction.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Toxics {
    /// Each chunk comes this much later.
    pub latency: Duration,
    /// … give or take this.
    pub jitter: Duration,
    /// At most so many bytes a second; 0 for no limit.
    pub bandwidth: u64,
    /// Chunks are cut to so many bytes; 0 for whole.
    pub slicer: usize,
    /// Nothing goes on, and nothing is lost: it comes when this ends.
    pub hold: bool,
    /// What comes is thrown away: the peer was heard, and its answer is lost.
    pub swallow: bool,
}

/// Both directions.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Way {
    /// From the client to the server.
    pub up: Toxics,
    /// From the server to the client.
    pub down: Toxics,
    /// New connections are refused.
    pub refuse: bool,
}

/// What happened so far.
#[derive(Default, Debug)]
pub struct Counts {
    connections: AtomicU64,
    cut: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    held: AtomicU64,
    swallowed: AtomicU64,
}

/// A proxy in front of one server; ends when dropped.
pub struct Proxy {
    /// Where it listens.
    pub listens: SocketAddr,
    way: watch::Sender<Way>,
    counts: Arc<Counts>,
    /// Ends the connections of now; replaced at each cut.
    alive: Arc<Mutex<CancellationToken>>,
    ends: CancellationToken,
}

impl Proxy {
    /// Listens on `listen` and passes on to `server`.
    pub async fn start(listen: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(listen).await.expect("the proxy's port is free");
        let listens = listener.local_addr().expect("it is bound");
        let (way, seen) = watch::channel(Way::default());
        let counts = Arc::new(Counts::default());
        let alive = Arc::new(Mutex::new(CancellationToken::new()));
        let ends = CancellationToken::new();
        let accepting = (counts.clone(), alive.clone(), ends.clone());
        tokio::spawn(async move {
            let (counts, alive, ends) = accepting;
            loop {
                let client = tokio::select! {
                    () = ends.cancelled() => return,
                    accepted = listener.accept() => match accepted { Ok((client, _)) => client, Err(_) => continue },
                };
                if seen.borrow().refuse {
                    continue;
                }
                counts.connections.fetch_add(1, Ordering::Relaxed);
                let alive = alive.lock().expect("no panic under it").clone();
                tokio::spawn(join(client, server, seen.clone(), counts.clone(), alive));
            }
        });
        Self { listens, way, counts, alive, ends }
    }

    /// Changes what is done to connections, those that are open too.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        let mut alive = self.alive.lock().expect("no panic under it");
        std::mem::replace(&mut *alive, CancellationToken::new()).cancel();
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Connections that were cut.
    pub fn cuts(&self) -> u64 {
        self.counts.cut.load(Ordering::Relaxed)
    }

    /// Bytes that went to the server.
    pub fn bytes_up(&self) -> u64 {
        self.counts.bytes_up.load(Ordering::Relaxed)
    }

    /// Bytes that were held back for a while.
    pub fn held(&self) -> u64 {
        self.counts.held.load(Ordering::Relaxed)
    }

    /// Bytes that were thrown away.
    pub fn swallowed(&self) -> u64 {
        self.counts.swallowed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ends.cancel();
        self.cut();
    }
}

async fn join(
    client: TcpStream,
    server: SocketAddr,
    way: watch::Receiver<Way>,
    counts: Arc<Counts>,
    alive: CancellationToken,
) {
    let Ok(Ok(server)) = timeout(CONNECT_WAIT, TcpStream::connect(server)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let up = pass(client_in, server_out, way.clone(), true, counts.clone());
    let down = pass(server_in, client_out, way, false, counts.clone());
    tokio::select! {
        () = alive.cancelled() => { counts.cut.fetch_add(1, Ordering::Relaxed); }
        () = up => {}
        () = down => {}
    }
}

/// Passes one direction on until either side ends.
async fn pass(mut from: OwnedReadHalf, to: OwnedWriteHalf, way: watch::Receiver<Way>, up: bool, counts: Arc<Counts>) {
    let (chunks, queue) = mpsc::channel(QUEUE_CHUNKS);
    let written = write(queue, to, way.clone(), up, counts.clone());
    let read = async {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let toxics = of(&way, up);
            let most = if toxics.slicer > 0 { toxics.slicer.min(CHUNK_BYTES) } else { CHUNK_BYTES };
            let Ok(count @ 1..) = from.read(&mut buffer[..most]).await else { return };
            let toxics = of(&way, up);
            if toxics.swallow {
                counts.swallowed.fetch_add(count as u64, Ordering::Relaxed);
                continue;
            }
            if toxics.hold {
                counts.held.fetch_add(count as u64, Ordering::Relaxed);
            }
            let due = Instant::now() + delay(toxics);
            if chunks.send((due, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = written => {}
    }
}

fn of(way: &watch::Receiver<Way>, up: bool) -> Toxics {
    let way = way.borrow();
    if up { way.up } else { way.down }
}

fn delay(toxics: Toxics) -> Duration {
    if toxics.jitter.is_zero() {
        return toxics.latency;
    }
    let share: f64 = rand::random();
    (toxics.latency + toxics.jitter.mul_f64(2.0 * share)).saturating_sub(toxics.jitter)
}

async fn write(
    mut queue: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    up: bool,
    counts: Arc<Counts>,
) {
    while let Some((due, chunk)) = queue.recv().await {
        sleep_until(due).await;
        let open = move |way: &Way| !(if up { way.up } else { way.down }).hold;
        if way.wait_for(open).await.is_err() || to.write_all(&chunk).await.is_err() {
            return;
        }
        let counter = if up { &counts.bytes_up } else { &counts.bytes_down };
        counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let bandwidth = of(&way, up).bandwidth;
        if bandwidth > 0 {
            sleep(Duration::from_secs_f64(chunk.len() as f64 / bandwidth as f64)).await;
        }
    }
}
