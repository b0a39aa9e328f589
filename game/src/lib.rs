//! The rules of the game. Pure: no async, no clock, no randomness, no I/O; time and ids come in
//! with the records.

pub mod board;
pub mod import;
pub mod judge;
pub mod lane;
pub mod nickname;
pub mod quiz;
pub mod rule;
pub mod session;
pub mod view;
