//! The clients of the floor's server, as a process that is told by lines what to do, and tells by
//! lines what it saw.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config};

use super::server::buffers;
use crate::error::BenchError;
use crate::latency::{Latency, Quantiles, wall_us};

/// Connections that open at once.
const CONNECTS_AT_ONCE: usize = 256;
/// The size of an answer on the wire, bytes.
const ANSWER_BYTES: usize = 110;
/// How long what was sent may take to come back.
const RETURN_WAIT: Duration = Duration::from_secs(5);

/// What the clients saw of one text to everybody.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Delivered {
    /// How many got it.
    pub count: u64,
    /// From the command to the first, ms.
    pub first_ms: f64,
    /// From the command to the last, ms.
    pub last_ms: f64,
}

/// What they saw of their own texts.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Returned {
    /// From when a text should have left.
    pub intended_ms: Quantiles,
    /// From when it left.
    pub sent_ms: Quantiles,
}

/// An open loop over all sockets.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Schedule {
    begin: Instant,
    rate: f64,
    seconds: f64,
}

#[derive(Default)]
struct Seen {
    intended: Latency,
    sent: Latency,
    deliveries: Vec<f64>,
}

/// Connects so many sockets to the server, then does as it is told: `echo RATE SECONDS`, or
/// `delivered COUNT`, which waits until so many have got a text.
///
/// # Errors
/// When the server does not let them in, or nobody says anything sensible.
pub async fn run(server: SocketAddr, sockets: u32) -> Result<(), BenchError> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (orders, _) = broadcast::channel::<Schedule>(4);
    let began = Instant::now();
    connect_all(server, sockets, &orders, &seen).await?;
    println!("connected {:.3}", began.elapsed().as_secs_f64());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
        match words.first().copied() {
            Some("echo") => {
                let (rate, seconds) = (number(1), number(2));
                let schedule = Schedule { begin: Instant::now() + Duration::from_millis(200), rate, seconds };
                let _ = orders.send(schedule);
                let wanted = (rate * seconds) as u64;
                wait(&seen, Duration::from_secs_f64(seconds) + RETURN_WAIT, |seen| {
                    seen.sent.quantiles().count >= wanted
                })
                .await;
                let mut seen = seen.lock().expect("nobody panics while it holds the lock");
                tell(&Returned { intended_ms: seen.intended.quantiles(), sent_ms: seen.sent.quantiles() });
                *seen = Seen::default();
            }
            Some("delivered") => {
                let wanted = number(1) as usize;
                wait(&seen, RETURN_WAIT * 6, |seen| seen.deliveries.len() >= wanted).await;
                let mut seen = seen.lock().expect("nobody panics while it holds the lock");
                let (first_ms, last_ms) = seen
                    .deliveries
                    .iter()
                    .fold((f64::MAX, 0.0), |(first, last), ms| (f64::min(first, *ms), f64::max(last, *ms)));
                tell(&Delivered { count: seen.deliveries.len() as u64, first_ms, last_ms });
                *seen = Seen::default();
            }
            _ => return Err(BenchError::Usage(format!("the floor's clients do not know {line:?}"))),
        }
    }
    Ok(())
}

fn tell(value: &impl Serialize) {
    println!("told {}", serde_json::to_string(value).expect("numbers have a JSON form"));
}

async fn wait(seen: &Mutex<Seen>, patience: Duration, done: impl Fn(&Seen) -> bool) {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if done(&seen.lock().expect("nobody panics while it holds the lock")) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn connect_all(
    server: SocketAddr,
    sockets: u32,
    orders: &broadcast::Sender<Schedule>,
    seen: &Arc<Mutex<Seen>>,
) -> Result<(), BenchError> {
    let gate = Arc::new(Semaphore::new(CONNECTS_AT_ONCE));
    let (sender, mut arrivals) = mpsc::channel(CONNECTS_AT_ONCE);
    for no in 0..sockets {
        let (gate, orders, seen, sender) = (gate.clone(), orders.subscribe(), seen.clone(), sender.clone());
        tokio::spawn(async move {
            let permit = gate.acquire_owned().await;
            let connected = connect(server).await;
            drop(permit);
            match connected {
                Ok(socket) => {
                    let _ = sender.send(Ok(())).await;
                    drop(sender);
                    live(socket, no, sockets, orders, &seen).await;
                }
                Err(err) => {
                    let _ = sender.send(Err(err)).await;
                }
            }
        });
    }
    drop(sender);
    for _ in 0..sockets {
        arrivals.recv().await.ok_or_else(|| BenchError::server("the floor's server", "sockets are gone"))??;
    }
    Ok(())
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A socket to a floor's server.
///
/// # Errors
/// When it does not let it in.
pub async fn connect(server: SocketAddr) -> Result<Socket, BenchError> {
    let failed = |err: &dyn std::fmt::Display| BenchError::server(server, err);
    let stream = TcpStream::connect(server).await.map_err(|err| failed(&err))?;
    stream.set_nodelay(true).map_err(|err| failed(&err))?;
    let stream = MaybeTlsStream::Plain(stream);
    let opened = client_async_with_config(format!("ws://{server}/"), stream, Some(buffers())).await;
    Ok(opened.map_err(|err| failed(&err))?.0)
}

/// One socket: texts leave when they are due, whatever has come back.
async fn live(
    mut socket: Socket,
    no: u32,
    sockets: u32,
    mut orders: broadcast::Receiver<Schedule>,
    seen: &Mutex<Seen>,
) {
    let far = || Instant::now() + Duration::from_secs(86_400);
    let (mut due, mut left, mut every) = (far(), 0_u64, Duration::ZERO);
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Ok(order) = order else { continue };
                every = Duration::from_secs_f64(f64::from(sockets) / order.rate);
                due = order.begin + Duration::from_secs_f64(f64::from(no) / order.rate);
                let mine = order.rate * order.seconds - f64::from(no);
                left = (mine / f64::from(sockets)).ceil().max(0.0) as u64;
            }
            () = sleep_until(due), if left > 0 => {
                let late_us = i64::try_from(due.elapsed().as_micros()).unwrap_or(0);
                let now = wall_us();
                let text = format!("e {} {now} ", now - late_us);
                let sent = socket.send(Message::text(format!("{text:<ANSWER_BYTES$}"))).await;
                if sent.is_err() { return }
                left -= 1;
                due += every;
            }
            text = socket.next() => match text {
                Some(Ok(Message::Text(text))) => take(&text, seen),
                Some(Ok(_)) => {}
                _ => return,
            },
        }
    }
}

fn take(text: &str, seen: &Mutex<Seen>) {
    let now = wall_us();
    let mut words = text.split_whitespace();
    let kind = words.next();
    let mut stamp = || words.next().and_then(|word| word.parse::<i64>().ok()).unwrap_or(now);
    let mut seen = seen.lock().expect("nobody panics while it holds the lock");
    let since = |stamp: i64| u64::try_from(now - stamp).unwrap_or(0);
    match kind {
        Some("e") => {
            let (intended, sent) = (stamp(), stamp());
            seen.intended.record_us(since(intended));
            seen.sent.record_us(since(sent));
        }
        _ => seen.deliveries.push(since(stamp()) as f64 / 1000.0),
    }
}
