//! What can be known of the store in MongoDB without one. `tests/store_mongo.rs` of the root package
//! has the rest.

use std::time::{Duration, Instant};

use mongodb::bson::{self, Bson, Document, doc};
use proptest::prelude::*;
use tokio::net::TcpListener;

use super::validators::validator;
use super::write::{Updated, Upsert, split};
use super::{MongoOptions, MongoStore, failure, filter, shape};
use crate::conformance::Sample;
use crate::documents::{AnswerDoc, BoardDoc, LaneDoc, PinDoc, StandingsDoc, ViewDoc};
use crate::{Collection, StoreError};

const SEED: u64 = 20;

/// Goal: a server that takes connections and says nothing is unavailable, and soon.
#[tokio::test]
async fn a_silent_server_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    let options = MongoOptions {
        connect_timeout: Duration::from_millis(200),
        server_selection_timeout: Duration::from_millis(300),
        command_timeout: Duration::from_millis(500),
        ..MongoOptions::default()
    };
    let started = Instant::now();
    let uri = format!("mongodb://127.0.0.1:{port}/");
    let outcome = MongoStore::connect(&uri, "quiz", options).await.map(|_| ());
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    silent.abort();
}

#[tokio::test]
async fn a_bad_uri_is_refused() {
    for uri in ["", "localhost:27017", "mongodb://", "mongodb://h/?w=-1"] {
        let outcome = MongoStore::connect(uri, "quiz", MongoOptions::default()).await.map(|_| ());
        assert!(matches!(outcome, Err(StoreError::Refused(_))), "{uri}: {outcome:?}");
    }
}

#[test]
fn only_a_fault_of_the_command_is_a_refusal() {
    // DocumentValidationFailure, Unauthorized, BSONObjectTooLarge.
    for code in [121, 13, 10_334] {
        assert!(matches!(failure::of_code(code, ""), StoreError::Refused(_)), "{code}");
    }
    // WriteConcernFailed, NotWritablePrimary, MaxTimeMSExpired, StaleConfig, HostUnreachable, and one
    // that no server has yet.
    for code in [64, 10_107, 50, 13_388, 6, 999_999] {
        assert!(matches!(failure::of_code(code, ""), StoreError::Unavailable(_)), "{code}");
    }
}

