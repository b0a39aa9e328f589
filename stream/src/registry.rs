//! The schema registry: what we need of one, and a small one for embedded mode and tests.

mod client;
pub mod server;

pub use client::{RegisterError, ResolveError, SchemaSource};
