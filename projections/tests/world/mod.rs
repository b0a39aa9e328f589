//! Random games as their two logs: what the session worker and the lanes would have written.

use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz};
use quiz_schemas::{AnyEvent, GameId, LaneKey, LaneNo, Pin, PlayerId, Position, QuestionNo, Topic};
use quiz_stream::Record;
use std::collections::BTreeMap;

/// SplitMix64: all of a world, and of a run over it, follows from one printed seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The two logs of one partition number.
pub struct World {
    pub sessions: Vec<Record>,
    pub scores: Vec<Record>,
}

impl World {
    pub fn log(&self, topic: Topic) -> &[Record] {
        if topic == Topic::Sessions { &self.sessions } else { &self.scores }
    }

    pub fn new(dice: &mut Dice) -> Self {
        let games = 1 + dice.below(4);
        let mut events: Vec<(i64, AnyEvent)> = Vec::new();
        for n in 0..games {
            let mut script = Script::new(GameId::from_bits(100 + n), dice);
            script.play(dice);
            events.extend(script.events);
        }
        events.sort_by_key(|event| event.0);
        let mut world = Self { sessions: Vec::new(), scores: Vec::new() };
        for (appended_at_us, event) in events {
            let topic = event.topic();
            let log = if topic == Topic::Sessions { &mut world.sessions } else { &mut world.scores };
            log.push(Record { topic, partition: 3, offset: log.len() as i64, appended_at_us, event });
        }
        world
    }
}

/// The text that may not be seen before the board of the question.
pub fn canary(game: GameId, question: QuestionNo) -> String {
    format!("CANARY-{game}-{question}-")
}

fn quiz(game: GameId, questions: QuestionNo) -> Quiz {
    let question = |no| {
        let text = no % 2 == 0;
        let key = if text {
            AnswerKey::Text { accepted: vec![canary(game, no)] }
        } else {
            AnswerKey::Single { options: 3, correct: Picks::one(1) }
        };
        Question {
            kind: if text { QuestionKind::Text } else { QuestionKind::Single },
            prompt: format!("Question {no}?"),
            options: if text { vec![] } else { vec!["a".into(), "b".into(), "c".into()] },
            key,
            points_max: 1000,
            limit_ms: 20_000,
            explanation: Some(format!("since {}", canary(game, no))),
        }
    };
    Quiz { id: "world".into(), version: 1, title: "World".into(), questions: (0..questions).map(question).collect() }
}

struct Script {
    game: GameId,
    lanes: LaneNo,
    questions: QuestionNo,
    now_us: i64,
    seq: i64,
    next_player: u64,
    players: Vec<PlayerId>,
    /// By lane, by player: total and streak of everybody who ever answered.
    totals: Vec<BTreeMap<PlayerId, i64>>,
    lane_offsets: Vec<i64>,
    events: Vec<(i64, AnyEvent)>,
}

impl Script {
    fn new(game: GameId, dice: &mut Dice) -> Self {
        let lanes = 1 + dice.below(3) as LaneNo;
        Self {
            game,
            lanes,
            questions: 1 + dice.below(3) as QuestionNo,
            now_us: 1_000_000 + dice.below(3_000_000) as i64,
            seq: 0,
            next_player: game.bits() * 1_000,
            players: Vec::new(),
            totals: vec![BTreeMap::new(); usize::from(lanes)],
            lane_offsets: vec![0; usize::from(lanes)],
            events: Vec::new(),
        }
    }

    fn session(&mut self, dice: &mut Dice, body: impl Into<SessionsBody>) {
        self.now_us += 1 + dice.below(150_000) as i64;
        let record =
            SessionsRecord { game: self.game, seq: self.seq, at_us: self.now_us, cause: None, body: body.into() };
        self.seq += 1;
        self.events.push((self.now_us, record.into()));
    }

    fn score(&mut self, at_us: i64, lane: LaneNo, question: QuestionNo, scored: i64, body: ScoresBody) {
        let offset = self.lane_offsets[usize::from(lane)];
        let position = Position { partition: 0, offset };
        let counts = LaneCounts { received: scored, scored, ..LaneCounts::default() };
        self.events.push((at_us, ScoresRecord { game: self.game, lane, question, position, counts, body }.into()));
    }

    fn play(&mut self, dice: &mut Dice) {
        if dice.one_in(4) {
            self.refuse(dice, RefusalReason::NoGame);
        }
        let settings = GameSettings {
            lanes: self.lanes,
            capacity: 100,
            rule: "speed-v1".into(),
            streaks: false,
            auto_advance_ms: None,
        };
        let quiz = quiz(self.game, self.questions);
        self.session(dice, GameCreated { pin: Pin::from_index(1), quiz, settings });
        self.mill_about(dice);
        for question in 0..self.questions {
            self.ask(dice, question);
            if dice.one_in(6) {
                break;
            }
        }
        if dice.one_in(8) {
            return; // The log ends while the game is on.
        }
        self.session(dice, GameOver { reason: OverReason::Finished });
        for _ in 0..dice.below(3) {
            self.refuse(dice, RefusalReason::GameOver);
        }
        if dice.one_in(2) {
            let late = LaneCounted { closed: true }.into();
            self.score(self.now_us + 5, 0, 0, 1, late);
        }
    }

