//! The one thread that writes: everything that waits goes into one transaction.

use std::sync::Arc;
use std::thread::JoinHandle;

use redb::{Database, Durability, ReadableTable, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::tables::{Change, Rule, decode, table};
use super::{closed, failure};
use crate::documents::PinDoc;
use crate::telemetry::Tally;
use crate::{Collection, StoreError, WRITES_MAX};

/// The most calls that wait for the writer; a further caller waits to be let in.
const QUEUE_CALLS_MAX: usize = 64;

/// A transaction takes no further call when it holds this many changes.
const GROUP_CHANGES_MAX: usize = WRITES_MAX;

type Tallies = Vec<(Collection, Tally)>;

enum Request {
    Write { changes: Vec<Change>, reply: oneshot::Sender<Result<Tallies, StoreError>> },
    Reserve { pin: PinDoc, change: Change, now_us: i64, reply: oneshot::Sender<Result<bool, StoreError>> },
}

/// The way to the writing thread. Dropping it waits for what was sent before.
pub(super) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(database: Arc<Database>) -> Result<Self, StoreError> {
        let (requests, incoming) = mpsc::channel(QUEUE_CALLS_MAX);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(&database, incoming))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    pub(super) async fn write(&self, changes: Vec<Change>) -> Result<Tallies, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Write { changes, reply }).await?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn reserve(&self, pin: PinDoc, now_us: i64) -> Result<bool, StoreError> {
        let change = Change::of_pin(&pin)?;
        let (reply, answer) = oneshot::channel();
        self.send(Request::Reserve { pin, change, now_us, reply }).await?;
        answer.await.map_err(|_| closed())?
    }

    async fn send(&self, request: Request) -> Result<(), StoreError> {
        let requests = self.requests.as_ref().ok_or_else(closed)?;
        requests.send(request).await.map_err(|_| closed())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Closing the channel ends the thread once it is empty; the join lets the next opener of the
        // file find it unlocked.
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

fn run(database: &Database, mut incoming: mpsc::Receiver<Request>) {
    while let Some(first) = incoming.blocking_recv() {
        let mut size = first.size();
        let mut group = vec![first];
        while size < GROUP_CHANGES_MAX {
            let Ok(next) = incoming.try_recv() else { break };
            size += next.size();
            group.push(next);
        }
        match commit(database, &group) {
            Ok(outcomes) => group.into_iter().zip(outcomes).for_each(|(request, outcome)| request.answer(outcome)),
            Err(error) => {
                tracing::error!(%error, calls = group.len(), changes = size, "a transaction failed");
                group.into_iter().for_each(|request| request.fail(error.clone()));
            }
        }
    }
}

enum Outcome {
    Written(Tallies),
    /// An unreadable reservation is the trouble of its own caller only.
    Reserved(Result<bool, StoreError>),
}

impl Request {
    fn size(&self) -> usize {
        match self {
            Request::Write { changes, .. } => changes.len(),
            Request::Reserve { .. } => 1,
        }
    }

    fn answer(self, outcome: Outcome) {
        // A caller that has gone away needs no answer.
        match (self, outcome) {
            (Request::Write { reply, .. }, Outcome::Written(tallies)) => drop(reply.send(Ok(tallies))),
            (Request::Reserve { reply, .. }, Outcome::Reserved(held)) => drop(reply.send(held)),
            (Request::Write { .. } | Request::Reserve { .. }, _) => {}
        }
    }

    fn fail(self, error: StoreError) {
        match self {
            Request::Write { reply, .. } => drop(reply.send(Err(error))),
            Request::Reserve { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

/// Makes all changes of `group` in one transaction, in the order of the calls.
fn commit(database: &Database, group: &[Request]) -> Result<Vec<Outcome>, StoreError> {
    if group.iter().all(|request| request.size() == 0) {
        return Ok(group.iter().map(|_| Outcome::Written(Vec::new())).collect());
    }
    let mut transaction = database.begin_write().map_err(failure)?;
    transaction.set_durability(Durability::Immediate).map_err(failure)?;
    let mut outcomes = Vec::with_capacity(group.len());
    for request in group {
        outcomes.push(match request {
            Request::Write { changes, .. } => Outcome::Written(apply(&transaction, changes)?),
            Request::Reserve { pin, change, now_us, .. } => {
                Outcome::Reserved(reserve(&transaction, pin, change, *now_us)?)
            }
        });
    }
    transaction.commit().map_err(failure)?;
    Ok(outcomes)
}

fn apply(transaction: &WriteTransaction, changes: &[Change]) -> Result<Tallies, StoreError> {
    let mut tallies = Vec::new();
    for run in changes.chunk_by(|a, b| a.collection == b.collection) {
        let collection = run[0].collection;
        let mut table = transaction.open_table(table(collection)).map_err(failure)?;
        let mut tally = Tally::default();
        for change in run {
            let key = change.key.as_slice();
            let found = table.get(key).map_err(failure)?.map(|value| value.value().0);
            match (change.rule, found) {
                (Rule::Insert, Some(_)) => tally.duplicate += 1,
                (Rule::Newer, Some(version)) if version >= change.version => tally.stale += 1,
                _ => {
                    let value = (change.version, change.value.as_slice());
                    table.insert(key, value).map_err(failure)?;
                    tally.written += 1;
                }
            }
        }
        tallies.push((collection, tally));
    }
    Ok(tallies)
}

/// Whether `pin` is held by its game now; the outer error is the transaction's.
fn reserve(
    transaction: &WriteTransaction,
    pin: &PinDoc,
    change: &Change,
    now_us: i64,
) -> Result<Result<bool, StoreError>, StoreError> {
    let mut pins = transaction.open_table(table(Collection::Pins)).map_err(failure)?;
    let key = change.key.as_slice();
    let found = pins.get(key).map_err(failure)?;
    let holder: Option<PinDoc> = match found.map(|value| decode(Collection::Pins, value.value().1)).transpose() {
        Ok(holder) => holder,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(holder) = holder
        && holder.expires_at_us > now_us
    {
        return Ok(Ok(holder.game == pin.game));
    }
    pins.insert(key, (change.version, change.value.as_slice())).map_err(failure)?;
    Ok(Ok(true))
}
