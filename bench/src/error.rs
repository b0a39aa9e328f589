//! What can go wrong with a measurement, as opposed to what it finds.

use std::path::Path;

use rdkafka::error::KafkaError;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The arguments, or the machine, do not allow it.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A process does not start, or says something else than it should.
    #[error("{name}: {reason}")]
    Process {
        /// Its role and number.
        name: String,
        /// What happened.
        reason: String,
    },
    /// Something did not come in time.
    #[error("{what} did not come within {wait_s} s")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        wait_s: u64,
    },
    /// A server does not answer, or not in our words.
    #[error("{what}: {reason}")]
    Server {
        /// Which.
        what: String,
        /// What happened.
        reason: String,
    },
    /// Somebody ended the bench.
    #[error("interrupted; what was under way is lost")]
    Interrupted,
    /// Kafka refuses.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
}

impl BenchError {
    /// About a process.
    pub fn process(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::Process { name: name.to_string(), reason: reason.to_string() }
    }

    /// About a server.
    pub fn server(what: impl std::fmt::Display, reason: impl std::fmt::Display) -> Self {
        Self::Server { what: what.to_string(), reason: reason.to_string() }
    }

    /// About a file.
    pub fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }
}
