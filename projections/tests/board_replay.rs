//! Goal: whatever the interleaving of the two topics and wherever the projection crashes, the edges
//! come to see the same durable results, with exact ranks and no key before its board. Method:
//! random games (see `world`); one run that reads in the order of time, and one that reads in random
//! batches, loses appends, writes and commits, and starts again from its commit points.

mod world;

use proptest::prelude::*;
use quiz_game::view::{Folded, GameView};
use quiz_projections::BoardProjection;
use quiz_projections::board::{COUNTED_INTERVAL_US, Partition};
use quiz_schemas::events::*;
use quiz_schemas::{AnyEvent, GameId, PlayerId, Position, QuestionNo, Topic};
use quiz_store::{ViewDoc, Write};
use quiz_stream::{Output, Processor, Record};
use std::collections::{BTreeMap, BTreeSet};
use world::{Dice, World, canary};

const TOPICS: [Topic; 2] = [Topic::Sessions, Topic::Scores];

/// What a run leaves behind.
#[derive(Default)]
struct Run {
    /// The results topic's partition.
    results: Vec<ResultsRecord>,
    /// Every write, in order.
    writes: Vec<Write>,
    dead: usize,
    /// When each game was told a count.
    counted: Vec<(GameId, i64)>,
    crashes: usize,
}

/// One member of the group and the broker's side of it.
struct Member<'a> {
    world: &'a World,
    state: Partition,
    next: [usize; 2],
    committed: [usize; 2],
    now_us: i64,
    run: Run,
}

impl<'a> Member<'a> {
    fn new(world: &'a World) -> Self {
        let state = BoardProjection.start(3);
        Self { world, state, next: [0; 2], committed: [0; 2], now_us: 5_000_000, run: Run::default() }
    }

    fn left(&self, topic: usize) -> usize {
        self.world.log(TOPICS[topic]).len() - self.next[topic]
    }

    fn is_done(&self) -> bool {
        self.left(0) + self.left(1) == 0
    }

    fn take(&mut self, batch: &[Record]) -> Output<Write> {
        for record in batch {
            let topic = TOPICS.iter().position(|&topic| topic == record.topic).expect("the topics that it reads");
            self.next[topic] = record.offset as usize + 1;
        }
        let output = BoardProjection.apply(&mut self.state, batch, self.now_us);
        self.note_counts(&output);
        output
    }

    fn note_counts(&mut self, output: &Output<Write>) {
        for event in &output.produce {
            if let AnyEvent::Results(ResultsRecord { game, body: ResultsBody::AnswersCounted(_), .. }) = event {
                self.run.counted.push((*game, self.now_us));
            }
        }
    }

    /// Carries out an output; a crash stops it after `appends` appends, or before the writes.
    fn flush(&mut self, mut output: Output<Write>, appends: Option<usize>) {
        let mut positions = Vec::new();
        for event in output.produce.iter().take(appends.unwrap_or(usize::MAX)) {
            let AnyEvent::Results(record) = event else { panic!("only results are produced") };
            positions.push(Position { partition: 3, offset: self.run.results.len() as i64 });
            self.run.results.push(record.clone());
        }
        if appends.is_some() {
            return;
        }
        for write in &mut output.write {
            BoardProjection.appended(write, &positions);
        }
        self.run.writes.append(&mut output.write);
        self.run.dead += output.dead.len();
    }

    fn commit(&mut self) {
        for (at, topic) in TOPICS.into_iter().enumerate() {
            let point = BoardProjection.commit_point(&self.state, topic, self.next[at] as i64) as usize;
            assert!(point >= self.committed[at], "a commit point never goes back");
            self.committed[at] = point;
        }
    }

    fn crash(&mut self) {
        self.state = BoardProjection.start(3);
        self.next = self.committed;
        self.run.crashes += 1;
        // A successor takes a while; its clock is not behind.
        self.now_us += COUNTED_INTERVAL_US;
    }

