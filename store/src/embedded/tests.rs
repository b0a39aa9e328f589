//! The embedded store: the suite, and what is its own, the file.

use std::sync::Arc;

use super::{EmbeddedStore, FILE_NAME};
use crate::conformance::{self, Sample};
use crate::documents::Write;
use crate::{Store, StoreError};

const SEED: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&dir.path().join("made/when/missing")).await.unwrap();
    conformance::run(Arc::new(store), SEED).await;
}

/// Goal: what was reported written is there after the file is closed and opened, versions too.
#[tokio::test]
async fn what_is_written_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new(SEED);
    let lane = sample.lane();
    let [old, new] = [1, 2].map(|offset| sample.lane_doc(lane, offset, 3));
    let answer = sample.answer(lane, 1, sample.clone().player());
    {
        let store = EmbeddedStore::open(dir.path()).await.unwrap();
        store.write(&[Write::Lane(new.clone()), Write::Answer(answer.clone())]).await.unwrap();
    }
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    store.write(&[Write::Lane(old), Write::Answer(answer.clone())]).await.unwrap();
    assert_eq!(store.lanes(&[lane]).await, Ok(vec![Some(new)]));
    assert_eq!(store.answers(lane, 1).await, Ok(vec![answer]));
}

#[tokio::test]
async fn a_file_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let _first = EmbeddedStore::open(dir.path()).await.unwrap();
    let second = EmbeddedStore::open(dir.path()).await.map(|_| ());
    assert!(matches!(second, Err(StoreError::Unavailable(_))), "{second:?}");
}

#[tokio::test]
async fn a_file_of_another_kind_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, b"not a store").unwrap();
    let opened = EmbeddedStore::open(dir.path()).await.map(|_| ());
    assert!(opened.is_err(), "{opened:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"not a store");
}

/// Goal: callers that do not wait for each other share transactions and all get their answer, more
/// of them than the writer's queue takes too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_are_all_answered() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(dir.path()).await.unwrap());
    let mut sample = Sample::new(SEED);
    let lane = sample.lane();
    let answers: Vec<_> = (0..300)
        .map(|_| {
            let player = sample.player();
            sample.answer(lane, 0, player)
        })
        .collect();
    let calls = answers.iter().cloned().map(|answer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.write(&[Write::Answer(answer)]).await })
    });
    for call in futures::future::join_all(calls).await {
        assert_eq!(call.unwrap(), Ok(()));
    }
    assert_eq!(store.answers(lane, 0).await.unwrap().len(), 300);
}
