//! Goal: an answer keeps its time when it is sent again, and one that is stored keeps its receipt; lies
//! change nothing. Method: scripts with and without proofs.

use super::*;
use crate::limits::{LOOKUPS_IN_FLIGHT_MAX, TAKEN_AFTER_MS};
use quiz_schemas::quiz::{Picks, Response};

fn tallies(actions: &[Action]) -> Vec<Tally> {
    actions
        .iter()
        .filter_map(|action| if let Action::Tally { tally, .. } = action { Some(*tally) } else { None })
        .collect()
}

fn appended_us(actions: &[Action]) -> Option<i64> {
    actions.iter().find_map(|action| match action {
        Action::Append { ticket: Ticket::Answer { elapsed_us, .. }, .. } => Some(*elapsed_us),
        _ => None,
    })
}

fn taken(actions: &[Action]) -> Option<(i64, String)> {
    sent(actions).into_iter().find_map(|message| match message {
        ServerMessage::Taken(taken) => Some((taken.elapsed_ms, taken.proof.to_string())),
        _ => None,
    })
}

impl Bench {
    fn answer_with(&mut self, submission: u64, pick: u8, proof: &str) -> Vec<Action> {
        let submission = SubmissionId::from_bits(submission);
        self.text(&format!(
            r#"{{"type":"answer","question":1,"submission":"{submission}","picks":[{pick}],"proof":"{proof}"}}"#
        ))
    }

