//! A client on a real socket. Everything that it hears is held against `docs/asyncapi.yaml`.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use quiz_ingest::protocol::{
    Ack, Answer, ClientMessage, Command, Cursor, ErrorMessage, HostAction, Hosting, Joined, SUBPROTOCOL, ServerMessage,
    Taken,
};
use quiz_schemas::quiz::{Picks, Response};
use quiz_schemas::{Pin, QuestionNo, SubmissionId};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::PATIENCE;

pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What the edge said when it closed the socket.
    pub reason: String,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address, &[("sec-websocket-protocol", SUBPROTOCOL)]).await.expect("the edge upgrades")
    }

    /// Connects with these headers; the error holds the edge's response.
    pub async fn try_connect(
        address: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{address}/v1/ws").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Self { socket, reason: String::new() })
    }

    pub async fn send(&mut self, message: &ClientMessage) {
        self.send_raw(Message::text(message.to_json())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.expect("the socket takes it");
    }

    /// The next message, or how the socket was closed.
    pub async fn next(&mut self) -> Result<ServerMessage, u16> {
        timeout(PATIENCE, self.message()).await.expect("the edge says something in time")
    }

    async fn message(&mut self) -> Result<ServerMessage, u16> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    super::described::check(&text);
                    return Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")));
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    self.reason = frame.reason.to_string();
                    return Err(frame.code.into());
                }
                Some(Ok(Message::Close(None))) | None => return Err(1005),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("the socket broke: {error}"),
            }
        }
    }

    /// The next message that `want` takes; others are skipped.
    pub async fn until<T>(&mut self, mut want: impl FnMut(ServerMessage) -> Option<T>) -> T {
        loop {
            match self.next().await {
                Ok(message) => {
                    if let Some(found) = want(message) {
                        return found;
                    }
                }
                Err(code) => panic!("closed with {code}"),
            }
        }
    }

    /// The code the edge closes with; messages before it are skipped.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    pub async fn error(&mut self) -> ErrorMessage {
        self.until(|message| match message {
            ServerMessage::Error(error) => Some(error),
            _ => None,
        })
        .await
    }

    pub async fn ack(&mut self) -> Ack {
        self.until(|message| match message {
            ServerMessage::Ack(ack) => Some(ack),
            ServerMessage::Error(error) => panic!("{error:?}"),
            _ => None,
        })
        .await
    }

    pub async fn try_join(&mut self, pin: Pin, nickname: &str) -> Result<Joined, ErrorMessage> {
        self.send(&ClientMessage::Join { pin, nickname: nickname.into(), key: None }).await;
        self.entered().await
    }

    pub async fn join(&mut self, pin: Pin, nickname: &str) -> Joined {
        self.try_join(pin, nickname).await.expect("the player is let in")
    }

    pub async fn resume(&mut self, token: &str) -> Result<Joined, ErrorMessage> {
        self.resume_from(token, None).await
    }

    pub async fn resume_from(&mut self, token: &str, cursor: Option<Cursor>) -> Result<Joined, ErrorMessage> {
        self.send(&ClientMessage::Resume { token: token.into(), cursor }).await;
        self.entered().await
    }

    /// The next durable message.
    pub async fn durable(&mut self) -> ServerMessage {
        self.until(|message| match message {
            ServerMessage::Question(_)
            | ServerMessage::Closed(_)
            | ServerMessage::Board(_)
            | ServerMessage::Outcome(_)
            | ServerMessage::Over(_) => Some(message),
            _ => None,
        })
        .await
    }

    /// What became of an answer: an ack or an error; `taken` is skipped.
    pub async fn fate(&mut self) -> Result<Ack, ErrorMessage> {
        self.until(|message| match message {
            ServerMessage::Ack(ack) => Some(Ok(ack)),
            ServerMessage::Error(error) => Some(Err(error)),
            _ => None,
        })
        .await
    }

    pub async fn taken(&mut self) -> Taken {
        self.until(|message| match message {
            ServerMessage::Taken(taken) => Some(taken),
            _ => None,
        })
        .await
    }

    async fn entered(&mut self) -> Result<Joined, ErrorMessage> {
        self.until(|message| match message {
            ServerMessage::Joined(joined) => Some(Ok(joined)),
            ServerMessage::Error(error) => Some(Err(error)),
            _ => None,
        })
        .await
    }

    pub async fn host(&mut self, token: &str) -> Hosting {
        self.send(&ClientMessage::Host { token: token.into(), cursor: None }).await;
        self.until(|message| match message {
            ServerMessage::Hosting(hosting) => Some(hosting),
            ServerMessage::Error(error) => panic!("{error:?}"),
            _ => None,
        })
        .await
    }

    pub async fn command(&mut self, id: &str, action: HostAction) {
        self.send(&ClientMessage::Command(Command { id: id.into(), action })).await;
    }

    pub async fn pick(&mut self, question: QuestionNo, submission: u64, pick: u8) {
        self.pick_with(question, submission, pick, None).await;
    }

    pub async fn pick_with(&mut self, question: QuestionNo, submission: u64, pick: u8, proof: Option<&str>) {
        let response = Response::Picks(Picks::one(pick));
        self.send(&ClientMessage::Answer(Answer {
            question,
            submission: SubmissionId::from_bits(submission),
            response,
            proof: proof.map(Into::into),
        }))
        .await;
    }

    /// Waits for the question to be shown.
    pub async fn question(&mut self) -> quiz_ingest::protocol::QuestionMessage {
        self.until(|message| match message {
            ServerMessage::Question(question) => Some(question),
            _ => None,
        })
        .await
    }
}
