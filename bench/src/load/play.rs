//! Runs load clients against a fleet and watches everybody meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::{Answers, FanOut, Line, LoadSpec, Told};
use crate::child::Running;
use crate::error::BenchError;
use crate::fleet::Ground;
use crate::latency::Quantiles;
use crate::ledger::Books;
use crate::process::{LOAD_CLIENT, RoleUse, Roster, Snapshot};
use crate::result::{Figure, RunResult};
use crate::scrape;

/// Between two looks at all processes.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// Lines that wait to be taken in.
const LINES_MAX: usize = 256;

/// All processes and the pipeline's own counters at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The processes.
    pub snapshot: Snapshot,
    /// Answers that the edges have acknowledged since they started.
    pub acked: f64,
    /// Records that the scoring workers are through with since they started.
    pub scored: f64,
}

/// A load run.
pub struct Played {
    /// What each client told.
    pub told: Vec<Told>,
    /// How long the last game of a client began after the first, s.
    pub stagger_s: f64,
    /// Before anybody came.
    pub begun: Snapshot,
    /// When everybody had sat in the lobby: the questions come next.
    pub rested: Snapshot,
    /// When all games were over.
    pub played: Snapshot,
    /// One each half second, from beginning to end.
    pub samples: Vec<Sample>,
}

/// Plays with one process for each spec, all at once. Everybody on the roster is watched.
///
/// # Errors
/// When a client cannot be started. One that fails is no error: it tells so.
pub async fn play(ground: &Ground, specs: &[LoadSpec]) -> Result<Played, BenchError> {
    let roster = ground.roster.clone();
    let begun = roster.snapshot();
    let (sender, mut lines) = mpsc::channel(LINES_MAX);
    let mut readers = FuturesUnordered::new();
    for (no, spec) in specs.iter().enumerate() {
        let mut command = Command::new(&ground.program);
        command.args(spec.args(&ground.edges));
        let client = Running::start(LOAD_CLIENT, command, &ground.logs.join("load.log"))?;
        roster.add(LOAD_CLIENT, client.pid, None);
        readers.push(listen(client, no, sender.clone(), roster.clone()));
    }
    drop(sender);
    let stagger_s = specs.iter().map(LoadSpec::stagger_s).fold(0.0, f64::max);
    let mut watch = Watch::new(roster, begun, specs.len());
    let mut ticks = interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            line = lines.recv() => match line {
                Some((no, line)) => watch.hear(no, &line),
                None => break,
            },
            _ = ticks.tick() => watch.sample().await,
            Some(()) = readers.next() => {}
        }
    }
    while readers.next().await.is_some() {}
    watch.sample().await;
    Ok(watch.end(stagger_s))
}

/// Hands on what a client says until it ends.
async fn listen(mut client: Running, no: usize, lines: mpsc::Sender<(usize, String)>, roster: Roster) {
    while let Some(line) = client.line().await {
        let _ = lines.send((no, line)).await;
    }
    drop(lines);
    let pid = client.pid;
    client.ended().await;
    roster.remove(pid);
}

struct Watch {
    roster: Roster,
    told: Vec<Told>,
    begun: Snapshot,
    rested: Option<Snapshot>,
    played: Option<Snapshot>,
    samples: Vec<Sample>,
}

impl Watch {
    fn new(roster: Roster, begun: Snapshot, clients: usize) -> Self {
        Self { roster, told: vec![Told::default(); clients], begun, rested: None, played: None, samples: Vec::new() }
    }

    fn hear(&mut self, no: usize, line: &str) {
        match self.told[no].take(line) {
            Some(Line::Idle(_)) if self.told.iter().all(|told| told.idle.is_some()) => {
                self.rested = Some(self.roster.snapshot());
            }
            // A client that is through may be gone before the last one is: what it used is kept.
            Some(Line::Answer(_)) => {
                let mut snapshot = self.roster.snapshot();
                if let Some(before) = self.played.take() {
                    for (pid, process) in before.processes {
                        snapshot.processes.entry(pid).or_insert(process);
                    }
                }
                self.played = Some(snapshot);
            }
            _ => {}
        }
    }

    async fn sample(&mut self) {
        let acked = total(&self.roster, "edge", "quiz_answers_acked_total", "").await;
        let scored = total(&self.roster, "scoring", "quiz_group_records_total", "quiz.scoring").await;
        self.samples.push(Sample { snapshot: self.roster.snapshot(), acked, scored });
    }

    fn end(self, stagger_s: f64) -> Played {
        let now = self.roster.snapshot();
        let rested = self.rested.unwrap_or_else(|| self.begun.clone());
        let played = self.played.unwrap_or(now);
        Played { told: self.told, stagger_s, begun: self.begun, rested, played, samples: self.samples }
    }
}

/// A counter's sum over all processes of a role; those that do not answer count as nothing.
pub async fn total(roster: &Roster, role: &str, metric: &str, label: &str) -> f64 {
    let mut sum = 0.0;
    for (_, admin) in roster.admins(role) {
        if let Ok((200, page)) = scrape::get(admin, "/metrics").await {
            sum += scrape::sum(&page, metric, label);
        }
    }
    sum
}

