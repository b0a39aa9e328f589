//! Writing a batch: answers by unordered inserts, versioned documents by guarded upserts.

use futures::StreamExt;
use mongodb::bson::{self, Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use mongodb::error::ErrorKind;
use serde::{Deserialize, Serialize};

use super::failure::{self, DUPLICATE_KEY, unavailable};
use super::{MongoStore, filter, shape};
use crate::batch::Batch;
use crate::documents::AnswerDoc;
use crate::telemetry::{Tally, count_failures, count_writes};
use crate::{Collection, StoreError};

/// The most answers in one insert.
const INSERT_DOCUMENTS_MAX: usize = 2_000;

/// The most documents in one update command.
const UPDATE_DOCUMENTS_MAX: usize = 1_000;

/// An update command ends before it holds more bytes than this, if it holds one document at least.
/// A command of 16 MiB and some is refused by the server.
const UPDATE_BYTES_MAX: usize = 8 << 20;

/// A server takes no document beyond 16 MiB; with a filter beside it, a command of one stays below.
const DOCUMENT_BYTES_MAX: usize = 15 << 20;

const _: () = assert!(UPDATE_BYTES_MAX <= DOCUMENT_BYTES_MAX);

/// The most commands that one call of `Store::write` has under way.
const COMMANDS_IN_FLIGHT_MAX: usize = 4;

/// One guarded replacement.
#[derive(Debug)]
pub(super) struct Upsert {
    filter: RawDocumentBuf,
    replacement: RawDocumentBuf,
}

impl Upsert {
    pub(super) fn new(
        collection: Collection,
        filter: &Document,
        replacement: &impl Serialize,
    ) -> Result<Self, StoreError> {
        let refused = |error: bson::ser::Error| StoreError::Refused(format!("{collection}: {error}"));
        let upsert = Self {
            filter: bson::to_raw_document_buf(filter).map_err(refused)?,
            replacement: bson::to_raw_document_buf(replacement).map_err(refused)?,
        };
        if upsert.bytes() > DOCUMENT_BYTES_MAX {
            return Err(StoreError::Refused(format!("{collection}: a document of {} bytes", upsert.bytes())));
        }
        Ok(upsert)
    }

    pub(super) fn bytes(&self) -> usize {
        self.filter.as_bytes().len() + self.replacement.as_bytes().len()
    }
}

enum Command<'a> {
    Insert(&'a [&'a AnswerDoc]),
    Update(Collection, &'a [Upsert]),
}

