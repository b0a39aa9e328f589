//! Drives one socket: its machine decides, this carries out. The clocks and dice are here.

mod event;
mod work;

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures::SinkExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use quiz_schemas::{GameId, QuestionNo};
use rand::Rng;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{self, error::ProtocolError};

use crate::clock::wall_us;
use crate::connection::{Action, Connection, Input, Mark, NotAttached, Now, SPREAD_MAX};
use crate::deliveries::Unflushed;
use crate::edge::{Edge, Place};
use crate::games::{Delivery, QuestionClock, SocketId};
use crate::inflow::Inflow;
use crate::limits::{CLOSE_WAIT_MS, DELIVERY_BATCH_MAX, SEND_WAIT_MS, STALE_FRAMES_MAX, STALE_WAIT_MS};
use crate::protocol::{Close, ErrorCode, ServerMessage};
use crate::signals::{Signal, Signals};
use crate::tallies::GameTallies;
use crate::telemetry;
use event::{Alarm, Courtesy, Event};
use work::Report;

/// One open socket.
pub(crate) struct Socket {
    edge: Arc<Edge>,
    socket: WebSocket,
    machine: Connection,
    id: SocketId,
    address: IpAddr,
    opened: Instant,
    /// Raised by the game when the mailbox overflows, and by the edge when it stops or has stood still.
    signals: Arc<Signals>,
    /// What has come since the last frame.
    inflow: Arc<Inflow>,
    /// How often the edge had stood still when the socket was opened.
    pauses: u64,
    mailbox: Option<mpsc::Receiver<Arc<Delivery>>>,
    game: Option<GameId>,
    books: Option<Arc<GameTallies>>,
    /// Answers of which it is known what became of them, to be struck out when that is counted.
    known: Vec<(Arc<GameTallies>, QuestionNo)>,
    clock: Option<(QuestionClock, Instant)>,
    work: FuturesUnordered<BoxFuture<'static, Report>>,
    actions: Vec<Action>,
    alarm: Alarm,
    frames_first: bool,
    courtesy: Courtesy,
    drain_at: Option<Instant>,
    ending: Option<Ending>,
}

/// How a socket ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// The edge closes it.
    Close(Close),
    /// The client has.
    Lost,
}

/// Serves a socket until it is closed. The place is kept for as long. An edge holds very many of these: the socket
/// lies in a box, for a future would hold it once more for each call that takes it over.
pub(crate) fn serve(
    edge: Arc<Edge>,
    socket: WebSocket,
    address: IpAddr,
    inflow: Arc<Inflow>,
    place: Place,
) -> impl Future<Output = ()> + Send {
    let mut socket = Box::new(Socket::new(edge, socket, address, inflow));
    async move {
        socket.run().await;
        let (edge, id) = (Arc::clone(&socket.edge), socket.id);
        drop(socket);
        edge.switchboard.close(id);
        drop(place);
    }
}

impl Socket {
    fn new(edge: Arc<Edge>, socket: WebSocket, address: IpAddr, inflow: Arc<Inflow>) -> Self {
        inflow.begin();
        let opened = Instant::now();
        let spread = rand::rng().random_range(0..SPREAD_MAX);
        let machine = Connection::new(Now { wall_us: wall_us(), sockets: edge.open(), ..Now::default() }, spread);
        let id = edge.next_socket();
        let signals = edge.switchboard.open(id);
        if edge.draining.is_cancelled() {
            // It may have been told to those that were open before this one was.
            signals.raise(Signal::Drain);
        }
        Self {
            id,
            signals,
            inflow,
            pauses: edge.pulse.pauses(),
            edge,
            socket,
            machine,
            address,
            opened,
            mailbox: None,
            game: None,
            books: None,
            known: Vec::new(),
            clock: None,
            work: FuturesUnordered::new(),
            actions: Vec::new(),
            alarm: Alarm::new(opened),
            frames_first: false,
            courtesy: Courtesy::default(),
            drain_at: None,
            ending: None,
        }
    }

