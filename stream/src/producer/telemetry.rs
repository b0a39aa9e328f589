//! What a producer counts.

/// An append failed: `reason` is [`super::AppendError::reason`].
pub(super) fn append_failed(reason: &'static str) {
    metrics::counter!("quiz_append_failures_total", "reason" => reason).increment(1);
}

/// A client failed for good, or had lost sight of a leader, and was replaced.
pub(super) fn client_replaced() {
    metrics::counter!("quiz_producer_clients_replaced_total").increment(1);
}
