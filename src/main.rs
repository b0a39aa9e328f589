//! The quizstream binary. See `quizstream --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    quizstream::main()
}
