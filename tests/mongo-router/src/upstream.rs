//! One connection to one mongod.

use std::time::Duration;

use bson::Document;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::{Result, RouterError};
use crate::wire::{self, Sender};

const CONNECT_MAX: Duration = Duration::from_secs(2);
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// An open connection to a server; one command at a time.
#[derive(Debug)]
pub struct Link {
    member: String,
    stream: BufReader<TcpStream>,
}

impl Link {
    /// Connects to `member` (`host:port`) within two seconds.
    pub async fn connect(member: &str) -> Result<Self> {
        let connecting = timeout(CONNECT_MAX, TcpStream::connect(member));
        let stream = connecting.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Self { member: member.to_owned(), stream: BufReader::with_capacity(READ_BUFFER_BYTES, stream) })
    }

    /// Whether the server has closed this idle connection, for instance because it was restarted.
    pub fn is_closed(&self) -> bool {
        let mut byte = [0_u8; 1];
        // Nothing is owed on an idle link: only "would block" means that it is open and in step.
        match self.stream.get_ref().try_read(&mut byte) {
            Ok(_) => true,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// Sends a message and reads the reply into `reply`; an error leaves the outcome unknown.
    pub async fn exchange(&mut self, message: &[u8], reply: &mut Vec<u8>) -> Result<()> {
        let exchanged = async {
            self.stream.get_mut().write_all(message).await?;
            wire::read_message(&mut self.stream, reply, Sender::Server).await
        };
        match exchanged.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(RouterError::Io(_)) => Err(RouterError::Lost { member: self.member.clone() }),
            Err(error) => Err(error),
        }
    }

    /// Sends a command and decodes the reply, whatever it says.
    pub async fn ask(&mut self, command: &Document) -> Result<Document> {
        let (mut message, mut reply) = (Vec::new(), Vec::new());
        wire::command_message(command, &mut message)?;
        self.exchange(&message, &mut reply).await?;
        Ok(bson::from_slice(wire::reply_body(&reply)?)?)
    }
}

/// Asks one member one command on a connection of its own, within `limit`.
pub async fn ask_once(member: &str, command: &Document, limit: Duration) -> Result<Document> {
    let asking = async { Link::connect(member).await?.ask(command).await };
    timeout(limit, asking).await.map_err(|_| RouterError::Lost { member: member.to_owned() })?
}
