//! When the results of a question were written to this edge's sockets: the last hop of an answer.
//!
//! Each durable result has one cell, which all sockets share that are told it. A socket touches it once, after the
//! write that contains the result: three atomic operations, no lock and no allocation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use quiz_schemas::QuestionNo;
use quiz_schemas::events::{DELIVERED_RESULTS_MAX, EdgeDelivered, ResultDelivered};

use crate::limits::{DELIVERED_QUESTIONS_MAX, RESULTS_WRITTEN_MAX};
use crate::telemetry;

/// To how many sockets a result was written, and when first and last.
#[derive(Debug)]
pub struct ResultWrites {
    question: QuestionNo,
    at: i64,
    sockets: AtomicI64,
    first_us: AtomicI64,
    last_us: AtomicI64,
}

impl ResultWrites {
    /// Of a result of this question, which stands at the offset `at`; written to no socket yet.
    #[must_use]
    pub fn new(question: QuestionNo, at: i64) -> Arc<Self> {
        Arc::new(Self {
            question,
            at,
            sockets: AtomicI64::new(0),
            first_us: AtomicI64::new(i64::MAX),
            last_us: AtomicI64::new(i64::MIN),
        })
    }

    /// The system has taken it for one more socket, at this time of the wall clock, µs since 1970.
    pub fn written(&self, at_us: i64) {
        self.first_us.fetch_min(at_us, Ordering::Relaxed);
        self.last_us.fetch_max(at_us, Ordering::Relaxed);
        // Comes last and releases: whoever sees the count sees the times of all that it counts.
        self.sockets.fetch_add(1, Ordering::Release);
    }

    fn delivered(&self) -> Option<ResultDelivered> {
        let sockets = self.sockets.load(Ordering::Acquire);
        (sockets > 0).then(|| ResultDelivered {
            at: self.at,
            sockets,
            first_us: self.first_us.load(Ordering::Relaxed),
            last_us: self.last_us.load(Ordering::Relaxed),
        })
    }
}

/// The results that a socket has written and not flushed.
#[derive(Debug, Default)]
pub struct Unflushed {
    results: [Option<Arc<ResultWrites>>; RESULTS_WRITTEN_MAX],
    held: usize,
}

impl Unflushed {
    /// Takes note of a result; one too many is not counted, see [`Unflushed::is_full`].
    pub fn note(&mut self, result: Option<&Arc<ResultWrites>>) {
        if let Some(result) = result
            && let Some(place) = self.results.get_mut(self.held)
        {
            *place = Some(Arc::clone(result));
            self.held += 1;
        }
    }

    /// Whether it is time to flush.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held == self.results.len()
    }

    /// The socket was flushed; asks for the time only when there is something to count.
    pub fn flushed(self, wall_us: impl FnOnce() -> i64) {
        if self.held > 0 {
            let at_us = wall_us();
            self.results.iter().flatten().for_each(|result| result.written(at_us));
        }
    }
}

#[derive(Debug, Default)]
struct Question {
    results: Vec<Arc<ResultWrites>>,
    /// Of the last telling.
    version: i32,
    /// The writes of all results as they were told last; they only become more.
    told: i64,
}

/// The results of a game that this edge tells its sockets, of the newest questions.
#[derive(Debug, Default)]
pub struct Deliveries(BTreeMap<QuestionNo, Question>);

impl Deliveries {
    /// Has the writes of this result told from now on. What comes of an older question, or is one result too
    /// many, is not.
    pub fn watch(&mut self, result: Arc<ResultWrites>) {
        let full = self.0.len() >= DELIVERED_QUESTIONS_MAX;
        if full && !self.0.contains_key(&result.question) {
            match self.0.first_key_value() {
                Some((&oldest, _)) if oldest < result.question => self.0.remove(&oldest),
                _ => return telemetry::result_unmeasured(),
            };
        }
        let question = self.0.entry(result.question).or_default();
        if question.results.len() >= DELIVERED_RESULTS_MAX {
            return telemetry::result_unmeasured();
        }
        question.results.push(result);
    }

    /// What is to be told: the questions whose results were written to more sockets than was told.
    #[must_use]
    pub fn news(&mut self) -> Vec<EdgeDelivered> {
        self.0.iter_mut().filter_map(|(&question, of)| of.news(question)).collect()
    }

    /// A telling did not get into the log: it is to be made again.
    pub fn untold(&mut self, question: QuestionNo) {
        if let Some(question) = self.0.get_mut(&question) {
            question.told = 0;
        }
    }
}

impl Question {
    fn news(&mut self, question: QuestionNo) -> Option<EdgeDelivered> {
        let mut results: Vec<ResultDelivered> = self.results.iter().filter_map(|result| result.delivered()).collect();
        let written = results.iter().map(|result| result.sockets).sum();
        if written == self.told {
            return None;
        }
        results.sort_unstable_by_key(|result| result.at);
        self.told = written;
        self.version = self.version.saturating_add(1);
        Some(EdgeDelivered { question, version: self.version, results })
    }
}

#[cfg(test)]
mod tests;
