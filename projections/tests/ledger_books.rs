//! Goal: a planted loss of each kind is found with its ids, nothing is found where nothing is wrong,
//! whatever the order in which the topics are read and however often records are repeated. Method: a
//! naive world of edges, lanes, log and store that says what is true; random timelines of its records,
//! each topic in its order, the topics interleaved as they like, batches cut anywhere.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

mod parties;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use quiz_projections::ledger::{Doc, EDGE_WAIT_US, Key, LINGER_US, LedgerProjection, OVER_US_MAX, SETTLE_US};
use quiz_schemas::events::*;
use quiz_schemas::{AnyEvent, SubmissionId, Topic};
use quiz_store::{LedgerDoc, Write};
use quiz_stream::{Output, Processor, Record};

use parties::{Fact, Plant, QUESTION, START_US, Telling, Truth, Word, World, dice};

/// The loop, in short: loads what is needed, applies, ticks.
struct Loop<'a> {
    world: &'a World,
    /// What the store holds of the ledger as it starts.
    stored: Vec<LedgerDoc>,
    state: <LedgerProjection as Processor>::State,
    now_us: i64,
    told: Vec<LedgerRecord>,
}

impl<'a> Loop<'a> {
    fn new(world: &'a World) -> Self {
        Self { world, stored: Vec::new(), state: LedgerProjection.start(0), now_us: START_US, told: Vec::new() }
    }

    /// Another member, which begins anew where this one leaves the store.
    fn successor(&self) -> Self {
        let question = QUESTION;
        let stored = vec![LedgerDoc { game: self.world.game, question, ledger: self.last() }];
        Self { stored, now_us: self.now_us, ..Self::new(self.world) }
    }

    fn supply(&mut self, batch: &[Record]) {
        let keys = LedgerProjection.needs(&self.state, batch);
        let load = |key: &Key| match *key {
            Key::Books(game) => Doc::Books(game, self.stored.clone()),
            _ => self.world.load(key),
        };
        let docs = keys.iter().map(load).collect();
        LedgerProjection.supply(&mut self.state, docs);
    }

    fn take(&mut self, output: Output<Write>) {
        assert!(output.dead.is_empty() && output.announce.is_empty());
        assert_eq!(output.produce.len(), output.write.len());
        for (event, write) in output.produce.into_iter().zip(output.write) {
            let (AnyEvent::Ledger(record), Write::Ledger(doc)) = (event, write) else { panic!("not books") };
            let LedgerBody::QuestionLedger(ledger) = &record.body else { panic!("not books") };
            assert_eq!((&doc.ledger, doc.question), (ledger, record.question));
            self.told.push(record);
        }
    }

    fn apply(&mut self, batch: &[Record]) {
        self.supply(batch);
        let output = LedgerProjection.apply(&mut self.state, batch, self.now_us);
        self.take(output);
        self.ticks();
    }

    /// All ticks that are due.
    fn ticks(&mut self) {
        for _ in 0..100 {
            if LedgerProjection.next_tick_us(&self.state).is_none_or(|at_us| at_us > self.now_us) {
                return;
            }
            self.supply(&[]);
            let output = LedgerProjection.tick(&mut self.state, self.now_us);
            self.take(output);
        }
        panic!("it ticks for ever");
    }

    fn pass(&mut self, us: i64) {
        self.now_us += us;
        self.ticks();
    }

    fn last(&self) -> QuestionLedger {
        let LedgerBody::QuestionLedger(ledger) = self.told.last().expect("books were told").body.clone() else {
            panic!("not books")
        };
        ledger
    }

    /// Takes one more event as a batch of its own.
    fn take_later(&mut self, event: AnyEvent) {
        let topic = event.topic();
        self.apply(&[Record { topic, partition: 0, offset: 1_000, appended_at_us: START_US, event }]);
    }
}

