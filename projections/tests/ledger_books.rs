//! Goal: a planted loss of each kind is found with its ids, nothing is found where nothing is wrong,
//! whatever the order in which the topics are read and however often records are repeated. Method: a
//! naive world of edges, lanes, log and store that says what is true; random timelines of its records,
//! each topic in its order, the topics interleaved as they like, batches cut anywhere.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use quiz_projections::ledger::{Doc, EDGE_WAIT_US, Key, LINGER_US, LaneAudit, LedgerProjection, SETTLE_US};
use quiz_schemas::events::*;
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{AnyEvent, EdgeId, GameId, LaneNo, Pin, PlayerId, Position, SubmissionId, Topic, submission_digest};
use quiz_store::{LedgerDoc, Write};
use quiz_stream::{Output, Processor, Record};

const START_US: i64 = 1_790_000_000_000_000;
const QUESTION: u16 = 0;

/// What is wrong with the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plant {
    Nothing,
    /// Acked, and not in the log.
    Lost,
    /// Scored, and not stored.
    Unstored,
    /// Stored, and not scored.
    Unscored,
    /// In the log, and no edge knows of it though all have told.
    Phantom,
    /// An edge's numbers do not add up.
    Miscounted,
}

/// One answer, as each party knows it.
#[derive(Clone, Debug)]
struct Fact {
    player: PlayerId,
    submission: SubmissionId,
    edge: usize,
    lane: LaneNo,
    acked: bool,
    /// How often it is in the log: twice when the client library appended it anew after a timeout.
    times: u8,
    scored: bool,
    stored: bool,
}

struct World {
    game: GameId,
    lanes: LaneNo,
    edges: Vec<EdgeId>,
    facts: Vec<Fact>,
    /// Edges that never tell.
    dead: BTreeSet<usize>,
    /// The edge whose numbers are bent.
    bent: Option<usize>,
}

/// What should come out.
#[derive(Debug, PartialEq, Eq)]
struct Truth {
    state: LedgerState,
    lost: BTreeSet<SubmissionId>,
    unstored: BTreeSet<SubmissionId>,
    phantom: BTreeSet<SubmissionId>,
    unclaimed: i64,
}

