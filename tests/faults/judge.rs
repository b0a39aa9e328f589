//! The verdict: runs `tests/checker` over what a run left behind.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::stack::Servers;

/// What the checker found.
#[derive(Debug)]
pub struct Verdict {
    report: Value,
    folder: PathBuf,
    /// Imbalances that the pipeline's own ledger found; None when nobody could ask it.
    own: Option<f64>,
}

/// The kinds of which there may be none.
const KINDS: [&str; 5] = ["lost", "phantom", "dup", "mismatch", "gap"];

impl Verdict {
    /// Judges the run on the shared stack whose logs are in `folder`.
    pub fn of(folder: &Path) -> Self {
        Self::on(&Servers::shared(), folder)
    }

    /// Judges the run on these servers whose logs are in `folder`.
    pub fn on(servers: &Servers, folder: &Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/checker/check.py");
        let output = Command::new(python())
            .args(["-B", script, "--log"])
            .arg(folder)
            .args(["--brokers", servers.of("QUIZ_KAFKA__BOOTSTRAP_SERVERS")])
            .args(["--registry", servers.of("QUIZ_REGISTRY__URL"), "--mongo", servers.of("QUIZ_MONGO__URI")])
            .output()
            .expect("Python is there: scripts/setup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report = serde_json::from_slice(&output.stdout).expect("the checker prints JSON");
        Self { report, folder: folder.to_path_buf(), own: None }
    }

    /// The same, and what the pipeline's own ledger found.
    pub fn beside(self, own: Option<f64>) -> Self {
        Self { own, ..self }
    }

    /// The pipeline's own ledger was there at the end, and found nothing.
    pub fn own_books_balance(&self) {
        assert_eq!(
            self.own,
            Some(0.0),
            "imbalances that the ledger found; see ledger-1's log in {}",
            self.folder.display()
        );
    }

    /// A number of the report.
    pub fn number(&self, name: &str) -> f64 {
        self.report[name].as_f64().unwrap_or_else(|| panic!("the checker tells {name}: {}", self.report))
    }

    /// How many of the five kinds there are.
    pub fn faults(&self) -> f64 {
        KINDS.iter().map(|kind| self.number(kind)).sum()
    }

    /// Prints the line of a test and appends it to `faults.tsv`.
    pub fn tell(&self, fault: &str, seed: u64, unavailable_s: f64, more: &str) {
        let ledger: Vec<String> = KINDS.iter().map(|kind| self.number(kind).to_string()).collect();
        let line = format!(
            "seed={seed} fault={fault} unavailable_s={unavailable_s:.2} ledger={} acked={} late={} ack_max_s={} {more}",
            ledger.join("/"),
            self.number("acked"),
            self.number("late"),
            self.number("ack_max_s"),
        );
        println!("{}", line.trim_end());
        let path = target().join("faults.tsv");
        let mut file = std::fs::File::options().create(true).append(true).open(path).expect("a writable target folder");
        let row = line.trim_end().replace(' ', "\t") + "\n";
        file.write_all(row.as_bytes()).expect("a writable target folder");
    }

    /// Nothing was lost, invented, doubled, changed or left out.
    pub fn is_clean(&self) {
        assert!(
            self.faults() == 0.0,
            "{}\nthe dumps are in {}",
            serde_json::to_string_pretty(&self.report).expect("JSON"),
            self.folder.display()
        );
    }
}

/// The interpreter with the checker's packages.
fn python() -> PathBuf {
    let home = || Path::new(&std::env::var("HOME").expect("a home folder")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    cache.join("quizstream/python/bin/python")
}

/// The target folder of this build.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder").to_path_buf()
}