    fn tick(&mut self) {
        if BoardProjection.next_tick_us(&self.state).is_some_and(|due_us| due_us <= self.now_us) {
            let output = BoardProjection.tick(&mut self.state, self.now_us);
            self.note_counts(&output);
            self.flush(output, None);
        }
    }
}

/// Reads in the order of time, one record at a time, and never crashes.
fn plain_run(world: &World) -> Run {
    let mut member = Member::new(world);
    let mut records: Vec<Record> = world.sessions.iter().chain(&world.scores).cloned().collect();
    records.sort_by_key(|record| record.appended_at_us);
    for record in records {
        member.now_us = record.appended_at_us;
        let output = member.take(std::slice::from_ref(&record));
        member.flush(output, None);
        member.tick();
    }
    member.run
}

fn random_batch(member: &Member<'_>, dice: &mut Dice) -> Vec<Record> {
    let mut take = [0, 1].map(|topic| dice.below(12).min(member.left(topic) as u64) as usize);
    // Now and then one topic is far behind the other.
    if dice.one_in(3) {
        take[dice.below(2) as usize] = 0;
    }
    let mut batch = Vec::new();
    for (at, topic) in TOPICS.into_iter().enumerate() {
        batch.extend_from_slice(&member.world.log(topic)[member.next[at]..][..take[at]]);
    }
    // The topics interleave in a batch, each in its order.
    for at in (1..batch.len()).rev() {
        let other = at - 1;
        if batch[at].topic != batch[other].topic && dice.one_in(2) {
            batch.swap(at, other);
        }
    }
    batch
}

fn rough_run(world: &World, dice: &mut Dice) -> Run {
    let mut member = Member::new(world);
    let mut crashes_left = dice.below(6);
    while !member.is_done() {
        member.now_us += dice.below(120_000) as i64;
        let batch = random_batch(&member, dice);
        let output = member.take(&batch);
        let crash = crashes_left > 0 && dice.one_in(5);
        if crash {
            crashes_left -= 1;
            let appends = dice.below(output.produce.len() as u64 + 1) as usize;
            member.flush(output, Some(appends));
            member.crash();
            continue;
        }
        member.flush(output, None);
        if dice.one_in(2) {
            member.commit();
        }
        member.tick();
    }
    member.run
}

/// What an edge that follows from the start keeps of each game: the durable results, each once.
fn kept(results: &[ResultsRecord]) -> BTreeMap<GameId, Vec<&ResultsRecord>> {
    let mut views: BTreeMap<GameId, GameView> = BTreeMap::new();
    let mut kept: BTreeMap<GameId, Vec<&ResultsRecord>> = BTreeMap::new();
    for record in results {
        let view = views.entry(record.game).or_insert_with(|| GameView::new(record.game));
        if view.fold(record) == Folded::Applied {
            kept.entry(record.game).or_default().push(record);
        }
    }
    kept
}

fn is_of_session(record: &ResultsRecord) -> bool {
    record.event_id.as_ref().is_some_and(|id| id.starts_with('s'))
}

/// Each game's results of its session, and those of its boards, apart: between a close and its board,
/// a change of the lobby may come on either side.
fn streams(results: &[ResultsRecord]) -> BTreeMap<GameId, [Vec<&ResultsRecord>; 2]> {
    kept(results)
        .into_iter()
        .map(|(game, kept)| {
            let (session, boards) = kept.into_iter().partition(|record| is_of_session(record));
            (game, [session, boards])
        })
        .collect()
}

/// Nothing that follows a board comes before it.
fn check_order(results: &[ResultsRecord], closed: &BTreeMap<GameId, Vec<(QuestionNo, i64)>>) {
    for (game, records) in kept(results) {
        let mut boards = 0;
        for record in records {
            match &record.body {
                ResultsBody::QuestionShown(shown) => assert_eq!(boards, usize::from(shown.question), "{game}"),
                ResultsBody::BoardPublished(board) => {
                    assert_eq!(boards, usize::from(board.question), "{game}");
                    boards += 1;
                }
                ResultsBody::GameEnded(_) => assert_eq!(boards, closed.get(&game).map_or(0, Vec::len), "{game}"),
                _ => {}
            }
        }
    }
}

