//! The demo's host: creates the game, opens question after question, waits for each board.

use std::net::SocketAddr;
use std::time::Duration;

use quiz_ingest::protocol::{Board, ClientMessage, Command, ErrorCode, HostAction, Over, ServerMessage};
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{GameId, Pin, QuestionNo};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::socket::{Incoming, Socket};
use crate::exit::{Exit, Failure};

/// How long the host waits for the edge to answer a command.
const REPLY_WAIT: Duration = Duration::from_secs(10);
/// How long the host goes on without an edge.
const EDGE_WAIT: Duration = Duration::from_secs(20);
/// How long a board may take beyond the question's own time.
const BOARD_WAIT: Duration = Duration::from_secs(30);

/// A game as its creator got it.
#[derive(Deserialize, Clone, Debug)]
pub struct Created {
    /// The game.
    pub game: GameId,
    /// What players type.
    pub pin: Pin,
    /// Proves that we host it.
    pub host_token: String,
}

/// Creates a game.
///
/// # Errors
/// When the edge refuses it or does not answer.
pub async fn create(edge: SocketAddr, quiz: &Quiz, capacity: u32) -> Result<Created, Failure> {
    let body = serde_json::json!({ "quiz": quiz, "settings": { "capacity": capacity } });
    let unavailable = |err: reqwest::Error| {
        Failure::new(Exit::Unavailable, format!("the edge does not answer: {err}"))
            .hint("its log says why; is its port free?")
    };
    let client = reqwest::Client::builder().timeout(REPLY_WAIT).build().map_err(unavailable)?;
    let deadline = Instant::now() + EDGE_WAIT;
    let (status, text) = loop {
        let response = client.post(format!("http://{edge}/v1/games")).json(&body).send().await.map_err(unavailable)?;
        let status = response.status();
        let text = response.text().await.map_err(unavailable)?;
        if status != reqwest::StatusCode::SERVICE_UNAVAILABLE || Instant::now() >= deadline {
            break (status, text);
        }
        // The edge says that it could not log the game: it may in a moment.
        sleep(Duration::from_millis(500)).await;
    };
    if !status.is_success() {
        return Err(Failure::new(Exit::Failed, format!("the edge refused the game: {status} {text}")));
    }
    serde_json::from_str(&text).map_err(|err| Failure::new(Exit::Failed, format!("the edge answered {text:?}: {err}")))
}

/// A host's socket, opened again when its edge goes.
pub struct Host {
    edges: Vec<SocketAddr>,
    edge: usize,
    token: String,
    socket: Option<Socket>,
    commands: u32,
}

impl Host {
    /// A host of the game that `token` names.
    pub fn new(edges: Vec<SocketAddr>, token: String) -> Self {
        Self { edges, edge: 0, token, socket: None, commands: 0 }
    }

    /// Opens question `no` and waits for its board. Asking twice is safe: a number that is not
    /// next is refused.
    ///
    /// # Errors
    /// When no edge answers, or the board does not come in time.
    pub async fn ask(&mut self, no: QuestionNo, limit: Duration) -> Result<Board, Failure> {
        let deadline = Instant::now() + limit + BOARD_WAIT;
        self.command(HostAction::Open { question: Some(no) }, deadline).await?;
        loop {
            match self.next(deadline).await? {
                Some(ServerMessage::Board(board)) if board.question == no => return Ok(board),
                Some(ServerMessage::Over(_)) => {
                    return Err(Failure::new(
                        Exit::Failed,
                        format!("the game ended before the board of question {}", no + 1),
                    ));
                }
                _ => {}
            }
        }
    }

    /// Ends the game and waits for the podium.
    ///
    /// # Errors
    /// When no edge answers in time.
    pub async fn end(&mut self) -> Result<Over, Failure> {
        let deadline = Instant::now() + BOARD_WAIT;
        self.command(HostAction::End, deadline).await?;
        loop {
            if let Some(ServerMessage::Over(over)) = self.next(deadline).await? {
                return Ok(over);
            }
        }
    }

    async fn command(&mut self, action: HostAction, deadline: Instant) -> Result<(), Failure> {
        self.commands += 1;
        let id = smol_str::format_smolstr!("c{}", self.commands);
        let message = ClientMessage::Command(Command { id: id.clone(), action });
        loop {
            self.connected(deadline).await?;
            let sent = match &mut self.socket {
                Some(socket) => socket.send(&message).await.is_ok(),
                None => false,
            };
            if !sent {
                self.socket = None;
                continue;
            }
            let reply_by = (Instant::now() + REPLY_WAIT).min(deadline);
            loop {
                match self.next(reply_by).await {
                    Ok(Some(ServerMessage::Done { id: done })) if done == id => return Ok(()),
                    Ok(Some(ServerMessage::Error(error))) if error.id.as_ref() == Some(&id) => {
                        if error.code != ErrorCode::Unavailable {
                            return Err(Failure::new(
                                Exit::Failed,
                                format!("the edge refused a command: {}", error.message),
                            ));
                        }
                        sleep(Duration::from_millis(u64::from(error.retry_after_ms.unwrap_or(200)))).await;
                        break;
                    }
                    Ok(Some(_)) => {}
                    // The edge went, or does not answer: ask again, there or elsewhere.
                    Ok(None) | Err(_) => break,
                }
            }
            if Instant::now() >= deadline {
                return Err(Failure::new(Exit::Unavailable, "no edge answers the host"));
            }
        }
    }

    /// The next message; None when the socket was lost and opened again.
    async fn next(&mut self, deadline: Instant) -> Result<Option<ServerMessage>, Failure> {
        self.connected(deadline).await?;
        let Some(socket) = &mut self.socket else { return Ok(None) };
        match timeout_at(deadline, socket.next()).await {
            Ok(Incoming::Message(message)) => Ok(Some(*message)),
            Ok(Incoming::Closed(_)) => {
                self.socket = None;
                self.edge = (self.edge + 1) % self.edges.len();
                Ok(None)
            }
            Err(_) => Err(Failure::new(Exit::Failed, "what the host waits for did not come in time")
                .hint("RUST_LOG=info shows what each role does")),
        }
    }

    async fn connected(&mut self, deadline: Instant) -> Result<(), Failure> {
        let give_up = (Instant::now() + EDGE_WAIT).min(deadline);
        while self.socket.is_none() {
            let edge = self.edges[self.edge];
            if let Ok(mut socket) = Socket::open(edge).await
                && socket.send(&ClientMessage::Host { token: self.token.clone() }).await.is_ok()
                && greeted(&mut socket, give_up).await
            {
                self.socket = Some(socket);
                return Ok(());
            }
            if Instant::now() >= give_up {
                return Err(Failure::new(Exit::Unavailable, format!("no edge answers at {edge}")));
            }
            self.edge = (self.edge + 1) % self.edges.len();
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

/// Whether the edge takes us for the host before `give_up`.
async fn greeted(socket: &mut Socket, give_up: Instant) -> bool {
    let greeting = async {
        loop {
            match socket.next().await {
                Incoming::Message(message) => match *message {
                    ServerMessage::Hosting(_) => return true,
                    ServerMessage::Error(_) => return false,
                    _ => {}
                },
                Incoming::Closed(_) => return false,
            }
        }
    };
    timeout_at(give_up, greeting).await.unwrap_or(false)
}
