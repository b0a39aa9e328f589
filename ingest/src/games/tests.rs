//! Goal: who is told what, once, and that a slow socket holds up nobody. Method: a channel with
//! mailboxes that the test reads; time is an argument.

mod recovery;

use std::sync::Arc;
use std::time::Duration;

use quiz_game::view::GameView;
use quiz_schemas::events::{
    AnswersCounted, BoardPublished, GameEnded, GameOpened, JoinRefusal, LobbyChanged, LobbyPlayer, Outcome,
    OutcomesPublished, OverReason, QuestionShown, QuestionStopped, QuestionView, RefusalReason, ResultsBody,
    ResultsRecord, StopReason, Verdict,
};
use quiz_schemas::quiz::{AnswerKey, Picks, QuestionKind};
use quiz_schemas::{GameId, Pin, PlayerId, QuestionNo};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::channel::Channel;
use super::encode::EdgeTime;
use super::mailbox::{Attach, Delivery, SocketId, mailbox};
use super::recovery::Told;
use crate::connection::{Mark, NotAttached, Role};
use crate::limits::{BOARD_HOLD_MS, CATCH_UP_MS, CLOSED_HOLD_MS, FRESH_US_MAX, LOBBY_INTERVAL_MS, MAILBOX_MAX};
use crate::protocol::ServerMessage;
use crate::signals::{Signal, Signals};

const WALL_US: i64 = 1_790_000_000_000_000;

fn game() -> GameId {
    GameId::from_bits(77)
}

fn player(n: u64) -> PlayerId {
    PlayerId::from_bits(n)
}

struct Ear {
    mailbox: mpsc::Receiver<Arc<Delivery>>,
    evict: Arc<Signals>,
}

impl Ear {
    fn deliveries(&mut self) -> Vec<Arc<Delivery>> {
        std::iter::from_fn(|| self.mailbox.try_recv().ok()).collect()
    }

    /// The types of the messages since the last look; a mark without a frame is in brackets.
    fn heard(&mut self) -> Vec<String> {
        self.deliveries().iter().map(|delivery| name(delivery)).collect()
    }
}

fn name(delivery: &Delivery) -> String {
    match (message(delivery), &delivery.mark) {
        (Some(message), _) => {
            let value = serde_json::to_value(message).unwrap();
            value["type"].as_str().unwrap().to_string()
        }
        (None, Mark::Attached(_)) => "[attached]".into(),
        (None, Mark::Admitted(_)) => "[admitted]".into(),
        (None, mark) => format!("[{mark:?}]"),
    }
}

fn message(delivery: &Delivery) -> Option<ServerMessage> {
    delivery.text.as_ref().map(|text| serde_json::from_str(text).unwrap())
}

struct Stage {
    channel: Channel,
    now: EdgeTime,
    seq: i64,
    offset: i64,
    sockets: u64,
}

impl Stage {
    fn new() -> Self {
        let now = EdgeTime { mono: Instant::now(), cluster_us: Some(WALL_US) };
        let mut view = GameView::new(game());
        let pin = Pin::from_index(42);
        let opened = GameOpened { pin, title: "T".into(), questions: 3, lanes: 2, capacity: 100 };
        view.fold(&record(Some("s0".into()), opened));
        Self { channel: Channel::new(view, Some(0), now), now, seq: 0, offset: 0, sockets: 0 }
    }

    fn attach(&mut self, role: Role) -> Ear {
        let (sender, receiver) = mailbox();
        let evict = Arc::<Signals>::default();
        self.sockets += 1;
        let attach =
            Attach { socket: SocketId(self.sockets), role, cursor: None, mailbox: sender, evict: evict.clone() };
        self.channel.attach(attach, self.now);
        self.channel.pump(usize::MAX);
        Ear { mailbox: receiver, evict }
    }

    fn say(&mut self, body: impl Into<ResultsBody>) {
        self.seq += 1;
        let id = format!("s{}", self.seq);
        self.read(record(Some(id), body));
    }

    fn say_as(&mut self, id: Option<&str>, body: impl Into<ResultsBody>) {
        self.read(record(id.map(Into::into), body));
    }

    /// The tail reads the next record, which the log took just now.
    fn read(&mut self, record: ResultsRecord) {
        self.read_stamped(record, self.now.cluster_us.unwrap());
    }

