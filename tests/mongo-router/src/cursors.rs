//! Where open cursors live: a driver may ask for the next batch on any of its connections, and each of
//! those may have another shard as its way in.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::topology::Target;

/// How many open cursors are remembered; the oldest is forgotten first.
const CURSORS_MAX: usize = 10_000;

/// What a cursor's next batch is asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// The replica set whose primary holds it.
    pub target: Target,
    /// Whether it came from a cluster command, so that the next batch must as well.
    pub cluster: bool,
}

/// The open cursors of all clients.
#[derive(Debug, Default)]
pub struct Cursors {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    homes: HashMap<i64, Home>,
    order: VecDeque<i64>,
}

impl Cursors {
    /// Remembers a cursor.
    pub fn opened(&self, id: i64, home: Home) {
        let mut open = self.lock();
        if open.homes.insert(id, home).is_none() {
            open.order.push_back(id);
        }
        while open.order.len() > CURSORS_MAX {
            if let Some(oldest) = open.order.pop_front() {
                open.homes.remove(&oldest);
            }
        }
    }

    /// Forgets a cursor that is used up or killed.
    pub fn closed(&self, id: i64) {
        let mut open = self.lock();
        if open.homes.remove(&id).is_some() {
            open.order.retain(|known| *known != id);
        }
    }

    /// Where that cursor lives.
    pub fn home(&self, id: i64) -> Option<Home> {
        self.lock().homes.get(&id).copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_until_closed() {
        let cursors = Cursors::default();
        let home = Home { target: Target::Shard(1), cluster: true };
        cursors.opened(7, home);
        assert_eq!(cursors.home(7), Some(home));
        cursors.closed(7);
        assert_eq!(cursors.home(7), None);
    }

    #[test]
    fn stays_within_its_bound() {
        let cursors = Cursors::default();
        for id in 0..=CURSORS_MAX as i64 {
            cursors.opened(id, Home { target: Target::Config, cluster: false });
        }
        assert_eq!(cursors.home(0), None);
        assert!(cursors.home(CURSORS_MAX as i64).is_some());
        assert_eq!(cursors.lock().homes.len(), CURSORS_MAX);
    }
}
