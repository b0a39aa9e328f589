//! A member of the counting group under test, and a store in memory with the guards that a real one has. Included
//! beside `counting`, which names what is counted.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use quiz_schemas::LaneKey;
use quiz_stream::group::GroupError;
use quiz_stream::{StateStore, StoreUnavailable};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::counting::{Counting, Snapshot, Write};

#[derive(Default)]
pub struct MapStore {
    pub answers: Mutex<BTreeMap<u64, i64>>,
    pub snapshots: Mutex<BTreeMap<LaneKey, Snapshot>>,
}

#[async_trait]
impl StateStore<Counting> for MapStore {
    async fn load(&self, keys: &[LaneKey]) -> Result<Vec<(LaneKey, Option<Snapshot>)>, StoreUnavailable> {
        let snapshots = self.snapshots.lock().unwrap();
        Ok(keys.iter().map(|lane| (*lane, snapshots.get(lane).cloned())).collect())
    }

    async fn write(&self, writes: &[Write]) -> Result<(), StoreUnavailable> {
        for write in writes {
            match write {
                Write::Answer { submission, position } => {
                    self.answers.lock().unwrap().entry(*submission).or_insert(position.offset);
                }
                Write::Snapshot { snapshot, .. } => {
                    let mut snapshots = self.snapshots.lock().unwrap();
                    let stored = snapshots.entry(snapshot.lane).or_insert_with(|| snapshot.clone());
                    if stored.offset < snapshot.offset {
                        *stored = snapshot.clone();
                    }
                }
            }
        }
        Ok(())
    }
}

pub struct Member {
    pub shutdown: CancellationToken,
    pub running: JoinHandle<Result<(), GroupError>>,
}

impl Member {
    /// Stops gracefully, which must be quick.
    pub async fn stop(self) {
        assert!(!self.running.is_finished(), "the member goes on");
        self.shutdown.cancel();
        let stopped = tokio::time::timeout(Duration::from_secs(6), self.running).await;
        stopped.expect("a member leaves within its time").unwrap().unwrap();
    }
}
