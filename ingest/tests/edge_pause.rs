//! Goal: an edge that stood still tells nothing old as new, and connections that say nothing are closed.
//! Method: an edge on a runtime of its own, which the test blocks, and a pulse that comes late; bare TCP connections.
#![allow(clippy::unwrap_used)]

mod kit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kit::{Client, PATIENCE, Rig, SECRET, start_edge};
use quiz_ingest::EdgeConfig;
use quiz_ingest::limits::{HEADER_WAIT_MS, ZOMBIE_GAP_MS};
use quiz_ingest::protocol::{ErrorCode, ServerMessage};
use quiz_schemas::AnyEvent;
use quiz_schemas::events::AnswersBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// An edge on a thread of its own, that can be made to stand still.
struct Stoppable {
    address: std::net::SocketAddr,
    stops: mpsc::UnboundedSender<(Duration, oneshot::Sender<()>)>,
}

impl Stoppable {
    /// Has it stand still for so long; returns when it does.
    async fn stop(&self, pause: Duration) {
        let (stands, standing) = oneshot::channel();
        self.stops.send((pause, stands)).unwrap();
        standing.await.unwrap();
    }
}

async fn stoppable(rig: &Rig) -> Stoppable {
    let (cluster, codec, store) = (Arc::clone(&rig.cluster), Arc::clone(&rig.codec), Arc::clone(&rig.store));
    let (ready, address) = oneshot::channel();
    let (stops, mut asked) = mpsc::unbounded_channel::<(Duration, oneshot::Sender<()>)>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let edge = start_edge(&cluster, &codec, &store, EdgeConfig::new(SECRET), "edge-9").await;
            ready.send(edge.address).unwrap();
            while let Some((pause, stands)) = asked.recv().await {
                stands.send(()).unwrap();
                // As a stop of the process: nothing of the edge runs, and the next beat is late.
                std::thread::sleep(pause);
                assert!(edge.pulse.beat((Instant::now() + pause).into()), "the pulse tells of it");
            }
        });
    });
    Stoppable { address: address.await.unwrap(), stops }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_stood_still_sends_its_clients_away() {
    let rig = Rig::start().await;
    let created = rig.create().await;
    let edge = stoppable(&rig).await;
    let mut ada = Client::connect(edge.address).await;
    ada.join(created.pin, "Ada").await;
    rig.script.open(created.game, 0).await;
    ada.question().await;
    edge.stop(Duration::from_millis(ZOMBIE_GAP_MS + 1_000)).await;
    // While nobody looks: an answer, and the end of the question.
    ada.pick(0, 5, 1).await;
    rig.script.stop(created.game, 0).await;
    let mut told = None;
    let code = loop {
        match ada.next().await {
            Ok(ServerMessage::Error(error)) => told = Some(error),
            Ok(ServerMessage::Lobby(_) | ServerMessage::Pong { .. }) => {}
            Ok(old) => panic!("old news: {old:?}"),
            Err(code) => break code,
        }
    };
    assert_eq!((code, ada.reason.as_str()), (3010, "paused 1000ms"));
    let told = told.expect("the answer is to be sent again");
    assert_eq!((told.code, told.proof), (ErrorCode::Unavailable, None));
    let answers = |record: &quiz_stream::Record| matches!(&record.event, AnyEvent::Answers(answers) if matches!(answers.body, AnswersBody::AnswerSubmitted(_)));
    assert_eq!(rig.script.count(answers), 0, "its time is not known");
    // The edge itself goes on.
    let mut grace = Client::connect(edge.address).await;
    grace.join(created.pin, "Grace").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_says_nothing_is_closed() {
    let rig = Rig::start().await;
    let started = Instant::now();
    let mut half = Vec::new();
    for head in [&b""[..], b"GET / HTTP/1.1\r\n", b"GET /v1/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"] {
        let mut stream = TcpStream::connect(rig.edge.address).await.unwrap();
        stream.write_all(head).await.unwrap();
        half.push(stream);
    }
    for stream in &mut half {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open");
    }
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(HEADER_WAIT_MS - 100), "{waited:?}");
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    assert_eq!(reqwest::get(format!("http://{}/", rig.edge.address)).await.unwrap().status(), 200);
}
