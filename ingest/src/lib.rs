//! The edge: sockets, HTTP and fan-out. Stateless: what it knows it can load again (I3).

mod admission;
pub mod clock;
pub mod config;
pub mod connection;
pub mod deliveries;
mod door;
mod edge;
pub mod fair_time;
pub mod games;
pub mod http;
mod inflow;
pub mod limits;
mod lookup;
pub mod protocol;
pub mod pulse;
mod serve;
pub mod signals;
mod socket;
pub mod tallies;
mod telemetry;
pub mod token;

pub use config::EdgeConfig;
pub use serve::{EdgeError, EdgeSetup, KafkaCheck, MetricsRender, epoch_of, serve};
