//! A naive world of edges, lanes, log and store, of one question, which says what is true.

use std::collections::BTreeSet;

use quiz_projections::ledger::{Doc, Key, LaneAudit};
use quiz_schemas::events::*;
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{AnyEvent, EdgeId, GameId, LaneNo, Pin, PlayerId, Position, SubmissionId, submission_digest};

pub const START_US: i64 = 1_790_000_000_000_000;
pub const QUESTION: u16 = 0;

/// What is wrong with the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
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

/// What becomes of what one edge would tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// All edges tell all.
    Whole,
    /// It tells nothing.
    Silent,
    /// Only its first telling is heard, which is not its last.
    CutOff,
}

/// What a telling says of itself.
#[derive(Clone, Copy)]
pub struct Telling {
    pub question: u16,
    pub version: i32,
    pub last: bool,
}

/// One answer, as each party knows it.
#[derive(Clone, Debug)]
pub struct Fact {
    pub player: PlayerId,
    pub submission: SubmissionId,
    pub edge: usize,
    pub lane: LaneNo,
    pub acked: bool,
    /// How often it is in the log: twice when the client library appended it anew after a timeout.
    pub times: u8,
    pub scored: bool,
    pub stored: bool,
}

#[derive(Clone)]
pub struct World {
    pub game: GameId,
    pub lanes: LaneNo,
    pub edges: Vec<EdgeId>,
    pub facts: Vec<Fact>,
    /// Edges that never tell.
    pub dead: BTreeSet<usize>,
    /// Edges of which only the first telling is heard.
    pub cut: BTreeSet<usize>,
    /// The edge whose numbers are bent.
    pub bent: Option<usize>,
}

/// What should come out.
#[derive(Debug, PartialEq, Eq)]
pub struct Truth {
    pub state: LedgerState,
    pub lost: BTreeSet<SubmissionId>,
    pub unstored: BTreeSet<SubmissionId>,
    pub phantom: BTreeSet<SubmissionId>,
    pub unclaimed: i64,
}

pub fn dice(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

impl World {
    pub fn new(seed: &mut u64, plant: Plant, word: Word) -> Self {
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
        let one = BTreeSet::from([(dice(seed) as usize) % edges.len()]);
        let of = |wanted| if word == wanted { one.clone() } else { BTreeSet::new() };
        let (dead, cut) = (of(Word::Silent), of(Word::CutOff));
        let mut world = Self { game: GameId::from_bits(dice(seed)), lanes, edges, facts, dead, cut, bent: None };
        world.plant(seed, plant);
        world
    }

    /// Adds what is wrong, at an edge that tells all, when there is one.
    pub fn plant(&mut self, seed: &mut u64, plant: Plant) {
        let edge = (0..self.edges.len()).find(|edge| !self.dead.contains(edge) && !self.cut.contains(edge));
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

    pub fn truth(&self, plant: Plant) -> Truth {
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
            unclaimed: self.facts.iter().filter(|fact| !alive(fact)).map(|fact| i64::from(fact.times)).sum::<i64>()
                + self.cut.iter().map(|&edge| self.behind_the_word_of(edge)).sum::<i64>(),
        }
    }

    fn taken_by(&self, edge: usize) -> Vec<&Fact> {
        self.facts.iter().filter(|fact| fact.edge == edge).collect()
    }

    /// How many answers of an edge that was cut off are in the log and not explained by what it told.
    fn behind_the_word_of(&self, edge: usize) -> i64 {
        let mine = self.taken_by(edge);
        let (told, untold) = mine.split_at(mine.len() / 2);
        let unknown = told.iter().filter(|fact| !fact.acked);
        let logged = unknown.clone().chain(untold).filter(|fact| fact.times > 0).count() as i64;
        (logged - unknown.count() as i64).max(0)
    }

    pub fn session(&self, seq: i64, body: impl Into<SessionsBody>) -> AnyEvent {
        SessionsRecord { game: self.game, seq, at_us: START_US, cause: None, body: body.into() }.into()
    }

    pub fn sessions(&self) -> Vec<AnyEvent> {
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

    pub fn lane_counts(&self, lane: LaneNo) -> LaneCounts {
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

    pub fn scores(&self) -> Vec<AnyEvent> {
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

    /// A lane's counts when it has read on.
    pub fn counted_on(&self, lane: LaneNo) -> AnyEvent {
        let position = Position { partition: i32::from(lane), offset: 30 };
        let (counts, body) = (self.lane_counts(lane), LaneCounted { closed: true }.into());
        ScoresRecord { game: self.game, lane, question: QUESTION, position, counts, body }.into()
    }

    /// Two tellings of each edge that is alive, the first of them of half its answers, the second the last.
    pub fn tallies(&self) -> Vec<AnyEvent> {
        let mut events = Vec::new();
        for (edge, name) in self.edges.iter().enumerate().filter(|(edge, _)| !self.dead.contains(edge)) {
            let mine = self.taken_by(edge);
            let bent = self.bent == Some(edge);
            let last = Telling { question: QUESTION, version: 2, last: true };
            events.extend(self.tally(name, Telling { version: 1, last: false, ..last }, &mine[..mine.len() / 2], bent));
            if !self.cut.contains(&edge) {
                events.extend(self.tally(name, last, &mine, bent));
            }
            // When results reached sockets is in no books, not even as a question's own.
            let body = EdgeDelivered { question: QUESTION + 5, version: 1, results: Vec::new() }.into();
            events.push(TalliesRecord { game: self.game, edge: name.clone(), at_us: START_US, body }.into());
        }
        events
    }

    pub fn tally(&self, edge: &EdgeId, telling: Telling, facts: &[&Fact], bent: bool) -> Vec<AnyEvent> {
        let Telling { question, version, last } = telling;
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
                    question,
                    version,
                    received: count + unavailable + i64::from(bent),
                    acked: count,
                    repeated: 0,
                    refused: 0,
                    unavailable,
                    last,
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
    pub fn load(&self, key: &Key) -> Doc {
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
