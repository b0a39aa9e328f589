//! A model of the store behind the counting toy: guarded upserts, and a log of what was accepted.

use std::collections::BTreeMap;

use quiz_schemas::{LaneKey, Position};
use quiz_stream::Processor;

use crate::counting::{Counting, Snapshot, Write};
use crate::deciding::Deciding;

#[derive(Default)]
pub struct Store {
    pub answers: BTreeMap<u64, Position>,
    pub snapshots: BTreeMap<LaneKey, Snapshot>,
    /// Every version of every snapshot that was accepted, in order.
    pub accepted: Vec<Snapshot>,
}

/// A toy processor and what the model's store does for it.
pub trait Toy: Processor {
    fn load(store: &Store, keys: &[Self::Key]) -> Vec<Self::Doc>;
    fn write(store: &mut Store, write: &Self::Write);
}

impl Toy for Counting {
    fn load(store: &Store, keys: &[LaneKey]) -> Vec<(LaneKey, Option<Snapshot>)> {
        keys.iter().map(|lane| (*lane, store.snapshots.get(lane).cloned())).collect()
    }

    fn write(store: &mut Store, write: &Write) {
        match write {
            Write::Answer { submission, position } => {
                store.answers.entry(*submission).or_insert(*position);
            }
            Write::Snapshot { snapshot, .. } => {
                let stored = store.snapshots.get(&snapshot.lane).map_or(-1, |stored| stored.offset);
                if snapshot.offset > stored {
                    store.snapshots.insert(snapshot.lane, snapshot.clone());
                    store.accepted.push(snapshot.clone());
                }
            }
        }
    }
}

impl Toy for Deciding {
    fn load(_store: &Store, _keys: &[()]) -> Vec<()> {
        Vec::new()
    }

    fn write(_store: &mut Store, _write: &()) {}
}
