use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use quiz_schemas::{EncodeError, Position};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::time::Instant;
use tokio::sync::oneshot;

/// Why a record is not known to be in the log. Only [`AppendError::Timeout`],
/// [`AppendError::Unavailable`] and [`AppendError::Unlocated`] leave it open whether it is; sending it again is
/// right for readers that drop duplicates (I2, I5).
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The queue is full: backpressure. Nothing was queued.
    #[error("the producer's queue is full")]
    QueueFull,
    /// No acknowledgement in time.
    #[error("no acknowledgement in time")]
    Timeout,
    /// The cluster cannot take it now.
    #[error("the cluster does not take it: {0}")]
    Unavailable(RDKafkaErrorCode),
    /// The client took it for appended without having heard of it: see [`is_located`].
    #[error("the client takes it for appended, and does not know where")]
    Unlocated,
    /// The client broke for good and is being replaced; appends work again within about a second.
    #[error("the kafka client failed and is replaced: {0}")]
    Fatal(RDKafkaErrorCode),
    /// The cluster will never take it as it is: too large, no such topic, not allowed.
    #[error("the cluster refuses it: {0}")]
    Rejected(RDKafkaErrorCode),
    /// The record could not be encoded. Nothing was queued.
    #[error("the record cannot be encoded")]
    Encode(#[from] EncodeError),
}

impl AppendError {
    /// Whether the same record may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::QueueFull | Self::Timeout | Self::Unavailable(_) | Self::Unlocated | Self::Fatal(_) => true,
            Self::Rejected(_) => false,
            Self::Encode(err) => matches!(err, EncodeError::NoSchemaId(_)),
        }
    }

    /// A short stable word for metrics and logs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Timeout => "timeout",
            Self::Unavailable(_) => "unavailable",
            Self::Unlocated => "unlocated",
            Self::Fatal(_) => "fatal",
            Self::Rejected(_) => "rejected",
            Self::Encode(_) => "encode",
        }
    }

    pub(super) fn from_kafka(err: &KafkaError) -> Self {
        err.rdkafka_error_code().map_or(Self::Unavailable(RDKafkaErrorCode::Unknown), Self::from_code)
    }

    fn from_code(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::QueueFull => Self::QueueFull,
            Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut => Self::Timeout,
            Code::Fatal => Self::Fatal(code),
            // librdkafka says "unknown topic" only when the broker has said so for longer than
            // `topic.metadata.propagation.max.ms`.
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidTopic
            | Code::InvalidRecord
            | Code::InvalidArgument
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::PolicyViolation => Self::Rejected(code),
            _ => Self::Unavailable(code),
        }
    }
}

/// Whether a report of success says where the record stands, without which it proves nothing.
///
/// Of two batches in flight the first may be refused, by a broker that is not the leader yet, and the second be taken
/// by the same broker a moment later. librdkafka then concludes that the first was in the log after all, for an
/// idempotent append must have come in sequence, reports it as appended and sends it no more. But a broker takes any
/// sequence number as the first of a producer that it does not know (KAFKA-15591, mended in Kafka 4.5 for partitions
/// that were always empty), so the first batch is nowhere. It is also what librdkafka makes of "duplicate sequence
/// number", which a broker says of a batch whose place it has forgotten.
pub(crate) fn is_located(offset: i64) -> bool {
    offset >= 0
}

/// Where and when a record was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Where it stands.
    pub position: Position,
    /// The stamp that the broker gave it, µs since 1970; 0 when it gave none.
    pub appended_at_us: i64,
    /// When the acknowledgement came.
    pub acked_at: Instant,
}

pub(super) type Outcome = Result<Appended, AppendError>;

enum State {
    Refused(Option<AppendError>),
    Waiting(oneshot::Receiver<Outcome>),
}

/// A record on its way; resolves with its position when the broker has acknowledged it.
#[must_use = "a record is in the log only when its ack has resolved"]
pub struct Ack(State);

impl Ack {
    pub(super) fn refused(err: AppendError) -> Self {
        Self(State::Refused(Some(err)))
    }

    pub(super) fn waiting(outcome: oneshot::Receiver<Outcome>) -> Self {
        Self(State::Waiting(outcome))
    }

    /// Whether it failed without being queued.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.0, State::Refused(_))
    }

    /// The same ack, which also tells when the record was appended.
    ///
    /// # Errors
    /// As the ack itself.
    pub async fn appended(mut self) -> Result<Appended, AppendError> {
        std::future::poll_fn(|cx| self.poll_appended(cx)).await
    }

    fn poll_appended(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            State::Refused(err) => Poll::Ready(Err(err.take().expect("an ack is not polled after it resolved"))),
            State::Waiting(outcome) => Pin::new(outcome).poll(cx).map(|received| {
                // The sender is dropped unused only when the client goes away with its queue.
                received.unwrap_or(Err(AppendError::Unavailable(RDKafkaErrorCode::PurgeQueue)))
            }),
        }
    }
}

impl Future for Ack {
    type Output = Result<Position, AppendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_appended(cx).map_ok(|appended| appended.position)
    }
}
