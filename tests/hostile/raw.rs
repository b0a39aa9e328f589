//! A client that speaks WebSocket byte by byte, so that it can break every rule.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// The RFC's own example key.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const HEAD_BYTES_MAX: usize = 8 * 1024;
const HEAD_WAIT: Duration = Duration::from_secs(5);

/// An upgrade request with these lines besides what it must have.
pub fn request(edge: SocketAddr, lines: &[String]) -> String {
    let mut text = format!("GET /v1/ws HTTP/1.1\r\nhost: {edge}\r\n");
    text += "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
    text += &format!("sec-websocket-key: {KEY}\r\nsec-websocket-protocol: quiz.v1.json\r\n");
    for line in lines {
        text += &format!("{line}\r\n");
    }
    text + "\r\n"
}

/// The head of the response to a request, byte by byte so that no frame behind it is lost.
pub async fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.expect("the edge reads");
    let mut head = Vec::new();
    let read = timeout(HEAD_WAIT, async {
        while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
    });
    read.await.expect("the edge answers");
    String::from_utf8(head).expect("a head is ASCII")
}

/// The status of a response.
pub fn status(head: &str) -> u16 {
    head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// An upgraded connection and the head of the response.
pub async fn upgraded(edge: SocketAddr, lines: &[String]) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(edge).await.expect("the edge listens");
    stream.set_nodelay(true).expect("a TCP socket");
    let head = ask(&mut stream, request(edge, lines).as_bytes()).await;
    assert_eq!(status(&head), 101, "{head}");
    (stream, head)
}

/// The same from an address of this machine.
pub async fn upgraded_from(edge: SocketAddr, source: Ipv4Addr, lines: &[String]) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(source.into(), 0)).expect("the address is of this machine");
    let mut stream = socket.connect(edge).await.expect("the edge listens");
    let head = ask(&mut stream, request(edge, lines).as_bytes()).await;
    assert_eq!(status(&head), 101, "{head}");
    (stream, head)
}

/// The first bytes that come back for a text.
pub async fn text_answer(mut stream: TcpStream, text: &str) -> String {
    stream.write_all(&frame(0x81, Some([1, 2, 3, 4]), text.as_bytes())).await.expect("the edge reads");
    let mut bytes = vec![0; 1024];
    let read = timeout(HEAD_WAIT, stream.read(&mut bytes)).await.expect("the edge answers").expect("it is open");
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// A frame: the first byte as it is, a mask or none.
pub fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut out = header(first, mask, payload.len() as u64);
    match mask {
        Some(mask) => out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask)),
        None => out.extend(payload),
    }
    out
}

/// The header of a frame that says that so many bytes follow.
pub fn header(first: u8, mask: Option<[u8; 4]>, bytes: u64) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match (u8::try_from(bytes), u16::try_from(bytes)) {
        (Ok(bytes), _) if bytes < 126 => out.push(bit | bytes),
        (_, Ok(bytes)) => {
            out.push(bit | 126);
            out.extend(bytes.to_be_bytes());
        }
        _ => {
            out.push(bit | 127);
            out.extend(bytes.to_be_bytes());
        }
    }
    out.extend(mask.into_iter().flatten());
    out
}

/// How the edge ends a connection that is sent `bytes`: the close code, or none when it just breaks.
/// Reads while it writes: an edge that no longer reads must still be heard.
pub async fn ending(stream: TcpStream, bytes: Vec<u8>, wait: Duration) -> Result<Option<u16>, &'static str> {
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let code = timeout(wait, async {
        loop {
            let first = reader.read_u8().await.ok()?;
            let length = match reader.read_u8().await.ok()? {
                126 => u64::from(reader.read_u16().await.ok()?),
                127 => reader.read_u64().await.ok()?,
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).ok()?];
            reader.read_exact(&mut payload).await.ok()?;
            if first == 0x88 {
                return payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
    });
    let ended = code.await.map_err(|_| "it stays open");
    writing.abort();
    ended
}
