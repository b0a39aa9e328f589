//! Random streams: a calm run and one with crashes end in the same log.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const GAMES: u64 = 3;
/// Joins wait this long for their game; a crash begins the wait anew, so the streams are shorter.
const STREAM_MS_MAX: i64 = PARKED_MS_MAX - 1_000;

#[derive(Clone, Debug)]
enum Step {
    /// An input is appended to its topic.
    Append(u64, Input),
    /// A lane reports the question that it was told to close.
    Report(u64, u16),
    /// That many records of each topic are taken as a batch; `turn` says which topic comes first.
    Take { commands: usize, joins: usize, scores: usize, turn: usize },
    /// Time passes.
    WaitMs(i64),
    /// The worker dies. Its successor reads from the commit points, or that much before them.
    Crash(usize),
}

#[derive(Clone, Debug)]
enum Input {
    Create,
    Open,
    Close,
    End,
    Kick(u64),
    Join(u64),
    Gone(u64, Option<u16>),
    Back(u64),
    /// A lane counts answers to the question that it was told of.
    Count(u16, i64),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => Just(Input::Create),
        8 => Just(Input::Open),
        3 => Just(Input::Close),
        1 => Just(Input::End),
        1 => (1..6u64).prop_map(Input::Kick),
        8 => (1..6u64).prop_map(Input::Join),
        2 => (1..6u64, prop::option::of(0..2u16)).prop_map(|(player, answered)| Input::Gone(player, answered)),
        2 => (1..6u64).prop_map(Input::Back),
        4 => (0..2u16, 0..3i64).prop_map(|(lane, more)| Input::Count(lane, more)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..GAMES, input()).prop_map(|(game, input)| Step::Append(game, input)),
        6 => (0..GAMES, 0..2u16).prop_map(|(game, lane)| Step::Report(game, lane)),
        8 => (0..4usize, 0..6usize, 0..4usize, 0..3usize)
            .prop_map(|(commands, joins, scores, turn)| Step::Take { commands, joins, scores, turn }),
        4 => prop::sample::select(vec![50, 300, 1_000]).prop_map(Step::WaitMs),
        2 => (0..20usize).prop_map(Step::Crash),
    ]
}

/// Three topics, a worker, and what it wrote.
struct World {
    bench: Bench,
    topics: [Vec<Record>; 3],
    next: [usize; 3],
    committed: [i64; 3],
    position: i64,
    to_report: BTreeMap<(u64, u16), u16>,
    /// The question that each lane was told of last: it counts no other.
    told: BTreeMap<(u64, u16), u16>,
    /// How many answers it has counted: never fewer than before.
    counted: BTreeMap<(u64, u16, u16), i64>,
    dead: Vec<(Topic, i64, &'static str)>,
}

const TOPICS: [Topic; 3] = [Topic::Commands, Topic::Joins, Topic::Scores];

impl World {
    fn new() -> Self {
        Self {
            bench: Bench::new(),
            topics: [Vec::new(), Vec::new(), Vec::new()],
            next: [0; 3],
            committed: [0; 3],
            position: 0,
            to_report: BTreeMap::new(),
            told: BTreeMap::new(),
            counted: BTreeMap::new(),
            dead: Vec::new(),
        }
    }

    fn run(&mut self, step: &Step, crashes: bool) {
        match step {
            Step::Append(n, input) => self.append(*n, input),
            Step::Report(n, lane) => {
                if let Some(&question) = self.to_report.get(&(*n, *lane)) {
                    let offset = self.topics[2].len() as i64;
                    self.topics[2].push(scored(*n, offset, *lane, question));
                }
            }
            Step::Take { commands, joins, scores, turn } => self.take([*commands, *joins, *scores], *turn),
            Step::WaitMs(wait_ms) => {
                if self.bench.now_us + wait_ms * 1000 < START_US + STREAM_MS_MAX * 1000 {
                    let out = self.bench.wait_ms(*wait_ms);
                    self.heed(&out);
                }
            }
            Step::Crash(back) => {
                if crashes {
                    self.crash(*back);
                }
            }
        }
    }