    async fn run(&mut self) {
        let ending = loop {
            if let Some(ending) = self.ending {
                break ending;
            }
            let event = self.next().await;
            if self.edge.pulse.has_paused(self.pauses, Instant::now()) {
                self.wake(event).await;
            } else {
                self.on_event(event).await;
            }
        };
        self.finish(ending).await;
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Woken => {}
            Event::Evicted if self.signals.has(Signal::Drain) => self.drain(),
            Event::Evicted => self.input(Input::Evict(Close::TooSlow)),
            Event::Flooded => self.input(Input::Evict(Close::RateExceeded)),
            Event::DrainDue => self.input(Input::Evict(Close::Draining)),
            Event::Report(report) => self.on_report(report),
            Event::Delivery(Some(delivery)) => return self.deliver(delivery).await,
            Event::Delivery(None) => self.on_mailbox_closed(),
            Event::Frame(frame) => self.on_frame(frame),
            Event::Tick => self.input(Input::Tick),
        }
        self.carry_out().await;
        self.flush().await;
    }

    /// The edge has stood still: what waits in the mailbox is old and is dropped, what waits in the
    /// socket came at nobody knows when and is to be sent again. Then the client is sent away, if it is
    /// still there.
    async fn wake(&mut self, event: Event) {
        match event {
            Event::Report(report) => self.on_report(report),
            Event::Frame(Some(Ok(Message::Text(text)))) => self.input(Input::Stale(&text)),
            _ => {}
        }
        for _ in 0..STALE_FRAMES_MAX {
            let next = timeout(Duration::from_millis(STALE_WAIT_MS), self.socket.recv()).await;
            let Ok(Some(Ok(frame))) = next else { break };
            if let Message::Text(text) = frame {
                self.input(Input::Stale(&text));
            }
        }
        self.input(Input::Evict(Close::Paused));
        self.carry_out().await;
        self.flush().await;
    }

    /// Sockets go one after the other over the window, so that they do not all come to the next
    /// edge at once.
    fn drain(&mut self) {
        let window_ms = u64::try_from(self.edge.config.drain_window.as_millis()).unwrap_or(u64::MAX);
        let wait_ms = rand::rng().random_range(0..=window_ms);
        self.drain_at = Some(Instant::now() + Duration::from_millis(wait_ms));
    }

    fn now(&self) -> Now {
        let mono_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { wall_us: wall_us(), mono_ms, elapsed_us: self.elapsed_us(), sockets: self.edge.open() }
    }

    fn elapsed_us(&self) -> Option<i64> {
        let (clock, written) = self.clock?;
        match clock.greeted {
            None => Some(i64::try_from(written.elapsed().as_micros()).unwrap_or(i64::MAX)),
            Some(greeted) => {
                let now = Instant::now();
                greeted.elapsed_us(now, self.edge.clock.now_us(now))
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let now = self.now();
        self.machine.on(&self.edge.around, input, now, &mut self.actions);
    }

    fn on_frame(&mut self, frame: Option<Result<Message, axum::Error>>) {
        self.inflow.begin();
        match frame {
            Some(Ok(Message::Text(text))) => self.input(Input::Text(&text)),
            Some(Ok(Message::Binary(_))) => self.input(Input::Unreadable(Close::Binary)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => self.input(Input::Control),
            Some(Ok(Message::Close(_))) | None => self.ending = Some(Ending::Lost),
            Some(Err(error)) => match unreadable(error) {
                Some(close) => self.input(Input::Unreadable(close)),
                None => self.ending = Some(Ending::Lost),
            },
        }
    }

    fn on_mailbox_closed(&mut self) {
        self.mailbox = None;
        if self.machine.is_seated() {
            self.input(Input::Evict(Close::TooSlow));
        } else {
            self.input(Input::Game(&Mark::NotAttached(NotAttached::Unavailable)));
        }
    }

    /// Writes what the game says, a batch at a time, and starts the clock of a question when it
    /// is written.
    async fn deliver(&mut self, first: Arc<Delivery>) {
        let mut clock = None;
        let mut results = Unflushed::default();
        let mut next = Some(first);
        let mut left = DELIVERY_BATCH_MAX;
        while let Some(delivery) = next.take() {
            if let Some(text) = &delivery.text {
                self.write(Message::Text(text.clone())).await;
            }
            clock = delivery.clock.or(clock);
            results.note(delivery.writes.as_ref());
            self.input(Input::Game(&delivery.mark));
            self.carry_out().await;
            left -= 1;
            if left > 0 && !results.is_full() && self.ending.is_none() {
                next = self.mailbox.as_mut().and_then(|mailbox| mailbox.try_recv().ok());
            }
        }
        self.flush().await;
        if let Some(clock) = clock {
            self.clock = Some((clock, Instant::now()));
        }
        if self.ending.is_none() {
            results.flushed(wall_us);
        }
    }

    async fn carry_out(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                Action::Send(message) => {
                    count(&message);
                    self.audit(&message);
                    self.write(Message::Text(Utf8Bytes::from(message.to_json()))).await;
                }
                Action::Ping => self.write(Message::Ping(Bytes::new())).await,
                Action::Attach { game, role, cursor } => self.attach(game, role, cursor),
                Action::Close(close) => self.ending = self.ending.or(Some(Ending::Close(close))),
                Action::Tally { question, tally } => self.tally(question, tally),
                Action::ProofSeen { good } => telemetry::proof_seen(good),
                other => self.start(other),
            }
        }
        self.actions = actions;
        self.strike_out();
    }

    /// Who tries tokens that are not theirs leaves a line: one for each refusal.
    fn audit(&self, message: &ServerMessage) {
        let ServerMessage::Error(error) = message else { return };
        if matches!(error.code, ErrorCode::TokenInvalid | ErrorCode::NotHost) && error.id.is_none() {
            tracing::warn!(address = %self.address, at = "socket", reason = error.code.as_str(), "token_refused");
        }
    }

    async fn write(&mut self, message: Message) {
        if self.ending.is_some() {
            return;
        }
        match timeout(Duration::from_millis(SEND_WAIT_MS), self.socket.feed(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.ending = Some(broken(error)),
            Err(_) => self.ending = Some(Ending::Close(Close::TooSlow)),
        }
    }

    async fn flush(&mut self) {
        if self.ending == Some(Ending::Lost) {
            return;
        }
        match timeout(Duration::from_millis(SEND_WAIT_MS), self.socket.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.ending = Some(broken(error)),
            Err(_) => self.ending = Some(Ending::Close(Close::TooSlow)),
        }
    }

    /// Says goodbye: the log first, so that a player who comes back elsewhere is not counted out
    /// behind their return; then the client.
    async fn finish(&mut self, ending: Ending) {
        self.settle().await;
        let gone = self.leave().await;
        match ending {
            Ending::Close(close) => {
                telemetry::evicted(close);
                tracing::debug!(socket = self.id.0, reason = close.reason(), "socket closed");
                self.say_goodbye(close).await;
            }
            // The client's own goodbye is answered, if it is still there.
            Ending::Lost => {
                let _ = timeout(Duration::from_millis(CLOSE_WAIT_MS), self.socket.close()).await;
            }
        }
        if let Some(gone) = gone {
            gone.await;
        }
    }

    async fn say_goodbye(&mut self, close: Close) {
        let frame = CloseFrame { code: close.code(), reason: Utf8Bytes::from(close.text()) };
        let goodbye = async {
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                // To drop the socket with unread bytes would reset the connection and lose the frame.
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        let _ = timeout(Duration::from_millis(CLOSE_WAIT_MS), goodbye).await;
    }
}

/// How to close a socket whose last frame could not be read; none when there is nobody to tell.
pub(crate) fn unreadable(error: axum::Error) -> Option<Close> {
    let error = error.into_inner().downcast::<tungstenite::Error>().ok()?;
    match *error {
        tungstenite::Error::Capacity(_) => Some(Close::TooLarge),
        tungstenite::Error::Utf8(_) => Some(Close::NotUtf8),
        // A client that was reset while it spoke has no one left to tell.
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) => Some(Close::Protocol),
        // The system has given it up: it takes nothing of what it was sent. It will not hear of this, but
        // it counts.
        tungstenite::Error::Io(error) if error.kind() == ErrorKind::TimedOut => Some(Close::TooSlow),
        _ => None,
    }
}

/// How a socket ends that could not be written to.
fn broken(error: axum::Error) -> Ending {
    match unreadable(error) {
        Some(Close::TooSlow) => Ending::Close(Close::TooSlow),
        _ => Ending::Lost,
    }
}

fn count(message: &ServerMessage) {
    match message {
        ServerMessage::Joined(_) => telemetry::join("joined"),
        ServerMessage::Hosting(_) => telemetry::join("hosting"),
        ServerMessage::Error(error) if error.submission.is_some() => {
            if error.code != ErrorCode::Unavailable {
                telemetry::answer_received();
            }
            telemetry::answer_refused(error.code);
        }
        ServerMessage::Error(error) if error.id.is_none() => telemetry::join(error.code.as_str()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<Running>(_: impl FnOnce(&'static mut Socket) -> Running) -> usize {
        size_of::<Running>()
    }

    /// Goal: a hundred thousand sockets fit. Method: the size of what each holds and of what runs it, without buffers.
    #[test]
    fn a_socket_is_small() {
        let (held, running) = (size_of::<Socket>(), bytes_of(Socket::run));
        assert!(held <= 1_024 && running <= 1_024, "a socket holds {held} bytes, and running it {running}");
    }
}
