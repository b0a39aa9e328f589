//! The edge: sockets, HTTP and fan-out. Stateless: what it knows it can load again (I3).

pub mod connection;
pub mod limits;
pub mod protocol;
pub mod token;
