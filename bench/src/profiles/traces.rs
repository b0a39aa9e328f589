//! The load client's own log (docs/LOADLOG.md), as far as two profiles need it: when each answer was
//! acknowledged, and when the board of its question came.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::error::BenchError;
use crate::latency::{Latency, Quantiles};

/// What is read of a log.
#[derive(Default)]
pub struct Traces {
    /// When an answer was acknowledged, wall clock µs, and how long after its time, µs.
    acks: Vec<(i64, u64)>,
    /// Of each question of each game: the last acknowledgement, and the first board, wall clock µs.
    rounds: BTreeMap<(String, u64), (Option<i64>, Option<i64>)>,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Acked {
        ts_us: i64,
        game: String,
        question: u64,
        ack_us: u64,
    },
    Applied {
        ts_us: i64,
        game: String,
        kind: String,
        question: Option<u64>,
    },
    #[serde(other)]
    Other,
}

impl Traces {
    /// Reads all logs of a folder. A last line that is cut is no line.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(dir: &Path) -> Result<Self, BenchError> {
        let failed = |err| BenchError::file(dir, err);
        let mut traces = Self::default();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "jsonl") {
                let file = std::fs::File::open(&path).map_err(|err| BenchError::file(&path, err))?;
                for line in BufReader::new(file).lines() {
                    traces.take(&line.map_err(|err| BenchError::file(&path, err))?);
                }
            }
        }
        Ok(traces)
    }

    fn take(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Event::Acked { ts_us, game, question, ack_us }) => {
                self.acks.push((ts_us, ack_us));
                let round = self.rounds.entry((game, question)).or_default();
                round.0 = round.0.max(Some(ts_us));
            }
            Ok(Event::Applied { ts_us, game, kind, question: Some(question) }) if kind == "board" => {
                let round = self.rounds.entry((game, question)).or_default();
                round.1 = Some(round.1.map_or(ts_us, |first| first.min(ts_us)));
            }
            _ => {}
        }
    }

    /// The answers acknowledged between two moments, wall clock µs.
    pub fn acks(&self, from_us: i64, to_us: i64) -> Quantiles {
        let mut latency = Latency::default();
        self.acks.iter().filter(|(at, _)| (from_us..to_us).contains(at)).for_each(|(_, us)| latency.record_us(*us));
        latency.quantiles()
    }

    /// How long each question whose board came between two moments waited for it behind its last
    /// acknowledgement: when that came, s since `from_us`, and how long, s.
    pub fn waits(&self, from_us: i64, to_us: i64) -> Vec<(f64, f64)> {
        let wait = |&(acked, board): &(Option<i64>, Option<i64>)| {
            let (acked, board) = (acked?, board?);
            let seconds = |us: i64| us as f64 / 1e6;
            (from_us..to_us).contains(&board).then(|| (seconds(acked - from_us), seconds((board - acked).max(0))))
        };
        let mut waits: Vec<_> = self.rounds.values().filter_map(wait).collect();
        waits.sort_by(|a, b| a.0.total_cmp(&b.0));
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(lines: &[&str]) -> Traces {
        let mut traces = Traces::default();
        lines.iter().for_each(|line| traces.take(line));
        traces
    }

    #[test]
    fn a_question_waits_from_its_last_ack_to_its_first_board() {
        let traces = traces(&[
            r#"{"event":"acked","ts_us":1000000,"game":"G","player":"P","question":0,"submission":"S","try":1,"ack_us":900}"#,
            r#"{"event":"acked","ts_us":1500000,"game":"G","player":"Q","question":0,"submission":"T","try":1,"ack_us":1900}"#,
            r#"{"event":"applied","ts_us":1800000,"game":"G","player":null,"kind":"board","question":0,"at":1}"#,
            r#"{"event":"applied","ts_us":1900000,"game":"G","player":"P","kind":"board","question":0,"at":1}"#,
            r#"{"event":"applied","ts_us":1950000,"game":"G","player":"P","kind":"over","question":null,"at":1}"#,
            r#"{"event":"sent","ts_us":1,"game":"G"}"#,
            r#"{"event":"acked","ts_us":15000"#,
        ]);
        let waits = traces.waits(1_000_000, 2_000_000);
        assert_eq!(waits.len(), 1);
        assert!((waits[0].0 - 0.5).abs() < 1e-9 && (waits[0].1 - 0.3).abs() < 1e-9, "{waits:?}");
        assert_eq!(traces.acks(0, i64::MAX).count, 2);
        assert_eq!(traces.acks(1_200_000, i64::MAX).count, 1);
        assert!(traces.waits(0, 1_000_000).is_empty());
    }
}
