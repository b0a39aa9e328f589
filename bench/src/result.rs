//! What a profile found: figures beside their floors and targets, costs, curves. As it is written to disk.

use serde::{Deserialize, Serialize};

use crate::floor::Floors;
use crate::latency::middle;
use crate::ledger::Books;
use crate::machine::Machine;
use crate::process::RoleUse;

/// What a figure should be.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
    /// Not more than so many times the floor.
    FloorTimes(f64),
}

/// One figure.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// In `unit`.
    pub value: f64,
    /// Its unit; empty for a plain number.
    pub unit: String,
    /// The least that the machine can do, in the same unit.
    pub floor: Option<f64>,
    /// What it should be.
    pub target: Option<Target>,
}

impl Figure {
    /// A figure without floor and target.
    pub fn new(name: &str, value: f64, unit: &str) -> Self {
        Self { name: name.into(), value, unit: unit.into(), floor: None, target: None }
    }

    /// With the least that the machine can do.
    pub fn over(self, floor: Option<f64>) -> Self {
        Self { floor, ..self }
    }

    /// With what it should be.
    pub fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    /// How many times the floor it is.
    pub fn ratio(&self) -> Option<f64> {
        self.floor.filter(|floor| *floor > 0.0).map(|floor| self.value / floor)
    }

    /// Whether it is what it should be; none when nobody said, or there is no floor to say by.
    pub fn meets(&self) -> Option<bool> {
        match self.target? {
            Target::AtMost(most) => Some(self.value <= most),
            Target::AtLeast(least) => Some(self.value >= least),
            // Nothing takes no time at all: a zero was not measured.
            Target::FloorTimes(times) => self.ratio().map(|ratio| ratio > 0.0 && ratio <= times),
        }
    }
}

/// A curve.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// A picture of some curves.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Plot {
    /// The name of its file, without its ending.
    pub file: String,
    /// Over it.
    pub title: String,
    /// Under the horizontal axis.
    pub x: String,
    /// Beside the vertical axis.
    pub y: String,
    /// Whether the vertical axis is logarithmic.
    pub log: bool,
    /// What it shows.
    pub curves: Vec<Curve>,
}

/// One run of a profile.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RunResult {
    /// The figure by which the middle run is chosen is the first.
    pub figures: Vec<Figure>,
    /// Answers acknowledged.
    pub answers: u64,
    /// What each role used while they were answered.
    pub roles: Vec<RoleUse>,
    /// The books of its games.
    pub books: Books,
    /// Answers and counts that the ledger found wrong, of all games and with the edges' last words; none when
    /// it was not asked, or did not say.
    #[serde(default)]
    pub alerts: Option<u64>,
    /// Why games did not come to their end.
    pub failure: Option<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Its curves.
    pub plots: Vec<Plot>,
}

impl RunResult {
    /// Whether an answer was lost, or books do not balance.
    pub fn lost_something(&self) -> bool {
        self.books.are_wrong() || self.alerts.is_some_and(|alerts| alerts > 0)
    }

    /// Whether all books are closed and nothing is wrong.
    pub fn is_balanced(&self) -> bool {
        !self.lost_something() && self.books.open == 0
    }

    /// Whether it misses a target, or failed.
    pub fn misses(&self) -> bool {
        self.failure.is_some() || !self.is_balanced() || self.figures.iter().any(|figure| figure.meets() == Some(false))
    }
}

/// All runs of a profile.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ProfileResult {
    /// Its name.
    pub name: String,
    /// What is done, in a sentence.
    pub what: String,
    /// The commit that was measured.
    pub commit: String,
    /// The command.
    pub command: String,
    /// The day.
    pub date: String,
    /// Its runs.
    pub runs: Vec<RunResult>,
}

impl ProfileResult {
    /// The middle run by its first figure: the one that counts. Runs that failed count only when all did.
    pub fn middle(&self) -> Option<&RunResult> {
        let whole: Vec<&RunResult> = self.runs.iter().filter(|run| run.failure.is_none()).collect();
        let of = if whole.is_empty() { self.runs.iter().collect() } else { whole };
        let main = |run: &&RunResult| run.figures.first().map_or(f64::INFINITY, |figure| figure.value);
        middle(&of.iter().map(main).collect::<Vec<_>>()).map(|at| of[at])
    }
}

/// What is written to disk.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Where it was measured.
    pub machine: Machine,
    /// The floors.
    pub floors: Floors,
    /// The profiles, in the order in which they are told.
    pub profiles: Vec<ProfileResult>,
}

