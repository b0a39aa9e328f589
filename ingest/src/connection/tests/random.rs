//! Goal: an `ack` never leaves without an append (I1), nothing follows a close, nothing panics.
//! Method: random histories, watched by a bystander that counts for itself.

use super::*;
use proptest::prelude::*;

/// A step of a random history. Indices pick among what is under way.
#[derive(Clone, Debug)]
enum Step {
    Frame(String),
    Answer(u16, u64, u8),
    Resolve(bool),
    Attach(bool),
    Admit,
    Refuse(u8),
    Show(u16),
    Stop(u16),
    Complete(usize, bool),
    LookedUp(usize, u8),
    Stale(u16, u64),
    Wait(u64),
    Other(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let token = around()
        .signer
        .sign(Holder::Player(Seat { game: game(), player: player(), nickname: "Ada".into(), lanes: 4 }), WALL_US);
    let frames = prop_oneof![
        Just(format!(r#"{{"type":"join","pin":"{PIN}","nickname":"Ada"}}"#)),
        Just(format!(r#"{{"type":"resume","token":"{token}"}}"#)),
        Just(r#"{"type":"ping"}"#.to_string()),
        Just(r#"{"type":"command","id":"a","do":"end"}"#.to_string()),
        "\\PC{0,40}",
        r#"\{"type":"(join|answer|host|resume|command)"(,"[a-z]{1,8}":("[0-9a-z]{0,6}"|[0-9]{1,4}|\[[0-9]\]))?\}"#,
    ];
    prop_oneof![
        2 => frames.prop_map(Step::Frame),
        4 => (0u16..3, 0u64..4, 0u8..5).prop_map(|(question, submission, pick)| Step::Answer(question, submission, pick)),
        1 => any::<bool>().prop_map(Step::Resolve),
        1 => any::<bool>().prop_map(Step::Attach),
        1 => Just(Step::Admit),
        1 => (0u8..6).prop_map(Step::Refuse),
        2 => (0u16..3).prop_map(Step::Show),
        1 => (0u16..3).prop_map(Step::Stop),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(which, ok)| Step::Complete(which, ok)),
        1 => (any::<usize>(), 0u8..3).prop_map(|(which, found)| Step::LookedUp(which, found)),
        1 => (0u16..3, 0u64..4).prop_map(|(question, submission)| Step::Stale(question, submission)),
        2 => (0u64..3_000).prop_map(Step::Wait),
        1 => (0u8..7).prop_map(Step::Other),
    ]
}

/// Counts what the machine asks to append and what it acks, and holds one against the other.
#[derive(Default)]
struct Bystander {
    under_way: Vec<Ticket>,
    logged: Vec<(QuestionNo, SubmissionId, Position)>,
    offset: i64,
    closed: bool,
    looked_for: Vec<(QuestionNo, SubmissionId)>,
    books: Vec<(QuestionNo, Tally)>,
    /// Answers whose append was acknowledged, and how many appends were not.
    appended: Vec<(QuestionNo, SubmissionId)>,
    failed: usize,
    /// Answers that the client was told what became of.
    decided: usize,
}

impl Bystander {
    fn watch(&mut self, out: &[Action]) -> Result<(), TestCaseError> {
        for action in out {
            prop_assert!(
                !self.closed || matches!(action, Action::Tally { .. }),
                "nothing but the books follows a close: {action:?}"
            );
            match action {
                Action::LookUp { question, submission, .. } => self.looked_for.push((*question, *submission)),
                Action::Tally { question, tally } => self.books.push((*question, *tally)),
                Action::Append { ticket, .. } => self.under_way.push(ticket.clone()),
                Action::Send(message) => {
                    if let ServerMessage::Ack(ack) = &**message {
                        self.decided += 1;
                        let position = Position { partition: ack.position.0, offset: ack.position.1 };
                        prop_assert!(
                            self.logged.contains(&(ack.question, ack.submission, position)),
                            "an ack without an append (I1)"
                        );
                    }
                    if matches!(&**message, ServerMessage::Error(error) if error.submission.is_some()) {
                        self.decided += 1;
                    }
                    if let ServerMessage::Taken(taken) = &**message {
                        let is_it = |ticket: &Ticket| {
                            matches!(ticket, Ticket::Answer { question, submission, elapsed_us, .. }
                                if (*question, *submission) == (taken.question, taken.submission)
                                    && *elapsed_us / 1000 == taken.elapsed_ms)
                        };
                        prop_assert!(self.under_way.iter().any(is_it), "taken, and on its way to the log");
                    }
                }
                Action::Close(_) => self.closed = true,
                _ => {}
            }
        }
        let answers = self.under_way.iter().filter(|ticket| matches!(ticket, Ticket::Answer { .. })).count();
        prop_assert!(answers <= ANSWERS_IN_FLIGHT_MAX as usize);
        Ok(())
    }

    fn complete(&mut self, which: usize, ok: bool) -> Option<(Ticket, Result<Position, Unavailable>)> {
        if self.under_way.is_empty() {
            return None;
        }
        let ticket = self.under_way.swap_remove(which % self.under_way.len());
        self.offset += 1;
        let position = Position { partition: 0, offset: self.offset };
        if let (Ticket::Answer { question, submission, .. }, true) = (&ticket, ok) {
            self.logged.push((*question, *submission, position));
            self.appended.push((*question, *submission));
        } else {
            self.failed += 1;
        }
        Some((ticket, if ok { Ok(position) } else { Err(Unavailable) }))
    }
}

impl Bystander {
    /// Goal: the books say what the log saw. Each acknowledged append is acked in them once, and nothing
    /// else is; and nobody is told what became of an answer without an entry, but where the question is
    /// one that nobody has seen or the client is nobody.
    fn check_books(&self) -> Result<(), TestCaseError> {
        let mut appended = self.appended.clone();
        let mut acked: Vec<(QuestionNo, SubmissionId)> =
            self.books
                .iter()
                .filter_map(|(question, tally)| {
                    if let Tally::Acked { submission, .. } = tally { Some((*question, *submission)) } else { None }
                })
                .collect();
        appended.sort_unstable();
        acked.sort_unstable();
        prop_assert_eq!(acked, appended);
        prop_assert!(self.books.len() <= self.decided + self.appended.len() + self.failed);
        Ok(())
    }
}

fn other_input(which: u8) -> Input<'static> {
    match which {
        0 => Input::Control,
        1 => Input::Game(&Mark::Plain),
        2 => Input::Game(&Mark::OutcomeMissing { question: 0, players: 3 }),
        3 => Input::Outcome(None),
        4 => Input::Game(&Mark::Over),
        5 => Input::Evict(Close::Draining),
        _ => Input::Tick,
    }
}

fn take(bench: &mut Bench, bystander: &mut Bystander, step: Step) -> Vec<Action> {
    const REASONS: [RefusalReason; 6] = [
        RefusalReason::NicknameTaken,
        RefusalReason::Full,
        RefusalReason::Banned,
        RefusalReason::GameOver,
        RefusalReason::NoGame,
        RefusalReason::Unknown,
    ];
    match step {
        Step::Frame(text) => bench.text(&text),
        Step::Answer(question, submission, pick) => bench.answer(question, submission, pick),
        Step::Resolve(true) => bench.resolved(),
        Step::Resolve(false) => bench.on(Input::Resolved { target: Ok(None), player: player() }),
        Step::Attach(true) => bench.on(Input::Game(&Mark::Attached(head()))),
        Step::Attach(false) => bench.on(Input::Game(&Mark::NotAttached(NotAttached::Unavailable))),
        Step::Admit => bench.on(Input::Game(&Mark::Admitted(head()))),
        Step::Refuse(which) => bench.on(Input::Game(&Mark::Refused(REASONS[usize::from(which)]))),
        Step::Show(question) => {
            let kind = QuestionKind::Single;
            bench.on(Input::Game(&Mark::Question { question, kind, options: 4, accepting: true, live: true }))
        }
        Step::Stop(question) => bench.on(Input::Game(&Mark::Stopped(question))),
        Step::Complete(which, ok) => match bystander.complete(which, ok) {
            Some((ticket, result)) => bench.on(Input::Appended { ticket, result }),
            None => Vec::new(),
        },
        Step::LookedUp(which, found) => {
            if bystander.looked_for.is_empty() {
                return Vec::new();
            }
            let index = which % bystander.looked_for.len();
            let (question, submission) = bystander.looked_for.swap_remove(index);
            let position = Position { partition: 1, offset: 7 };
            let found = match found {
                0 => LookedUp::Stored { position, elapsed_us: 5 },
                1 => LookedUp::NotStored,
                _ => LookedUp::Unknown,
            };
            if matches!(found, LookedUp::Stored { .. }) {
                bystander.logged.push((question, submission, position));
            }
            bench.on(Input::LookedUp { question, submission, found })
        }
        Step::Stale(question, submission) => {
            let submission = SubmissionId::from_bits(submission);
            let text = format!(r#"{{"type":"answer","question":{question},"submission":"{submission}","picks":[1]}}"#);
            bench.on(Input::Stale(&text))
        }
        Step::Wait(ms) => {
            bench.now.mono_ms += ms;
            bench.on(Input::Tick)
        }
        Step::Other(which) => bench.on(other_input(which)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Half of the histories begin seated, so that answers are reached often.
    #[test]
    fn no_history_panics_or_acks_what_is_not_logged(
        seated in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut bench = if seated { Bench::asked() } else { Bench::new() };
        let mut bystander = Bystander::default();
        for step in steps {
            let out = take(&mut bench, &mut bystander, step);
            bystander.watch(&out)?;
            prop_assert!(bystander.closed || bench.machine.next_tick_ms() > bench.now.mono_ms.saturating_sub(3_000));
        }
        bystander.check_books()?;
    }

    #[test]
    fn no_frame_panics(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&text);
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }
}
