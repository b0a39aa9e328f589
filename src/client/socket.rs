//! A client's socket to an edge, speaking `quiz.v1.json`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use quiz_ingest::protocol::{ClientMessage, FRAME_BYTES_MAX, SUBPROTOCOL, ServerMessage};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, header};
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
    /// A sign of life that says nothing.
    Alive,
    /// The edge closed the socket, or it broke.
    Closed(Closing),
}

/// How a socket ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Closing {
    /// The close code, if one was sent.
    pub code: Option<u16>,
    /// The wait that the close reason names: the bound of the first.
    pub spread: Option<Duration>,
}

/// Why no socket came to be.
#[derive(Debug, thiserror::Error)]
#[error("no socket: {error}")]
pub struct OpenError {
    /// What went wrong.
    #[source]
    pub error: Box<Error>,
    /// When to try again, if the edge says.
    pub retry_after: Option<Duration>,
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        let retry_after = match &error {
            Error::Http(response) => retry_after(response.headers()),
            _ => None,
        };
        Self { error: Box::new(error), retry_after }
    }
}

impl From<std::io::Error> for OpenError {
    fn from(error: std::io::Error) -> Self {
        Error::from(error).into()
    }
}

/// The wait that a response asks for; only the form in seconds is read, which is what edges send.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The wait that a close reason names: the number in it, as in `going_away 1000ms`.
fn spread_of(reason: &str) -> Option<Duration> {
    let digits = reason.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?;
    digits.parse().ok().map(Duration::from_millis)
}

impl Socket {
    /// Opens a socket to the edge at `edge`, from the address `source` when one is given.
    ///
    /// # Errors
    /// When the edge does not answer or refuses the upgrade.
    pub async fn open(edge: SocketAddr, source: Option<IpAddr>) -> Result<Self, OpenError> {
        let stream = match source {
            None => TcpStream::connect(edge).await?,
            Some(source) => {
                let socket = if edge.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                socket.bind(SocketAddr::new(source, 0))?;
                socket.connect(edge).await?
            }
        };
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

    /// Sends a message. Safe to cancel: what is under way then leaves with the next one.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), OpenError> {
        Ok(self.0.send(Message::text(message.to_json())).await?)
    }

    /// What comes next. Safe to cancel.
    pub async fn next(&mut self) -> Incoming {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(message) => return Incoming::Message(Box::new(message)),
                    Err(err) => tracing::warn!(%err, "the edge sent what is no message"),
                },
                Some(Ok(Message::Close(frame))) => {
                    return Incoming::Closed(frame.map_or_else(Closing::default, |frame| Closing {
                        code: Some(frame.code.into()),
                        spread: spread_of(&frame.reason),
                    }));
                }
                Some(Ok(_)) => return Incoming::Alive,
                Some(Err(_)) | None => return Incoming::Closed(Closing::default()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_reason_may_name_a_wait() {
        let ms = |reason| spread_of(reason).map(|wait| wait.as_millis());
        assert_eq!(ms("going_away 1500ms"), Some(1500));
        assert_eq!(ms("going_away; retry in 20 ms"), Some(20));
        assert_eq!(ms("going_away retry_after_ms=300"), Some(300));
        for none in ["going_away", "", "ms", "in some ms", "99999999999999999999999 ms"] {
            assert_eq!(ms(none), None, "{none}");
        }
    }

    #[test]
    fn a_response_may_ask_for_a_wait() {
        let headers =
            |value: &'static str| HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(value))]);
        assert_eq!(retry_after(&headers("2")), Some(Duration::from_secs(2)));
        assert_eq!(retry_after(&headers("Tue, 24 Nov 2026 12:00:00 GMT")), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
