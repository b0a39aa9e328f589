//! The store on a real MongoDB. Needs a sharded server at `QUIZ_MONGO__URI` (`scripts/stack up` has
//! one); each test has a database of its own there and drops it at its end.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{ErrorKind, WriteFailure};
use quiz_store::conformance::{self, Sample};
use quiz_store::mongo::{LayoutChange, MongoOptions, MongoStore, filter};
use quiz_store::{Collection, Store, StoreConfig, StoreError, Write};

const URI_VARIABLE: &str = "QUIZ_MONGO__URI";
const SEED: u64 = 20;

/// The server's code for a document that a validator refuses.
const DOCUMENT_VALIDATION_FAILURE: i32 = 121;

struct Fresh {
    store: MongoStore,
    uri: String,
    raw: mongodb::Database,
}

impl Fresh {
    /// A database that nobody has used.
    async fn database(test: &str) -> Self {
        let uri = std::env::var(URI_VARIABLE).unwrap_or_else(|_| {
            panic!("{URI_VARIABLE} is not set: scripts/stack up, then eval \"$(scripts/stack env)\"")
        });
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let name = format!("quiz_test_{test}_{}_{nanos}", std::process::id());
        let store = MongoStore::connect(&uri, &name, MongoOptions::default()).await.unwrap();
        let raw = mongodb::Client::with_uri_str(&uri).await.unwrap().database(&name);
        Self { store, uri, raw }
    }

    async fn laid_out(test: &str) -> Self {
        let fresh = Self::database(test).await;
        fresh.store.apply_layout(false).await.unwrap();
        fresh
    }

    async fn explain(&self, command: Document) -> Document {
        self.raw.run_command(doc! { "explain": command, "verbosity": "queryPlanner" }).await.unwrap()
    }

    async fn drop(self) {
        self.raw.drop().await.unwrap();
    }
}