    fn read_stamped(&mut self, record: ResultsRecord, stamp_us: i64) {
        self.offset += 1;
        self.channel.record(Told::new(self.offset, stamp_us, record), self.now);
        self.channel.pump(usize::MAX);
    }

    fn wait(&mut self, ms: u64) {
        self.now.mono += Duration::from_millis(ms);
        self.now.cluster_us = self.now.cluster_us.map(|us| us + i64::try_from(ms).unwrap() * 1000);
        self.channel.tick(self.now);
        self.channel.pump(usize::MAX);
    }

    fn show(&mut self, question: QuestionNo) {
        let shown = shown(question, self.now.cluster_us.unwrap());
        self.say(shown);
    }
}

fn record(id: Option<String>, body: impl Into<ResultsBody>) -> ResultsRecord {
    ResultsRecord { game: game(), at_us: WALL_US, event_id: id.map(Into::into), body: body.into() }
}

fn shown(question: QuestionNo, opened_at_us: i64) -> QuestionShown {
    let view = QuestionView {
        kind: QuestionKind::Single,
        prompt: "?".into(),
        options: vec!["a".into(), "b".into()],
        points_max: 1000,
        limit_ms: 20_000,
    };
    QuestionShown { question, view, opened_at_us, deadline_us: opened_at_us + 20_000_000 }
}

fn admitted(who: u64, players: i32) -> LobbyChanged {
    LobbyChanged {
        admitted: vec![LobbyPlayer { player: player(who), nickname: format!("player {who}") }],
        refused: Vec::new(),
        kicked: Vec::new(),
        players,
        connected: players,
    }
}

fn nobody(players: i32) -> LobbyChanged {
    LobbyChanged { admitted: Vec::new(), refused: Vec::new(), kicked: Vec::new(), players, connected: players }
}

fn board(question: QuestionNo) -> BoardPublished {
    BoardPublished {
        question,
        key: AnswerKey::Single { options: 2, correct: Picks::one(1) },
        explanation: None,
        distribution: vec![0, 1],
        answered: 1,
        correct: 1,
        players: 9,
        top: Vec::new(),
        last: false,
    }
}

fn outcomes(question: QuestionNo, players: &[u64]) -> OutcomesPublished {
    let outcome = |who: &u64| Outcome {
        player: player(*who),
        verdict: Verdict::Correct,
        points: 10,
        total: 100 + i64::try_from(*who).unwrap(),
        rank: 1,
        gap: 0,
        streak: 1,
    };
    OutcomesPublished { question, part: 0, parts: 1, outcomes: players.iter().map(outcome).collect() }
}

#[test]
fn a_joiner_hears_nothing_until_it_is_admitted_then_the_present_state() {
    let mut stage = Stage::new();
    let mut ada = stage.attach(Role::Joiner(player(1)));
    assert_eq!(ada.heard(), ["[attached]"]);
    stage.show(0);
    assert!(ada.heard().is_empty());
    stage.say(admitted(1, 1));
    assert_eq!(ada.heard(), ["[admitted]", "question", "lobby"]);
    stage.say(QuestionStopped { question: 0, reason: StopReason::Deadline });
    assert_eq!(ada.heard(), ["closed"]);
}

#[test]
fn a_refused_joiner_is_told_and_let_go() {
    let mut stage = Stage::new();
    let mut ada = stage.attach(Role::Joiner(player(1)));
    let refusal = JoinRefusal { player: player(1), reason: RefusalReason::NicknameTaken };
    stage.say(LobbyChanged { refused: vec![refusal], ..nobody(0) });
    assert_eq!(ada.heard(), ["[attached]", "[Refused(NicknameTaken)]"]);
    assert!(stage.channel.is_empty());
}

#[test]
fn a_public_event_is_encoded_once_for_all() {
    let mut stage = Stage::new();
    let mut ears: Vec<Ear> = (1..=5).map(|who| stage.attach(Role::Player(player(who)))).collect();
    for ear in &mut ears {
        ear.deliveries();
    }
    stage.show(0);
    let heard: Vec<Arc<Delivery>> = ears.iter_mut().flat_map(Ear::deliveries).collect();
    assert_eq!(heard.len(), 5);
    assert!(heard.iter().all(|delivery| Arc::ptr_eq(delivery, &heard[0])));
}

