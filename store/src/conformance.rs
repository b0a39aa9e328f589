//! The suite that every store passes. It knows only the interface: a store is right when it does
//! what the naive [`Model`] does.
//!
//! Each case works on games of its own, drawn from the seed, so that a store which holds the
//! documents of earlier runs will do.

mod cases;
mod interleaving;
mod model;
mod sample;

use std::future::Future;
use std::pin::Pin as Pinned;
use std::sync::Arc;

use crate::Store;

pub use model::Model;
pub use sample::Sample;

type Case = fn(Arc<dyn Store>, Sample) -> Pinned<Box<dyn Future<Output = ()> + Send>>;

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((stringify!($name), |store, sample| Box::pin($module::$name(store, sample)))),*]
    };
}

const CASES: &[(&str, Case)] = cases![
    cases::nothing_is_found_in_an_empty_store,
    cases::an_answer_inserted_twice_is_stored_once,
    cases::an_older_lane_does_not_replace_a_newer_one,
    cases::an_older_view_does_not_replace_a_newer_one,
    cases::older_standings_do_not_replace_newer_ones,
    cases::of_writers_at_once_the_newest_wins,
    cases::a_board_is_replaced,
    cases::older_books_do_not_replace_newer_ones,
    cases::one_call_may_repeat_a_document,
    cases::a_call_is_bounded,
    cases::answers_come_by_lane_and_question_and_player,
    cases::lanes_come_in_the_order_asked_for,
    cases::a_pin_is_held_by_one_game_until_it_expires,
    cases::of_games_that_want_a_pin_one_gets_it,
    cases::a_big_lane_survives,
    cases::any_text_and_any_number_survives,
    interleaving::random_writes_end_where_the_model_does,
    interleaving::random_writes_at_once_end_where_the_model_does,
];

/// Runs every case on `store`; prints the names and the seed. Panics at the first that fails.
pub async fn run(store: Arc<dyn Store>, seed: u64) {
    println!("conformance seed {seed}");
    for (at, (name, case)) in CASES.iter().enumerate() {
        println!("conformance case {name}");
        store.ping().await.expect("the store answers");
        case(Arc::clone(&store), Sample::new(seed.wrapping_add(at as u64))).await;
    }
}
