//! Read models: what the lanes and the session say, made into what edges tell and what is stored.

pub mod board;

pub use board::{BoardProjection, BoardStore};