#[test]
fn players_and_hosts_hear_what_is_theirs() {
    let mut stage = Stage::new();
    let (mut ada, mut host) = (stage.attach(Role::Player(player(1))), stage.attach(Role::Host));
    assert_eq!(ada.heard(), ["[attached]", "lobby"]);
    assert_eq!(host.heard(), ["[attached]", "lobby"]);
    stage.show(0);
    stage.say_as(None, AnswersCounted { question: 0, answered: 1 });
    stage.say(QuestionStopped { question: 0, reason: StopReason::Host });
    stage.say_as(Some("q0.board"), board(0));
    stage.say_as(Some("q0.outcomes.0"), outcomes(0, &[1, 2]));
    stage.say(GameEnded { reason: OverReason::Finished, players: 9, top: Vec::new() });
    let last = ada.deliveries();
    let names: Vec<String> = last.iter().map(|delivery| name(delivery)).collect();
    assert_eq!(names, ["question", "closed", "board", "outcome", "over"]);
    let Some(ServerMessage::Outcome(own)) = message(&last[3]) else { panic!("no outcome") };
    assert_eq!((own.total, own.players), (101, 9));
    assert_eq!(host.heard(), ["question", "counted", "closed", "board", "over"]);
}

/// Goal: what comes close together reaches a player in one go, in the order of the log, and late at most by
/// what it may be held. Method: look into the mailboxes after each record.
#[test]
fn players_hear_the_close_the_board_and_their_outcome_in_one_go() {
    let mut stage = Stage::new();
    let (mut ada, mut host) = (stage.attach(Role::Player(player(1))), stage.attach(Role::Host));
    let mut bob = stage.attach(Role::Player(player(2)));
    stage.say(shown(0, WALL_US));
    [&mut ada, &mut bob, &mut host].into_iter().for_each(|ear| drop(ear.heard()));
    stage.say(QuestionStopped { question: 0, reason: StopReason::AllAnswered });
    assert_eq!((ada.heard(), host.heard()), (vec![], vec!["closed".to_string()]));
    assert!(stage.channel.holds_back());
    stage.say(board(0));
    assert_eq!((ada.heard(), host.heard()), (vec![], vec!["board".to_string()]));
    stage.say(outcomes(0, &[1]));
    assert_eq!(ada.heard(), ["closed", "board", "outcome"]);
    assert_eq!(bob.heard(), [""; 0], "his may be in the next record");
    // Who comes meanwhile hears the state as it is; the others have heard all that it is made of.
    let mut cy = stage.attach(Role::Player(player(3)));
    assert_eq!(bob.heard(), ["closed", "board"]);
    stage.wait(BOARD_HOLD_MS);
    assert_eq!((ada.heard(), bob.heard()), (vec![], vec![]));
    assert_eq!(cy.heard(), ["[attached]", "board"]);
    stage.say(outcomes(0, &[2]));
    assert_eq!(bob.heard(), ["outcome"]);

    // A board that is slow to come keeps nobody from hearing that the question is closed.
    stage.say(shown(1, WALL_US));
    assert_eq!(ada.heard(), ["question"]);
    stage.say(QuestionStopped { question: 1, reason: StopReason::AllAnswered });
    stage.wait(CLOSED_HOLD_MS - 1);
    assert_eq!(ada.heard(), [""; 0]);
    stage.wait(1);
    assert_eq!(ada.heard(), ["closed"]);
    // Nor does an outcome that does not come at all keep anybody from the board.
    stage.say(board(1));
    stage.wait(BOARD_HOLD_MS);
    assert_eq!(ada.heard(), ["board"]);
    assert!(!stage.channel.holds_back());
    // Somebody may be thinking still: they hear at once.
    stage.say(shown(2, WALL_US));
    stage.say(QuestionStopped { question: 2, reason: StopReason::Host });
    assert_eq!(ada.heard(), ["question", "closed"]);
}

