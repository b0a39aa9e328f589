//! What the demo prints: a line per question, the board, the ledger, and one JSON object.

use std::time::Duration;

use comfy_table::{Table, presets};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use quiz_ingest::protocol::Over;
use quiz_schemas::QuestionNo;
use serde::Serialize;

use super::ledger::Ledger;
use super::tally::QuestionTally;

/// Two percentiles of a latency.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Latency {
    /// The median, ms.
    pub p50: f64,
    /// The 99th percentile, ms.
    pub p99: f64,
}

impl Latency {
    /// Of a histogram in µs.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self { p50: ms(0.50), p99: ms(0.99) }
    }
}

/// A row of the final board.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Row {
    /// From 1, shared by ties.
    pub rank: i32,
    /// The nickname.
    pub nick: String,
    /// Points over the game.
    pub points: i64,
}

/// The last line of stdout with `--json`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Summary {
    /// Bots that played.
    pub players: u32,
    /// Questions asked.
    pub questions: usize,
    /// Answers sent, resends not counted again.
    pub sent: u64,
    /// Answers acknowledged.
    pub acked: u64,
    /// First answers judged.
    pub scored: u64,
    /// Answers in the store.
    pub stored: u64,
    /// Acknowledged and not counted.
    pub lost: u64,
    /// Effects beyond the first.
    pub duplicates: u64,
    /// First answers that came too late.
    pub late: u64,
    /// How often a bot had to come back.
    pub reconnects: u64,
    /// Send → ack.
    pub ack_ms: Latency,
    /// Close → board.
    pub board_ms: Latency,
    /// Whether replaying the records through the rules gives the published board again.
    pub replay_matches: bool,
    /// The seed of the bots' choices.
    pub seed: u64,
    /// A fingerprint of the questions asked and the choices made: the same for the same seed.
    pub choices: String,
    /// The first rows of the final board.
    pub board: Vec<Row>,
}

/// The rows of a final board.
pub fn rows(over: &Over) -> Vec<Row> {
    over.top.iter().map(|line| Row { rank: line.rank, nick: line.nickname.clone(), points: line.total }).collect()
}

/// Talks to the person who watches: on stderr, so that stdout stays for programs.
pub struct Console {
    bar: Option<ProgressBar>,
}

impl Console {
    /// Shows a bar over `questions` on a terminal; lines only elsewhere.
    pub fn new(questions: usize) -> Self {
        let bar = ProgressBar::new(questions as u64);
        if bar.is_hidden() {
            return Self { bar: None };
        }
        bar.set_style(
            ProgressStyle::with_template("  {bar:30.cyan} question {pos}/{len}  {elapsed}  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { bar: Some(bar) }
    }

    /// A line that stays.
    pub fn line(&self, text: impl AsRef<str>) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{}", text.as_ref()),
        }
    }

    /// What is under way.
    pub fn status(&self, text: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.into());
            bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    /// A question is done.
    pub fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Nothing more moves.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A question's line.
pub fn question_line(no: QuestionNo, prompt: &str, seen: &QuestionTally, scored: i64, stored: u64) -> String {
    let (ack, board) = (Latency::of(&seen.ack_us), Latency::of(&seen.board_us));
    let short: String = prompt.chars().take(38).collect();
    format!(
        "  Q{:<3} {short:<38} answered {:>5}  acked {:>5}  scored {scored:>5}  stored {stored:>5}  ack p50 {:>6.1} p99 {:>6.1} ms  board p50 {:>6.1} p99 {:>6.1} ms",
        no + 1,
        seen.sent,
        seen.acked.len(),
        ack.p50,
        ack.p99,
        board.p50,
        board.p99,
    )
}

/// The final board, drawn.
pub fn board_table(rows: &[Row], shown: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["rank", "player", "points"]);
    for row in rows.iter().take(shown) {
        table.add_row([row.rank.to_string(), row.nick.clone(), row.points.to_string()]);
    }
    table.to_string()
}

/// The ledger, drawn.
pub fn ledger_table(ledger: &Ledger) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["question", "sent", "acked", "scored", "stored", "late", "lost", "duplicates"]);
    let numbers = |line: &super::ledger::Line| {
        [line.sent, line.acked, line.scored, line.stored, line.late, line.lost, line.duplicates].map(|n| n.to_string())
    };
    for line in &ledger.lines {
        let mut row = vec![format!("{}", line.question + 1)];
        row.extend(numbers(line));
        table.add_row(row);
    }
    let mut row = vec!["all".to_string()];
    row.extend(numbers(&ledger.total()));
    table.add_row(row);
    table.to_string()
}
