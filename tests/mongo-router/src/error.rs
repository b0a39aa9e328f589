//! What can go wrong between a client, this router and the servers behind it.

use std::io;

use bson::{Document, doc};

/// A failure while a message is read, routed or answered.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// The socket failed or was closed inside a message.
    #[error("connection failed")]
    Io(#[from] io::Error),
    /// A message breaks the wire protocol or its size bound, so its stream cannot be read on.
    #[error("malformed message: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A document could not be decoded.
    #[error("document cannot be decoded")]
    Decode(#[from] bson::de::Error),
    /// A document could not be encoded.
    #[error("document cannot be encoded")]
    Encode(#[from] bson::ser::Error),
    /// No member of the replica set answered as a primary in time.
    #[error("no primary found for {set}")]
    NoPrimary {
        /// The replica set, or the sets, that were asked.
        set: String,
    },
    /// The connection to a member ended after a command was sent: the outcome is not known.
    #[error("connection to {member} lost while a command was in flight")]
    Lost {
        /// Address of the member.
        member: String,
    },
    /// This router has no faithful way to run the command.
    #[error("{text}")]
    Refused {
        /// MongoDB's error code.
        code: i32,
        /// MongoDB's name of that code.
        name: &'static str,
        /// Why, and what to do instead.
        text: String,
    },
    /// A server behind the router answered with an error, which goes to the client as it is.
    #[error("server answered an error: {0}")]
    Server(Document),
    /// A command-line argument cannot be used.
    #[error("{0}")]
    Argument(String),
}

impl RouterError {
    /// The command has no form that gives a right answer here.
    pub fn not_routed(command: &str) -> Self {
        Self::Refused {
            code: 59,
            name: "CommandNotFound",
            text: format!("this test router does not route {command}: one shard's answer would be wrong"),
        }
    }

    /// The command's arguments cannot be used.
    pub fn bad_value(text: impl Into<String>) -> Self {
        Self::Refused { code: 2, name: "BadValue", text: text.into() }
    }

    /// The reply document a client gets, or `None` when the connection has to end instead.
    pub fn reply(&self) -> Option<Document> {
        let (code, name) = match self {
            Self::Io(_) | Self::Malformed { .. } => return None,
            Self::Server(reply) => return Some(reply.clone()),
            Self::Refused { code, name, .. } => (*code, *name),
            Self::Decode(_) | Self::Encode(_) | Self::Argument(_) => (9, "FailedToParse"),
            Self::NoPrimary { .. } => (133, "FailedToSatisfyReadPreference"),
            Self::Lost { .. } => (6, "HostUnreachable"),
        };
        Some(doc! {"ok": 0.0, "code": code, "codeName": name, "errmsg": self.to_string()})
    }
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, RouterError>;