    fn append(&mut self, n: u64, input: &Input) {
        let of = match input {
            Input::Create | Input::Open | Input::Close | Input::End | Input::Kick(_) => 0,
            Input::Join(_) | Input::Gone(..) | Input::Back(_) => 1,
            Input::Count(..) => 2,
        };
        let offset = self.topics[of].len() as i64;
        let presence = |body: JoinsBody| {
            record(offset, JoinsRecord { game: game(n), at_us: START_US, edge: "edge-1".into(), body })
        };
        let record = match *input {
            Input::Create => create(n, offset),
            Input::Open => open(n, offset),
            Input::Close => command(n, offset, CloseQuestion { question: None }),
            Input::End => end(n, offset),
            Input::Kick(player) => command(n, offset, KickPlayer { player: PlayerId::from_bits(player) }),
            Input::Join(player) => join(n, offset, player),
            Input::Gone(player, answered) => {
                // Nobody has answered a question that was not asked.
                let asked = self.told.iter().filter(|((of, _), _)| *of == n).map(|(_, question)| *question).max();
                let answered = answered.filter(|question| asked.is_some_and(|asked| *question <= asked));
                presence(PlayerDisconnected { player: PlayerId::from_bits(player), answered }.into())
            }
            Input::Back(player) => presence(PlayerConnected { player: PlayerId::from_bits(player) }.into()),
            Input::Count(lane, more) => {
                let Some(&question) = self.told.get(&(n, lane)) else {
                    return;
                };
                self.position += 1;
                let scored = self.counted.entry((n, lane, question)).or_default();
                *scored += more;
                let scored = *scored;
                let counts = LaneCounts { received: scored, scored, ..LaneCounts::default() };
                let position = Position { partition: 1, offset: self.position };
                let body = LaneCounted { closed: false }.into();
                record(offset, ScoresRecord { game: game(n), lane, question, position, counts, body })
            }
        };
        self.topics[of].push(record);
    }

    fn take(&mut self, counts: [usize; 3], turn: usize) {
        let mut batch = Vec::new();
        for at in (0..3).map(|no| (no + turn) % 3) {
            let end = self.topics[at].len().min(self.next[at] + counts[at]);
            batch.extend_from_slice(&self.topics[at][self.next[at]..end]);
            self.next[at] = end;
        }
        let out = self.bench.apply(&batch);
        self.heed(&out);
    }

    /// What the loop and the lanes do with an output.
    fn heed(&mut self, out: &Output<Infallible>) {
        self.dead.extend(dead(out));
        for event in &out.produce {
            let AnyEvent::Answers(marker) = event else {
                continue;
            };
            let lane = (marker.game.bits(), marker.lane);
            match &marker.body {
                AnswersBody::LaneOpened(opened) => self.told.insert(lane, opened.question),
                AnswersBody::LaneClosed(closed) => self.to_report.insert(lane, closed.question),
                other => panic!("the session worker writes markers only, not {other:?}"),
            };
        }
        for (at, topic) in TOPICS.into_iter().enumerate() {
            let point = self.bench.commit_point(topic, self.next[at] as i64);
            assert!(point >= self.committed[at], "the commit point of {topic} went back");
            self.committed[at] = point;
        }
    }

    fn crash(&mut self, back: usize) {
        self.bench.state = self.bench.successor();
        // Commands and joins may be read again from anywhere: the embedded cluster keeps no offsets of
        // a transaction. Dead ones are dead again then.
        for at in [1, 0, 2] {
            let from = (self.committed[at] as usize).saturating_sub(back);
            let again = self.topics[at][from..self.next[at]].to_vec();
            self.committed[at] = from as i64;
            let out = self.bench.apply(&again);
            assert_eq!(words(&out), [""; 0], "a successor did it again");
        }
        for (at, topic) in TOPICS.into_iter().enumerate() {
            assert!(self.bench.commit_point(topic, self.next[at] as i64) <= self.next[at] as i64);
        }
    }
}

fn outcome(steps: &[Step], crashes: bool) -> (Vec<AnyEvent>, World) {
    let mut world = World::new();
    for step in steps {
        world.run(step, crashes);
    }
    (world.bench.log.clone(), world)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_changes_nothing(steps in prop::collection::vec(step(), 1..150)) {
        let (calm, _) = outcome(&steps, false);
        let (crashed, world) = outcome(&steps, true);
        prop_assert_eq!(&calm, &crashed);
        for n in 0..GAMES {
            let seqs: Vec<i64> = crashed.iter().filter_map(|event| match event {
                AnyEvent::Sessions(record) if record.game == game(n) => Some(record.seq),
                _ => None,
            }).collect();
            prop_assert_eq!(&seqs, &(0..seqs.len() as i64).collect::<Vec<_>>());
        }
        prop_assert!(world.dead.iter().all(|(_, _, reason)| *reason == "no_game"));
    }
}

#[test]
fn the_random_streams_get_somewhere() {
    // Goal: the property above is not true for want of games. Method: count what its streams lead to.
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..200 {
        let steps = prop::collection::vec(step(), 150).new_tree(&mut runner).expect("steps can be made").current();
        let (log, world) = outcome(&steps, true);
        for event in log {
            let kind = words(&Output { produce: vec![event], ..Output::default() }).remove(0);
            *seen.entry(kind.split(' ').nth(1).unwrap_or("marker").to_string()).or_default() += 1;
        }
        *seen.entry("dead".into()).or_default() += world.dead.len() as u32;
    }
    for kind in ["JoinsDecided", "PresenceChanged", "QuestionSettled", "OpenDeferred", "GameOver", "marker", "dead"] {
        assert!(seen.get(kind).is_some_and(|&count| count >= 10), "{kind} is too rare: {seen:?}");
    }
}