fn dice(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

impl World {
    fn new(seed: &mut u64, plant: Plant, with_dead: bool) -> Self {
        let edges: Vec<EdgeId> = (0..1 + dice(seed) % 3).map(|n| format!("edge-{n}").into()).collect();
        let lanes = 1 + (dice(seed) % 3) as LaneNo;
        let mut facts = Vec::new();
        for n in 0..2 + dice(seed) % 20 {
            let unknown = dice(seed).is_multiple_of(6);
            let (logged, again) = (!unknown || dice(seed).is_multiple_of(2), dice(seed).is_multiple_of(9));
            let scored = logged && !dice(seed).is_multiple_of(8);
            facts.push(Fact {
                player: PlayerId::from_bits(n + 1),
                submission: SubmissionId::from_bits(1_000 + dice(seed)),
                edge: (dice(seed) as usize) % edges.len(),
                lane: (dice(seed) % u64::from(lanes)) as LaneNo,
                acked: !unknown,
                times: u8::from(logged) + u8::from(!unknown && again),
                scored,
                stored: scored,
            });
        }
        let dead = if with_dead { BTreeSet::from([(dice(seed) as usize) % edges.len()]) } else { BTreeSet::new() };
        let mut world = Self { game: GameId::from_bits(dice(seed)), lanes, edges, facts, dead, bent: None };
        world.plant(seed, plant);
        world
    }

    /// Adds what is wrong, at an edge that is alive.
    fn plant(&mut self, seed: &mut u64, plant: Plant) {
        let edge = (0..self.edges.len()).find(|edge| !self.dead.contains(edge));
        let fact = Fact {
            player: PlayerId::from_bits(900),
            submission: SubmissionId::from_bits(900_000_000_000 + dice(seed)),
            edge: edge.unwrap_or(0),
            lane: 0,
            acked: true,
            times: 1,
            scored: true,
            stored: true,
        };
        match plant {
            Plant::Nothing => {}
            Plant::Lost => self.facts.push(Fact { times: 0, scored: false, stored: false, ..fact }),
            Plant::Unstored => self.facts.push(Fact { stored: false, ..fact }),
            Plant::Unscored => self.facts.push(Fact { scored: false, ..fact }),
            Plant::Phantom => {
                // An append of unknown fate would explain it.
                self.facts.retain(|fact| fact.acked || fact.edge != edge.unwrap_or(0));
                self.facts.push(Fact { acked: false, ..fact });
            }
            Plant::Miscounted => self.bent = edge,
        }
    }

    fn truth(&self, plant: Plant) -> Truth {
        let ids = |is: &dyn Fn(&Fact) -> bool| -> BTreeSet<SubmissionId> {
            self.facts.iter().filter(|fact| is(fact)).map(|fact| fact.submission).collect()
        };
        let alive = |fact: &Fact| !self.dead.contains(&fact.edge);
        let mut phantom = ids(&|fact| fact.stored && !fact.scored);
        if plant == Plant::Phantom {
            phantom.extend(self.facts.iter().rfind(|fact| fact.times > 0 && !fact.acked).map(|fact| fact.submission));
        }
        let wrong = plant != Plant::Nothing;
        Truth {
            state: if wrong { LedgerState::Imbalanced } else { LedgerState::Balanced },
            lost: ids(&|fact| alive(fact) && fact.acked && fact.times == 0),
            unstored: ids(&|fact| fact.scored && !fact.stored),
            phantom,
            unclaimed: self.facts.iter().filter(|fact| !alive(fact)).map(|fact| i64::from(fact.times)).sum(),
        }
    }

    fn session(&self, seq: i64, body: impl Into<SessionsBody>) -> AnyEvent {
        SessionsRecord { game: self.game, seq, at_us: START_US, cause: None, body: body.into() }.into()
    }

    fn sessions(&self) -> Vec<AnyEvent> {
        let quiz = Quiz { id: "q".into(), version: 1, title: "t".into(), questions: Vec::new() };
        let settings = GameSettings {
            lanes: self.lanes,
            capacity: 100,
            rule: "speed-v1".into(),
            streaks: false,
            auto_advance_ms: None,
        };
        let row = |fact: &Fact| PlayerAdmitted {
            player: fact.player,
            nickname: "n".into(),
            lane: fact.lane,
            edge: Some(self.edges[fact.edge].clone()),
        };
        let admitted = self.facts.iter().map(row).collect();
        vec![
            self.session(0, GameCreated { pin: Pin::from_index(1), quiz, settings }),
            self.session(1, JoinsDecided { admitted, refused: Vec::new() }),
            self.session(2, QuestionOpened { question: QUESTION, deadline_us: START_US }),
            self.session(3, QuestionClosed { question: QUESTION }),
            self.session(4, QuestionSettled { question: QUESTION }),
            self.session(5, GameOver { reason: OverReason::Finished }),
        ]
    }

    fn lane_counts(&self, lane: LaneNo) -> LaneCounts {
        let mut counts = LaneCounts::default();
        for fact in self.facts.iter().filter(|fact| fact.times > 0 && fact.lane == lane) {
            let times = i64::from(fact.times);
            counts.received += times;
            counts.duplicate += times - 1;
            counts.scored += i64::from(fact.scored);
            counts.late += i64::from(!fact.scored);
            let own = submission_digest(fact.player, fact.submission);
            counts.digest = counts.digest.wrapping_add(own.wrapping_mul(times));
        }
        counts
    }

    fn scores(&self) -> Vec<AnyEvent> {
        let mut events = Vec::new();
        for lane in 0..self.lanes {
            let counts = self.lane_counts(lane);
            let score = |counts, offset, body: ScoresBody| -> AnyEvent {
                let position = Position { partition: i32::from(lane), offset };
                ScoresRecord { game: self.game, lane, question: QUESTION, position, counts, body }.into()
            };
            events.push(score(LaneCounts::default(), 10, LaneCounted { closed: false }.into()));
            let scored = LaneScored { part: 0, parts: 1, distribution: Vec::new(), outcomes: Vec::new() };
            events.push(score(counts, 20, scored.into()));
            events.push(score(counts, 20, LaneStored { stored: counts.scored, opened_offset: 5 }.into()));
        }
        events
    }

    /// Two tellings of each edge that is alive, the first of them of half its answers.
    fn tallies(&self) -> Vec<AnyEvent> {
        let mut events = Vec::new();
        for (edge, name) in self.edges.iter().enumerate().filter(|(edge, _)| !self.dead.contains(edge)) {
            let mine: Vec<&Fact> = self.facts.iter().filter(|fact| fact.edge == edge).collect();
            for (version, part) in [(1, &mine[..mine.len() / 2]), (2, &mine[..])] {
                events.extend(self.tally(name, version, part, self.bent == Some(edge)));
            }
            // When results reached sockets is in no books, not even as a question's own.
            let body = EdgeDelivered { question: QUESTION + 5, version: 1, results: Vec::new() }.into();
            events.push(TalliesRecord { game: self.game, edge: name.clone(), at_us: START_US, body }.into());
        }
        events
    }

    fn tally(&self, edge: &EdgeId, version: i32, facts: &[&Fact], bent: bool) -> Vec<AnyEvent> {
        // What comes from nowhere is known to no edge.
        let known = |fact: &&&Fact| fact.submission.bits() < 900_000_000_000 || fact.acked;
        let acked: Vec<&&Fact> = facts.iter().filter(|fact| fact.acked).collect();
        let unavailable = facts.iter().filter(known).filter(|fact| !fact.acked).count() as i64;
        let count = acked.len() as i64;
        let digest = acked
            .iter()
            .fold(0i64, |digest, fact| digest.wrapping_add(submission_digest(fact.player, fact.submission)));
        let ids: Vec<SubmissionId> = acked.iter().map(|fact| fact.submission).collect();
        let parts = if ids.len() > 3 { 2 } else { 1 };
        let cut = ids.len() / parts as usize;
        (0..parts)
            .map(|part| {
                let own = match (part, parts) {
                    (0, 2) => &ids[..cut],
                    (1, _) => &ids[cut..],
                    _ => &ids[..],
                };
                let tallied = EdgeTallied {
                    question: QUESTION,
                    version,
                    received: count + unavailable + i64::from(bent),
                    acked: count,
                    repeated: 0,
                    refused: 0,
                    unavailable,
                    last: false,
                    part,
                    parts,
                    submissions: SubmissionList(own.to_vec()),
                    digest,
                };
                TalliesRecord { game: self.game, edge: edge.clone(), at_us: START_US, body: tallied.into() }.into()
            })
            .collect()
    }

    /// The naive store and log.
    fn load(&self, key: &Key) -> Doc {
        let of_lane = |lane: LaneNo| self.facts.iter().filter(move |fact| fact.lane == lane);
        match *key {
            Key::Books(_) => unreachable!("the loop has the books"),
            Key::Count(at) => Doc::Count(at, of_lane(at.lane.lane).filter(|fact| fact.stored).count() as i64),
            Key::Audit { at, partition, from } => {
                assert_eq!((partition, from), (i32::from(at.lane.lane), 5), "an audit reads from the open marker");
                let ids = |is: fn(&&Fact) -> bool| of_lane(at.lane.lane).filter(is).map(|fact| fact.submission);
                let logged = of_lane(at.lane.lane).flat_map(|fact| std::iter::repeat_n(fact, fact.times.into()));
                Doc::Audit(
                    at,
                    LaneAudit {
                        whole: true,
                        logged: logged.map(|fact| (self.edges[fact.edge].clone(), fact.submission)).collect(),
                        unstored: ids(|fact| fact.scored && !fact.stored).collect(),
                        unscored: ids(|fact| fact.stored && !fact.scored).collect(),
                        stored: ids(|fact| fact.stored).count() as i64,
                    },
                )
            }
        }
    }
}

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
    let world = World::new(&mut 7, Plant::Nothing, false);
    let batches = timeline(&world, &mut 7);
    let delivered = |record: &&Record| matches!(&record.event, AnyEvent::Tallies(tally) if matches!(tally.body, TalliesBody::EdgeDelivered(_)));
    let batch: Vec<Record> = batches.iter().flatten().filter(delivered).cloned().collect();
    let mut run = Loop::new(&world);
    run.apply(&batch);
    assert_eq!((batch.is_empty(), run.state.games(), run.told.len()), (false, 0, 0));
}

