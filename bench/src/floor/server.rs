//! The floor of an edge: a server that sends back what it gets, and one text to everybody.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::error::BenchError;

/// What a text begins with that goes to everybody, without this.
pub const TO_ALL: char = '!';
/// Texts to everybody that a socket may be behind.
const TO_ALL_MAX: usize = 16;
/// How long nothing is accepted when the system gives no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The buffers that the product's edges have: with tungstenite's own of 128 KiB a socket, the floor
/// would lie far above.
pub fn buffers() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(4 * 1024).max_write_buffer_size(96 * 1024)
}

/// Serves until the process ends. Says where.
///
/// # Errors
/// When no port can be had.
pub async fn serve() -> Result<(), BenchError> {
    let failed = |err: std::io::Error| BenchError::server("the floor's server", err);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    println!("echo listens on {}", listener.local_addr().map_err(failed)?);
    let (to_all, _) = broadcast::channel(TO_ALL_MAX);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(socket(stream, to_all.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn socket(stream: TcpStream, to_all: broadcast::Sender<Utf8Bytes>) {
    // A socket that cannot have the option is slower, and no worse.
    let _ = stream.set_nodelay(true);
    let Ok(mut socket) = tokio_tungstenite::accept_async_with_config(stream, Some(buffers())).await else { return };
    let mut news = to_all.subscribe();
    loop {
        let sent = tokio::select! {
            text = socket.next() => match text {
                Some(Ok(Message::Text(text))) => match text.strip_prefix(TO_ALL) {
                    Some(rest) => {
                        let _ = to_all.send(rest.into());
                        Ok(())
                    }
                    None => socket.send(Message::Text(text)).await,
                },
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) | None => return,
            },
            text = news.recv() => match text {
                Ok(text) => socket.send(Message::Text(text)).await,
                Err(_) => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}