impl MongoStore {
    pub(super) async fn write_batch(&self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let upserts = upserts(batch)?;
        let mut commands: Vec<Command<'_>> = batch.answers.chunks(INSERT_DOCUMENTS_MAX).map(Command::Insert).collect();
        for (collection, upserts) in &upserts {
            commands.extend(split(upserts).into_iter().map(|part| Command::Update(*collection, part)));
        }
        if batch.answers_repeated > 0 {
            count_writes(Collection::Answers, Tally { duplicate: batch.answers_repeated, ..Tally::default() });
        }
        // All are sent, also when one fails: what is written now need not be written by the retry.
        let pending: Vec<_> = commands.into_iter().map(|command| self.execute(command)).collect();
        let outcomes: Vec<Result<(), StoreError>> =
            futures::stream::iter(pending).buffer_unordered(COMMANDS_IN_FLIGHT_MAX).collect().await;
        // A refusal does not pass with time, so it is the one to tell.
        let mut failures: Vec<StoreError> = outcomes.into_iter().filter_map(Result::err).collect();
        failures.sort_by_key(|error| matches!(error, StoreError::Unavailable(_)));
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    async fn execute(&self, command: Command<'_>) -> Result<(), StoreError> {
        let (collection, size, outcome) = match command {
            Command::Insert(answers) => (Collection::Answers, answers.len(), self.insert(answers).await),
            Command::Update(collection, upserts) => (collection, upserts.len(), self.upsert(collection, upserts).await),
        };
        match outcome {
            Ok(tally) => {
                count_writes(collection, tally);
                Ok(())
            }
            Err(error) => {
                count_failures(collection, size as u64);
                Err(error)
            }
        }
    }

    /// Inserts answers; those that are there already stay as they are.
    async fn insert(&self, answers: &[&AnswerDoc]) -> Result<Tally, StoreError> {
        let collection: mongodb::Collection<shape::Answer> = self.collection(Collection::Answers);
        let documents: Vec<shape::Answer> = answers.iter().map(|&doc| shape::Answer::from(doc)).collect();
        let asked = answers.len() as u64;
        let insert = async {
            match collection.insert_many(documents).ordered(false).await {
                Ok(_) => Ok(Ok(Tally { written: asked, ..Tally::default() })),
                Err(error) => match error.kind.as_ref() {
                    ErrorKind::InsertMany(failed) => Ok(insert_outcome(failed, asked)),
                    _ => Err(error),
                },
            }
        };
        self.within(insert).await?
    }

    /// Replaces older documents, inserts missing ones.
    async fn upsert(&self, collection: Collection, upserts: &[Upsert]) -> Result<Tally, StoreError> {
        let all: Vec<&Upsert> = upserts.iter().collect();
        let first = self.update(collection, &all, true).await?;
        // An upsert whose guard finds no older document tries to insert, and fails on the `_id` when
        // there is one: the same or a newer one, or one that another writer has inserted in between,
        // which may well be older. It exists from now on, so a plain guarded update settles it.
        let again: Vec<&Upsert> = first.duplicates.iter().filter_map(|&at| upserts.get(at)).collect();
        if again.is_empty() {
            return Ok(Tally { written: first.matched, ..Tally::default() });
        }
        let second = self.update(collection, &again, false).await?;
        let stale = (again.len() as u64).saturating_sub(second.matched);
        Ok(Tally { written: first.matched + second.matched, stale, ..Tally::default() })
    }

    async fn update(&self, collection: Collection, upserts: &[&Upsert], upsert: bool) -> Result<Updated, StoreError> {
        let mut updates = RawArrayBuf::new();
        for one in upserts {
            updates.push(rawdoc! {
                "q": one.filter.clone(), "u": one.replacement.clone(), "multi": false, "upsert": upsert,
            });
        }
        let write_concern =
            bson::to_raw_document_buf(&self.write_concern()).map_err(|error| StoreError::Refused(error.to_string()))?;
        let command = rawdoc! {
            "update": collection.name(),
            "updates": updates,
            "ordered": false,
            "writeConcern": write_concern,
            "maxTimeMS": self.command_timeout_ms(),
        };
        let reply = self.within(self.database.run_raw_command(command)).await?;
        Updated::of(&reply)
    }
}

/// The batch's versioned documents, each with the guard under which it replaces what is there.
fn upserts(batch: &Batch<'_>) -> Result<Vec<(Collection, Vec<Upsert>)>, StoreError> {
    let lanes = batch
        .lanes
        .iter()
        .map(|&doc| Upsert::new(Collection::Lanes, &filter::older_lane(doc), &shape::Lane::from(doc)));
    let views = batch
        .views
        .iter()
        .map(|&doc| Upsert::new(Collection::Views, &filter::older_view(doc), &shape::View::from(doc)));
    let ledgers = batch
        .ledgers
        .iter()
        .map(|&doc| Upsert::new(Collection::Ledgers, &filter::older_ledger(doc), &shape::Ledger::from(doc)));
    let boards = batch
        .boards
        .iter()
        .map(|&doc| Upsert::new(Collection::Boards, &filter::any_board(doc), &shape::Board::from(doc)));
    let standings = batch
        .standings
        .iter()
        .map(|&doc| Upsert::new(Collection::Standings, &filter::older_standings(doc), &shape::Standings::from(doc)));
    Ok(vec![
        (Collection::Lanes, lanes.collect::<Result<_, _>>()?),
        (Collection::Views, views.collect::<Result<_, _>>()?),
        (Collection::Boards, boards.collect::<Result<_, _>>()?),
        (Collection::Standings, standings.collect::<Result<_, _>>()?),
        (Collection::Ledgers, ledgers.collect::<Result<_, _>>()?),
    ])
}

/// Cuts `upserts` into commands, in order, each within both limits.
pub(super) fn split(upserts: &[Upsert]) -> Vec<&[Upsert]> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, one) in upserts.iter().enumerate() {
        let full = at - start >= UPDATE_DOCUMENTS_MAX || bytes + one.bytes() > UPDATE_BYTES_MAX;
        if full && at > start {
            parts.push(&upserts[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += one.bytes();
    }
    if start < upserts.len() {
        parts.push(&upserts[start..]);
    }
    parts
}

fn insert_outcome(failed: &mongodb::error::InsertManyError, asked: u64) -> Result<Tally, StoreError> {
    if let Some(error) = &failed.write_concern_error {
        return Err(unavailable(format!("no majority, code {}, {}", error.code, error.message)));
    }
    let errors = failed.write_errors.as_deref().unwrap_or_default();
    if let Some(error) = errors.iter().find(|error| error.code != DUPLICATE_KEY) {
        return Err(failure::of_code(error.code, &error.message));
    }
    let duplicate = errors.len() as u64;
    Ok(Tally { written: asked.saturating_sub(duplicate), duplicate, stale: 0 })
}

/// What an update command did.
pub(super) struct Updated {
    /// Documents replaced or inserted.
    pub(super) matched: u64,
    /// Which updates failed because their document is there.
    pub(super) duplicates: Vec<usize>,
}

#[derive(Deserialize)]
struct UpdateReply {
    n: f64,
    #[serde(rename = "writeErrors", default)]
    write_errors: Vec<UpdateError>,
    #[serde(rename = "writeConcernError")]
    write_concern_error: Option<UpdateError>,
}

#[derive(Deserialize)]
struct UpdateError {
    #[serde(default)]
    index: i64,
    code: i32,
    #[serde(rename = "errmsg", default)]
    message: String,
}

impl Updated {
    pub(super) fn of(reply: &Document) -> Result<Self, StoreError> {
        let reply: UpdateReply = bson::from_document(reply.clone())
            .map_err(|error| unavailable(format!("an unreadable reply to an update, {error}")))?;
        if let Some(error) = reply.write_concern_error {
            return Err(unavailable(format!("no majority, code {}, {}", error.code, error.message)));
        }
        let mut duplicates = Vec::new();
        for error in reply.write_errors {
            if error.code != DUPLICATE_KEY {
                return Err(failure::of_code(error.code, &error.message));
            }
            duplicates.push(usize::try_from(error.index).unwrap_or(usize::MAX));
        }
        Ok(Self { matched: reply.n as u64, duplicates })
    }
}
