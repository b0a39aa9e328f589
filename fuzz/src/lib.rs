//! What the fuzzer runs: one module a target, each with `run`, which takes any bytes and panics when a
//! promise is broken. The root package's `fuzz_corpus` test runs the same over the kept corpus.

pub mod avro;
#[cfg(feature = "edge")]
pub mod frames;
pub mod imports;
mod reader;
pub mod scoring;
#[cfg(feature = "edge")]
pub mod tokens;