#[test]
fn what_is_published_again_is_told_once() {
    let mut stage = Stage::new();
    let mut ada = stage.attach(Role::Player(player(1)));
    ada.deliveries();
    for _ in 0..2 {
        stage.say_as(Some("s1"), shown(0, WALL_US));
        stage.say_as(Some("s2"), QuestionStopped { question: 0, reason: StopReason::Host });
        stage.say_as(Some("q0.board"), board(0));
        stage.say_as(Some("q0.outcomes.0"), outcomes(0, &[1]));
    }
    assert_eq!(ada.heard(), ["question", "closed", "board", "outcome"]);
}

#[test]
fn players_hear_of_the_lobby_in_batches_and_hosts_at_once() {
    let mut stage = Stage::new();
    let (mut ada, mut host) = (stage.attach(Role::Player(player(1))), stage.attach(Role::Host));
    ada.deliveries();
    host.deliveries();
    for who in 2..=40 {
        stage.say(admitted(who, i32::try_from(who).unwrap()));
    }
    assert_eq!(host.heard().len(), 39);
    assert_eq!(ada.heard(), ["lobby"], "the first at once");
    stage.wait(LOBBY_INTERVAL_MS);
    let batch = ada.deliveries();
    let [delivery] = &batch[..] else { panic!("{} deliveries", batch.len()) };
    let Some(ServerMessage::Lobby(lobby)) = message(delivery) else { panic!("no lobby") };
    assert_eq!((lobby.players, lobby.joined.len()), (40, 20));
    assert_eq!(lobby.joined.last().unwrap().nickname, "player 40");
    stage.wait(LOBBY_INTERVAL_MS);
    assert!(ada.heard().is_empty(), "nothing new");
}

#[test]
fn a_large_lobby_is_told_less_often() {
    let mut stage = Stage::new();
    let mut host = stage.attach(Role::Host);
    let mut ears: Vec<Ear> = (1..=499).map(|n| stage.attach(Role::Player(player(n)))).collect();
    host.deliveries();
    ears.iter_mut().for_each(|ear| drop(ear.deliveries()));
    for _ in 0..119 {
        stage.say(nobody(500));
        assert_eq!(host.heard(), ["lobby"], "hosts hear of each change");
        stage.wait(25);
    }
    let frames = ears.iter_mut().map(|ear| ear.heard().len());
    assert_eq!(frames.collect::<Vec<_>>(), [3; 499], "at 0, 1 and 2 s");
}

#[test]
fn a_slow_socket_is_evicted_and_the_others_go_on() {
    let mut stage = Stage::new();
    let (mut slow, mut quick) = (stage.attach(Role::Host), stage.attach(Role::Host));
    for count in 0..MAILBOX_MAX as i64 * 2 {
        stage.say_as(None, AnswersCounted { question: 0, answered: count });
        quick.deliveries();
    }
    assert!(slow.evict.has(Signal::Evict));
    assert!(!quick.evict.has(Signal::Evict));
    assert_eq!(slow.deliveries().len(), MAILBOX_MAX);
    stage.show(0);
    assert_eq!(quick.heard(), ["question"]);
    assert!(slow.heard().is_empty(), "nothing behind a gap");
}

#[test]
fn many_are_told_in_turns_and_who_leaves_hears_what_was_said_before() {
    let mut stage = Stage::new();
    let mut ears: Vec<Ear> = (1..=5).map(|n| stage.attach(Role::Player(player(n)))).collect();
    let told = |ears: &mut Vec<Ear>| ears.iter_mut().map(|ear| ear.deliveries().len()).sum::<usize>();
    told(&mut ears);
    let question = record(Some("s1".into()), shown(0, WALL_US));
    stage.channel.record(Told::new(1, WALL_US, question), stage.now);
    assert_eq!(told(&mut ears), 0);
    assert!(stage.channel.pump(2), "three have still to be told");
    assert_eq!(told(&mut ears), 2);
    for socket in 1..=5 {
        stage.channel.detach(SocketId(socket), Some(player(socket)));
    }
    assert!(!stage.channel.pump(3));
    assert_eq!(told(&mut ears), 3);
}