impl Played {
    /// What a run of this load alone comes to, without plots; its only note is of sockets that went.
    pub fn result(&self, figures: Vec<Figure>, books: Books) -> RunResult {
        let (answers, failure) = (self.counts().2, self.games().1);
        let notes = self.notes([]);
        RunResult { figures, answers, roles: self.used(), books, failure, notes, ..RunResult::default() }
    }

    fn answers(&self) -> impl Iterator<Item = &Answers> {
        self.told.iter().filter_map(|told| told.answers.as_ref())
    }

    fn fan_outs(&self) -> impl Iterator<Item = FanOut> + '_ {
        self.told.iter().filter_map(|told| told.fan_out)
    }

    /// Answers that were due, that left, that were acknowledged, that were refused for good.
    pub fn counts(&self) -> (u64, u64, u64, u64) {
        self.answers().fold((0, 0, 0, 0), |sum, one| {
            (sum.0 + one.offered, sum.1 + one.sent, sum.2 + one.acked, sum.3 + one.refused)
        })
    }

    /// How long each game's questions took, s: the last game begins after the first.
    pub fn seconds(&self) -> f64 {
        (self.answers().map(|one| one.seconds).fold(0.0, f64::max) - self.stagger_s).max(0.0)
    }

    /// Answers/s that really left over the whole time of each game.
    pub fn offered_per_s(&self) -> f64 {
        let seconds = self.seconds();
        if seconds > 0.0 { self.counts().1 as f64 / seconds } else { 0.0 }
    }

    /// From when answers should have left to their receipts; of several clients the worst.
    pub fn ack(&self) -> Quantiles {
        Quantiles::worst(self.answers().map(|one| one.ack_ms))
    }

    /// From close to board.
    pub fn board(&self) -> Quantiles {
        Quantiles::worst(self.fan_outs().map(|one| one.close_to_board_ms))
    }

    /// From a question's command to its first and to its last player.
    pub fn fan_out(&self) -> (Quantiles, Quantiles) {
        let first = Quantiles::worst(self.fan_outs().map(|one| one.first_ms));
        (first, Quantiles::worst(self.fan_outs().map(|one| one.last_ms)))
    }

    /// Deliveries of questions.
    pub fn deliveries(&self) -> u64 {
        self.fan_outs().map(|one| one.deliveries).sum()
    }

    /// Players that joined, and how many of all clients a second.
    pub fn joined(&self) -> (u64, f64) {
        let joins: Vec<_> = self.told.iter().filter_map(|told| told.join).collect();
        let joined = joins.iter().map(|join| join.joined).sum();
        let seconds = joins.iter().map(|join| join.seconds).fold(0.0, f64::max);
        (joined, if seconds > 0.0 { joined as f64 / seconds } else { 0.0 })
    }

    /// From when a player should have begun to join to its seat.
    pub fn join_latency(&self) -> Quantiles {
        Quantiles::worst(self.told.iter().filter_map(|told| told.join).map(|join| join.join_ms))
    }

    /// Sockets that went and came back, in the lobby and at the questions.
    pub fn reconnects(&self) -> u64 {
        let idle: u64 = self.told.iter().filter_map(|told| told.idle.as_ref()).map(|idle| idle.reconnects).sum();
        idle + self.answers().map(|one| one.reconnects).sum::<u64>()
    }

    /// What a reader should know: what the profile says, which answers were not taken, and which sockets went.
    pub fn notes<const N: usize>(&self, said: [&str; N]) -> Vec<String> {
        said.map(String::from).into_iter().chain(not_taken(&self.told)).chain(lost(&self.told)).collect()
    }

    /// The games, and why the first that did not come to its end did not.
    pub fn games(&self) -> (Vec<String>, Option<String>) {
        let totals = self.told.iter().filter_map(|told| told.total.as_ref());
        let games: Vec<_> = totals.clone().flat_map(|total| &total.games).collect();
        let failure = games.iter().find_map(|game| game.failure.clone());
        let silent = self.told.iter().any(|told| told.total.is_none());
        let not_ok = || totals.clone().any(|total| !total.ok).then(|| "players did not hear the end".to_string());
        let failure = failure.or_else(|| silent.then(|| "a load client ended early; see load.log".into()));
        (games.iter().map(|game| game.game.clone()).collect(), failure.or_else(not_ok))
    }

    /// What each role used while questions were asked. Memory of clients that are gone is from the last look.
    pub fn used(&self) -> Vec<RoleUse> {
        let mut last = self.played.clone();
        for (pid, (_, reading)) in &mut last.processes {
            if reading.rss_kib == 0 {
                let seen = self.samples.iter().rev().filter_map(|sample| sample.snapshot.processes.get(pid));
                if let Some((_, seen)) = seen.filter(|(_, seen)| seen.rss_kib > 0).take(1).next() {
                    (reading.rss_kib, reading.peak_kib) = (seen.rss_kib, seen.peak_kib);
                }
            }
        }
        last.since(&self.rested)
    }

    /// By how many seconds of load scoring was behind at its worst.
    pub fn behind_s(&self) -> f64 {
        let points: Vec<(f64, f64)> = self
            .samples
            .iter()
            .filter(|sample| sample.snapshot.at >= self.rested.at)
            .map(|sample| (sample.acked, sample.scored))
            .collect();
        let rate = self.offered_per_s();
        if rate > 0.0 { backlog_max(&points) / rate } else { 0.0 }
    }
}

