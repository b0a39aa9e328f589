//! Read models: what the lanes and the session say, made into what edges tell and what is stored.

pub mod board;
pub mod ledger;

pub use board::{BoardProjection, BoardStore};
pub use ledger::{LedgerProjection, LedgerStore};
