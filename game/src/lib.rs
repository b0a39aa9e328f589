//! The rules of the game. Pure: no async, no clock, no randomness, no I/O; time and ids come in
//! with the records.

pub mod lane;
pub mod view;
