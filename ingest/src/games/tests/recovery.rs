//! Goal: a client is told every durable message once and in order, or told a snapshot that says where
//! it stands, whatever edge it comes to, also one that has just been started, and whatever the log has
//! twice. Method: random courses of a log that a restarted projection writes again from the start, of
//! edges that lag, start anew from older views and forget, and of clients that come and go; an oracle
//! that is a plain list of the first occurrences.

use std::collections::HashSet;

use proptest::prelude::*;
use quiz_schemas::events::{AnswersCounted, QuestionStopped, ResultsBody, StopReason};

use super::*;
use crate::games::recovery::Recovery;
use crate::limits::RECOVERY_MESSAGES_MAX;

/// What the log holds at each offset of the game's partition; none: a record of another game.
type Log = Vec<Option<ResultsRecord>>;

#[derive(Clone, Debug)]
enum Step {
    /// The projection publishes what comes next.
    Publish(u8),
    /// A new one takes over and publishes from the start again, this far into what was published.
    Takeover(u8),
    /// Other games' records, and a count.
    Others(u8),
    /// An edge reads on.
    Read(usize, u8),
    /// An edge is killed and comes back with a view so many records old.
    Restart(usize, u8),
    /// A client comes to an edge, with its cursor or without.
    Come(usize, usize, bool),
    Go(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u8..5).prop_map(Step::Publish),
        1 => (0u8..40).prop_map(Step::Takeover),
        1 => (1u8..4).prop_map(Step::Others),
        8 => (0usize..2, 1u8..12).prop_map(|(edge, records)| Step::Read(edge, records)),
        1 => (0usize..2, 0u8..30).prop_map(|(edge, back)| Step::Restart(edge, back)),
        5 => (0usize..3, 0usize..2, prop::bool::weighted(0.9)).prop_map(|(who, edge, own)| Step::Come(who, edge, own)),
        2 => (0usize..3).prop_map(Step::Go),
    ]
}

/// The course of a game of two lanes, event by event.
fn course(questions: u16) -> Vec<ResultsRecord> {
    let mut seq = 0;
    let mut session = |body: ResultsBody| {
        seq += 1;
        record(Some(format!("s{seq}")), body)
    };
    let opened = GameOpened { pin: Pin::from_index(1), title: "T".into(), questions: 9, lanes: 2, capacity: 9 };
    let mut all = vec![session(opened.into())];
    for question in 0..questions {
        all.push(session(admitted(u64::from(question) + 50, 3).into()));
        all.push(session(shown(question, WALL_US).into()));
        all.push(session(QuestionStopped { question, reason: StopReason::Deadline }.into()));
        all.push(record(Some(format!("q{question}.board")), board(question)));
        for lane in 0..2 {
            let who: &[u64] = if lane == 0 { &[1, 3] } else { &[2] };
            all.push(record(Some(format!("q{question}.outcomes.{lane}")), outcomes(question, who)));
        }
        if question % 2 == 1 {
            all.push(session(nobody(3).into()));
        }
    }
    all.push(session(GameEnded { reason: OverReason::Finished, players: 3, top: Vec::new() }.into()));
    all
}

/// The identity of a durable message to a player, and where it came first.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Message {
    at: i64,
    what: String,
}

/// What player `who` must hear of the whole log: the naive way.
fn oracle(log: &Log, who: u64) -> Vec<Message> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for (at, record) in log.iter().enumerate() {
        let Some(record) = record else { continue };
        let Some(id) = &record.event_id else { continue };
        if !seen.insert(id.clone()) {
            continue;
        }
        let what = match &record.body {
            ResultsBody::QuestionShown(shown) => format!("question {}", shown.question),
            ResultsBody::QuestionStopped(stopped) => format!("closed {}", stopped.question),
            ResultsBody::BoardPublished(board) => format!("board {}", board.question),
            ResultsBody::OutcomesPublished(batch) if batch.outcomes.iter().any(|own| own.player == player(who)) => {
                format!("outcome {}", batch.question)
            }
            ResultsBody::GameEnded(_) => "over".into(),
            _ => continue,
        };
        all.push(Message { at: at as i64, what });
    }
    all
}

fn heard_durable(deliveries: &[Arc<Delivery>]) -> Vec<(Option<i64>, String)> {
    let what = |delivery: &Arc<Delivery>| {
        let message = message(delivery)?;
        let what = match &message {
            ServerMessage::Question(question) => format!("question {}", question.question),
            ServerMessage::Closed(stopped) => format!("closed {}", stopped.question),
            ServerMessage::Board(board) => format!("board {}", board.question),
            ServerMessage::Outcome(outcome) => format!("outcome {}", outcome.question),
            ServerMessage::Over(_) => "over".into(),
            _ => return None,
        };
        Some((message.at(), what))
    };
    deliveries.iter().filter_map(what).collect()
}

