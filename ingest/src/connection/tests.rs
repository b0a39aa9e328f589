//! Goal: every row of the protocol's error table has its effect, and no other. Method: tables of scripts.

mod answers;
mod random;
mod silence;

use super::*;
use crate::limits::{ANSWERS_IN_FLIGHT_MAX, HEARTBEAT_MS, RATE_BURST};
use crate::token::{Holder, Signer, TOKEN_LIFE_S};
use quiz_schemas::events::{AnswersBody, CommandsBody};

const WALL_US: i64 = 1_790_000_000_000_000;
const PIN: &str = "123456";

fn around() -> Surroundings {
    Surroundings { edge: "edge-1".into(), signer: Signer::new(&[3; 32]).unwrap(), epoch: "e1".into() }
}

fn game() -> GameId {
    GameId::from_bits(77)
}

fn player() -> PlayerId {
    PlayerId::from_bits(5)
}

fn head() -> Arc<GameHead> {
    let pin = PIN.parse().unwrap();
    let (cursor, recovered) = (40, false);
    let lobby = Vec::new();
    Arc::new(GameHead { pin, title: "T".into(), questions: 3, players: 1, over: false, lobby, cursor, recovered })
}

/// A machine with its clock.
struct Bench {
    around: Surroundings,
    machine: Connection,
    now: Now,
}

impl Bench {
    fn new() -> Self {
        let now = Now { wall_us: WALL_US, mono_ms: 1_000, elapsed_us: Some(2_500_000), sockets: 1 };
        Self { around: around(), machine: Connection::new(now, SPREAD_MAX / 2), now }
    }

    fn on(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        self.machine.on(&self.around, input, self.now, &mut out);
        out
    }

    fn text(&mut self, text: &str) -> Vec<Action> {
        self.on(Input::Text(text))
    }

    fn resolved(&mut self) -> Vec<Action> {
        let target = Ok(Some(PinTarget { game: game(), lanes: 4 }));
        self.on(Input::Resolved { target, player: player() })
    }

