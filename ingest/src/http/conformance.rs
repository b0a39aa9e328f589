//! An echo on the endpoint of the game sockets, for suites that check how it speaks WebSocket: same
//! library, same buffers, same way of closing. Larger messages, as the suites ask for.

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;

use super::upgrade::buffered;
use crate::protocol::Close;
use crate::socket::unreadable;

/// The largest message that a suite sends, bytes.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What may wait to be written, bytes: an echo of the largest message, and its head.
const WRITE_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

pub(super) fn echo(upgrade: WebSocketUpgrade) -> Response {
    buffered(upgrade)
        .max_write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .on_upgrade(serve)
}

async fn serve(mut socket: WebSocket) {
    while let Some(frame) = socket.recv().await {
        match frame {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            // Pings and closes are answered by the library, when it is asked for the next frame.
            Ok(_) => {}
            Err(error) => {
                if let Some(close) = unreadable(error) {
                    say_goodbye(socket, close).await;
                }
                return;
            }
        }
    }
}

async fn say_goodbye(mut socket: WebSocket, close: Close) {
    let frame = CloseFrame { code: close.code(), reason: Utf8Bytes::from(close.text()) };
    let _ = socket.send(Message::Close(Some(frame))).await;
}