struct Edge {
    channel: Channel,
    next: usize,
}

struct Client {
    who: u64,
    at: Option<(usize, Ear)>,
    place: Option<i64>,
    sockets: u64,
}

/// One run.
struct World {
    log: Log,
    course: Vec<ResultsRecord>,
    published: usize,
    /// The views that the projection stored, with their cursors, by offset.
    views: Vec<(GameView, i64)>,
    view: GameView,
    edges: Vec<Edge>,
    clients: Vec<Client>,
    now: EdgeTime,
    look_back: i64,
    recoveries: usize,
}

impl World {
    fn new(look_back: i64) -> Self {
        let now = EdgeTime { mono: Instant::now(), cluster_us: Some(WALL_US) };
        let client = |who| Client { who, at: None, place: None, sockets: 0 };
        let mut world = Self {
            log: Vec::new(),
            course: course(6),
            published: 0,
            views: Vec::new(),
            view: GameView::new(game()),
            edges: Vec::new(),
            clients: (1..=3).map(client).collect(),
            now,
            look_back,
            recoveries: 0,
        };
        world.publish();
        for _ in 0..2 {
            let edge = world.edge(0);
            world.edges.push(edge);
        }
        world
    }

    fn publish(&mut self) {
        if let Some(record) = self.course.get(self.published).cloned() {
            self.published += 1;
            self.append(record);
        }
    }

    fn append(&mut self, record: ResultsRecord) {
        let at = self.log.len() as i64;
        if self.view.fold(&record) == quiz_game::view::Folded::Applied {
            self.views.push((self.view.clone(), at));
        }
        self.log.push(Some(record));
    }

    /// An edge that loads the view that was stored `back` writes ago.
    fn edge(&self, back: usize) -> Edge {
        let (view, cursor) = self.views[self.views.len().saturating_sub(back + 1)].clone();
        let next = usize::try_from((cursor + 1 - self.look_back).max(0)).unwrap();
        Edge { channel: Channel::new(view, Some(cursor), self.now), next }
    }

    fn read(&mut self, edge: usize, records: u8) -> Result<(), TestCaseError> {
        for _ in 0..records {
            let edge = &mut self.edges[edge];
            let Some(record) = self.log.get(edge.next) else { break };
            if let Some(record) = record {
                edge.channel.record(Told::new(edge.next as i64, WALL_US, record.clone()), self.now);
                // Some of it is told while the next is read.
                edge.channel.pump(1);
            }
            edge.next += 1;
        }
        self.listen()
    }

    /// All clients read what they were told.
    fn listen(&mut self) -> Result<(), TestCaseError> {
        for edge in &mut self.edges {
            edge.channel.pump(usize::MAX);
        }
        for client in &mut self.clients {
            let expected = oracle(&self.log, client.who);
            let Some((edge, ear)) = &mut client.at else { continue };
            let deliveries = ear.deliveries();
            prop_assert!(!ear.evict.has(Signal::Evict), "a client that reads is never too slow");
            // A snapshot has no offsets.
            let heard: Vec<_> = heard_durable(&deliveries).into_iter().filter(|(at, _)| at.is_some()).collect();
            for delivery in &deliveries {
                let Mark::Attached(head) = &delivery.mark else { continue };
                if head.recovered {
                    self.recoveries += 1;
                    prop_assert_eq!(Some(head.cursor), client.place, "its own cursor");
                } else {
                    client.place = Some(head.cursor);
                }
            }
            let mut place = client.place.unwrap_or(-1);
            for (at, what) in heard {
                let next = expected.iter().find(|message| message.at > place);
                let told = at.map(|at| Message { at, what: what.clone() });
                prop_assert_eq!(told.as_ref(), next, "{} after {}: {:?}", client.who, place, expected);
                place = at.unwrap_or(place);
            }
            client.place = Some(place);
            // Nothing that the edge has read is missing.
            let read = self.edges[*edge].next as i64;
            let channel = &self.edges[*edge].channel;
            let missing = expected.iter().find(|message| message.at > place && message.at < read);
            prop_assert!(
                missing.is_none() || channel.is_awaited() || channel.holds_back(),
                "{} misses {:?}",
                client.who,
                missing
            );
        }
        Ok(())
    }

    fn come(&mut self, who: usize, edge: usize, own: bool) -> Result<(), TestCaseError> {
        self.go(who);
        let client = &mut self.clients[who];
        client.sockets += 1;
        let (sender, mailbox) = mailbox();
        let evict = Arc::<Signals>::default();
        let socket = SocketId(client.who * 1_000 + client.sockets);
        let role = Role::Player(player(client.who));
        let cursor = client.place.filter(|_| own);
        let attach = Attach { socket, role, cursor, mailbox: sender, evict: evict.clone() };
        self.edges[edge].channel.attach(attach, self.now);
        client.at = Some((edge, Ear { mailbox, evict }));
        if cursor.is_none() {
            client.place = None;
        }
        self.listen()
    }

