//! The one consumer loop that runs every group.
//!
//! [`Machine`] is the loop without I/O: events in, actions out; a rebalance is an event like any
//! other. The driver carries its actions out on rdkafka, and the simulation on a seeded model.

mod backoff;
mod buffer;
mod driver;
mod event;
mod flush;
pub mod limits;
mod machine;
pub mod metrics;
mod rounds;
mod schemas;
mod task;
mod transaction;

pub use driver::{GroupError, GroupSetup, run_group};
pub use event::{Action, DeadRecord, Event, Fatal, Now, RawRecord, TaskId, TopicPartition};
pub use machine::Machine;