/// A document of each collection, in the store.
async fn fill(store: &MongoStore, sample: &mut Sample) -> quiz_schemas::LaneKey {
    let lane = sample.lane();
    let player = sample.player();
    let writes = [
        Write::Answer(sample.answer(lane, 0, player)),
        Write::Lane(sample.lane_doc(lane, 5, 2)),
        Write::View(Box::new(sample.view_doc(lane.game, 5))),
        Write::Board(sample.board_doc(lane.game, 0)),
        Write::Standings(sample.standings_doc(lane, 0, 2)),
        Write::Ledger(sample.ledger_doc(lane.game, 0, 3)),
    ];
    store.write(&writes).await.unwrap();
    assert!(store.reserve_pin(&sample.pin_doc(i64::MAX / 2)).await.unwrap());
    lane
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongodb_conforms_and_both_shards_hold_documents() {
    let fresh = Fresh::laid_out("conforms").await;
    let config = StoreConfig::Mongo { uri: fresh.uri.clone(), database: fresh.store.database_name().into() };
    conformance::run(quiz_store::open(&config).await.unwrap(), SEED).await;

    let reports = fresh.store.describe_layout().await.unwrap();
    assert_eq!(reports.iter().map(|report| report.collection).collect::<Vec<_>>(), Collection::ALL);
    for report in reports {
        assert!(report.shard_key.is_some(), "{report:?}");
        assert!(report.shards.len() >= 2, "{report:?}");
        for share in &report.shards {
            assert!(share.chunks > 0 && share.documents > 0 && share.bytes > 0, "{report:?}");
        }
    }
    fresh.drop().await;
}

#[tokio::test]
async fn the_layout_is_applied_once() {
    let fresh = Fresh::database("layout").await;
    let planned = fresh.store.apply_layout(true).await.unwrap();
    assert_eq!(fresh.store.describe_layout().await.unwrap(), []);
    assert_eq!(fresh.store.apply_layout(false).await.unwrap(), planned);
    for collection in Collection::ALL {
        assert!(planned.contains(&LayoutChange::Created { collection }), "{planned:?}");
        let sharded = planned
            .iter()
            .any(|change| matches!(change, LayoutChange::Sharded { collection: found, .. } if *found == collection));
        assert!(sharded, "{collection}: {planned:?}");
    }
    assert_eq!(fresh.store.apply_layout(true).await.unwrap(), []);
    assert_eq!(fresh.store.apply_layout(false).await.unwrap(), []);

    // What somebody has changed by hand is put right.
    fresh.raw.run_command(doc! { "collMod": "views", "validator": {} }).await.unwrap();
    let changes = fresh.store.apply_layout(false).await.unwrap();
    assert_eq!(changes, [LayoutChange::ValidatorReplaced { collection: Collection::Views }]);
    assert_eq!(fresh.store.apply_layout(false).await.unwrap(), []);
    fresh.drop().await;
}

#[tokio::test]
async fn the_servers_free_expired_pins() {
    let fresh = Fresh::laid_out("ttl").await;
    let pins = fresh.raw.collection::<Document>("pins");
    let indexes: Vec<_> = pins.list_indexes().await.unwrap().try_collect().await.unwrap();
    let expiring: Vec<_> =
        indexes.iter().filter(|index| index.options.as_ref().is_some_and(|o| o.expire_after.is_some())).collect();
    assert_eq!(expiring.len(), 1, "{indexes:?}");
    assert_eq!(expiring[0].keys, doc! { "expires_at": 1 });
    fresh.drop().await;
}

/// Goal: each read and each guarded write goes to one shard, and there by an index (I10). Method: the
/// very filters that the store uses are explained, those of writes as reads: the shards that a
/// command goes to follow from its filter.
#[tokio::test]
async fn reads_and_writes_go_to_one_shard() {
    let fresh = Fresh::laid_out("targeted").await;
    let mut sample = Sample::new(SEED);
    let lane = fill(&fresh.store, &mut sample).await;
    let pin = sample.pin_doc(0).pin;
    let finds = [
        ("lanes", filter::lane(lane), doc! {}),
        ("standings", filter::lane(lane), doc! {}),
        ("views", filter::game(lane.game), doc! {}),
        ("boards", filter::board(lane.game, 3), doc! {}),
        ("answers", filter::answers(lane, 3), filter::answers_order()),
        ("pins", filter::pin(pin), doc! {}),
        // The guards of the writes.
        ("lanes", filter::older_lane(&sample.lane_doc(lane, 9, 1)), doc! {}),
        ("views", filter::older_view(&sample.view_doc(lane.game, 9)), doc! {}),
        ("boards", filter::any_board(&sample.board_doc(lane.game, 3)), doc! {}),
        ("standings", filter::older_standings(&sample.standings_doc(lane, 9, 1)), doc! {}),
        ("pins", filter::pin_expired(pin, 1), doc! {}),
    ];
    for (collection, filter, sort) in finds {
        let plan = fresh.explain(doc! { "find": collection, "filter": filter, "sort": sort }).await;
        let plan = plan.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap();
        assert_eq!(plan.get_str("stage"), Ok("SINGLE_SHARD"), "{collection}: {plan}");
        assert_eq!(plan.get_array("shards").unwrap().len(), 1, "{collection}: {plan}");
        let text = plan.to_string();
        assert!(!text.contains("\"COLLSCAN\""), "{collection} reads all documents: {plan}");
        assert!(!text.contains("\"SORT\""), "{collection} sorts in memory: {plan}");
    }
    fresh.drop().await;
}

/// Goal: the server itself refuses a document that lacks a field, or has one of a wrong type, in
/// every collection. Method: what the store wrote is spoilt field by field and inserted again.
#[tokio::test]
async fn a_malformed_document_is_refused() {
    let fresh = Fresh::laid_out("validators").await;
    fill(&fresh.store, &mut Sample::new(SEED)).await;
    for collection in Collection::ALL {
        let raw = fresh.raw.collection::<Document>(collection.name());
        let good = raw.find_one(doc! {}).await.unwrap().expect("a document");
        let mut spoilt = Vec::new();
        for field in good.keys() {
            let mut without = good.clone();
            without.remove(field);
            spoilt.push((field, without));
            let mut wrong = good.clone();
            wrong.insert(field, Bson::Boolean(true));
            spoilt.push((field, wrong));
        }
        for (field, document) in spoilt {
            let refused = raw.insert_one(document).await.expect_err(&format!("{collection}.{field}"));
            let code = match refused.kind.as_ref() {
                ErrorKind::Write(WriteFailure::WriteError(error)) => error.code,
                other => panic!("{collection}.{field}: {other:?}"),
            };
            assert_eq!(code, DOCUMENT_VALIDATION_FAILURE, "{collection}.{field}");
        }
    }
    fresh.drop().await;
}

/// Goal: a document that does not read is told as such, and a write that the server refuses is not
/// told as an outage, which a caller would retry for ever.
#[tokio::test]
async fn a_bad_document_and_a_refusal_are_told_apart_from_an_outage() {
    let fresh = Fresh::laid_out("errors").await;
    let mut sample = Sample::new(SEED);
    let lane = fill(&fresh.store, &mut sample).await;
    let views = fresh.raw.collection::<Document>("views");
    fresh.raw.run_command(doc! { "collMod": "views", "validator": {} }).await.unwrap();
    views.update_one(filter::game(lane.game), doc! { "$set": { "view": 1 } }).await.unwrap();
    let found = fresh.store.view(lane.game).await;
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");

    let refuse_all = doc! { "$jsonSchema": { "required": ["no_such_field"] } };
    for collection in ["lanes", "answers"] {
        fresh.raw.run_command(doc! { "collMod": collection, "validator": refuse_all.clone() }).await.unwrap();
    }
    let player = sample.player();
    for write in [Write::Lane(sample.lane_doc(lane, 99, 1)), Write::Answer(sample.answer(lane, 1, player))] {
        let refused = fresh.store.write(&[write]).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
    let store: Arc<dyn Store> = Arc::new(fresh.store.clone());
    store.ping().await.unwrap();
    fresh.drop().await;
}
