//! Text frames, and whole lives of a socket's machine. Promises: a message survives its text; nothing but
//! the books follows a close; an `ack` has its append (I1).

use std::str;
use std::sync::{Arc, LazyLock};

use quiz_ingest::connection::{
    Action, Connection, GameHead, Input, LookedUp, Mark, NotAttached, Now, PinTarget, Surroundings, Ticket,
    Unavailable, Unresolved,
};
use quiz_ingest::protocol::{Close, ErrorCode, ServerMessage, parse};
use quiz_ingest::token::{Holder, Seat, Signer};
use quiz_schemas::events::RefusalReason;
use quiz_schemas::quiz::QuestionKind;
use quiz_schemas::{GameId, Pin, PlayerId, Position, QuestionNo, SubmissionId};

use super::reader::Reader;

const WALL_US: i64 = 1_790_000_000_000_000;

static AROUND: LazyLock<Surroundings> = LazyLock::new(|| Surroundings {
    edge: "edge-1".into(),
    signer: Signer::new(&[3; 32]).expect("32 bytes"),
    epoch: "e1".into(),
});

/// The first byte says whether the rest is one frame or the life of a socket.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    match first % 2 {
        0 => frame(rest),
        _ => Life::default().live(&mut Reader(rest)),
    }
}

fn frame(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match parse(text) {
        Ok(message) => assert_eq!(parse(&message.to_json()), Ok(message), "a message survives its text"),
        Err(error) => assert!(ErrorCode::ALL.contains(&error.code)),
    }
}

/// What a bystander knows of a socket.
#[derive(Default)]
struct Life {
    under_way: Vec<Ticket>,
    logged: Vec<(QuestionNo, SubmissionId)>,
    closed: bool,
    mono_ms: u64,
}

impl Life {
    fn live(mut self, reader: &mut Reader<'_>) {
        let mut machine = Connection::new(Now { wall_us: WALL_US, ..Now::default() }, 0);
        let mut out = Vec::new();
        while !reader.is_empty() {
            self.step(&mut machine, reader, &mut out);
            self.watch(&mut out);
            assert!(self.closed || machine.next_tick_ms() > 0);
        }
    }

    fn step(&mut self, machine: &mut Connection, reader: &mut Reader<'_>, out: &mut Vec<Action>) {
        let elapsed_us = Some(reader.long()).filter(|elapsed_us| *elapsed_us != 0);
        let now = Now { wall_us: WALL_US, mono_ms: self.mono_ms, elapsed_us, sockets: 1 };
        let text;
        let mark;
        let input = match reader.below(12) {
            0 | 1 => {
                text = self.text(reader);
                Input::Text(&text)
            }
            2 => Input::Control,
            3 => Input::Unreadable(Close::ALL[usize::from(reader.byte()) % Close::ALL.len()]),
            4 => Input::Resolved { target: target(reader), player: PlayerId::from_bits(5) },
            5 | 6 => {
                mark = self.mark(reader);
                Input::Game(&mark)
            }
            7 | 8 => match self.completed(reader) {
                Some(input) => input,
                None => Input::Outcome(None),
            },
            9 => looked_up(reader),
            10 => {
                self.mono_ms += u64::from(reader.byte()) * 200;
                Input::Tick
            }
            _ => Input::Evict(Close::Draining),
        };
        if let Input::LookedUp { question, submission, found: LookedUp::Stored { .. } } = &input {
            self.logged.push((*question, *submission));
        }
        machine.on(&AROUND, input, now, out);
    }

    fn text(&self, reader: &mut Reader<'_>) -> String {
        let seat =
            Seat { game: GameId::from_bits(77), player: PlayerId::from_bits(5), nickname: "Ada".into(), lanes: 4 };
        let token = |holder| AROUND.signer.sign(holder, WALL_US);
        match reader.below(6) {
            0 => r#"{"type":"join","pin":"123456","nickname":"Ada"}"#.into(),
            1 => format!(r#"{{"type":"resume","token":"{}"}}"#, token(Holder::Player(seat))),
            2 => format!(r#"{{"type":"host","token":"{}"}}"#, token(Holder::Host { game: GameId::from_bits(77) })),
            3 => {
                let (question, submission) = (reader.below(4), reader.below(4));
                let pick = reader.byte();
                format!(
                    r#"{{"type":"answer","question":{question},"submission":"000000000000{submission}","picks":[{pick}]}}"#
                )
            }
            _ => String::from_utf8_lossy(reader.bytes()).into_owned(),
        }
    }

    fn mark(&self, reader: &mut Reader<'_>) -> Mark {
        let over = reader.below(8) == 7;
        let head = || {
            Arc::new(GameHead {
                pin: Pin::from_index(123_456),
                title: "A quiz".into(),
                questions: 3,
                players: 1,
                over,
                lobby: Vec::new(),
                cursor: 7,
                recovered: false,
            })
        };
        let question = QuestionNo::from(reader.below(4));
        match reader.below(10) {
            0 => Mark::Plain,
            1 => Mark::Attached(head()),
            2 => Mark::Admitted(head()),
            3 => Mark::NotAttached(NotAttached::Unavailable),
            4 => Mark::Refused(RefusalReason::NicknameTaken),
            5 | 6 => {
                let (kind, live) = (QuestionKind::Single, reader.below(2) == 0);
                Mark::Question { question, kind, options: 4, accepting: !over, live }
            }
            7 => Mark::Stopped(question),
            8 => Mark::Kicked,
            _ => Mark::Over,
        }
    }

    /// An append that ends, well or not.
    fn completed(&mut self, reader: &mut Reader<'_>) -> Option<Input<'static>> {
        let which = usize::from(reader.byte());
        if self.under_way.is_empty() {
            return None;
        }
        let ticket = self.under_way.swap_remove(which % self.under_way.len());
        let is_logged = reader.below(4) > 0;
        if let (Ticket::Answer { question, submission, .. }, true) = (&ticket, is_logged) {
            self.logged.push((*question, *submission));
        }
        let result = if is_logged { Ok(Position { partition: 0, offset: 1 }) } else { Err(Unavailable) };
        Some(Input::Appended { ticket, result })
    }

    fn watch(&mut self, out: &mut Vec<Action>) {
        for action in out.drain(..) {
            assert!(!self.closed || matches!(action, Action::Tally { .. }), "{action:?} follows a close");
            match action {
                Action::Append { ticket, .. } => self.under_way.push(ticket),
                Action::Close(_) => self.closed = true,
                Action::Send(message) => {
                    if let ServerMessage::Ack(ack) = &*message {
                        assert!(self.logged.contains(&(ack.question, ack.submission)), "an ack without an append (I1)");
                    }
                    let text = message.to_json();
                    assert!(text.starts_with("{\"type\":\""), "{text}");
                }
                _ => {}
            }
        }
    }
}

fn target(reader: &mut Reader<'_>) -> Result<Option<PinTarget>, Unresolved> {
    match reader.below(4) {
        0 => Ok(None),
        1 => Err(Unresolved::Unavailable),
        _ => Ok(Some(PinTarget { game: GameId::from_bits(77), lanes: 4 })),
    }
}

fn looked_up(reader: &mut Reader<'_>) -> Input<'static> {
    let question = QuestionNo::from(reader.below(4));
    let submission = SubmissionId::from_bits(u64::from(reader.below(4)));
    let found = match reader.below(3) {
        0 => LookedUp::NotStored,
        1 => LookedUp::Unknown,
        _ => LookedUp::Stored { position: Position { partition: 0, offset: 1 }, elapsed_us: reader.long() },
    };
    Input::LookedUp { question, submission, found }
}
