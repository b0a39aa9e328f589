//! A client's socket to an edge, speaking `quiz.v1.json`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use quiz_ingest::protocol::{ClientMessage, Close, FRAME_BYTES_MAX, SUBPROTOCOL, ServerMessage};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The largest message that an edge sends, bytes.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// What each socket keeps for reading, bytes: most messages fit, and an idle client costs little more.
const READ_BUFFER_BYTES: usize = 2 * 1024;

/// A socket to an edge.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    traffic: Arc<Traffic>,
}

/// What goes through a program's sockets: messages of the protocol, and the bytes of their texts.
#[derive(Default, Debug)]
pub struct Traffic {
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// Traffic so far, without what frames, handshakes and pings take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Flow {
    /// Messages received.
    pub messages_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

impl Traffic {
    fn came(&self, bytes: usize) {
        self.messages_in.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn left(&self, bytes: usize) {
        self.messages_out.fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What has gone through so far.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Flow {
            messages_in: read(&self.messages_in),
            messages_out: read(&self.messages_out),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
        }
    }
}

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

impl Closing {
    /// The edge's word for why it closed, `other` for a code that no edge sends, or `broken`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        let Some(code) = self.code else { return "broken" };
        Close::ALL.into_iter().find(|close| close.code() == code).map_or("other", Close::reason)
    }
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
        Self::counted(edge, source, Arc::default()).await
    }

    /// The same; what goes through it counts in `traffic`.
    ///
    /// # Errors
    /// When the edge does not answer or refuses the upgrade.
    pub async fn counted(edge: SocketAddr, source: Option<IpAddr>, traffic: Arc<Traffic>) -> Result<Self, OpenError> {
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
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(4 * FRAME_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let (stream, _) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(Self { stream, traffic })
    }

    /// Sends a message. Safe to cancel: what is under way then leaves with the next one.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), OpenError> {
        let text = message.to_json();
        self.traffic.left(text.len());
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// What comes next. Safe to cancel.
    pub async fn next(&mut self) -> Incoming {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    self.traffic.came(text.len());
                    match read(&text) {
                        Ok(message) => return Incoming::Message(Box::new(message)),
                        Err(err) => tracing::warn!(%err, "the edge sent what is no message"),
                    }
                }
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

/// Reads a message. An edge writes its type first: then the fields are read at once, where serde
/// would first make a tree of them to look for the type in.
fn read(text: &str) -> Result<ServerMessage, serde_json::Error> {
    let kind = text.strip_prefix(r#"{"type":""#).and_then(|rest| rest.split_once('"')).map(|(kind, _)| kind);
    Ok(match kind {
        Some("ack") => ServerMessage::Ack(serde_json::from_str(text)?),
        Some("outcome") => ServerMessage::Outcome(serde_json::from_str(text)?),
        Some("question") => ServerMessage::Question(serde_json::from_str(text)?),
        Some("closed") => ServerMessage::Closed(serde_json::from_str(text)?),
        Some("board") => ServerMessage::Board(serde_json::from_str(text)?),
        Some("over") => ServerMessage::Over(serde_json::from_str(text)?),
        Some("lobby") => ServerMessage::Lobby(serde_json::from_str(text)?),
        Some("counted") => ServerMessage::Counted(serde_json::from_str(text)?),
        Some("taken") => ServerMessage::Taken(serde_json::from_str(text)?),
        _ => serde_json::from_str(text)?,
    })
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

    /// Goal: reading the fields at once reads what reading the whole message does. Method: a message
    /// of every kind that is read so, as an edge writes it and with its type at another place.
    #[test]
    fn a_message_is_read_as_it_was_meant() {
        let texts = [
            r#"{"type":"ack","submission":"0000000000009","question":3,"receipt":"r","elapsed_ms":7,"position":[2,99]}"#,
            r#"{"type":"outcome","question":3,"verdict":"correct","points":900,"total":1900,"rank":2,"gap":10,"streak":2,"players":40,"at":77}"#,
            r#"{"type":"question","question":3,"of":9,"kind":"single","prompt":"a \"type\"?","options":["x","y"],"points_max":1000,"limit_ms":5000,"left_ms":4000}"#,
            r#"{"type":"closed","question":3,"reason":"deadline","at":76}"#,
            r#"{"type":"board","question":3,"correct":{"picks":[1]},"distribution":[1,2],"answered":3,"correct_count":2,"players":4,"top":[{"rank":1,"nickname":"a","total":9,"points":9}],"last":false}"#,
            r#"{"type":"over","reason":"finished","players":4,"top":[{"rank":1,"nickname":"a","total":9,"points":9}],"at":78}"#,
            r#"{"type":"lobby","players":2,"connected":1,"joined":[{"player":"0000000000001","nickname":"a"}],"left":[]}"#,
            r#"{"type":"counted","question":3,"answered":2,"players":4}"#,
            r#"{"type":"taken","submission":"0000000000009","question":3,"elapsed_ms":7,"proof":"p"}"#,
            r#"{"type":"pong","heartbeat_ms":4000}"#,
            r#"{"type":"done","id":"c1"}"#,
        ];
        for text in texts {
            let whole: ServerMessage = serde_json::from_str(text).expect("a message");
            assert_eq!(read(text).expect("a message"), whole, "{text}");
            assert_eq!(whole.to_json(), text, "this is how an edge writes it");
            let (kind, fields) = text[1..text.len() - 1].split_once(',').unwrap_or((&text[1..text.len() - 1], ""));
            let turned = format!("{{{fields}{}{kind}}}", if fields.is_empty() { "" } else { "," });
            assert_eq!(read(&turned).expect("a message"), whole, "{turned}");
        }
        for bad in ["", "{}", r#"{"type":"ack"}"#, r#"{"type":"ack"#, r#"{"type":"pong""#, r#"{"type":"dance"}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_socket_ends_for_a_reason() {
        let reason = |code| Closing { code, spread: None }.reason();
        assert_eq!((reason(Some(3008)), reason(Some(3012))), ("too_slow", "no_pong"));
        assert_eq!((reason(Some(4999)), reason(None)), ("other", "broken"));
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