    fn join(&mut self) -> Vec<Action> {
        let join = format!(r#"{{"type":"join","pin":"{PIN}","nickname":"Ada"}}"#);
        assert_eq!(self.text(&join), [Action::Resolve(PIN.parse().unwrap())]);
        let attach = Action::Attach { game: game(), role: Role::Joiner(player()), cursor: None };
        assert_eq!(self.resolved(), [attach]);
        self.on(Input::Game(&Mark::Attached(head())))
    }

    fn joined() -> Self {
        let mut bench = Self::new();
        bench.join();
        let out = bench.on(Input::Game(&Mark::Admitted(head())));
        assert!(matches!(&sent(&out)[..], [ServerMessage::Joined(_)]));
        bench
    }

    fn asked() -> Self {
        let mut bench = Self::joined();
        bench.show(1, QuestionKind::Single, 4);
        bench
    }

    fn show(&mut self, question: QuestionNo, kind: QuestionKind, options: u8) {
        assert_eq!(self.on(Input::Game(&Mark::Question { question, kind, options, accepting: true, live: true })), []);
    }

    fn hosting() -> Self {
        let mut bench = Self::new();
        let token = bench.around.signer.sign(Holder::Host { game: game() }, WALL_US);
        let out = bench.text(&format!(r#"{{"type":"host","token":"{token}"}}"#));
        assert_eq!(out, [Action::Attach { game: game(), role: Role::Host, cursor: None }]);
        let out = bench.on(Input::Game(&Mark::Attached(head())));
        assert!(matches!(&sent(&out)[..], [ServerMessage::Hosting(_)]));
        bench
    }

    fn answer(&mut self, question: QuestionNo, submission: u64, pick: u8) -> Vec<Action> {
        let submission = SubmissionId::from_bits(submission);
        self.text(&format!(r#"{{"type":"answer","question":{question},"submission":"{submission}","picks":[{pick}]}}"#))
    }
}

fn sent(actions: &[Action]) -> Vec<ServerMessage> {
    let message = |action: &Action| match action {
        Action::Send(message) => Some((**message).clone()),
        _ => None,
    };
    actions.iter().filter_map(message).collect()
}

fn codes(actions: &[Action]) -> Vec<ErrorCode> {
    let code = |message: ServerMessage| match message {
        ServerMessage::Error(error) => Some(error.code),
        _ => None,
    };
    sent(actions).into_iter().filter_map(code).collect()
}

fn closes(actions: &[Action]) -> Option<Close> {
    match actions.last() {
        Some(Action::Close(close)) => Some(*close),
        _ => None,
    }
}

fn ticket(actions: &[Action]) -> Ticket {
    match actions {
        [Action::Append { ticket, .. }] => ticket.clone(),
        other => panic!("not one append: {other:?}"),
    }
}

#[test]
fn every_error_of_the_table_has_its_row() {
    let picks = |question: u16| {
        format!(r#"{{"type":"answer","question":{question},"submission":"0000000000001","picks":[1]}}"#)
    };
    let token = around().signer.sign(Holder::Host { game: game() }, WALL_US);
    let old = around().signer.sign(Holder::Host { game: game() }, WALL_US - (TOKEN_LIFE_S + 60) * 1_000_000);
    let open = r#"{"type":"command","id":"a","do":"open"}"#.to_string();
    let join = format!(r#"{{"type":"join","pin":"{PIN}","nickname":"Ada"}}"#);
    type Make = fn() -> Bench;
    let table: Vec<(Make, String, ErrorCode, Option<Close>)> = vec![
        (Bench::new, "{".into(), ErrorCode::BadFrame, None),
        (Bench::new, r#"{"type":"dance"}"#.into(), ErrorCode::UnknownType, None),
        (Bench::new, r#"{"type":"join","pin":"1"}"#.into(), ErrorCode::BadField, None),
        (Bench::new, format!(r#"{{"type":"resume","token":"{}"}}"#, "x".repeat(3000)), ErrorCode::TooLarge, None),
        (Bench::new, picks(0), ErrorCode::NotJoined, None),
        (Bench::new, open.clone(), ErrorCode::NotJoined, None),
        (Bench::joined, join.clone(), ErrorCode::AlreadyJoined, None),
        (Bench::joined, format!(r#"{{"type":"resume","token":"{token}"}}"#), ErrorCode::AlreadyJoined, None),
        (Bench::hosting, join, ErrorCode::AlreadyJoined, None),
        (Bench::new, r#"{"type":"join","pin":"123456","nickname":" "}"#.into(), ErrorCode::NicknameInvalid, None),
        (Bench::new, r#"{"type":"resume","token":"x.y.z"}"#.into(), ErrorCode::TokenInvalid, Some(Close::TokenInvalid)),
        (
            Bench::new,
            format!(r#"{{"type":"resume","token":"{token}"}}"#),
            ErrorCode::TokenInvalid,
            Some(Close::TokenInvalid),
        ),
        (
            Bench::new,
            format!(r#"{{"type":"host","token":"{old}"}}"#),
            ErrorCode::TokenInvalid,
            Some(Close::TokenInvalid),
        ),
        (Bench::joined, open, ErrorCode::NotHost, None),
        (Bench::hosting, picks(0), ErrorCode::NotJoined, None),
        (Bench::joined, picks(0), ErrorCode::QuestionUnknown, None),
        (Bench::asked, picks(2), ErrorCode::QuestionUnknown, None),
        (Bench::asked, picks(0), ErrorCode::QuestionClosed, None),
        (Bench::asked, picks(1).replace("[1]", "[4]"), ErrorCode::ResponseMisfit, None),
        (Bench::asked, picks(1).replace(r#""picks":[1]"#, r#""text":"a""#), ErrorCode::ResponseMisfit, None),
    ];
    for (make, text, code, close) in table {
        let out = make().text(&text);
        assert_eq!(codes(&out), [code], "{text}");
        assert_eq!(closes(&out), close, "{text}");
        let others = out.iter().filter(|action| !matches!(action, Action::Tally { .. })).count();
        assert_eq!(others, 1 + usize::from(close.is_some()), "{text}: nothing else happens");
    }
}

#[test]
fn every_way_in_that_fails_has_its_code() {
    let refusals = [
        (RefusalReason::NicknameTaken, ErrorCode::NicknameTaken, None),
        (RefusalReason::Full, ErrorCode::GameFull, None),
        (RefusalReason::Banned, ErrorCode::Banned, Some(Close::Kicked)),
        (RefusalReason::GameOver, ErrorCode::GameOver, None),
        (RefusalReason::NoGame, ErrorCode::PinNotFound, None),
    ];
    for (reason, code, close) in refusals {
        let mut bench = Bench::new();
        bench.join();
        let out = bench.on(Input::Game(&Mark::Refused(reason)));
        assert_eq!((codes(&out), closes(&out)), (vec![code], close), "{reason:?}");
    }
    let lookups = [
        (Ok(None), ErrorCode::PinNotFound),
        (Err(Unresolved::Unavailable), ErrorCode::Unavailable),
        (Err(Unresolved::RateLimited { retry_after_ms: 700 }), ErrorCode::RateLimited),
    ];
    for (target, code) in lookups {
        let mut bench = Bench::new();
        bench.text(r#"{"type":"join","pin":"123456","nickname":"Ada"}"#);
        let out = bench.on(Input::Resolved { target, player: player() });
        assert_eq!(codes(&out), [code]);
        bench.join();
    }
    for (why, code, close) in [
        (NotAttached::Unavailable, ErrorCode::Unavailable, None),
        (NotAttached::Banned, ErrorCode::Banned, Some(Close::Kicked)),
        (NotAttached::Busy { retry_after_ms: 900 }, ErrorCode::RateLimited, None),
    ] {
        let mut bench = Bench::new();
        bench.text(r#"{"type":"join","pin":"123456","nickname":"Ada"}"#);
        bench.resolved();
        let out = bench.on(Input::Game(&Mark::NotAttached(why)));
        assert_eq!((codes(&out), closes(&out)), (vec![code], close));
    }
    let over = Arc::new(GameHead { over: true, ..(*head()).clone() });
    let mut bench = Bench::new();
    bench.text(r#"{"type":"join","pin":"123456","nickname":"Ada"}"#);
    bench.resolved();
    assert_eq!(codes(&bench.on(Input::Game(&Mark::Attached(over)))), [ErrorCode::GameOver]);
}

#[test]
fn what_cannot_be_read_closes_the_socket() {
    for close in [Close::Binary, Close::NotUtf8, Close::TooLarge] {
        assert_eq!(Bench::joined().on(Input::Unreadable(close)), [Action::Close(close)]);
    }
    let mut bench = Bench::new();
    for frame in 1..=BAD_FRAMES_MAX {
        let close = (frame == BAD_FRAMES_MAX).then_some(Close::BadFrames);
        assert_eq!(closes(&bench.text("{")), close, "frame {frame}");
    }
    assert_eq!(bench.text("{"), [], "nothing follows a close");
}

#[test]
fn a_flood_is_refused_and_then_closed() {
    let mut bench = Bench::joined();
    let ping = r#"{"type":"ping"}"#;
    let pongs = (0..RATE_BURST)
        .filter(|_| bench.text(ping) == [Action::Send(Box::new(ServerMessage::Pong { heartbeat_ms: HEARTBEAT_MS }))])
        .count();
    assert_eq!(pongs as u64, RATE_BURST - 1, "the join counts too");
    let out = bench.answer(0, 1, 1);
    let [ServerMessage::Error(error)] = &sent(&out)[..] else { panic!("{out:?}") };
    assert_eq!((error.code, error.submission), (ErrorCode::RateLimited, Some(SubmissionId::from_bits(1))));
    assert!(error.retry_after_ms.is_some());
    let refused = (0..1_000).find(|_| closes(&bench.text(ping)) == Some(Close::RateExceeded));
    assert!(refused.is_some_and(|frames| frames < LIMITED_FRAMES_MAX as usize), "{refused:?}");
}

#[test]
fn a_join_is_logged_then_admitted() {
    let mut bench = Bench::new();
    let out = bench.join();
    assert_eq!(ticket(&out), Ticket::Join);
    assert_eq!(bench.on(Input::Appended { ticket: Ticket::Join, result: Ok(Position::default()) }), []);
    let out = bench.on(Input::Game(&Mark::Admitted(head())));
    let [ServerMessage::Joined(joined)] = &sent(&out)[..] else { panic!("{out:?}") };
    assert_eq!((joined.player, joined.nickname.as_str()), (player(), "Ada"));
    let seat = Seat { game: game(), player: player(), nickname: "Ada".into(), lanes: 4 };
    assert_eq!(bench.around.signer.verify(&joined.token, WALL_US), Ok(Holder::Player(seat)));
}

#[test]
fn a_join_that_nobody_decides_is_asked_again_under_the_same_id() {
    let mut bench = Bench::new();
    bench.join();
    bench.now.mono_ms += JOIN_WAIT_MS;
    assert!(bench.machine.next_tick_ms() <= bench.now.mono_ms);
    assert_eq!(codes(&bench.on(Input::Tick)), [ErrorCode::Unavailable]);
    assert_eq!(bench.machine.seat().map(|seat| seat.player), Some(player()), "it may have been admitted");
    bench.text(r#"{"type":"join","pin":"123456","nickname":"Ada"}"#);
    let target = Ok(Some(PinTarget { game: game(), lanes: 4 }));
    let out = bench.on(Input::Resolved { target, player: PlayerId::from_bits(6) });
    assert_eq!(out, [Action::Attach { game: game(), role: Role::Joiner(player()), cursor: None }]);
}

/// Goal: one join is one player wherever it comes, and nobody else's. Method: whom a socket asks to be let in as.
#[test]
fn the_key_of_a_join_names_its_player() {
    let asked = |name: &str, key: u64, game: u64| {
        let mut bench = Bench::new();
        bench.text(&format!(
            r#"{{"type":"join","pin":"{PIN}","nickname":"{name}","key":"{}"}}"#,
            JoinKey::from_bits(key)
        ));
        let target = Ok(Some(PinTarget { game: GameId::from_bits(game), lanes: 4 }));
        let out = bench.on(Input::Resolved { target, player: player() });
        let [Action::Attach { role: Role::Joiner(player), .. }] = out[..] else { panic!("{out:?}") };
        player
    };
    let ada = asked("Ada", 7, 77);
    assert_eq!(asked("Ada", 7, 77), ada, "at another edge");
    for (other, why) in
        [(asked("Bob", 7, 77), "a name"), (asked("Ada", 8, 77), "a key"), (asked("Ada", 7, 78), "a game")]
    {
        assert_ne!(other, ada, "{why}");
    }
    assert_ne!(ada, player(), "not the id that was drawn");
}

#[test]
fn an_undecided_seat_that_is_given_up_is_left() {
    let mut bench = Bench::new();
    bench.join();
    bench.on(Input::Appended { ticket: Ticket::Join, result: Err(Unavailable) });
    bench.text(r#"{"type":"join","pin":"123456","nickname":"Grace"}"#);
    let target = Ok(Some(PinTarget { game: game(), lanes: 4 }));
    let out = bench.on(Input::Resolved { target, player: PlayerId::from_bits(6) });
    let [Action::Append { event, .. }, Action::Attach { role, .. }] = &out[..] else { panic!("{out:?}") };
    let AnyEvent::Joins(record) = &**event else { panic!("{event:?}") };
    assert_eq!(record.body, PlayerDisconnected { player: player(), answered: None }.into());
    assert_eq!(*role, Role::Joiner(PlayerId::from_bits(6)));
}

#[test]
fn a_resumed_player_is_greeted_and_logged_as_back() {
    let mut bench = Bench::new();
    let seat = Seat { game: game(), player: player(), nickname: "Ada".into(), lanes: 4 };
    let token = bench.around.signer.sign(Holder::Player(seat), WALL_US);
    let out = bench.text(&format!(r#"{{"type":"resume","token":"{token}"}}"#));
    assert_eq!(out, [Action::Attach { game: game(), role: Role::Player(player()), cursor: None }]);
    let out = bench.on(Input::Game(&Mark::Attached(head())));
    assert!(matches!(&sent(&out)[..], [ServerMessage::Joined(_)]));
    let [_, Action::Append { ticket: Ticket::Presence, event }] = &out[..] else { panic!("{out:?}") };
    assert!(matches!(&**event, AnyEvent::Joins(record) if matches!(record.body, JoinsBody::PlayerConnected(_))));
    // What is not logged is tried again, a few times.
    for _ in 1..PRESENCE_TRIES_MAX {
        assert_eq!(bench.on(Input::Appended { ticket: Ticket::Presence, result: Err(Unavailable) }), []);
        bench.now.mono_ms += PRESENCE_RETRY_MS;
        bench.on(Input::Control);
        assert_eq!(ticket(&bench.on(Input::Tick)), Ticket::Presence);
    }
    bench.on(Input::Appended { ticket: Ticket::Presence, result: Err(Unavailable) });
    bench.now.mono_ms += PRESENCE_RETRY_MS;
    assert_eq!(bench.on(Input::Tick), []);
    let out = bench.on(Input::Game(&Mark::OutcomeMissing { question: 2, players: 9 }));
    assert!(matches!(&out[..], [Action::LoadOutcome { question: 2, players: 9, .. }]));
}

#[test]
fn an_answer_is_acked_when_it_is_logged_and_a_resend_at_once() {
    let mut bench = Bench::asked();
    let out = bench.answer(1, 9, 3);
    let [Action::Append { ticket, event }] = &out[..] else { panic!("{out:?}") };
    let AnyEvent::Answers(record) = &**event else { panic!("{event:?}") };
    let AnswersBody::AnswerSubmitted(submitted) = &record.body else { panic!("{record:?}") };
    assert_eq!((submitted.elapsed_us, submitted.received_at_us), (2_500_000, WALL_US));
    assert_eq!(record.lane, quiz_schemas::LaneKey::of(game(), player(), 4).lane);
    let position = Position { partition: 3, offset: 14 };
    let out = bench.on(Input::Appended { ticket: ticket.clone(), result: Ok(position) });
    let [ServerMessage::Ack(ack)] = &sent(&out)[..] else { panic!("{out:?}") };
    assert_eq!((ack.position, ack.elapsed_ms, ack.question), ((3, 14), 2_500, 1));
    bench.on(Input::Game(&Mark::Stopped(1)));
    let again = bench.answer(1, 9, 3);
    assert_eq!(sent(&again), sent(&out), "the same receipt, and no second append (I2)");
    assert_eq!(codes(&bench.answer(1, 10, 3)), [ErrorCode::QuestionClosed]);
    let gone = bench.machine.gone(&bench.around, bench.machine.seat().unwrap(), WALL_US);
    let AnyEvent::Joins(record) = gone else { panic!("{gone:?}") };
    assert_eq!(record.body, PlayerDisconnected { player: player(), answered: Some(1) }.into());
}

#[test]
fn an_answer_that_is_not_logged_is_never_acked() {
    let mut bench = Bench::asked();
    let asked = ticket(&bench.answer(1, 9, 3));
    let out = bench.on(Input::Appended { ticket: asked, result: Err(Unavailable) });
    let [ServerMessage::Error(error)] = &sent(&out)[..] else { panic!("{out:?}") };
    assert_eq!((error.code, error.submission), (ErrorCode::Unavailable, Some(SubmissionId::from_bits(9))));
    assert!(error.retry_after_ms.is_some());
    assert!(matches!(ticket(&bench.answer(1, 9, 3)), Ticket::Answer { .. }), "sent again, it is tried again");
}

#[test]
fn answers_in_flight_are_bounded() {
    let mut bench = Bench::asked();
    for submission in 0..u64::from(ANSWERS_IN_FLIGHT_MAX) {
        ticket(&bench.answer(1, submission, 0));
    }
    assert_eq!(codes(&bench.answer(1, 99, 0)), [ErrorCode::RateLimited]);
    assert!(bench.machine.is_waiting());
}

#[test]
fn a_command_is_done_when_it_is_logged() {
    let mut bench = Bench::hosting();
    let out = bench.text(r#"{"type":"command","id":"a","do":"open","question":2}"#);
    let [Action::Append { ticket, event }] = &out[..] else { panic!("{out:?}") };
    let AnyEvent::Commands(record) = &**event else { panic!("{event:?}") };
    assert!(matches!(&record.body, CommandsBody::OpenQuestion(open) if open.question == Some(2)));
    let done = bench.on(Input::Appended { ticket: ticket.clone(), result: Ok(Position::default()) });
    assert_eq!(sent(&done), [ServerMessage::Done { id: "a".into() }]);
    let failed = bench.on(Input::Appended { ticket: Ticket::Command("b".into()), result: Err(Unavailable) });
    let [ServerMessage::Error(error)] = &sent(&failed)[..] else { panic!("{failed:?}") };
    assert_eq!((error.code, error.id.as_deref()), (ErrorCode::Unavailable, Some("b")));
    bench.on(Input::Game(&Mark::Over));
    assert_eq!(codes(&bench.text(r#"{"type":"command","id":"c","do":"open"}"#)), [ErrorCode::GameOver]);
}

#[test]
fn a_kicked_player_is_told_and_closed() {
    let mut bench = Bench::joined();
    let out = bench.on(Input::Game(&Mark::Kicked));
    assert_eq!(sent(&out), [ServerMessage::Kicked]);
    assert_eq!(closes(&out), Some(Close::Kicked));
}