/// Answers that were due and are in no log, by why, in words: those that never left, and those refused for good. None
/// when there are none.
fn not_taken(told: &[Told]) -> Option<String> {
    let (mut due, mut unsent, mut by_code) = (0, 0, BTreeMap::<_, u64>::new());
    for one in told.iter().filter_map(|told| told.answers.as_ref()) {
        due += one.offered;
        unsent += one.offered.saturating_sub(one.sent);
        one.refused_by_code.iter().for_each(|(code, count)| *by_code.entry(code.as_str()).or_default() += count);
    }
    if unsent > 0 {
        by_code.insert("never left", unsent);
    }
    let words: Vec<_> = by_code.iter().map(|(why, count)| format!("{count} {why}")).collect();
    (!words.is_empty()).then(|| format!("of {due} answers that were due, not taken: {}", words.join(", ")))
}

/// Sockets that went in the lobby and at the questions, by why, in words; none when none did.
fn lost(told: &[Told]) -> Option<String> {
    let idle = told.iter().filter_map(|told| told.idle.as_ref()).map(|idle| ("idle", &idle.lost_by_reason));
    let answers = told.iter().filter_map(|told| told.answers.as_ref()).map(|one| ("questions", &one.lost_by_reason));
    let mut sum = BTreeMap::<_, u64>::new();
    for (phase, lost) in idle.chain(answers) {
        lost.iter().for_each(|(why, count)| *sum.entry((phase, why)).or_default() += count);
    }
    let words: Vec<_> = sum.iter().map(|((phase, why), count)| format!("{count} {why} ({phase})")).collect();
    (!words.is_empty()).then(|| format!("sockets went: {}", words.join(", ")))
}

/// The most answers that were acknowledged and not scored, told afterwards from two counters that both
/// stand still at the end: what is still to be scored minus what is still to be acknowledged. Scored
/// records include the marks of questions, so they are weighed by what they were in all.
fn backlog_max(points: &[(f64, f64)]) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0.0 };
    let (acked, scored) = (last.0 - first.0, last.1 - first.1);
    if acked <= 0.0 || scored <= 0.0 {
        return 0.0;
    }
    let weight = (acked / scored).min(1.0);
    points.iter().map(|at| (last.1 - at.1) * weight - (last.0 - at.0)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::super::Idle;
    use super::*;

    #[test]
    fn a_note_says_which_sockets_went() {
        let by = |why: &str, count| BTreeMap::from([(why.to_string(), count)]);
        let idle = Idle { reconnects: 2, lost_by_reason: by("no_pong", 2) };
        let answers = Answers { lost_by_reason: by("silent", 3), ..Answers::default() };
        let told = || Told { idle: Some(idle.clone()), answers: Some(answers.clone()), ..Told::default() };
        assert_eq!(lost(&[told(), told()]).as_deref(), Some("sockets went: 4 no_pong (idle), 6 silent (questions)"));
        assert_eq!(lost(&[Told::default()]), None, "none went");
    }

    #[test]
    fn a_note_says_which_answers_were_not_taken() {
        let told = |closed| {
            let refused_by_code = BTreeMap::from([("question_closed".to_string(), closed)]);
            let answers = Answers { offered: 100, sent: 98, refused: closed, refused_by_code, ..Answers::default() };
            Told { answers: Some(answers), ..Told::default() }
        };
        let note = not_taken(&[told(3), told(4)]);
        assert_eq!(note.as_deref(), Some("of 200 answers that were due, not taken: 4 never left, 7 question_closed"));
        let taken = Answers { offered: 100, sent: 100, acked: 100, ..Answers::default() };
        assert_eq!(not_taken(&[Told { answers: Some(taken), ..Told::default() }]), None, "all were taken");
    }

    #[test]
    fn a_backlog_is_what_is_still_to_be_scored() {
        // 100 answers a step; scoring is 250 behind at its worst and catches up.
        let points = [(0.0, 0.0), (100.0, 50.0), (200.0, 100.0), (300.0, 50.0 + 100.0), (400.0, 150.0), (400.0, 400.0)];
        assert!((backlog_max(&points) - 250.0).abs() < 1e-9);
        assert!(backlog_max(&[]).abs() < 1e-9 && backlog_max(&[(1.0, 1.0)]).abs() < 1e-9);
    }

    #[test]
    fn marks_of_questions_are_no_backlog() {
        let points: Vec<(f64, f64)> = (0..=10).map(|step| (f64::from(step) * 100.0, f64::from(step) * 102.0)).collect();
        assert!(backlog_max(&points) < 1.0);
    }
}