    /// A player who comes back by a token, and is shown question 1 as it has been open for long.
    fn resumed(elapsed_us: Option<i64>) -> Self {
        let mut bench = Self::new();
        let seat = Seat { game: game(), player: player(), nickname: "Ada".into(), lanes: 4 };
        let token = bench.around.signer.sign(Holder::Player(seat), WALL_US);
        bench.text(&format!(r#"{{"type":"resume","token":"{token}"}}"#));
        bench.on(Input::Game(&Mark::Attached(head())));
        let kind = QuestionKind::Single;
        bench.on(Input::Game(&Mark::Question { question: 1, kind, options: 4, accepting: true, live: false }));
        bench.now.elapsed_us = elapsed_us;
        bench
    }
}

#[test]
fn a_slow_append_is_told_as_taken_once() {
    let mut bench = Bench::asked();
    let out = bench.answer(1, 9, 3);
    assert!(bench.machine.next_tick_ms() <= bench.now.mono_ms + TAKEN_AFTER_MS);
    bench.now.mono_ms += TAKEN_AFTER_MS - 1;
    assert_eq!(bench.on(Input::Tick), []);
    bench.now.mono_ms += 1;
    let (elapsed_ms, proof) = taken(&bench.on(Input::Tick)).expect("taken");
    assert_eq!(elapsed_ms, 2_500);
    assert_eq!(bench.on(Input::Tick), []);
    let failed = bench.on(Input::Appended { ticket: ticket(&out), result: Err(Unavailable) });
    let [ServerMessage::Error(error)] = &sent(&failed)[..] else { panic!("{failed:?}") };
    assert_eq!((error.code, error.proof.as_deref()), (ErrorCode::Unavailable, Some(proof.as_str())));
    assert_eq!(tallies(&failed), [Tally::Unavailable]);
}

#[test]
fn an_answer_in_time_is_not_told_as_taken() {
    let mut bench = Bench::asked();
    let asked = ticket(&bench.answer(1, 9, 3));
    let out = bench.on(Input::Appended { ticket: asked, result: Ok(Position::default()) });
    assert_eq!(tallies(&out), [Tally::Acked { player: player(), submission: SubmissionId::from_bits(9) }]);
    bench.now.mono_ms += TAKEN_AFTER_MS;
    assert_eq!(bench.on(Input::Tick), []);
}

/// A proof is good at another edge, for this very answer; all others count as none, and the edge's own
/// measure stands.
#[test]
fn a_proof_keeps_the_time_and_a_lie_gains_nothing() {
    let mut first = Bench::asked();
    first.answer(1, 9, 3);
    first.now.mono_ms += TAKEN_AFTER_MS;
    let (_, proof) = taken(&first.on(Input::Tick)).expect("taken");
    let later_us = 6_000_000;
    let good = Bench::resumed(Some(later_us)).answer_with(9, 3, &proof);
    assert_eq!(appended_us(&good), Some(2_500_000));
    assert!(good.contains(&Action::ProofSeen { good: true }));
    let sooner = proof.replacen("2500000", "1", 1);
    assert_ne!(sooner, proof);
    for (submission, pick, lie) in [(9, 3, sooner.as_str()), (9, 2, &proof), (8, 3, &proof), (9, 3, "x"), (9, 3, "")] {
        let out = Bench::resumed(Some(later_us)).answer_with(submission, pick, lie);
        assert_eq!(appended_us(&out), Some(later_us), "{submission} {pick} {lie}");
        assert!(out.contains(&Action::ProofSeen { good: false }), "{submission} {pick} {lie}");
    }
    // Another player, another game.
    let response = Response::Picks(Picks::one(3));
    let submission = SubmissionId::from_bits(9);
    for (game, player) in [(game(), PlayerId::from_bits(6)), (GameId::from_bits(78), player())] {
        let answer = crate::token::TakenAnswer { game, question: 1, player, submission, response: &response };
        let foreign = around().signer.prove(&answer, 1);
        assert_eq!(appended_us(&Bench::resumed(Some(later_us)).answer_with(9, 3, &foreign)), Some(later_us));
    }
    // A proof never makes an answer slower than it is.
    assert_eq!(appended_us(&Bench::resumed(Some(1_000)).answer_with(9, 3, &proof)), Some(1_000));
}

#[test]
fn an_edge_that_does_not_know_the_time_scores_no_guess() {
    let mut bench = Bench::resumed(None);
    let out = bench.answer(1, 9, 3);
    assert_eq!((codes(&out), appended_us(&out)), (vec![ErrorCode::Unavailable], None));
    assert_eq!(tallies(&out), [Tally::Unavailable]);
    bench.now.elapsed_us = Some(3_000_000);
    assert_eq!(appended_us(&bench.answer(1, 9, 3)), Some(3_000_000));
}

#[test]
fn a_stored_answer_keeps_its_receipt_after_the_close() {
    let mut first = Bench::asked();
    let asked = ticket(&first.answer(1, 9, 3));
    let position = Position { partition: 3, offset: 14 };
    let acked = sent(&first.on(Input::Appended { ticket: asked, result: Ok(position) }));
    let look = |bench: &mut Bench, proof: Option<&str>| {
        let out = match proof {
            Some(proof) => bench.answer_with(9, 3, proof),
            None => bench.answer(1, 9, 3),
        };
        let [Action::LookUp { question: 1, settled, .. }] = &out[..] else { panic!("{out:?}") };
        *settled
    };
    let mut second = Bench::resumed(Some(9_000_000));
    second.on(Input::Game(&Mark::Stopped(1)));
    assert!(!look(&mut second, None), "the board is not out");
    let (question, submission) = (1, SubmissionId::from_bits(9));
    let found = LookedUp::Stored { position, elapsed_us: 2_500_000 };
    let out = second.on(Input::LookedUp { question, submission, found });
    assert_eq!((sent(&out), tallies(&out)), (acked.clone(), vec![Tally::Repeated]));
    assert_eq!(sent(&second.answer(1, 9, 3)), acked, "from now on by heart");

    let mut second = Bench::resumed(Some(9_000_000));
    second.on(Input::Game(&Mark::Settled(1)));
    for (found, code, tally) in [
        (LookedUp::NotStored, ErrorCode::QuestionClosed, Tally::Refused),
        (LookedUp::Unknown, ErrorCode::Unavailable, Tally::Unavailable),
    ] {
        assert!(look(&mut second, Some("x")), "the board is out");
        let out = second.on(Input::LookedUp { question, submission, found });
        assert_eq!((codes(&out), tallies(&out)), (vec![code], vec![tally]));
    }
    for _ in 0..LOOKUPS_IN_FLIGHT_MAX {
        look(&mut second, None);
    }
    assert_eq!(codes(&second.answer(1, 9, 3)), [ErrorCode::RateLimited]);
}

#[test]
fn who_had_the_question_here_is_late_and_costs_no_look() {
    let mut bench = Bench::asked();
    bench.on(Input::Game(&Mark::Stopped(1)));
    assert_eq!(codes(&bench.answer(1, 9, 3)), [ErrorCode::QuestionClosed]);
    assert!(matches!(&bench.answer_with(9, 3, "x")[..], [Action::LookUp { .. }]), "unless it says that it was taken");
}

#[test]
fn what_came_while_the_edge_stood_still_is_to_be_sent_again() {
    let mut bench = Bench::asked();
    let text = r#"{"type":"answer","question":1,"submission":"0000000000009","picks":[1]}"#;
    let out = bench.on(Input::Stale(text));
    let [ServerMessage::Error(error)] = &sent(&out)[..] else { panic!("{out:?}") };
    assert_eq!((error.code, error.submission), (ErrorCode::Unavailable, Some(SubmissionId::from_bits(9))));
    assert_eq!(error.proof, None, "nobody knows when it came");
    assert_eq!((appended_us(&out), tallies(&out)), (None, vec![Tally::Unavailable]));
    assert_eq!(bench.on(Input::Stale(r#"{"type":"ping"}"#)), []);
}

#[test]
fn a_cursor_of_another_epoch_says_nothing() {
    for (epoch, cursor) in [("e1", Some(40)), ("e2", None)] {
        let mut bench = Bench::new();
        let token = bench.around.signer.sign(Holder::Host { game: game() }, WALL_US);
        let text = format!(r#"{{"type":"host","token":"{token}","cursor":{{"epoch":"{epoch}","offset":40}}}}"#);
        assert_eq!(bench.text(&text), [Action::Attach { game: game(), role: Role::Host, cursor }]);
    }
}
