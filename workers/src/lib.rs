//! The workers: the consumer groups that run the games and score their answers.

pub mod scoring;
pub mod session;