impl Findings {
    /// Takes in what was found earlier on the same machine and not measured again.
    pub fn after(mut self, earlier: Findings) -> Findings {
        if earlier.machine != self.machine {
            return self;
        }
        self.floors = self.floors.after(earlier.floors);
        let again = |old: &ProfileResult| self.profiles.iter().any(|new| new.name == old.name);
        let kept: Vec<ProfileResult> = earlier.profiles.into_iter().filter(|old| !again(old)).collect();
        self.profiles.extend(kept);
        self
    }

    /// Whether any run lost an answer, or has books that do not balance.
    pub fn lost_something(&self) -> bool {
        self.profiles.iter().flat_map(|profile| &profile.runs).any(RunResult::lost_something)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(main: f64, failure: Option<&str>) -> RunResult {
        let figures = vec![Figure::new("main", main, "ms")];
        RunResult { figures, failure: failure.map(String::from), ..RunResult::default() }
    }

    #[test]
    fn a_figure_meets_or_misses() {
        let figure = |value| Figure::new("ack p99", value, "ms").over(Some(10.0));
        assert_eq!(figure(49.0).target(Target::AtMost(50.0)).meets(), Some(true));
        assert_eq!(figure(51.0).target(Target::AtMost(50.0)).meets(), Some(false));
        assert_eq!(figure(51.0).target(Target::AtLeast(50.0)).meets(), Some(true));
        assert_eq!(figure(21.0).target(Target::FloorTimes(2.0)).meets(), Some(false));
        assert_eq!(figure(21.0).over(None).target(Target::FloorTimes(2.0)).meets(), None);
        assert_eq!(figure(0.0).target(Target::FloorTimes(2.0)).meets(), Some(false), "not measured");
        assert_eq!(figure(21.0).meets(), None);
        assert_eq!(figure(25.0).ratio(), Some(2.5));
    }

    #[test]
    fn the_middle_run_counts_and_a_failed_one_does_not() {
        let profile = |runs| ProfileResult { runs, ..ProfileResult::default() };
        let three = profile(vec![run(9.0, None), run(1.0, None), run(5.0, None)]);
        assert_eq!(three.middle(), Some(&run(5.0, None)));
        let failed = profile(vec![run(9.0, None), run(1.0, Some("why"))]);
        assert_eq!(failed.middle(), Some(&run(9.0, None)));
        assert!(profile(vec![run(1.0, Some("why"))]).middle().is_some_and(RunResult::misses));
        assert_eq!(profile(Vec::new()).middle(), None);
    }

    #[test]
    fn what_was_not_measured_again_stays() {
        let profile =
            |name: &str, date: &str| ProfileResult { name: name.into(), date: date.into(), ..Default::default() };
        let old = Findings { profiles: vec![profile("a", "1"), profile("b", "1")], ..Findings::default() };
        let new = Findings { profiles: vec![profile("a", "2")], ..Findings::default() };
        let both = new.clone().after(old.clone());
        assert_eq!(both.profiles, [profile("a", "2"), profile("b", "1")]);
        let elsewhere = Findings { machine: Machine { cores: 64, ..Machine::default() }, ..old };
        assert_eq!(new.clone().after(elsewhere), new);
    }

    #[test]
    fn findings_come_back_from_disk_as_they_were() {
        let mut one = run(1.5, None);
        one.figures.push(Figure::new("x", 2.0, "").over(Some(1.0)).target(Target::FloorTimes(2.0)));
        let found = Findings {
            profiles: vec![ProfileResult { runs: vec![one], ..ProfileResult::default() }],
            ..Findings::default()
        };
        let text = serde_json::to_string(&found).expect("it has a JSON form");
        assert_eq!(serde_json::from_str::<Findings>(&text).expect("it was written by us"), found);
        assert!(!found.lost_something());
        // Runs of before the ledger was asked have no such field.
        let older = text.replace("\"alerts\":null,", "");
        assert!(older != text);
        assert_eq!(serde_json::from_str::<Findings>(&older).expect("it was written by us"), found);
    }

    #[test]
    fn an_alert_of_a_game_that_nobody_looked_at_counts() {
        let told = |alerts| RunResult { alerts, ..run(1.0, None) };
        assert!(told(Some(1)).lost_something() && told(Some(1)).misses());
        assert!(!told(Some(0)).misses() && !told(None).misses());
    }
}
