//! The clients' own record of a run, for a checker that shares no code with us.
//!
//! `client-<pid>.jsonl` in the folder of `--log`: one JSON object a line, in the order in which the
//! process saw things. It is written from a buffer every 50 ms and at the end; what a killed process
//! had not written yet is missing, so a line that is there is true, and one that is missing says
//! nothing. Every line has `event`, `ts_us` (wall clock, µs since 1970) and `mono_us` (µs since the
//! process began, monotonic). Ids are texts of 13 characters of Crockford base32.
//!
//! `docs/LOADLOG.md` has the events and their fields: `run`, `shard`, `game`, `joined`, `sent`, `taken`,
//! `acked`, `deferred`, `refused`, `unknown`, `applied`, `stale`, `closed_socket`, `reconnected`,
//! `ended`, `done`. An answer is written down as `sent` before it leaves, and as `acked` after its
//! receipt came, so that no order of crashes makes the record claim too much.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use crate::exit::{Exit, Failure};

/// Lines may wait this long before they are written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);
/// What may wait before it is written at once, bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// The clients' own record of a run.
pub struct Log {
    path: PathBuf,
    began: Instant,
    out: Mutex<BufWriter<File>>,
}

impl Log {
    /// Opens this process's file in `dir`, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(dir: &Path, began: Instant) -> Result<Self, Failure> {
        let path = dir.join(format!("client-{}.jsonl", std::process::id()));
        let failed = |err: std::io::Error| unwritable(&path, &err);
        std::fs::create_dir_all(dir).map_err(failed)?;
        let file = File::create(&path).map_err(failed)?;
        Ok(Self { began, out: Mutex::new(BufWriter::with_capacity(BUFFER_BYTES, file)), path })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The wall-clock time of a moment of this run, µs since 1970.
    #[must_use]
    pub fn wall_us(&self, at: Instant) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        let present = Instant::now();
        if at > present { now + micros(at - present) } else { now - micros(present - at) }
    }

    /// Writes a line. `fields` is a JSON object.
    pub fn write(&self, event: &str, fields: Value) {
        let now = Instant::now();
        let mut line = Map::new();
        line.insert("event".into(), event.into());
        line.insert("ts_us".into(), self.wall_us(now).into());
        line.insert("mono_us".into(), u64::try_from((now - self.began).as_micros()).unwrap_or(u64::MAX).into());
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        let mut out = self.out.lock().expect("nobody panics while it holds the lock");
        if let Err(err) = out.write_all(text.as_bytes()) {
            Self::broken(&self.path, &err);
        }
    }

    /// Hands what waits to the system every 50 ms, until the handle is aborted.
    #[must_use]
    pub fn flushing(self: &Arc<Self>) -> JoinHandle<()> {
        let log = self.clone();
        tokio::spawn(async move {
            let mut ticks = interval(FLUSH_INTERVAL);
            loop {
                ticks.tick().await;
                log.flush();
            }
        })
    }

    /// Hands what waits to the system.
    pub fn flush(&self) {
        let mut out = self.out.lock().expect("nobody panics while it holds the lock");
        if let Err(err) = out.flush() {
            Self::broken(&self.path, &err);
        }
    }

    /// A record with a hole in it would be taken for a whole one: without it there is no run.
    fn broken(path: &Path, err: &std::io::Error) -> ! {
        eprintln!("quizstream: {}", unwritable(path, err).message);
        std::process::exit(Exit::Failed as i32);
    }
}

/// Writes a file beside the log, and gives its path.
///
/// # Errors
/// When it cannot be written.
pub fn write_beside(dir: &Path, name: &str, content: &impl Serialize) -> Result<PathBuf, Failure> {
    let path = beside(dir, name);
    let text = serde_json::to_string_pretty(content).map_err(|err| Failure::new(Exit::Failed, err))?;
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&path, text + "\n"))
        .map_err(|err| unwritable(&path, &err))?;
    Ok(path)
}

/// The path of a file beside the log.
#[must_use]
pub fn beside(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}-{}.json", std::process::id()))
}

fn unwritable(path: &Path, err: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{} cannot be written: {err}", path.display()))
}

/// A cursor as the log has it.
#[must_use]
pub fn cursor(cursor: Option<&quiz_ingest::protocol::Cursor>) -> Value {
    cursor.map_or(Value::Null, |cursor| json!({ "epoch": cursor.epoch, "offset": cursor.offset }))
}
