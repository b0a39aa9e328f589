//! How the binary ends: one sentence, a hint, and a code from a short published table.

use std::fmt;
use std::process::ExitCode;

/// The exit codes, as `quizstream --help` lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It did not work.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// A check found something: bad questions, differences, an unbalanced ledger.
    Found = 4,
    /// A server does not answer; try again.
    Unavailable = 5,
}

/// An end that is not success.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What went wrong, one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with a sentence.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Prints it to stderr and gives the process's exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("quizstream: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("  hint: {hint}");
        }
        ExitCode::from(self.exit as u8)
    }
}

/// Turns a server's error into a failure that says which server and what to check.
pub fn unavailable(what: &str, hint: &str) -> impl FnOnce(String) -> Failure {
    let (what, hint) = (what.to_string(), hint.to_string());
    move |err| Failure::new(Exit::Unavailable, format!("{what}: {err}")).hint(hint)
}