    fn go(&mut self, who: usize) {
        let client = &mut self.clients[who];
        if let Some((edge, _)) = client.at.take() {
            let socket = SocketId(client.who * 1_000 + client.sockets);
            self.edges[edge].channel.detach(socket, Some(player(client.who)));
        }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Publish(events) => (0..events).for_each(|_| self.publish()),
            Step::Takeover(upto) => {
                let again = usize::from(upto).min(self.published);
                // A successor begins at the start of the game; here it may be interrupted, too.
                for index in 0..again {
                    self.append(self.course[index].clone());
                }
                if again < self.published {
                    // What it has not come to again, the next one does before anything new.
                    for index in 0..self.published {
                        self.append(self.course[index].clone());
                    }
                }
            }
            Step::Others(records) => {
                for _ in 0..records {
                    self.log.push(None);
                }
                self.log.push(Some(record(None, AnswersCounted { question: 0, answered: 1 })));
            }
            Step::Read(edge, records) => self.read(edge, records)?,
            Step::Restart(edge, back) => {
                for who in 0..self.clients.len() {
                    if self.clients[who].at.as_ref().is_some_and(|(at, _)| *at == edge) {
                        self.clients[who].at = None;
                    }
                }
                self.edges[edge] = self.edge(usize::from(back));
            }
            Step::Come(who, edge, own) => self.come(who, edge, own)?,
            Step::Go(who) => self.go(who),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn nothing_is_told_twice_or_left_out(
        look_back in 0i64..120,
        steps in proptest::collection::vec(step(), 1..140),
    ) {
        let mut world = World::new(look_back);
        for step in steps {
            world.take(step)?;
        }
        // In the end all read all, and those who are left wait no more.
        for edge in 0..2 {
            while world.edges[edge].next < world.log.len() {
                world.read(edge, 50)?;
            }
        }
        world.now.mono += Duration::from_secs(5);
        for edge in &mut world.edges {
            edge.channel.tick(world.now);
            prop_assert!(!edge.channel.is_awaited() && !edge.channel.holds_back());
        }
        world.listen()?;
    }
}

/// Goal: the property above reaches what it is about. Method: the plain case on a fresh edge.
#[test]
fn a_fresh_edge_recovers_what_was_told_before_its_view() {
    let mut world = World::new(100);
    (0..4).for_each(|_| world.publish());
    world.read(0, 200).unwrap();
    world.come(0, 0, false).unwrap();
    (0..6).for_each(|_| world.publish());
    world.read(0, 3).unwrap();
    let place = world.clients[0].place;
    world.go(0);
    // Two takeovers later another edge starts, behind all that was published.
    for _ in 0..2 {
        world.take(Step::Takeover(0)).unwrap();
    }
    (0..3).for_each(|_| world.publish());
    world.edges[1] = world.edge(0);
    world.come(0, 1, true).unwrap();
    assert_eq!(world.recoveries, 0, "it waits for what is before the view");
    world.read(1, 250).unwrap();
    assert_eq!(world.recoveries, 1, "from {place:?}");
}

/// Goal: nothing is kept that nobody is told again, and all else is. Method: the host of a long game, who hears the
/// fewest messages of each question, comes back behind every record with the cursor of every earlier one.
#[test]
fn what_is_kept_is_what_may_be_told_again() {
    let log = course(40);
    let durable = |record: &ResultsRecord| {
        use ResultsBody::{BoardPublished, GameEnded, QuestionShown, QuestionStopped};
        matches!(record.body, QuestionShown(_) | QuestionStopped(_) | BoardPublished(_) | GameEnded(_))
    };
    let mut recovery = Recovery::new(&GameView::new(game()), None);
    for (at, record) in log.iter().enumerate() {
        recovery.keep(Told::new(at as i64, WALL_US, record.clone()));
        recovery.read_to(at as i64);
        for cursor in 0..at {
            let missed: Vec<i64> = (cursor + 1..=at).filter(|&at| durable(&log[at])).map(|at| at as i64).collect();
            let told = recovery.since(cursor as i64);
            let told = told.map(|told| told.iter().filter(|told| durable(&told.record)).map(|told| told.at).collect());
            if missed.len() <= RECOVERY_MESSAGES_MAX {
                assert_eq!(told, Some(missed), "from {cursor} to {at}");
            } else if missed.len() > RECOVERY_MESSAGES_MAX + 9 {
                assert_eq!(told, None::<Vec<i64>>, "from {cursor} to {at}: {} messages", missed.len());
            }
        }
    }
}