#[test]
fn an_update_is_done_only_when_a_majority_has_it() {
    let done = Updated::of(&doc! { "n": 3, "nModified": 2, "ok": 1.0 }).unwrap();
    assert_eq!((done.matched, done.duplicates), (3, vec![]));
    let duplicates = [11_000, 11_000].map(|code| doc! { "index": 4, "code": code, "errmsg": "E11000" });
    let some = Updated::of(&doc! { "n": 1_i64, "writeErrors": duplicates.to_vec() }).unwrap();
    assert_eq!((some.matched, some.duplicates), (1, vec![4, 4]));

    let unknown = [
        doc! { "n": 1, "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } },
        doc! { "n": 0, "writeErrors": [{ "index": 0, "code": 10_107, "errmsg": "not primary" }] },
        doc! { "ok": 1.0 },
    ];
    for reply in unknown {
        let outcome = Updated::of(&reply).map(|_| ());
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{reply}: {outcome:?}");
    }
    let refused = doc! { "n": 0, "writeErrors": [{ "index": 0, "code": 121, "errmsg": "failed validation" }] };
    assert!(matches!(Updated::of(&refused).map(|_| ()), Err(StoreError::Refused(_))));
}

/// One document of each collection, as it is stored, and what it reads as again.
fn stored(sample: &mut Sample) -> Vec<(Collection, Document)> {
    let (lane, player) = (sample.lane(), sample.player());
    let answer = sample.answer(lane, 7, player);
    let lane_doc = sample.lane_doc(lane, 1 << 40, 3);
    let view = sample.view_doc(lane.game, 9);
    let board = sample.board_doc(lane.game, 7);
    let standings = sample.standings_doc(lane, 7, 3);
    let pin = sample.pin_doc(1_234_567_890_123_456);
    let documents = vec![
        (Collection::Answers, bson::to_document(&shape::Answer::from(&answer)).unwrap()),
        (Collection::Lanes, bson::to_document(&shape::Lane::from(&lane_doc)).unwrap()),
        (Collection::Views, bson::to_document(&shape::View::from(&view)).unwrap()),
        (Collection::Boards, bson::to_document(&shape::Board::from(&board)).unwrap()),
        (Collection::Standings, bson::to_document(&shape::Standings::from(&standings)).unwrap()),
        (Collection::Pins, bson::to_document(&shape::Reservation::from(&pin)).unwrap()),
    ];
    let read = |at: usize| documents[at].1.clone();
    let back: shape::Answer = bson::from_document(read(0)).unwrap();
    assert_eq!(AnswerDoc::try_from(back), Ok(answer));
    assert_eq!(LaneDoc::from(bson::from_document::<shape::Lane>(read(1)).unwrap()), lane_doc);
    assert_eq!(ViewDoc::from(bson::from_document::<shape::View>(read(2)).unwrap()), view);
    assert_eq!(BoardDoc::from(bson::from_document::<shape::Board>(read(3)).unwrap()), board);
    assert_eq!(StandingsDoc::from(bson::from_document::<shape::Standings>(read(4)).unwrap()), standings);
    assert_eq!(PinDoc::from(bson::from_document::<shape::Reservation>(read(5)).unwrap()), pin);
    documents
}

/// Goal: what is stored reads as what was written, and the validator of its collection knows each of
/// its fields and no other.
#[test]
fn a_stored_document_reads_back_and_is_all_in_its_schema() {
    for seed in 0..50 {
        for (collection, document) in stored(&mut Sample::new(seed)) {
            let schema = validator(collection);
            let schema = schema.get_document("$jsonSchema").unwrap();
            let mut fields: Vec<&str> = document.keys().map(String::as_str).collect();
            let mut required: Vec<&str> =
                schema.get_array("required").unwrap().iter().filter_map(Bson::as_str).collect();
            fields.sort_unstable();
            required.sort_unstable();
            assert_eq!(fields, required, "{collection}, seed {seed}");
        }
    }
}

/// Goal: a PIN is not freed by the server before it expires. The date has milliseconds only.
#[test]
fn the_date_of_a_reservation_is_not_before_its_end() {
    let mut sample = Sample::new(SEED);
    for expires_at_us in [0, 1, 999, 1_000, 1_001, -1, 1_700_000_000_123_456] {
        let document = bson::to_document(&shape::Reservation::from(&sample.pin_doc(expires_at_us))).unwrap();
        let date_us = document.get_datetime("expires_at").unwrap().timestamp_millis() * 1_000;
        assert!((expires_at_us..=expires_at_us + 1_000).contains(&date_us), "{expires_at_us}: {date_us}");
    }
}

/// Goal: each filter names the shard key of its collection by value.
#[test]
fn a_filter_names_the_shard_key() {
    let mut sample = Sample::new(SEED);
    let lane = sample.lane();
    for filter in [filter::lane(lane), filter::answers(lane, 1), filter::older_lane(&sample.lane_doc(lane, 1, 0))] {
        assert_eq!(filter.get_str("lane"), Ok(lane.to_string().as_str()), "{filter}");
    }
    let game = lane.game.to_string();
    for filter in
        [filter::game(lane.game), filter::board(lane.game, 1), filter::older_view(&sample.view_doc(lane.game, 1))]
    {
        assert_eq!(filter.get_str("game"), Ok(game.as_str()), "{filter}");
    }
}

proptest! {
    /// Goal: cutting loses nothing, keeps the order, and each command is within both limits, unless
    /// it is one document.
    #[test]
    fn updates_are_cut_into_commands_within_limits(sizes in prop::collection::vec(1..4_000_000usize, 0..20), small in 0..2_500usize) {
        let mut sizes = sizes;
        sizes.extend(std::iter::repeat_n(1, small));
        let upserts: Vec<Upsert> = sizes
            .iter()
            .enumerate()
            .map(|(at, &size)| {
                let replacement = doc! { "at": at as i64, "filler": "x".repeat(size) };
                Upsert::new(Collection::Lanes, &doc! { "_id": at as i64 }, &replacement).unwrap()
            })
            .collect();
        let parts = split(&upserts);
        let lengths: usize = parts.iter().map(|part| part.len()).sum();
        prop_assert_eq!(lengths, upserts.len());
        let mut at = 0;
        for part in parts {
            prop_assert!(std::ptr::eq(&part[0], &upserts[at]));
            at += part.len();
            let bytes: usize = part.iter().map(Upsert::bytes).sum();
            prop_assert!(part.len() == 1 || (part.len() <= 1_000 && bytes <= 8 << 20), "{} documents, {bytes} bytes", part.len());
        }
    }
}

#[test]
fn a_document_that_no_server_takes_is_refused_before_it_is_sent() {
    let outcome = Upsert::new(Collection::Lanes, &doc! {}, &doc! { "filler": "x".repeat(16 << 20) }).map(|_| ());
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
}
