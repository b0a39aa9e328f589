//! A client's socket to an edge, speaking `quiz.v1.json`.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use quiz_ingest::protocol::{ClientMessage, FRAME_BYTES_MAX, SUBPROTOCOL, ServerMessage};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The largest message that an edge sends, bytes.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// A socket to an edge.
pub struct Socket(WebSocketStream<TcpStream>);

/// What comes from an edge.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message(Box<ServerMessage>),
    /// The edge closed the socket, or it broke; the close code if one was sent.
    Closed(Option<u16>),
}

impl Socket {
    /// Opens a socket to the edge at `edge`.
    ///
    /// # Errors
    /// When the edge does not answer or refuses the upgrade.
    pub async fn open(edge: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(edge).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{edge}/v1/ws").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(4 * FRAME_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(Self(socket))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), Error> {
        self.0.send(Message::text(message.to_json())).await
    }

    /// The next message. Safe to cancel.
    pub async fn next(&mut self) -> Incoming {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(message) => return Incoming::Message(Box::new(message)),
                    Err(err) => tracing::warn!(%err, "the edge sent what is no message"),
                },
                Some(Ok(Message::Close(frame))) => return Incoming::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Incoming::Closed(None),
            }
        }
    }
}