fn play(plant: Plant, with_dead: bool, seed: u64) -> Result<(), TestCaseError> {
    let mut seed = seed | 1;
    let world = World::new(&mut seed, plant, with_dead);
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
    let ids = |kind| -> BTreeSet<SubmissionId> {
        ledger.suspects.iter().filter(|suspect| suspect.kind == kind).map(|suspect| suspect.submission).collect()
    };
    let found = Truth {
        state: ledger.state,
        lost: ids(Imbalance::Lost),
        unstored: ids(Imbalance::Unstored),
        phantom: ids(Imbalance::Phantom),
        unclaimed: ledger.unclaimed,
    };
    prop_assert_eq!(&found, &truth);
    let counts = [&truth.lost, &truth.unstored, &truth.phantom].map(|ids| ids.len() as i64);
    prop_assert_eq!([ledger.lost, ledger.unstored, ledger.phantom], counts);
    prop_assert_eq!(ledger.lanes.stored, world.facts.iter().filter(|fact| fact.stored).count() as i64);
    prop_assert_eq!(ledger.edges.silent > 0, truth.unclaimed > 0);

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
    prop_assert_eq!(run.state.games(), 0, "a game that is over is forgotten");
    prop_assert_eq!(LedgerProjection.commit_point(&run.state, Topic::Sessions, 99), 99);
    Ok(())
}

proptest! {
    #[test]
    fn nothing_is_found_where_nothing_is_wrong(seed: u64) {
        play(Plant::Nothing, false, seed)?;
    }

    #[test]
    fn a_dead_edge_is_no_imbalance(seed: u64) {
        play(Plant::Nothing, true, seed)?;
    }

    #[test]
    fn a_lost_answer_is_found(seed: u64) {
        play(Plant::Lost, false, seed)?;
    }

    #[test]
    fn an_answer_that_is_not_stored_is_found(seed: u64, with_dead: bool) {
        play(Plant::Unstored, with_dead, seed)?;
    }

    #[test]
    fn a_stored_answer_that_was_not_scored_is_found(seed: u64, with_dead: bool) {
        play(Plant::Unscored, with_dead, seed)?;
    }

    #[test]
    fn an_answer_from_nowhere_is_found(seed: u64) {
        play(Plant::Phantom, false, seed)?;
    }

    #[test]
    fn numbers_that_do_not_add_up_are_found(seed: u64) {
        play(Plant::Miscounted, false, seed)?;
    }
}
