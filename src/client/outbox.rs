//! The answers of one player that have no receipt yet: kept until the edge has spoken the last word
//! on them, over any number of sockets and edges.

use std::collections::VecDeque;
use std::time::Duration;

use quiz_ingest::protocol::{Ack, Answer, ErrorCode, ErrorMessage};
use quiz_schemas::{QuestionNo, SubmissionId};
use tokio::time::Instant;

/// Answers without a receipt that one player keeps; an older one is given up as unknown. It is what
/// an edge takes of one socket at once.
pub const UNACKED_MAX: usize = 8;
/// An answer without any reply is sent again after this.
pub const REPLY_WAIT: Duration = Duration::from_secs(4);
/// When an answer is sent again if the edge does not say.
const RETRY: Duration = Duration::from_millis(500);

/// An answer that is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    /// The answer, with the edge's proof of when it was taken once there is one.
    pub answer: Answer,
    /// When it should have left first.
    pub intended: Instant,
    /// When it left last.
    pub sent: Option<Instant>,
    /// How often it has left.
    pub tries: u32,
    due: Instant,
    /// Whether it left on the present socket and nothing has been said of it.
    waiting: bool,
}

/// What an error about an answer leads to.
#[derive(Debug, PartialEq)]
pub enum Failed {
    /// It is sent again later.
    Again,
    /// The edge will never take it.
    Refused(Box<Kept>),
    /// It is about no answer that is kept.
    Unknown,
}

/// One player's answers that are under way, oldest first.
pub struct Outbox {
    kept: VecDeque<Kept>,
    resends: bool,
}

impl Outbox {
    /// Empty. One that does not resend gives an answer up when its socket goes or when the edge
    /// asks for it again: for controls, which show that resending is what saves answers.
    #[must_use]
    pub fn new(resends: bool) -> Self {
        Self { kept: VecDeque::with_capacity(1), resends }
    }

    /// Whether every answer has had its last word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// What is kept, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter()
    }

    /// Keeps an answer that is to leave at `intended`. Returns one that is given up for it.
    pub fn put(&mut self, answer: Answer, intended: Instant) -> Option<Kept> {
        let kept = Kept { answer, intended, sent: None, tries: 0, due: intended, waiting: false };
        let given_up = if self.kept.len() == UNACKED_MAX { self.kept.pop_front() } else { None };
        self.kept.push_back(kept);
        given_up
    }

    /// When something is to be sent next.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.kept.iter().map(|kept| kept.due).min()
    }

    /// The answer that is to be sent now, as sent.
    pub fn send(&mut self, now: Instant) -> Option<&Kept> {
        let kept = self.kept.iter_mut().filter(|kept| kept.due <= now).min_by_key(|kept| kept.due)?;
        kept.tries += 1;
        kept.sent = Some(now);
        kept.due = now + REPLY_WAIT;
        kept.waiting = true;
        Some(kept)
    }

    /// An edge has let us in: what left before and has no receipt is to be sent at once.
    pub fn online(&mut self, now: Instant) {
        for kept in self.kept.iter_mut().filter(|kept| kept.tries > 0) {
            kept.due = now;
        }
    }

    /// The socket went: what became of the answers on it is not known. Returns them.
    pub fn offline(&mut self) -> Vec<Kept> {
        let unknown = self.kept.iter().filter(|kept| kept.waiting).cloned().collect();
        if !self.resends {
            self.kept.retain(|kept| !kept.waiting);
        }
        for kept in &mut self.kept {
            kept.waiting = false;
        }
        unknown
    }

    /// The question takes no more answers: what has not left by now stays here. What has left may be
    /// in the log, and is asked after until an edge says so.
    pub fn closed(&mut self, question: QuestionNo) {
        self.kept.retain(|kept| kept.tries > 0 || kept.answer.question > question);
    }

    /// The edge took the answer and is not done yet. The answer is not sent again on this socket
    /// before the usual wait; on another it carries the proof.
    pub fn taken(&mut self, submission: SubmissionId, proof: &str) {
        if let Some(kept) = self.find(submission) {
            kept.answer.proof = Some(proof.into());
        }
    }

    /// The answer is in the log.
    pub fn acked(&mut self, ack: &Ack) -> Option<Kept> {
        self.remove(ack.submission)
    }

    /// An error that may be about an answer. `jitter` is 0 to 1.
    pub fn failed(&mut self, error: &ErrorMessage, now: Instant, jitter: f64) -> Failed {
        let Some(submission) = error.submission else { return Failed::Unknown };
        let resends = self.resends;
        let Some(kept) = self.find(submission) else { return Failed::Unknown };
        if let Some(proof) = &error.proof {
            kept.answer.proof = Some(proof.clone());
        }
        kept.waiting = false;
        if !resends || !comes_again(error.code) {
            return self.remove(submission).map_or(Failed::Unknown, |kept| Failed::Refused(Box::new(kept)));
        }
        let wait = error.retry_after_ms.map_or(RETRY, |ms| Duration::from_millis(u64::from(ms)));
        kept.due = now + wait.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0);
        Failed::Again
    }

    fn find(&mut self, submission: SubmissionId) -> Option<&mut Kept> {
        self.kept.iter_mut().find(|kept| kept.answer.submission == submission)
    }

    fn remove(&mut self, submission: SubmissionId) -> Option<Kept> {
        let at = self.kept.iter().position(|kept| kept.answer.submission == submission)?;
        self.kept.remove(at)
    }
}

/// Whether an answer that got this error may be taken when it is sent again.
fn comes_again(code: ErrorCode) -> bool {
    // An edge that has just taken us may not have seen the seat or the question yet.
    matches!(code, ErrorCode::Unavailable | ErrorCode::RateLimited | ErrorCode::NotJoined | ErrorCode::QuestionUnknown)
}

#[cfg(test)]
mod tests;