fn check_no_leak(run: &Run) {
    let mut told: BTreeSet<(GameId, QuestionNo)> = BTreeSet::new();
    for record in &run.results {
        if let ResultsBody::BoardPublished(board) = &record.body {
            told.insert((record.game, board.question));
        }
        let text = format!("{record:?}");
        for question in 0..4 {
            let leaks = text.contains(&canary(record.game, question));
            assert!(!leaks || told.contains(&(record.game, question)), "{text}");
        }
    }
    for write in &run.writes {
        if let Write::View(doc) = write {
            let text = format!("{doc:?}");
            let board = doc.view.board.as_ref().map(|board| board.question);
            for question in (0..4).filter(|&question| board != Some(question)) {
                assert!(!text.contains(&canary(doc.game, question)), "{text}");
            }
        }
    }
}

/// By game, the questions closed and the `seq` at which they were.
fn closed(world: &World) -> BTreeMap<GameId, Vec<(QuestionNo, i64)>> {
    let mut closed: BTreeMap<GameId, Vec<(QuestionNo, i64)>> = BTreeMap::new();
    for record in &world.sessions {
        let AnyEvent::Sessions(session) = &record.event else { panic!("a sessions record") };
        if let SessionsBody::QuestionClosed(body) = &session.body {
            closed.entry(session.game).or_default().push((body.question, session.seq));
        }
    }
    closed
}

/// Who was in the game at `seq`, straight from the log.
fn members(world: &World, game: GameId, seq: i64) -> BTreeSet<PlayerId> {
    let mut members = BTreeSet::new();
    for record in &world.sessions {
        let AnyEvent::Sessions(session) = &record.event else { panic!("a sessions record") };
        if session.game != game || session.seq > seq {
            continue;
        }
        match &session.body {
            SessionsBody::JoinsDecided(joins) => members.extend(joins.admitted.iter().map(|player| player.player)),
            SessionsBody::PlayerKicked(kicked) => {
                members.remove(&kicked.player);
            }
            _ => {}
        }
    }
    members
}

/// The totals after a question, straight from the log.
fn totals(world: &World, game: GameId, question: QuestionNo) -> BTreeMap<PlayerId, i64> {
    let mut totals = BTreeMap::new();
    for record in &world.scores {
        let AnyEvent::Scores(score) = &record.event else { panic!("a scores record") };
        if let ScoresBody::LaneScored(scored) = &score.body
            && score.game == game
            && score.question == question
        {
            totals.extend(scored.outcomes.iter().map(|row| (row.player, row.total)));
        }
    }
    totals
}

/// Every outcome against a comparison of every player with every other.
fn check_ranks(world: &World, results: &[ResultsRecord]) {
    let kept = kept(results);
    for (game, questions) in closed(world) {
        for (question, seq) in questions {
            let members = members(world, game, seq);
            let totals = totals(world, game, question);
            let total = |player: &PlayerId| totals.get(player).copied().unwrap_or(0);
            let expect: BTreeMap<PlayerId, (i32, i64, i64)> = members
                .iter()
                .map(|me| {
                    let better: Vec<i64> = members.iter().map(total).filter(|&other| other > total(me)).collect();
                    let gap = better.iter().min().map_or(0, |next| next - total(me));
                    (*me, (better.len() as i32 + 1, gap, total(me)))
                })
                .collect();
            let mut found = BTreeMap::new();
            for record in &kept[&game] {
                match &record.body {
                    ResultsBody::OutcomesPublished(batch) if batch.question == question => {
                        let rows = batch.outcomes.iter();
                        found.extend(rows.map(|row| (row.player, (row.rank, row.gap, row.total))));
                    }
                    ResultsBody::BoardPublished(board) if board.question == question => {
                        assert_eq!(board.players as usize, members.len());
                        assert_eq!(board.top.len(), members.len().min(10));
                    }
                    _ => {}
                }
            }
            assert_eq!(found, expect, "{game} question {question}");
        }
    }
}