/// What the books say.
fn found(ledger: &QuestionLedger) -> Truth {
    let ids = |kind| -> BTreeSet<SubmissionId> {
        ledger.suspects.iter().filter(|suspect| suspect.kind == kind).map(|suspect| suspect.submission).collect()
    };
    Truth {
        state: ledger.state,
        lost: ids(Imbalance::Lost),
        unstored: ids(Imbalance::Unstored),
        phantom: ids(Imbalance::Phantom),
        unclaimed: ledger.unclaimed,
    }
}

/// The records in a random order that keeps each topic's own, some repeated, cut into batches.
fn timeline(world: &World, seed: &mut u64) -> Vec<Vec<Record>> {
    let mut topics = BTreeMap::from([
        (Topic::Sessions, world.sessions()),
        (Topic::Scores, world.scores()),
        (Topic::Tallies, world.tallies()),
    ]);
    let mut offsets: BTreeMap<Topic, i64> = BTreeMap::new();
    let mut batches = vec![Vec::new()];
    while !topics.is_empty() {
        let topic = *topics.keys().nth(dice(seed) as usize % topics.len()).unwrap();
        let left = topics.get_mut(&topic).unwrap();
        if left.is_empty() {
            topics.remove(&topic);
            continue;
        }
        let event = left.remove(0);
        // An at-least-once writer appends again; the session worker, which is transactional, does not.
        let times = if topic != Topic::Sessions && dice(seed).is_multiple_of(4) { 2 } else { 1 };
        for _ in 0..times {
            let offset = offsets.entry(topic).or_insert(0);
            let record =
                Record { topic, partition: 0, offset: *offset, appended_at_us: START_US, event: event.clone() };
            *offset += 1;
            batches.last_mut().unwrap().push(record);
        }
        if dice(seed).is_multiple_of(3) {
            batches.push(Vec::new());
        }
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

#[test]
fn when_results_reached_sockets_begins_no_game() {
    let world = World::new(&mut 7, Plant::Nothing, Word::Whole);
    let batches = timeline(&world, &mut 7);
    let delivered = |record: &&Record| matches!(&record.event, AnyEvent::Tallies(tally) if matches!(tally.body, TalliesBody::EdgeDelivered(_)));
    let batch: Vec<Record> = batches.iter().flatten().filter(delivered).cloned().collect();
    let mut run = Loop::new(&world);
    run.apply(&batch);
    assert_eq!((batch.is_empty(), run.state.games(), run.told.len()), (false, 0, 0));
}

fn play(plant: Plant, word: Word, seed: u64) -> Result<(), TestCaseError> {
    let mut seed = seed | 1;
    let world = World::new(&mut seed, plant, word);
    let batches = timeline(&world, &mut seed);
    let mut run = Loop::new(&world);
    for batch in &batches {
        run.apply(batch);
        run.pass(dice(&mut seed) as i64 % 50_000);
    }
    let early = run.told.iter().any(|record| match &record.body {
        LedgerBody::QuestionLedger(ledger) => ledger.state == LedgerState::Imbalanced,
        LedgerBody::Unknown => true,
    });
    prop_assert!(!early, "an imbalance was told before everybody could have told");
    [SETTLE_US, EDGE_WAIT_US].into_iter().for_each(|us| run.pass(us));
    let (ledger, truth) = (run.last(), world.truth(plant));
    prop_assert_eq!(&found(&ledger), &truth);
    prop_assert!(plant != Plant::Lost || run.state.ids() > 0, "books that never agreed hold their ids");
    let counts = [&truth.lost, &truth.unstored, &truth.phantom].map(|ids| ids.len() as i64);
    prop_assert_eq!([ledger.lost, ledger.unstored, ledger.phantom], counts);
    prop_assert_eq!(ledger.lanes.stored, world.facts.iter().filter(|fact| fact.stored).count() as i64);
    prop_assert_eq!(ledger.edges.silent > 0, word == Word::Silent && truth.unclaimed > 0);

    // A successor reads it all again, or, of a game that was done, only a part: it tells nothing new.
    let part = [Topic::Sessions, Topic::Scores, Topic::Tallies][dice(&mut seed) as usize % 3];
    for missing in [None, Some(part)] {
        let mut next = run.successor();
        for batch in &batches {
            let batch: Vec<Record> = batch.iter().filter(|record| Some(record.topic) != missing).cloned().collect();
            next.apply(&batch);
        }
        [SETTLE_US, EDGE_WAIT_US].into_iter().for_each(|us| next.pass(us));
        prop_assert!(next.told.is_empty(), "without {:?} it tells {:?}", missing, next.told);
    }

    // Once more from the start: nothing changes, and nothing is told again.
    let told = run.told.len();
    for batch in &batches {
        run.apply(batch);
    }
    run.pass(SETTLE_US + EDGE_WAIT_US);
    prop_assert_eq!(run.told.len(), told, "what is read twice is told once");
    prop_assert_eq!(LedgerProjection.commit_point(&run.state, Topic::Sessions, 99), 0, "a successor reads it all");
    run.pass(LINGER_US);
    let awaited = word == Word::CutOff && truth.unclaimed > 0;
    prop_assert_eq!(run.state.games(), usize::from(awaited), "a game that is over waits for what is to come");
    run.pass(OVER_US_MAX);
    prop_assert_eq!(run.state.games(), 0, "a game that is over is forgotten");
    prop_assert_eq!(LedgerProjection.commit_point(&run.state, Topic::Sessions, 99), 99);
    Ok(())
}

/// A world whose books agree without a comparison. An edge of `silent` has players, and tells nothing.
fn agreeing(seed: &mut u64, silent: Option<usize>) -> World {
    let mut world = World::new(seed, Plant::Nothing, Word::Whole);
    world.facts.retain(|fact| fact.acked);
    for fact in &mut world.facts {
        let heard = silent != Some(fact.edge);
        let scored = heard && fact.scored;
        *fact = Fact { acked: heard, times: u8::from(heard), scored, stored: scored, ..fact.clone() };
    }
    world.dead.extend(silent);
    world
}

/// The books agree, and what they held is let go; then more happens.
fn play_on(plant: Plant, from_silence: bool, seed: u64) -> Result<(), TestCaseError> {
    let mut seed = seed | 1;
    let teller = 0;
    let before = agreeing(&mut seed, from_silence.then_some(teller));
    let mut after = World { dead: BTreeSet::new(), ..before.clone() };
    if let Some(last) = after.facts.iter_mut().rfind(|fact| fact.lane == 0 && fact.times > 0) {
        // The client library appended it anew.
        last.times += u8::from(dice(&mut seed).is_multiple_of(2));
    }
    after.plant(&mut seed, plant);

    let mut run = Loop::new(&before);
    for batch in timeline(&before, &mut seed) {
        run.apply(&batch);
    }
    [SETTLE_US, EDGE_WAIT_US].into_iter().for_each(|us| run.pass(us));
    prop_assert_eq!((run.last().state, run.state.ids()), (LedgerState::Balanced, 0), "agreed books hold no ids");

    run.world = &after;
    run.take_later(after.counted_on(0));
    let mine: Vec<&Fact> = after.facts.iter().filter(|fact| fact.edge == teller).collect();
    if plant != Plant::Phantom || dice(&mut seed).is_multiple_of(2) {
        let last = plant == Plant::Phantom || dice(&mut seed).is_multiple_of(2);
        let parts = after.tally(&after.edges[teller], Telling { question: QUESTION, version: 3, last }, &mine, false);
        parts.into_iter().for_each(|part| run.take_later(part));
    }
    [SETTLE_US, EDGE_WAIT_US].into_iter().for_each(|us| run.pass(us));
    prop_assert_eq!(&found(&run.last()), &after.truth(plant));
    Ok(())
}

/// An answer from nowhere is unclaimed while its edge may tell more, and found when it has told its last word,
/// be it of another question.
fn play_out(of_another_question: bool, seed: u64) -> Result<(), TestCaseError> {
    let mut seed = seed | 1;
    let mut world = World::new(&mut seed, Plant::Phantom, Word::Whole);
    let edge = world.facts.last().expect("it was planted last").edge;
    let mine: Vec<Fact> = world.facts.iter().filter(|fact| fact.edge == edge).cloned().collect();
    let mine: Vec<&Fact> = mine.iter().collect();
    world.dead.insert(edge);
    let mut run = Loop::new(&world);
    for batch in timeline(&world, &mut seed) {
        run.apply(&batch);
    }
    let name = &world.edges[edge];
    let first = Telling { question: QUESTION, version: 1, last: false };
    world.tally(name, first, &mine, false).into_iter().for_each(|part| run.take_later(part));
    [SETTLE_US, EDGE_WAIT_US, LINGER_US].into_iter().for_each(|us| run.pass(us));
    let ledger = run.last();
    prop_assert_eq!((ledger.state, ledger.unclaimed, ledger.phantom), (LedgerState::Balanced, 1, 0));

    let last = if of_another_question {
        world.tally(name, Telling { question: QUESTION + 1, version: 1, last: true }, &[], false)
    } else {
        world.tally(name, Telling { question: QUESTION, version: 2, last: true }, &mine, false)
    };
    last.into_iter().for_each(|part| run.take_later(part));
    [SETTLE_US, EDGE_WAIT_US].into_iter().for_each(|us| run.pass(us));
    let heard = World { dead: BTreeSet::new(), ..world.clone() };
    prop_assert_eq!(&found(&run.last()), &heard.truth(Plant::Phantom));
    prop_assert_eq!((run.last().phantom, run.last().unclaimed), (1, 0));
    Ok(())
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![Just(Word::Whole), Just(Word::Silent), Just(Word::CutOff)]
}

proptest! {
    #[test]
    fn agreed_books_stay_closed_when_nothing_is_wrong(seed: u64, from_silence: bool) {
        play_on(Plant::Nothing, from_silence, seed)?;
    }

    #[test]
    fn a_loss_that_is_told_behind_agreed_books_is_found(seed: u64, from_silence: bool) {
        play_on(Plant::Lost, from_silence, seed)?;
    }

    #[test]
    fn an_answer_behind_agreed_books_that_is_not_stored_is_found(seed: u64) {
        play_on(Plant::Unstored, false, seed)?;
    }

    #[test]
    fn an_answer_from_nowhere_behind_agreed_books_is_found(seed: u64) {
        play_on(Plant::Phantom, false, seed)?;
    }

    #[test]
    fn nothing_is_found_where_nothing_is_wrong(seed: u64) {
        play(Plant::Nothing, Word::Whole, seed)?;
    }

    #[test]
    fn a_dead_edge_is_no_imbalance(seed: u64) {
        play(Plant::Nothing, Word::Silent, seed)?;
    }

    #[test]
    fn an_edge_whose_last_word_is_not_heard_is_no_imbalance(seed: u64) {
        play(Plant::Nothing, Word::CutOff, seed)?;
    }

    #[test]
    fn an_answer_from_nowhere_is_found_with_its_edges_last_word(seed: u64, of_another_question: bool) {
        play_out(of_another_question, seed)?;
    }

    #[test]
    fn a_lost_answer_is_found(seed: u64) {
        play(Plant::Lost, Word::Whole, seed)?;
    }

    #[test]
    fn an_answer_that_is_not_stored_is_found(seed: u64, word in word()) {
        play(Plant::Unstored, word, seed)?;
    }

    #[test]
    fn a_stored_answer_that_was_not_scored_is_found(seed: u64, word in word()) {
        play(Plant::Unscored, word, seed)?;
    }

    #[test]
    fn an_answer_from_nowhere_is_found(seed: u64) {
        play(Plant::Phantom, Word::Whole, seed)?;
    }

    #[test]
    fn numbers_that_do_not_add_up_are_found(seed: u64) {
        play(Plant::Miscounted, Word::Whole, seed)?;
    }
}