    fn refuse(&mut self, dice: &mut Dice, reason: RefusalReason) {
        let refused = vec![JoinRefusal { player: PlayerId::from_bits(self.next_player + 900), reason }];
        self.session(dice, JoinsDecided { admitted: vec![], refused });
    }

    fn mill_about(&mut self, dice: &mut Dice) {
        for _ in 0..dice.below(4) {
            match dice.below(6) {
                0..=2 => self.join(dice),
                3 => {
                    let left = self.some_player(dice).into_iter().collect();
                    self.session(
                        dice,
                        PresenceChanged { connected: vec![], edges: vec![], disconnected: left, answered: vec![] },
                    );
                }
                4 => self.session(dice, CommandRejected { reason: CommandRejection::StaleQuestion }),
                _ => {
                    if let Some(player) = self.some_player(dice) {
                        self.players.retain(|&other| other != player);
                        self.session(dice, PlayerKicked { player });
                    }
                }
            }
        }
    }

    fn some_player(&self, dice: &mut Dice) -> Option<PlayerId> {
        let at = dice.below(self.players.len() as u64) as usize;
        self.players.get(at).copied()
    }

    fn join(&mut self, dice: &mut Dice) {
        let mut admitted = Vec::new();
        for _ in 0..dice.below(4) {
            self.next_player += 1;
            let player = PlayerId::from_bits(self.next_player);
            let lane = LaneKey::of(self.game, player, self.lanes).lane;
            admitted.push(PlayerAdmitted { player, nickname: format!("N{}", dice.below(50)), lane, edge: None });
            self.players.push(player);
        }
        self.session(dice, JoinsDecided { admitted, refused: vec![] });
    }

    fn ask(&mut self, dice: &mut Dice, question: QuestionNo) {
        self.session(dice, QuestionOpened { question, deadline_us: self.now_us + 20_000_000 });
        self.mill_about(dice);
        for _ in 0..dice.below(6) {
            self.now_us += 1 + dice.below(90_000) as i64;
            let lane = dice.below(u64::from(self.lanes)) as LaneNo;
            self.lane_offsets[usize::from(lane)] += 1;
            let scored = self.lane_offsets[usize::from(lane)];
            self.score(self.now_us, lane, question, scored, LaneCounted { closed: false }.into());
        }
        let closes_at_us = self.now_us + 300_000;
        self.session(dice, QuestionStopping { question, reason: StopReason::Host, closes_at_us });
        self.mill_about(dice);
        let answerers = self.players.clone();
        self.session(dice, QuestionClosed { question });
        // The lanes report while the session goes on; then it settles.
        let closed_us = self.now_us;
        let mut last_us = closed_us;
        for lane in 0..self.lanes {
            last_us = last_us.max(self.report(dice, lane, question, closed_us, &answerers));
        }
        self.mill_about(dice);
        if dice.one_in(4) {
            self.session(dice, OpenDeferred { question: question + 1 });
        }
        self.now_us = self.now_us.max(last_us);
        self.session(dice, QuestionSettled { question });
        if dice.one_in(2) {
            self.mill_about(dice);
        }
    }

    /// One lane's report, in one or more parts, sometimes written twice. Returns its time.
    fn report(
        &mut self,
        dice: &mut Dice,
        lane: LaneNo,
        question: QuestionNo,
        from_us: i64,
        answerers: &[PlayerId],
    ) -> i64 {
        let at = usize::from(lane);
        self.lane_offsets[at] += 1;
        let mut points = BTreeMap::new();
        for &player in answerers.iter().filter(|&&player| LaneKey::of(self.game, player, self.lanes).lane == lane) {
            if !dice.one_in(3) {
                let earned = dice.below(3) as i32 * 500;
                points.insert(player, earned);
                *self.totals[at].entry(player).or_default() += i64::from(earned);
            }
        }
        let row = |(&player, &total): (&PlayerId, &i64)| PlayerScore {
            player,
            verdict: match points.get(&player) {
                None => Verdict::Unanswered,
                Some(0) => Verdict::Wrong,
                Some(_) => Verdict::Correct,
            },
            points: points.get(&player).copied().unwrap_or(0),
            total,
            streak: 0,
            elapsed_us: 1,
            elapsed_total_us: 1,
        };
        let rows: Vec<PlayerScore> = self.totals[at].iter().map(row).collect();
        let parts = 1 + dice.below(3) as i32;
        let size = rows.len().div_ceil(parts as usize).max(1);
        let mut at_us = from_us;
        for _ in 0..if dice.one_in(4) { 2 } else { 1 } {
            for part in 0..parts {
                at_us += 1 + dice.below(100_000) as i64;
                let outcomes = rows.iter().skip(part as usize * size).take(size).cloned().collect();
                let body = LaneScored { part, parts, distribution: vec![1, 0, 2], outcomes }.into();
                self.score(at_us, lane, question, points.len() as i64, body);
            }
        }
        at_us
    }
}