/// A view and its cursor are enough to go on from: what stands behind the cursor makes it complete.
fn check_views(run: &Run) {
    let mut complete: BTreeMap<GameId, GameView> = BTreeMap::new();
    let mut stored: BTreeMap<GameId, &ViewDoc> = BTreeMap::new();
    for record in &run.results {
        complete.entry(record.game).or_insert_with(|| GameView::new(record.game)).fold(record);
    }
    for write in &run.writes {
        let Write::View(doc) = write else { continue };
        assert_eq!(doc.version, doc.view.version());
        let cursor = doc.cursor.expect("a view is written behind an append");
        let mut view = doc.view.clone();
        for record in &run.results[cursor.offset as usize + 1..] {
            if record.game == doc.game {
                view.fold(record);
            }
        }
        assert_eq!(settled(&view), settled(&complete[&doc.game]));
        if stored.get(&doc.game).is_none_or(|other| other.version < doc.version) {
            stored.insert(doc.game, doc);
        }
    }
    for (game, doc) in stored {
        let left = complete[&game].over.is_none() || doc.view.over.is_some();
        assert!(left, "the last view of a game that is over says so");
    }
}

/// Refusals after the end pass by and are in no stored view.
fn settled(view: &GameView) -> GameView {
    GameView { session_seq: if view.over.is_some() { 0 } else { view.session_seq }, ..view.clone() }
}

fn check_counts(run: &Run) {
    let mut last: BTreeMap<GameId, i64> = BTreeMap::new();
    for &(game, at_us) in &run.counted {
        if let Some(before) = last.insert(game, at_us) {
            assert!(at_us - before >= COUNTED_INTERVAL_US, "{game} {before} {at_us}");
        }
    }
}

fn boards(run: &Run) -> BTreeMap<(GameId, QuestionNo), String> {
    let boards = run.writes.iter().filter_map(|write| match write {
        Write::Board(doc) => Some(((doc.game, doc.question), format!("{doc:?}"))),
        _ => None,
    });
    boards.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_rough_run_tells_the_same_as_a_plain_one(seed: u64) {
        let mut dice = Dice(seed);
        let world = World::new(&mut dice);
        let closed = closed(&world);
        let plain = plain_run(&world);
        let rough = rough_run(&world, &mut dice);
        for run in [&plain, &rough] {
            check_order(&run.results, &closed);
            check_no_leak(run);
            check_ranks(&world, &run.results);
            check_views(run);
            check_counts(run);
            prop_assert_eq!(run.dead, 0);
        }
        prop_assert_eq!(boards(&plain).len(), closed.values().map(Vec::len).sum::<usize>());
        prop_assert_eq!(boards(&plain), boards(&rough));
        let (plain, rough) = (streams(&plain.results), streams(&rough.results));
        prop_assert_eq!(plain.keys().collect::<Vec<_>>(), rough.keys().collect::<Vec<_>>());
        for (game, [session, boards]) in &plain {
            for (told, other) in [(session, &rough[game][0]), (boards, &rough[game][1])] {
                for (one, two) in told.iter().zip(other) {
                    prop_assert_eq!(one, two);
                }
                prop_assert_eq!(told.len(), other.len());
            }
        }
    }
}

/// That the random worlds and runs reach what they are for: crashes, re-publishing, several games.
#[test]
fn rough_runs_are_rough() {
    let (mut crashes, mut again, mut boards, mut counts) = (0, 0, 0, 0);
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let world = World::new(&mut dice);
        let run = rough_run(&world, &mut dice);
        let durable = run.results.iter().filter(|record| record.event_id.is_some()).count();
        again += durable - kept(&run.results).values().map(Vec::len).sum::<usize>();
        boards += closed(&world).values().map(Vec::len).sum::<usize>();
        crashes += run.crashes;
        counts += run.counted.len();
    }
    assert!(crashes > 50 && again > 200 && boards > 100 && counts > 50, "{crashes} {again} {boards} {counts}");
}
