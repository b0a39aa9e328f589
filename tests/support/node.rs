//! Runs node's tests of the pages, and scripts that drive a browser.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command as Process;
use tokio::time::timeout;

/// Longer than the time that the tests allow themselves.
const TESTS_WAIT: Duration = Duration::from_secs(1_500);
/// Longer than a script takes.
const SCRIPT_WAIT: Duration = Duration::from_secs(120);
/// How long packages may take to arrive.
const PACKAGES_WAIT: Duration = Duration::from_secs(300);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("web/tests")
}

/// Runs `node --test` on files of `web/tests`, with these variables. What it says is shown when it
/// fails.
pub async fn tests(files: &[&str], variables: &[(&str, String)]) {
    let folder = folder();
    packages(&folder).await;
    let mut node = Process::new("node");
    node.arg("--test").args(files).envs(variables.iter().map(|(name, value)| (name, value)));
    run(node, &folder, TESTS_WAIT).await;
}

/// Runs a script of `tests/`, which may import what the tests of the pages do, with these variables.
pub async fn script(file: &str, variables: &[(&str, String)]) {
    packages(&folder()).await;
    let mut node = Process::new("node");
    node.arg(file).envs(variables.iter().map(|(name, value)| (name, value)));
    run(node, &PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests"), SCRIPT_WAIT).await;
}

/// Installs what the lock file says, unless that is there already.
async fn packages(tests: &Path) {
    let changed = |file: &str| std::fs::metadata(tests.join(file)).and_then(|metadata| metadata.modified()).ok();
    let (installed, wanted) = (changed("node_modules/.package-lock.json"), changed("package-lock.json"));
    assert!(wanted.is_some(), "the lock file is missing");
    if installed < wanted {
        let mut npm = Process::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--silent"]);
        run(npm, tests, PACKAGES_WAIT).await;
    }
}

/// Runs a command to its end.
async fn run(mut command: Process, folder: &Path, wait: Duration) {
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let name = format!("{:?}", command.as_std());
    let output = timeout(wait, command.output()).await.unwrap_or_else(|_| panic!("{name} takes too long"));
    let output = output.unwrap_or_else(|error| panic!("{name} does not run: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} fails:\n{said}");
}