#[test]
fn a_removed_player_is_told_on_all_sockets_and_kept_out() {
    let mut stage = Stage::new();
    let mut ears = [stage.attach(Role::Player(player(1))), stage.attach(Role::Player(player(1)))];
    for ear in &mut ears {
        ear.deliveries();
    }
    stage.say(LobbyChanged { kicked: vec![player(1)], ..nobody(0) });
    for ear in &mut ears {
        assert_eq!(ear.heard()[0], "[Kicked]");
    }
    let mut again = stage.attach(Role::Player(player(1)));
    assert_eq!(again.heard(), [format!("[{:?}]", Mark::NotAttached(NotAttached::Banned))]);
}

#[test]
fn a_late_socket_hears_the_state_and_loads_its_outcome() {
    let mut stage = Stage::new();
    stage.show(0);
    let mut ada = stage.attach(Role::Player(player(1)));
    let greeting = ada.deliveries();
    let greeted = greeting[1].clock.and_then(|clock| clock.greeted).expect("it is timed from when the edge saw it");
    assert_eq!((greeted.seen, greeted.appended_at_us), (stage.now.mono, stage.now.cluster_us));
    stage.say(QuestionStopped { question: 0, reason: StopReason::Host });
    let mut late = stage.attach(Role::Player(player(2)));
    assert_eq!(late.heard(), ["[attached]", "question", "closed"]);
    stage.say_as(Some("q0.board"), board(0));
    let mut later = stage.attach(Role::Player(player(3)));
    let deliveries = later.deliveries();
    assert_eq!(name(&deliveries[1]), "board");
    assert_eq!(deliveries[1].mark, Mark::OutcomeMissing { question: 0, players: 9 });
    stage.say(GameEnded { reason: OverReason::Host, players: 9, top: Vec::new() });
    assert_eq!(stage.attach(Role::Player(player(4))).heard(), ["[attached]", "board", "over"]);
    assert_eq!(stage.attach(Role::Host).heard(), ["[attached]", "lobby", "board", "over"]);
}

#[test]
fn an_old_question_is_no_news_to_an_edge_that_catches_up() {
    let fresh_ms = u64::try_from(FRESH_US_MAX / 1000).unwrap();
    for (age_ms, waited_ms, known, is_greeting) in [
        (10, 0, true, false),
        (fresh_ms + 1, 0, true, true),
        (fresh_ms + 1, CATCH_UP_MS + 1, true, true),
        (fresh_ms - 1, CATCH_UP_MS + 1, true, false),
        // As long as the cluster's time is not known, a game that has just been loaded is caught up with.
        (10, 0, false, true),
        (10, CATCH_UP_MS + 1, false, false),
    ] {
        let mut stage = Stage::new();
        let mut ada = stage.attach(Role::Player(player(1)));
        ada.deliveries();
        stage.wait(waited_ms);
        let cluster_us = stage.now.cluster_us.unwrap();
        stage.now.cluster_us = known.then_some(cluster_us);
        // What the worker's wall clock says has no part in it.
        let opened = record(Some("s1".into()), shown(0, cluster_us - 300_000_000));
        stage.read_stamped(opened, cluster_us - i64::try_from(age_ms).unwrap() * 1000);
        let clock = ada.deliveries()[0].clock.expect("a clock");
        assert_eq!(clock.greeted.is_some(), is_greeting, "{age_ms} ms old, {waited_ms} ms after the start, {known}");
    }
}

#[test]
fn only_the_last_socket_of_a_player_takes_the_player_away() {
    let mut stage = Stage::new();
    let _ears = [stage.attach(Role::Player(player(1))), stage.attach(Role::Player(player(1)))];
    assert!(!stage.channel.detach(SocketId(1), Some(player(1))));
    assert!(stage.channel.detach(SocketId(2), Some(player(1))));
    assert!(stage.channel.is_empty());
}

#[test]
fn a_newer_view_is_told_and_an_older_is_not() {
    let mut stage = Stage::new();
    let mut ada = stage.attach(Role::Player(player(1)));
    ada.deliveries();
    let mut newer = GameView::new(game());
    newer.fold(&record(Some("s0".into()), nobody(3)));
    newer.fold(&record(Some("s9".into()), shown(2, WALL_US)));
    stage.channel.reload(newer, 2, stage.now);
    stage.channel.pump(usize::MAX);
    assert_eq!(ada.heard(), ["question"]);
    stage.channel.reload(GameView::new(game()), 3, stage.now);
    stage.channel.pump(usize::MAX);
    assert!(ada.heard().is_empty());
}
